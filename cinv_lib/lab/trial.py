"""Two minutes on the real towers and pictures: will the run work here, and how fast?

    make rehearse PROFILE=imagenet100 REAL=1

A student and a baseline of a profile are trained for some steps, with its own recipe, and thrown
away. Said are images per second, the share of the time that waits for decoded pictures, the most
memory that the card had in use, and the bill with the measured rates in place of the assumed ones.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import torch

from cinv_lib.evaluation.beforehand import WARM_UP, few_steps
from cinv_lib.lab import bill, missing
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles.record import Profile
from cinv_lib.losses.equations import parse as parse_loss
from cinv_lib.machine import hardware, host
from cinv_lib.machine.host import GIB
from cinv_lib.operators.basic import parse
from cinv_lib.training.baseline import finetune
from cinv_lib.training.recipe import Recipe
from cinv_lib.training.student import distill

STEPS = {"cuda": WARM_UP + 20, "cpu": 2}  # on a CPU it shows that it runs, and says little


@dataclass(frozen=True)
class Tried:
    """How some steps of a training went.

    rate: images per second; waiting: share of the time, nan where nothing is decoded beside; peak:
    GiB in use on the card, nan without one.
    """

    kind: str
    rate: float
    waiting: float
    peak: float

    def __str__(self) -> str:
        words = [f"{self.kind}: {self.rate:.0f} images/s"]
        words += [] if pd.isna(self.waiting) else [f"waiting {self.waiting:.0%} of the time"]
        words += [] if pd.isna(self.peak) else [f"at most {self.peak:.1f} GiB of the card in use"]
        return ", ".join(words)


def tried(lab: Lab, kind: str, operator: str) -> Tried:
    """Some steps of "student" or "baseline" under an operator, on the device of trainings."""
    device = hardware.accelerator().device
    recipe: Recipe = lab.profile[kind].recipe_at(operator)
    steps = STEPS.get(device.type, STEPS["cpu"])
    pictures = lab.unlabelled if kind == "student" else lab.train
    few, once = few_steps(pictures, recipe, steps)
    if cuda := device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    if kind == "student":
        loss = parse_loss(lab.profile.loss)
        _, history = distill(lab.teacher, few, parse(operator), loss, once, 0, progress=False)
    else:
        _, history = finetune(lab.supervised, few, parse(operator), once, 0, progress=False)
    rows = history.iloc[WARM_UP:] if len(history) > WARM_UP else history.iloc[-1:]
    peak = torch.cuda.max_memory_reserved(device) / GIB if cuda else float("nan")
    waiting = rows.waiting.mean() if "waiting" in rows else float("nan")
    return Tried(kind, float(rows.images_per_s.mean()), float(waiting), peak)


def rates(student: Tried, baseline: Tried) -> dict[str, float]:
    """Rates of the bill in place of those that it assumes, of the networks alone: the bill itself
    knows how long decoding takes."""

    def whole(one: Tried) -> float:
        return one.rate / max(0.01, 1 - (0.0 if pd.isna(one.waiting) else one.waiting))

    # A step of a training is three times the way forward; in a student's, R goes it once more.
    return {
        "clip trained": whole(student) * 4 / 3,
        "clip": whole(student) * 4,
        "clip folded": whole(student) * 4,
        "resnet trained": whole(baseline),
        "resnet": whole(baseline) * 3,
    }


def said(p: Profile, seeds: int = 1) -> Iterator[str]:
    """What was measured, and the bill with it. Raises missing.Absent where data, weights or the
    GPU are not there (CPU=1 tries without)."""
    missing.check(p)
    missing.refuse_without_gpu(p)
    lab = Lab(p, recorded=False)
    operator = p.operators[0]
    student, baseline = (tried(lab, kind, operator) for kind in ("student", "baseline"))
    yield str(student)
    yield str(baseline)
    gpus = max(1, len(host.gpus()))
    cores = max(1, host.cores() // gpus)
    yield "\n" + bill.said(p, seeds, gpus, cores, rates(student, baseline))


def main(p: Profile, seeds: int) -> int:
    """Print it; 1 and a sentence where something is absent."""
    try:
        for line in said(p, seeds):
            print(line, flush=True)
    except missing.Absent as error:
        print(error, file=sys.stderr)
        return 1
    return 0
