"""Figures with bars, and differences with their errors: results, the ledger's margins."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cinv_lib.evaluation.statistics import ERRORS
from cinv_lib.plots.style import OKABE_ITO, _hollow, colour, legend, single

_VERDICTS = {"holds": ("green", "o"), "does not hold": ("vermilion", "X")}  # others: not decided
_HATCHES = ("", "//", "..", "\\\\", "xx", "--", "oo")


def bars(frame: pd.DataFrame, *, ylabel: str) -> Figure:
    """A group of bars for each row of `frame`, with a bar for each column (lessons 02, 04, 14)."""
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
    """Differences with two standard errors, one below the other, beside the paper's.

    Args:
        measured: rows with a `difference`, its `error` and its `verdict`, which marks it as in
            `margins`.
        quoted: the paper's differences by the same index, drawn as hollow diamonds.
    """
    fig, ax = single(6.0, 0.6 + 0.22 * len(measured))
    places = range(0, -len(measured), -1)
    for place, row in zip(places, measured.itertuples(), strict=True):
        name, marker = _VERDICTS.get(row.verdict, ("black", "o"))
        face = OKABE_ITO[name] if row.verdict in _VERDICTS else "white"
        error = 0 if pd.isna(row.error) else 2 * row.error
        style: dict[str, Any] = {
            "marker": marker,
            "color": OKABE_ITO[name],
            "markerfacecolor": face,
        }
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
    """Rows of `verdicts.ledger` that have a difference, with two standard errors (lesson 15).

    A bar is the margin that the difference has to clear. A claim that holds is a green circle, one
    that does not is a red cross, and one that is not decided is hollow.

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


def result_bars(
    results: pd.DataFrame,
    paper: pd.DataFrame | None = None,
    *,
    names: Mapping[str, str] | None = None,
    ylabel: str = "top-1 accuracy (%)",
) -> Figure:
    """Bars of `value` with error bars `se`, grouped by `operator`, one bar for each `method`.

    Args:
        paper: the same columns (see `cinv_lib.paper`), its operators renamed to those of `results`;
            drawn as hollow diamonds over the bars that they belong to.
        names: labels of methods.
    """
    operators = list(dict.fromkeys(results["operator"]))
    methods = list(dict.fromkeys(results["method"]))
    width = 0.84 / len(methods)
    fig, ax = single(max(5.0, 0.5 + 0.42 * len(operators) * len(methods)), 3.4)
    for k, method in enumerate(methods):
        at = np.arange(len(operators)) + (k - (len(methods) - 1) / 2) * width
        rows = results[results["method"] == method].set_index("operator").reindex(operators)
        ax.bar(
            at,
            rows["value"],
            width * 0.92,
            yerr=rows["se"].fillna(0),
            capsize=2,
            color=colour(method, k),
            hatch=_HATCHES[k % len(_HATCHES)],
            edgecolor="white",
            label=(names or {}).get(method, method),
        )
        if paper is not None:
            quoted = paper[paper["method"] == method].set_index("operator").reindex(operators)
            _hollow(ax, at, quoted["value"], OKABE_ITO["black"])
    ax.set_xticks(range(len(operators)), operators)
    ax.set(ylabel=ylabel, ylim=(0, 100 if results["value"].max() > 1 else 1))
    legend(fig, ax)
    return fig
