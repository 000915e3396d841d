"""The one training loop: Adam, a cosine to zero, exact resume. Distillation and baseline use it.

A step is a function of (weights, seed, epoch, step): every random draw, the order of the images
as much as their crops and corruptions, comes from these numbers and from no state. So a training
that is killed and started again ends with the weights that it would have had.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from tqdm.auto import tqdm

from cinv_lib.data.image_files import Pictures
from cinv_lib.data.image_set import to_float
from cinv_lib.data.views import epoch_order, random_crop, random_flip, resized
from cinv_lib.machine import hardware
from cinv_lib.operators.base import Operator
from cinv_lib.training import checkpoint as disk

SAVE_EVERY_S = 20.0  # seconds between checkpoints; one is also due at each epoch's end,
SAVE_SHARE = 0.02  # but writing them may take no more than this share of the time

Step = Callable[[Int64[Tensor, " b"], torch.Generator], Float[Tensor, ""]]


@runtime_checkable
class Ahead(Protocol):
    """What has to know which pictures come next, as it fetches them ahead of the steps."""

    def begin(self, epoch: int, batches: Sequence[Int64[Tensor, "_"]]) -> None:
        """These batches come, in this order: an epoch of this process, or what is left of one."""

    def waited(self) -> float:
        """Seconds since the last call in which there was nothing to compute with."""


@dataclass(frozen=True)
class Recipe:
    """How to train. An epoch is cut into equal batches of at most `batch_size` images.

    `crop` is the range of the area kept by RandomResizedCrop, (1, 1) for none; `precision` is
    "fp32", "bf16" or "auto": bf16 where the hardware computes in it (see `hardware`).
    """

    epochs: int
    batch_size: int
    lr: float
    weight_decay: float = 0.0
    crop: tuple[float, float] = (1.0, 1.0)
    flip: bool = False
    precision: str = "auto"

    def __post_init__(self) -> None:
        low, high = self.crop
        for name, good, expected in (
            ("epochs", self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("lr", 0 < self.lr < math.inf, "a positive number"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "0 or a positive number"),
            ("crop", 0 < low <= high <= 1, "(low, high) with 0 < low <= high <= 1"),
            ("precision", self.precision in ("auto", "bf16", "fp32"), "auto, bf16 or fp32"),
        ):
            if not good:
                value = getattr(self, name)
                raise ValueError(f"Recipe.{name} is {value!r}; expected {expected}.")
        object.__setattr__(self, "crop", (float(low), float(high)))  # equal ranges compare equal


def describe(kind: str, images: Pictures, op: Operator) -> dict[str, object]:
    """What a training is besides its recipe, for `run`'s spec: enough to tell two apart."""
    sample = images.images[:: max(1, len(images) // 64)]
    return {
        "training": kind,
        "operator": op,
        "image set": images.name,
        "image data": disk.fingerprint([images.labels, sample]),
    }


def cosine(lr: float, step: int, steps: int) -> float:
    """The learning rate of `step` (from 0): lr at the first step, 0 after the last of `steps`."""
    return lr * 0.5 * (1.0 + math.cos(math.pi * step / steps))


def view(
    images: UInt8[Tensor, "N 3 H W"],
    indices: Int64[Tensor, " B"],
    recipe: Recipe,
    generator: torch.Generator,
    side: int | None = None,
) -> Float[Tensor, "B 3 S T"]:
    """A random view (crop, flip) of some images, in [0, 1], on the generator's device; `side`
    pixels a side, None for the images' own."""
    batch = images.index_select(0, indices.to(images.device))
    x = to_float(batch.to(generator.device, non_blocking=True))
    if recipe.crop != (1.0, 1.0):
        x = random_crop(x, generator, scale=recipe.crop, size=side)
    else:
        x = resized(x, side)
    return random_flip(x, generator) if recipe.flip else x


class _Step(nn.Module):
    """A module whose forward makes the loss, as DistributedDataParallel wants it.

    That moves the tensors among the arguments to the GPU; image numbers have to stay where the
    pictures are looked up. So `loss` brings its own.
    """

    def __init__(self, module: nn.Module, device: torch.device, bf16: bool) -> None:
        super().__init__()
        self.module = module
        self.autocast = torch.autocast(device.type, torch.bfloat16, enabled=bf16)

    def forward(self, loss: Callable[[], Float[Tensor, ""]]) -> Float[Tensor, ""]:
        with self.autocast:
            return loss()


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
) -> pd.DataFrame:
    """Train `parameters` of `module`, in place, in train mode, on `hardware.accelerator`'s device.

    Args:
        module: what a checkpoint keeps; holds the parameters and their batch-norm buffers.
        parameters: or groups of them, as Adam takes them; a group's "pace" multiplies its
            learning rate.
        step: from a batch's image numbers and a generator on the device to the batch's mean loss.
            Under several processes each gets its share of the batch, and gradients are averaged.
        checkpoint: file to resume from and to save to, every 20 s or so.
        progress: label of the progress bar; None for no bar.
        spec: what else defines this training; a checkpoint with another spec is refused.
        ahead: is told the batches of each epoch before the first of them; see `feed`.

    Returns:
        A row a step: epoch, step (both from 0), loss (of the first process), lr, images_per_s; with
        `ahead` also waiting, the share of the time in which there was nothing to compute with.

    Raises:
        FloatingPointError: the loss or a weight is NaN or infinite. No checkpoint holds it.
        ValueError: the checkpoint belongs to another training.
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
    parameters = list(parameters)
    start = disk.fingerprint(module.state_dict().values())
    spec = {**asdict(recipe), "seed": seed, "images": n_images, "starting weights": start} | dict(
        spec or {}
    )
    spec = {key: str(value) for key, value in spec.items()}
    module.to(device=device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(
        parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True
    )
    batches = math.ceil(n_images / recipe.batch_size)
    if n_images < max(1, batches) * ranks:
        raise ValueError(
            f"{n_images} images in {batches} batches leave some of the {ranks} processes without "
            f"an image. Give more images, fewer processes, or a Recipe.batch_size over "
            f"{recipe.batch_size}."
        )
    steps = recipe.epochs * batches
    done, rows = 0, []
    if checkpoint is not None and (state := disk.load(checkpoint, spec)) is not None:
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        done, rows = state["step"], state["history"].tolist()
    place.wait_for_everyone()  # nobody writes a checkpoint that another has still to read
    bf16 = hardware.uses_bf16(recipe.precision, device)
    model = place.prepare_model(_Step(module, device, bf16))
    generator = torch.Generator(device)

    bar = tqdm(
        total=recipe.epochs * n_images,
        initial=done * n_images // batches,
        desc=progress,
        unit=" images",
        mininterval=0.5,
        disable=progress is None or not place.is_main_process,
    )
    order, pending = None, []
    window = saved = time.perf_counter()
    cost = 0.0
    for t in range(done, steps):
        epoch, k = divmod(t, batches)
        if order is None or k == 0:
            order = epoch_order(n_images, seed, epoch).tensor_split(batches)
            if ahead is not None:
                ahead.begin(epoch, [_share(batch, rank, ranks) for batch in order[k:]])
        indices = _share(order[k], rank, ranks)
        draw = np.random.SeedSequence([seed, epoch, k, rank]).generate_state(1, np.uint64)
        generator.manual_seed(int(draw[0] >> 1))
        lr = cosine(recipe.lr, t, steps)
        for group in optimizer.param_groups:
            group["lr"] = lr * group.get("pace", 1.0)

        loss = model(partial(step, indices, generator))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

        pending.append((epoch, t, loss.detach(), lr, len(order[k])))
        last = k + 1 == batches
        if device.type == "cuda" and len(pending) < 20 and not last:
            continue  # to read a loss is to wait for the GPU
        values = torch.stack([row[2] for row in pending]).tolist()
        for (e, s, _, rate, _), value in zip(pending, values, strict=True):
            if not math.isfinite(value):
                raise _diverged(f"The loss is {value}", s, e, rate, recipe, checkpoint)
        seen, now = sum(row[4] for row in pending), time.perf_counter()
        waits = [] if ahead is None else [ahead.waited() / (now - window)]
        rates, window = [seen / (now - window), *waits], now
        rows += [[e, s, v, r, *rates] for (e, s, _, r, _), v in zip(pending, values, strict=True)]
        pending.clear()
        bar.update(seen)
        bar.set_postfix(loss=f"{values[-1]:.4f}", refresh=False)

        waited = now - saved
        due = (last or waited >= SAVE_EVERY_S) and cost <= SAVE_SHARE * waited
        if checkpoint is not None and place.is_main_process and (due or t + 1 == steps):
            weights = module.state_dict()
            if not all(bool(w.isfinite().all()) for w in weights.values()):
                raise _diverged("A weight is not finite", t, epoch, lr, recipe, checkpoint)
            history = torch.tensor(rows, dtype=torch.float64)
            state = {"spec": spec, "step": t + 1, "module": weights, "history": history}
            disk.save(checkpoint, state | {"optimizer": optimizer.state_dict()})
            saved = time.perf_counter()
            cost = saved - now
    bar.close()
    columns = ["epoch", "step", "loss", "lr", "images_per_s", "waiting"]
    frame = pd.DataFrame(rows, columns=columns if ahead is not None else columns[:-1])
    return frame.astype({"epoch": int, "step": int})


def _share(batch: Int64[Tensor, " b"], rank: int, ranks: int) -> Int64[Tensor, " s"]:
    """What one process takes of a batch: as many images as every other."""
    return batch[: len(batch) // ranks * ranks][rank::ranks]


def _diverged(
    what: str, step: int, epoch: int, lr: float, recipe: Recipe, checkpoint: Path | None
) -> FloatingPointError:
    kept = "No checkpoint was written."
    if checkpoint is not None and checkpoint.exists():
        kept = f"The last good checkpoint is {checkpoint}."
    return FloatingPointError(
        f"{what} at step {step} (epoch {epoch}, learning rate {lr:.3g}): training diverged. "
        f"Lower Recipe.lr, for example to {recipe.lr / 3:.2g}, or set precision='fp32'; if it is "
        f"the first step, look at the images and the starting weights. {kept}"
    )
