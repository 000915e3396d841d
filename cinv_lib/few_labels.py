"""Few labels: probes on a frozen encoder, from one labelled picture a class to all of them
(Figures 3 and 7), and from none, in words. All labels, on towers that never saw a corruption, are
Table 13.
"""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from . import evaluate, probe
from .images import ImageSet, Pictures
from .operators import Operator

METHODS = {  # keys as in `paper.METHODS` and `scoring.METHODS`
    "student": "student S, probe",
    "clip": "CLIP R, probe",
    "resnet": "supervised tower, probe",
    "zero_shot": "student S, in words",
    "clip_zero_shot": "CLIP R, in words",
}
WORDS = {"student": "zero_shot", "clip": "clip_zero_shot"}  # the encoders that know R's words
COLUMNS = ["method", "per_class", "realisation", "top1", "top5"]


def measure(
    encoders: Mapping[str, Callable],
    words: probe.Probe,
    train: Pictures,
    val: ImageSet,
    op: Operator,
    shares: Sequence[float],
    recipe: probe.ProbeRecipe,
    realisations: int,
    seed: int,
) -> pd.DataFrame:
    """Probes on each encoder from each share of the labels, fitted and scored under `op`.

    A picture is embedded once a view and once a draw, whatever the number of shares. The labelled
    pictures are chosen by `seed`, and those of a small share are among those of a larger one.

    Args:
        encoders: by method ("student", "clip", "resnet"), pictures to embeddings (B, d).
        words: the teacher's classifier of words, for those that share its space.
        shares: of each class, above 0 up to 1.

    Returns:
        COLUMNS: per_class labelled pictures (0 in words), top1 and top5 in percent. A row for each
        method, number of labels and realisation, all on the same draws.
    """
    n_classes = len(train.class_names)
    groups, meant = [], {}
    for method, encoder in encoders.items():
        views = probe.features(encoder, train, op, recipe.epochs, seed, recipe.crop, recipe.flip)
        heads = {}
        for share in shares:
            rows = None if share == 1 else train.fraction(share, seed)
            labelled = len(train) if rows is None else len(rows)
            name = f"{method} {share:g}"
            heads[name] = probe.fit(views, train.labels, n_classes, recipe, seed, indices=rows)
            meant[name] = (method, labelled / n_classes)
        if method in WORDS:
            heads[WORDS[method]] = words
            meant[WORDS[method]] = (WORDS[method], 0.0)
        groups.append((encoder, heads))
    scores = evaluate.evaluate_heads(groups, val, op, realisations, seed)
    method, labelled = zip(*(meant[name] for name in scores.model), strict=True)
    return scores.assign(method=method, per_class=labelled)[COLUMNS]


def per_class(percent: float, pictures: int = 126_689, classes: int = 100) -> int:
    """How many pictures of a class are that percentage of a set, ImageNet-100's by default.

    >>> [per_class(p) for p in (0.1, 0.5, 1, 5, 10, 100)]
    [2, 7, 13, 64, 127, 1267]
    """
    return -int(-percent * pictures // (100 * classes))
