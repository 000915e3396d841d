"""A claim: a sentence, the measurement that decides it, the rule of the verdict.

A claim says that a difference exceeds a margin. It *holds* when it does so by more than two
standard errors, *does not hold* when it falls short by more than two, and is *not decided*
otherwise. The error that counts is the largest of those that are known: over realisations of the
corruption, over training seeds, over the choice of pictures or classes where these are few.

The claims themselves are in `claims`.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cinv_lib.evaluation.statistics import (
    ERRORS,
    NOTHING,
    estimate,
    largest,
    standard_errors,
    verdict,
)


@dataclass(frozen=True)
class Claim:
    """`measure` exceeds `margin`.

    quote: the paper's own words; "" where it has none, or the claim is ours.
    source: where it stands, or "ours". lesson: the number of the one that measures it.
    measure: takes the tables that its parameters name, as `lab.Lab.table` does, with all seeds,
        of one operator. Gives pairs (seed, realisation, difference, and perhaps
        "choice": a standard error of its own), or several by a word for each. One without
        parameters computes: it gives numbers, by a word for each.
    on: only on operators whose names begin so.
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


def decide(
    claim: Claim, tables: Mapping[str, pd.DataFrame], operator: str = ""
) -> list[dict[str, Any]]:
    """A row of the ledger for each thing that the claim measures on these tables, by name."""
    measured = claim.measure(*(tables[kind] for kind in claim.reads))
    if isinstance(measured, pd.DataFrame):
        measured = {"": measured}
    return [_row(claim, operator, where, found) for where, found in measured.items()]


def undecided(claim: Claim, operator: str, why: str) -> dict[str, Any]:
    """The row of what has not been measured."""
    return _row(claim, operator, "", NOTHING, why)


def _row(
    claim: Claim, operator: str, where: str, found: pd.DataFrame | float, why: str = ""
) -> dict[str, Any]:
    row = {"claim": claim.number, "operator": operator, "where": where}
    errors, seeds = (math.nan, math.nan, math.nan), 0
    if not isinstance(found, pd.DataFrame):  # computed: no chance in it
        value, decided = found, verdict(found, 0.0, claim.margin)
    elif found.empty:
        value, decided = math.nan, why or "not decided (nothing to compare)"
    else:
        value, seeds = estimate(found, "difference")[0], found.seed.nunique()
        choice = found.choice.iloc[0] if "choice" in found else math.nan
        errors = (*standard_errors(found), choice)
        decided = verdict(value, largest(errors), claim.margin)
    row |= {"difference": value, "margin": claim.margin, "unit": claim.unit}
    return row | dict(zip(ERRORS, errors, strict=True)) | {"seeds": seeds, "verdict": decided}
