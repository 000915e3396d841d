"""Students of a short training, and the band in which another one should lie.

In lesson 05 a reader trains with a step and an operator of the reader's own. These trainings of the
same budget say what is to be expected. No lesson makes them: they are made by

    python -m cinv_lib.lab.plan stickers --make short_trainings-mask_0.9-seed0
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pandas as pd
import torch
import torch.nn.functional as F
from scipy import special
from torch import Tensor

from cinv_lib.data.image_files import Pictures
from cinv_lib.encoders.encoder import Encoder, student_of
from cinv_lib.encoders.inference import device_of
from cinv_lib.evaluation.draws import realised
from cinv_lib.evaluation.metrics import top_k
from cinv_lib.evaluation.probe import Probe
from cinv_lib.experiments.base import AskedInWords, Task
from cinv_lib.losses.equations import parse as parse_loss
from cinv_lib.machine import hardware
from cinv_lib.machine.files import write_text
from cinv_lib.operators.base import Operator
from cinv_lib.operators.basic import Identity, parse
from cinv_lib.training import feed, loop
from cinv_lib.training.recipe import Recipe
from cinv_lib.training.student import distill

StepOfStudent = Callable[[Encoder, Encoder, Operator, Tensor, torch.Generator], Tensor]


@dataclass(frozen=True, kw_only=True)
class ShortTrainings(AskedInWords):
    """training, cosine, top1: a row for each of several students of one recipe.

    Args:
        recipe: how they are trained.
        trainings: how many; their seeds are 0, 1, ...
    """

    recipe: Recipe
    trainings: int
    name, only_seed = "short_trainings", 0  # its one table has all trainings
    tables = MappingProxyType({"short_trainings": "%.4f"})

    def measure(
        self,
        folder: Path,
        task: Task,
        teacher: Encoder,
        unlabelled: Pictures,
        val: Pictures,
    ) -> dict[str, pd.DataFrame]:
        """A training whose row a killed run left in the folder is not made again."""
        file, op = folder / "rows.csv", parse(task.operator)
        columns = ["training", "cosine", "top1"]
        rows = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=columns)
        words = self.words(teacher, val)
        for k in range(len(rows), self.trainings):
            checkpoint = folder / f"checkpoint{k}.pt"
            S, _ = distill(
                teacher, unlabelled, op, parse_loss(task.loss), self.recipe, k, checkpoint
            )
            rows.loc[k] = {"training": k} | score(S, teacher, words, val, op)
            write_text(file, rows.to_csv(index=False, float_format="%.6g"))
            checkpoint.unlink(missing_ok=True)
        file.unlink()
        return {"short_trainings": rows.astype({"training": int})}


def train(
    step: StepOfStudent,
    teacher: Encoder,
    images: Pictures,
    op: Operator,
    recipe: Recipe,
    seed: int,
    progress: bool = True,
) -> tuple[Encoder, pd.DataFrame]:
    """As `training.distill`, with a step of one's own: `step(S, R, A, x, generator)` gives the loss
    of a batch x of clean pictures in [0, 1] (exercise 5.2).

    Raises what the step raises, and what `loop.run` does.
    """
    device, images = hardware.accelerator().device, feed.shown(images, teacher)
    S, R = student_of(teacher).to(device), student_of(teacher).to(device)
    R.eval().requires_grad_(False)
    source = feed.of(images, teacher.image_size, recipe, seed, device)

    def loss(indices: Tensor, generator: torch.Generator) -> Tensor:
        # A step that says no device, as one in a lesson, means the one that x is on.
        with device:
            return step(S, R, op, source.view(indices, generator).to(device), generator)

    history = loop.run(
        S.tower, S.tower.parameters(), loss, len(images), recipe, seed,
        progress="your student" if progress else None, ahead=source.ahead,
    )  # fmt: skip
    return S.eval().to(device_of([teacher])), history


@torch.no_grad()
def score(
    student: Encoder, teacher: Encoder, words: Probe, pictures: Pictures, op: Operator
) -> dict[str, float]:
    """cosine: mean of S(A(x)) to R(x). top1: asked in words, percent. One draw of the corruption,
    the same for every student."""
    (S,), (R,) = (
        realised(student, pictures, op, 1, 0),
        realised(teacher, pictures, Identity(), 1, 0),
    )
    labels = pictures.labels.to(S.device)
    cosine = F.cosine_similarity(S, R.to(S.device), dim=-1).mean().item()
    return {"cosine": cosine, "top1": top_k(words(S), labels, 1)}


def band(scores: Sequence[float]) -> tuple[float, float]:
    """Where the score of one more training of the same kind lies in 95 of 100 cases, by Student's
    t: wider than an interval for the mean, as a single training varies.

    Raises ValueError for fewer than two scores, which say nothing of how trainings vary.

    >>> [round(end, 1) for end in band([69.0, 70.0, 71.0])]
    [65.0, 75.0]
    """
    n = len(scores)
    if n < 2:
        raise ValueError(f"{n} scores: expected two or more, to see how trainings vary")
    given = torch.tensor(scores, dtype=torch.float64)
    width = special.stdtrit(n - 1, 0.975) * given.std().item() * math.sqrt(1 + 1 / n)
    return given.mean().item() - width, given.mean().item() + width


def verdict(top1: float | None, recorded: Sequence[float]) -> str:
    """One sentence: where the score of a reader's student lies among recorded trainings.

    top1: in percent; None where nothing was trained. recorded: their scores, perhaps none.
    """
    known = len(recorded) > 1
    low, high = band(recorded) if known else (0.0, 0.0)
    here = f"the {low:.1f} to {high:.1f} % in which one more training should lie"
    if top1 is None:
        if not known:
            return "Solve exercise 5.2, and your own step is the training."
        reached = (
            f"A student of eight epochs names {low:.1f} to {high:.1f} % of the masked pictures"
        )
        return f"{reached}; solve exercise 5.2, and your own step is one more such training."
    said = f"Your student names {top1:.1f} % of the validation pictures"
    if not known:
        return f"{said}; there is no recorded training to compare it with."
    if low <= top1 <= high:
        return f"{said}, inside {here}: your step trains as the library's does."
    side, off = ("below", low - top1) if top1 < low else ("above", top1 - high)
    return f"{said}, {off:.1f} points {side} {here}: something differs from the library's step."
