"""The ledger: each claim as a sentence, the measurement that decides it, the verdict.

A claim is a difference between two methods on one operator and a margin. It *holds* when the
difference exceeds the margin by more than two standard errors, *does not hold* when it falls short
by more than two, and is *not decided* otherwise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from .lab import Lab


@dataclass(frozen=True)
class Claim:
    """`better` exceeds `worse` by more than `margin` percentage points of top-1.

    source: where the paper says so, or "ours".
    """

    number: int
    sentence: str
    source: str
    better: str
    worse: str
    margin: float = 0.0


CLAIMS = (
    Claim(1, "A student with a probe on all labels beats the supervised baseline.",
          "Table 1", "student", "baseline"),
    Claim(2, "A student with a probe on 10 % of the labels beats the baseline with all of them.",
          "Table 1", "student_10", "baseline"),
    Claim(3, "The student beats raw CLIP, its probe trained on corrupted pictures too, by > 20.",
          "Tables 1, 13", "student", "clip", 20.0),
    Claim(4, "A clean classifier of R, handed to the student, loses less than 10 points.",
          "Table 9", "clean_classifier", "student", -10.0),
    Claim(5, "Asked in words, the student recognises more than raw CLIP by > 20.",
          "authors' result files", "zero_shot", "clip_zero_shot", 20.0),
    Claim(6, "Training the probe on corrupted pictures is not enough: raw CLIP stays below the "
          "baseline.", "Tables 1, 13", "baseline", "clip"),
)  # fmt: skip


def difference(scores: pd.DataFrame, better: str, worse: str) -> pd.DataFrame:
    """top-1 of `better` minus that of `worse`, for each seed and realisation (a paired design).

    Raises ValueError for a method that the scores do not have, with those that they have.
    """
    wide = scores.pivot_table(index=["seed", "realisation"], columns="method", values="top1")
    for method in (better, worse):
        if method not in wide:
            known = ", ".join(wide.columns)
            raise ValueError(f"no method {method!r} among the scores; there are {known}")
    return (wide[better] - wide[worse]).rename("difference").reset_index()


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


def leads(
    scores: pd.DataFrame, better: str, worse: str, by: str = "severity", metric: str = "top1"
) -> pd.DataFrame:
    """`better` minus `worse` in points of `metric`, decided for each value of the column `by`.

    Returns:
        Indexed by `by`: difference; error, the larger of the standard errors that are known;
        verdict on "better is better", with no margin.
    """
    rows = {}
    for place, here in scores.groupby(by):
        pairs = difference(here.assign(top1=here[metric]), better, worse)
        value = pairs.groupby("seed").difference.mean().mean()
        known = [e for e in standard_errors(pairs) if not math.isnan(e)]
        error = max(known, default=math.nan)
        rows[place] = {
            "difference": value,
            "error": error,
            "verdict": verdict(value, error, 0.0),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(by)


def decide(claim: Claim, scores: pd.DataFrame, operator: str) -> dict[str, object]:
    """One row of the ledger. The error that counts is the larger of the two that are known."""
    pairs = difference(scores, claim.better, claim.worse)
    value = pairs.groupby("seed").difference.mean().mean()
    realisations, seeds = standard_errors(pairs)
    known = [e for e in (realisations, seeds) if not math.isnan(e)]
    error = max(known, default=math.nan)
    return {
        "claim": claim.number,
        "operator": operator,
        "difference": value,
        "margin": claim.margin,
        "se realisations": realisations,
        "se seeds": seeds,
        "seeds": pairs.seed.nunique(),
        "verdict": verdict(value, error, claim.margin),
    }


def ledger(
    lab: Lab,
    operators: Sequence[str] | None = None,
    seeds: int = 1,
    claims: Sequence[Claim] = CLAIMS,
) -> pd.DataFrame:
    """Every claim on every operator of the lab's profile, decided by its scores."""
    scores = {op: lab.scores(op, seeds) for op in operators or lab.profile.operators}
    rows = [decide(claim, s, op) for claim in claims for op, s in scores.items()]
    return pd.DataFrame(rows)
