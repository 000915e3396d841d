"""The figures of the course: one palette, plain functions, alt text.

Every figure function returns a matplotlib `Figure` that belongs to nobody: it is not registered
with pyplot, so nothing leaks and nothing is drawn twice. `show(fig, alt)` puts it into a notebook
together with a sentence that says what it shows, for readers who do not see it.

A marker or a hatch repeats each distinction of colour. Results of the paper are hollow; what was
measured here is filled.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from cinv_lib.look import OKABE_ITO, aligned, colour, pixels, show

__all__ = [
    "embedding_strips",
    "fraction_curves",
    "image_grid",
    "result_bars",
    "severity_strip",
    "show",
    "top3",
    "training_curves",
]

_MARKERS = "osDv^PX*"
_LEVELS = ("--", "-.", (0, (6, 1, 1, 1, 1, 1)))
_HATCHES = ("", "//", "..", "\\\\", "xx", "--", "oo")


def image_grid(
    images: Sequence[Tensor] | Tensor,
    titles: Sequence[str] = (),
    *,
    columns: int | None = None,
    row_titles: Sequence[str] = (),
    inch: float = 1.3,
) -> Figure:
    """Pictures (3, H, W) in reading order, `columns` a row (default: all in one row).

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
    """One picture under `operator.at(severity)` at each severity.

    The generator starts from the same seed at each severity, so that the strip shows one
    corruption growing and not several unrelated ones.
    """
    corrupted = []
    for severity in severities:
        generator = torch.Generator(image.device).manual_seed(seed)
        corrupted.append(operator.at(severity)(image[None], generator)[0])
    return image_grid([image, *corrupted], ["clean", *(f"{s:g}" for s in severities)])


def result_bars(
    results: pd.DataFrame,
    paper: pd.DataFrame | None = None,
    *,
    names: Mapping[str, str] | None = None,
    ylabel: str = "top-1 accuracy (%)",
) -> Figure:
    """Bars of `value` with error bars `se`, grouped by `operator`, one bar a `method`.

    `paper`: the same columns (see `cinv_lib.paper`), its operators renamed to those of `results`;
    drawn as hollow diamonds over the bars that they belong to. `names` maps a method to its label.
    """
    operators = list(dict.fromkeys(results["operator"]))
    methods = list(dict.fromkeys(results["method"]))
    width = 0.84 / len(methods)
    fig, ax = single(max(5.0, 0.5 + 0.42 * len(operators) * len(methods)), 3.4)
    for k, method in enumerate(methods):
        at = np.arange(len(operators)) + (k - (len(methods) - 1) / 2) * width
        rows = results[results["method"] == method].set_index("operator").reindex(operators)
        ax.bar(
            at,
            rows["value"],
            width * 0.92,
            yerr=rows["se"].fillna(0),
            capsize=2,
            color=colour(method, k),
            hatch=_HATCHES[k % len(_HATCHES)],
            edgecolor="white",
            label=(names or {}).get(method, method),
        )
        if paper is not None:
            quoted = paper[paper["method"] == method].set_index("operator").reindex(operators)
            _hollow(ax, at, quoted["value"], OKABE_ITO["black"])
    ax.set_xticks(range(len(operators)), operators)
    ax.set(ylabel=ylabel, ylim=(0, 100 if results["value"].max() > 1 else 1))
    legend(fig, ax)
    return fig


def training_curves(histories: Mapping[str, pd.DataFrame], column: str = "loss") -> Figure:
    """`column` of each training history over its steps: every step faint, epoch means in full."""
    fig, ax = single(5.5, 3.2)
    for k, (name, history) in enumerate(histories.items()):
        ax.plot(history["step"], history[column], color=colour(name, k), alpha=0.25, lw=0.8)
        mean = history.groupby("epoch")[["step", column]].mean()
        marker = _MARKERS[k % len(_MARKERS)]
        ax.plot(mean["step"], mean[column], color=colour(name, k), marker=marker, ms=4, label=name)
    ax.set(xlabel="step", ylabel=column)
    legend(fig, ax)
    return fig


