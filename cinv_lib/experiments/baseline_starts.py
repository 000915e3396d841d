"""The baseline from another start: a tower that knows only the labelled classes (Tables 11, 12)."""

from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from cinv_lib import evaluation
from cinv_lib.data.image_set import ImageSet
from cinv_lib.experiments.base import Experiment, Task
from cinv_lib.experiments.methods import labels
from cinv_lib.experiments.unknown_severity import COLUMNS
from cinv_lib.operators.basic import parse
from cinv_lib.training.baseline import Classifier

METHODS = {  # one more than elsewhere: the other start
    "baseline": "from the full world",
    "baseline100": "from 100 classes",
} | labels("student")


@dataclass(frozen=True)
class Scored:
    """At which severities a baseline is scored, in how many draws, on how many pictures."""

    severities: tuple[float, ...]
    realisations: int
    val_per_class: int


@dataclass(frozen=True, kw_only=True)
class BaselineStarts(Experiment):
    """The baseline from a tower that knows only the labelled classes (Tables 11 and 12; lesson 07).

    operators: where it is `Scored`, on the draws of the other baseline: at the hardest severity
        that it has seen and, for a range, at those beyond.
    """

    losses: tuple[str, ...] = ()
    name, lessons = "baseline_starts", ("07",)
    tables = MappingProxyType({"baseline_starts": "%.4f"})

    def measure(
        self, task: Task, baseline100: Classifier, val: ImageSet
    ) -> dict[str, pd.DataFrame]:
        """Scores of the baseline at each severity, on the draws that `known_operator` and
        `unknown_severity` have for the same pictures and seed: differences to theirs are paired.

        Returns:
            `unknown_severity.COLUMNS`; the method is "baseline100"; top1 and top5 in percent.
        """
        here = self.operators[task.operator]
        scores = evaluation.sweep(
            [(baseline100.encoder, {"baseline100": baseline100.head})],
            val.per_class(here.val_per_class), parse(task.operator), here.severities,
            realisations=here.realisations, seed=task.seed, progress=False,
        )  # fmt: skip
        return {"baseline_starts": scores.rename(columns={"model": "method"})[COLUMNS]}
