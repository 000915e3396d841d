"""A student that then learns from labels: distilled for half of its epochs, and fine-tuned end to
end for the other half (lesson 07).

Elsewhere only the baseline may move its tower for the labels; the student gets a probe. Here one
network has R's start, R's embeddings and the labels, in as many epochs as either of the two has.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from cinv_lib.data.image_files import Pictures
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.experiments.base import LOSS, Task
from cinv_lib.experiments.trainings import CHECKPOINT, Baseline, keep_classifier
from cinv_lib.losses.equations import parse as parse_loss
from cinv_lib.operators.basic import parse
from cinv_lib.training.baseline import finetune
from cinv_lib.training.recipe import Recipe
from cinv_lib.training.student import distill

DISTILLED = "distilled.pt"  # the checkpoint of the first half
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
        """How both halves are trained on this operator; each has one epoch at least."""
        whole = self.recipe_at(operator)
        second = max(1, whole.epochs // 2)
        first = max(1, whole.epochs - second)
        return replace(whole, epochs=first), replace(whole, epochs=second, lr=self.finetune_lr)

    def build(
        self, folder: Path, task: Task, teacher: Encoder, unlabelled: Pictures, train: Pictures
    ) -> None:
        """Kept with the classifier: the history of both halves, epochs and steps counted on. loss
        is the distillation's in the first and the cross-entropy in the second."""
        op, (first, second) = parse(task.operator), self.halves(task.operator)

        # A half that is finished is read from its checkpoint: no step is taken again.
        S, before = distill(
            teacher, unlabelled, op, parse_loss(task.loss), first, task.seed, folder / DISTILLED
        )
        classifier, after = finetune(
            S, train, op, second, task.seed + SECOND_HALF, folder / CHECKPOINT
        )
        after = after.assign(epoch=after.epoch + first.epochs, step=after.step + len(before))
        keep_classifier(folder, pd.concat([before, after], ignore_index=True), classifier)
        (folder / DISTILLED).unlink(missing_ok=True)
