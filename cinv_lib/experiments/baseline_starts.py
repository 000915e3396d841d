"""The baseline from another start: a tower that knows only the labelled classes (Tables 11, 12)."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from cinv_lib import evaluation
from cinv_lib.data.image_set import ImageSet
from cinv_lib.evaluation.sentence import lead_by_place, listed, points
from cinv_lib.evaluation.sentence import sentence as joined
from cinv_lib.evaluation.statistics import compare, estimate
from cinv_lib.experiments import spoken
from cinv_lib.experiments.base import Experiment, Task
from cinv_lib.experiments.methods import labels
from cinv_lib.experiments.unknown_severity import COLUMNS
from cinv_lib.operators.basic import parse
from cinv_lib.training.baseline import Classifier

METHODS = {  # one more than elsewhere: the other start
    "baseline": "from the full world",
    "baseline100": "from 100 classes",
} | labels("student")

CELLS = {  # method -> the weights from which it starts, and what it is told; not all everywhere
    "baseline100": ("100 classes", "labels"),
    "baseline": ("all classes", "labels"),
    "tower100_student": ("100 classes", "R's embeddings"),
    "tower_student": ("all classes", "R's embeddings"),
    "baseline_r": ("CLIP's R", "labels"),
    "student": ("CLIP's R", "R's embeddings"),
    "words_of_r": ("CLIP's R", "R's words as labels"),
}


def cells(scores: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Start by target: panel (the operator's name), start, target, value and error (the half-width
    of its 95 % interval over trainings), a row for each of CELLS that was trained.

    Args:
        scores: top1 in percent by operator, with the columns method and seed.
    """
    rows, names = [], spoken.names(scores)
    for op, table in scores.items():
        for method, cell in CELLS.items():
            mine = table[table.method == method]
            if len(mine):
                rows.append((names[op], *cell, *estimate(mine)))
    return pd.DataFrame(rows, columns=["panel", "start", "target", "value", "error"])


def finding(scores: Mapping[str, pd.DataFrame]) -> str:
    """What lesson 07 found, in a sentence: what the start is worth, and what the target. The two
    are told apart only by a training that has the student's start and the baseline's labels.

    Args:
        scores: as in `cells`.
    """
    names = spoken.names(scores)
    trainings = max(table.seed.nunique() for table in scores.values())

    def led(better: str, worse: str) -> dict[str, tuple[float, float]]:
        found = {f"under {names[op]}": compare(t, better, worse) for op, t in scores.items()}
        return {place: (one["difference"], one["half_width"]) for place, one in found.items()}

    if all((table.method == "baseline_r").any() for table in scores.values()):
        start, target = led("baseline_r", "baseline"), led("student", "baseline_r")
        return joined(
            *lead_by_place("the baseline from R", "the baseline", start, trainings),
            *lead_by_place("the student", "the baseline from R", target, trainings),
            long=True,
        )
    starts = led("baseline", "baseline100")
    clauses = lead_by_place("the start from all classes", "that from 100", starts, trainings)
    student = led("student", "baseline")
    ahead = [f"{points(v)} {place}" for place, (v, _) in student.items() if v > 0]
    none = "none of these trainings has R's start and the labels"
    last = f"{none}, so nothing says what R's start is worth"
    if ahead:
        last = (
            f"the student's mean lead of {listed(ahead)} cannot be split into start and target, "
            f"because {none}"
        )
    return joined(*clauses, last, long=True)


def headline(scores: Mapping[str, pd.DataFrame]) -> str:
    """The title of lesson 07's figure: what the student and the baselines name."""
    names, labels_reach, embeddings_reach = spoken.names(scores), [], []
    for op, table in scores.items():
        top1 = table.groupby("method").top1.mean()
        told = [f"{top1[m]:.0f}" for m in CELLS if CELLS[m][1] == "labels" and m in top1]
        labels_reach.append(f"{listed(told)} % under {names[op]}")
        embeddings_reach.append(f"{top1.student:.0f} %")
    return (
        f"Labels reach {listed(labels_reach)}, by where they start; R's embeddings, from R, "
        f"{listed(embeddings_reach)}"
    )


def title_of_scores(curves: Mapping[str, pd.DataFrame]) -> str:
    """The title of a figure over severities: both baselines at the mildest and the hardest of them.
    curves: rows by severity, columns by method, for each operator."""
    said = []
    for op, curve in curves.items():
        ahead = curve.baseline - curve.baseline100
        ends = ahead.index[0], ahead.index[-1]
        said += [f"{ahead[s]:+.1f} points with {spoken.at(op, s)}" for s in ends]
    return f"The full start minus the narrow one: {listed(said)}".replace("-", "−")


@dataclass(frozen=True)
class Scored:
    """Where a baseline is scored.

    Args:
        severities: of the operator.
        realisations: draws of the corruption at each severity.
        val_per_class: validation pictures per class.
    """

    severities: tuple[float, ...]
    realisations: int
    val_per_class: int


@dataclass(frozen=True, kw_only=True)
class BaselineStarts(Experiment):
    """The baseline from a tower that knows only the labelled classes (Tables 11 and 12; lesson 07).

    Args:
        operators: how it is `Scored` there, on the draws of the other baseline: at the hardest
            severity that it has seen and, for a range, at those beyond.
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