def fraction_curves(
    results: pd.DataFrame,
    paper: pd.DataFrame | None = None,
    *,
    names: Mapping[str, str] | None = None,
    xlabel: str = "labels used (%)",
    ylabel: str = "top-1 accuracy (%)",
) -> Figure:
    """Accuracy over the labels used (Fig. 3): `fraction` or number, `value`, `se`, `method`.

    A method with a single fraction (the baseline, which uses all labels) is a dashed level.
    `paper` has the same columns and is drawn hollow and dotted.
    """
    fig, ax = single(5.5, 3.4)
    methods, levels = list(dict.fromkeys(results["method"])), 0
    for k, method in enumerate(methods):
        rows = results[results["method"] == method].sort_values("fraction")
        style: dict[str, Any] = {"color": colour(method, k)}
        label = (names or {}).get(method, method)
        if len(rows) == 1:
            ax.axhline(
                rows["value"].item(), ls=_LEVELS[levels % len(_LEVELS)], label=label, **style
            )
            levels += 1
        else:
            marker = _MARKERS[k % len(_MARKERS)]
            se = rows["se"].fillna(0)
            x, y = rows["fraction"], rows["value"]
            ax.errorbar(x, y, se, marker=marker, capsize=2, label=label, **style)
        if paper is not None:
            quoted = paper[paper["method"] == method].sort_values("fraction")
            ax.plot(quoted["fraction"], quoted["value"], ls=":", **style)
            _hollow(ax, quoted["fraction"], quoted["value"], colour(method, k))
    ax.set_xscale("log")
    furthest = set() if paper is None else {paper["fraction"].max()}
    ticks = sorted(furthest.union(results["fraction"]))
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()
    ax.set(xlabel=xlabel, ylabel=ylabel)
    legend(fig, ax)
    return fig


def embedding_strips(embeddings: Mapping[str, Float[Tensor, " d"]]) -> Figure:
    """Embeddings as bars, one row each, and the cosine of each to the first.

    Dimensions are sorted by the first embedding, so that one that agrees falls from left to right
    like the first, and one that does not agree looks like noise.
    """
    order, unit = aligned(list(embeddings.values()))
    fig = Figure(figsize=(6, 0.9 * len(unit) + 0.3), layout="constrained")
    axes = fig.subplots(len(unit), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    for ax, name, vector in zip(axes, embeddings, unit, strict=True):
        values = vector[order].numpy()
        tones = np.where(values >= 0, OKABE_ITO["blue"], OKABE_ITO["vermilion"])
        ax.bar(range(len(values)), values, width=1.0, color=tones)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        if vector is not unit[0]:
            name += f"   cosine to {next(iter(embeddings))}: {float(vector @ unit[0]):.2f}"
        ax.set_title(name, fontsize=9, loc="left")
    return fig


def top3(
    image: Float[Tensor, "3 H W"],
    predictions: Mapping[str, Sequence[tuple[str, float]]],
    truth: str | None = None,
) -> Figure:
    """A corrupted picture and each model's most probable names (Fig. 1).

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


def single(width: float, height: float) -> tuple[Figure, Axes]:
    fig = Figure(figsize=(width, height), layout="constrained")
    ax = fig.subplots()
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", alpha=0.3)
    ax.set_axisbelow(True)
    return fig, ax


def _hollow(ax: Axes, x: Any, y: pd.Series, edge: str) -> None:
    """The paper's values; one entry in the legend however many methods have them."""
    known = ax.get_legend_handles_labels()[1]
    label = "the paper" if y.notna().any() and "the paper" not in known else None
    ax.scatter(x, y, 36, marker="D", facecolors="white", edgecolors=edge, zorder=5, label=label)


def legend(fig: Figure, ax: Axes) -> None:
    """Above the axes, in as many columns as the width of the figure allows."""
    handles, labels = ax.get_legend_handles_labels()
    columns = int(12 * fig.get_figwidth() / (6 + max(map(len, labels))))
    fig.legend(
        handles, labels, loc="outside upper left", ncols=max(1, columns), fontsize=8, frameon=False
    )
