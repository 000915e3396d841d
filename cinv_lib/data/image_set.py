"""Labelled pictures in memory, and what every set of labelled pictures can do.

Pictures are kept as uint8 and become floats in [0,1] one batch at a time, on the device
(`to_float`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from cinv_lib.data.arrays import labels_of, pixels_of
from cinv_lib.data.preprocess import Preprocess
from cinv_lib.data.views import generator_of

# The kind of set that a method is called on. (The tests check methods one by one, where
# typing.Self means nothing.)
SameSet = TypeVar("SameSet", bound="Labelled")


class Labelled:
    """Pictures with labels 0 .. K-1, indices into class_names (a class may be empty), or without
    labels: class_names is empty then, and every label 0.

    A class that inherits from it has the three attributes and `subset`.
    """

    labels: Int64[Tensor, " N"]
    class_names: tuple[str, ...]
    name: str

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self: SameSet, indices: Int64[Tensor, " M"]) -> SameSet:
        """The pictures at `indices`, in that order."""
        raise NotImplementedError

    def _check_labels(self, n: int) -> None:
        """Raises ValueError unless there are n labels, int64, each with a class name."""
        labels = self.labels
        if labels.dtype != torch.int64 or labels.shape != (n,):
            raise ValueError(
                f"{self.name}: labels are {labels.dtype} {tuple(labels.shape)}; expected int64 "
                f"({n},), one for each image"
            )
        k = len(self.class_names) or 1
        if n and not 0 <= int(labels.min()) <= int(labels.max()) < k:
            raise ValueError(
                f"{self.name}: labels run from {int(labels.min())} to {int(labels.max())}; "
                f"expected 0 to {k - 1}, as there are {k} class names"
            )

    def _check_indices(self, indices: Int64[Tensor, " M"]) -> None:
        """Raises IndexError for an index that is not there."""
        if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < len(self):
            raise IndexError(
                f"{self.name}: indices run from {int(indices.min())} to {int(indices.max())}; "
                f"expected 0 to {len(self) - 1}"
            )

    def expect_classes(self, purpose: str) -> None:
        """Raises ValueError without labels, or with one class alone, where `purpose` needs them."""
        if len(self.class_names) < 2:
            found = f"one class, {self.class_names[0]!r}" if self.class_names else "no labels"
            raise ValueError(
                f"{self.name} has {found}; expected two classes or more to {purpose}: put the "
                "pictures of each into a subfolder, or give ImageFiles.from_csv paths and labels. "
                "Distillation needs none"
            )

    def readable(
        self: SameSet, preprocess: Preprocess | None = None, progress: bool = True
    ) -> SameSet:
        """The pictures that can be read: all, unless they are files of a reader's own."""
        return self

    def seen_as(self: SameSet, preprocess: Preprocess | None) -> SameSet:
        """The pictures as an encoder's training saw such: as they are, unless they are files."""
        return self

    @property
    def fingerprint(self) -> str | None:
        """What tells a reader's own files apart; None where the pixels do."""
        return None

    def split(self: SameSet, share: float | int, seed: int = 0) -> tuple[SameSet, SameSet]:
        """Two sets without a common picture, `share` of the pictures of each class in the first.

        Which are in it is a function of the seed; both are in the order of the set. Of a class of
        two or more, each set has at least one; a single picture is in the first.
        Raises ValueError for a share outside (0, 1), or where nothing would be in the second.
        """
        if not 0 < share < 1:
            raise ValueError(f"split at {share!r}; expected a share between 0 and 1, as 0.8")
        generator, first = (
            generator_of(seed),
            torch.zeros(len(self), dtype=torch.bool, device="cpu"),
        )
        for rows in self._rows():
            shuffled = rows[torch.randperm(len(rows), generator=generator, device="cpu")]
            first[shuffled[: max(1, min(round(share * len(rows)), len(rows) - 1))]] = True
        if bool(first.all()):
            raise ValueError(
                f"{self.name} has {len(self)} pictures, at most one of a class; expected two of a "
                "class to split it"
            )
        return self.subset(first.nonzero()[:, 0]), self.subset((~first).nonzero()[:, 0])

    def per_class(self: SameSet, n: int) -> SameSet:
        """The first n pictures of each class, in the order of the set.

        Raises ValueError when n < 1, a class that is there has fewer than n, or there are none.
        """
        if not self.class_names:
            self.expect_classes("take some of each")
        counts = self.labels.bincount(minlength=len(self.class_names))
        fewest = int(counts[counts > 0].min()) if len(self) else 0
        if not 1 <= n <= fewest:
            rarest = self.class_names[int(counts.masked_fill(counts == 0, len(self) + 1).argmin())]
            raise ValueError(
                f"{self.name}: {n} pictures of each class asked for; expected 1 to {fewest}, as "
                f"{rarest!r} has no more"
            )
        return self.subset(torch.cat([rows[:n] for rows in self._rows()]).sort().values)

    def in_turn(self: SameSet, n: int) -> SameSet:
        """n pictures, or all where there are fewer: the first of each class, then the second of
        each, and so on. Where a set lies class by class, its first n are of one class or two.

        Raises ValueError when n < 1.
        """
        if n < 1:
            raise ValueError(f"{self.name}: {n} pictures asked for; expected at least 1")
        place = torch.empty_like(self.labels, device="cpu")
        for rows in self._rows():
            place[rows] = torch.arange(len(rows), device="cpu")
        return self.subset(place.argsort(stable=True)[:n])

    def fraction(self, f: float | int, seed: int) -> Int64[Tensor, " M"]:
        """Indices, in order, of a share f in (0,1] of each class, at least one picture of each
        (lesson 06).

        It takes ceil(f n) of a class of n, as the authors' label fractions do (Fig. 3). Fractions
        are nested: for one seed, every index at f = .1 is also there at f = .5. Raises ValueError
        for another f.
        """
        if not 0 < f <= 1:
            raise ValueError(f"fraction {f!r} is out of range; expected 0 < f <= 1, as .1 for 10 %")
        generator = generator_of(seed)
        chosen = [torch.empty(0, dtype=torch.int64, device="cpu")]
        for rows in self._rows():
            shuffled = rows[torch.randperm(len(rows), generator=generator, device="cpu")]
            # 7 % of 100 is 7, although .07 * 100 is a little more in floating point
            chosen.append(shuffled[: math.ceil(f * len(rows) - 1e-9)])
        return torch.cat(chosen).sort().values

    def _rows(self) -> list[Tensor]:
        """The indices of each class, in order."""
        labels = self.labels.cpu()
        return list(labels.argsort(stable=True).split(labels.bincount().tolist()))


