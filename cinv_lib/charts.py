"""Further figures of the lessons: curves over severity, histograms, the ledger's margins."""

from collections.abc import Mapping, Sequence

import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from cinv_lib.claims import ERRORS
from cinv_lib.look import OKABE_ITO, colour
from cinv_lib.plots import legend, single

_MARKERS = "osD^vP"
_VERDICTS = {"holds": ("green", "o"), "does not hold": ("vermilion", "X")}  # others: not decided


def severity_curves(
    severities: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    *,
    ylabel: str,
    xlabel: str = "severity",
    trained: tuple[float, float] | None = None,
) -> Figure:
    """One line a name over severity, or over what `xlabel` says instead; `trained` shades the range
    of severities of the training."""
    fig, ax = single(5.5, 3.0)
    if trained:
        ax.axvspan(*trained, color=OKABE_ITO["sky"], alpha=0.15, label="trained on")
    for k, (name, values) in enumerate(curves.items()):
        marker = _MARKERS[k % len(_MARKERS)]
        ax.plot(severities, values, marker=marker, ms=4, color=colour(name, k), label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    legend(fig, ax)
    return fig


def histograms(values: Mapping[str, Float[Tensor, " N"]], *, xlabel: str) -> Figure:
    """Histograms of several samples on one axis."""
    fig, ax = single(5.5, 2.6)
    low = min(float(sample.min()) for sample in values.values())
    high = max(float(sample.max()) for sample in values.values())
    for k, (name, sample) in enumerate(values.items()):
        style = {"histtype": "stepfilled", "alpha": 0.5, "hatch": ("", "//", "..")[k % 3]}
        ax.hist(sample, bins=40, range=(low, high), color=colour(name, k), label=name, **style)
    ax.set(xlabel=xlabel, ylabel="pictures")
    legend(fig, ax)
    return fig


def bars(frame: pd.DataFrame, *, ylabel: str) -> Figure:
    """A group of bars a row of `frame`, a bar a column."""
    fig, ax = single(6.0, 3.2)
    width = 0.8 / len(frame.columns)
    for k, name in enumerate(frame.columns):
        places = [row + (k - (len(frame.columns) - 1) / 2) * width for row in range(len(frame))]
        hatch = ("", "//", "..", "xx")[k % 4]
        ax.bar(places, frame[name], width, label=name, color=colour(name, k), hatch=hatch)
    ax.axhline(0, color="black", lw=0.8)
    ax.set_xticks(range(len(frame)), frame.index)
    ax.set(ylabel=ylabel)
    legend(fig, ax)
    return fig


def differences(measured: pd.DataFrame, quoted: pd.Series, *, xlabel: str) -> Figure:
    """A row for each of `measured`, from the top: `difference` with two of its `error`, marked by
    its `verdict` as in `margins`; hollow diamonds are the `quoted` ones of the same index."""
    fig, ax = single(6.0, 0.6 + 0.22 * len(measured))
    places = range(0, -len(measured), -1)
    for place, row in zip(places, measured.itertuples(), strict=True):
        name, marker = _VERDICTS.get(row.verdict, ("black", "o"))
        face = OKABE_ITO[name] if row.verdict in _VERDICTS else "white"
        error = 0 if pd.isna(row.error) else 2 * row.error
        style = {"marker": marker, "color": OKABE_ITO[name], "markerfacecolor": face}
        ax.errorbar(row.difference, place, xerr=error, capsize=2, **style)
    theirs = quoted.reindex(measured.index)
    style = {"marker": "D", "facecolors": "white", "edgecolors": OKABE_ITO["black"]}
    ax.scatter(theirs, places, 30, zorder=3, label="the paper", **style)
    ax.set_yticks(places, measured.index, fontsize=8)
    ax.set(xlabel=xlabel)
    ax.axvline(0, color="black", lw=0.8)
    legend(fig, ax)
    return fig


def margins(ledger: pd.DataFrame) -> Figure:
    """Rows of `ledger.ledger` that have a difference, with two standard errors, and the margin it
    has to clear (a bar). Green circle: holds. Red cross: does not. Hollow: not decided.

    Raises ValueError if none has, or if their units differ.
    """
    ledger = ledger.dropna(subset="difference").reset_index(drop=True)
    units = ledger.unit.unique()
    if len(units) != 1:
        raise ValueError(f"rows in {', '.join(units) or 'no unit'}; expected some, all in one unit")
    fig, ax = single(6.5, 0.5 + 0.26 * len(ledger))
    for place, row in enumerate(ledger.itertuples()):
        error = ledger.loc[row.Index, ERRORS].max()
        name, marker = _VERDICTS.get(row.verdict, ("black", "o"))
        face = OKABE_ITO[name] if row.verdict in _VERDICTS else "white"
        ax.errorbar(
            row.difference,
            -place,
            xerr=0 if pd.isna(error) else 2 * error,
            marker=marker,
            color=OKABE_ITO[name],
            markerfacecolor=face,
            capsize=2,
        )
        ax.plot([row.margin] * 2, [-place - 0.35, -place + 0.35], color="black", lw=2)
    labels = [f"{row.claim}. {row.operator} {row.where}" for row in ledger.itertuples()]
    ax.set_yticks([-place for place in range(len(ledger))], labels, fontsize=8)
    ax.set(xlabel=f"difference ({units[0]}), with two standard errors")
    ax.axvline(0, color="black", lw=0.5)
    return fig
