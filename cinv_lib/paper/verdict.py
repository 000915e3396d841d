"""A claim: a sentence, the measurement that decides it, the rule of the verdict.

A claim says that a difference exceeds a margin. Each training seed gives one number, and Student's
t over these (`statistics.over_trainings`) gives the row's interval and its p. Over all rows that
were measured together, Benjamini and Hochberg's procedure at 5 % decides which differ from their
margins: a row above it *holds*, one below *does not hold*, all others are *not decided*. Holm's
stricter one marks those of which not even one is false in 95 of 100 such ledgers.

The claims themselves are in `claims`.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from cinv_lib.evaluation.statistics import LEVEL, by_training, over_trainings


@dataclass(frozen=True)
class Claim:
    """`measure` exceeds `margin`.

    quote: the paper's own words; "" where it has none, or the claim is ours.
    source: where it stands, or "ours". lesson: the number of the one that measures it.
    measure: takes the tables that its parameters name, as `lab.Lab.table` does, with all seeds,
        of one operator. Gives pairs (seed, realisation, difference, and perhaps "choice" and
        "units": of what all trainings share), or several by a word for each; or why nothing can be
        said. One without parameters computes: it gives numbers, by a word for each.
    on: only on operators whose names begin so.
    every: its rows, of all operators, are parts of one statement, as `whole` says.
    """

    number: int
    sentence: str
    quote: str
    source: str
    lesson: str
    measure: Callable[..., Any]
    margin: float = 0.0
    unit: str = "points"
    on: str = ""
    every: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        """The names of the tables that it needs."""
        return tuple(inspect.signature(self.measure).parameters)

    @property
    def ours(self) -> bool:
        """Whether the paper says nothing of the kind."""
        return self.source == "ours"


def claim(number: int, *, source: str, lesson: str, **more: Any) -> Callable[..., Claim]:
    """Makes the function below it the measurement of a claim: see `Claim` for the arguments. Its
    docstring is the claim's sentence and, after an empty line and ">", the paper's own words."""

    def made(measure: Callable[..., Any]) -> Claim:
        sentence, _, quote = inspect.cleandoc(measure.__doc__ or "").partition("\n\n> ")
        words = (" ".join(text.split()) for text in (sentence, quote))
        return Claim(number, *words, source, lesson, measure, **more)

    return made


def measured(
    claim: Claim, tables: Mapping[str, pd.DataFrame], operator: str = ""
) -> list[dict[str, Any]]:
    """A row for each thing that the claim measures on these tables, by name; `judged` decides."""
    found = claim.measure(*(tables[kind] for kind in claim.reads))
    if isinstance(found, pd.DataFrame | str):
        found = {"": found}
    return [_row(claim, operator, where, what) for where, what in found.items()]


def undecided(claim: Claim, operator: str, why: str) -> dict[str, Any]:
    """The row of what has not been measured, or cannot be."""
    return _row(claim, operator, "", why)


def judged(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Rows of `measured` and `undecided` as a ledger, with the verdict on each.

    Returns:
        claim, operator, where (which of several comparisons), difference, half_width (of its 95 %
        interval over trainings), margin, unit, p, seeds, each (by seed, what it measured), verdict,
        surely (whether Holm's procedure decides it too).
    """
    ledger = pd.DataFrame(rows)
    with_p = ledger.p.notna()
    p = ledger.p[with_p].to_numpy(dtype=float)
    rejected = false_discovery_control(p) <= LEVEL if len(p) else p > 0
    above = np.where(ledger.difference[with_p] > ledger.margin[with_p], "holds", "does not hold")
    ledger.loc[with_p, "verdict"] = np.where(rejected, above, "not decided")
    ledger["surely"] = False
    ledger.loc[with_p, "surely"] = holm(p)
    return ledger


def holm(p: np.ndarray) -> np.ndarray:
    """Whether Holm's procedure rejects each: in 95 of 100 families it rejects nothing falsely."""
    order = np.argsort(p)
    steps = p[order] * np.arange(len(p), 0, -1)
    return (np.maximum.accumulate(steps) <= LEVEL)[np.argsort(order)] if len(p) else p > 0


def whole(claim: Claim, ledger: pd.DataFrame) -> str:
    """The verdict on a claim whose rows are parts: it holds if every part holds, it does not if one
    does not."""
    parts = set(ledger.verdict[ledger.claim == claim.number])
    if "does not hold" in parts:
        return "does not hold"
    return "holds" if parts == {"holds"} else "not decided"


def _row(
    claim: Claim, operator: str, where: str, found: pd.DataFrame | float | str
) -> dict[str, Any]:
    row = {"claim": claim.number, "operator": operator, "where": where}
    value, half_width, p, each, said = math.nan, math.nan, math.nan, {}, ""
    if isinstance(found, str):
        said = found
    elif not isinstance(found, pd.DataFrame):  # computed: no chance in it
        value, said = found, "holds" if found > claim.margin else "does not hold"
    elif found.empty:
        said = "not decided (nothing to compare)"
    else:
        each = by_training(found).to_dict()
        shared = {name: found[name].iloc[0] for name in ("choice", "units") if name in found}
        value, half_width, p = over_trainings([*each.values()], claim.margin, **shared)
        said = f"not decided ({'one training' if len(each) == 1 else 'no two differ'})"
    row |= {"difference": value, "half_width": half_width, "margin": claim.margin}
    row |= {"unit": claim.unit, "p": p, "seeds": len(each), "each": each}
    return row | {"verdict": said}
