"""Figures of dots with their 95 % intervals over trainings: scores, start and target."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cinv_lib.plots.style import OKABE_ITO, colour, headed, tidied

WIDTH = 7.84  # inches: the width of a page
GREY = "#666666"
LINE = 0.066  # of the height of axes of 2.4 inches: a line of text of 9 points
SMALL: dict[str, Any] = {"fontsize": 8, "va": "center"}


def panelled(
    panels: int, height: float, columns: int | None = None, **shared: Any
) -> tuple[Figure, Sequence[Axes]]:
    """A figure as wide as a page with panels side by side, without frames and with faint lines.

    height: of a row, in inches. columns: the most panels of a row; None for all in one.
    """
    columns = min(panels, columns or panels)
    rows = -(-panels // columns)
    fig = Figure(figsize=(WIDTH, rows * height), layout="constrained")
    axes = list(fig.subplots(rows, columns, squeeze=False, **shared).flat)
    for ax in axes[panels:]:
        ax.remove()
    axes = axes[:panels]
    for ax in axes:
        tidied(ax)
    return fig, axes


def key(fig: Figure, ax: Axes, *, verdicts: str = "", quoted: bool = False) -> None:
    """A legend below the axes of what filled, hollow and square marks mean. verdicts: the colour of
    the dots, where an interval decides whether they are filled."""
    if verdicts:
        ax.plot([], [], "o", ms=5, color=verdicts, label="decided by its interval")
        ax.plot([], [], "o", ms=5, mfc="white", mec=verdicts, label="not decided")
    if quoted:
        ax.plot([], [], "D", ms=5, mfc="white", mec=GREY, label="the paper")
    if ax.get_legend_handles_labels()[0]:
        fig.legend(loc="outside lower right", ncols=4, fontsize=8, frameon=False)


def line_names(ax: Axes, ends: Mapping[str, tuple[float, str]]) -> None:
    """Names of lines at the right of the axes, at the height of their ends, but a line of text
    apart, and not above the axes. The axes have their limits by now.

    ends: name -> (height, colour).
    """
    low, top = ax.get_ylim()
    gap, named = LINE * (top - low), sorted(ends.items(), key=lambda end: end[1][0])
    heights = [value for _, (value, _) in named]
    for k in range(1, len(heights)):
        heights[k] = max(heights[k], heights[k - 1] + gap)
    for k in reversed(range(len(heights))):
        heights[k] = min(heights[k], top - gap * (len(heights) - 1 - k))
    for (name, (_, ink)), height in zip(named, heights, strict=True):
        look: dict[str, Any] = {"color": ink, "fontsize": 9, "va": "center"}
        ax.annotate(name, (1.02, height), xycoords=("axes fraction", "data"), **look)


def hollow(ax: Axes, x: float, y: float) -> None:
    """A hollow diamond: a number of the paper's."""
    ax.plot(x, y, "D", ms=5, mfc="white", mec=GREY, mew=1, zorder=1)


def score_dots(
    panels: Mapping[str, pd.DataFrame],
    *,
    title: str,
    quoted: Mapping[str, pd.DataFrame] | None = None,
    xlabel: str = "top-1 accuracy (%)",
) -> Figure:
    """Scores with their intervals, a row for each name (lessons 06 and 10).

    Args:
        panels: by the name of the panel, columns `row` (what the row is called), `method` (a key,
            for the colour), `value` and `error` (half-width, NaN where there is none). Where
            several methods share a row they lie one below the other, and `label` names them.
        quoted: the paper's, likewise, as hollow diamonds.
    """
    rows = list(dict.fromkeys(name for frame in panels.values() for name in frame.row))
    methods = list(dict.fromkeys(m for frame in panels.values() for m in frame.method))
    share = max(len(frame) for frame in panels.values()) / len(rows)
    height = 1.3 + 0.2 * len(rows) * (1 + share)
    fig, axes = panelled(len(panels), height, columns=3, sharey=True)  # names need their room
    many = share > 1
    for ax, (name, frame) in zip(axes, panels.items(), strict=True):
        for row in frame.itertuples():
            step = (methods.index(row.method) - (len(methods) - 1) / 2) * 0.24 if many else 0.0
            place, half = rows.index(row.row) + step, 0 if pd.isna(row.error) else row.error
            ink = colour(row.method, methods.index(row.method))
            ax.errorbar(row.value, place, xerr=half, fmt="o", ms=5, color=ink, capsize=2)
            right = row.value + half < 72
            at = row.value + (half + 3 if right else -half - 3)
            side = "left" if right else "right"
            ax.text(at, place, f"{row.value:.1f}", ha=side, color=ink, **SMALL)
        for row in () if quoted is None or name not in quoted else quoted[name].itertuples():
            if row.row in rows:
                hollow(ax, row.value, rows.index(row.row) + (0.0 if many else 0.36))
        ax.set(title=name, xlabel=xlabel, xlim=(-4, 104), yticks=range(len(rows)))
        ax.set_yticklabels(rows, fontsize=9)
        ax.grid(axis="x", alpha=0.3)
        ax.title.set_fontsize(9)
    axes[0].set_ylim(len(rows) - 0.45, -0.55)
    if many:
        named = {r.method: r.label for frame in panels.values() for r in frame.itertuples()}
        for k, method in enumerate(methods):
            axes[0].plot([], [], "o", ms=5, color=colour(method, k), label=named[method])
    key(fig, axes[0], quoted=bool(quoted))
    return headed(fig, title)


