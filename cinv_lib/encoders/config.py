"""The shape of an encoder as a plain dictionary, and the checks on it.

`{"model_cfg": ..., "preprocess_cfg": {size, mean, std, interpolation}}` is open_clip's own layout
(`open_clip_config.json`), so that open_clip reads what we write. A tower without text has in
addition a "kind": "modified-resnet" or "torchvision-resnet101"; a module of a reader's own is
"wrapped", and only its reader can build it.
"""

import copy
import importlib.util
from pathlib import Path
from typing import Any

import open_clip
import torchvision
from open_clip.model import CLIP, CustomTextCLIP, set_model_preprocess_cfg
from open_clip.modified_resnet import ModifiedResNet
from torch import nn

from cinv_lib.machine.files import read_json

WEIGHTS = Path(__file__).parents[1] / "weights"
CLIP_FILES = ("open_clip_config.json", "open_clip_model.safetensors")
TOWER_FILES = ("config.json", "model.safetensors")
WRAPPED = "wrapped"
EMBEDDED = {
    "stickers-clip": CLIP_FILES,
    "stickers-clip-vit": CLIP_FILES,  # its image tower is a vision transformer (lesson 14)
    "stickers-supervised": TOWER_FILES,  # knows all classes of the world
    "stickers-100-supervised": TOWER_FILES,  # knows the labelled 100, from 20 pictures of each
}

# Written out on purpose: what these towers were trained with, to check the libraries against.
OPENAI_PREPROCESS: dict[str, Any] = {
    "size": 224,
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
    "interpolation": "bicubic",
}
IMAGENET_PREPROCESS: dict[str, Any] = {
    "size": 224,
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
    "interpolation": "bilinear",
}
# In place of what open_clip's own training draws from torch's global generator, or downloads: a
# student sees whole pictures through whole towers, and a seed decides all.
STILL = {
    "patch_dropout": 0.0,
    "timm_drop": 0.0,
    "timm_drop_path": None,
    "timm_model_pretrained": False,
}
# The weights of the paper's baseline: what torchvision's pretrained=True meant in 2021.
RESNET101 = torchvision.models.ResNet101_Weights.IMAGENET1K_V1


def named(name: str) -> dict[str, Any]:
    """The configuration of a known shape. Raises ValueError for an unknown one, naming some."""
    if name == "resnet101":
        return {
            "kind": "torchvision-resnet101",
            "model_cfg": {"embed_dim": 2048},
            "preprocess_cfg": dict(IMAGENET_PREPROCESS),
        }
    if EMBEDDED.get(name) == CLIP_FILES:
        return read(WEIGHTS / name / CLIP_FILES[0])
    if name in EMBEDDED:  # the same image tower, without the text
        clip = named("stickers-clip")
        model_cfg = {k: clip["model_cfg"][k] for k in ("embed_dim", "vision_cfg")}
        return {**clip, "kind": "modified-resnet", "model_cfg": model_cfg}
    model_cfg = open_clip.get_model_config(name)
    if model_cfg is None:
        near = [m for m in open_clip.list_models() if m.startswith(name[:4])][:4]
        raise ValueError(
            f"unknown encoder {name!r}: expected {', '.join(EMBEDDED)}, resnet101/imagenet, a "
            f"folder written by encoders.save, hf-hub:ORGANISATION/NAME, or ARCHITECTURE/TAG of "
            f"open_clip such as "
            f"{', '.join(near) or 'RN101-quickgelu/openai'}"
        )
    _check_towers(name, model_cfg)
    size = model_cfg["vision_cfg"].get("image_size", 224)
    return {"model_cfg": model_cfg, "preprocess_cfg": {**OPENAI_PREPROCESS, "size": size}}


def _check_towers(name: str, model_cfg: dict[str, Any]) -> None:
    """Raise ValueError for a CoCa, ImportError for a text tower that needs transformers."""
    if "multimodal_cfg" in model_cfg:
        raise ValueError(
            f"{name} is a CoCa, which also writes captions, and its towers are made for that; "
            f"take a CLIP, as ViT-B-32-quickgelu/openai"
        )
    if "hf_model_name" in model_cfg.get("text_cfg", {}):
        need_transformers(name, "its text tower")


def need_transformers(name: str, what: str) -> None:
    """Raise ImportError, with the command, where the package transformers is not installed."""
    if importlib.util.find_spec("transformers") is None:
        raise ImportError(
            f"{name}: {what} is from the package transformers, which is not installed; "
            f"`pip install transformers` (in the course's own environment: "
            f"`.venv/bin/python -m uv pip install transformers`)"
        )


def read(path: Path) -> dict[str, Any]:
    """Read open_clip_config.json, or config.json of a tower; fills in size and interpolation.

    Raises FileNotFoundError or ValueError naming the file and what it should hold.
    """
    try:
        config = read_json(path)
        model_cfg, preprocess = config["model_cfg"], config.get("preprocess_cfg") or {}
        if unknown := [key for key in ("mean", "std") if not preprocess.get(key)]:
            raise ValueError(
                f"its preprocess_cfg has no {' and no '.join(unknown)}, so nobody knows what the "
                f"encoder was trained to see; OpenAI's are mean "
                f"{list(OPENAI_PREPROCESS['mean'])}, std {list(OPENAI_PREPROCESS['std'])}"
            )
        own = preprocess["size"] if config.get("kind") == WRAPPED else 224
        size = model_cfg.get("vision_cfg", {}).get("image_size", own)
        complete = {"size": size, "interpolation": "bicubic", **preprocess}
        if complete["size"] in ([size, size], (size, size)):
            complete["size"] = size
        if len(complete["mean"]) != 3 or len(complete["std"]) != 3 or complete["size"] != size:
            raise ValueError(f"expected 3 means, 3 stds, size {size}; found {preprocess}")
        complete.update(mean=tuple(complete["mean"]), std=tuple(complete["std"]))
        int(model_cfg["embed_dim"])
    except FileNotFoundError as e:
        raise FileNotFoundError(
            f"{path} is absent: expected the encoder's configuration beside its weights, "
            f"as encoders.save writes it"
        ) from e
    except (KeyError, ValueError, TypeError, AttributeError) as e:
        raise ValueError(
            f"{path} is not an encoder's configuration ({type(e).__name__}: {e}); expected JSON "
            f'with "model_cfg" (embed_dim, vision_cfg, text_cfg) and "preprocess_cfg" (mean, std)'
        ) from e
    return {**config, "preprocess_cfg": complete}


