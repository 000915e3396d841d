"""One operator, every method: the columns of Tables 1, 4, 9 and 13 measured in one go.

Each encoder embeds a corrupted picture once, for all the heads that want it.
"""

import pandas as pd

from . import evaluate, operators, probe
from .encoders import Encoder
from .images import ImageSet
from .operators import Operator
from .profiles import Profile
from .supervised import Classifier

METHODS = {  # name in the scores -> what it is, and the paper's table that has it
    "raw": "CLIP R, probe trained on corrupted pictures (Table 13)",
    "raw, clean probe": "CLIP R, probe trained on clean pictures",
    "raw, zero-shot": "CLIP R asked in words",
    "baseline": "supervised, end to end (Tables 1, 4)",
    "student": "student S, probe on all labels (Tables 1, 4)",
    "student, 10%": "student S, probe on 10 % of the labels (Tables 1, 4)",
    "student, clean probe": "student S, probe trained on clean pictures of R (Table 9)",
    "student, zero-shot": "student S asked in words",
}


def table(
    profile: Profile,
    op: Operator,
    seed: int,
    train: ImageSet,
    val: ImageSet,
    teacher: Encoder,
    student: Encoder,
    baseline: Classifier,
) -> pd.DataFrame:
    """Scores of every method: columns method, realisation, top1, top5 (percent)."""
    n_classes, recipe = len(train.class_names), profile.probe

    def fit(encoder: Encoder, on: Operator, fraction: float = 1.0) -> probe.Probe:
        views = recipe.epochs if on.is_random else 1
        key = (id(encoder), str(on))
        if key not in cache:
            cache[key] = probe.features(encoder, train, on, views, seed)
        rows = None if fraction == 1 else train.fraction(fraction, seed)
        return probe.fit(cache[key], train.labels, n_classes, recipe, seed, indices=rows)

    cache: dict = {}
    clean = fit(teacher, operators.Identity())
    names = [profile.template.format(name) for name in train.class_names]
    words = probe.zero_shot(teacher, names)
    few = {f"student, {100 * f:g}%": fit(student, op, f) for f in profile.fractions if f < 1}
    groups = [
        (teacher, {"raw": fit(teacher, op), "raw, clean probe": clean, "raw, zero-shot": words}),
        (
            student,
            {"student": fit(student, op), **few}
            | {"student, clean probe": clean, "student, zero-shot": words},
        ),
        (baseline.encoder, {"baseline": baseline.head}),
    ]
    scores = evaluate.evaluate_heads(groups, val, op, profile.realisations, seed)
    return scores.rename(columns={"model": "method"})
