"""A reader's own module as an encoder: what has to hold of it, and what is written down of it.

What it computes is known to its class alone. So its weights and its preprocessing are saved, and it
is made again by its reader before it is filled.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cinv_lib.encoders import weight_files
from cinv_lib.encoders.config import IMAGENET_PREPROCESS, WRAPPED


def config(module: nn.Module, given: dict[str, Any], name: str) -> dict[str, Any]:
    """The configuration of a module, as `Encoder` takes it. Raises as `Encoder.wrap` says."""
    preprocess = _preprocessing(module, given, name)
    size, mean, std = preprocess["size"], preprocess["mean"], preprocess["std"]
    if size < 1 or len(mean) != 3 or len(std) != 3 or not all(s > 0 for s in std):
        raise ValueError(
            f"{name}: image_size {size}, mean {mean}, std {std}; expected a side in pixels, three "
            "means and three positive standard deviations"
        )
    model_cfg = {"embed_dim": width(module, size, name)}
    return {"kind": WRAPPED, "model_cfg": model_cfg, "preprocess_cfg": preprocess}


def _preprocessing(module: nn.Module, given: dict[str, Any], name: str) -> dict[str, Any]:
    """What is given, else what the module says of itself, as those of timm do, else ImageNet's."""
    own = getattr(module, "pretrained_cfg", None) or {}
    own = {key: own[key] for key in ("mean", "std", "interpolation") if own.get(key)} | {
        "size": own["input_size"][-1] if own.get("input_size") else None
    }
    size = own["size"] if given["size"] is None else given["size"]
    if size is None:
        raise ValueError(
            f"{name} does not say which pictures it takes; expected image_size, the side in "
            f"pixels, and mean and std of its training: Encoder.wrap(module, image_size=224, "
            f"mean={IMAGENET_PREPROCESS['mean']}, std={IMAGENET_PREPROCESS['std']}) are ImageNet's"
        )
    said = {key: value for key, value in given.items() if value is not None}
    found: dict[str, Any] = IMAGENET_PREPROCESS | own | {"size": size} | said
    return found | {key: tuple(map(float, found[key])) for key in ("mean", "std")}


@torch.no_grad()
def width(module: nn.Module, side: int, name: str) -> int:
    """The length of a module's embeddings, in eval mode. Raises ValueError where there are none."""
    weight = next(module.parameters(), torch.zeros((), device="cpu"))
    x = torch.zeros(2, 3, side, side, dtype=weight.dtype, device=weight.device)
    wanted = f"{name}: expected float embeddings (2, d) of pictures {tuple(x.shape)}, and it"
    try:
        found = module.eval()(x)
    except (RuntimeError, TypeError, ValueError, AttributeError) as e:
        raise ValueError(f"{wanted} raises {type(e).__name__}: {e}") from e
    if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != 2:
        shown = tuple(found.shape) if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise ValueError(f"{wanted} makes {shown}; pool, or choose, within a module around it")
    if not found.is_floating_point():
        raise ValueError(f"{wanted} makes {found.dtype}")
    return found.shape[1]


def fill(name: str, config: dict[str, Any], path: Path, module: nn.Module) -> None:
    """Fill a module that was made again from a file of weights.

    Raises ValueError where the file is another encoder's, naming what does not fit.
    """
    if config.get("kind") != WRAPPED:
        raise ValueError(f"{name} holds all that builds its encoder again; leave out tower=")
    kind, state = type(module).__name__, weight_files.read(path)
    weight_files.load_into(module, state, path, kind)
    saved = config["model_cfg"]["embed_dim"]
    found = width(module, config["preprocess_cfg"]["size"], kind)
    if found != saved:
        raise ValueError(
            f"{name} holds an encoder of {saved} dimensions, and this {kind} makes {found}; give "
            "the module that it was saved from"
        )
