"""A claim: a sentence, the measurement that decides it, the rule of the verdict.

A claim says that a difference exceeds a margin. It *holds* when it does so by more than two
standard errors, *does not hold* when it falls short by more than two, and is *not decided*
otherwise. The error that counts is the largest of those that are known: over realisations of the
corruption, over training seeds, over the choice of pictures or classes where these are few.

The claims themselves are in `ledger`.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

ERRORS = ["se realisations", "se seeds", "se choice"]
NOTHING = pd.DataFrame(columns=["seed", "realisation", "difference"])  # where nothing decides


@dataclass(frozen=True)
class Claim:
    """`measure` exceeds `margin`.

    quote: the paper's own words; "" where it has none, or the claim is ours.
    source: where it stands, or "ours". lesson: the number of the one that measures it.
    measure: takes the tables that its parameters name, by their kind (`lab.Lab.scores`, ...), with
        all seeds, of one operator. Gives pairs (seed, realisation, difference, and perhaps
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
        """The kinds of tables that it needs."""
        return tuple(inspect.signature(self.measure).parameters)

    @property
    def ours(self) -> bool:
        """Whether the paper says nothing of the kind."""
        return self.source == "ours"


def claim(number: int, sentence: str, *, source: str, lesson: str, quote: str = "", **more: Any):
    """Makes the function below it the measurement of a claim: see `Claim` for the arguments."""
    return lambda measure: Claim(number, sentence, quote, source, lesson, measure, **more)


def difference(scores: pd.DataFrame, better: str, worse: str, metric: str = "top1") -> pd.DataFrame:
    """`better` minus `worse`, for each seed and realisation (a paired design). Where these have
    several rows (severities, classes), the difference of their means.

    Raises ValueError for a method that the scores do not have, with those that they have.
    """
    wide = scores.pivot_table(index=["seed", "realisation"], columns="method", values=metric)
    for method in (better, worse):
        if method not in wide:
            known = ", ".join(wide.columns)
            raise ValueError(f"no method {method!r} among the scores; there are {known}")
    return (wide[better] - wide[worse]).dropna().rename("difference").reset_index()


def standard_errors(pairs: pd.DataFrame) -> tuple[float, float]:
    """Standard errors of the mean difference: over realisations, and over training seeds.

    NaN where there is one realisation only (a deterministic operator), or one seed only.
    """
    by_seed = pairs.groupby("seed").difference
    within = (by_seed.var(ddof=1) / by_seed.count()).mean()
    seeds = by_seed.mean()
    return math.sqrt(within / len(seeds)), seeds.std(ddof=1) / math.sqrt(len(seeds))


def verdict(value: float, error: float, margin: float) -> str:
    """The rule of this module's first lines."""
    if math.isnan(error):
        return "not decided (one measurement)"
    if value - margin > 2 * error:
        return "holds"
    return "does not hold" if margin - value > 2 * error else "not decided"


def largest(errors: pd.Series | tuple[float, ...]) -> float:
    """The largest of the errors that are known, NaN where none is."""
    return max((e for e in errors if not math.isnan(e)), default=math.nan)


def estimate(rows: pd.DataFrame, column: str = "top1") -> tuple[float, float]:
    """Mean of a column, seeds weighing alike, and the larger of its standard errors over
    realisations and over seeds; NaN where neither is known, both where nothing is."""
    rows = rows.assign(difference=rows[column]).dropna(subset="difference")
    if rows.empty:
        return math.nan, math.nan
    return rows.groupby("seed").difference.mean().mean(), largest(standard_errors(rows))


def compare(
    scores: pd.DataFrame,
    better: str,
    worse: str,
    metric: str = "top1",
    choice: float = math.nan,
) -> dict[str, Any]:
    """`better` minus `worse`: difference, in points of `metric`; error, the largest that is known
    (`choice`: that of the choice of pictures); verdict on "better is better", with no margin."""
    value, error = estimate(difference(scores, better, worse, metric), "difference")
    error = largest((error, choice))
    return {"difference": value, "error": error, "verdict": verdict(value, error, 0.0)}


def leads(
    scores: pd.DataFrame, better: str, worse: str, by: str = "severity", metric: str = "top1"
) -> pd.DataFrame:
    """`better` minus `worse` in points of `metric`, decided for each value of the column `by`.

    Returns:
        Indexed by `by`: difference, error and verdict, as in `compare`.
    """
    rows = {here: compare(part, better, worse, metric) for here, part in scores.groupby(by)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(by)


def decide(
    claim: Claim, tables: Mapping[str, pd.DataFrame], operator: str = ""
) -> list[dict[str, Any]]:
    """A row of the ledger for each thing that the claim measures on these tables, by their kind."""
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
