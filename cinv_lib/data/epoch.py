"""The pictures of an epoch, decoded by worker processes: each file at its own random crop."""

import os
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cinv_lib.data import decoding
from cinv_lib.data.preprocess import Preprocess
from cinv_lib.data.views import crop_boxes, generator_of

RATIO = (3 / 4, 4 / 3)


class Views(Dataset):
    """The pictures of some files, each under its random crop of an epoch; with the scale (1, 1) its
    centre.

    paths: a row of files for each picture. Of several, such as a pair, all get the same crop, and
        lie behind each other in the channels.
    preprocess: how a reader's own pictures are seen; None for the paper's.
    """

    def __init__(
        self,
        paths: Sequence[tuple[str, ...]],
        seed: int,
        epoch: int,
        size: int,
        scale: tuple,
        preprocess: Preprocess | None = None,
    ):
        # One array: a tuple of strings would be copied into each worker, reference counts and all.
        # As bytes, from which Python gives every path back, as those of Imágenes.
        rows = [[os.fsencode(path) for path in row] for row in paths]
        self.paths = np.array(rows, dtype=np.bytes_)
        self.seed, self.epoch, self.size, self.scale = seed, epoch, size, scale
        self.preprocess = None if preprocess is None else preprocess.at(size)

    def __getitem__(self, i: int) -> UInt8[Tensor, "C S S"]:
        names = [os.fsdecode(path) for path in self.paths[i]]
        own = self.preprocess is not None
        pictures = [decoding.upright(n) if own else decoding.open_rgb(n) for n in names]
        if len({picture.size for picture in pictures}) > 1:
            both = zip(names, pictures, strict=True)
            sizes = ", ".join(f"{n} {p.width} x {p.height}" for n, p in both)
            raise ValueError(f"{sizes}: expected one size, since a pair gets the same crop")
        generator = generator_of(self.seed, self.epoch, i)
        seen = cut(pictures, generator, self.size, self.scale, self.preprocess)
        return torch.cat([decoding.tensor(picture) for picture in seen])

    def __len__(self) -> int:
        return len(self.paths)


def cut(
    pictures: Sequence[Image.Image],
    generator: torch.Generator,
    size: int,
    scale: tuple,
    preprocess: Preprocess | None,
) -> list[Image.Image]:
    """Pictures of one size under one random crop, `size` pixels a side; with the scale (1, 1) as
    evaluation sees them, and nothing is drawn."""
    if scale == (1.0, 1.0):
        if preprocess is not None:
            return [preprocess(picture) for picture in pictures]
        short = round(size * 256 / 224)
        return [decoding.centre(picture, short, size) for picture in pictures]
    width, height = pictures[0].size
    boxes = crop_boxes(1, height, width, generator, scale, RATIO)
    left, top, width, height = boxes[0].int().tolist()
    how = Image.Resampling.BILINEAR if preprocess is None else preprocess.resample
    box = (left, top, left + width, top + height)
    return [picture.crop(box).resize((size, size), how) for picture in pictures]


class Loader(DataLoader):
    """Batches of views. It draws its seed on the CPU, whatever the default device of a notebook
    is, and from a generator of its own.

    batches: what `views` is indexed by, for each picture of each batch.
    """

    def __init__(self, views: Dataset, batches: Iterable[list], workers: int, pin: bool):
        super().__init__(
            views,
            batch_sampler=batches,
            num_workers=workers,
            pin_memory=pin,
            generator=torch.Generator(),  # else the loader draws from the global one
        )

    def __iter__(self):
        with torch.device("cpu"):
            return super().__iter__()
