"""One operator, every method and number of labels: Tables 1, 4, 9 and 13 and Figures 3 and 7 in
one go.

Each encoder embeds a corrupted picture once, for all the heads that want it.
"""

import pandas as pd

from cinv_lib import evaluation, operators
from cinv_lib.data.image_files import Pictures
from cinv_lib.data.image_set import ImageSet
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation import probe
from cinv_lib.experiments import few_labels
from cinv_lib.lab.profiles.record import Profile
from cinv_lib.operators.base import Operator
from cinv_lib.training.baseline import Classifier

METHODS = {  # as in `paper.METHODS`, and what each is
    "clip": "CLIP R, probe trained on corrupted pictures",
    "clip_clean": "CLIP R, probe trained on clean pictures",
    "clip_zero_shot": "CLIP R, asked in words",
    "baseline": "Supervised baseline, end to end",
    "student": "Student S, probe on all labels",
    "student_10": "Student S, probe on 10 % of the labels",
    "clean_classifier": "Student S, the probe of R on clean pictures",
    "zero_shot": "Student S, asked in words",
}


def tables(
    profile: Profile,
    op: Operator,
    seed: int,
    train: Pictures,
    val: ImageSet,
    teacher: Encoder,
    student: Encoder,
    baseline: Classifier,
    supervised: Encoder,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores of every method, all on the same draws.

    supervised: the tower that the baseline started from, for Table 13.

    Returns:
        A row for each of METHODS and each realisation: method, realisation, top1, top5 (percent).
        And for each of `few_labels.METHODS`, number of labels and realisation, its COLUMNS.
    """
    recipe, shares = profile.probe, profile.few_labels.get(str(op), ())
    whole = {1.0, *shares}

    def fit(method: str, encoder: Encoder, asked: set[float]) -> dict[str, probe.Probe]:
        heads = few_labels.fit(encoder, train, op, asked, recipe, seed)
        return {few_labels.name(method, share): head for share, head in heads.items()}

    clean = probe.train(teacher, train, operators.Identity(), recipe, seed)
    words = probe.zero_shot(teacher, train.class_names, (profile.template,))
    of_R = {"clip_clean": clean, "clip_zero_shot": words}
    of_S = {"clean_classifier": clean, "zero_shot": words}
    groups = [
        (teacher, fit("clip", teacher, whole) | of_R),
        (student, fit("student", student, {*whole, *profile.fractions}) | of_S),
        (supervised, fit("resnet", supervised, whole)),
        (baseline.encoder, {"baseline": baseline.head}),
    ]
    scores = evaluation.evaluate_heads(groups, val, op, profile.draws(str(op)), seed)

    called = {few_labels.name(method, 1.0): method for method in ("clip", "student")}
    parts = [fraction for fraction in profile.fractions if fraction < 1]
    called |= {few_labels.name("student", part): f"student_{100 * part:g}" for part in parts}
    every = scores.assign(method=scores.model.replace(called))
    every = every[every.method.isin({*METHODS, *called.values()})].reset_index(drop=True)
    few = few_labels.table(scores, train, shares, seed)
    return every[["method", "realisation", "top1", "top5"]], few
