"""One operator, every method and number of labels: Tables 1, 4, 9 and 13 and Figures 3 and 7 in
one go.

Each encoder embeds a corrupted picture once, for all the heads that want it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd
from torch import Tensor

from cinv_lib.data.image_files import Pictures
from cinv_lib.data.image_set import ImageSet
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation.probe import Probe, ProbeRecipe, features_of
from cinv_lib.evaluation.scores import evaluate_heads
from cinv_lib.evaluation.sentence import lead_by_place, listed
from cinv_lib.evaluation.sentence import sentence as joined
from cinv_lib.evaluation.statistics import compare, estimate
from cinv_lib.experiments import few_labels, spoken
from cinv_lib.experiments.base import AskedInWords, Task
from cinv_lib.experiments.methods import full, labels
from cinv_lib.operators.basic import parse
from cinv_lib.training.baseline import Classifier

METHODS = full(
    "clip",
    "clip_clean",
    "clip_zero_shot",
    "baseline",
    "student",
    "student_10",
    "clean_classifier",
    "zero_shot",
)


SHOWN = ("clip", "baseline", "student", "zero_shot")  # of METHODS, in the figure of lesson 06


def versus(
    scores: Mapping[str, pd.DataFrame], better: str, worse: str, who: str, whom: str
) -> list[str]:
    """Where one method leads the other, trails it, and is not decided, in clauses.

    Args:
        scores: `known_operator` by operator, with the seed of each training.
        who, whom: what the two are called.
    """
    names, leads = spoken.names(scores), {}
    for op, rows in scores.items():
        found = compare(rows, better, worse)
        leads[f"under {names[op]}"] = found["difference"], found["half_width"]
    trainings = max(rows.seed.nunique() for rows in scores.values())
    return lead_by_place(who, whom, leads, trainings)


def finding(scores: Mapping[str, pd.DataFrame]) -> str:
    """What lesson 06 found, in a sentence: the student against the baseline, and its words."""
    names = spoken.names(scores)
    top1 = {op: estimate(rows[rows.method == "zero_shot"])[0] for op, rows in scores.items()}
    words = listed(f"{value:.1f} % under {names[op]}" for op, value in top1.items())
    clauses = versus(scores, "student", "baseline", "the student", "the baseline")
    last = f"in words, without any label, the student names {words}"
    return joined(*clauses, last, long=True)


def headline(frame: pd.DataFrame) -> str:
    """The title of lesson 06's figure, of a frame with operator, method and value."""
    value = frame.set_index(["method", "operator"]).value

    def span(method: str) -> str:
        low, high = value[method].min(), value[method].max()
        return f"{low:.0f} to {high:.0f} %"

    return (
        f"Asked in words, without any label, the student names {span('zero_shot')} of the ruined "
        f"pictures; a probe on CLIP itself {span('clip')}"
    )


def panels(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows of a frame with operator, method and value as `plots.score_dots` wants them: of SHOWN,
    by operator."""
    frame = frame[frame.method.isin(SHOWN)]
    frame = frame.assign(row=[labels(method)[method] for method in frame.method])
    return {spoken.title(op): frame[frame.operator == op] for op in dict.fromkeys(frame.operator)}


@dataclass(frozen=True, kw_only=True)
class KnownOperator(AskedInWords):
    """Every method on one operator, whose models were trained on it (Tables 1, 4, 9, 13; Figures 3
    and 7; lesson 06). Each encoder embeds a corrupted picture once, for all the heads that want it.

    Args:
        operators: shares of the labels from which probes are fitted there, for few_labels.
        probe: how the probes of student, CLIP and supervised tower are trained.
        fractions: of the labels, for the student's probes in known_operator.
        realisations: draws of the corruption of the validation pictures; the paper has ten.
    """

    probe: ProbeRecipe
    fractions: tuple[float, ...]
    realisations: int
    name = "known_operator"
    lessons, apart = ("06", "07", "15"), True
    tables = MappingProxyType({"known_operator": "%.4f", "few_labels": "%.4f"})

    def measure(
        self,
        task: Task,
        teacher: Encoder,
        student: Encoder,
        baseline: Classifier,
        supervised: Encoder,
        clean_probe: Probe,
        train: Pictures,
        val: ImageSet,
    ) -> dict[str, pd.DataFrame]:
        """Scores of all on the same draws.

        supervised: the tower that the baseline started from, for Table 13.

        Returns:
            known_operator: method, realisation, top1, top5 (percent), a row for each of METHODS and
            each realisation. few_labels: `few_labels.COLUMNS`, a row for each of its METHODS,
            number of labels and realisation.
        """
        op, shares = parse(task.operator), self.operators[task.operator] or ()
        whole = {1.0, *shares}

        towers, recipe = [teacher, student, supervised], self.probe
        seen_by_R, seen_by_S, seen_by_supervised = features_of(
            towers, train, op, recipe.epochs, task.seed, recipe.crop, recipe.flip
        )

        def fit(method: str, views: Tensor, asked: set[float]) -> dict[str, Probe]:
            heads = few_labels.fit(views, train, asked, recipe, task.seed)
            return {few_labels.name(method, share): head for share, head in heads.items()}

        words = self.words(teacher, train)
        of_R = {"clip_clean": clean_probe, "clip_zero_shot": words}
        of_S = {"clean_classifier": clean_probe, "zero_shot": words}
        groups = [
            (teacher, fit("clip", seen_by_R, whole) | of_R),
            (student, fit("student", seen_by_S, {*whole, *self.fractions}) | of_S),
            (supervised, fit("resnet", seen_by_supervised, whole)),
            (baseline.encoder, {"baseline": baseline.head}),
        ]
        scores = evaluate_heads(groups, val, op, self.realisations, task.seed)

        called = {few_labels.name(method, 1.0): method for method in ("clip", "student")}
        parts = [fraction for fraction in self.fractions if fraction < 1]
        called |= {few_labels.name("student", part): f"student_{100 * part:g}" for part in parts}
        every = scores.assign(method=scores.model.replace(called))
        every = every[every.method.isin({*METHODS, *called.values()})].reset_index(drop=True)
        return {
            "known_operator": every[["method", "realisation", "top1", "top5"]],
            "few_labels": few_labels.table(scores, train, shares, task.seed),
        }
