"""How each kind of result is made: what it depends on (its spec), and how it is built in a folder.

A kind is made of an operator, a seed and, where students are, a loss. `Lab` asks for them and the
store keeps them, so a build may ask the lab for what it needs in turn.
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from . import (
    ablation,
    distill,
    encoders,
    evaluate,
    label_shift,
    losses,
    operators,
    pixel_space,
    probe,
    robustness,
    scoring,
    severity,
    supervised,
    transfer,
)
from .profiles import Profile

WORLD = (
    1  # raise it when the embedded world changes, so that no older result is taken for a new one
)
Lab = Any  # a `lab.Lab`, which is above this room
Build = Callable[[Lab, Path, str, int, str | None], None]


def spec(p: Profile, kind: str, op: str, seed: int = 0, loss: str | None = None) -> dict[str, Any]:
    """All that a result depends on: what the store finds it by.

    Raises ValueError where op or loss is none, KeyError where there is no such kind.
    """
    recipe_S, recipe_B = (asdict(recipe) for recipe in p.recipes(op))
    student = {"teacher": p.teacher, "loss": str(losses.parse(loss or p.loss))}
    student |= {"recipe": recipe_S}
    baseline = {"init": p.supervised, "recipe": recipe_B}
    what = {"loss": p.loss, "student": recipe_S, "baseline": recipe_B}
    how = {"probe": asdict(p.probe), "fractions": p.fractions, "val": p.val_per_class}
    scores = what | how | {"realisations": p.realisations, "models": [p.teacher, p.supervised]}
    looked = {"severities": p.severities, "realisations": p.ablation_realisations}
    looked |= {"probe": asdict(p.probe), "val": p.ablation_val_per_class}
    corrupted = {"severities": p.corruption_severities, "val": p.corruption_val_per_class}
    corrupted |= what | {"probe": asdict(p.probe), "models": [p.teacher, p.supervised]}
    moved = {"sets": p.transfer, "views": p.transfer_views, "probe": asdict(p.transfer_probe)}
    moved |= what | {"realisations": p.realisations, "models": [p.teacher, p.supervised]}
    kinds = {"student": student, "baseline": baseline, "scores": scores, "transfer": moved}
    restored = {"restored, realisations": p.pixels.get(op), "val": p.val_per_class}
    restored |= what | {"decoder": asdict(p.decoder)}
    restored |= {"probe": asdict(p.probe), "models": [p.teacher, p.supervised]}
    kinds |= {"corruptions": corrupted, "pixels": restored}
    seen = what | {"probe": asdict(p.probe), "realisations": p.realisations}
    seen |= {"models": [p.teacher, p.supervised]}
    graded = seen | {"severities": p.graded.get(op), "val": p.graded_val_per_class}
    shifted = seen | {"severities": p.shift_severities.get(op), "val": p.val_per_class}
    shifted |= {"twins": [p.shift, p.shift_per_class]}
    kinds |= {"probe": student | {"probe": asdict(p.probe)}, "severity": graded, "shift": shifted}
    given = {"world": WORLD, "data": [p.data, p.train_per_class], "seed": seed}
    given["operator"] = str(operators.parse(op))
    return given | (kinds | {"ablation": student | looked})[kind]


def _student(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    checkpoint = folder / "checkpoint.pt"
    chosen, recipe = losses.parse(loss or lab.profile.loss), lab.profile.recipes(op)[0]
    student, history = distill.distill(
        lab.teacher, lab.train, operators.parse(op), chosen, recipe, seed, checkpoint
    )
    encoders.save(student.cpu(), folder / "student", dtype=torch.float16)
    _table(history, folder / "history.csv", "%.6g")
    checkpoint.unlink()


def _baseline(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    checkpoint = folder / "checkpoint.pt"
    init, recipe = encoders.load(lab.profile.supervised), lab.profile.recipes(op)[1]
    classifier, history = supervised.finetune(
        init, lab.train, operators.parse(op), recipe, seed, checkpoint
    )
    encoders.save(classifier.cpu().encoder, folder / "encoder", dtype=torch.float16)
    torch.save(classifier.head.state_dict(), folder / "head.pt")
    _table(history, folder / "history.csv", "%.6g")
    checkpoint.unlink()


def _scores(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    frame = scoring.table(
        lab.profile, operators.parse(op), seed, lab.train, lab.val,
        lab.teacher, lab.student(op, seed), lab.baseline(op, seed),
    )  # fmt: skip
    _table(frame, folder / "scores.csv", "%.4f")


def _ablation(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    p = lab.profile
    val = lab.val.per_class(p.ablation_val_per_class)
    frame = ablation.measure(
        lab.student(op, seed, loss), lab.probe(op, seed, loss), lab.teacher, val,
        operators.parse(op), p.severities, p.ablation_realisations,
    )  # fmt: skip
    _table(frame, folder / "ablation.csv", "%.5f")


def _corruptions(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    val = lab.val.per_class(lab.profile.corruption_val_per_class)
    frame = robustness.measure(
        lab.profile, operators.parse(op), seed, lab.train, val,
        lab.teacher, lab.student(op, seed), lab.baseline("identity", seed),
    )  # fmt: skip
    _table(frame, folder / "corruptions.csv", "%.4f")


def _pixels(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    frame = pixel_space.measure(
        lab.profile, operators.parse(op), seed, lab.train, lab.val,
        lab.teacher, lab.student(op, seed), lab.baseline(op, seed),
    )  # fmt: skip
    _table(frame, folder / "pixels.csv", "%.4f")


def _transfer(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    p, student = lab.profile, lab.student(op, seed)
    encoders = {"baseline": lab.baseline(op, seed).encoder, "student": student, "clip": lab.teacher}
    frame = transfer.measure(
        encoders, p.transfer, operators.parse(op),
        p.transfer_views, p.transfer_probe, p.realisations, seed,
    )  # fmt: skip
    _table(frame, folder / "transfer.csv", "%.4f")


def _probe(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    student, recipe = lab.student(op, seed, loss), lab.profile.probe
    head = probe.train(student, lab.train, operators.parse(op), recipe, seed)
    torch.save(head.cpu().state_dict(), folder / "probe.pt")


def _severity(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    p = lab.profile
    frame = severity.measure(
        _contestants(lab, op, seed), lab.val.per_class(p.graded_val_per_class),
        operators.parse(op), p.graded[op], p.realisations, seed,
    )  # fmt: skip
    _table(frame, folder / "severity.csv", "%.4f")


def _shift(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    p = lab.profile
    frame = label_shift.measure(
        _contestants(lab, op, seed), lab.twins, lab.val,
        operators.parse(op), p.shift_severities[op], p.realisations, seed,
    )  # fmt: skip
    _table(frame, folder / "shift.csv", "%.4f")


def _contestants(lab: Lab, op: str, seed: int) -> list[evaluate.Group]:
    words = probe.zero_shot(lab.teacher, lab.train.class_names, (lab.profile.template,))
    head = lab.probe(op, seed)
    return severity.contestants(
        lab.teacher, lab.baseline(op, seed), lab.student(op, seed), head, words
    )


def _table(frame: pd.DataFrame, file: Path, digits: str) -> None:
    frame.to_csv(file, index=False, float_format=digits)


BUILDS: dict[str, Build] = {
    "student": _student,
    "baseline": _baseline,
    "scores": _scores,
    "ablation": _ablation,
    "transfer": _transfer,
    "probe": _probe,
    "severity": _severity,
    "shift": _shift,
    "corruptions": _corruptions,
    "pixels": _pixels,
}
