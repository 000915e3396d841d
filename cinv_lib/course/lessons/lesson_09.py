"""Exercises of lesson 09: transfer."""

import torch

from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong
from cinv_lib.evaluation import metrics
from cinv_lib.experiments.transfer import STANDS_FOR


# -- 9.1 ---------------------------------------------------------------------------------------
def classifiers(generator: torch.Generator) -> list[Case]:
    """States of three trained classifiers, and how many classes the new set has."""
    cases = []
    for d, old, new in ((4, 3, 2), (8, 100, 10), (6, 5, 5)):
        state = {
            "encoder.conv1.weight": torch.randn(d, 3, 3, 3, generator=generator),
            "encoder.bn1.weight": torch.rand(d, generator=generator),
            "encoder.bn1.bias": torch.randn(d, generator=generator),
            "encoder.bn1.running_mean": torch.randn(d, generator=generator),
            "head.weight": torch.randn(old, d, generator=generator),
            "head.bias": torch.randn(old, generator=generator),
        }
        cases.append(Case(f"d = {d}, {old} old classes, {new} new ones", (state, new)))
    return cases


def my_new_head(state, n_classes):
    width = state["head.weight"].shape[1]
    head = {"head.weight": torch.zeros(n_classes, width), "head.bias": torch.zeros(n_classes)}
    return state | head, ["head.bias", "head.weight"]


def _headed(state, *shape):
    return state | {"head.weight": torch.zeros(*shape), "head.bias": torch.zeros(shape[0])}


_HEAD = ["head.bias", "head.weight"]

NEW_HEAD = Exercise(
    id="9.1",
    title="another head on the same encoder",
    minutes=5,
    difficulty=1,
    stub="""
    def my_new_head(state, n_classes):
        # state: name -> tensor, of a trained classifier: "encoder.(...)", and "head.weight" (old
        # classes, d), "head.bias" (old classes,). Give (1) the state from which a linear probe
        # for n_classes starts, its head all zeros; (2) the sorted names of what is then trained.
        return TODO, TODO
    """,
    reference=lambda state, n_classes: (
        _headed(state, n_classes, state["head.weight"].shape[1]),
        _HEAD,
    ),
    cases=classifiers,
    wrong=(
        Wrong(
            lambda state, n_classes: (
                _headed(state, n_classes, state["head.weight"].shape[1]),
                sorted(k for k in state if "running" not in k),
            ),
            "the encoder is trained too. That is fine-tuning: it would measure what can be learned "
            "from the new pictures, and not what the embeddings hold already.",
        ),
        Wrong(
            lambda state, n_classes: (state, _HEAD),
            "the old head is still there: its rows are the old classes, which the new labels do not "
            "mean, even where there are as many.",
        ),
        Wrong(
            lambda state, n_classes: (
                _headed(state, state["head.weight"].shape[1], n_classes),
                _HEAD,
            ),
            "the head is transposed: a row for each class, a column for each dimension of the embedding.",
        ),
        Wrong(
            lambda state, n_classes: (
                _headed(state, n_classes, len(state["head.weight"])),
                _HEAD,
            ),
            "the new head reads the old head's logits. It has to read the embedding, d numbers wide: "
            "the logits have thrown away what the old labels did not need.",
        ),
        Wrong(
            lambda state, n_classes: (
                _headed(
                    {k: torch.zeros_like(v) for k, v in state.items()},
                    n_classes,
                    state["head.weight"].shape[1],
                ),
                _HEAD,
            ),
            "the encoder is zeroed as well: then there is nothing left to transfer.",
        ),
    ),
    alternative=lambda state, n_classes: (
        {
            name: state["head.weight"].new_zeros(n_classes, *value.shape[1:])
            if name.startswith("head")
            else value
            for name, value in state.items()
        },
        sorted(name for name in state if name.startswith("head")),
    ),
    hints=(
        "Only two entries of `state` change, and only these two are trained.",
        "The head's width is that of the embedding: `state['head.weight'].shape[1]`.",
        "`state | {'head.weight': torch.zeros(n_classes, width), ...}`, and the two names.",
    ),
    solution=my_new_head,
    why="Everything that begins with `encoder` stays: weights, and the running means of batch norms "
    "too, which change in training mode without any gradient. (The authors' teacher drifts in just "
    "that way; `evaluate` and `probe` put encoders into eval mode.) The common wrong turn is to put "
    "the new layer on top of the old head's logits.",
)


