"""The baseline from another start: a tower that knows only the labelled classes (Tables 11, 12)."""

from collections.abc import Mapping, Sequence

import pandas as pd

from cinv_lib import evaluation
from cinv_lib.data.image_set import ImageSet
from cinv_lib.experiments.unknown_severity import COLUMNS
from cinv_lib.operators.base import Operator
from cinv_lib.training.baseline import Classifier

METHODS = {  # keys as in `known_operator.METHODS`, and one more
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
    """Scores of the baseline at each severity of `op`, on the draws that `known_operator.tables`
    and `unknown_severity.measure` have for the same pictures and seed: differences to theirs are
    paired.

    Returns:
        `unknown_severity.COLUMNS`; the method is "baseline100"; top1 and top5 in percent.
    """
    groups = [(baseline.encoder, {"baseline100": baseline.head})]
    draws = {"realisations": realisations, "seed": seed, "progress": False}
    scores = evaluation.sweep(groups, val, op, severities, **draws)
    return scores.rename(columns={"model": "method"})[COLUMNS]
