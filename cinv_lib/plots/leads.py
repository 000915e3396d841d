"""Differences as rows: who leads whom, by how much, and whether the trainings decide it."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cinv_lib.plots.style import OKABE_ITO, headed, tidied

GREY = "#767676"


def _row(ax: Axes, place: float, row: pd.Series) -> None:
    """A dot with its interval: filled where the interval decides, hollow where it does not."""
    decided = row.verdict in ("holds", "does not hold")
    black = OKABE_ITO["black"]
    half_width = 0 if pd.isna(row.half_width) else row.half_width
    look: dict[str, Any] = {
        "color": black,
        "markerfacecolor": black if decided else "white",
        "capsize": 2,
    }
    ax.errorbar(row.difference, place, xerr=half_width, marker="o", ms=5, lw=1.2, **look)
    said = "" if pd.isna(row.half_width) else f" ± {row.half_width:.1f}"
    number = f"{row.difference:+.1f}" if row.difference else "0"
    ax.annotate(
        f"{number}{said}".replace("-", "−"),
        (1.0, place),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        color=black if decided else GREY,
    )


def lead_rows(
    panels: Mapping[str, pd.DataFrame], *, title: str, quoted: pd.Series | None = None
) -> Figure:
    """Differences with their 95 % intervals, one below the other (lessons 11, 13, 14).

    A filled dot is decided by its interval, a hollow one is not; the number stands at the right.

    Args:
        panels: by what the x axis says, rows with a `difference`, the `half_width` of its interval
            (NaN where there is none) and a `verdict`. All panels have the same index: the names.
        title: what the figure finds.
        quoted: the paper's differences by the same index, as hollow diamonds in the first panel.

    Raises ValueError for panels whose rows are not the same ones.
    """
    first, *others = panels.values()
    if any(list(frame.index) != list(first.index) for frame in others):
        raise ValueError(f"panels {', '.join(panels)}: expected the same rows in each")
    height = 0.9 + 0.25 * len(first)
    fig = Figure(figsize=(7.4, height), layout="constrained")
    axes = fig.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for ax, (xlabel, frame) in zip(axes, panels.items(), strict=True):
        tidied(ax).axvline(0, color="black", lw=0.8)
        for place, (_, row) in enumerate(frame.iterrows()):
            _row(ax, -float(place), row)
        ax.set_xlabel(xlabel, fontsize=9)
        ax.tick_params(labelsize=8)
    places = [-place for place in range(len(first))]
    axes[0].set_yticks(places, list(first.index), fontsize=8.5)
    axes[0].set_ylim(-len(first) + 0.4, 0.6)
    if quoted is not None:
        edges: dict[str, Any] = {"facecolors": "white", "edgecolors": GREY, "zorder": 3}
        values = quoted.reindex(first.index)
        axes[0].scatter(values, places, 30, marker="D", label="the paper", **edges)
        axes[0].legend(loc="best", fontsize=8, frameon=False)
    return headed(fig, title)
