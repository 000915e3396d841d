"""Five loops of which one is sound: how their students are trained, and what is measured of them
(lesson 17). The weights are not kept; whatever needs them is measured here.
"""

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from cinv_lib.data.image_set import ImageSet, to_float
from cinv_lib.data.views import generator_of
from cinv_lib.encoders.encoder import Encoder, student_of
from cinv_lib.encoders.inference import device_of, embedded
from cinv_lib.evaluation.draws import realised
from cinv_lib.evaluation.metrics import top_k
from cinv_lib.experiments.base import AskedInWords, Task
from cinv_lib.losses.equations import parse as parse_loss
from cinv_lib.machine import hardware
from cinv_lib.machine.files import write_text
from cinv_lib.operators.basic import parse
from cinv_lib.training import faults
from cinv_lib.training.recipe import Recipe

LOOPS: dict[str, type[faults.Loop]] = {
    "A": faults.GreyHoles,
    "B": faults.NearlyConstant,
    "C": faults.TeacherInTrainMode,
    "D": faults.Loop,
    "E": faults.SameMasks,
}
FRESH = 17  # the key of draws that no training has seen


@dataclass(frozen=True, kw_only=True)
class Patients(AskedInWords):
    """Students of five loops, four of which have a fault (lesson 17).

    Args:
        recipe: how each is trained.
        pictures: how many training pictures the cosines are measured on.
        val_per_class: validation pictures per class that are looked at after each epoch; at the
            end it is all of them.
        realisations: draws of the masks at the end.
    """

    recipe: Recipe
    pictures: int
    val_per_class: int
    realisations: int
    name, lessons = "patients", ("17",)
    apart = True
    tables = MappingProxyType(
        {"patients": "%.4f", "patients_steps": "%.5g", "patients_scores": "%.4f"}
    )

    def measure(
        self, folder: Path, task: Task, teacher: Encoder, train: ImageSet, val: ImageSet
    ) -> dict[str, pd.DataFrame]:
        """A patient whose tables a killed run left in the folder is not trained again.

        Returns:
            patients: a row for each patient and epoch (0 is before the training): own, fresh, val,
            the mean cosine of S(A(x)) to R(x) on training pictures with the masks that the last
            epoch had for them, on the same with masks of the course, and on validation pictures
            with such; words, the share of those that is right in words, in percent; moved, by how
            much R's batch norms have drifted: the distance of their running means from where they
            began, over their length; weights, the same of R's weights.
            patients_steps: patient, epoch, step, loss, lr.
            patients_scores: patient, realisation, words on all validation pictures.
        """
        parts: dict[str, list[pd.DataFrame]] = {name: [] for name in self.tables}
        for patient, loop in LOOPS.items():
            files = {name: folder / f"part-{patient}-{name}.csv" for name in self.tables}
            if not all(file.exists() for file in files.values()):
                for name, frame in self.one(loop(), task, teacher, train, val).items():
                    text = frame.assign(patient=patient).to_csv(
                        index=False, float_format=self.tables[name]
                    )
                    write_text(files[name], text)
            for name, file in files.items():
                parts[name].append(pd.read_csv(file))
        for file in folder.glob("part-*.csv"):
            file.unlink()
        found = {name: pd.concat(frames, ignore_index=True) for name, frames in parts.items()}
        return {
            name: frame[["patient", *frame.columns.drop("patient")]]
            for name, frame in found.items()
        }

    def one(
        self, loop: faults.Loop, task: Task, teacher: Encoder, train: ImageSet, val: ImageSet
    ) -> dict[str, pd.DataFrame]:
        """Train one patient; its rows of the three tables."""
        A, words = parse(task.operator), self.words(teacher, val)
        R, S = (
            copied.to(memory_format=hardware.layout(device_of([teacher])))
            for copied in (copy.deepcopy(teacher), student_of(teacher))
        )
        rows = torch.arange(0, len(train), max(1, len(train) // self.pictures))
        some, few = train.subset(rows), val.per_class(self.val_per_class)
        fresh = A(to_float(some.images), generator_of(task.seed, FRESH))
        clean, clean_few = embedded(teacher, some.images), embedded(teacher, few.images)
        begun = [b.clone() for b in _running_means(R)]
        y = to_float(train.images)  # as each was shown last; before the training, nothing was

        def look() -> dict[str, float]:
            guess = realised(S, few, A, 1, task.seed)[0]
            return {
                "own": _cosine(embedded(S, y[rows]), clean),
                "fresh": _cosine(embedded(S, fresh), clean),
                "val": _cosine(guess, clean_few),
                "words": top_k(words(guess), few.labels.to(guess.device), 1),
                "moved": _distance(_running_means(R), begun),
                "weights": _distance(R.tower.parameters(), teacher.tower.parameters()),
            }

        epochs = [look()]
        steps: list[tuple[int, int, float, float]] = []
        batches = math.ceil(len(train) / self.recipe.batch_size)

        def watch(step: faults.Step) -> None:
            steps.append((step.epoch, len(steps), step.loss, step.rate))
            y[step.rows] = step.shown.cpu()
            bar.update()
            if len(steps) % batches == 0:
                epochs.append(look())

        with tqdm(total=self.recipe.epochs * batches, desc="patient", mininterval=0.5) as bar:
            loss = parse_loss(task.loss)
            loop.train(R, S, train.images, A, loss, self.recipe, task.seed, watch)
        found = realised(S.eval(), val, A, self.realisations, task.seed)
        scores = [top_k(words(one), val.labels.to(one.device), 1) for one in found]
        return {
            "patients": pd.DataFrame(epochs).rename_axis("epoch").reset_index(),
            "patients_steps": pd.DataFrame(steps, columns=["epoch", "step", "loss", "lr"]),
            "patients_scores": pd.DataFrame({"words": scores}).rename_axis("draw").reset_index(),
        }


def _cosine(a: Tensor, b: Tensor) -> float:
    return F.cosine_similarity(a, b).mean().item()


def _running_means(encoder: Encoder) -> list[Tensor]:
    return [b for name, b in encoder.tower.named_buffers() if name.endswith("running_mean")]


def _distance(now: Iterable[Tensor], before: Iterable[Tensor]) -> float:
    """How far numbers have moved, over the length of where they began."""
    a, b = (torch.cat([t.detach().flatten() for t in tensors]) for tensors in (now, before))
    return ((a - b).norm() / b.norm()).item()
