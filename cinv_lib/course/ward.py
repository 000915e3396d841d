"""The five patients of lesson 17, and the instruments to look at them with.

What a student has become needs its weights, which are not kept: that was measured when it was
trained (`experiments.patients`). What its loop does to a picture is done again when it is asked.
"""

import copy
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from cinv_lib.course.workbook import progress_record
from cinv_lib.data.image_files import Pictures
from cinv_lib.data.image_set import to_float
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation.statistics import compare
from cinv_lib.experiments.patients import LOOPS
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles import names as profiles
from cinv_lib.operators.base import Operator
from cinv_lib.operators.basic import parse
from cinv_lib.paper import replication
from cinv_lib.paper.numbers import discrepancies
from cinv_lib.training import faults

CAUSES = (
    "R is in train mode",
    "R learns along",
    "R sees the ruined pictures",
    "the rate hardly falls",
    "the rate falls to 0 in every epoch",
    "a picture keeps its mask in all epochs",
    "all pictures of an epoch share one mask",
    "too few pixels are missing",
    "the holes are not black",
    "the loss has no push",
)
MEASUREMENTS = (
    "loss",
    "rates",
    "own and fresh",
    "words",
    "two epochs",
    "two pictures",
    "share missing",
    "holes",
    "alone and in a batch",
    "before and after",
)


OF_LOOP = {
    faults.GreyHoles: "the holes are not black",
    faults.NearlyConstant: "the rate hardly falls",
    faults.TeacherInTrainMode: "R is in train mode",
    faults.SameMasks: "a picture keeps its mask in all epochs",
}
DISCREPANCY = {  # numbers of `paper.discrepancies`
    "R is in train mode": 11,
    "the rate hardly falls": 12,
    "a picture keeps its mask in all epochs": 13,
}


def causes() -> dict[str, str]:
    """What is wrong with each patient, by its letter; without the sound one."""
    return {name: OF_LOOP[loop] for name, loop in LOOPS.items() if loop in OF_LOOP}


@dataclass(frozen=True)
class Patient:
    """One training whose loop may have a fault.

    Args:
        name: its letter.
        loop: what it was trained by.
        history: epoch, step, loss, lr: a row for each step.
        looks: a row for each epoch, see `experiments.Patients.measure`.
    """

    name: str
    loop: faults.Loop
    history: pd.DataFrame
    looks: pd.DataFrame
    _teacher: Encoder
    _pictures: Pictures
    _op: Operator
    _seed: int

    def seen(self, epoch: int, i: int) -> Float[Tensor, "3 H W"]:
        """Training picture number i as the student was shown it in an epoch (from 0), in [0, 1]."""
        x = to_float(self._pictures.images)  # type: ignore[arg-type]  # in memory, as drawn
        return self.loop.ruined(self._op, x, self._teacher, self._seed, epoch)[i]

    def clean(self, i: int) -> Float[Tensor, "3 H W"]:
        """The same picture before it was ruined."""
        return to_float(self._pictures.images[i])

    def targets(self, rows: list[int] | range) -> Float[Tensor, "n d"]:
        """What R says of these clean training pictures when this loop asks it for them in one
        batch, at the beginning of the training."""
        R = copy.deepcopy(self._teacher)
        self.loop.ready(R, copy.deepcopy(R))
        x = to_float(self._pictures.images[torch.tensor(list(rows))])
        return self.loop.target(R, x, x).detach()

    def source(self) -> str:
        """The code of its loop. It counts as a hint of exercise 17.1."""

        def note(entry: dict) -> None:
            entry["hints"] = min(3, entry.get("hints", 0) + 1)

        progress_record.change("exercises", "17.1", note)
        return self.loop.source()


def lab_of(profile: str, seeds: int) -> tuple[Lab, list[int]]:
    """The lab that has patients, and the training seeds to show: of this profile or, where it has
    none or does not train any, of the recorded run (`replication.shown`)."""
    if "patients" in profiles.profile(profile):
        lab, which = replication.shown(Lab(profile), "patients", seeds)
        return lab, lab.seeds(which)
    print(f"The profile {profile} has no patients. These are the recorded ones of `stickers`.")
    return replication.recorded(Lab("stickers"))


def ward(lab: Lab, seed: int) -> dict[str, Patient]:
    """The patients of one training seed, by their letters."""
    (op,) = lab.profile["patients"].operators
    steps, looks = (lab.table(name, seeds=[seed]) for name in ("patients_steps", "patients"))
    shown = lab.of_seed(seed).train

    def of(frame: pd.DataFrame, name: str) -> pd.DataFrame:
        return frame[frame.patient == name].drop(columns=["patient", "seed"]).reset_index(drop=True)

    return {
        name: Patient(
            name, loop(), of(steps, name), of(looks, name),
            lab.teacher, shown, parse(op), seed,
        )
        for name, loop in LOOPS.items()
    }  # fmt: skip


def harms(lab: Lab, seeds: list[int]) -> pd.DataFrame:
    """What each fault costs.

    Returns:
        Indexed by the patients but the sound one: cause; difference, in points of the validation
        pictures that are right in words, to the sound one of the same seed and draws; half_width,
        of its 95 % interval over trainings; verdict; "the authors' code", what that has of it.
    """
    columns = {"patient": "method", "draw": "realisation", "words": "top1"}
    scores = lab.table("patients_scores", seeds=seeds).rename(columns=columns)
    (sound,) = set(LOOPS) - set(causes())
    found = discrepancies().set_index("number").code
    rows = {
        name: {"cause": cause}
        | compare(scores, name, sound)
        | {"the authors' code": found[DISCREPANCY[cause]] if cause in DISCREPANCY else "has it not"}
        for name, cause in causes().items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("patient")
