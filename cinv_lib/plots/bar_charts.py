"""Figures with bars, and differences with their errors: results."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cinv_lib.plots.style import OKABE_ITO, _hollow, colour, finished, single

_VERDICTS = {"holds": ("green", "o"), "does not hold": ("vermilion", "X")}  # others: not decided
_HATCHES = ("", "//", "..", "\\\\", "xx", "--", "oo")


def grouped(
    ax: Axes,
    heights: pd.DataFrame,
    errors: pd.DataFrame | None = None,
    *,
    names: Mapping[str, str] | None = None,
    hatches: Sequence[str] = _HATCHES,
    edge: str | None = "white",
    group: float = 0.84,
    share: float = 0.92,
) -> list[np.ndarray]:
    """Draw a group of bars for each row of `heights`, with a bar for each column; a hatch repeats
    its colour.

    Args:
        errors: half the lengths of the error bars, in the same rows and columns.
        names: what the legend says for a column, where it is not the column's name.
        edge: the colour of the bars' edges and hatches; None is matplotlib's own.
        group: the width of a group, of the 1 from one group to the next.
        share: the width of a bar, of the width that a group has for it.

    Returns the places of each column's bars on the x axis.
    """
    count = len(heights.columns)
    width, places = group / count, []
    for k, name in enumerate(heights.columns):
        places.append(np.arange(len(heights)) + (k - (count - 1) / 2) * width)
        ax.bar(
            places[k],
            heights[name],
            width * share,
            yerr=None if errors is None else errors[name],
            capsize=2,
            color=colour(name, k),
            hatch=hatches[k % len(hatches)],
            edgecolor=edge,
            label=(names or {}).get(name, name),
        )
    ax.set_xticks(range(len(heights)), list(map(str, heights.index)))
    return places


def bars(frame: pd.DataFrame, *, ylabel: str) -> Figure:
    """A group of bars for each row of `frame`, with a bar for each column (lessons 02, 04, 14)."""
    fig, ax = single(6.0, 3.2)
    grouped(ax, frame, hatches=("", "//", "..", "xx"), edge=None, group=0.8, share=1.0)
    ax.axhline(0, color="black", lw=0.8)
    return finished(fig, ax, ylabel=ylabel)


def _marked(
    measured: pd.DataFrame, labels: Sequence[str], size: tuple[float, float]
) -> tuple[Figure, Axes]:
    """Differences with their 95 % intervals from top to bottom, marked by their verdicts, in a
    figure of this size in inches."""
    fig, ax = single(*size)
    for place, (difference, half_width, verdict) in enumerate(
        measured[["difference", "half_width", "verdict"]].itertuples(index=False)
    ):
        name, marker = _VERDICTS.get(verdict, ("black", "o"))
        ax.errorbar(
            difference,
            -place,
            xerr=0 if pd.isna(half_width) else half_width,
            marker=marker,
            color=OKABE_ITO[name],
            markerfacecolor=OKABE_ITO[name] if verdict in _VERDICTS else "white",
            capsize=2,
        )
    ax.set_yticks([-place for place in range(len(measured))], labels, fontsize=8)
    return fig, ax


def differences(measured: pd.DataFrame, quoted: pd.Series, *, xlabel: str) -> Figure:
    """Differences with their 95 % intervals, one below the other, beside the paper's.

    Args:
        measured: rows with a `difference`, the `half_width` of its interval and its `verdict`,
            which marks it: green if it holds, red if it does not, hollow if it is not decided.
        quoted: the paper's differences by the same index, drawn as hollow diamonds.
    """
    fig, ax = _marked(measured, list(measured.index), (6.0, 0.6 + 0.22 * len(measured)))
    _hollow(ax, quoted.reindex(measured.index), range(0, -len(measured), -1), size=30.0)
    ax.axvline(0, color="black", lw=0.8)
    return finished(fig, ax, xlabel=xlabel)


def result_bars(
    results: pd.DataFrame,
    paper: pd.DataFrame | None = None,
    *,
    names: Mapping[str, str] | None = None,
    ylabel: str = "top-1 accuracy (%)",
) -> Figure:
    """Bars of `value` with error bars `error`, grouped by `operator`, one bar for each `method`.

    Args:
        paper: the same columns (see `cinv_lib.paper`), its operators renamed to those of `results`;
            drawn as hollow diamonds over the bars that they belong to.
        names: labels of methods.
    """
    order = {"index": results["operator"].unique(), "columns": results["method"].unique()}
    wide = results.pivot(index="operator", columns="method")
    value, error = (wide[column].reindex(**order) for column in ("value", "error"))
    fig, ax = single(max(5.0, 0.5 + 0.42 * value.size), 3.4)
    places = grouped(ax, value, error.fillna(0), names=names)
    if paper is not None:
        for method, at in zip(value, places, strict=True):
            quoted = paper[paper["method"] == method].set_index("operator").reindex(value.index)
            _hollow(ax, at, quoted["value"])
    limits = (0, 100 if results["value"].max() > 1 else 1)
    return finished(fig, ax, ylabel=ylabel, ylim=limits)
