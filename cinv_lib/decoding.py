"""Decoding: a picture file as RGB, cut as evaluation cuts it, or at a random crop of an epoch."""

import os
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

from cinv_lib.reader_pictures import to_rgb
from cinv_lib.views import crop_boxes, generator_of


class Views(Dataset):
    """Picture i of some files under its crop of one epoch; with the scale (1, 1) its centre."""

    def __init__(self, paths: tuple[str, ...], seed: int, epoch: int, size: int, scale: tuple):
        # One array: a tuple of strings would be copied into each worker, reference counts and all.
        self.paths = np.array(paths, dtype=np.bytes_)
        self.seed, self.epoch, self.size, self.scale = seed, epoch, size, scale

    def __getitem__(self, i: int) -> Tensor:
        picture = open_rgb(self.paths[i].decode())
        if self.scale == (1.0, 1.0):
            return tensor(centre(picture, round(self.size * 256 / 224), self.size))
        generator = generator_of(self.seed, self.epoch, i)
        ratio = (3 / 4, 4 / 3)
        boxes = crop_boxes(1, picture.height, picture.width, generator, self.scale, ratio)
        left, top, width, height = boxes[0].int().tolist()
        cut = picture.crop((left, top, left + width, top + height))
        return tensor(cut.resize((self.size, self.size), Image.Resampling.BILINEAR))

    def __len__(self) -> int:
        return len(self.paths)


def open_rgb(path: str | Path) -> Image.Image:
    """A picture file of any mode as RGB. Its orientation mark is *not* obeyed, as in torchvision.

    Raises FileNotFoundError (absent, or a link to what is absent) or ValueError (not a picture,
    cut short), each naming the file.
    """
    try:
        with Image.open(path) as opened:
            opened.load()
            return to_rgb(opened)
    except FileNotFoundError as e:
        target = f", a link to {os.readlink(path)}," if os.path.islink(path) else ""
        raise FileNotFoundError(
            f"picture {path}{target} is absent: if the source was moved, run data_prep again"
        ) from e
    except UnidentifiedImageError as e:
        raise ValueError(f"{path} is not a picture; copy it again from its source") from e
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as e:
        raise ValueError(
            f"{path} cannot be read as a picture ({e}): copy it again from its source"
        ) from e


def centre(picture: Image.Image, short: int, crop: int) -> Image.Image:
    """Short side resized to `short` pixels (bilinear, antialiased), then the middle square."""
    width, height = picture.size
    if min(width, height) != short:
        long = int(short * max(width, height) / min(width, height))
        width, height = (short, long) if width <= height else (long, short)
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - crop) / 2), round((height - crop) / 2)
    return picture.crop((left, top, left + crop, top + crop))


def tensor(picture: Image.Image) -> UInt8[Tensor, "3 H W"]:
    """Its pixels."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
