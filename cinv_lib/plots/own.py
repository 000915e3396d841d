"""The figures of lesson 18: what encoders name rightly, looks at other trainings, and a gallery."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from cinv_lib.plots.pictures import image_grid
from cinv_lib.plots.style import colour, single

_HATCHES = ("", "//", "..", "\\\\", "xx")


def asked_bars(values: Mapping[str, float], title: str, xlabel: str) -> Figure:
    """A bar for each name, from top to bottom, with its value beside it."""
    fig, ax = single(6.0, 1.0 + 0.4 * len(values))
    for k, (name, value) in enumerate(values.items()):
        ax.barh(name, value, 0.6, color=colour(name, k), hatch=_HATCHES[k % 5], edgecolor="white")
        ax.text(value, k, f" {value:.0f}", va="center", fontsize=9)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set(xlabel=xlabel, xlim=(0, max(100.0, *values.values())))
    ax.set_title(title, fontsize=10, loc="left")
    return fig


def look_dots(looks: pd.DataFrame, title: str, xlabel: str) -> Figure:
    """A dot for each draw of the corruption, a row for each look (indices of `looks`; a column
    each draw). The first row is what the others are compared with."""
    fig, ax = single(6.0, 1.0 + 0.4 * len(looks))
    ax.axvline(looks.iloc[0].mean(), color="black", lw=0.8, ls=":")
    for k, (name, draws) in enumerate(looks.iterrows()):
        hue = colour("student S" if k == 0 else "", k)
        ax.scatter(draws, [name] * len(draws), 14, color=hue, alpha=0.5, marker="osD^"[k % 4])
        ax.scatter(draws.mean(), name, 50, color=hue, marker="osD^"[k % 4])
    ax.invert_yaxis()
    ax.margins(y=0.12)  # or the last row's dots are cut in half
    ax.set(xlabel=xlabel)
    ax.set_title(title, fontsize=10, loc="left")
    return fig


def gallery(images: Sequence[Tensor], titles: Sequence[str], title: str, columns: int) -> Figure:
    """Pictures with a text above each, and one above all."""
    fig = image_grid(images, titles, columns=columns)
    fig.suptitle(title, fontsize=10)
    return fig
