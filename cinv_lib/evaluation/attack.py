"""An attack on a model: a small change of what it sees, made to have it err.

The attacker knows the model f and looks for the worst picture z near x:

    maximise CE(f(z), label)   over |z - x| <= budget in each pixel and channel, z in [0,1]

by projected gradient steps (PGD; Madry et al. 2018, from a random start). What PGD does not find
may be there all the same: accuracy under PGD is an upper bound of the worst case.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from cinv_lib.machine.hardware import convolutions
from cinv_lib.operators import functional

RATE = 2.5  # a step is RATE budget / steps: enough to cross the ball, 2 budgets wide (Madry et al.)

Model = Callable[[Float[Tensor, "B 3 H W"]], Float[Tensor, "B K"]]


def step(
    z: Float[Tensor, "B 3 H W"],
    x: Float[Tensor, "B 3 H W"],
    gradient: Float[Tensor, "B 3 H W"],
    size: float,
    budget: float,
) -> Float[Tensor, "B 3 H W"]:
    """One step of PGD from z: it goes up the loss by the gradient's sign, then back to within
    `budget` of x, then back into [0,1]. x lies in [0,1], so the last of these stays within the
    budget."""
    z = z + size * gradient.sign()
    return z.clamp(x - budget, x + budget).clamp(0, 1)


@convolutions(exact=True)
def pgd(
    model: Model,
    x: Float[Tensor, "B 3 H W"],
    labels: Int64[Tensor, " B"],
    budget: float,
    generator: torch.Generator,
    steps: int = 10,
    where: Bool[Tensor, "B 1 H W"] | None = None,
    stop: bool = True,
) -> Float[Tensor, "B 3 H W"]:
    """The worst pictures that PGD finds: misnamed before rightly named, then of the highest loss.

    x itself, a random place in the ball and each step are looked at.

    Args:
        model: in eval mode, so that no picture acts on another.
        budget: of each pixel and channel, in [0,1].
        where: pixels that may change, None for all.
        stop: leave a picture as soon as it is misnamed, which gives the same accuracy in less
            time. False goes on to the highest loss, which does more harm to other models.

    Raises:
        ValueError: a picture outside [0,1], a negative budget, no step.

    >>> dark = lambda z: torch.stack([-z.mean((1, 2, 3)), z.mean((1, 2, 3)) - 1], dim=1)
    >>> x, zero = torch.full((1, 3, 2, 2), 0.45), torch.tensor([0])
    >>> pgd(dark, x, zero, 0.1, torch.Generator().manual_seed(0)).mean() > 0.5
    tensor(True)
    """
    low, high = (bound.item() for bound in x.aminmax())
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"pictures run from {low:.4g} to {high:.4g}; expected [0,1], where the attack stays: "
            "take an operator without noise"
        )
    if budget < 0 or steps < 1:
        raise ValueError(f"budget {budget}, {steps} steps: expected 0 or more, and 1 or more")
    where = torch.ones_like(x[:, :1], dtype=torch.bool) if where is None else where
    anywhere = 2 * functional.uniform(tuple(x.shape), generator, x.device).to(x) - 1
    start = (x + budget * anywhere * where).clamp(0, 1)
    worst, record = x.clone(), torch.full((len(x), 2), -torch.inf, device=x.device)
    left, z = torch.arange(len(x), device=x.device), x  # those still attacked, and where they are
    for k in range(steps + 2):
        climbs = 0 < k <= steps
        z = z.detach().requires_grad_(climbs)
        with torch.set_grad_enabled(climbs):
            logits = model(z).float()
            loss = F.cross_entropy(logits, labels[left], reduction="none")
        fooled = logits.argmax(dim=1) != labels[left]
        gradient = torch.autograd.grad(loss.sum(), z)[0] if climbs else torch.zeros_like(z)
        found, z = torch.stack([fooled.float(), loss.detach()], dim=1), z.detach()
        better = _above(found, record[left])
        worst[left[better]], record[left[better]] = z[better], found[better]
        stays = ~fooled if stop else torch.ones_like(fooled)
        left, z = left[stays], z[stays]
        if not len(left):
            break
        if climbs:
            z = step(z, x[left], gradient[stays] * where[left], RATE * budget / steps, budget)
        else:
            z = start[left]
    return worst


def _above(a: Float[Tensor, "B 2"], b: Float[Tensor, "B 2"]) -> Bool[Tensor, " B"]:
    """Whether a comes after b: by the first column, and where that is equal by the second."""
    return (a[:, 0] > b[:, 0]) | ((a[:, 0] == b[:, 0]) & (a[:, 1] > b[:, 1]))


def noise(
    x: Float[Tensor, "B 3 H W"],
    budget: float,
    generator: torch.Generator,
    where: Bool[Tensor, "B 1 H W"] | None = None,
) -> Float[Tensor, "B 3 H W"]:
    """A random corner of the ball: each number up or down by the whole budget, then into [0,1]."""
    signs = (functional.uniform(tuple(x.shape), generator, x.device) < 0.5).to(x) * 2 - 1
    return (x + budget * signs * (1 if where is None else where)).clamp(0, 1)


@convolutions(exact=True)
def slope(
    model: Model, x: Float[Tensor, "B 3 H W"], labels: Int64[Tensor, " B"], reach: float = 1e-3
) -> tuple[float, float]:
    """Do the gradients say how the loss changes? Along each picture's own gradient, over +-`reach`
    (Euclidean, in all its numbers): measured slopes summed, over the gradients' lengths summed, 1
    where they do; and the percent of pictures whose gradient is 0, from which no step leads on.

    The gradient is that which the attack climbs, in float32. What the loss changes by is taken in
    float64, on the CPU as not every device has it: where a model is certain it is less than
    float32 rounds."""

    def loss(z: Tensor) -> Tensor:
        return F.cross_entropy(model(z).cpu().double(), labels.cpu(), reduction="none")

    z = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        climbed = F.cross_entropy(model(z).float(), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(climbed, z)
    length = gradient.flatten(1).norm(dim=1)
    along = reach * gradient / length.clamp(min=1e-30)[:, None, None, None]
    with torch.no_grad():
        rise = (loss(x + along) - loss(x - along)) / (2 * reach)
    return (rise.sum() / length.sum().cpu()).item(), 100 * (length == 0).float().mean().item()
