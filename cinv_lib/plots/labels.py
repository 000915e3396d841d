"""Accuracy over a number of pictures: labelled ones per class, or unlabelled ones."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from cinv_lib.plots.curves import log_ticks
from cinv_lib.plots.dots import GREY, key, line_names, panelled
from cinv_lib.plots.style import colour, headed


def label_curves(
    panels: Mapping[str, pd.DataFrame],
    *,
    title: str,
    names: Mapping[str, str],
    quoted: Mapping[str, pd.DataFrame] | None = None,
    over: str = "per_class",
    xlabel: str = "labelled pictures per class",
    ylim: tuple[float, float] = (-3, 103),
) -> Figure:
    """A line with intervals for each method, and a dashed level for one without labels, or with all
    (lesson 06, Figure 3).

    Args:
        panels: by the name of the panel, columns method, per_class, value and error (half-width).
            A method with one number of pictures is a level.
        names: what a method is called at its line, in the last panel.
        quoted: the paper's student, columns per_class and value, as hollow diamonds.
        over: the column that has the numbers of pictures, where it is another one.
    """
    fig, axes = panelled(len(panels), 3.6, sharey=True)
    for ax, (name, frame) in zip(axes, panels.items(), strict=True):
        ends = {}
        for k, (method, rows) in enumerate(frame.groupby("method", sort=False)):
            rows, ink = rows.sort_values(over), colour(str(method), k)
            if len(rows) == 1:
                ax.axhline(rows.value.item(), ls="--", lw=1.2, color=ink)
            else:
                error = rows.error.fillna(0)
                ax.errorbar(rows[over], rows.value, error, fmt="o-", ms=4, capsize=2, color=ink)
            ends[names.get(str(method), str(method))] = (rows.value.iloc[-1], ink)
        counts = set(frame[over][frame[over] > 0])
        if quoted is not None and name in quoted:
            theirs = quoted[name].sort_values("per_class")
            ax.plot(theirs.per_class, theirs.value, "D", ms=5, mfc="white", mec=GREY)
            counts |= {max(theirs.per_class)} if len(theirs) else set()
        log_ticks(ax, sorted(counts))
        ax.tick_params(axis="x", labelsize=8)
        ax.set(title=name, xlabel=xlabel, ylim=ylim)
        ax.title.set_fontsize(9)
        if ax is axes[-1]:
            line_names(ax, ends)
    axes[0].set_ylabel("top-1 accuracy (%)")
    key(fig, axes[0], quoted=bool(quoted))
    return headed(fig, title)
