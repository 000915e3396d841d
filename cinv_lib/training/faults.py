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
from typing import ClassVar

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from cinv_lib.data.image_set import to_float
from cinv_lib.data.views import epoch_order, generator_of
from cinv_lib.encoders.encoder import Encoder, student_of
from cinv_lib.encoders.inference import device_of
from cinv_lib.losses.equations import Loss
from cinv_lib.machine import hardware
from cinv_lib.operators.base import Operator
from cinv_lib.operators.basic import parse
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

    parts: ClassVar[tuple[str, ...]] = ("ready", "order", "rate", "ruined", "target", "train")

    def ready(self, R: Encoder, S: Encoder) -> None:
        R.eval().requires_grad_(False)
        S.train()

    def order(self, n: int, batches: int, seed: int, epoch: int) -> tuple[Tensor, ...]:
        return epoch_order(n, seed, epoch).tensor_split(batches)

    def rate(self, lr: float, epoch: int, k: int, epochs: int, batches: int) -> float:
        return cosine(lr, epoch * batches + k, epochs * batches)

    def ruined(self, A: Operator, x: Pictures, S: Encoder, seed: int, epoch: int) -> Pictures:
        return A(x, generator_of(seed, epoch, 1))

    def target(self, R: Encoder, x: Pictures, y: Pictures) -> Float[Tensor, "n d"]:
        with torch.no_grad():
            return R(x)

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
        n, device, x = len(images), device_of([R]), to_float(images)
        batches = math.ceil(n / recipe.batch_size)
        self.ready(R, S)
        learns = [p for p in [*S.tower.parameters(), *R.parameters()] if p.requires_grad]
        adam = torch.optim.Adam(learns, lr=recipe.lr, fused=True)
        bf16 = hardware.uses_bf16(recipe.precision, device)
        for epoch in range(recipe.epochs):
            y = self.ruined(A, x, S, seed, epoch)
            for k, rows in enumerate(self.order(n, batches, seed, epoch)):
                lr = self.rate(recipe.lr, epoch, k, recipe.epochs, batches)
                for group in adam.param_groups:
                    group["lr"] = lr
                clean, shown = x[rows].to(device), y[rows].to(device)
                with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                    target, guess = self.target(R, clean, shown), S(shown)
                value = loss(guess.float(), target.float())
                value.backward()
                adam.step()
                adam.zero_grad()
                watch(Step(epoch, rows, shown, target.detach(), value.item(), lr))

    @classmethod
    def source(cls) -> str:
        """The methods of this loop as they are written, wherever they stand."""
        found = (textwrap.dedent(inspect.getsource(getattr(cls, part))) for part in cls.parts)
        return "\n".join(found)


# -- the faults of lesson 17's patients --------------------------------------------------------
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
        mean, std = (S.get_buffer(name).to(x.device) for name in ("mean", "std"))
        keep = A(torch.ones_like(x), generator_of(seed, epoch, 1))
        return (x - mean) / std * keep * std + mean  # S normalises by itself


# -- and others --------------------------------------------------------------------------------
class TeacherLearns(Loop):
    """R is not frozen, and the gradient reaches it."""

    def ready(self, R: Encoder, S: Encoder) -> None:
        R.eval().requires_grad_(True)
        S.train()

    def target(self, R: Encoder, x: Pictures, y: Pictures) -> Float[Tensor, "n d"]:
        return R(x)


class WithReplacement(Loop):
    """Pictures are drawn with replacement, so that an epoch misses a third of them."""

    def order(self, n: int, batches: int, seed: int, epoch: int) -> tuple[Tensor, ...]:
        return torch.randint(n, (n,), generator=generator_of(seed, epoch)).tensor_split(batches)


# -- a loop in a fraction of a second ----------------------------------------------------------
@dataclass(frozen=True)
class Log:
    """What a trial of a loop leaves.

    Args:
        pictures: all clean pictures, in the order of their numbers.
        steps: what was noted of each step.
        R: the teacher as it was handed over: frozen, in eval mode.
        R_after: the teacher after the training.
    """

    pictures: Float[Tensor, "n 3 H W"]
    steps: tuple[Step, ...]
    R: Encoder
    R_after: Encoder


def trial(loop: Loop, seed: int) -> Log:
    """Train a tiny student of 16 pictures of 8 x 8 pixels, by 4 epochs of 4 batches, with masks of
    50 %: everything follows from the seed."""
    generator = generator_of(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = nn.Linear(192, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4)
        R = Encoder.wrap(nn.Sequential(nn.Flatten(), *layers), image_size=8)
    images = torch.randint(1, 256, (16, 3, 8, 8), generator=generator).to(torch.uint8)
    steps: list[Step] = []
    given, S = copy.deepcopy(R).requires_grad_(False), student_of(R)
    recipe = Recipe(epochs=4, batch_size=4, lr=1e-2, precision="fp32")
    loop.train(R, S, images, parse("mask:0.5"), Loss("st", tau=0.1), recipe, seed, steps.append)
    return Log(to_float(images), tuple(steps), given, R)
