"""The sets of files that data_prep makes of other people's pictures: ImageNet-100 and its kin.

A set by name is a folder `NAME/SPLIT/FOLDER/PICTURE` under the data folder, where FOLDER or PICTURE
may be a link, with a `set.json` that says which label each folder has.
"""

import os
from pathlib import Path
from typing import Any

import torch

from cinv_lib.data.image_files import ImageFiles
from cinv_lib.machine.files import read_json
from cinv_lib.machine.folders import home

SUFFIXES = (".jpeg", ".jpg", ".png")
MANIFEST = "set.json"
IMAGENET = "python -m data_prep imagenet100 --imagenet DIR"
COMMAND = {  # name -> the command that makes it
    "imagenet100": IMAGENET,
    "imagenet100b": IMAGENET,
    "imagenet100-shift": IMAGENET,
    "imagenet100c": "python -m data_prep imagenet100c",
    "covid": "python -m data_prep covid --coronahack DIR",
}


def command(name: str) -> str:
    """The command that makes a set. Raises ValueError for an unknown one."""
    if name.partition("/")[0] not in COMMAND:
        raise ValueError(f"unknown set of files {name!r}: expected one of {', '.join(COMMAND)}")
    return COMMAND[name.partition("/")[0]]


def load(name: str, split: str) -> ImageFiles:
    """A set by its name: "imagenet100", "imagenet100b", "imagenet100-shift", "covid", or
    "imagenet100c/CORRUPTION/SEVERITY" such as "imagenet100c/frost/3". split: "train" or "val".

    Raises FileNotFoundError when it has not been made, ValueError for an unknown set, an absent
    split, or another number of files than when it was made; each with what to do.
    """
    making, folder = command(name), home() / name
    known = manifest(folder, making)
    if split not in known["counts"]:
        there = ", ".join(known["counts"])
        raise ValueError(f"{folder} was made without a split {split!r}: it has {there} ({making})")
    paths, labels = [], []
    for part, label in known["folders"].items():
        found = pictures_in(folder / split / part)
        paths += found
        labels += [label] * len(found)
    if len(paths) != known["counts"][split]:
        raise ValueError(
            f"{folder / split} has {len(paths):,} pictures; {MANIFEST} says "
            f"{known['counts'][split]:,}. Were some moved? Run `{making}` again"
        )
    return ImageFiles(
        tuple(paths),
        torch.tensor(labels, dtype=torch.int64, device="cpu"),
        tuple(known["class_names"]),
        name,
        known["provenance"],
    )


def manifest(folder: Path, making: str) -> dict[str, Any]:
    """What the set.json of a set says. Raises FileNotFoundError or ValueError with `making`."""
    path = folder / MANIFEST
    try:
        known = read_json(path)
        _check(known)
    except FileNotFoundError as e:
        raise FileNotFoundError(f"{path} is absent: run `{making}` to make the set") from e
    except ValueError as e:
        raise ValueError(f"{path} is damaged ({e}): run `{making}` again") from e
    return known


def _check(known: Any) -> None:
    """Raise ValueError unless it says what a set.json says."""
    parts = {"class_names": list, "folders": dict, "counts": dict, "provenance": str}
    for name, kind in parts.items():
        if not (isinstance(known, dict) and isinstance(known.get(name), kind)):
            raise ValueError(f"it has no {name}")
    if not all(isinstance(name, str) for name in known["class_names"]):
        raise ValueError("a class name is no text")
    k = len(known["class_names"])
    for part, label in known["folders"].items():
        if type(label) is not int or not 0 <= label < k:
            raise ValueError(f"the label of {part} is {label!r}; there are {k} class names")
        if Path(part).name != part:
            raise ValueError(f"{part!r} is no folder of the set")
    for split, n in known["counts"].items():
        if type(n) is not int:
            raise ValueError(f"the number of pictures of {split} is {n!r}")


def pictures_in(folder: str | Path) -> list[str]:
    """Paths of the pictures in a folder, sorted; none where there is no such folder.

    Hidden files are none: a Mac puts a `._NAME.JPEG` beside each picture on a foreign disk.
    """
    try:
        with os.scandir(folder) as found:
            names = [(e.name, e.path) for e in found]
        return sorted(
            path
            for name, path in names
            if name.lower().endswith(SUFFIXES) and not name.startswith(".")
        )
    except (FileNotFoundError, NotADirectoryError):
        return []
