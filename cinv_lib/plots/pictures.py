"""The figures of the course: one palette, plain functions, alt text.

Every figure function returns a matplotlib `Figure` that belongs to nobody: it is not registered
with pyplot, so nothing leaks and nothing is drawn twice. `show(fig, alt)` puts it into a notebook
together with a sentence that says what it shows, for readers who do not see it.

A marker or a hatch repeats each distinction of colour. Results of the paper are hollow; what was
measured here is filled.
"""

import textwrap
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from cinv_lib.experiments import spoken
from cinv_lib.plots.style import pixels


def image_grid(
    images: Sequence[Tensor] | Tensor,
    titles: Sequence[str] = (),
    *,
    columns: int | None = None,
    row_titles: Sequence[str] = (),
    inch: float = 1.3,
) -> Figure:
    """Pictures (3, H, W) in reading order, `columns` in each row (default: all in one row).

    Raises:
        ValueError: no images, or titles that are not as many as images (or rows).
    """
    count = len(images)
    columns = columns or count
    if count == 0 or (titles and len(titles) != count):
        raise ValueError(f"{count} images and {len(titles)} titles: expected one title an image")
    rows = -(-count // columns)
    if row_titles and len(row_titles) != rows:
        raise ValueError(f"{len(row_titles)} row titles for {rows} rows: expected one a row")
    fig = Figure(figsize=(columns * inch + 0.1, rows * inch * 1.2), layout="constrained")
    axes = fig.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for ax, image in zip(axes.flat, images, strict=False):
        ax.imshow(pixels(image), interpolation="nearest")
    for ax, title in zip(axes.flat, titles, strict=False):
        ax.set_title(title, fontsize=8)
    for ax, title in zip(axes[:, 0], row_titles, strict=False):
        ax.set_ylabel(textwrap.fill(title, max(8, int(17 * inch))), fontsize=8)
    return fig


def severity_strip(
    image: Float[Tensor, "3 H W"], operator: Any, severities: Sequence[float], seed: int = 0
) -> Figure:
    """One picture under `operator.at(severity)` at each severity (lesson 01).

    The generator starts from the same seed at each severity, so that the strip shows one
    corruption growing and not several unrelated ones.
    """
    corrupted = []
    for severity in severities:
        generator = torch.Generator(image.device).manual_seed(seed)
        corrupted.append(operator.at(severity)(image[None], generator)[0])
    titles = [spoken.at(str(operator), severity) for severity in severities]
    return image_grid([image, *corrupted], ["clean", *titles])
