"""Trainings that take the student's recipe apart: another start, another target, other pictures
(lessons 06, 07 and 09).

The student differs from the baseline in three things at once: it starts from R, its target is R's
embedding, and it needs no labels, so that it can have as many pictures as there are. Each training
here changes one of them.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from cinv_lib.data import catalogue
from cinv_lib.data.image_set import ImageSet
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.encoders.inference import embedded
from cinv_lib.evaluation.probe import zero_shot
from cinv_lib.experiments.base import Task
from cinv_lib.experiments.trainings import CHECKPOINT, Baseline, Student, keep_training
from cinv_lib.losses.equations import parse as parse_loss
from cinv_lib.operators.basic import parse
from cinv_lib.training.student import distill


class BaselineOfTeacher(Baseline):
    """The baseline that starts from R: the student's start, the baseline's labels (lesson 07)."""

    name, shown = "baseline_r", ""

    def build(self, folder: Path, task: Task, teacher: Encoder, train: ImageSet) -> None:
        super().build(folder, task, teacher, train)


class StudentOfTower(Student):
    """The student that starts from the supervised tower: the baseline's start, the student's target
    (lesson 07)."""

    name, lessons, shown = "tower_student", (), ""

    def build(
        self, folder: Path, task: Task, teacher: Encoder, supervised: Encoder, unlabelled: ImageSet
    ) -> None:
        S, history = distill(
            teacher, unlabelled, parse(task.operator), parse_loss(task.loss),
            self.recipe_at(task.operator), task.seed, folder / CHECKPOINT, start=supervised,
        )  # fmt: skip
        keep_training(folder, history, student=S)


class StudentOfNarrowTower(StudentOfTower):
    """The same from the tower that has seen the labelled classes alone (lesson 07)."""

    name = "tower100_student"

    def build(
        self,
        folder: Path,
        task: Task,
        teacher: Encoder,
        supervised_narrow: Encoder,
        unlabelled: ImageSet,
    ) -> None:
        super().build(folder, task, teacher, supervised_narrow, unlabelled)


class StudentOfLargeBatches(Student):
    """The student of batches as large as the paper's, at the same number of steps (lesson 11)."""

    name, lessons, shown = "student_256", (), ""


class Named(Baseline):
    """R's words as labels: a classifier that starts from R and learns, from A(x), the class that R
    names on the clean picture. Nobody labels anything (lesson 07).

    It has what the student has, except that its target is the teacher's answer in place of its
    embedding.
    """

    name, shown = "words_of_r", ""
    in_words = True

    def build(self, folder: Path, task: Task, teacher: Encoder, unlabelled: ImageSet) -> None:
        super().build(folder, task, teacher, named(teacher, unlabelled))


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Unlabelled pictures that are drawn for one training: nested pools, the smallest of them the
    labelled pictures themselves, and none of them R's own.

    Args:
        per_class: pictures of each class.
        pictures: the name of their set, see `data.load`.
    """

    per_class: int
    pictures: str

    def pool(self, seed: int) -> ImageSet:
        """The pictures of this training seed."""
        drawn = f"{self.pictures}@{seed}" if seed else self.pictures
        return catalogue.load(drawn, "train", self.per_class)


@dataclass(frozen=True, kw_only=True)
class StudentOfPool(Pool, Student):
    """The student of other unlabelled pictures than the labelled ones, at the same number of steps
    (lesson 06)."""

    name, lessons, shown = "student_60000", (), ""

    def build(self, folder: Path, task: Task, teacher: Encoder) -> None:
        super().build(folder, task, teacher, self.pool(task.seed))


class StudentOfSmallerPool(StudentOfPool):
    """The same, of some of these pictures."""

    name = "student_7500"


class StudentOfWorld(StudentOfPool):
    """The same, of pictures of all classes of the world, most of which nobody will ask for."""

    name = "student_world"


@dataclass(frozen=True, kw_only=True)
class NamedPool(Pool, Named):
    """R's words as labels, on the pictures of the larger pool (lesson 07)."""

    name = "words_of_r_60000"

    def build(self, folder: Path, task: Task, teacher: Encoder) -> None:
        super().build(folder, task, teacher, self.pool(task.seed))


def named(teacher: Encoder, images: ImageSet) -> ImageSet:
    """The pictures under the labels that `teacher` gives them in words, clean."""
    words = zero_shot(teacher, images.class_names)
    labels: Tensor = words(embedded(teacher, images.images)).argmax(dim=1)
    return replace(images, labels=labels.to(images.labels.device))
