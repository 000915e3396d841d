"""Pictures with what was made of them: under each its decibels and what a classifier says it is."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure

from cinv_lib.plots.leads import GREY, titled
from cinv_lib.plots.style import pixels

INCH = 1.28  # of one picture: twice 64 pixels, at the hundred of an inch


def captioned(
    rows: Mapping[str, torch.Tensor],
    captions: Mapping[str, Sequence[str]],
    right: Mapping[str, Sequence[bool]],
    *,
    title: str,
) -> Figure:
    """A row of pictures (B, 3, H, W) for each name, each picture with a caption (lesson 12).

    Args:
        captions: a line under each picture of a row.
        right: whether what the caption says is right: black, with a tick; else grey.
        title: what the figure finds.

    Raises ValueError for a row that has not a caption and a verdict for each picture.
    """
    columns = max(map(len, rows.values()))
    for name, images in rows.items():
        if not len(captions[name]) == len(right[name]) == len(images):
            raise ValueError(
                f"row {name!r}: {len(images)} pictures, {len(captions[name])} captions and "
                f"{len(right[name])} verdicts; expected as many of each"
            )
    size = (columns * INCH + 1.15, len(rows) * (INCH + 0.2) + 0.5)
    fig = Figure(figsize=size, layout="constrained")
    fig.get_layout_engine().set(w_pad=0.01, h_pad=0.015, hspace=0, wspace=0)
    axes = fig.subplots(len(rows), columns, squeeze=False)
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        for ax, image, caption, good in zip(line, images, captions[name], right[name], strict=True):
            ax.imshow(pixels(image), interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            text = f"{caption} ✓" if good else caption
            ax.set_xlabel(text, fontsize=7, labelpad=2, color="black" if good else GREY)
        line[0].set_ylabel(
            name, fontsize=8, rotation=0, ha="right", va="center", multialignment="right"
        )
    return titled(fig, title)
