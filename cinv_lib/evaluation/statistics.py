"""A difference over trainings: its interval, and the verdict that it allows.

The replicate is a training seed. Each gives one number, the mean over its draws, severities and
sets, and of two methods the difference (a paired design). Draws say how sure we are of one trained
network; only other trainings say what another one would change.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import special  # Student's t: `scipy.stats` takes half a second to import

LEVEL = 0.05  # of verdicts that nothing decides, the share that may be false
NOTHING = pd.DataFrame(columns=["seed", "realisation", "difference"])  # where nothing decides


def over_trainings(
    each: Sequence[float] | np.ndarray | pd.Series,
    margin: float = 0.0,
    choice: float = 0.0,
    units: float | int = math.inf,
) -> tuple[float, float, float]:
    """(mean, half-width of its 95 % interval, two-sided p against the margin) of one number a
    training: Student's t with n - 1 degrees of freedom.

    choice: where all trainings share few `units` (classes, pictures), the standard error of the
        mean of the units' own means. Its square is added, and the degrees of freedom are those of
        the fewer of trainings and units.

    The half-width and p are NaN, which decides nothing, for one training, or if none differs.
    """
    n, mean = len(each), float(np.mean(each)) if len(each) else math.nan
    error = math.hypot(np.std(each, ddof=1) / math.sqrt(n), choice) if n > 1 else 0.0
    if error < 1e-9:  # of numbers with four digits: a difference that small is one of rounding
        return mean, math.nan, math.nan
    df = min(n, units) - 1
    p = 2 * special.stdtr(df, -abs(mean - margin) / error)
    return mean, float(special.stdtrit(df, 1 - LEVEL / 2) * error), float(p)


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


def by_training(rows: pd.DataFrame, column: str = "difference") -> pd.Series:
    """One number a training seed, by seed: the mean of its rows of a column."""
    return rows.dropna(subset=column).groupby("seed")[column].mean()


def minus_distance(pairs: pd.DataFrame) -> pd.DataFrame:
    """Rows of `difference`, turned so that their mean is minus the distance of the two methods,
    whichever is ahead. Its two-sided test against minus a margin is the nearer, and so the
    stricter, of the two one-sided tests that the difference is between both margins."""
    ahead = math.copysign(1, by_training(pairs).mean())
    return pairs.assign(difference=-ahead * pairs.difference)


def over_draws(rows: pd.DataFrame, column: str = "difference") -> float:
    """The standard error that the paper prints, over draws of the corruption: that of the mean of
    these networks. NaN where there is one draw (a deterministic operator)."""
    by_seed = rows.groupby("seed")[column]
    within = (by_seed.var(ddof=1) / by_seed.count()).mean()
    return math.sqrt(within / by_seed.ngroups)


def verdict(value: float, half_width: float, margin: float = 0.0) -> str:
    """Of the row's own interval: "holds" if all of it is above the margin, "does not hold" if all
    is below, else, or where there is no interval, "not decided"."""
    if value - half_width > margin:
        return "holds"
    return "does not hold" if value + half_width < margin else "not decided"


def estimate(rows: pd.DataFrame, column: str = "top1") -> tuple[float, float]:
    """Mean of a column, seeds weighing alike, and the half-width of its 95 % interval over
    trainings; NaN for that where there is one, and for both where nothing is."""
    return over_trainings(by_training(rows, column))[:2]


def estimates(scores: pd.DataFrame, methods: Iterable[str]) -> pd.DataFrame:
    """value and error of the top1 of each method, as `estimate` has them, indexed by method."""
    each = {name: estimate(scores[scores.method == name]) for name in methods}
    return pd.DataFrame.from_dict(each, orient="index", columns=["value", "error"])


def compare(
    scores: pd.DataFrame,
    better: str,
    worse: str,
    metric: str = "top1",
    choice: float = 0.0,
    units: float | int = math.inf,
) -> dict[str, Any]:
    """`better` minus `worse`: difference, in points of `metric`; half_width of its 95 % interval
    over trainings (choice, units: of what all trainings share, as in `over_trainings`); verdict on
    "better is better", with no margin."""
    each = by_training(difference(scores, better, worse, metric))
    value, half_width, _ = over_trainings(each, choice=choice, units=units)
    return {"difference": value, "half_width": half_width, "verdict": verdict(value, half_width)}


def choice_of_pictures(
    scores: pd.DataFrame, better: str, worse: str, pictures: int, metric: str = "top1"
) -> float:
    """The standard error, in points, of a difference of two shares of so many pictures, as if each
    method had pictures of its own. Where both see the same ones it is rather too large."""
    shares = [scores[scores.method == method][metric].mean() / 100 for method in (better, worse)]
    return 100 * math.sqrt(sum(share * (1 - share) for share in shares) / pictures)


def leads(
    scores: pd.DataFrame, better: str, worse: str, by: str = "severity", metric: str = "top1"
) -> pd.DataFrame:
    """`better` minus `worse` in points of `metric`, decided for each value of the column `by`.

    Returns:
        Indexed by `by`: difference, half_width and verdict, as in `compare`. Each row is decided
        by its own interval; `paper.verdict.judged` decides many rows together.
    """
    rows = {here: compare(part, better, worse, metric) for here, part in scores.groupby(by)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(by)