def unsaid_leads(leads: pd.DataFrame) -> Figure:
    """Leads with their intervals and a fine grid, without numbers or a title: the reader writes the
    sentence (lesson 09). Columns difference and half_width, rows by name."""
    fig = Figure(figsize=(5.4, 0.9 + 0.35 * len(leads)), layout="constrained")
    ax = tidied(fig.subplots())
    places, ink = range(len(leads)), OKABE_ITO["blue"]
    ax.errorbar(leads.difference, places, xerr=leads.half_width, fmt="o", capsize=3, color=ink)
    ax.axvline(0, color="black", lw=0.8)
    ends = math.ceil((leads.difference.abs() + leads.half_width).max()) + 1
    ax.set_xticks(range(-ends, ends + 1), minor=True)
    ax.grid(axis="x", which="both", alpha=0.3)
    ax.set(xlabel="student minus baseline (points)", xlim=(-ends, ends))
    ax.set(yticks=places, yticklabels=list(leads.index), ylim=(len(leads) - 0.5, -0.5))
    return fig


def start_by_target(cells: pd.DataFrame, *, title: str, colours: Mapping[str, str]) -> Figure:
    """Scores by the weights that a training starts from, a line for each target (lesson 07).

    Args:
        cells: columns panel, start, target, value and error (half-width). A start that a target
            was not trained from has a question mark.
        colours: target -> a method's key, whose colour the line takes.
    """
    starts = list(dict.fromkeys(cells.start))
    panels = list(dict.fromkeys(cells.panel))
    fig, axes = panelled(len(panels), 3.4, sharey=True)
    for ax, panel in zip(axes, panels, strict=True):
        here = cells[cells.panel == panel]
        best = here.groupby("start").value.max()
        for target, method in colours.items():
            mine = here[here.target == target].set_index("start")
            if mine.empty:
                continue
            mine = mine.loc[[start for start in starts if start in mine.index]]
            places, ink = [starts.index(start) for start in mine.index], colour(method)
            ax.errorbar(places, mine.value, mine.error.fillna(0), fmt="o-", color=ink, capsize=3)
            for place, (start, value) in zip(places, mine.value.items(), strict=True):
                # Outside the lines: the number of the highest is above it, those of others below.
                side = 6 if place or len(starts) == 1 else -28
                away = (side, 5 if value == best[start] else -11 if len(mine) > 1 else -20)
                text: dict[str, Any] = {"xytext": away, "textcoords": "offset points"}
                ax.annotate(f"{value:.1f}", (place, value), color=ink, fontsize=8, **text)
            for place in set(range(len(starts))) - set(places):
                nearest = min(range(len(places)), key=lambda k: abs(places[k] - place))
                look: dict[str, Any] = {"color": ink, "ha": "center", "va": "center"}
                ax.text(place - 0.1, mine.value.iloc[nearest], "?", fontsize=11, **look)
        ax.set_xticks(range(len(starts)), [start.replace(" ", "\n", 1) for start in starts])
        ends = -0.2 * len(starts), len(starts) - 0.55  # the numbers at the left end have room
        ax.set(xlim=ends, ymargin=0.1, title=panel, xlabel="where the training starts")
        ax.title.set_fontsize(9)
    for target, method in colours.items():
        if target in set(cells.target):
            axes[0].plot([], [], "o-", color=colour(method), label=f"target: {target}")
    key(fig, axes[0])
    axes[0].set_ylabel("top-1 accuracy (%)")
    return headed(fig, title)
