"""The one training loop: Adam, a cosine to zero, exact resume. Distillation and baseline use it.

Lesson 05 trains with it. A step is a function of (weights, seed, epoch, step): every random draw,
the order of the images as much as their crops and corruptions, comes from these numbers and from no
state. So a training that is killed and started again ends with the weights that it would have had.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from cinv_lib.data.image_files import Pictures
from cinv_lib.data.pairs import Pairs
from cinv_lib.data.shards import Shards
from cinv_lib.data.views import generator_of
from cinv_lib.machine import hardware
from cinv_lib.operators.base import Operator, described
from cinv_lib.operators.functional import float64_on
from cinv_lib.training import checkpoint as disk
from cinv_lib.training.attacked import Attack
from cinv_lib.training.feed import Ahead
from cinv_lib.training.history import History
from cinv_lib.training.order import Order, Shuffled
from cinv_lib.training.recipe import Recipe, cosine

Step = Callable[[Int64[Tensor, " b"], torch.Generator], Float[Tensor, ""]]


def run(
    module: nn.Module,
    parameters: Iterable[nn.Parameter] | Iterable[dict],
    step: Step,
    n_images: int,
    recipe: Recipe,
    seed: int,
    checkpoint: Path | None = None,
    progress: str | None = None,
    spec: Mapping[str, object] | None = None,
    ahead: Ahead | None = None,
    least: int = 1,
    order: Order | None = None,
) -> pd.DataFrame:
    """Train `parameters` of `module`, in place, in train mode, on `hardware.accelerator`'s device.

    Args:
        module: what a checkpoint keeps; holds the parameters and their batch-norm buffers.
        parameters: or groups of them, as Adam takes them; a group's "pace" multiplies its
            learning rate.
        step: from a batch's image numbers and a generator to the batch's mean loss. The generator
            is on the device; on the CPU where that has no float64, as a Mac's GPU. Under several
            processes each gets its share of the batch, and gradients are averaged.
        checkpoint: file to resume from and to save to, every 20 s or so.
        progress: label of the progress bar; None for no bar.
        spec: what else defines this training; a checkpoint with another spec is refused.
        ahead: is told the batches of each epoch before the first of them; see `feed`.
        least: images that each batch has to have, as a contrastive loss needs two; a last batch of
            fewer is shared out among the others.
        order: which pictures each step takes; None for each once an epoch, in an order that the
            seed decides.

    Returns:
        A row for each step: epoch, step (both from 0), loss (of the first process), lr,
        images_per_s; with `ahead` also waiting, the share of the time in which there was nothing
        to compute with.

    Raises:
        FloatingPointError: the loss or a weight is NaN or infinite. No checkpoint holds it.
        ValueError: the checkpoint belongs to another training, or batches are below `least`.
        OSError: the checkpoint cannot be written.

    A module that draws from torch's global generator (dropout) resumes, but with other draws.

    >>> line = nn.Linear(1, 1)
    >>> x = torch.linspace(-1, 1, 64).unsqueeze(1)
    >>> def step(i, generator): return (line(x[i]) - 3 * x[i]).square().mean()
    >>> history = run(line, line.parameters(), step, 64, Recipe(50, 16, 0.1, precision="fp32"), 0)
    >>> bool(history.loss.iloc[-1] < 1e-3)
    True
    """
    place = hardware.accelerator()
    device, rank, ranks = place.device, place.process_index, place.num_processes
    even = Shuffled(n_images, recipe, seed, rank, ranks, least)
    if order is not None:  # it may give a picture to another process, if there are more of them
        spec = {**(spec or {}), "processes": ranks}
    order = order or even
    batches = order.steps
    steps = recipe.epochs * batches

    # Described before the first step: the starting weights are part of what this training is.
    spec = _described(module, n_images, recipe, seed, spec or {})

    # The weights move before Adam is made. Convolutions are fastest with their channels last.
    module.to(device).to(memory_format=hardware.layout(device)).train()
    adam = torch.optim.Adam(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)

    # A checkpoint puts weights, Adam's averages and rows back. Each process reads it, and waits for
    # the others: the first may overwrite the file as soon as it goes on.
    main = place.is_main_process
    history = History(module, adam, recipe, order.taken, device, main, checkpoint, spec, ahead)
    done = history.resume()
    place.wait_for_everyone()

    # Among several processes this averages the gradients in each backward pass.
    model = place.prepare_model(_Step(module, device, recipe.precision))
    generator = torch.Generator(float64_on(device))
    history.start(progress)
    for t in range(done, steps):
        epoch, k = divmod(t, batches)

        # Each epoch takes every image once, in a new order that the seed decides.
        if k == 0 or t == done:
            mine = order.of(epoch)
            if ahead is not None:  # what decodes files can begin with the whole epoch
                ahead.begin(epoch, mine[k:])
        indices = mine[k]

        # Crops and corruptions of this step depend on these four numbers and on no earlier step.
        generator.manual_seed(generator_of(seed, epoch, k, rank).initial_seed())

        # The rate falls at every step, not once an epoch, so a short training has a whole cosine.
        lr = cosine(recipe.lr, t, steps)
        for group in adam.param_groups:
            group["lr"] = lr * group.get("pace", 1.0)

        # Forward, backward, and one step of Adam. Gradients are cleared, or they would add up.
        with (
            hardware.convolutions(exact=recipe.precision == "fp32", benchmark=True),
            torch.autocast(device.type, enabled=False),  # a reader's own would round gradients
        ):
            loss = model(partial(step, indices, generator))
            loss.backward()
        adam.step()
        adam.zero_grad(set_to_none=True)

        # Note the loss; now and then check that it is finite, and save.
        history.add(epoch, t, loss, lr, ranks * len(indices), last=k + 1 == batches)
    return history.table()


def describe(
    kind: str, images: Pictures | Pairs | Shards, op: Operator, attack: Attack | None = None
) -> dict[str, object]:
    """What a training is besides its recipe, for `run`'s spec: enough to tell two apart."""
    data = images.fingerprint  # of a reader's own files; of others some pixels say it
    if data is None and not isinstance(images, Shards):
        sample = images.images[:: max(1, len(images) // 64)]
        data = disk.fingerprint([images.labels, sample])
    return {
        "training": kind,
        "operator": described(op),  # of a class of your own, also what it does
        "image set": images.name,
        "image data": data,
    } | ({} if attack is None else {"attack": attack})


class _Step(nn.Module):
    """A module whose forward makes the loss, as DistributedDataParallel wants it.

    That moves the tensors among the arguments to the GPU; image numbers have to stay where the
    pictures are looked up. So `loss` brings its own.
    """

    def __init__(self, module: nn.Module, device: torch.device, precision: str) -> None:
        super().__init__()
        self.module = module
        self.autocast = hardware.autocast(precision, device)

    def forward(self, loss: Callable[[], Float[Tensor, ""]]) -> Float[Tensor, ""]:
        with self.autocast:
            return loss()


def _described(
    module: nn.Module, n_images: int, recipe: Recipe, seed: int, more: Mapping[str, object]
) -> dict[str, str]:
    """All that decides the weights which a training ends with, as words."""
    start = disk.fingerprint(module.state_dict().values())
    spec = {**asdict(recipe), "seed": seed, "images": n_images, "starting weights": start, **more}
    return {key: str(value) for key, value in spec.items()}
