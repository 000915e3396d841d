"""The figures of the course: one palette, plain functions, alt text.

Every figure function returns a matplotlib `Figure` that belongs to nobody: it is not registered
with pyplot, so nothing leaks and nothing is drawn twice. `show(fig, alt)` puts it into a notebook
together with a sentence that says what it shows, for readers who do not see it.

A marker or a hatch repeats each distinction of colour. Results of the paper are hollow; what was
measured here is filled.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from cinv_lib.plots.style import colour, pixels


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
        ax.set_ylabel(title, fontsize=8)
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
    return image_grid([image, *corrupted], ["clean", *(f"{s:g}" for s in severities)])


def top3(
    image: Float[Tensor, "3 H W"],
    predictions: Mapping[str, Sequence[tuple[str, float]]],
    truth: str | None = None,
) -> Figure:
    """A corrupted picture and each model's most probable names (lesson 00, Fig. 1).

    Args:
        predictions: model -> [(class name, probability in [0,1]), ...], the most probable first.
        truth: the right name; its bar is filled, others are hollow.
    """
    fig = Figure(figsize=(2.0 + 2.2 * len(predictions), 1.9), layout="constrained")
    widths = [1.0, *[1.3] * len(predictions)]
    axes = fig.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0]
    axes[0].imshow(pixels(image), interpolation="nearest")
    axes[0].set_axis_off()
    for k, (ax, (model, guesses)) in enumerate(zip(axes[1:], predictions.items(), strict=True)):
        for row, (name, probability) in enumerate(guesses):
            face = colour(model, k) if truth in (None, name) else "none"
            ax.barh(-row, probability, 0.35, color=face, edgecolor=colour(model, k))
            ax.text(0, -row + 0.3, f"{100 * probability:.1f}% {name}", fontsize=8, va="bottom")
        ax.set(xlim=(0, 1), ylim=(0.7 - len(guesses), 0.9), xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        ax.set_title(model, fontsize=9, loc="left")
    return fig
