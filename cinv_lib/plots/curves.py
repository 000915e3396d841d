"""Figures with curves: over epochs, over labels, over severity; and histograms."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from cinv_lib.plots.style import OKABE_ITO, _hollow, colour, legend, single

_MANY_MARKERS = "osDv^PX*"
_LEVELS = ("--", "-.", (0, (6, 1, 1, 1, 1, 1)))
_MARKERS = "osD^vP"


def training_curves(histories: Mapping[str, pd.DataFrame], column: str = "loss") -> Figure:
    """`column` of each training history over its steps (lessons 05, 07). Single steps are faint,
    means of epochs are not."""
    fig, ax = single(5.5, 3.2)
    for k, (name, history) in enumerate(histories.items()):
        ax.plot(history["step"], history[column], color=colour(name, k), alpha=0.25, lw=0.8)
        mean = history.groupby("epoch")[["step", column]].mean()
        marker = _MANY_MARKERS[k % len(_MANY_MARKERS)]
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
    """Accuracy over the labels used (lesson 06, Fig. 3).

    Args:
        results: columns `fraction` (or a number of labels), `value`, `se`, `method`. A method with
            a single fraction (the baseline, which uses all labels) is a dashed level.
        paper: the same columns, drawn hollow and dotted.
        names: labels of methods.
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
            marker = _MANY_MARKERS[k % len(_MANY_MARKERS)]
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


def severity_curves(
    severities: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    *,
    ylabel: str,
    xlabel: str = "severity",
    trained: tuple[float, float] | None = None,
) -> Figure:
    """A line for each name over severity (lesson 08), or over what `xlabel` says instead; `trained`
    shades the range of severities of the training."""
    fig, ax = single(5.5, 3.0)
    if trained:
        ax.axvspan(*trained, color=OKABE_ITO["sky"], alpha=0.15, label="trained on")
    for k, (name, values) in enumerate(curves.items()):
        marker = _MARKERS[k % len(_MARKERS)]
        ax.plot(severities, values, marker=marker, ms=4, color=colour(name, k), label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    legend(fig, ax)
    return fig


def histograms(values: Mapping[str, Float[Tensor, " N"]], *, xlabel: str) -> Figure:
    """Histograms of several samples on one axis (lesson 05)."""
    fig, ax = single(5.5, 2.6)
    low = min(float(sample.min()) for sample in values.values())
    high = max(float(sample.max()) for sample in values.values())
    for k, (name, sample) in enumerate(values.items()):
        style: dict[str, Any] = {
            "histtype": "stepfilled",
            "alpha": 0.5,
            "hatch": ("", "//", "..")[k % 3],
        }
        ax.hist(sample, bins=40, range=(low, high), color=colour(name, k), label=name, **style)
    ax.set(xlabel=xlabel, ylabel="pictures")
    legend(fig, ax)
    return fig
