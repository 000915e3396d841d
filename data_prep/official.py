"""The authors' nine checkpoints: `python -m data_prep official --checkpoints DIR`.

Three operators (blur37, mask90, noise05) by three kinds, files of Lightning 1.2.6. They become
safetensors under the data folder, in official/OPERATOR/KIND: `encoders.load` reads the encoder
there, `probe.Probe.from_state` the linear layer in head.safetensors (classes in the order of
ImageNet-100's sorted wnids, embeddings not normalised).

- backbone: the student, a whole CLIP. Its image tower is `noisy_visual_encoder`; only its text
  tower, which has no batch norm and was not trained, is taken from `baseclip`. Never take the
  *teacher* from there: it was left in training mode, and its batch norms have drifted.
- probe: the student's image tower as the probe knew it, and the probe.
- baseline: the supervised ResNet-101, and its classifier.
"""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cinv_lib import encoders
from cinv_lib.encoders import config as encoder_config
from cinv_lib.encoders import weight_files
from cinv_lib.machine.folders import home

SHAPE = "RN101-quickgelu"
HEAD = "head.safetensors"
DRIVE = "https://drive.google.com/file/d/"
FILES = {  # as the authors' README links them
    ("blur37", "backbone"): "1q1g0DjY8SCCnkMnt9lN4bLo1352qZFvi",
    ("mask90", "backbone"): "1HOi7fU-AkOKcVwibDRe97IYnS0U8ijPm",
    ("noise05", "backbone"): "1PmquZJLCsIHvwTCNuNmfYolWiW1xPzSm",
    ("blur37", "probe"): "1f1llrEZPfcTiYK2E7IO54Cd_sUhIVPFD",
    ("mask90", "probe"): "1obQCzf74jSN_lOlozTlFVrtaD549teYl",
    ("noise05", "probe"): "1cl5tu8yq9vpkZGifUyBwMvfFPd9I4Cgd",
    ("blur37", "baseline"): "1nIfjNjbAhjNsWQgooh_MhmK0qdYb6ThC",
    ("mask90", "baseline"): "1jgwu57OQc5qWyzGUVV7tnDyELlxwnAqN",
    ("noise05", "baseline"): "1OuLbKoUuLxIxP3-QLdrp9eaE81O2CDag",
}
PREFIXES = {  # what the keys of each kind begin with
    "backbone": ("baseclip.", "noisy_visual_encoder."),
    "probe": ("backbone.", "output."),
    "baseline": ("encoder.feature_extractor.", "encoder.classifier."),
}
STAGES = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
# Lightning wrote its callbacks and the run's options beside the weights. Instances of these are
# read as empty objects, so that nothing of theirs is imported or run.
HARMLESS = r"pytorch_lightning\.[\w.]+|argparse\.Namespace|numpy\.[\w.]+|pathlib\.\w*Path"


