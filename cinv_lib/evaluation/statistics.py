"""A difference, its standard errors, and the verdict that they allow.

The error that counts is the largest of those that are known: over realisations of the corruption,
over training seeds, over the choice of pictures or classes where these are few.
"""

import math
from typing import Any

import pandas as pd

ERRORS = ["se realisations", "se seeds", "se choice"]
NOTHING = pd.DataFrame(columns=["seed", "realisation", "difference"])  # where nothing decides


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
