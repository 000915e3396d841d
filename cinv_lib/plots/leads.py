"""Differences as rows: who leads whom, by how much, and whether the trainings decide it."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cinv_lib.plots.dots import GREY, hollow, key, panelled
from cinv_lib.plots.style import OKABE_ITO, headed

INK = OKABE_ITO["black"]


def _row(ax: Axes, place: float, row: pd.Series) -> None:
    """A dot with its interval: filled where the interval decides, hollow where it does not."""
    decided = row.verdict in ("holds", "does not hold")
    half_width = 0 if pd.isna(row.half_width) else row.half_width
    look: dict[str, Any] = {"color": INK, "mfc": INK if decided else "white", "capsize": 2}
    ax.errorbar(row.difference, place, xerr=half_width, marker="o", ms=5, lw=1.2, **look)
    each = [*row.get("each", {}).values()]
    ax.plot(each, [place + 0.28] * len(each), "|", ms=6, mew=1, color=GREY)
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
        color=INK if decided else GREY,
    )


def lead_rows(
    panels: Mapping[str, pd.DataFrame],
    *,
    title: str,
    quoted: Mapping[str, pd.Series] | pd.Series | None = None,
    sharex: bool = False,
) -> Figure:
    """Differences with their 95 % intervals, one below the other (lessons 09, 11 to 14).

    A filled dot is decided by its interval, a hollow one is not; the number stands at the right.

    Args:
        panels: by what the x axis says, rows with a `difference`, the `half_width` of its interval
            (NaN where there is none) and a `verdict`; perhaps `each`, by seed what a training
            gives, for a small mark below the dot. All panels have the same index: the names.
        title: what the figure finds.
        quoted: the paper's differences by the same index, as hollow diamonds below the dots: by
            the same names as the panels, or of the first panel alone.
        sharex: whether all panels have one scale.

    Raises ValueError for panels whose rows are not the same ones.
    """
    first, *others = panels.values()
    if any(list(frame.index) != list(first.index) for frame in others):
        raise ValueError(f"panels {', '.join(panels)}: expected the same rows in each")
    theirs = {next(iter(panels)): quoted} if isinstance(quoted, pd.Series) else quoted or {}
    height = 1.2 + 0.3 * len(first) if theirs else 0.9 + 0.25 * len(first)
    fig, axes = panelled(len(panels), height, sharey=True, sharex=sharex)
    for ax, (xlabel, frame) in zip(axes, panels.items(), strict=True):
        ax.axvline(0, color="black", lw=0.8)
        for place, (name, row) in enumerate(frame.iterrows()):
            _row(ax, float(place), row)
            if xlabel in theirs and name in theirs[xlabel]:
                hollow(ax, theirs[xlabel][name], place + 0.28)
        ax.set_xlabel(xlabel, fontsize=9)
        ax.tick_params(labelsize=8)
    axes[0].set_yticks(range(len(first)), list(first.index), fontsize=8.5)
    axes[0].set_ylim(len(first) - 0.4, -0.6)
    if theirs:
        key(fig, axes[0], verdicts=INK, quoted=True)
    return headed(fig, title)