class Ignored:
    """What is read in place of an object that is not a tensor."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def make(checkpoints: Path, shape: str = SHAPE) -> list[Path]:
    """Convert every one of the nine that is in the folder; returns the folders written.

    A file is named OPERATOR-KIND, as mask90-probe.ckpt. One that was converted is left as it is.
    Raises FileNotFoundError when there is none, ValueError for one that is not what its name says.
    """
    if not checkpoints.is_dir():
        raise FileNotFoundError(f"--checkpoints {checkpoints} is no folder")
    made, absent = [], []
    for operator, kind in FILES:
        found = sorted(p for p in checkpoints.glob(f"{operator}-{kind}.*") if p.suffix != ".part")
        out = home() / "official" / operator / kind
        if found and not (out / "source.json").is_file():
            convert(found[0], kind, out, shape)
        if (out / "source.json").is_file():
            made.append(out)
            print(f"OK  {out}")
        else:
            absent.append(f"{operator}-{kind}.ckpt  {DRIVE}{FILES[operator, kind]}/view")
    if absent:
        listed = "\n".join(absent)
        print(f"{len(absent)} of {len(FILES)} are absent from {checkpoints}; there they are:")
        print(listed)
    if not made:
        raise FileNotFoundError(f"none of the nine checkpoints is in {checkpoints} (listed above)")
    for operator in {operator for operator, _ in FILES}:
        _compare(home() / "official" / operator)
    return made


def convert(path: Path, kind: str, out: Path, shape: str = SHAPE) -> Path:
    """One checkpoint into the folder `out`, which is there whole or not at all.

    shape: of the CLIP, by a name in encoders.fresh; the authors' is RN101 with QuickGELU.
    Raises ValueError for another kind of file, missing or unknown keys, or unsafe content.
    """
    state = read(path)
    by_prefix = {prefix: {} for prefix in PREFIXES[kind]}
    strange = []
    for key, value in state.items():
        prefix = next((p for p in by_prefix if key.startswith(p)), None)
        if prefix is None:
            strange.append(key)
        else:
            by_prefix[prefix][key.removeprefix(prefix)] = value
    empty = [prefix for prefix, found in by_prefix.items() if not found]
    if strange or empty:
        is_kind = [k for k, prefixes in PREFIXES.items() if all(_any(state, p) for p in prefixes)]
        wrong = [f"no key begins with {prefix}" for prefix in empty]
        wrong += [f"{len(strange)} unknown keys such as {strange[0]}"] if strange else []
        advice = f"it is a {is_kind[0]}: name it so" if is_kind else "download it again"
        raise ValueError(f"{path} is not a {kind} of the authors ({'; '.join(wrong)}): {advice}")
    first, second = by_prefix.values()
    part = out.with_name(f"{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    if kind == "backbone":
        encoder, head = _student(first, second, shape, path), None
    elif kind == "probe":
        encoder, head = _tower(first, shape, path), second
    else:
        encoder, head = _resnet(first, path), second
    encoders.save(encoder, part)
    if head is not None:
        _check_head(head, encoder.dim, path)
        flag = torch.tensor(False)
        weight_files.write({**head, "normalise": flag}, part / HEAD, torch.float32)
    with path.open("rb") as f:
        sha256 = hashlib.file_digest(f, "sha256").hexdigest()
    facts = {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256, "kind": kind}
    text = json.dumps(
        facts | {"source": "github.com/Sriram-Ravula/Contrastive-Inversion"}, indent=1
    )
    weight_files.write_bytes(f"{text}\n".encode(), part / "source.json")
    shutil.rmtree(out, ignore_errors=True)
    os.replace(part, out)
    return out


def read(path: Path) -> dict[str, Tensor]:
    """The weights in a Lightning checkpoint, read with weights_only=True.

    Raises ValueError for a file that is damaged, or names code other than HARMLESS.
    """
    try:
        named = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception as e:  # damaged bytes come out of the reader as a dozen kinds of error
        raise ValueError(f"{path} is truncated or no checkpoint ({e}); download it again") from e
    wild = [name for name in named if not re.fullmatch(HARMLESS, name)]
    if wild:
        raise ValueError(
            f"{path} is refused: it would run {', '.join(wild)}, which no checkpoint of the "
            f"authors does. Download it again from their repository"
        )
    return weight_files.read(path, beside=[(Ignored, name) for name in named])


def _student(clip: dict, tower: dict, shape: str, path: Path) -> encoders.Encoder:
    text = {key: value for key, value in clip.items() if not key.startswith("visual.")}
    config = _config(shape)
    module = encoder_config.build(shape, config)
    state = text | {f"visual.{key}": value for key, value in tower.items()}
    weight_files.load_into(module, state, path, shape)
    return encoders.Encoder(path.stem, config, clip=module)


def _tower(state: dict, shape: str, path: Path) -> encoders.Encoder:
    config = _config(shape)
    own = {key: config["model_cfg"][key] for key in ("embed_dim", "vision_cfg")}
    config = {**config, "kind": "modified-resnet", "model_cfg": own}
    module = encoder_config.build(shape, config)
    weight_files.load_into(module, state, path, f"the image tower of {shape}")
    return encoders.Encoder(path.stem, config, tower=module)


def _resnet(state: dict, path: Path) -> encoders.Encoder:
    config = encoder_config.named("resnet101")
    module = encoder_config.build("resnet101", config)
    named = {}
    for key, value in state.items():
        stage, _, rest = key.partition(".")
        named[f"{STAGES.get(stage, stage)}.{rest}"] = value
    weight_files.load_into(module, named, path, "resnet101")
    return encoders.Encoder(path.stem, config, tower=module)


def _config(shape: str) -> dict[str, Any]:
    """The CLIP's configuration. The authors resized bilinearly throughout, OpenAI bicubically."""
    config = encoder_config.named(shape)
    if shape == SHAPE:
        encoder_config.check_activation(shape, shape, True, config)
    return {**config, "preprocess_cfg": {**config["preprocess_cfg"], "interpolation": "bilinear"}}


def _check_head(head: dict[str, Tensor], dim: int, path: Path) -> None:
    shapes = {key: tuple(value.shape) for key, value in head.items()}
    if shapes != {"weight": (100, dim), "bias": (100,)}:
        raise ValueError(f"{path}: its linear layer is {shapes}; expected 100 classes of {dim}")


def _any(state: dict[str, Tensor], prefix: str) -> bool:
    return any(key.startswith(prefix) for key in state)


def _compare(folder: Path) -> None:
    """Say whether a probe's tower is the student's: the authors did not freeze its batch norms."""
    files = [
        folder / "backbone" / encoder_config.CLIP_FILES[1],
        folder / "probe" / encoder_config.TOWER_FILES[1],
    ]
    if not all(file.is_file() for file in files):
        return
    student, probed = (weight_files.read(file) for file in files)
    other = [
        key for key, value in probed.items() if not torch.equal(value, student[f"visual.{key}"])
    ]
    words = f"differs from the backbone in {len(other)} tensors" if other else "is the backbone's"
    print(f"NOTE  {folder.name}: the probe's tower {words}" + (f" ({other[0]})" if other else ""))
