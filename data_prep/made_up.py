"""Pictures that stand for those of the paper, to rehearse a run before it costs anything.

Sets that are linked to other people's files are made from a tree of their exact layout and numbers
(ImageNet's of some 260,000 names, hard links to one picture per class), by the same code as the
real ones. Sets that are downloaded are written with a few pictures of the right size.
"""

import os
import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from tqdm.auto import tqdm

from cinv_lib.data import linked, prepared
from cinv_lib.lab.profiles.rehearsed import UNLABELLED
from cinv_lib.machine.files import whole

from . import covid, imagenet100

SIZE = (500, 375)  # pixels, as most of ImageNet's
PICTURES = 60  # per class, of a set that would be downloaded
SIDES = {"cifar10": 32, "cifar100": 32, "stl10": 96, "stl10-unlabelled": 96}
CLASSES = {"cifar10": 10, "cifar100": 100, "stl10": 10, "stl10-unlabelled": 1}
NOTE = "made up to rehearse a run"


def every(names: Iterable[str], source: Path) -> None:
    """Make several sets; those that are linked to one ImageNet are made together, by the first."""
    together = False
    for name in names:
        imagenet = name not in prepared.COMMAND and linked.command(name) == linked.IMAGENET
        if not (imagenet and together):
            make(name, source)
        together |= imagenet


def make(name: str, source: Path) -> None:
    """Make the set of that name from pictures that are made up, in `source` where it needs files.

    Raises ValueError for a set that cannot be made up.
    """
    if name in prepared.COMMAND:
        return downloaded(name)
    if linked.command(name) == linked.IMAGENET:
        tree(source / "imagenet")
        return imagenet100.make(source / "imagenet")
    if name != "covid":
        raise ValueError(f"{name!r} cannot be made up: expected a set of a paper's profile")
    coronahack(source / "coronahack")
    return covid.make(source / "coronahack")


def tree(folder: Path) -> None:
    """A copy of ImageNet in the layout of image-net.org's archives, of the classes that the course
    needs: as many names per class as the sets ask for, all of them one picture."""
    done = folder / ".whole"
    if done.is_file():
        return
    for split, counts in numbers().items():
        for wnid, n in tqdm(counts.items(), f"made-up ImageNet, {split}"):
            at = folder / split / wnid
            at.mkdir(parents=True, exist_ok=True)
            links(picture(folder / "pictures" / f"{wnid}.JPEG"), at, names(split, wnid, n))
    done.touch()


def numbers() -> dict[str, dict[str, int]]:
    """Pictures of each class in each split: in sum those of the paper's sets."""
    train: dict[str, int] = {}
    for name, counts in imagenet100.COUNTS.items():
        if "train" in counts:
            wnids = list(imagenet100.classes(name))
            each, over = divmod(counts["train"], len(wnids))
            train |= {wnid: each + (k < over) for k, wnid in enumerate(wnids)}
    val = dict.fromkeys([*train, *imagenet100.shift()], imagenet100.VAL_PER_CLASS)
    return {"train": train, "val": val}


def names(split: str, wnid: str, n: int) -> list[str]:
    """Names of n pictures, as ImageNet's."""
    return [f"{wnid}_{i}.JPEG" if split == "train" else f"{wnid}_val_{i}.JPEG" for i in range(n)]


def coronahack(folder: Path) -> None:
    """Kaggle's CoronaHack: its table, and a picture for each of its rows."""
    rows = []
    for kind, split in covid.SPLITS.items():
        at = folder / covid.PICTURES / covid.PICTURES / kind.lower()
        at.mkdir(parents=True, exist_ok=True)
        found = [f"made-up-{kind.lower()}-{i}.jpeg" for i in range(covid.COUNTS[split])]
        for k, label in enumerate(covid.LABELS):
            links(picture(folder / "pictures" / f"{label}.jpeg"), at, found[k::2])
        labels = [[*covid.LABELS][i % 2] for i in range(len(found))]
        rows += [dict(zip(covid.COLUMNS, (n, label, kind), strict=True))
                 for n, label in zip(found, labels, strict=True)]  # fmt: skip
    with whole(folder / covid.TABLE) as part:
        pd.DataFrame(rows).to_csv(part, index=False)


def downloaded(name: str) -> None:
    """A set that would be downloaded: few pictures of the right size, labels in turn."""
    draw, k = np.random.default_rng(0), CLASSES[name]
    for split in prepared.SPLITS[name]:
        n = UNLABELLED if k == 1 else PICTURES * k // (1 if k == 10 else 5)
        side = SIDES[name]
        pictures = torch.from_numpy(draw.integers(0, 256, (n, 3, side, side), dtype=np.uint8))
        labels = torch.arange(n, device="cpu") % k
        # Sentences say "class" themselves.
        prepared.write(name, split, pictures, labels, tuple(f"made-up {i}" for i in range(k)), NOTE)
        print(f"OK  {name}/{split}: {n:,} pictures of {side} px, made up")


def links(source: Path, folder: Path, wanted: Iterable[str]) -> None:
    """Hard links to a picture under these names; those that are there stay."""
    there = set(os.listdir(folder))
    for name in wanted:
        if name not in there:
            os.link(source, folder / name)


def picture(path: Path) -> Path:
    """A JPEG of coloured squares and noise, drawn from its name."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        draw = random.Random(path.name)
        squares = Image.frombytes("RGB", (8, 6), draw.randbytes(8 * 6 * 3))
        with whole(path) as part:
            squares.resize(SIZE, Image.Resampling.BICUBIC).save(part, "JPEG", quality=90)
    return path
