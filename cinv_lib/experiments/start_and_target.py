"""Who wins, and why: the trainings of `controls` on the draws of `known_operator`, so that each
differs from student and baseline in one thing, and is compared with them in pairs (lessons 06, 07).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import pandas as pd

from cinv_lib.data.image_files import Pictures
from cinv_lib.data.image_set import ImageSet
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation.probe import ProbeRecipe, features_of
from cinv_lib.evaluation.scores import evaluate_heads
from cinv_lib.experiments import few_labels
from cinv_lib.experiments.base import AskedInWords, Needs, Task, alongside
from cinv_lib.operators.basic import parse
from cinv_lib.training.baseline import Classifier

COLUMNS = ["method", "per_class", "realisation", "top1", "top5"]
WORDS = "_words"  # after the name of a student that is asked in R's words


def of_method(scores: pd.DataFrame, method: str) -> pd.DataFrame:
    """The rows of a method; of a probe those that learned from the most pictures per class."""
    rows = scores[scores.method == method]
    return rows[rows.per_class == rows.per_class.max()] if "per_class" in rows else rows


@dataclass(frozen=True, kw_only=True)
class Controlled(AskedInWords):
    """Trainings on one operator, each as the paper scores its student and its baseline.

    Args:
        operators: the trainings there, by name -> the shares of the labels from which probes are
            fitted on them; () for a classifier, which has a head of its own.
        probe: how these probes are trained.
        realisations: draws of the corruption of the validation pictures.
    """

    probe: ProbeRecipe
    realisations: int
    apart: ClassVar[bool] = True

    def needs(self, task: Task) -> Needs:
        here = self.operators.get(task.operator) or {}
        classifiers = [name for name, shares in here.items() if not shares]
        return {**super().needs(task), "models": alongside(task, here, classifiers)}

    def measure(
        self,
        task: Task,
        teacher: Encoder,
        models: Mapping[str, Encoder | Classifier],
        train: Pictures,
        val: ImageSet,
    ) -> dict[str, pd.DataFrame]:
        """Scores of all, on the draws that `known_operator` has for the same pictures and seed.

        Returns:
            COLUMNS: per_class counts the labelled pictures per class that a probe or a head has
            learned from, 0 for a student in R's words (its name and WORDS) and for a head that
            learned from R's words; top1 and top5 in percent.
        """
        op, here, recipe = parse(task.operator), self.operators[task.operator], self.probe
        every = len(train) / len(train.class_names)
        towers = [model for name, model in models.items() if here[name]]
        seen = iter(
            features_of(towers, train, op, recipe.epochs, task.seed, recipe.crop, recipe.flip)
            if towers
            else ()
        )
        groups, meant = [], {}
        for name, model in models.items():
            if not here[name]:
                groups.append((model.encoder, {name: model.head}))
                meant[name] = name, 0.0 if name.startswith("words_of_r") else every
                continue
            heads = few_labels.fit(next(seen), train, here[name], recipe, task.seed)
            mine = {few_labels.name(name, share): head for share, head in heads.items()}
            meant |= {
                few_labels.name(name, share): (
                    name,
                    few_labels.per_class_of(train, share, task.seed),
                )
                for share in heads
            }
            meant[name + WORDS] = name + WORDS, 0.0
            groups.append((model, mine | {name + WORDS: self.words(teacher, train)}))
        scores = evaluate_heads(groups, val, op, self.realisations, task.seed)
        method, pictures = zip(*(meant[model] for model in scores.model), strict=True)
        return {self.name: scores.assign(method=method, per_class=pictures)[COLUMNS]}


class TeacherStart(Controlled):
    """The baseline that starts from R: the student's start, the baseline's target (lesson 07)."""

    name, lessons = "teacher_start", ("07",)
    tables = MappingProxyType({"teacher_start": "%.4f"})


class StartAndTarget(Controlled):
    """What else differs from student or baseline in start or target: a student that starts from the
    supervised tower, R's words as labels, labels after R's embeddings (lesson 07)."""

    name, lessons = "start_and_target", ("07",)
    tables = MappingProxyType({"start_and_target": "%.4f"})


class OtherStarts(Controlled):
    """R's embeddings from two more starts: the supervised tower on an operator that the table above
    leaves out, and the tower of 100 classes. Trained when that table had been looked at (lesson
    07)."""

    name, lessons = "other_starts", ("07",)
    tables = MappingProxyType({"other_starts": "%.4f"})
