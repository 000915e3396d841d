"""Pictures for panels, drawn with PIL and NumPy: a slider needs one in a few milliseconds.

With matplotlib the same pictures take ten times as long. The functions here take and return PIL
images; captions are set in the DejaVu font that comes with matplotlib.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from cinv_lib.plots.style import OKABE_ITO, aligned, pixels

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
    factor = max(1, TILE // max(picture.size))
    return picture.resize(
        (picture.width * factor, picture.height * factor), Image.Resampling.NEAREST
    )


def grid(rows: Mapping[str, Sequence[Tensor]]) -> Image.Image:
    """Rows of pictures, each row under its title."""
    drawn = {title: [tile(image) for image in row] for title, row in rows.items()}
    return stack(block for title, tiles in drawn.items() for block in (line(title), beside(tiles)))


def beside(images: Sequence[Image.Image]) -> Image.Image:
    """Images from left to right, aligned at their tops."""
    width = sum(i.width for i in images) + GAP * (len(images) - 1)
    canvas = Image.new("RGB", (width, max(i.height for i in images)), "white")
    x = 0
    for image in images:
        canvas.paste(image, (x, 0))
        x += image.width + GAP
    return canvas


def stack(images: Iterable[Image.Image]) -> Image.Image:
    """Images from top to bottom, aligned at the left."""
    images = list(images)
    height = sum(i.height for i in images)
    canvas = Image.new("RGB", (max(i.width for i in images), height), "white")
    y = 0
    for image in images:
        canvas.paste(image, (0, y))
        y += image.height
    return canvas


def line(text: str, min_width: int = 0) -> Image.Image:
    """One line of text."""
    width = max(min_width, int(_font().getlength(text)) + 4)
    canvas = Image.new("RGB", (width, LINE), "white")
    ImageDraw.Draw(canvas).text((2, 1), text, font=_font(), fill="black")
    return canvas


def paragraph(text: str, width: int) -> Image.Image:
    """Text wrapped to `width` pixels."""
    letters = max(20, int(width / _font().getlength("n")))
    lines = [part for row in text.splitlines() for part in textwrap.wrap(row, letters) or [""]]
    return stack([line(part, width) for part in lines or [""]])


def strips(
    embeddings: Mapping[str, Float[Tensor, " d"]], width: int = 448, height: int = 46
) -> Image.Image:
    """Embeddings as bars under their names, dimensions sorted by the first embedding.

    One that agrees with the first falls from left to right like it. Positive values are blue and
    point up, negative values are vermilion and point down.
    """
    order, unit = aligned(list(embeddings.values()))
    count = len(order)
    column = max(1, width // count)
    top = float(unit[0].abs().max())
    half = height // 2
    # Row r of the upper half is filled where the bar is higher than the row is above the middle.
    levels = (np.arange(half, 0, -1) - 0.5) / half
    blocks = []
    for name, vector in zip(embeddings, unit, strict=True):
        bars = np.clip(vector[order].numpy() / top, -1, 1)
        canvas = np.full((2 * half + 1, count, 3), 255, np.uint8)
        canvas[half] = 200
        canvas[:half][bars[None] > levels[:, None]] = _rgb("blue")
        canvas[half + 1 :][-bars[None] > levels[::-1, None]] = _rgb("vermilion")
        blocks += [line(name), Image.fromarray(canvas.repeat(column, axis=1))]
    return stack(blocks)


def _rgb(name: str) -> tuple[int, ...]:
    code = OKABE_ITO[name]
    return tuple(int(code[i : i + 2], 16) for i in (1, 3, 5))
