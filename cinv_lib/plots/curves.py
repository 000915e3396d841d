"""Figures with curves: over epochs, over labels, over severity; and histograms."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from cinv_lib.plots.style import OKABE_ITO, colour, finished, single

_MARKERS = "osD^vP"


def marked_lines(ax: Axes, x: Sequence[float], curves: Mapping[str, Sequence[float]]) -> None:
    """A line over x for each name; a marker repeats its colour."""
    for k, (name, y) in enumerate(curves.items()):
        marker = _MARKERS[k % len(_MARKERS)]
        ax.plot(x, y, marker=marker, ms=4, color=colour(name, k), label=name)


def log_ticks(ax: Axes, places: Sequence[Any]) -> None:
    """A logarithmic x axis with a mark at each of these places, and at no others."""
    ax.set_xscale("log")
    ax.set_xticks(places, [f"{place:,g}" for place in places])
    ax.minorticks_off()


def fall(history: pd.DataFrame, column: str = "loss", ends: int = 10) -> str:
    """Where a training went, as a title: the mean of `column` over its first steps and its last.

    >>> fall(pd.DataFrame({"loss": [3.0, 2.0, 1.0, 0.5]}), ends=1)
    'In 4 steps the loss goes from 3.0 to 0.5'
    """
    first, last = history[column].iloc[:ends].mean(), history[column].iloc[-ends:].mean()
    return f"In {len(history):,} steps the {column} goes from {first:.1f} to {last:.1f}"


def training_curves(name: str, history: pd.DataFrame, column: str = "loss") -> Figure:
    """`column` of a training history over its steps (lessons 05, 07, 18). Single steps are faint,
    means of epochs are not; the title is `fall`."""
    fig, ax = single(5.5, 3.2)
    ax.plot(history["step"], history[column], color=colour(name), alpha=0.25, lw=0.8)
    mean = history.groupby("epoch")[["step", column]].mean()
    ax.plot(mean["step"], mean[column], "o-", color=colour(name), ms=4, label=name)
    return finished(fig, ax, fall(history, column), xlabel="step", ylabel=column)


def severity_curves(
    severities: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    *,
    ylabel: str,
    xlabel: str = "severity",
    trained: tuple[float, float] | None = None,
    title: str = "",
) -> Figure:
    """A line for each name over severity (lesson 00), or over what `xlabel` says instead; `trained`
    shades the range of severities of the training."""
    fig, ax = single(5.5, 3.0)
    if trained:
        ax.axvspan(*trained, color=OKABE_ITO["sky"], alpha=0.15, label="trained on")
    marked_lines(ax, severities, curves)
    return finished(fig, ax, title, xlabel=xlabel, ylabel=ylabel)


def histograms(
    values: Mapping[str, Float[Tensor, " N"]], *, xlabel: str, title: str = ""
) -> Figure:
    """Histograms of several samples on one axis (lesson 05)."""
    fig, ax = single(5.5, 2.6)
    edges = np.histogram_bin_edges(torch.cat(list(values.values())).double(), 40).tolist()
    for k, (name, sample) in enumerate(values.items()):
        hatch = ("", "//", "..")[k % 3]
        look: dict[str, Any] = {"histtype": "stepfilled", "alpha": 0.5, "hatch": hatch}
        ax.hist(sample, edges, color=colour(name, k), label=name, **look)
    return finished(fig, ax, title, xlabel=xlabel, ylabel="pictures")
