"""Distillation (paper, Section 3): the student S learns, from corrupted images, the embeddings that
the teacher R gives to the same images clean. No labels are used. Both start as the same network.
"""

import copy
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from cinv_lib.data.image_files import Pictures
from cinv_lib.data.pairs import Pairs, ruined_alone
from cinv_lib.data.shards import Shards
from cinv_lib.encoders.encoder import Encoder, student_of
from cinv_lib.encoders.inference import folded
from cinv_lib.losses.equations import Loss
from cinv_lib.machine import hardware
from cinv_lib.operators.base import Operator
from cinv_lib.operators.functional import float64_on
from cinv_lib.training import attacked, feed, loop
from cinv_lib.training.attacked import Attack
from cinv_lib.training.light import lighter
from cinv_lib.training.recipe import Recipe


def distill(
    teacher: Encoder,
    images: Pictures | Pairs | Shards,
    op: Operator,
    loss: Loss,
    recipe: Recipe,
    seed: int,
    checkpoint: Path | None = None,
    progress: bool = True,
    light: bool | None = None,
    start: Encoder | None = None,
    attack: Attack | None = None,
) -> tuple[Encoder, pd.DataFrame]:
    """Train a student of `teacher` to see through `op`.

    Each step takes one view (crop, flip) of a batch: R sees it clean, S sees it corrupted, and
    S's visual tower takes an Adam step on `loss`, computed in float32. Under several processes the
    negatives are those of all of them: the gradient is that of one process with the whole batch.

    Args:
        teacher: not changed; a frozen copy of it is used, in eval mode.
        images: in memory, files or shards; of another size than the teacher takes, they are
            resized. Of pairs R sees the clean picture and S the ruined one, and `op` has to be the
            identity.
        loss, recipe: the paper's are `Loss("st", tau=0.1)` and 25 epochs, batches of 256, lr 3e-4.
        checkpoint: file to resume from; see `loop.run`, also for what is raised.
        light: the same student in a third of the memory and more time (see the module `light`);
            None to take it where a GPU's memory is short.
        start: where the student starts, if not as R (lesson 07 asks what that is worth); not
            changed. Its embeddings have the teacher's dimension, its pictures the teacher's size.
        attack: S learns from the worst pictures near A(x) (see the module `attacked`); None for
            A(x) itself.

    Raises:
        ValueError: a start with another dimension or size, or as `loop.run`.

    Returns:
        The student, in eval mode, on the training's device; and the history of `loop.run`.

    >>> from cinv_lib import data, encoders, losses, operators
    >>> teacher = encoders.load("stickers-clip")                     # doctest: +SKIP
    >>> pictures = data.load("stickers-100", "train", n=20)          # doctest: +SKIP
    >>> student, history = distill(teacher, pictures, operators.parse("mask:0.9"),
    ...     losses.parse("st:0.1"), Recipe(30, 64, 3e-3), seed=0)    # doctest: +SKIP
    """
    if isinstance(images, Pairs):
        ruined_alone(images, op)  # refuses to ruin them once more
    start = teacher if start is None else start
    shapes = [(encoder.dim, encoder.image_size) for encoder in (start, teacher)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"a start with (dimension, pixels) {shapes[0]}: expected the teacher's, {shapes[1]}, "
            "as the student's embeddings are compared with the teacher's"
        )
    device, images = hardware.accelerator().device, feed.shown(images, teacher)
    student = student_of(start).to(device)
    source = feed.of(images, teacher.image_size, recipe, seed, device)
    R = frozen(teacher, source, recipe, device)

    def step(indices: Tensor, generator: torch.Generator) -> Tensor:
        x = source.view(indices, generator)
        r = R(indices, x[:, :3])
        ruined = isinstance(images, Pairs)
        y = x[:, 3:] if ruined else source.ruined(op, x, indices, generator)
        y = y.to(device)

        def objective(z: Tensor) -> Tensor:
            s = student(z)
            with torch.autocast(device.type, enabled=False):
                return loss(gathered(s.float()), gathered(r.float()))

        if attack is not None:
            where = attacked.open_pixels(op, y)
            y = attacked.worst(attack, objective, y, where, generator, student.tower)
        return objective(y)

    with lighter(student, light=light, recipe=recipe, device=device):
        history = loop.run(
            student.tower, student.tower.parameters(), step, len(images), recipe, seed, checkpoint,
            progress=f"student, {op}" if progress else None,
            spec=loop.describe("distillation", images, op, attack) | {"loss": loss},
            ahead=source.ahead, least=loss.least, order=source.order,
        )  # fmt: skip
    return student.eval(), history


def frozen(
    teacher: Encoder, source: feed.Resident | feed.Decoded, recipe: Recipe, device: torch.device
) -> Callable[[Tensor, Tensor], Tensor]:
    """R as a training asks it: from the image numbers of a batch, and its view, to embeddings.

    It is a frozen copy of `teacher` in eval mode, or what `fixed_targets` has of it. On a GPU its
    batch norms are folded: there their memory takes the time, and no digit is promised. On a CPU
    they are as they were, so that what was trained before is trained again to the bit.
    """
    on_cpu = device.type == "cpu"
    R = copy.deepcopy(teacher).eval().requires_grad_(False) if on_cpu else folded(teacher)
    R = R.to(device).to(memory_format=hardware.layout(device))
    targets = fixed_targets(R, source, recipe, device)

    @torch.no_grad()
    def embedded(indices: Tensor, x: Tensor) -> Tensor:
        return R(x.to(device)) if targets is None else targets[indices.to(device)]

    return embedded


def gathered(rows: Float[Tensor, "b d"]) -> Float[Tensor, "N d"]:
    """The rows of all processes, in their order; gradients flow back to all of them.

    Each process computes the same loss of all N rows, so the backward pass hands each process the
    sum of `world size` equal gradients, and DistributedDataParallel's mean makes it one again.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return rows
    from torch.distributed.nn import all_gather  # accelerator.gather carries no gradient

    return torch.cat(all_gather(rows))


@torch.no_grad()
def fixed_targets(
    teacher: Encoder, source: feed.Resident | feed.Decoded, recipe: Recipe, device: torch.device
) -> Float[Tensor, "N d"] | None:
    """R's embeddings of all images where no crop or flip ever changes what R sees; else None, as
    for files, which would have to be decoded once more.

    R is in eval mode, so an image's embedding never changes: a quarter of each step saved.
    """
    if recipe.crop != (1.0, 1.0) or recipe.flip or source.ahead is not None:
        return None
    bf16, nobody = hardware.autocast(recipe.precision, device), torch.Generator(float64_on(device))
    parts = []
    for indices in torch.arange(len(source.pool), device="cpu").split(recipe.batch_size):
        x = source.view(indices, nobody)
        with bf16:
            parts.append(teacher(x[:, :3].to(device)).float())
    return torch.cat(parts)