def build(name: str, config: dict[str, Any]) -> nn.Module:
    """The module of this shape, random weights: a whole CLIP, or a tower where there is no text.

    Raises ValueError where there is no such shape.
    """
    try:
        return _build(name, config)
    except OSError as e:  # transformers asks the hub for the shape of a text tower
        tower = config["model_cfg"]["text_cfg"]["hf_model_name"]
        raise FileNotFoundError(
            f"{name}: the shape of its text tower, {tower} on the hub, is not on this machine "
            f"({str(e).splitlines()[0]}); where there is a network run "
            f"`hf download {tower} config.json`"
        ) from e
    except (KeyError, TypeError, RuntimeError, ArithmeticError, AttributeError) as e:
        raise ValueError(
            f"{name}: no encoder has the shape in its configuration ({type(e).__name__}: {e}); "
            f"copy the configuration again from where its weights are from"
        ) from e


def _build(name: str, config: dict[str, Any]) -> nn.Module:
    kind, cfg = config.get("kind", "clip"), copy.deepcopy(config["model_cfg"])
    if kind == WRAPPED:
        raise ValueError(
            f"{name} holds the weights of a module of your own, whose shape is not written down; "
            f"make that module again and give it: load({name!r}, tower=module)"
        )
    if kind == "clip":
        _check_towers(name, cfg)
        own_text = "hf_model_name" not in cfg["text_cfg"]
        custom = cfg.pop("custom_text", False) or not own_text
        if not own_text:  # the weights are read from the encoder's own file
            cfg["text_cfg"]["hf_model_pretrained"] = False
        cfg["vision_cfg"] |= {k: v for k, v in STILL.items() if k in cfg["vision_cfg"]}
        clip = (CustomTextCLIP if custom else CLIP)(**cfg)
        set_model_preprocess_cfg(clip, config["preprocess_cfg"])
        return clip
    if kind == "modified-resnet":
        vision = cfg["vision_cfg"]
        return ModifiedResNet(
            layers=vision["layers"],
            output_dim=cfg["embed_dim"],
            heads=vision["width"] * 32 // vision.get("head_width", 64),
            image_size=vision["image_size"],
            width=vision["width"],
        )
    if kind == "torchvision-resnet101":
        tower = torchvision.models.resnet101(weights=None)
        tower.fc = nn.Identity()
        return tower
    raise ValueError(
        f"{name}: kind {kind!r} in its configuration; expected clip, modified-resnet, "
        f"torchvision-resnet101 or {WRAPPED}"
    )


def published(architecture: str, tag: str, config: dict[str, Any]) -> dict[str, Any]:
    """The library's record of published weights, once activation and preprocessing are checked.

    Raises ValueError when the tag is unknown, or the architecture's activation is not the one
    that the weights were trained with: open_clip only warns, and then the *text* features are wrong
    (image features of a ResNet are not), so that a zero-shot classifier fails silently.
    """
    name, preprocess = f"{architecture}/{tag}", config["preprocess_cfg"]
    if tag not in tags(architecture):
        known = ", ".join(tags(architecture)) or "none"
        raise ValueError(f"{name}: no published weights {tag!r}; known tags: {known}")
    if architecture == "resnet101":
        chosen = RESNET101.transforms()
        (size,), how = chosen.crop_size, chosen.interpolation.value
        record = dict(url=RESNET101.url, mean=chosen.mean, std=chosen.std, interpolation=how)
    else:
        record, size = open_clip.get_pretrained_cfg(architecture, tag), preprocess["size"]
        check_activation(name, architecture, record.get("quick_gelu", False), config)
    found = {"size": size} | {k: record[k] for k in ("mean", "std", "interpolation")}
    found |= {k: record[k] for k in ("resize_mode",) if k in record}
    for key, value in preprocess.items() if tag in ("openai", "imagenet") else ():
        got = tuple(found[key]) if key in ("mean", "std") else found[key]
        if got != value:
            raise ValueError(
                f"{name}: the installed library gives {key} = {got}, but these weights were "
                f"trained with {value}; install the versions of requirements.txt"
            )
    config["preprocess_cfg"] = found
    return record


def tags(architecture: str) -> list[str]:
    """What comes behind the name of a shape whose weights are published, as "openai"."""
    if architecture == "resnet101":
        return ["imagenet"]
    return open_clip.list_pretrained_tags_by_model(architecture)


def check_activation(name: str, architecture: str, quick: bool, config: dict[str, Any]) -> None:
    """Raise ValueError unless the architecture has QuickGELU exactly when the weights need it."""
    if bool(config["model_cfg"].get("quick_gelu", False)) == quick:
        return
    needed, other = ("QuickGELU", "GELU") if quick else ("GELU", "QuickGELU")
    right = architecture.removesuffix("-quickgelu") + "-quickgelu" * quick
    raise ValueError(
        f"{name}: these weights were trained with {needed}, but {architecture} is built with "
        f"{other} and its text features would be wrong; use {name.replace(architecture, right, 1)}"
    )
