"""What can be known before a student is trained: is the operator one, is there anything to gain,
what will it cost, and are the pictures fit to measure it on? (lesson 18)
"""

import copy
import math
import resource
import sys
from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cinv_lib.data.image_files import Pictures
from cinv_lib.data.image_set import to_float
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.operators.base import Operator
from cinv_lib.training.recipe import Recipe

Apply = Callable[[Tensor, Tensor, torch.Generator], Tensor]
NEAR = 5.0  # points of accuracy that are not worth a training
WARM_UP = 10  # steps of a training that are slower: memory is found, kernels are chosen
ADVICE = {
    "hopeless": "the teacher does not know these classes; take another teacher",
    "needless": "the teacher sees through A as it is",
    "batch norms": "estimating its batch norms again is enough, and takes one pass",
    "train": "there is something to gain",
}


def contract(apply: Apply, x: Float[Tensor, "B 3 H W"]) -> tuple[bool, bool, bool]:
    """What an operator's `apply(x, severities, generator)` promises: at severity 0 it is the
    identity; equal generators give equal corruptions; the next draw of a generator is another one.
    Without the second no result can be made again, without the third there is one corruption for
    ever. The last two are tried at severity 0.5.
    """
    none, half = (torch.full((len(x),), s, dtype=torch.float64) for s in (0.0, 0.5))
    one, other = (torch.Generator().manual_seed(0) for _ in range(2))
    first, again, after = apply(x, half, one), apply(x, half, other), apply(x, half, one)
    identity = torch.equal(apply(x, none, one), x)
    return identity, torch.equal(first, again), not torch.equal(first, after)


def advice(
    clean: float | int, corrupted: float | int, again: float | int, chance: float | int
) -> str:
    """Which of ADVICE holds, from a teacher's accuracy in percent: on clean pictures, on corrupted
    ones, on these with its batch norms estimated again; and from that of a guess.

    The first that is within NEAR points decides. It says nothing of what A has destroyed: a
    teacher that fails on corrupted pictures is what a student is for.

    >>> advice(98, 20, 54, chance=5)
    'train'
    """
    if clean - chance < NEAR:
        return "hopeless"
    if clean - corrupted < NEAR:
        return "needless"
    return "batch norms" if clean - again < NEAR else "train"


@torch.no_grad()
def batch_norms_again(
    encoder: Encoder, images: Pictures, op: Operator, seed: int = 0, most: int = 1024
) -> Encoder:
    """A copy whose batch norms have the statistics of corrupted pictures: one pass, no training.

    Nothing else changes. An encoder without batch norms, as a transformer, comes back as it was.

    Args:
        most: pictures that are looked at; all of fewer. They are mixed, as in a training, in equal
            batches of about 64.
    """
    made, generator = copy.deepcopy(encoder).eval(), torch.Generator().manual_seed(seed)
    norms = [m for m in made.modules() if isinstance(m, nn.BatchNorm2d)]
    if not norms:
        return made
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    order = torch.randperm(len(images), generator=generator, device="cpu")[:most]
    for rows in order.tensor_split(math.ceil(len(order) / 64)):
        x = to_float(images.images[rows])
        made(op(x, generator).to(next(made.parameters()).device))
    return made.eval()


def few_steps(images: Pictures, recipe: Recipe, steps: int = 50) -> tuple[Pictures, Recipe]:
    """The pictures and the recipe of a training that has about so many steps, and is a whole one:
    its learning rate goes to zero. Of many pictures some are taken, from all places of the set."""
    count = min(len(images), steps * recipe.batch_size)
    places = torch.arange(count, device="cpu") * len(images) // count
    epochs = math.ceil(steps / math.ceil(count / recipe.batch_size))
    return images.subset(places), replace(recipe, epochs=epochs)


def minutes(
    seconds: Float[Tensor, " S"], epochs: int, pictures: int, batch_size: int, leave: int = WARM_UP
) -> float:
    """How long a training will take, from the seconds of its first steps.

    The first `leave` of these are left out. An epoch is ceil(pictures / batch_size) steps.
    """
    steps = epochs * math.ceil(pictures / batch_size)
    return steps * seconds[leave:].mean().item() / 60


def near_copies(
    train: Float[Tensor, "N d"], val: Float[Tensor, "M d"], limit: float | int
) -> Float[Tensor, ""]:
    """The share of the validation pictures whose nearest training picture has a cosine of `limit`
    or more with them: near copies, on which a score is too good."""
    cosines = nn.functional.normalize(val, dim=1) @ nn.functional.normalize(train, dim=1).T
    return (cosines.max(dim=1).values >= limit).cpu().double().mean()


def thumbnails(images: Pictures, side: int = 16) -> Float[Tensor, "N d"]:
    """Pictures as short vectors without their mean, whose cosine is near 1 for near copies."""
    parts = []
    for rows in torch.arange(len(images), device="cpu").split(256):
        x = to_float(images.images[rows])
        parts.append(nn.functional.interpolate(x, (side, side), mode="bilinear", antialias=True))
    small = torch.cat(parts).flatten(1)
    return small - small.mean(dim=1, keepdim=True)


def peak_memory() -> float:
    """The most memory that this process has had at once, in GB: on the GPU, or without one its
    whole memory, Python and its libraries with it."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
