"""The supervised baseline: an encoder and a linear layer trained end to end on corrupted images."""

from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cinv_lib.data.image_files import Pictures
from cinv_lib.encoders.encoder import Encoder, student_of
from cinv_lib.machine import hardware
from cinv_lib.operators.base import Operator
from cinv_lib.training import attacked, feed, loop
from cinv_lib.training.attacked import Attack
from cinv_lib.training.light import lighter
from cinv_lib.training.recipe import Recipe


class Classifier(nn.Module):
    """An encoder and a linear head on its unnormalised embedding: images to logits."""

    def __init__(self, encoder: Encoder, n_classes: int, seed: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.utils.skip_init(nn.Linear, encoder.dim, n_classes)
        bound = encoder.dim**-0.5  # nn.Linear's own range, from a generator of ours
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.head.parameters():
                parameter.uniform_(-bound, bound, generator=generator)

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K"]:
        return self.head(self.encoder(x))


def finetune(
    init: Encoder,
    images: Pictures,
    op: Operator,
    recipe: Recipe,
    seed: int,
    checkpoint: Path | None = None,
    progress: bool = True,
    n_classes: int | None = None,
    light: bool | None = None,
    attack: Attack | None = None,
) -> tuple[Classifier, pd.DataFrame]:
    """Train a copy of `init` and a new head by cross-entropy on the labels (paper, Section 4).

    Args:
        init: where the encoder starts; not changed. The paper's is an ImageNet ResNet-101.
        op: drawn afresh for each view; `Identity()` trains the clean classifier.
        recipe: the paper's is 25 epochs, batches of 256, lr 1e-3, with crops and flips.
        checkpoint: file to resume from; see `loop.run`, also for what is raised.
        n_classes: number of logits, if other than the number of class names.
        light, attack: as in `training.distill`; here the cross-entropy is attacked.

    Returns:
        The classifier, in eval mode, on the training's device; and the history of `loop.run`.

    Raises:
        ValueError: a label has no logit.
    """
    images.expect_classes("train a classifier")
    images = feed.shown(images, init)
    n_classes = len(images.class_names) if n_classes is None else n_classes
    if len(images) and not 0 <= int(images.labels.min()) <= int(images.labels.max()) < n_classes:
        raise ValueError(
            f"{images.name} has labels from {int(images.labels.min())} to "
            f"{int(images.labels.max())}; {n_classes} classes need labels from 0 to "
            f"{n_classes - 1}. Pass n_classes, or renumber the labels."
        )
    device = hardware.accelerator().device
    classifier = Classifier(student_of(init), n_classes, seed).to(device)
    source = feed.of(images, init.image_size, recipe, seed, device)
    labels = images.labels.to(device)

    def step(indices: Tensor, generator: torch.Generator) -> Tensor:
        y = op(source.view(indices, generator), generator).to(device)

        def objective(z: Tensor) -> Tensor:
            logits = classifier(z)
            with torch.autocast(device.type, enabled=False):
                return F.cross_entropy(logits.float(), labels[indices.to(device)])

        if attack is not None:
            where = attacked.open_pixels(op, y)
            y = attacked.worst(attack, objective, y, where, generator, classifier)
        return objective(y)

    trained = nn.ModuleDict({"tower": classifier.encoder.tower, "head": classifier.head})
    with lighter(classifier.encoder, light=light, recipe=recipe, device=device):
        history = loop.run(
            trained, trained.parameters(), step, len(images), recipe, seed, checkpoint,
            progress=f"baseline, {op}" if progress else None,
            spec=loop.describe("supervised baseline", images, op, attack),
            ahead=source.ahead,
        )  # fmt: skip
    return classifier.eval(), history
