"""The files of an encoder that has a folder: one that `save` wrote, one of open_clip's form, or one
on the Hugging Face hub."""

import shutil
from pathlib import Path
from typing import Any

from cinv_lib.encoders import config as encoder_config
from cinv_lib.encoders import published, weight_files
from cinv_lib.encoders.config import CLIP_FILES, EMBEDDED, TOWER_FILES
from cinv_lib.machine.files import whole

LOCAL, HUB = "local-dir:", "hf-hub:"  # open_clip's prefixes
# What open_clip's own programs call the weights; the first is also ours.
CLIP_WEIGHTS = (CLIP_FILES[1], "open_clip_pytorch_model.bin")
TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "merges.txt", "vocab.txt", "spiece.model", "sentencepiece.bpe.model",
    "tokenizer.model",
)  # fmt: skip


def files(name: str | Path, cache_dir: str | None = None) -> tuple[Path, Path] | None:
    """The configuration and the weights that a name stands for, or None where it is no folder.

    name: a folder, with "local-dir:" before it or without; a .safetensors file in one; or
    "hf-hub:ORG/NAME", whose two files are downloaded where the cache does not have them.

    Raises FileNotFoundError where the hub is out of reach, saying what to do.
    """
    text = str(name)
    if text in EMBEDDED:
        return None
    if text.startswith(HUB):
        return _of_hub(text, cache_dir)
    path = Path(text.removeprefix(LOCAL))
    if not (path.is_dir() or path.suffix == ".safetensors"):
        return None
    folder = path if path.is_dir() else path.parent
    for config, usual in ((CLIP_FILES[0], CLIP_WEIGHTS), (TOWER_FILES[0], TOWER_FILES[1:])):
        if (folder / config).is_file():
            there = (folder / weights for weights in usual if (folder / weights).is_file())
            return folder / config, path if path.is_file() else next(there, folder / usual[0])
    return None


def _of_hub(name: str, cache_dir: str | None) -> tuple[Path, Path]:
    repo = name.removeprefix(HUB)
    if repo.count("/") != 1 or not all(repo.split("/")):
        raise ValueError(f"{name!r} names no place on the hub; expected {HUB}ORGANISATION/NAME")
    config, weights = (
        published.from_hub(repo, names, name, cache_dir, whole_folder=True)
        for names in (CLIP_FILES[:1], CLIP_WEIGHTS)
    )
    return config, weights


def tokenizer_of(config: Path) -> Path | None:
    """The folder of a configuration, where a tokenizer lies beside it; else None."""
    there = any((config.parent / name).is_file() for name in TOKENIZER[:2])
    return config.parent if there else None


def copy_tokenizer(source: Path, to: Path) -> None:
    """Copy the files of a tokenizer, each of them whole."""
    for name in TOKENIZER:
        if (source / name).is_file() and source.resolve() != to.resolve():
            with whole(to / name) as part:
                shutil.copyfile(source / name, part)


def check_activation(name: str, shape: str, weights: Path, config: dict[str, Any]) -> None:
    """Raise ValueError where a file shows that the weights in it need another activation."""
    if weights.is_file() and weight_files.is_torchscript(weights):
        # Only OpenAI published CLIP in this form, and always with QuickGELU.
        encoder_config.check_activation(name, shape, True, config)
    beside = weights.parent / CLIP_FILES[0]
    if beside.is_file():
        quick = bool(encoder_config.read(beside)["model_cfg"].get("quick_gelu", False))
        encoder_config.check_activation(name, shape, quick, config)
