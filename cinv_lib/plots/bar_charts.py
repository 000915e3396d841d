"""Figures with bars."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cinv_lib.plots.style import colour, finished, single

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


def bars(frame: pd.DataFrame, *, ylabel: str, title: str) -> Figure:
    """A group of bars for each row of `frame`, with a bar for each column (lesson 02)."""
    fig, ax = single(6.0, 3.2)
    grouped(ax, frame, hatches=("", "//", "..", "xx"), edge=None, group=0.8, share=1.0)
    ax.axhline(0, color="black", lw=0.8)
    return finished(fig, ax, title, ylabel=ylabel)
