"""Sets of labelled pictures, every one by name, and the random views that training takes of them.

Pictures rest as uint8 and become floats in [0,1] a batch at a time, on the device (`to_float`).
Randomness comes from an explicit generator or from (seed, epoch), never from a global state.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from cinv_lib import other_sets
from cinv_lib.reader_pictures import from_file

__all__ = [
    "ImageSet", "epoch_order", "from_file", "load", "random_crop", "random_flip", "to_float",
]  # fmt: skip


@dataclass(frozen=True)
class ImageSet:
    """Labelled pictures of one size. Raises ValueError where the parts do not fit together.

    images: uint8 RGB; labels: 0 .. K-1, indices into class_names (K of them; a class may be empty);
    provenance: one sentence on where the pictures come from.
    """

    images: UInt8[Tensor, "N 3 H W"]
    labels: Int64[Tensor, " N"]
    class_names: tuple[str, ...]
    name: str
    provenance: str

    def __post_init__(self):
        images, labels = self.images, self.labels
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(
                f"{self.name}: images are {images.dtype} {tuple(images.shape)}; expected RGB uint8 "
                f"(N, 3, H, W): repeat a grey channel three times, multiply [0,1] by 255"
            )
        if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"{self.name}: labels are {labels.dtype} {tuple(labels.shape)}; expected int64 "
                f"({len(images)},), one for each image"
            )
        k = len(self.class_names)
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < k:
            raise ValueError(
                f"{self.name}: labels run from {int(labels.min())} to {int(labels.max())}; "
                f"expected 0 to {k - 1}, as there are {k} class names"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Int64[Tensor, " M"]) -> "ImageSet":
        """The pictures at `indices`, in that order. Raises IndexError for one that is not there."""
        if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < len(self):
            raise IndexError(
                f"{self.name}: indices run from {int(indices.min())} to {int(indices.max())}; "
                f"expected 0 to {len(self) - 1}"
            )
        indices = indices.to(self.images.device)
        return replace(self, images=self.images[indices], labels=self.labels[indices])

    def per_class(self, n: int) -> "ImageSet":
        """The first n pictures of each class, in the order of the set.

        Raises ValueError when n < 1 or a class that is there has fewer than n.
        """
        counts = self.labels.bincount(minlength=len(self.class_names))
        fewest = int(counts[counts > 0].min()) if len(self) else 0
        if not 1 <= n <= fewest:
            rarest = self.class_names[int(counts.masked_fill(counts == 0, len(self) + 1).argmin())]
            raise ValueError(
                f"{self.name}: {n} pictures of each class asked for; expected 1 to {fewest}, as "
                f"{rarest!r} has no more"
            )
        return self.subset(torch.cat([rows[:n] for rows in self._rows()]).sort().values)

    def fraction(self, f: float | int, seed: int) -> Int64[Tensor, " M"]:
        """Indices, in order, of a share f in (0,1] of each class, at least one picture of each.

        ceil(f n) of a class of n, as in the authors' label fractions (Fig. 3). Nested: for one
        seed, every index at f = .1 is also there at f = .5. Raises ValueError for another f.
        """
        if not 0 < f <= 1:
            raise ValueError(f"fraction {f!r} is out of range; expected 0 < f <= 1, as .1 for 10 %")
        generator = _generator(seed)
        chosen = [torch.empty(0, dtype=torch.int64)]
        for rows in self._rows():
            shuffled = rows[torch.randperm(len(rows), generator=generator)]
            # 10 % of 30 is 3, although .1 * 30 is a little more in floating point
            chosen.append(shuffled[: math.ceil(f * len(rows) - 1e-9)])
        return torch.cat(chosen).sort().values

    def _rows(self) -> list[Tensor]:
        """The indices of each class, in order."""
        labels = self.labels.cpu()
        return list(labels.argsort(stable=True).split(labels.bincount().tolist()))


def load(name: str, split: str, n: int | None = None) -> ImageSet:
    """A set by its name, drawn or read from an installed package: nothing is downloaded.

    name: "stickers", "stickers-100", "stickers-100b", "stickers-shift" (the embedded world),
    "digits" (scikit-learn), "faces" (scikit-image). split: "train" or "val", always the same
    pictures. n: how many of each class; None takes the set's own number.
    Raises ValueError for a set or split that is not there, or too large an n.

    >>> load("digits", "val", n=2).images.shape
    torch.Size([20, 3, 64, 64])
    """
    if split not in ("train", "val"):
        raise ValueError(f"unknown split {split!r}: expected train or val")
    if n is not None and n < 1:
        raise ValueError(f"{n} pictures of each class asked for; expected at least 1")
    if name in other_sets.SETS:
        whole = ImageSet(*other_sets.SETS[name](split), name=name, provenance=other_sets.FROM[name])
        return whole if n is None else whole.per_class(n)
    from cinv_lib import stickers  # with its fonts and filters seconds to import: only if needed

    known = sorted({known for known, _ in stickers.SERIES})
    if name not in known:
        names = ", ".join([*known, *other_sets.SETS])
        raise ValueError(f"unknown image set {name!r}: expected one of {names}")
    images, labels, class_names, provenance = stickers.image_set(name, split, n)
    return ImageSet(images, labels, tuple(class_names), name=name, provenance=provenance)


def to_float(images: UInt8[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """uint8 0 .. 255 to float32 in [0,1]. Raises ValueError for another dtype."""
    if images.dtype != torch.uint8:
        raise ValueError(f"to_float takes uint8 pictures, not {images.dtype}: are they floats yet?")
    return images.float().div_(255)


def random_crop(
    x: Float[Tensor, "B C H W"],
    generator: torch.Generator,
    scale: tuple[float, float],
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Float[Tensor, "B C H W"]:
    """RandomResizedCrop for a whole batch: a box of each picture, resized to the picture's size.

    As torchvision's: the box has a share of the area drawn from `scale` and an aspect ratio drawn
    log-uniformly from `ratio`, whole pixels, ten attempts to fit, else the largest centred box.
    Bilinear, one call for the batch. scale (1, 1) returns the pictures as they are.
    Raises ValueError unless 0 < scale[0] <= scale[1] <= 1 and 0 < ratio[0] <= ratio[1].
    """
    if not (0 < scale[0] <= scale[1] <= 1 and 0 < ratio[0] <= ratio[1]):
        raise ValueError(
            f"crop scale {scale}, ratio {ratio} out of range; expected 0 < low <= high, scale at "
            f"most 1, as (0.35, 1.0)"
        )
    if scale == (1.0, 1.0):
        return x
    height, width = x.shape[-2:]
    left, top, w, h = crop_boxes(len(x), height, width, generator, scale, ratio).unbind(1)
    # Output pixel -> place in the input, both in grid_sample's frame of -1 .. 1. Boxes are upright,
    # so rows and columns are found on their own: affine_grid takes longer than the sampling.
    across, down = ((2 * torch.arange(side) + 1) / side for side in (width, height))
    columns = (w[:, None] * across + 2 * left[:, None]) / width - 1
    rows = (h[:, None] * down + 2 * top[:, None]) / height - 1
    pairs = torch.broadcast_tensors(columns.to(x)[:, None, :], rows.to(x)[:, :, None])
    grid = torch.stack(pairs, dim=-1)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def crop_boxes(
    n: int,
    height: int,
    width: int,
    generator: torch.Generator,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Float[Tensor, "n 4"]:
    """n boxes (left, top, width, height) in whole pixels, on the CPU; see random_crop."""
    u = torch.rand(n, 22, generator=generator, device=generator.device).cpu().double()
    area = height * width * (scale[0] + (scale[1] - scale[0]) * u[:, :10])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = torch.exp(low + (high - low) * u[:, 10:20])
    w, h = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    fits = (w >= 1) & (w <= width) & (h >= 1) & (h <= height)
    first = fits.int().argmax(dim=1, keepdim=True)
    w, h, found = (t.gather(1, first)[:, 0] for t in (w, h, fits))
    left = (u[:, 20] * (width - w + 1)).floor()
    top = (u[:, 21] * (height - h + 1)).floor()
    wide, tall = min(width, round(height * ratio[1])), min(height, round(width / ratio[0]))
    centred = torch.tensor([(width - wide) // 2, (height - tall) // 2, wide, tall]).double()
    return torch.where(found[:, None], torch.stack([left, top, w, h], 1), centred).float()


def random_flip(
    x: Float[Tensor, "B C H W"], generator: torch.Generator
) -> Float[Tensor, "B C H W"]:
    """Mirror each picture left to right with probability one half."""
    flip = torch.rand(len(x), generator=generator, device=generator.device) < 0.5
    return torch.where(flip.to(x.device)[:, None, None, None], x.flip(-1), x)


def epoch_order(n: int, seed: int, epoch: int) -> Int64[Tensor, " n"]:
    """The order in which epoch `epoch` takes n pictures: a permutation, a function of all three."""
    return torch.randperm(n, generator=_generator(seed, epoch))


def _generator(*key: int) -> torch.Generator:
    """A CPU generator from a key of whole numbers; keys that differ give unrelated streams."""
    word = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(word >> np.uint64(1)))
