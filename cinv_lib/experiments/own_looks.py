"""What else one might have trained on: fewer pictures, another range, another loss. One training
each, so each is a look and decides nothing (lesson 18)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import pandas as pd
import torch
import torch.nn.functional as F

from cinv_lib.data.image_files import Pictures
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation.draws import realised
from cinv_lib.evaluation.metrics import top_k
from cinv_lib.experiments.base import LOSS, AskedInWords, Needs, Task
from cinv_lib.experiments.trainings import Student
from cinv_lib.operators.base import Operator
from cinv_lib.operators.basic import Identity, parse
from cinv_lib.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class OwnFewer(Student):
    """A student of fewer pictures, each seen so much oftener (lesson 18).

    one_in: of so many pictures one.
    """

    one_in: int
    name: ClassVar[str] = "own_fewer"
    lessons: ClassVar[tuple[str, ...]] = ()
    shown: ClassVar[str] = ""

    def recipe_at(self, operator: str) -> Recipe:
        recipe = super().recipe_at(operator)
        return replace(recipe, epochs=recipe.epochs * self.one_in)

    def build(self, folder: Path, task: Task, teacher: Encoder, unlabelled: Pictures) -> None:
        few = torch.arange(0, len(unlabelled), self.one_in, device="cpu")
        super().build(folder, task, teacher, unlabelled.subset(few))


def other_range(op: Operator) -> Operator | None:
    """Of a range its hardest end; of a fixed severity the range from half of it; None for an
    operator that has no severity, or nothing else to try.

    >>> str(other_range(parse("mask:0.5..0.9"))), str(other_range(parse("mask:0.9")))
    ('mask:0.9', 'mask:0.45..0.9')
    """
    if op.limits is None or op.severity is None:
        return None
    low, high = op.bounds
    if low < high:
        return op.at(high)
    return op.at((max(op.limits[0], high / 2), high)) if high > 0 else None


def other_loss(loss: str) -> str:
    """Equation 1's pull alone, or the paper's loss where that is what was trained with."""
    return LOSS if loss == "mse" else "mse"


@dataclass(frozen=True, kw_only=True)
class OwnLooks(AskedInWords):
    """The student beside others that differ from it in one thing (lesson 18).

    realisations: how often the corruption of each validation picture is drawn; all students see
        the same draws, of the operator that was asked for.
    """

    realisations: int
    in_words: ClassVar[bool] = False  # it goes on without them
    name, lessons = "own_looks", ("18",)
    tables = MappingProxyType({"own_looks": "%.4f"})

    def needs(self, task: Task) -> Needs:
        op, seed, loss = task.operator, task.seed, task.loss
        students = {
            "as it is": Task("student", op, seed, loss),
            "fewer pictures": Task("own_fewer", op, seed, loss),
            "another loss": Task("student", op, seed, other_loss(loss)),
        }
        if (other := other_range(parse(op))) is not None:
            students["another range"] = Task("student", str(other), seed, loss)
        return {name: name for name in ("teacher", "train", "val")} | {"students": students}

    @torch.no_grad()
    def measure(
        self,
        task: Task,
        teacher: Encoder,
        students: Mapping[str, Encoder],
        train: Pictures,
        val: Pictures,
    ) -> dict[str, pd.DataFrame]:
        """own_looks: look, realisation, cosine to R(x), top1 in words (percent; NaN where there are
        no classes or no words), a row for each student and realisation."""
        op = parse(task.operator)
        (R,) = realised(teacher, val, Identity(), 1, task.seed)
        words = None
        if teacher.clip is not None and train.class_names:
            words = self.words(teacher, train)
        rows, labels = [], val.labels.to(R.device)
        draws = self.realisations if op.is_random else 1
        for look, student in students.items():
            seen = realised(student, val, op, draws, task.seed)
            for r, S in enumerate(seen):
                row = {"look": look, "realisation": r}
                row["cosine"] = F.cosine_similarity(S, R, dim=-1).mean().item()
                row["top1"] = float("nan") if words is None else top_k(words(S), labels, 1)
                rows.append(row)
        return {"own_looks": pd.DataFrame(rows)}
