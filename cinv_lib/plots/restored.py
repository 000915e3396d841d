"""Pictures with what was made of them: under each its decibels and what a classifier says it is."""

import textwrap
from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure

from cinv_lib.plots.leads import GREY
from cinv_lib.plots.style import headed, pixels

SIDE, GAP, CAPTION, NAMES, TITLE = 128, 6, 42, 112, 44  # pixels of the page
LETTERS = 25  # of a line of a caption


def captioned(
    rows: Mapping[str, torch.Tensor],
    captions: Mapping[str, Sequence[str]],
    right: Mapping[str, Sequence[bool]],
    *,
    title: str,
) -> Figure:
    """A row of pictures (B, 3, H, W) for each name, each picture with a caption (lesson 12).

    Every pixel of a picture of 64 pixels is four by four of the file: nothing is smoothed, and the
    file stays small.

    Args:
        captions: what stands under each picture of a row; a long line goes on in the next.
        right: whether what the caption says is right: black, with a tick; else grey.
        title: what the figure finds.

    Raises ValueError for a row that has not a caption and a verdict for each picture.
    """
    columns = max(map(len, rows.values()))
    width = NAMES + columns * (SIDE + GAP)
    height = TITLE + len(rows) * (SIDE + CAPTION)
    fig = Figure(figsize=(width / 100, height / 100))
    for k, (name, images) in enumerate(rows.items()):
        if not len(captions[name]) == len(right[name]) == len(images):
            raise ValueError(
                f"row {name!r}: {len(images)} pictures, {len(captions[name])} captions and "
                f"{len(right[name])} verdicts; expected as many of each"
            )
        bottom = height - TITLE - (k + 1) * (SIDE + CAPTION) + CAPTION
        middle = (bottom + SIDE / 2) / height
        fig.text((NAMES - 8) / width, middle, name, ha="right", va="center", fontsize=8.5)
        for j, image in enumerate(images):
            left = NAMES + j * (SIDE + GAP)
            ax = fig.add_axes((left / width, bottom / height, SIDE / width, SIDE / height))
            ax.imshow(pixels(image), interpolation="nearest")
            ax.set_axis_off()
            good = right[name][j]
            said = f"{captions[name][j]} ✓" if good else captions[name][j]
            text = "\n".join(textwrap.fill(line, LETTERS) for line in said.splitlines())
            x, y = (left + SIDE / 2) / width, (bottom - 3) / height
            color = "black" if good else GREY
            fig.text(x, y, text, ha="center", va="top", fontsize=6.8, color=color, linespacing=1.0)
    return headed(fig, title)