@dataclass(frozen=True)
class ImageSet(Labelled):
    """Labelled pictures of one size. Raises ValueError where the parts do not fit together.

    Args:
        images: uint8 RGB.
        labels: 0 .. K-1, indices into the K class_names (a class may be empty).
        provenance: one sentence on where the pictures come from.
    """

    images: UInt8[Tensor, "N 3 H W"]
    labels: Int64[Tensor, " N"]
    class_names: tuple[str, ...]
    name: str
    provenance: str

    def __post_init__(self):
        images = self.images
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(
                f"{self.name}: images are {images.dtype} {tuple(images.shape)}; expected RGB uint8 "
                f"(N, 3, H, W): repeat a grey channel three times, multiply [0,1] by 255"
            )
        self._check_labels(len(images))

    @classmethod
    def from_arrays(
        cls,
        arrays: Any,
        labels: Sequence[Any] | Tensor | np.ndarray | None = None,
        classes: Sequence[str] | None = None,
        name: str = "arrays",
    ) -> "ImageSet":
        """Pictures in memory: an array or tensor (N, H, W) of grey, or (N, H, W, 3) (lesson 18).

        Args:
            arrays: uint8, uint16 (divided by 257), or floats in [0,1] (times 255, rounded).
            labels: whole numbers 0 .. K-1, or names of classes; None for no labels.
            classes: the K names; if not said, the names among the labels, sorted, or the numbers.
            name: what errors and charts call it.

        Raises ValueError for another shape, dtype or range, or labels that do not fit.
        """
        images = pixels_of(arrays, name)
        numbers, names = labels_of(labels, classes, len(images), name)
        return cls(images, numbers, names, name, f"{len(images):,} arrays in memory")

    def subset(self, indices: Int64[Tensor, " M"]) -> "ImageSet":
        """The pictures at `indices`, in that order. Raises IndexError for one that is not there."""
        self._check_indices(indices)
        indices = indices.to(self.images.device)
        return replace(self, images=self.images[indices], labels=self.labels[indices])


def to_float(images: UInt8[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Pictures in uint8, 0 .. 255, as float32 in [0,1]. Raises ValueError for another dtype."""
    if images.dtype != torch.uint8:
        raise ValueError(f"to_float takes uint8 pictures, not {images.dtype}: are they floats yet?")
    return images.float().div_(255)
