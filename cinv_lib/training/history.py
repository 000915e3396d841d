"""What is kept of a training while it runs: a row for each step, a progress bar, checkpoints.

`loop.run` takes the steps and tells a `History` of each.
"""

import contextlib
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm.auto import tqdm

from cinv_lib.training import checkpoint as disk
from cinv_lib.training.feed import Ahead
from cinv_lib.training.recipe import Recipe

SAVE_EVERY_S = 20.0  # seconds between checkpoints; one is also due at each epoch's end,
SAVE_SHARE = 0.02  # but writing them may take no more than this share of the time
SPEED = "CINV_SPEED"  # names a file that says how fast a training is, for `course.monitor`
READ_EVERY = 20  # steps between two looks at the losses on a GPU, which has to stop for each look


@dataclass
class History:
    """The steps of one training, and its checkpoint. See `loop.run` for the columns and errors.

    main: of several processes, only the main one shows the bar and writes checkpoints.
    """

    module: nn.Module
    optimizer: torch.optim.Optimizer
    recipe: Recipe
    n_images: int
    device: torch.device
    main: bool
    checkpoint: Path | None
    spec: Mapping[str, str]
    ahead: Ahead | None
    rows: list[list] = field(default_factory=list)
    unread: list[list] = field(default_factory=list)  # rows whose loss is a tensor still
    images: int = 0  # how many the unread rows have seen

    def resume(self) -> int:
        """The number of steps done already, after loading what the checkpoint keeps of them."""
        state = None if self.checkpoint is None else disk.load(self.checkpoint, self.spec)
        if state is None:
            return 0
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.rows = state["history"].tolist()
        return state["step"]

    def start(self, label: str | None) -> None:
        """Show the bar (None: no bar) and start the clocks."""
        batches = math.ceil(self.n_images / self.recipe.batch_size)
        self.bar = tqdm(
            total=self.recipe.epochs * self.n_images,
            initial=len(self.rows) * self.n_images // batches,
            desc=label,
            unit=" images",
            mininterval=0.5,
            disable=label is None or not self.main,
        )
        self.read_at = self.saved_at = time.perf_counter()
        self.saving_took = self.said_at = 0.0

    def add(
        self, epoch: int, step: int, loss: Float[Tensor, ""], lr: float, images: int, last: bool
    ) -> None:
        """Note one step, the `last` of its epoch or not; read the losses and save when it is time.

        A checkpoint is written only when all losses up to it have been read and are finite.
        """
        self.unread.append([epoch, step, loss.detach(), lr])
        self.images += images
        if self.device.type == "cuda" and len(self.unread) < READ_EVERY and not last:
            return
        self._read()
        waited = self.read_at - self.saved_at
        due = (last or waited >= SAVE_EVERY_S) and self.saving_took <= SAVE_SHARE * waited
        finished = last and epoch + 1 == self.recipe.epochs
        if self.checkpoint is not None and self.main and (due or finished):
            self._save(self.checkpoint, epoch, step, lr)

    def _read(self) -> None:
        """Finish the unread rows: their losses, and the speed since the last reading."""
        losses = torch.stack([loss for _, _, loss, _ in self.unread]).tolist()
        now = time.perf_counter()
        seconds, self.read_at = now - self.read_at, now
        waits = [] if self.ahead is None else [self.ahead.waited() / seconds]
        for (epoch, step, _, lr), loss in zip(self.unread, losses, strict=True):
            if not math.isfinite(loss):
                raise self._diverged(f"The loss is {loss}", epoch, step, lr)
            self.rows.append([epoch, step, loss, lr, self.images / seconds, *waits])
        self.bar.update(self.images)
        self._say_speed(self.images / seconds)
        self.bar.set_postfix(loss=f"{losses[-1]:.4f}", refresh=False)
        self.unread, self.images = [], 0

    def _say_speed(self, rate: float) -> None:
        """Tell whoever watches, about once a second."""
        now, file = time.perf_counter(), os.environ.get(SPEED)
        if file and self.main and now - self.said_at > 1:
            self.said_at = now
            with contextlib.suppress(OSError):  # a disk that is full stops what is kept, not this
                Path(file).write_text(f"{rate:.0f} images/s, epoch {self.rows[-1][0] + 1}")

    def _save(self, checkpoint: Path, epoch: int, step: int, lr: float) -> None:
        weights = self.module.state_dict()
        if not all(bool(w.isfinite().all()) for w in weights.values()):
            raise self._diverged("A weight is not finite", epoch, step, lr)
        rows = torch.tensor(self.rows, dtype=torch.float64, device="cpu")
        state = {"spec": self.spec, "step": step + 1, "module": weights, "history": rows}
        disk.save(checkpoint, state | {"optimizer": self.optimizer.state_dict()})
        self.saved_at = time.perf_counter()
        self.saving_took = self.saved_at - self.read_at

    def _diverged(self, what: str, epoch: int, step: int, lr: float) -> FloatingPointError:
        kept = "No checkpoint was written."
        if self.checkpoint is not None and self.checkpoint.exists():
            kept = f"The last good checkpoint is {self.checkpoint}."
        return FloatingPointError(
            f"{what} at step {step} (epoch {epoch}, learning rate {lr:.3g}): training diverged. "
            f"Lower Recipe.lr, for example to {self.recipe.lr / 3:.2g}, or set precision='fp32'; "
            f"if it is the first step, look at the images and the starting weights. {kept}"
        )

    def table(self) -> pd.DataFrame:
        """The rows of all steps, those before the resuming too; takes the bar away."""
        self.bar.close()
        columns = ["epoch", "step", "loss", "lr", "images_per_s", "waiting"]
        frame = pd.DataFrame(self.rows, columns=columns[: 5 if self.ahead is None else 6])
        return frame.astype({"epoch": int, "step": int})
