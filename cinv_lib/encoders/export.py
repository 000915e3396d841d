"""An encoder for others: open_clip's folder with its tokenizer and a model card, as the Hugging
Face hub reads them."""

import copy
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from cinv_lib.encoders import card as cards
from cinv_lib.encoders import encoder as encoders
from cinv_lib.encoders import tokenizer, weight_files, words
from cinv_lib.encoders.encoder import Encoder


def export(
    encoder: Encoder,
    folder: str | Path,
    dtype: torch.dtype = torch.float32,
    repo: str | None = None,
    card: Mapping[str, Any] | None = None,
) -> Path:
    """What `save_encoder` says. Each file is written whole, the card last."""
    folder = Path(folder)
    check_repo(repo)
    config = copy.deepcopy(encoder.config)
    files = {}
    if encoder.clip is not None and tokenizer.has_embedded_words(encoder):
        text = config["model_cfg"]["text_cfg"]
        files = words.tokenizer_files(text.get("context_length", tokenizer.LENGTH))
        # open_clip reads the files beside it if any name is here, and from the hub those of the
        # repository that it names
        text["hf_tokenizer_name"] = repo or folder.resolve().name
    text = cards.text(encoder, folder, repo, card or {})  # refuses before anything is written
    encoders.save(encoder, folder, dtype, config)
    for name, content in files.items():
        weight_files.write_bytes(content.encode(), folder / name)
    if not files and _of_hub(encoder):
        tokenizer.of_transformers(encoder).save_pretrained(folder)
    weight_files.write_bytes(text.encode(), folder / "README.md")
    return folder


def _of_hub(encoder: Encoder) -> bool:
    """Whether its tokenizer is one of the hub, which can be read here to lie beside the weights."""
    cfg = encoder.config["model_cfg"].get("text_cfg", {})
    named = encoder.clip is not None and bool(cfg.get("hf_tokenizer_name"))
    return (
        named and encoder.tokenizer is None and importlib.util.find_spec("transformers") is not None
    )


def check_repo(repo: str | None) -> None:
    """Raise ValueError where it cannot be a repository of the hub."""
    if repo is None:
        return
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(repo)
        parts = repo.split("/")
    except (HFValidationError, AttributeError):
        parts = []
    if len(parts) != 2:
        raise ValueError(f'repo is {repo!r}; expected "ORGANISATION/NAME" as on the hub')