# -- 9.2 ---------------------------------------------------------------------------------------
def scored(generator: torch.Generator) -> list[Case]:
    """Scores and which of them are positives; rounded, so that some are tied."""
    cases = []
    for n, share, digits in ((8, 0.5, 0), (40, 0.25, 0), (200, 0.1, 1)):
        positive = (torch.arange(n) < share * n).long()[torch.randperm(n, generator=generator)]
        scores = torch.randn(n, generator=generator, dtype=torch.float64) + positive - 1
        words = f"{n} pictures, {int(positive.sum())} positive"
        cases.append(Case(words, (scores.round(decimals=digits), positive)))
    return cases


def my_auc(scores, positive):
    ones, zeros = scores[positive == 1], scores[positive == 0]
    gap = ones[:, None] - zeros
    return (gap > 0).double().mean() + 0.5 * (gap == 0).double().mean()


def _gaps(scores, positive):
    return scores[positive == 1][:, None] - scores[positive == 0]


def _area(scores, positive):
    """By the ROC curve itself: hits over false alarms, a threshold at each different score."""
    levels = scores.unique().flip(0)[:, None]
    none = torch.zeros(1, dtype=torch.float64)
    hits = torch.cat([none, (scores[positive == 1] >= levels).double().mean(1)])
    false = torch.cat([none, (scores[positive == 0] >= levels).double().mean(1)])
    return torch.trapezoid(hits, false)


AUC = Exercise(
    id="9.2",
    title="area under the curve",
    minutes=6,
    difficulty=2,
    stub="""
    def my_auc(scores, positive):
        # scores: (N,), higher means "rather positive". positive: (N,), 1 or 0.
        # Of all pairs of a positive and a negative: the share in which the positive scores
        # higher. A tie counts half.
        return TODO
    """,
    reference=metrics.auc,
    cases=scored,
    wrong=(
        Wrong(
            lambda scores, positive: ((scores > 0).long() == positive).double().mean(),
            "this is the accuracy with the threshold at 0. AUC has no threshold: it asks for the "
            "order of the scores only.",
        ),
        Wrong(
            lambda scores, positive: 1 - metrics.auc(scores, positive),
            "the classes are exchanged: you counted the negatives that score above a positive. That "
            "is 1 - AUC.",
        ),
        Wrong(
            lambda scores, positive: (_gaps(scores, positive) > 0).double().mean(),
            "ties count nothing. A model that gives every picture the same score would get 0, and "
            "not the 1/2 of one that guesses.",
        ),
        Wrong(
            lambda scores, positive: (_gaps(scores, positive) >= 0).double().mean(),
            "ties count in full. A model that gives every picture the same score would be perfect.",
        ),
        Wrong(
            lambda scores, positive: _gaps(scores, positive).mean(),
            "you averaged by how much the positive is ahead. Only whether it is ahead counts.",
        ),
    ),
    alternative=_area,
    hints=(
        "Take the positives and the negatives apart, and compare each of the ones with each of the "
        "others.",
        "`ones[:, None] - zeros` has a row a positive and a column a negative.",
        "The mean of `gap > 0`, and half the mean of `gap == 0`.",
    ),
    solution=my_auc,
    why="The same number is the area under the ROC curve (hits over false alarms, as the threshold "
    "falls), and no pair has to be formed if one ranks the scores. The common wrong turn is to report "
    "the accuracy: where one picture in ten is positive, 'never' is right in nine of ten.",
)


