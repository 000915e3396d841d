"""Pairs of pictures, clean and ruined: where a real camera or scanner ruins, and nobody has its
operator (lesson 18).

R sees the clean picture and S the ruined one, under the same crop and flip. So a batch of pairs has
six channels: those of the clean pictures, then those of the ruined.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from tqdm.auto import tqdm

from cinv_lib.data import reading
from cinv_lib.data.epoch import Loader, Views
from cinv_lib.data.image_files import ImageFiles, Pictures
from cinv_lib.data.image_set import ImageSet, Labelled
from cinv_lib.data.preprocess import Preprocess


@dataclass(frozen=True)
class Pairs(Labelled):
    """Clean pictures and the same pictures ruined, in one order, both files or both in memory.

    `fit_probe`, `evaluate` and `embed` look at the ruined ones alone.
    Raises ValueError where they do not fit together.
    """

    clean: ImageFiles | ImageSet
    ruined: ImageFiles | ImageSet
    labels: Int64[Tensor, " N"] = field(init=False, repr=False)
    class_names: tuple[str, ...] = field(init=False)
    name: str = field(init=False)

    def __post_init__(self):
        clean, ruined = self.clean, self.ruined
        kinds = {type(clean).__name__, type(ruined).__name__}
        if len(kinds) > 1 or len(clean) != len(ruined):
            raise ValueError(
                f"{len(clean)} clean pictures in {type(clean).__name__}, {len(ruined)} ruined in "
                f"{type(ruined).__name__}; expected as many, both files or both in memory"
            )
        if isinstance(clean, ImageSet) and clean.images.shape != ruined.images.shape:
            sizes = [" x ".join(map(str, part.images.shape[2:])) for part in (clean, ruined)]
            raise ValueError(
                f"clean pictures are {sizes[0]} pixels, ruined ones {sizes[1]}; expected one size, "
                "since both get the same crop: resize one of them first"
            )
        names = clean.class_names == ruined.class_names
        if not (names and torch.equal(clean.labels, ruined.labels)):
            raise ValueError(
                f"{clean.name} and {ruined.name} have other labels; expected the same, in one order"
            )
        object.__setattr__(self, "labels", clean.labels)
        object.__setattr__(self, "class_names", clean.class_names)
        object.__setattr__(self, "name", f"{clean.name} and {ruined.name}")

    @classmethod
    def from_folders(
        cls,
        clean: str | Path,
        ruined: str | Path,
        labelled: bool | None = None,
        unreadable: str | None = None,
    ) -> "Pairs":
        """The pictures of two folders, paired by their names within: clean/a/1.jpg goes with
        ruined/a/1.png, whatever the ending.

        Args:
            clean, ruined: two folders, each as `ImageFiles.from_folder` takes it. The heads of all
                files are read, to compare the sizes.
            labelled, unreadable: as in `ImageFiles.from_folder`. A pair of which one cannot be
                read is left out.

        Raises FileNotFoundError for no such folder, ValueError for a picture without a partner, or
        with one of another size.
        """
        refuse = "raise" if unreadable == "raise" else None
        both = [ImageFiles.from_folder(folder, labelled, refuse) for folder in (clean, ruined)]
        whole, broken = _by_name(both[0], clean), _by_name(both[1], ruined)
        for one, other, here, there in (
            (clean, ruined, whole, broken),
            (ruined, clean, broken, whole),
        ):
            if alone := [name for name in here if name not in there]:
                raise ValueError(
                    f"{len(alone)} of {len(here)} pictures of {one} have no partner in {other}, as "
                    f"{alone[0]}; expected the same names in both folders, whatever the ending: "
                    "add it, or take these away"
                )
        names = sorted(whole)
        rows = [torch.tensor([part[n] for n in names], device="cpu") for part in (whole, broken)]
        pairs = cls(*(files.subset(r) for files, r in zip(both, rows, strict=True)))
        pairs._check_sizes()
        return pairs.readable() if unreadable == "skip" else pairs

    @property
    def images(self) -> UInt8[Tensor, "N 6 H W"]:
        """Pairs in memory: the clean channels, then the ruined ones."""
        return torch.cat([self.clean.images[:], self.ruined.images[:]], dim=1)

    @property
    def fingerprint(self) -> str | None:
        found = [part.fingerprint for part in (self.clean, self.ruined)]
        return None if None in found else "-".join(map(str, found))

    def subset(self, indices: Int64[Tensor, " M"]) -> "Pairs":
        """The pairs at `indices`, in that order. Raises IndexError for one that is not there."""
        return Pairs(self.clean.subset(indices), self.ruined.subset(indices))

    def readable(self, preprocess: Preprocess | None = None, progress: bool = True) -> "Pairs":
        """The pairs of which both can be read; see `ImageFiles.readable`."""
        good = torch.ones(len(self), dtype=torch.bool, device="cpu")
        for part in self._files():
            found = reading.facts(part.paths, part.name, progress)
            good &= torch.tensor([not fact.fault for fact in found], device="cpu")
            part.readable(preprocess, progress)  # says what it has found
        if not bool(good.any()):
            raise ValueError(f"{self.name}: of no pair can both be read; expected one at least")
        return self if bool(good.all()) else self.subset(good.nonzero()[:, 0])

    def seen_as(self, preprocess: Preprocess | None) -> "Pairs":
        """The pairs as an encoder's training saw pictures; see `ImageFiles.seen_as`."""
        return Pairs(self.clean.seen_as(preprocess), self.ruined.seen_as(preprocess))

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
    ) -> Loader:
        """An epoch's crops, uint8 (B, 6, size, size), the same of both; see `ImageFiles.views`."""
        batches = order.split(batch_size) if isinstance(order, Tensor) else order
        clean, ruined = self._files()
        files = list(zip(clean.paths, ruined.paths, strict=True))
        seen = Views(files, seed, epoch, size, scale, clean.preprocess)
        return Loader(seen, [batch.tolist() for batch in batches], workers, pin)

    def _files(self) -> list[ImageFiles]:
        """Both parts, where they are files; none where they are in memory."""
        return [part for part in (self.clean, self.ruined) if isinstance(part, ImageFiles)]

    def _check_sizes(self) -> None:
        """Raises ValueError where the sizes of two partners differ; what has no size is passed."""

        def differ(pair: tuple[str, str]) -> tuple | None:
            one, other = (reading.size_of(path) for path in pair)
            return (*pair, one, other) if one and other and one != other else None

        pairs = list(zip(*(part.paths for part in self._files()), strict=True))
        with ThreadPoolExecutor() as pool:
            jobs = tqdm(pool.map(differ, pairs), "sizes of pairs", len(pairs), leave=False, delay=1)
            found = [one for one in jobs if one]
        if found:
            first, second, (w, h), (v, g) = found[0]
            raise ValueError(
                f"{len(found)} of {len(self)} pairs differ in size, as {first} with {w} x {h} and "
                f"{second} with {v} x {g} pixels; expected equal sizes, since both get the same "
                "crop: resize one of the folders first"
            )


def ruined_alone(images: Pictures | Pairs, op: object) -> Pictures:
    """Of pairs the ruined pictures; others as they are. Raises ValueError where `op`, an operator,
    would ruin pairs once more."""
    if not isinstance(images, Pairs):
        return images
    if str(op) != "identity":
        raise ValueError(
            f"{images.name} are ruined already, and {op} would ruin them more: leave it out"
        )
    return images.ruined


def _by_name(files: ImageFiles, folder: str | Path) -> dict[str, int]:
    """Number of each picture by its name within the folder, without its ending.

    Raises ValueError where two have the same.
    """
    found: dict[str, int] = {}
    for i, path in enumerate(files.paths):
        name = os.path.splitext(os.path.relpath(path, folder))[0]
        if name in found:
            raise ValueError(
                f"{files.paths[found[name]]} and {path} have one name but for the ending; expected "
                "each once, since the endings of partners may differ: take one of them away"
            )
        found[name] = i
    return found
