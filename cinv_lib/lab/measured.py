"""How each kind of measurement is made in a folder of the store: one table, or a few, as CSV.

A build is given a lab, the folder, and what `made` knows a kind by; it asks the lab for the models.
"""

from pathlib import Path

import pandas as pd

from cinv_lib import encoders, evaluation, operators
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation import probe
from cinv_lib.evaluation.probe import Probe
from cinv_lib.evaluation.scores import Group
from cinv_lib.experiments import (
    ablation,
    adversarial,
    base,
    baseline_fit,
    baseline_starts,
    blind,
    common_corruptions,
    known_operator,
    label_shift,
    loss_bias,
    transfer,
    unknown_severity,
)
from cinv_lib.experiments import (
    pixels as pixel_space,
)
from cinv_lib.lab.trained import Build, Lab
from cinv_lib.operators.base import Operator


def scores(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    tower = encoders.load(lab.profile.supervised).eval().requires_grad_(False).to(lab.device)
    frame, few = known_operator.tables(
        lab.profile, operators.parse(op), seed, lab.train, lab.val,
        lab.teacher, lab.student(op, seed), lab.baseline(op, seed), tower,
    )  # fmt: skip
    _table(frame, folder / "scores.csv", "%.4f")
    _table(few, folder / "labels.csv", "%.4f")


def of_loss(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    p = lab.profile
    val = lab.val.per_class(p.ablation_val_per_class)
    frame = ablation.measure(
        lab.student(op, seed, loss), lab.probe(op, seed, loss), lab.teacher, val,
        operators.parse(op), p.severities, p.ablation_realisations,
    )  # fmt: skip
    _table(frame, folder / "ablation.csv", "%.5f")


def corruptions(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    p, baseline = lab.profile, lab.baseline("identity", seed)
    groups = [
        (lab.student(op, seed), {"student": lab.probe(op, seed), "zero_shot": lab.words()}),
        (baseline.encoder, {"baseline": baseline.head}),
        (lab.teacher, {"clip_clean": _clean_probe(lab, seed)}),
    ]
    val = lab.val.per_class(p.corruption_val_per_class)
    frame = common_corruptions.score(groups, val, p.corruption_severities, seed)
    _table(frame, folder / "corruptions.csv", "%.4f")


def pixels(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    groups = _student_and_baseline(lab, op, seed)
    clean = (lab.teacher, _clean_probe(lab, seed))
    frame = pixel_space.measure(
        lab.profile, operators.parse(op), seed, lab.train, lab.val, groups, clean
    )
    _table(frame, folder / "pixels.csv", "%.4f")


def _student_and_baseline(lab: Lab, op: str, seed: int) -> dict[str, evaluation.Contestant]:
    """Encoder and head of each, by the name of the method."""
    baseline = lab.baseline(op, seed)
    return {
        "student": (lab.student(op, seed), lab.probe(op, seed)),
        "baseline": (baseline.encoder, baseline.head),
    }


def _clean_probe(lab: Lab, seed: int) -> Probe:
    """R's, fitted to clean pictures."""
    return probe.train(lab.teacher, lab.train, operators.Identity(), lab.profile.probe, seed)


def transferred(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    p, student = lab.profile, lab.student(op, seed)
    towers = {"baseline": lab.baseline(op, seed).encoder, "student": student, "clip": lab.teacher}
    frame = transfer.measure(
        towers, p.transfer, operators.parse(op),
        p.transfer_views, p.transfer_probe, p.draws(op), seed,
    )  # fmt: skip
    _table(frame, folder / "transfer.csv", "%.4f")


def graded(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    p = lab.profile
    frame = unknown_severity.measure(
        _contestants(lab, op, seed), lab.val.per_class(p.graded_val_per_class),
        operators.parse(op), p.graded[op], p.draws(op), seed,
    )  # fmt: skip
    _table(frame, folder / "severity.csv", "%.4f")


def shift(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    p = lab.profile
    frame = label_shift.measure(
        _contestants(lab, op, seed), lab.twins, lab.val,
        operators.parse(op), p.shift_severities[op], p.draws(op), seed,
    )  # fmt: skip
    _table(frame, folder / "shift.csv", "%.4f")


def _contestants(lab: Lab, op: str, seed: int) -> list[Group]:
    student, head = lab.student(op, seed), lab.probe(op, seed)
    return base.contestants(lab.teacher, lab.baseline(op, seed), student, head, lab.words())


def from_narrow(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    p, given = lab.profile, operators.parse(op)
    frame = baseline_starts.measure(
        lab.baseline(op, seed, p.supervised_narrow), lab.val.per_class(p.starts_val_per_class(op)),
        given, baseline_starts.severities(given, p.graded), p.draws(op), seed,
    )  # fmt: skip
    _table(frame, folder / "starts.csv", "%.4f")


def both_fitted(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    p = lab.profile
    full, narrow = lab.baseline(op, seed), lab.baseline(op, seed, p.supervised_narrow)
    groups = [
        (full.encoder, {"baseline": full.head}),
        (narrow.encoder, {"baseline100": narrow.head}),
        (lab.student(op, seed), {"student": lab.probe(op, seed)}),
    ]
    sets = {"training": lab.train, "validation": lab.val}
    frame, pictures = baseline_fit.measure(
        groups, sets, operators.parse(op), p.fitted_realisations, seed
    )
    _table(frame, folder / "fitted.csv", "%.4f")
    _table(pictures, folder / "pictures.csv", "%.4f")
    kinds = ("baseline", "baseline100")
    losses = {kind: lab.history(kind, op, seed).groupby("epoch").loss.mean() for kind in kinds}
    _table(pd.DataFrame(losses).reset_index(), folder / "epochs.csv", "%.4f")


def bias(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    heads = {"probe": lab.probe(op, seed, loss), "words": lab.words()}
    where = _where(lab, op, seed)
    R = loss_bias.clean(lab.teacher, where.val)
    frame = loss_bias.measure(lab.student(op, seed, loss), heads, R, where)
    _table(frame, folder / "bias.csv", "%.5f")


def tuning(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    student = lab.student(op, seed)
    arms = {"frozen": (student, lab.teacher)}
    for kind in ("tuned", "anchored"):
        arms[kind] = tuple(lab.kept(kind, op, seed, which) for which in ("student", "teacher"))
    fit = _fit(lab, op, seed, student)
    frame = loss_bias.tuning(lab.teacher, arms, lab.train, lab.words(), fit, _where(lab, op, seed))
    _table(frame, folder / "tuning.csv", "%.5f")


def towers(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    student = lab.student(op, seed)
    pairs = {"resnet": (lab.teacher, student), "vit": (lab.vit, lab.kept("vit", op, seed))}
    fit = _fit(lab, op, seed, student)
    frame = loss_bias.towers(pairs, lab.words, fit, _where(lab, op, seed))
    _table(frame, folder / "towers.csv", "%.5f")


def _where(lab: Lab, op: str, seed: int) -> loss_bias.Where:
    p = lab.profile
    val = lab.val.per_class(p.ablation_val_per_class)
    return loss_bias.Where(val, operators.parse(op), p.open_severities, p.open_realisations, seed)


def _fit(lab: Lab, op: str, seed: int, student: Encoder) -> loss_bias.Fit:
    """Fits an encoder's probe as the kind "probe" is fitted; that of `student` is kept."""

    def fit(encoder: Encoder, seen: Operator) -> Probe:
        if encoder is student:
            return lab.probe(op, seed)
        return probe.train(encoder, lab.train, seen, lab.profile.probe, seed)

    return fit


def of_blind(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    def pair(name: str) -> evaluation.Contestant:
        return lab.student(name, seed), lab.probe(name, seed)

    specialists = {str(part): pair(str(part)) for part in operators.parse(op).parts}
    frame = blind.measure(
        pair(op), specialists, lab.train, lab.val, lab.profile.blind_realisations, seed
    )
    _table(frame, folder / "blind.csv", "%.4f")


def attacked(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    groups = _student_and_baseline(lab, op, seed)
    groups["clip_zero_shot"] = (lab.teacher, lab.words().requires_grad_(False))
    given = operators.parse(op), lab.profile.attacked
    frame = adversarial.measure(groups, lab.val, *given, seed)
    _table(frame, folder / "adversarial.csv", "%.4f")


def _table(frame: pd.DataFrame, file: Path, digits: str) -> None:
    frame.to_csv(file, index=False, float_format=digits)


BUILDS: dict[str, Build] = {
    "scores": scores,
    "ablation": of_loss,
    "transfer": transferred,
    "severity": graded,
    "shift": shift,
    "starts": from_narrow,
    "fitted": both_fitted,
    "corruptions": corruptions,
    "pixels": pixels,
    "bias": bias,
    "tuning": tuning,
    "towers": towers,
    "blind": of_blind,
    "adversarial": attacked,
}
