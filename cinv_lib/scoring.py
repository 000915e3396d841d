"""One operator, every method: the columns of Tables 1, 4, 9 and 13 measured in one go.

Each encoder embeds a corrupted picture once, for all the heads that want it.
"""

import pandas as pd

from . import evaluate, operators, probe
from .encoders import Encoder
from .images import ImageSet, Pictures
from .operators import Operator
from .profiles import Profile
from .supervised import Classifier

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


def table(
    profile: Profile,
    op: Operator,
    seed: int,
    train: Pictures,
    val: ImageSet,
    teacher: Encoder,
    student: Encoder,
    baseline: Classifier,
) -> pd.DataFrame:
    """Scores of every method: columns method, realisation, top1, top5 (percent)."""
    n_classes, recipe = len(train.class_names), profile.probe

    def fit(encoder: Encoder, on: Operator, fraction: float = 1.0) -> probe.Probe:
        key = (id(encoder), str(on))
        if key not in cache:
            cache[key] = probe.features(
                encoder, train, on, recipe.epochs, seed, recipe.crop, recipe.flip
            )
        rows = None if fraction == 1 else train.fraction(fraction, seed)
        return probe.fit(cache[key], train.labels, n_classes, recipe, seed, indices=rows)

    cache: dict = {}
    clean = fit(teacher, operators.Identity())
    words = probe.zero_shot(teacher, train.class_names, (profile.template,))
    few = {f"student_{100 * f:g}": fit(student, op, f) for f in profile.fractions if f < 1}
    groups = [
        (teacher, {"clip": fit(teacher, op), "clip_clean": clean, "clip_zero_shot": words}),
        (
            student,
            {"student": fit(student, op), **few} | {"clean_classifier": clean, "zero_shot": words},
        ),
        (baseline.encoder, {"baseline": baseline.head}),
    ]
    scores = evaluate.evaluate_heads(groups, val, op, profile.realisations, seed)
    return scores.rename(columns={"model": "method"})
