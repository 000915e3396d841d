"""Learning rates of student and baseline, chosen with the same care: `python -m data_prep sweep`.

Each rate trains one student and one baseline for the profile's budget on mask:0.9 (seed 10, which
no result of the course uses) and scores them on half of the validation pictures, three
realisations. The student's score is that of its probe on all labels. The baseline from
`profile.supervised_narrow` tries three rates around the one that the others got. The rows are kept
in notebooks/recorded/PROFILE/sweep.csv, and a rate that is in it is not trained again.
"""

from dataclasses import replace

import pandas as pd

from cinv_lib import encoders as towers
from cinv_lib import evaluation, losses, operators, training
from cinv_lib.evaluation import probe
from cinv_lib.lab import lab as labs
from cinv_lib.lab.profiles.record import Profile
from cinv_lib.machine import files

RATES = (3e-4, 1e-3, 3e-3, 1e-2)
NARROW_RATES = RATES[1:]
OPERATOR, SEED, REALISATIONS, PER_CLASS = "mask:0.9", 10, 3, 10
COLUMNS = ["method", "lr", "top1", "start"]


def score(lab: labs.Lab, method: str, start: str, lr: float) -> float:
    """Top-1 in percent of one training from the encoder `start` at a learning rate."""
    op, p, train = operators.parse(OPERATOR), lab.profile, lab.train
    if method == "student":
        loss, recipe = losses.parse(p.loss), replace(p.student, lr=lr)
        student, _ = training.distill(lab.teacher, train, op, loss, recipe, SEED)
        views = probe.features(student, train, op, p.probe.epochs, SEED)
        head = probe.fit(views, train.labels, len(train.class_names), p.probe, SEED)
        group = (student, {method: head})
    else:
        init, recipe = towers.load(start), replace(p.baseline, lr=lr)
        classifier, _ = training.finetune(init, train, op, recipe, SEED)
        group = (classifier.encoder, {method: classifier.head})
    val = lab.val.per_class(PER_CLASS)
    return evaluation.evaluate_heads([group], val, op, REALISATIONS, 0).top1.mean()


def make(profile: str = "stickers") -> pd.DataFrame:
    """The sweep, resumed from the rows that are there."""
    lab = labs.Lab(profile, recorded=False)
    file = labs.RECORDED / lab.profile.name / "sweep.csv"
    rows = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=COLUMNS)
    for method, start, lr in wanted(lab.profile):
        if ((rows.method == method) & (rows.start == start) & (rows.lr == lr)).any():
            continue
        rows.loc[len(rows)] = [method, lr, score(lab, method, start, lr), start]
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(file, rows.to_csv(index=False, float_format="%.6g"))
    return rows


def wanted(p: Profile) -> list[tuple[str, str, float]]:
    """(method, start, learning rate) of every training of the sweep."""
    tried = [("student", p.teacher, lr) for lr in RATES]
    tried += [("baseline", p.supervised, lr) for lr in RATES]
    rates = NARROW_RATES if p.supervised_narrow else ()
    return tried + [("baseline", p.supervised_narrow, lr) for lr in rates]
