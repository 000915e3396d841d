"""How each kind of result is made: what it depends on (its spec), and how it is built in a folder.

A kind is made of an operator, a seed and, where students are, a loss. `Lab` asks for them and the
store keeps them, so a build may ask the lab for what it needs in turn.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from . import (
    ablation,
    adversarial,
    blind,
    distill,
    encoders,
    evaluate,
    few_labels,
    fitted,
    label_shift,
    losses,
    operators,
    pixel_space,
    probe,
    robustness,
    scoring,
    severity,
    standing,
    starts,
    supervised,
    transfer,
    tuned_teacher,
)
from .profiles import Profile
from .train import Recipe

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
    some = {"loss": p.loss, "student": recipe_S, "shares": p.few_labels.get(op)}
    some |= {"probe": asdict(p.probe), "val": p.val_per_class, "realisations": p.realisations}
    kinds["labels"] = some | {"models": [p.teacher, p.supervised]}
    narrow = baseline | {"init": p.supervised_narrow}
    val = p.graded_val_per_class if op in p.graded else p.val_per_class
    started = narrow | {"severities": p.graded.get(op), "val": val, "realisations": p.realisations}
    known = what | {"probe": asdict(p.probe), "realisations": p.fitted_realisations}
    known |= {"models": [p.teacher, p.supervised, p.supervised_narrow], "val": p.val_per_class}
    kinds |= {"baseline100": narrow, "starts": started, "fitted": known}
    seen = {"severities": p.open_severities, "realisations": p.open_realisations}
    seen |= {"probe": asdict(p.probe), "val": p.ablation_val_per_class}
    kinds |= {"bias": student | seen, "vit": student | {"teacher": p.vit}}
    kinds["vit"] |= {"recipe": asdict(_for_vit(p, op))}
    kinds["towers"] = student | seen | {"vit": kinds["vit"]}
    kinds |= {kind: student | {"pace, anchor": _pull(p, kind)} for kind in ("tuned", "anchored")}
    kinds["tuning"] = student | seen | {"pace, anchor": p.tuned}
    kinds["blind"] = student | {"probe": asdict(p.probe), "realisations": p.blind_realisations}
    kinds["blind"] |= {"val": p.val_per_class}
    kinds["adversarial"] = what | {"probe": asdict(p.probe), "attacked": asdict(p.attacked)}
    kinds["adversarial"] |= {"models": [p.teacher, p.supervised]}
    given = {"world": WORLD, "data": [p.data, p.train_per_class], "seed": seed}
    given |= {"unlabelled": p.unlabelled} if p.unlabelled else {}
    given["operator"] = str(operators.parse(op))
    return given | (kinds | {"ablation": student | looked})[kind]


def _student(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    checkpoint = folder / "checkpoint.pt"
    chosen, recipe = losses.parse(loss or lab.profile.loss), lab.profile.recipes(op)[0]
    student, history = distill.distill(
        lab.teacher, lab.unlabelled, operators.parse(op), chosen, recipe, seed, checkpoint
    )
    encoders.save(student.cpu(), folder / "student", dtype=torch.float16)
    _table(history, folder / "history.csv", "%.6g")
    checkpoint.unlink(missing_ok=True)  # only one of several processes has written it


def _baseline(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    _finetuned(lab, folder, op, seed, lab.profile.supervised)


def _baseline100(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    _finetuned(lab, folder, op, seed, lab.profile.supervised_narrow)


def _finetuned(lab: Lab, folder: Path, op: str, seed: int, start: str) -> None:
    checkpoint = folder / "checkpoint.pt"
    init, recipe = encoders.load(start), lab.profile.recipes(op)[1]
    classifier, history = supervised.finetune(
        init, lab.train, operators.parse(op), recipe, seed, checkpoint
    )
    encoders.save(classifier.cpu().encoder, folder / "encoder", dtype=torch.float16)
    torch.save(classifier.head.state_dict(), folder / "head.pt")
    _table(history, folder / "history.csv", "%.6g")
    checkpoint.unlink(missing_ok=True)  # only one of several processes has written it


def _scores(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    frame = scoring.table(
        lab.profile, operators.parse(op), seed, lab.train, lab.val,
        lab.teacher, lab.student(op, seed), lab.baseline(op, seed),
    )  # fmt: skip
    _table(frame, folder / "scores.csv", "%.4f")


def _labels(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    p, tower = lab.profile, encoders.load(lab.profile.supervised).eval().requires_grad_(False)
    tower = tower.to(lab.device)
    towers = {"student": lab.student(op, seed), "clip": lab.teacher, "resnet": tower}
    words = probe.zero_shot(lab.teacher, lab.train.class_names, (p.template,))
    frame = few_labels.measure(
        towers, words, lab.train, lab.val, operators.parse(op),
        p.few_labels[op], p.probe, p.realisations, seed,
    )  # fmt: skip
    _table(frame, folder / "labels.csv", "%.4f")


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


def _for_vit(p: Profile, op: str) -> Recipe:
    return replace(p.recipes(op)[0], lr=p.vit_lr)


def _vit(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    p, checkpoint = lab.profile, folder / "checkpoint.pt"
    given, chosen, recipe = operators.parse(op), losses.parse(loss or p.loss), _for_vit(p, op)
    student, history = distill.distill(
        lab.vit, lab.unlabelled, given, chosen, recipe, seed, checkpoint
    )
    encoders.save(student.cpu(), folder / "student", dtype=torch.float16)
    _table(history, folder / "history.csv", "%.6g")
    checkpoint.unlink(missing_ok=True)


def _pull(p: Profile, kind: str) -> tuple[float, float]:
    """Pace and anchor of "tuned", which has no anchor, and "anchored"."""
    pace, anchor = p.tuned
    return pace, anchor if kind == "anchored" else 0.0


def _tuned(
    lab: Lab, folder: Path, op: str, seed: int, loss: str | None, kind: str = "tuned"
) -> None:
    p, checkpoint = lab.profile, folder / "checkpoint.pt"
    student, teacher, history = tuned_teacher.tune(
        lab.teacher, lab.unlabelled, operators.parse(op), losses.parse(loss or p.loss),
        p.recipes(op)[0], seed, *_pull(p, kind), checkpoint,
    )  # fmt: skip
    for name, encoder in (("student", student), ("teacher", teacher)):
        encoders.save(encoder.cpu(), folder / name, dtype=torch.float16)
    _table(history, folder / "history.csv", "%.6g")
    checkpoint.unlink(missing_ok=True)


def _anchored(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    _tuned(lab, folder, op, seed, loss, "anchored")


def _looked(lab: Lab, op: str, seed: int) -> standing.Where:
    p = lab.profile
    val = lab.val.per_class(p.ablation_val_per_class)
    return standing.Where(val, operators.parse(op), p.open_severities, p.open_realisations, seed)


def _bias(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    words = probe.zero_shot(lab.teacher, lab.train.class_names, (lab.profile.template,))
    heads, where = {"probe": lab.probe(op, seed, loss), "words": words}, _looked(lab, op, seed)
    R = standing.clean(lab.teacher, where.val)
    frame = standing.measure(lab.student(op, seed, loss), heads, R, where)
    _table(frame, folder / "bias.csv", "%.5f")


def _tuning(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    p, arms = lab.profile, {"frozen": (lab.student(op, seed), lab.teacher)}
    for kind in ("tuned", "anchored"):
        arms[kind] = tuple(lab.kept(kind, op, seed, which) for which in ("student", "teacher"))
    frame = standing.tuning(
        lab.teacher, arms, lab.train, p.template, p.probe, _looked(lab, op, seed)
    )
    _table(frame, folder / "tuning.csv", "%.5f")


def _towers(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    p = lab.profile
    pairs = {"resnet": (lab.teacher, lab.student(op, seed))}
    pairs["vit"] = (lab.vit, lab.kept("vit", op, seed))
    frame = standing.towers(pairs, lab.train, p.template, p.probe, _looked(lab, op, seed))
    _table(frame, folder / "towers.csv", "%.5f")


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


def _starts(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    p, given = lab.profile, operators.parse(op)
    val = lab.val.per_class(p.graded_val_per_class) if op in p.graded else lab.val
    frame = starts.measure(
        lab.baseline(op, seed, p.supervised_narrow), val,
        given, starts.severities(given, p.graded), p.realisations, seed,
    )  # fmt: skip
    _table(frame, folder / "starts.csv", "%.4f")


def _fitted(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    p = lab.profile
    full, narrow = lab.baseline(op, seed), lab.baseline(op, seed, p.supervised_narrow)
    groups = [
        (full.encoder, {"baseline": full.head}),
        (narrow.encoder, {"baseline100": narrow.head}),
        (lab.student(op, seed), {"student": lab.probe(op, seed)}),
    ]
    sets = {"training": lab.train, "validation": lab.val}
    frame, pictures = fitted.measure(groups, sets, operators.parse(op), p.fitted_realisations, seed)
    _table(frame, folder / "fitted.csv", "%.4f")
    _table(pictures, folder / "pictures.csv", "%.4f")
    kinds = ("baseline", "baseline100")
    losses = {kind: lab.history(kind, op, seed).groupby("epoch").loss.mean() for kind in kinds}
    _table(pd.DataFrame(losses).reset_index(), folder / "epochs.csv", "%.4f")


def _blind(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    def pair(name: str) -> blind.Contestant:
        return lab.student(name, seed), lab.probe(name, seed)

    specialists = {str(part): pair(str(part)) for part in operators.parse(op).parts}
    frame = blind.measure(
        pair(op), specialists, lab.train, lab.val, lab.profile.blind_realisations, seed
    )
    _table(frame, folder / "blind.csv", "%.4f")


def _adversarial(lab: Lab, folder: Path, op: str, seed: int, loss: str | None) -> None:
    words = probe.zero_shot(lab.teacher, lab.train.class_names, (lab.profile.template,))
    baseline = lab.baseline(op, seed)
    groups = {
        "student": (lab.student(op, seed), lab.probe(op, seed)),
        "baseline": (baseline.encoder, baseline.head),
        "clip_zero_shot": (lab.teacher, words.requires_grad_(False)),
    }
    given = operators.parse(op), lab.profile.attacked
    frame = adversarial.measure(groups, lab.val, *given, seed)
    _table(frame, folder / "adversarial.csv", "%.4f")


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
    "baseline100": _baseline100,
    "scores": _scores,
    "labels": _labels,
    "ablation": _ablation,
    "transfer": _transfer,
    "probe": _probe,
    "severity": _severity,
    "shift": _shift,
    "starts": _starts,
    "fitted": _fitted,
    "corruptions": _corruptions,
    "pixels": _pixels,
    "bias": _bias,
    "tuned": _tuned,
    "anchored": _anchored,
    "tuning": _tuning,
    "vit": _vit,
    "towers": _towers,
    "blind": _blind,
    "adversarial": _adversarial,
}
