"""How each kind of training is done in a folder of the store: encoders, heads, histories.

A build is given a lab, the folder, and what `made` knows a kind by; it may ask the lab for more.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from cinv_lib import encoders, losses, operators, training
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation import probe
from cinv_lib.training import tuned_teacher
from cinv_lib.training.loop import Recipe

Lab = Any  # a `lab.Lab`, which is above this module
Build = Callable[[Lab, Path, str, int, str | None], None]
CHECKPOINT = "checkpoint.pt"


def student(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    _distilled(lab, folder, op, seed, loss, lab.teacher, lab.profile.recipes(op)[0])


def vit(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    _distilled(lab, folder, op, seed, loss, lab.vit, lab.profile.vit_recipe(op))


def _distilled(
    lab: Lab, folder: Path, op: str, seed: int, loss: str | None, teacher: Encoder, recipe: Recipe
) -> None:
    chosen = losses.parse(loss or lab.profile.loss)
    S, history = training.distill(
        teacher, lab.unlabelled, operators.parse(op), chosen, recipe, seed, folder / CHECKPOINT
    )
    _keep(folder, history, student=S)


def baseline(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    _finetuned(lab, folder, op, seed, lab.profile.supervised)


def baseline100(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    _finetuned(lab, folder, op, seed, lab.profile.supervised_narrow)


def _finetuned(lab: Lab, folder: Path, op: str, seed: int, start: str) -> None:
    init, recipe = encoders.load(start), lab.profile.recipes(op)[1]
    classifier, history = training.finetune(
        init, lab.train, operators.parse(op), recipe, seed, folder / CHECKPOINT
    )
    torch.save(classifier.cpu().head.state_dict(), folder / "head.pt")
    _keep(folder, history, encoder=classifier.encoder)


def tuned(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    _tuned(lab, folder, op, seed, loss, "tuned")


def anchored(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    _tuned(lab, folder, op, seed, loss, "anchored")


def _tuned(lab: Lab, folder: Path, op: str, seed: int, loss: str | None, kind: str) -> None:
    p = lab.profile
    S, T, history = tuned_teacher.tune(
        lab.teacher, lab.unlabelled, operators.parse(op), losses.parse(loss or p.loss),
        p.recipes(op)[0], seed, *p.pull(kind), folder / CHECKPOINT,
    )  # fmt: skip
    _keep(folder, history, student=S, teacher=T)


def _keep(folder: Path, history: pd.DataFrame, **towers: Encoder) -> None:
    for name, tower in towers.items():
        encoders.save(tower.cpu(), folder / name, dtype=torch.float16)
    history.to_csv(folder / "history.csv", index=False, float_format="%.6g")
    (folder / CHECKPOINT).unlink(missing_ok=True)  # one of several processes has written it


def fitted_probe(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    student, recipe = lab.student(op, seed, loss), lab.profile.probe
    head = probe.train(student, lab.train, operators.parse(op), recipe, seed)
    torch.save(head.cpu().state_dict(), folder / "probe.pt")


BUILDS: dict[str, Build] = {
    "student": student,
    "baseline": baseline,
    "baseline100": baseline100,
    "tuned": tuned,
    "anchored": anchored,
    "vit": vit,
    "probe": fitted_probe,
}
