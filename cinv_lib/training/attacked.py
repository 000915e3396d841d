"""Training under attack: each step learns from the worst pictures that PGD finds near A(x).

    minimise over S   max over |z - A(x)| <= budget   L(S(z), R(x))

(Madry et al. 2018 with labels; FARE, Schlarmann et al. 2024, with a teacher in their place.) The
paper's last open problem is what an attacker does to a student (Section 5, lesson 14).

What is attacked is the very loss that the step then descends, so the network stays in train mode:
its batch norms use the statistics of the attacked batch. Those that they keep for later would be
another network's: at the start they are R's, of clean pictures. The attack leaves the kept ones
alone, and they follow the pictures that are learned from. Its precision is the training's, as only
the signs of its gradients are used.
"""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cinv_lib.machine.checks import expect, number
from cinv_lib.operators import functional
from cinv_lib.operators.base import Operator
from cinv_lib.training.light import sparing

RATE = 2.5  # a step is RATE budget / steps, as in `evaluation.attack`: all cross the ball
MASKS = ("mask", "box_inpainting")  # operators that leave some pixels as they are, the others black


@dataclass(frozen=True)
class Attack:
    """What a step is attacked with.

    Args:
        budget: how far each number of a picture may be moved, in grey levels of 255.
        steps: of PGD, each a forward and a backward pass; together they cross the ball.

    Raises ValueError for a budget that is not above 0 and at most 255, or less than one step.

    >>> Attack(budget=8)
    Attack(budget=8.0, steps=2)
    """

    budget: Any  # a float, of whatever kind of number was given
    steps: Any = 2

    def __post_init__(self) -> None:
        budget, steps = number(self.budget), self.steps
        whole = isinstance(steps, Integral) and not isinstance(steps, bool)
        levels = "grey levels, above 0 and at most 255; for no attack, leave the attack out"
        expect(
            self,
            budget=(budget is not None and 0 < budget <= 255, levels),
            steps=(whole and steps >= 1, "a whole number, at least 1"),
        )
        object.__setattr__(self, "budget", budget)
        object.__setattr__(self, "steps", int(steps))


def open_pixels(op: Operator, y: Float[Tensor, "B 3 H W"]) -> Bool[Tensor, "B 1 H W"]:
    """The pixels of y = A(x) that an attack may move: those that a mask has left (`known`), if A
    is one or has one among its parts; under other operators all."""
    if any(part.name in MASKS for part in getattr(op, "parts", (op,))):
        return functional.known(y)
    return torch.ones_like(y[:, :1], dtype=torch.bool)


def worst(
    attack: Attack,
    loss: Callable[[Float[Tensor, "B 3 H W"]], Float[Tensor, ""]],
    y: Float[Tensor, "B 3 H W"],
    where: Bool[Tensor, "B 1 H W"],
    generator: torch.Generator,
    module: nn.Module,
) -> Float[Tensor, "B 3 H W"]:
    """Pictures near y under which `loss` is high: from a random place in the ball, `attack.steps`
    steps up the signs of its gradient.

    Each picture stays in [0,1]; where y is outside, as under noise, it goes no further out than y.

    Args:
        loss: of a batch of pictures; a picture may act on others, as negatives and batch norms do.
        where: pixels that may change.
        generator: of the start.
        module: of which the loss makes use: its buffers, and the .grad of its parameters, stay as
            they are.
    """
    budget = attack.budget / 255
    low, high = torch.maximum(y - budget, y.clamp(max=0)), torch.minimum(y + budget, y.clamp(min=1))
    anywhere = 2 * functional.uniform(tuple(y.shape), generator, y.device).to(y) - 1
    z = (y + budget * anywhere * where).clamp(low, high)
    with sparing(module):
        for _ in range(attack.steps):
            z.requires_grad_()
            (gradient,) = torch.autograd.grad(loss(z), z)  # of z alone: no parameter's .grad
            up = RATE * budget / attack.steps * gradient.sign() * where
            z = (z.detach() + up).clamp(low, high)
    return z
