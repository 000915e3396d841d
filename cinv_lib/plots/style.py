"""What figures and panels share: the palette, pixels of an image, PNG bytes, alt text.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart.
"""

import base64
import textwrap
from io import BytesIO
from typing import Any

import numpy as np
import torch
from jaxtyping import Num, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from cinv_lib.experiments.methods import METHODS

OKABE_ITO = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
}
LETTERS = 11  # of a title, per inch of the figure
SHARP = 2  # pixels of a figure for each pixel of the page
# Yellow is left out of the cycle: on white it is too faint for a line.
CYCLE = ("blue", "vermilion", "green", "orange", "sky", "purple", "black")
METHOD_COLOURS = {key: method.colour for key, method in METHODS.items() if method.colour} | {
    "CLIP R": "black",
    "CLIP R, in words": "black",
    "student S": "blue",
    "student S, in words": "blue",
    "baseline_imagenet100": "orange",
    "baseline100": "orange",
    "baseline_r": "vermilion",
    "student_60000": "sky",
    "attacked_student": "sky",
    "attacked_baseline": "orange",
    "st": "blue",
    "ss": "sky",
    "sb": "green",
    "nt": "orange",
    "mse": "vermilion",
}


def colour(name: str, position: int = 0) -> str:
    """The hex colour of a method; other names take the colour of their `position` in the cycle."""
    return OKABE_ITO[METHOD_COLOURS.get(name, CYCLE[position % len(CYCLE)])]


def show(fig: Figure, alt: str) -> None:
    """Display `fig` in a notebook, with its alt text: kind, axes and finding, in one line. One that
    ends with a colon is completed by the title of the figure, which says the finding.

    The picture has twice the pixels that it takes on the page, for sharp screens. Replay compares
    neither picture nor alt text, so `alt` may hold measured numbers.

    Raises:
        ValueError: the alt text is empty or has several lines.
    """
    from IPython.display import display

    if not alt.strip() or "\n" in alt:
        raise ValueError(f"alt text {alt!r}: say in one line what the figure shows")
    picture = png(fig)
    width, height = (edge // SHARP for edge in Image.open(BytesIO(picture)).size)
    if alt.endswith(":"):
        alt = f"{alt} {' '.join(fig.get_suptitle().split())}"
    data = {"image/png": base64.b64encode(picture).decode(), "text/plain": "Figure"}
    metadata = {"image/png": {"alt": alt, "width": width, "height": height}}
    display(data, metadata=metadata, raw=True)


def png(fig: Figure, sharp: int = SHARP) -> bytes:
    """The figure as the bytes of a PNG file, the same bytes for the same figure.

    sharp: pixels for each of the page. Where it is 1 the file is made quickly, as a slider waits;
    else a figure without pictures in it has a palette of 256 colours, which are enough.
    """
    buffer = BytesIO()
    # Without this the file would name the version of matplotlib.
    fig.savefig(buffer, format="png", dpi=sharp * fig.dpi, metadata={"Software": None})
    if sharp == 1 or any(ax.images for ax in fig.axes):
        return buffer.getvalue()
    small = BytesIO()
    drawn = Image.open(buffer).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    drawn.save(small, format="PNG", optimize=True)
    return small.getvalue()


def pixels(image: Num[Tensor, "C H W"]) -> UInt8[np.ndarray, "H W C"]:
    """An image (3, H, W) as displayable pixels. Floats are clipped to [0,1], as a screen does.

    Raises:
        ValueError: another number of channels than 3.
    """
    if image.shape[0] != 3:
        raise ValueError(f"image of shape {tuple(image.shape)}: expected (3, H, W)")
    array = image.detach().cpu()
    if array.dtype != torch.uint8:
        array = (array.float().clamp(0, 1) * 255).round().to(torch.uint8)
    return array.permute(1, 2, 0).numpy()


def single(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, in inches."""
    fig = Figure(figsize=(width, height), layout="constrained")
    return fig, tidied(fig.subplots())


def tidied(ax: Axes) -> Axes:
    """The axes without a frame on two sides, and with faint lines behind what is drawn."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", alpha=0.3)
    ax.set_axisbelow(True)
    return ax


def headed(fig: Figure, title: str) -> Figure:
    """The figure, with a title that says its finding, in as many lines as it needs. A percent sign
    stays with its number."""
    lines = textwrap.fill(
        title.replace(" %", "\N{NO-BREAK SPACE}%"), int(LETTERS * fig.get_figwidth())
    )
    fig.suptitle(lines, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return fig


def legend(fig: Figure, ax: Axes, side: str = "upper") -> None:
    """Put the legend above the axes, or below ("lower"), in as many columns as the width of the
    figure allows."""
    handles, labels = ax.get_legend_handles_labels()
    columns = int(12 * fig.get_figwidth() / (6 + max(map(len, labels))))
    place: Any = f"outside {side} left"
    fig.legend(
        handles,
        labels,
        loc=place,
        ncols=max(1, columns),
        fontsize=8,
        frameon=False,
    )


def finished(fig: Figure, ax: Axes, heading: str = "", **names: Any) -> Figure:
    """The figure, its axes named (`xlabel`, `ylabel`, and what else `Axes.set` takes), with a
    legend: above the axes, or below them where a heading says the finding above."""
    ax.set(**names)
    legend(fig, ax, "lower" if heading else "upper")
    return headed(fig, heading) if heading else fig
