"""Scores with names at them: bars by method, and lines whose labels stand at their ends."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cinv_lib.plots.curves import _MARKERS, log_ticks
from cinv_lib.plots.style import METHOD_COLOURS, OKABE_ITO, colour, headed, tidied

NEXT = 0.075  # of the height of the axes: the least distance of two labels


def _bar(key: str) -> str:
    """A method's colour; what has none of its own is grey, so that those that have stand out."""
    return OKABE_ITO[METHOD_COLOURS[key]] if key in METHOD_COLOURS else "#B0B0B0"


def _line(key: str, place: int) -> str:
    """A method's colour; that of CLIP is black, under whatever probe or words."""
    return OKABE_ITO["black"] if key.startswith("clip") else colour(key, place)


def score_bars(
    panels: Mapping[str, pd.DataFrame],
    names: Mapping[str, str],
    *,
    title: str,
    xlabel: str = "top-1 (%)",
    quoted: Mapping[str, Mapping[str, float]] | None = None,
) -> Figure:
    """A bar for each method with its 95 % interval, its number at the right (lessons 12, 14).

    Args:
        panels: by the name of an operator, rows by the key of a method: `value`, `error`. A panel
            has a row for each method of its own.
        names: what each key is called.
        title: what the figure finds.
        quoted: the paper's values by operator and key, as hollow diamonds.
    """
    most = max(map(len, panels.values()))
    fig = Figure(figsize=(7.4, 1.0 + 0.26 * most), layout="constrained")
    same = len({tuple(frame.index) for frame in panels.values()}) == 1
    axes = fig.subplots(1, len(panels), sharex=True, sharey=same, squeeze=False)[0]
    for ax, (operator, frame) in zip(axes, panels.items(), strict=True):
        tidied(ax).grid(visible=False)
        for place, (key, row) in enumerate(frame.iterrows()):
            error = 0 if pd.isna(row.error) else row.error
            look = {"color": _bar(str(key)), "ecolor": "black", "capsize": 2}
            ax.barh(-place, row.value, 0.7, xerr=error, **look)
            at = max(row.value + error, 0) + 1.5
            ax.text(at, -place, f"{row.value:.0f}", va="center", fontsize=8)
        labels = [names[str(key)] for key in frame.index]
        ax.set_yticks([-place for place in range(len(frame))], labels, fontsize=8)
        ax.set_title(operator, fontsize=9, loc="left")
        ax.set_xlabel(xlabel, fontsize=9)
        ax.tick_params(axis="x", labelsize=8)
        paper = pd.Series((quoted or {}).get(operator, {}), dtype=float).reindex(frame.index)
        if paper.notna().any():
            look = {"facecolors": "white", "edgecolors": "black", "zorder": 5}
            places = [-place for place in range(len(frame))]
            ax.scatter(paper, places, 26, marker="D", label="the paper", **look)
            ax.legend(loc="lower right", fontsize=8, frameon=False)
    axes[0].set_xlim(0, 112)
    axes[0].set_xticks(range(0, 101, 25))
    return headed(fig, title)


def _apart(places: Sequence[float], least: float) -> list[float]:
    """The places, from low to high, moved so that no two are nearer than `least`."""
    order = np.argsort(places, kind="stable")
    moved = np.array(places, dtype=float)
    for low, high in pairwise(order):
        moved[high] = max(moved[high], moved[low] + least)
    return (moved - max(0.0, float((moved - np.array(places)).mean()))).tolist()


def _ends(ax: Axes, lines: pd.DataFrame, names: Mapping[str, str], top: float) -> None:
    """The name of each line beside its last point, in its colour."""
    last = lines.iloc[-1]
    for k, (name, place) in enumerate(zip(lines, _apart(list(last), NEXT * top), strict=True)):
        ax.annotate(
            names[name],
            (lines.index[-1], last[name]),
            xytext=(1.03, place),
            textcoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
            color=_line(name, k),
        )


def score_lines(
    panels: Mapping[str, pd.DataFrame],
    names: Mapping[str, str],
    *,
    title: str,
    xlabel: str,
    ylabel: str = "top-1 (%)",
    logarithmic: bool = False,
) -> Figure:
    """Lines over what the index of each panel has, their names at their right ends (lesson 14).

    Args:
        panels: by a title, a frame with a line in each column, its index the x axis.
        names: what each column is called; its key decides the colour.
        title: what the figure finds.
        logarithmic: a logarithmic x axis, from much to little.
    """
    fig = Figure(figsize=(7.4, 3.0), layout="constrained")
    axes = fig.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    top = max(float(np.nanmax(lines.to_numpy())) for lines in panels.values()) * 1.05
    for ax, (what, lines) in zip(axes, panels.items(), strict=True):
        tidied(ax)
        for k, name in enumerate(lines):
            marker = _MARKERS[k % len(_MARKERS)]
            ax.plot(lines.index, lines[name], marker=marker, ms=4, color=_line(name, k))
        if logarithmic:
            log_ticks(ax, list(lines.index))
            ax.invert_xaxis()
        else:
            ax.set_xticks(list(lines.index))
        ax.set_title(what, fontsize=9, loc="left")
        ax.set_xlabel(xlabel, fontsize=9)
        ax.set_ylim(-0.03 * top, top)
    _ends(axes[-1], panels[list(panels)[-1]], names, top)
    axes[0].set_ylabel(ylabel, fontsize=9)
    for ax in axes:
        ax.tick_params(labelsize=8)
    return headed(fig, title)
