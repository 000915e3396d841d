"""A profile as it is rehearsed: its own shapes and tasks, little of everything else.

`make rehearse` runs it (`course.rehearsal`). Pictures and embeddings keep their sizes; towers are
tiny and know nothing, a training has two steps of 150 pictures, everything is drawn once or twice.
Its numbers mean nothing; that all of it runs is what one wants to know.
"""

import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from cinv_lib.encoders import config as encoder_config
from cinv_lib.encoders import encoder as encoders
from cinv_lib.encoders.config import CLIP_FILES, TOWER_FILES
from cinv_lib.evaluation.probe import ProbeRecipe
from cinv_lib.experiments.adversarial import Protocol
from cinv_lib.experiments.base import Entry
from cinv_lib.lab.profiles.record import ENCODERS, Profile
from cinv_lib.machine import folders
from cinv_lib.operators.inverse.deep_decoder import DecoderRecipe
from cinv_lib.training.recipe import Recipe

VARIABLE = "CINV_REHEARSAL"  # set for all that a rehearsal starts
TRAIN, UNLABELLED, VAL = 3, 300, 2  # pictures: per class, in all, per class
SHARE = 1 / TRAIN  # of the labels: one picture per class
ENTRIES: dict[str, dict[str, Any]] = {  # settings that no rule below says
    "transfer": {"views": 1},
    "common_corruptions": {"severities": (1, 5), "val_per_class": 1},
    "ablation": {"severities": (0.9, 0.99)},
    "adversarial": {"protocol": Protocol(per_class=1, budgets=(0, 8, 255), steps=2)},
}
# Tiny towers: what is not named here is as in the published shape, as its embedding and input.
RESNET = {"layers": [1, 1, 1, 1], "width": 4, "head_width": 64}
TRANSFORMER = {"layers": 2, "width": 64, "head_width": 32}
TEXT = {"width": 64, "heads": 2, "layers": 1}


def asked_for() -> bool:
    """Whether this process belongs to a rehearsal."""
    return bool(os.environ.get(VARIABLE))


def rehearsed(p: Profile) -> Profile:
    """The profile with little of everything, under the same name."""
    named = {name: str(tower_folder(getattr(p, name))) for name in ENCODERS if getattr(p, name)}
    return p.changed(
        {entry.name: settings(entry) for entry in p.entries},
        train_per_class=TRAIN,
        val_per_class=VAL,
        twins_per_class=min(p.twins_per_class, VAL),
        **named,
    )


def settings(entry: Entry) -> dict[str, Any]:
    """What changes of an entry: how long, how often and how much, never what it asks."""
    found = {f.name: _little(f.name, getattr(entry, f.name)) for f in fields(entry) if f.init}
    return found | ENTRIES.get(entry.name, {})


def _little(name: str, value: Any) -> Any:
    if isinstance(value, Recipe | ProbeRecipe):
        return replace(value, epochs=1)
    if isinstance(value, DecoderRecipe):
        return replace(value, iterations=2, channels=16)
    match name:
        case "realisations":
            return 2
        case "side_epochs":
            return 1
        case "val_per_class":
            return VAL
        case "sets":
            return dict.fromkeys(value, (VAL, VAL))
        case "operators":
            return {op: _few(at) for op, at in value.items()}
    return value


def _few(at: Any) -> Any:
    """Of an operator: shares of the labels, of which the least is one picture per class; pictures
    and draws of pixels that are restored; severities stay."""
    if isinstance(at, tuple) and at and at[-1] == 1.0 and min(at) > 0:
        return tuple(dict.fromkeys(max(share, SHARE) for share in at))
    if isinstance(at, tuple) and all(type(n) is int for n in at):
        return (1, 1)
    return at


# -- the towers -----------------------------------------------------------------------------------
def tower_folder(name: str) -> Path:
    """Where the tiny tower is kept that stands for a published one."""
    return folders.all_runs() / "towers" / name.replace("/", "-")


def shape(name: str) -> dict[str, Any]:
    """The configuration of the tiny tower that stands for a published one: the size of its pictures
    and of its embeddings, and how both are normalised, are the published ones."""
    config = encoder_config.named(name.partition("/")[0])
    cfg = config["model_cfg"]
    if "text_cfg" not in cfg:
        vision = RESNET | {"image_size": config["preprocess_cfg"]["size"]}
        return config | {"kind": "modified-resnet", "model_cfg": cfg | {"vision_cfg": vision}}
    tiny = RESNET if isinstance(cfg["vision_cfg"]["layers"], list) else TRANSFORMER
    towers = {"vision_cfg": cfg["vision_cfg"] | tiny, "text_cfg": cfg["text_cfg"] | TEXT}
    return config | {"model_cfg": cfg | towers}


def write_towers(p: Profile) -> list[Path]:
    """The towers of a profile, those that are not there yet; each is whole or not there."""
    folders_made = []
    for name in filter(None, (getattr(p, tower) for tower in ENCODERS)):
        folder = tower_folder(name)
        if not any((folder / config).is_file() for config in (CLIP_FILES[0], TOWER_FILES[0])):
            tower = encoders.fresh(name, 0, shape(name))
            encoders.save(tower, folder)
        folders_made.append(folder)
    return folders_made
