"""Sets of pictures that stay files: ImageNet-100 and its kin, decoded when they are asked for.

The 126,689 pictures of ImageNet-100 at 224 pixels are 19 GB as uint8 and 76 GB as floats. `decode`
gives some of them as evaluation sees them, `views` gives the random crops of an epoch, decoded by
worker processes.

A set is a folder `NAME/SPLIT/FOLDER/PICTURE` under the data folder, where FOLDER or PICTURE may be
a link, with a `set.json` that says which label each folder has. `data_prep` makes it.
"""

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from cinv_lib.data.decoding import Views, centre, open_rgb, tensor
from cinv_lib.data.image_set import ImageSet, Labelled
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


@dataclass(frozen=True)
class ImageFiles(Labelled):
    """Labelled picture files of any size and mode. Raises ValueError where the parts do not fit.

    Args:
        paths: one for each picture.
        labels: 0 .. K-1, indices into class_names (a class may be empty).
        provenance: one sentence on where the pictures come from.
    """

    paths: tuple[str, ...]
    labels: Int64[Tensor, " N"]
    class_names: tuple[str, ...]
    name: str
    provenance: str

    def __post_init__(self):
        self._check_labels(len(self.paths))

    def subset(self, indices: Int64[Tensor, " M"]) -> "ImageFiles":
        """The pictures at `indices`, in that order. Raises IndexError for one that is not there."""
        self._check_indices(indices)
        paths = tuple(self.paths[i] for i in indices.tolist())
        return replace(self, paths=paths, labels=self.labels[indices])

    @property
    def images(self) -> "Decoding":
        """Indexed like an ImageSet's uint8 (N, 3, 224, 224), and decoded when it is."""
        return Decoding(self)

    def decode(
        self,
        indices: Int64[Tensor, " M"] | None = None,
        short: int | None = None,
        crop: int = 224,
        progress: bool = False,
    ) -> UInt8[Tensor, "M 3 S S"]:
        """Pictures as the paper's evaluation sees them (App. D.1): short side resized, centre cut.

        Pictures are equal to those of torchvision's Resize(short) and CenterCrop(crop) on PIL
        pictures, bilinear and antialiased.

        Args:
            indices: which pictures, None for all.
            short: pixels of the short side; None is 256, and 224 for ImageNet-100C, whose pictures
                are cut already (the authors' code enlarged and cut them a second time).
            crop: pixels of the centre that is cut out.
            progress: whether to show a progress bar.

        Raises ValueError for a crop larger than `short`, or a file that is not a whole picture;
        FileNotFoundError for one that is not there.
        """
        if short is None:
            short = 224 if self.name.startswith("imagenet100c/") else 256
        if not 1 <= crop <= short:
            raise ValueError(f"crop {crop}, short side {short}: expected 1 <= crop <= short")
        chosen = self if indices is None else self.subset(indices)
        out = torch.empty(len(chosen), 3, crop, crop, dtype=torch.uint8, device="cpu")

        def place(i: int) -> None:
            out[i] = tensor(centre(open_rgb(chosen.paths[i]), short, crop))

        # Threads: PIL lets go of the interpreter while it decodes and resizes.
        with ThreadPoolExecutor() as pool:
            done = pool.map(place, range(len(chosen)))
            for _ in tqdm(done, f"decoding {self.name}", len(chosen), disable=not progress):
                pass
        return out

    def views(
        self,
        order: Int64[Tensor, " M"] | Sequence[Int64[Tensor, "_"]],
        batch_size: int | None,
        seed: int,
        epoch: int,
        size: int = 224,
        scale: tuple[float, float] = (0.08, 1.0),
        workers: int = 0,
        pin: bool = False,
    ) -> DataLoader:
        """An epoch's random resized crops (App. D.1), uint8 (B, 3, size, size), batch by batch.

        The crop of picture i is a function of (seed, epoch, i): it depends neither on the number
        of workers nor on where a resumed epoch begins. Flips are left to data.random_flip.

        Args:
            order: the pictures in the order of the epoch (data.epoch_order), or what is left of it;
                or batches of them, which `batch_size` then leaves as they are.
            scale: share of the area that is kept; (1, 1) for `decode`'s centre instead.
            workers: processes that decode; 0 decodes in this one.
            pin: whether batches are put into memory that a GPU copies from.
        """
        batches = order.split(batch_size) if isinstance(order, Tensor) else order
        for batch in batches:
            self._check_indices(batch)
        return Loader(
            Views(self.paths, seed, epoch, size, scale),
            batch_sampler=[batch.tolist() for batch in batches],
            num_workers=workers,
            pin_memory=pin,
            generator=torch.Generator(),  # else the loader draws from the global one
        )

    def unreadable(self) -> list[str]:
        """Decode every picture, with a progress bar; returns what is wrong, one sentence for each
        picture that cannot be decoded."""

        def fault(path: str) -> str | None:
            try:
                open_rgb(path)
            except (OSError, ValueError) as e:
                return str(e)
            return None

        with ThreadPoolExecutor() as pool:
            found = list(tqdm(pool.map(fault, self.paths), f"reading {self.name}", len(self)))
        return [sentence for sentence in found if sentence]


class Loader(DataLoader):
    """A loader that draws its seed on the CPU, whatever the default device of a notebook is."""

    def __iter__(self):
        with torch.device("cpu"):
            return super().__iter__()


class Decoding:
    """The pictures of some files as `ImageFiles.decode` gives them, each time one asks."""

    device = torch.device("cpu")

    def __init__(self, files: ImageFiles):
        self.files = files

    def __getitem__(self, rows) -> UInt8[Tensor, "*rows 3 S S"]:
        chosen = torch.arange(len(self.files), device="cpu")[rows]
        pictures = self.files.decode(chosen.reshape(-1))
        return pictures.reshape(*chosen.shape, *pictures.shape[1:])

    def to(self, device: torch.device | str) -> UInt8[Tensor, "N 3 S S"]:
        """All of them, decoded, on a device."""
        return self[:].to(device)

    def __len__(self) -> int:
        return len(self.files)


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


def gigabytes(n: int, crop: int = 224) -> int:
    """Memory of n decoded pictures, rounded up."""
    return math.ceil(n * 3 * crop**2 / 1e9)


Pictures = ImageSet | ImageFiles  # in memory, or left on disk
