"""The trainings: students, baselines, and the probes on students. What each is kept as in a folder
of the store, and how it is read from there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import torch

from cinv_lib.data.image_files import Pictures
from cinv_lib.encoders import encoder as encoders
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation import probe as probes
from cinv_lib.evaluation.probe import ProbeRecipe
from cinv_lib.experiments.base import Task, Training
from cinv_lib.losses.equations import parse as parse_loss
from cinv_lib.operators.basic import Identity, parse
from cinv_lib.training import feature_distillation, tuned_teacher
from cinv_lib.training.attacked import Attack
from cinv_lib.training.baseline import Classifier, finetune
from cinv_lib.training.feature_distillation import Alignment
from cinv_lib.training.recipe import Recipe
from cinv_lib.training.student import distill

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True, kw_only=True)
class Trained(Training):
    """What students and baselines share: a recipe, and a shorter one beside the main operators.

    Args:
        recipe: how it is trained.
        full: the operators on which `recipe` has all its epochs.
        side_epochs: epochs on any other operator: ranges, mixtures, clean pictures.
        epochs: of operators that have a number of their own.
        rates: learning rates, where they differ from the recipe's: by an operator's text, or by its
            kind ("mask"). Of several kinds in one operator the smallest counts.
    """

    recipe: Recipe
    full: tuple[str, ...]
    side_epochs: int
    epochs: Mapping[str, int] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)

    # What they come to for a task is its recipe, which `settings` has.
    asks: ClassVar[frozenset[str]] = Training.asks | {
        "recipe", "full", "side_epochs", "epochs", "rates"
    }  # fmt: skip

    def recipe_at(self, operator: str) -> Recipe:
        """How it is trained on this operator."""
        op = str(parse(operator))
        kinds = [rate for kind, rate in self.rates.items() if kind in re.findall("[a-z]+", op)]
        lr = self.rates.get(op, min(kinds, default=self.recipe.lr))
        recipe = replace(self.recipe, lr=lr)
        usual = self.recipe.epochs if op in self.full else self.side_epochs
        return replace(recipe, epochs=self.epochs.get(op, usual))

    def settings(self, task: Task) -> dict[str, Any]:
        return super().settings(task) | {"recipe": self.recipe_at(task.operator)}


class Student(Trained):
    """S: starts as R and learns R(x) from A(x), without labels (Sec. 3, lesson 05)."""

    name, lessons, shown = "student", ("02", "03", "05"), "05"
    attack: ClassVar[Attack | None] = None

    def tasks(self, seeds: int) -> list[Task]:
        return super().tasks(1)  # the lessons look at one; what measures students asks for the rest

    def build(self, folder: Path, task: Task, teacher: Encoder, unlabelled: Pictures) -> None:
        S, history = distill(
            teacher, unlabelled, parse(task.operator), parse_loss(task.loss),
            self.recipe_at(task.operator), task.seed, folder / CHECKPOINT, attack=self.attack,
        )  # fmt: skip
        keep_training(folder, history, student=S)

    def load(self, folder: Path) -> Encoder:
        return encoders.load(str(folder / "student"))


class StudentOfTransformer(Student):
    """The student of another teacher, whose image tower is a transformer (lesson 14)."""

    name, lessons, shown = "vit_student", (), ""

    def build(self, folder: Path, task: Task, vit: Encoder, unlabelled: Pictures) -> None:
        super().build(folder, task, vit, unlabelled)


@dataclass(frozen=True, kw_only=True)
class Tuned(Trained):
    """A student, and its teacher tuned along with it (Sec. 5, lesson 14).

    Args:
        pace: the teacher's learning rate over the student's.
        anchor: weight of the loss that holds the teacher at R; 0 lets it go where it will.
    """

    pace: float
    anchor: float = 0.0
    name: ClassVar[str] = "tuned"

    def build(self, folder: Path, task: Task, teacher: Encoder, unlabelled: Pictures) -> None:
        S, T, history = tuned_teacher.tune(
            teacher, unlabelled, parse(task.operator), parse_loss(task.loss),
            self.recipe_at(task.operator), task.seed, self.pace, self.anchor, folder / CHECKPOINT,
        )  # fmt: skip
        keep_training(folder, history, student=S, teacher=T)

    def load(self, folder: Path) -> tuple[Encoder, Encoder]:
        """The student and its teacher."""
        return tuple(encoders.load(str(folder / which)) for which in ("student", "teacher"))


class Anchored(Tuned):
    """The same, the teacher held at R by an anchor."""

    name = "anchored"


@dataclass(frozen=True, kw_only=True)
class FeatureStudent(Student):
    """A student of the transformer that learns R's features, here its embedding alone (lesson 14).

    Args:
        alignment: which features, and their weights. The defaults are for stickers-clip-vit under
            mask:0.9; for another teacher the rule in `Alignment` gives others.
    """

    alignment: Alignment = feature_distillation.EMBEDDING_ALONE
    losses: tuple[str, ...] = ()
    name, lessons, shown = "vit_global", (), ""

    def build(self, folder: Path, task: Task, vit: Encoder, unlabelled: Pictures) -> None:
        S, history = feature_distillation.distill_features(
            vit, unlabelled, parse(task.operator), self.alignment,
            self.recipe_at(task.operator), task.seed, folder / CHECKPOINT,
        )  # fmt: skip
        keep_training(folder, history, student=S)


@dataclass(frozen=True, kw_only=True)
class PatchStudent(FeatureStudent):
    """The same, with its patch tokens."""

    alignment: Alignment = feature_distillation.WITH_PATCHES
    name = "vit_patches"


@dataclass(frozen=True, kw_only=True)
class AttentionStudent(FeatureStudent):
    """The same, with its patch tokens and the attention maps of its last block."""

    alignment: Alignment = feature_distillation.WITH_ATTENTION
    name = "vit_attention"


@dataclass(frozen=True, kw_only=True)
class Baseline(Trained):
    """The supervised baseline: fine-tuned end to end, with labels, on corrupted pictures (lesson
    07)."""

    losses: tuple[str, ...] = ()
    name, shown = "baseline", "07"
    attack: ClassVar[Attack | None] = None

    def build(self, folder: Path, task: Task, supervised: Encoder, train: Pictures) -> None:
        classifier, history = finetune(
            supervised, train, parse(task.operator), self.recipe_at(task.operator), task.seed,
            folder / CHECKPOINT, attack=self.attack,
        )  # fmt: skip
        keep_classifier(folder, history, classifier)

    def load(self, folder: Path) -> Classifier:
        head = torch.load(folder / "head.pt", weights_only=True)
        classifier = Classifier(encoders.load(str(folder / "encoder")), len(head["weight"]), seed=0)
        classifier.head.load_state_dict(head)
        return classifier


class NarrowBaseline(Baseline):
    """The baseline from a tower that knows only the labelled classes (Tables 11 and 12; lesson
    07)."""

    name, shown = "baseline100", ""

    def build(self, folder: Path, task: Task, supervised_narrow: Encoder, train: Pictures) -> None:
        super().build(folder, task, supervised_narrow, train)


@dataclass(frozen=True, kw_only=True)
class StudentProbe(Training):
    """The linear probe of an operator's student: all labels, under the same operator (Sec. 4.1;
    lesson 06).

    Args:
        recipe: how it is trained.
    """

    recipe: ProbeRecipe
    name: ClassVar[str] = "probe"
    apart: ClassVar[bool] = False

    def build(self, folder: Path, task: Task, student: Encoder, train: Pictures) -> None:
        self._fit(folder, student, parse(task.operator), train, task.seed)

    def _fit(self, folder: Path, encoder: Encoder, op: Any, train: Pictures, seed: int) -> None:
        head = probes.train(encoder, train, op, self.recipe, seed)
        torch.save(head.cpu().state_dict(), folder / "probe.pt")

    def load(self, folder: Path) -> probes.Probe:
        return probes.Probe.from_state(torch.load(folder / "probe.pt", weights_only=True))


@dataclass(frozen=True, kw_only=True)
class CleanProbe(StudentProbe):
    """R's linear probe, fitted to clean pictures (App. D.4; lessons 06 and 12)."""

    losses: tuple[str, ...] = ()
    name, only_at = "clean_probe", str(Identity())

    def build(self, folder: Path, task: Task, teacher: Encoder, train: Pictures) -> None:
        self._fit(folder, teacher, Identity(), train, task.seed)


def keep_classifier(folder: Path, history: pd.DataFrame, classifier: Classifier) -> None:
    """Write what `Baseline.load` reads, and the history; the checkpoint is not needed any more."""
    torch.save(classifier.cpu().head.state_dict(), folder / "head.pt")
    keep_training(folder, history, encoder=classifier.encoder)


def keep_training(folder: Path, history: pd.DataFrame, **towers: Encoder) -> None:
    """Write encoders and the history of a training into its folder; its checkpoint goes."""
    for name, tower in towers.items():
        encoders.save(tower.cpu(), folder / name, dtype=torch.float16)
    history.to_csv(folder / "history.csv", index=False, float_format="%.6g")
    (folder / CHECKPOINT).unlink(missing_ok=True)  # one of several processes has written it
