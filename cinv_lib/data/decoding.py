"""Decoding: a file as an RGB picture, as the paper's code reads its sets (`open_rgb`), or as a
reader's own pictures of any kind are read (`upright`); and the centre that is cut out of it.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError
from torch import Tensor

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
    square = ImageOps.fit(_upright(name, file), (size, size), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(square, dtype=np.float32) / 255)
    return pixels.permute(2, 0, 1)[None].contiguous()


def upright(path: str | Path) -> Image.Image:
    """A picture file of a reader's own as RGB, of any mode, as `from_file` reads it: grey, 16-bit
    (divided by 257), palette, CMYK, transparent (laid on white), turned as its mark says.

    Raises FileNotFoundError, or ValueError for what is not a whole picture; each names the file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no picture at {path}: it was moved or deleted")
    return _upright(str(path), Path(path))


def from_bytes(name: str, data: bytes) -> Image.Image:
    """As `upright`, from the bytes of a file; `name` is what the error calls it."""
    return _upright(name, io.BytesIO(data))


def _upright(name: str, file: Path | io.BytesIO) -> Image.Image:
    with opened(name, file) as found:
        found.load()
        picture = _turned(found)
    return _rgb_of(name, picture)


@contextmanager
def opened(name: str, file: Path | io.BytesIO) -> Iterator[Image.Image]:
    """A picture file, open; what is wrong with it is one ValueError with its name."""
    try:
        with Image.open(file) as found:
            yield found
    except UnidentifiedImageError as e:
        raise ValueError(f"{name} is not a picture that can be read here; {way_out(name)}") from e
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as e:
        raise ValueError(
            f"{name} cannot be read as a picture ({e}): it may be cut short, damaged or too large; "
            f"save or download it again as JPEG or PNG"
        ) from e


FOREIGN = {  # what Pillow does not open by itself -> what helps
    (".heic", ".heif", ".hif"): "convert it to JPEG, or install pillow-heif and call "
    "pillow_heif.register_heif_opener() first",
    (".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".raf", ".rw2", ".pef", ".srw"): "it is a "
    "camera's raw file: develop it to TIFF or JPEG, with darktable or rawpy",
    (".dcm", ".dicom"): "it is DICOM: save its pixels as PNG, or give pydicom's pixel_array to "
    "ImageSet.from_arrays",
}


def way_out(name: str) -> str:
    """What to do with a file that Pillow does not open, by the end of its name."""
    found = (help for ends, help in FOREIGN.items() if name.lower().endswith(ends))
    return next(found, "save it as JPEG or PNG")


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


def centre(
    picture: Image.Image,
    short: int,
    crop: int,
    resample: Image.Resampling = Image.Resampling.BILINEAR,
) -> Image.Image:
    """Short side resized to `short` pixels (antialiased), then the middle square."""
    width, height = picture.size
    if min(width, height) != short:
        long = int(short * max(width, height) / min(width, height))
        width, height = (short, long) if width <= height else (long, short)
        picture = picture.resize((width, height), resample)
    left, top = round((width - crop) / 2), round((height - crop) / 2)
    return picture.crop((left, top, left + crop, top + crop))


def tensor(picture: Image.Image) -> UInt8[Tensor, "3 H W"]:
    """The pixels of a picture."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
