"""Curves over the severity of a corruption, from hard at the left to easy at the right. That of a
mask is the number of pixels left, on a logarithmic axis: what a network sees is a number of pixels,
and the hardest few percent, where verdicts are taken, get room.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cinv_lib.experiments.spoken import kind
from cinv_lib.operators.basic import parse
from cinv_lib.plots.curves import log_ticks
from cinv_lib.plots.dots import GREY, LINE, key, line_names, panelled
from cinv_lib.plots.style import OKABE_ITO, colour, headed

APART = 0.09  # tick labels, at least, in widths of the axis


def left(severity: float | int, side: int) -> int:
    """How many pixels a mask of this severity leaves of a picture `side` pixels wide.

    >>> left(0.99, 64), left(0, 64)
    (41, 4096)
    """
    return side**2 - int(side**2 * severity)


def places(op: str, severities: Sequence[float], side: int) -> list[float]:
    """Where severities of an operator lie on its axis: a mask's pixels left, else themselves."""
    return [float(left(s, side) if kind(op) == "masks" else s) for s in severities]


def _axis(ax: Axes, op: str, severities: Sequence[float], side: int) -> list[float]:
    """An axis for the severities of an operator, the hardest at the left; their places on it."""
    at, masks = places(op, severities, side), kind(op) == "masks"
    if masks:
        ax.set_xscale("log")
        words = [f"{place:,.0f}\n{100 * s:.4g} %" for place, s in zip(at, severities, strict=True)]
        ax.set_xlabel("pixels left, and share of pixels missing")
    else:
        words = [f"{s:g}" for s in severities]
        ax.set_xlabel(f"σ of the {kind(op)} (hard at the left)")
    scaled = np.log(at) if masks else np.asarray(at, dtype=float)
    shown: list[int] = []
    for k in reversed(range(len(at))):  # the hardest first
        apart = [abs(scaled[k] - scaled[other]) for other in shown]
        if not apart or min(apart) > APART * float(np.ptp(scaled)):
            shown.append(k)
    ax.set_xticks([at[k] for k in shown], [words[k] for k in shown], fontsize=7)
    ax.minorticks_off()
    if not masks:
        ax.invert_xaxis()
    ax.set_title(f"{kind(op)}", fontsize=9)
    return at


def _shaded(
    ax: Axes, at: Sequence[float], rows: Sequence[bool], words: str, ink: str, line: int = 0
) -> None:
    """Shade where `rows` are true, half way to the next place; nothing where none is. line: of the
    words, from the top."""
    inside = [k for k, row in enumerate(rows) if row]
    if not inside:
        return
    log = ax.get_xscale() == "log"

    def mean(a: float, b: float) -> float:
        return math.sqrt(a * b) if log else (a + b) / 2

    first, last = inside[0], inside[-1]
    ends = sorted(ax.get_xlim(), key=lambda end: abs(end - at[0]))
    begin = ends[0] if first == 0 else mean(at[first - 1], at[first])
    end = ends[1] if last == len(at) - 1 else mean(at[last], at[last + 1])
    ax.axvspan(begin, end, color=ink, alpha=0.18, lw=0, zorder=0)
    look: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 8, "color": GREY}
    ax.text(mean(begin, end), 0.99 - LINE * line, words, transform=ax.get_xaxis_transform(), **look)


def lead_curves(
    panels: Mapping[str, pd.DataFrame],
    side: int,
    *,
    title: str,
    quoted: Mapping[str, pd.Series] | None = None,
    ylabel: str = "student minus baseline (points)",
) -> Figure:
    """Leads over the severities of operators with a range (lesson 08).

    Filled dots are decided by their interval, hollow ones are not. The range that was trained on
    is shaded, and so are severities where all guess.

    Args:
        panels: by operator, rows by severity: difference, half_width, verdict, and `guess`, whether
            all guess there.
        side: the width of the pictures in pixels.
        quoted: the paper's leads by operator and severity, as hollow diamonds.
    """
    fig, axes = panelled(len(panels), 3.5)
    for ax, (op, table) in zip(axes, panels.items(), strict=True):
        low, high = parse(op).bounds
        at = _axis(ax, op, list(table.index), side)
        ink, half = OKABE_ITO["blue"], table.half_width.fillna(0)
        ax.errorbar(at, table.difference, half, fmt="-", color=ink, capsize=2)
        for place, row in zip(at, table.itertuples(), strict=True):
            decided = row.verdict in ("holds", "does not hold")
            ax.plot(place, row.difference, "o", ms=5, mfc=ink if decided else "white", mec=ink)
        if quoted is not None and op in quoted:
            theirs = quoted[op].reindex(table.index)
            ax.plot(at, theirs, "D", ms=5, mfc="none", mec=GREY)
        ax.axhline(0, color="black", lw=0.8)
        ax.set_xlim(ax.get_xlim())
        trained = [low <= s <= high for s in table.index]
        _shaded(ax, at, trained, "trained on", OKABE_ITO["sky"])
        if table.guess[trained].any():  # the two lie over one another, and so would their words
            _shaded(ax, at, list(table.guess), "both guess", GREY, line=1)
        else:
            _shaded(ax, at, list(table.guess), "both\nguess", GREY)
    key(fig, axes[0], verdicts=OKABE_ITO["blue"], quoted=quoted is not None)
    axes[0].set_ylabel(ylabel)
    return headed(fig, title)


def score_curves(
    panels: Mapping[str, pd.DataFrame],
    side: int | None = None,
    *,
    title: str,
    names: Mapping[str, str],
    xlabel: str = "",
    ylabel: str = "top-1 accuracy (%)",
    logarithmic: bool = False,
) -> Figure:
    """A line for each method, its name at the right end (lessons 07, 08, 13, 14).

    Args:
        panels: by title, rows by what the x axis has, a column for each method's key.
        side: the width of the pictures in pixels. With it, panels are by operator with a range, and
            rows by severity, and the x axis is that of `lead_curves`.
        names: what a method is called; its key decides the colour.
        xlabel: what the x axis says; unused with `side`.
        logarithmic: a logarithmic x axis, from much to little; unused with `side`.
    """
    fig, axes = panelled(len(panels), 3.5, sharey=True)
    for ax, (name, table) in zip(axes, panels.items(), strict=True):
        at = list(table.index)
        if side is not None:
            at = _axis(ax, name, at, side)
        elif logarithmic:
            log_ticks(ax, at)
            ax.invert_xaxis()
        else:
            ax.set_xticks(at)
        for k, method in enumerate(table):
            ax.plot(at, table[method], "o-", ms=3.5, color=colour(method, k))
        if side is None:
            ax.set_xlabel(xlabel)
            ax.set_title(name, fontsize=9)
        else:
            low, high = parse(name).bounds
            ax.set_xlim(ax.get_xlim())
            _shaded(ax, at, [low <= s <= high for s in table.index], "trained on", OKABE_ITO["sky"])
        if ax is axes[-1]:
            k = at.index(min(at) if ax.xaxis_inverted() else max(at))
            ends: dict[str, Any] = {
                names.get(method, method): (table[method].iloc[k], colour(method, place))
                for place, method in enumerate(table)
            }
            line_names(ax, ends)
    axes[0].set_ylabel(ylabel)
    return headed(fig, title)
