"""Distillation in the open, whole, and loops of it with a fault each (lesson 17).

`training.distill` is what the course trains with. This loop does the same for pictures in memory,
in methods short enough to be read at once, so that each of them can be wrong alone.
"""

import copy
import inspect
import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from cinv_lib.data.image_set import to_float
from cinv_lib.data.views import epoch_order, generator_of
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.losses.equations import Loss
from cinv_lib.machine import hardware
from cinv_lib.operators.base import Operator
from cinv_lib.training.recipe import Recipe, cosine

Pictures = Float[Tensor, "n 3 H W"]


@dataclass(frozen=True)
class Step:
    """What is noted of one step of a loop.

    Args:
        epoch: of this step, from 0.
        rows: the numbers of its pictures.
        shown: those pictures as S saw them, in [0, 1].
        target: what R said of them; S is pulled there.
        loss, rate: its loss, and its learning rate.
    """

    epoch: int
    rows: Int64[Tensor, " b"]
    shown: Float[Tensor, "b 3 H W"]
    target: Float[Tensor, "b d"]
    loss: float
    rate: float


class Loop:
    """A sound loop: subclasses have one method that is not."""

    parts: ClassVar[tuple[str, ...]] = ("ready", "rate", "ruined", "target", "learn", "train")

    def ready(self, R: Encoder, S: Encoder) -> None:
        R.eval().requires_grad_(False)
        S.train()

    def rate(self, lr: float, epoch: int, k: int, epochs: int, batches: int) -> float:
        return cosine(lr, epoch * batches + k, epochs * batches)

    def ruined(self, A: Operator, x: Pictures, S: Encoder, seed: int, epoch: int) -> Pictures:
        return A(x, generator_of(seed, epoch, 1))

    def target(self, R: Encoder, x: Pictures, y: Pictures) -> Float[Tensor, "n d"]:
        with torch.no_grad():
            return R(x)

    def learn(self, adam: torch.optim.Optimizer, loss: Float[Tensor, ""]) -> None:
        loss.backward()
        adam.step()
        adam.zero_grad()

    def train(
        self,
        R: Encoder,
        S: Encoder,
        images: UInt8[Tensor, "n 3 H W"],
        A: Operator,
        loss: Loss,
        recipe: Recipe,
        seed: int,
        watch: Callable[[Step], None],
    ) -> None:
        n, device, x = len(images), R.mean.device, to_float(images)
        batches = math.ceil(n / recipe.batch_size)
        self.ready(R, S)
        learns = [p for p in [*S.tower.parameters(), *R.parameters()] if p.requires_grad]
        adam = torch.optim.Adam(learns, lr=recipe.lr)
        bf16 = hardware.uses_bf16(recipe.precision, device)
        for epoch in range(recipe.epochs):
            y = self.ruined(A, x, S, seed, epoch)
            for k, rows in enumerate(epoch_order(n, seed, epoch).tensor_split(batches)):
                lr = self.rate(recipe.lr, epoch, k, recipe.epochs, batches)
                for group in adam.param_groups:
                    group["lr"] = lr
                clean, shown = x[rows].to(device), y[rows].to(device)
                with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                    target, guess = self.target(R, clean, shown), S(shown)
                value = loss(guess.float(), target.float())
                self.learn(adam, value)
                watch(Step(epoch, rows, shown, target.detach(), value.item(), lr))

    @classmethod
    def source(cls) -> str:
        """The methods of this loop as they are written, wherever they stand."""
        found = (textwrap.dedent(inspect.getsource(getattr(cls, part))) for part in cls.parts)
        return "\n".join(found)


# -- the faults of lesson 17's patients ----------------------------------------------------------
class TeacherInTrainMode(Loop):
    """R's batch norms use the batch, and their running statistics drift: the authors' code."""

    def ready(self, R: Encoder, S: Encoder) -> None:
        R.requires_grad_(False)
        nn.ModuleList([R, S]).train()


class NearlyConstant(Loop):
    """A cosine sized in steps and stepped once an epoch: the authors' code."""

    def rate(self, lr: float, epoch: int, k: int, epochs: int, batches: int) -> float:
        return cosine(lr, epoch, epochs * batches)


class SameMasks(Loop):
    """One stream of masks, begun anew in each epoch, so that a picture never gets another mask."""

    def ruined(self, A: Operator, x: Pictures, S: Encoder, seed: int, epoch: int) -> Pictures:
        return A(x, generator_of(seed, 1))


class GreyHoles(Loop):
    """The mask is laid on normalised pictures, where 0 is the mean colour and not black."""

    def ruined(self, A: Operator, x: Pictures, S: Encoder, seed: int, epoch: int) -> Pictures:
        mean, std = S.mean.to(x.device), S.std.to(x.device)
        keep = A(torch.ones_like(x), generator_of(seed, epoch, 1))
        return (x - mean) / std * keep * std + mean  # S normalises by itself


# -- and others -----------------------------------------------------------------------------------
class SharedMasks(Loop):
    """The authors' masks: 12 workers draw from equal streams, which repeat in each epoch. The
    pictures are shuffled, so a mask meets another picture each time."""

    workers, batch = 12, 64

    def ruined(self, A: Operator, x: Pictures, S: Encoder, seed: int, epoch: int) -> Pictures:
        y = torch.empty_like(x)
        batches = math.ceil(len(x) / self.batch)
        for k, rows in enumerate(epoch_order(len(x), seed, epoch).tensor_split(batches)):
            y[rows] = A(x[rows], generator_of(seed, k // self.workers))
        return y


class TeacherLearns(Loop):
    """R is not frozen, and the gradient reaches it."""

    def ready(self, R: Encoder, S: Encoder) -> None:
        R.eval().requires_grad_(True)
        S.train()

    def target(self, R: Encoder, x: Pictures, y: Pictures) -> Float[Tensor, "n d"]:
        return R(x)


class RuinedTarget(Loop):
    """R is shown what S is shown."""

    def target(self, R: Encoder, x: Pictures, y: Pictures) -> Float[Tensor, "n d"]:
        with torch.no_grad():
            return R(y)


def embed(loop: Loop, R: Encoder, x: Pictures, y: Pictures | None = None) -> Float[Tensor, "n d"]:
    """What R says of pictures when this loop asks it, in its mode; R itself is left as it is."""
    R = copy.deepcopy(R)
    loop.ready(R, copy.deepcopy(R))
    with torch.no_grad():
        return loop.target(R, x, x if y is None else y)


def nothing(step: Any) -> None:
    """Notes nothing of a step."""
