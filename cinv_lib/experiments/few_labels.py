"""Few labels: probes on a frozen encoder, from one labelled picture a class to all of them
(Figures 3 and 7), and from none, in words. All labels, on towers that never saw a corruption, are
Table 13.
"""

from collections.abc import Iterable, Mapping

import pandas as pd
from jaxtyping import Float, Int64
from torch import Tensor

from cinv_lib.data.image_files import Pictures
from cinv_lib.evaluation import probe, statistics
from cinv_lib.evaluation.sentence import listed
from cinv_lib.experiments import spoken
from cinv_lib.experiments.methods import labels

METHODS = labels(
    "student", "clip", "resnet", "zero_shot", "clip_zero_shot", student="student S, probe"
)
WORDS = ("zero_shot", "clip_zero_shot")
PROBED = tuple(method for method in METHODS if method not in WORDS)
COLUMNS = ["method", "per_class", "realisation", "top1", "top5"]


def fit(
    views: Float[Tensor, "V N d"],
    train: Pictures,
    shares: Iterable[float],
    recipe: probe.ProbeRecipe,
    seed: int,
) -> dict[float, probe.Probe]:
    """A probe on a frozen encoder from each share of the labels.

    The labelled pictures are chosen by `seed`, and those of a small share are among those of a
    larger one.

    Args:
        views: of all training pictures, as `probe.features` embeds them.
        shares: of each class, above 0 up to 1.
    """
    n_classes = len(train.class_names)
    labelled = {share: _chosen(train, share, seed) for share in shares}
    return {
        share: probe.fit(views, train.labels, n_classes, recipe, seed, indices=rows)
        for share, rows in labelled.items()
    }


def name(method: str, share: float) -> str:
    """What a probe is called among the heads that `evaluate` scores."""
    return f"{method} {share:g}"


def table(
    scores: pd.DataFrame, train: Pictures, shares: Iterable[float], seed: int
) -> pd.DataFrame:
    """What `evaluate` found of probes called by `name`, and of words.

    Returns:
        COLUMNS: per_class labelled pictures (0 in words), top1 and top5 in percent. A row for each
        method, number of labels and realisation.
    """
    meant = {words: (words, 0.0) for words in WORDS}
    for share in shares:
        pictures = per_class_of(train, share, seed)
        meant |= {name(method, share): (method, pictures) for method in PROBED}
    mine = scores[scores.model.isin(meant)]
    method, pictures = zip(*(meant[model] for model in mine.model), strict=True)
    return mine.assign(method=method, per_class=pictures)[COLUMNS].reset_index(drop=True)


def per_class_of(train: Pictures, share: float, seed: int) -> float:
    """Labelled pictures per class in a share of the labels, in the mean over the classes."""
    rows = _chosen(train, share, seed)
    return (len(train) if rows is None else len(rows)) / len(train.class_names)


def _chosen(train: Pictures, share: float, seed: int) -> Int64[Tensor, " M"] | None:
    """The pictures whose labels may be used; None for all."""
    return None if share == 1 else train.fraction(share, seed)


def headline(curves: Mapping[str, pd.DataFrame]) -> str:
    """The title of lesson 06's figure over labels: what the student's probe has with the fewest.

    Args:
        curves: columns method, per_class and value, by operator.
    """
    few, every = [], []
    for op, curve in curves.items():
        mine = curve[curve.method == "student"].sort_values("per_class")
        few.append(f"{mine.value.iloc[0]:.0f} % under {spoken.kind(op)}")
        every.append(f"{mine.value.iloc[-1]:.0f} %")
    first, last = mine.per_class.iloc[0], mine.per_class.iloc[-1]
    return (
        f"The student's probe names {listed(few)} with {first:.0f} labelled per class, and "
        f"{listed(every)} with {last:.0f}"
    )


def finding(counted: Mapping[str, pd.DataFrame], scores: Mapping[str, pd.DataFrame]) -> str:
    """From how many labels on the student's probe leads the baseline with all of them, in a
    sentence.

    Args:
        counted: `table` by operator, with the seed of each training.
        scores: `known_operator` of the same operators.
    """
    clauses = []
    for op, labelled in counted.items():
        mine = labelled[labelled.method == "student"]
        baseline = scores[op][scores[op].method == "baseline"]
        won, lost = [], []
        for pictures, rows in mine.groupby("per_class"):
            found = statistics.compare(pd.concat([rows, baseline]), "student", "baseline")
            if found["verdict"] != "not decided":
                (won if found["verdict"] == "holds" else lost).append(f"{pictures:.0f}")
        said = [f"leads with {listed(won)}"] if won else []
        said += [f"trails with {listed(lost)}"] if lost else []
        under, verbs = spoken.kind(op), listed(said or ["is decided with no number of"])
        clauses.append(f"under {under} the student's probe {verbs} labelled pictures per class")
    return f"Against the baseline with all labels: {'; '.join(clauses)}."


def per_class(percent: float, pictures: int = 126_689, classes: int = 100) -> int:
    """How many pictures of a class are that percentage of a set, ImageNet-100's by default.

    >>> [per_class(p) for p in (0.1, 0.5, 1, 5, 10, 100)]
    [2, 7, 13, 64, 127, 1267]
    """
    return -int(-percent * pictures // (100 * classes))
