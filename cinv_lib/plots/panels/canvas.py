"""Pictures for panels, drawn with PIL and NumPy: a slider needs one in a few milliseconds.

With matplotlib the same pictures take ten times as long. The functions here take and return PIL
images; captions are set in the DejaVu font that comes with matplotlib.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from io import BytesIO
from itertools import accumulate
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont, ImageOps
from torch import Tensor

from cinv_lib.plots.style import pixels

TILE = 192
GAP = 8
LINE = 18
FONT_SIZE = 13


@cache
def _font() -> ImageFont.FreeTypeFont:
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(path, FONT_SIZE)


def png(image: Image.Image) -> bytes:
    """The image as PNG bytes, lightly compressed: noise does not shrink, and a slider waits."""
    buffer = BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def tile(image: Tensor) -> Image.Image:
    """One picture (3, H, W), its pixels enlarged by a whole factor where it is small."""
    picture = Image.fromarray(pixels(image))
    return ImageOps.scale(picture, max(1, TILE // max(picture.size)), Image.Resampling.NEAREST)


def grid(rows: Mapping[str, Sequence[Tensor]]) -> Image.Image:
    """Rows of pictures, each row under its title."""
    drawn = {title: [tile(image) for image in row] for title, row in rows.items()}
    return stack(block for title, tiles in drawn.items() for block in (line(title), beside(tiles)))


def beside(images: Sequence[Image.Image]) -> Image.Image:
    """Images from left to right, aligned at their tops."""
    edges = [0, *accumulate(image.width + GAP for image in images)]
    size = edges[-1] - GAP, max(image.height for image in images)
    return _pasted(images, [(x, 0) for x in edges[:-1]], size)


def stack(images: Iterable[Image.Image]) -> Image.Image:
    """Images from top to bottom, aligned at the left."""
    images = list(images)
    edges = [0, *accumulate(image.height for image in images)]
    size = max(image.width for image in images), edges[-1]
    return _pasted(images, [(0, y) for y in edges[:-1]], size)


def _pasted(
    images: Sequence[Image.Image], corners: Sequence[tuple[int, int]], size: tuple[int, int]
) -> Image.Image:
    canvas = Image.new("RGB", size, "white")
    for image, corner in zip(images, corners, strict=True):
        canvas.paste(image, corner)
    return canvas


def line(text: str, min_width: int = 0) -> Image.Image:
    """One line of text."""
    width = max(min_width, int(_font().getlength(text)) + 4)
    canvas = Image.new("RGB", (width, LINE), "white")
    ImageDraw.Draw(canvas).text((2, 1), text, font=_font(), fill="black")
    return canvas


def line_within(text: str, width: int) -> Image.Image:
    """One line of text, its end cut off where it would be wider than `width` pixels."""
    shown = text
    while shown and _font().getlength(shown) + 4 > width:
        text, shown = text[:-1], f"{text[:-1].rstrip()}…"
    return line(shown, width)


def paragraph(text: str, width: int) -> Image.Image:
    """Text wrapped to `width` pixels."""
    letters = max(20, int(width / _font().getlength("n")))
    lines = [part for row in text.splitlines() for part in textwrap.wrap(row, letters) or [""]]
    return stack([line(part, width) for part in lines or [""]])