# -- 9.3 ---------------------------------------------------------------------------------------
def pieces(generator: torch.Generator) -> list[Case]:
    """Pieces of photographs: (photograph, left, right) in pixels. Some touch one of train, have one
    inside, lie inside one, or are there twice."""
    cases = []
    for photographs, n, width, first in ((2, 8, 60, 30), (3, 12, 90, 40), (13, 60, 250, 90)):
        drawn = []
        for low in (0, first):
            left = torch.randint(low, low + width, (n,), generator=generator)
            right = left + torch.randint(4, 20, (n,), generator=generator)
            which = torch.randint(photographs, (n,), generator=generator)
            drawn.append(torch.stack([which, left, right], dim=1))
        train, val = drawn[0], drawn[1][: n // 2 + 2]
        end = train[:, 2].max()
        val[0] = torch.stack([train[train[:, 2].argmax(), 0], end, end + 9])  # touches
        val[1] = train[1] + torch.tensor([0, -1, 1])  # has one inside
        val[2] = train[2] + torch.tensor([0, 1, -1])  # lies inside
        val[3] = train[3]
        cases.append(Case(f"{n} and {len(val)} pieces of {photographs} photographs", (train, val)))
    return cases


def my_leaked(train, val):
    same = val[:, None, 0] == train[:, 0]
    shared = torch.minimum(val[:, None, 2], train[:, 2]) - torch.maximum(
        val[:, None, 1], train[:, 1]
    )
    return (same & (shared > 0)).any(dim=1).double().mean()


def _overlap(train, val):
    """Pixel columns that piece i of val and piece j of train have in common, if any."""
    right = torch.minimum(val[:, None, 2], train[:, 2])
    return right - torch.maximum(val[:, None, 1], train[:, 1])


def _share(pairs):
    return pairs.any(dim=1).double().mean()


LEAKED = Exercise(
    id="9.3",
    title="what validation has seen before",
    minutes=7,
    difficulty=2,
    stub="""
    def my_leaked(train, val):
        # Rows (photograph, left, right): a piece has the pixel columns left .. right - 1.
        # The share, 0 to 1, of val's pieces that have a column in common with some piece of train.
        return TODO
    """,
    reference=lambda train, val: _share(
        (val[:, None, 0] == train[:, 0])
        & (val[:, None, 1] < train[:, 2])
        & (train[:, 1] < val[:, None, 2])
    ),
    cases=pieces,
    wrong=(
        Wrong(
            lambda train, val: _share(_overlap(train, val) > 0),
            "the photograph is not compared: column 20 of one has nothing to do with column 20 of "
            "another.",
        ),
        Wrong(
            lambda train, val: _share(
                (val[:, None, 0] == train[:, 0]) & (_overlap(train, val) >= 0)
            ),
            "pieces that only touch are counted: the one ends at column right - 1, the other begins "
            "at right.",
        ),
        Wrong(
            lambda train, val: _share((val[:, None] == train).all(dim=2)),
            "these are the pieces that are there twice. Nearly the same piece leaks nearly as much.",
        ),
        Wrong(
            lambda train, val: _share(
                (val[:, None, 0] == train[:, 0])
                & (val[:, None, 1] >= train[:, 1])
                & (val[:, None, 2] <= train[:, 2])
            ),
            "these are the pieces that lie *inside* one of train. A part in common is enough.",
        ),
        Wrong(
            lambda train, val: _share(
                ((val[:, None, 0] == train[:, 0]) & (_overlap(train, val) > 0)).T
            ),
            "this is the share of train. What has to be new are the pieces of val.",
        ),
    ),
    alternative=lambda train, val: (
        sum(
            any(
                int(v[0]) == int(t[0])
                and set(range(int(v[1]), int(v[2]))) & set(range(int(t[1]), int(t[2])))
                for t in train
            )
            for v in val
        )
        / len(val)
    ),
    hints=(
        "Compare each piece of val with each of train: a matrix of truth values, and then `any`.",
        "Two pieces share a column where each begins before the other ends.",
        "`(val[:, None, 0] == train[:, 0]) & (val[:, None, 1] < train[:, 2]) & ...`; then "
        "`.any(dim=1)`, and the mean.",
    ),
    solution=my_leaked,
    why="A split by pictures is not a split by what is in them: pieces of one photograph, slices of one "
    "patient, frames of one film are on both sides of it. The common wrong turn is to look for "
    "duplicates only.",
)

EXERCISES = (NEW_HEAD, AUC, LEAKED)

PREDICTIONS = (
    Prediction(
        "9.A",
        "Masks, a new probe for each set. On which set does the student lead the baseline by most? "
        "(In the paper: ImageNet-100B, by 12.6 points.)",
        options=tuple(STANDS_FOR),
    ),
    Prediction(
        "9.B",
        "Masks again, and a question that no label of Stickers-100 ever asked: which photograph is "
        "behind the sticker? By how many points does the student lead the baseline? (Negative: the "
        "baseline leads.)",
        tolerance=5.0,
        digits=0,
    ),
)
