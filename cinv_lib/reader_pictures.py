"""The reader's own picture, whatever it is, as a batch of one in [0,1]."""

import io
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor


def from_file(source: str | Path | bytes | memoryview, size: int) -> Float[Tensor, "1 3 S S"]:
    """Read a picture from a path, or from a file's bytes (an upload), as RGB (1, 3, size, size).

    Grey, 16-bit, palette, CMYK and animated (first frame) pictures are converted, transparency is
    laid on white, a phone's orientation mark is obeyed. The largest centred square is resized
    (bicubic, antialiased). Raises FileNotFoundError, or ValueError for what is not a whole picture.
    """
    if size < 1:
        raise ValueError(f"size {size} is out of range; expected at least 1 pixel")
    is_path = isinstance(source, str | Path)
    name = str(source) if is_path else f"the uploaded file ({len(bytes(source)):,} bytes)"
    if is_path and not Path(source).is_file():
        raise FileNotFoundError(f"no picture at {source}: check the path")
    try:
        with Image.open(source if is_path else io.BytesIO(bytes(source))) as opened:
            opened.load()
            picture = to_rgb(ImageOps.exif_transpose(opened))
    except UnidentifiedImageError as e:
        raise ValueError(
            f"{name} is not a picture that can be read here; save it as JPEG or PNG"
        ) from e
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as e:
        raise ValueError(
            f"{name} cannot be read as a picture ({e}): it may be cut short, damaged or too large; "
            f"save or download it again as JPEG or PNG"
        ) from e
    square = ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(square, dtype=np.float32) / 255)
    return pixels.permute(2, 0, 1)[None].contiguous()


def to_rgb(picture: Image.Image) -> Image.Image:
    """Any of PIL's modes to RGB; transparency is laid on white."""
    if picture.mode.startswith(("I", "F")):  # 16-bit or more: PIL's convert would clip at 255
        values = np.asarray(picture, dtype=np.float64)
        top = 65535 if picture.mode.startswith("I") else 1 if values.max() <= 1 else 255
        picture = Image.fromarray((values / top * 255).clip(0, 255).round().astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")
