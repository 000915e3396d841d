"""The baseline from another start: a tower that knows only the labelled classes (Tables 11, 12)."""

from collections.abc import Mapping, Sequence

import pandas as pd

from . import evaluate
from .images import ImageSet
from .operators import Operator
from .severity import COLUMNS
from .supervised import Classifier

METHODS = {  # keys as in `scoring.METHODS`, and one more
    "baseline": "from the full world",
    "baseline100": "from 100 classes",
    "student": "student S",
}


def severities(op: Operator, graded: Mapping[str, Sequence[float]]) -> tuple[float, ...]:
    """Where the baseline of `op` is scored: at the hardest that it has seen and, for a range, at
    what its grid has beyond.

    >>> from cinv_lib.operators import parse
    >>> severities(parse("noise:0.1..0.3"), {"noise:0.1..0.3": (0.0, 0.1, 0.3, 0.5)})
    (0.3, 0.5)
    >>> severities(parse("noise:0.5"), {})
    (0.5,)
    """
    hardest = op.bounds[1]
    return (hardest, *(s for s in graded.get(str(op), ()) if s > hardest))


def measure(
    baseline: Classifier,
    val: ImageSet,
    op: Operator,
    severities: Sequence[float],
    realisations: int,
    seed: int,
) -> pd.DataFrame:
    """Scores of the baseline at each severity of `op`, on the draws that `scoring.tables` and
    `severity.measure` have for the same pictures and seed: differences to theirs are paired.

    Returns:
        `severity.COLUMNS`; the method is "baseline100"; top1 and top5 in percent.
    """
    groups = [(baseline.encoder, {"baseline100": baseline.head})]
    draws = {"realisations": realisations, "seed": seed, "progress": False}
    scores = evaluate.sweep(groups, val, op, severities, **draws)
    return scores.rename(columns={"model": "method"})[COLUMNS]
