"""A student that then learns from labels: distilled for half of its epochs, and fine-tuned end to
end for the other half (lesson 07).

Elsewhere only the baseline may move its tower for the labels; the student gets a probe. Here one
network has R's start, R's embeddings and the labels, in as many epochs as either of the two has.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from cinv_lib.data.image_files import Pictures
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.experiments.base import LOSS, Task
from cinv_lib.experiments.trainings import CHECKPOINT, Baseline, keep_classifier
from cinv_lib.losses.equations import parse as parse_loss
from cinv_lib.operators.basic import parse
from cinv_lib.training.baseline import Classifier, finetune
from cinv_lib.training.recipe import Recipe
from cinv_lib.training.student import distill

FIRST_HALF = "first_half.pt"  # its checkpoint
# Added to the seed of the second half. All draws of a step follow from (seed, epoch, step), so with
# the same seed it would meet the same pictures under the same corruptions as the first half, and
# the network half as many corruptions in all as a baseline of as many epochs.
SECOND_HALF = 1000


@dataclass(frozen=True, kw_only=True)
class Finetuned(Baseline):
    """Distilled from R without labels, then fine-tuned with them, half of the epochs each. It loads
    as the baseline does.

    Args:
        recipe, full, side_epochs: of the distillation, at full length: a student's. Of an odd
            number of epochs the first half has one more.
        finetune_lr: the learning rate of the second half, whose other settings are the recipe's.
            Both halves have a whole cosine.
        losses: of the distillation.
    """

    finetune_lr: float
    losses: tuple[str, ...] = (LOSS,)
    name, shown = "finetuned", ""

    def halves(self, operator: str) -> tuple[Recipe, Recipe]:
        """How both halves are trained on this operator."""
        first, second = halved(self.recipe_at(operator))
        return first, replace(second, lr=self.finetune_lr)

    def build(
        self, folder: Path, task: Task, teacher: Encoder, unlabelled: Pictures, train: Pictures
    ) -> None:
        op, (first, second) = parse(task.operator), self.halves(task.operator)
        loss, seed = parse_loss(task.loss), task.seed
        in_halves(
            folder,
            first.epochs,
            lambda at: distill(teacher, unlabelled, op, loss, first, seed, at),
            lambda S, at: finetune(S, train, op, second, seed + SECOND_HALF, at),
        )


def halved(whole: Recipe) -> tuple[Recipe, Recipe]:
    """Two recipes that together have its epochs, of an odd number the first one more; each has one
    at least."""
    second = max(1, whole.epochs // 2)
    return replace(whole, epochs=max(1, whole.epochs - second)), replace(whole, epochs=second)


def in_halves(
    folder: Path,
    epochs: int,
    first: Callable[[Path], tuple[Encoder, pd.DataFrame]],
    second: Callable[[Encoder, Path], tuple[Classifier, pd.DataFrame]],
) -> None:
    """Train in two halves, of which the second begins with the tower of the first, and keep the
    classifier, and one history: epochs and steps counted on; loss is that of either half.

    A half that is finished is read from its checkpoint: no step is taken again.

    Args:
        epochs: of the first half.
        first, second: from the checkpoint of the half, and the tower, to what is trained.
    """
    tower, before = first(folder / FIRST_HALF)
    classifier, after = second(tower, folder / CHECKPOINT)
    after = after.assign(epoch=after.epoch + epochs, step=after.step + len(before))
    keep_classifier(folder, pd.concat([before, after], ignore_index=True), classifier)
    (folder / FIRST_HALF).unlink(missing_ok=True)
