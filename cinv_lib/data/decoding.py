"""Decoding: a file as an RGB picture, cut as evaluation cuts it or at a random crop of an epoch;
also a picture of the reader's own, of any kind.
"""

import io
import os
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

from cinv_lib.data.views import crop_boxes, generator_of

# What an editor keeps beside the pixels of a PNG may be megabytes; it is no reason to refuse them.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY


def from_file(source: str | Path | bytes | memoryview, size: int) -> Float[Tensor, "1 3 S S"]:
    """Read a picture from a path, or from a file's bytes (an upload), as RGB (1, 3, size, size).

    Grey, 16-bit, palette, CMYK and animated (first frame) pictures are converted, transparency is
    laid on white, a phone's orientation mark is obeyed. The largest centred square is resized
    (bicubic, antialiased). Raises FileNotFoundError, or ValueError for what is not a whole picture,
    or has values that nobody can tell the white of.
    """
    if size < 1:
        raise ValueError(f"size {size} is out of range; expected at least 1 pixel")
    file: Path | io.BytesIO
    if isinstance(source, str | Path):
        name, file = str(source), Path(source)
        if not file.is_file():
            raise FileNotFoundError(f"no picture at {source}: check the path")
    else:
        name, file = f"the uploaded file ({len(source):,} bytes)", io.BytesIO(source)
    try:
        with Image.open(file) as opened:
            opened.load()
            picture = _turned(opened)
    except UnidentifiedImageError as e:
        raise ValueError(
            f"{name} is not a picture that can be read here; save it as JPEG or PNG"
        ) from e
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as e:
        raise ValueError(
            f"{name} cannot be read as a picture ({e}): it may be cut short, damaged or too large; "
            f"save or download it again as JPEG or PNG"
        ) from e
    square = ImageOps.fit(_rgb_of(name, picture), (size, size), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(square, dtype=np.float32) / 255)
    return pixels.permute(2, 0, 1)[None].contiguous()


def to_rgb(picture: Image.Image) -> Image.Image:
    """Any of PIL's modes to RGB; transparency is laid on white.

    Raises ValueError for numbers of which nobody can tell which is white, or a mode that PIL does
    not convert.
    """
    if picture.mode.startswith(("I", "F")):  # 16-bit or more: PIL's convert would clip at 255
        values = np.asarray(picture, dtype=np.float64)
        grey = (values / _white(picture.mode, values) * 255).clip(0, 255).round()
        clear = picture.info.get("transparency")  # the one grey level that is not to be seen
        grey = grey if clear is None else np.where(values == clear, 255, grey)
        picture = Image.fromarray(grey.astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def _white(mode: str, values: np.ndarray) -> int:
    """The value of white in a picture of integers or floats, from the range that it uses.

    16 bits say it themselves. The others do not: it is the least of 1 (floats), 255 and 65535 that
    no pixel exceeds.
    """
    if mode.startswith("I;16"):
        return 65535
    low, high = float(values.min()), float(values.max())  # NaN if one is
    for white in (1, 255, 65535) if mode == "F" else (255, 65535):
        if low >= 0 and high <= white:
            return white
    raise ValueError(
        f"its pixels run from {low:.4g} to {high:.4g}, of which nobody can tell what is white; "
        f"expected 0 to 1 (floats), 0 to 255, or 0 to 65535"
    )


class Views(Dataset):
    """The pictures of some files, each under its random crop of an epoch; with the scale (1, 1) its
    centre."""

    def __init__(self, paths: tuple[str, ...], seed: int, epoch: int, size: int, scale: tuple):
        # One array: a tuple of strings would be copied into each worker, reference counts and all.
        # As bytes, from which Python gives every path back, as those of Imágenes.
        self.paths = np.array([os.fsencode(path) for path in paths], dtype=np.bytes_)
        self.seed, self.epoch, self.size, self.scale = seed, epoch, size, scale

    def __getitem__(self, i: int) -> Tensor:
        picture = open_rgb(os.fsdecode(self.paths[i]))
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
            picture = opened
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
    return _rgb_of(str(path), picture)


def _turned(picture: Image.Image) -> Image.Image:
    """The picture as its orientation mark says; as it is where that cannot be read."""
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # the pixels are whole; a damaged mark comes out as a dozen kinds of error
        return picture


def _rgb_of(name: str, picture: Image.Image) -> Image.Image:
    """`to_rgb`, with the picture's name in the error."""
    try:
        return to_rgb(picture)
    except ValueError as e:
        raise ValueError(f"{name} is whole, but {e}; save it with 8 bits a channel") from e


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
    """The pixels of a picture."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
