"""Scores with names at them: bars by method."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from cinv_lib.plots.style import METHOD_COLOURS, OKABE_ITO, headed, tidied


def _bar(key: str) -> str:
    """A method's colour; what has none of its own is grey, so that those that have stand out."""
    return OKABE_ITO[METHOD_COLOURS[key]] if key in METHOD_COLOURS else "#B0B0B0"


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
