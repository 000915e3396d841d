"""Exercises of lesson 09: transfer."""

import re

import pandas as pd
import torch

from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong
from cinv_lib.evaluation import metrics
from cinv_lib.experiments.transfer import NAMES, STANDS_FOR, THE_PAPERS


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
            "you train the encoder too. That is fine-tuning: it measures what can be learned from the "
            "new pictures, and not what the embeddings hold already.",
        ),
        Wrong(
            lambda state, n_classes: (state, _HEAD),
            "the old head is still there. Its rows stand for the old classes, and the new labels mean "
            "other classes, even where there are as many of them.",
        ),
        Wrong(
            lambda state, n_classes: (
                _headed(state, state["head.weight"].shape[1], n_classes),
                _HEAD,
            ),
            "your head is transposed. It needs one row per class, and one column per dimension of the "
            "embedding.",
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
            "you set the encoder to zero as well, so there is nothing left to transfer.",
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
        "The head is as wide as the embedding: `state['head.weight'].shape[1]`.",
        "Return `state | {'head.weight': torch.zeros(n_classes, width), ...}`, and the two names.",
    ),
    solution=my_new_head,
    why="Everything that begins with `encoder` stays: the weights, and also the running means of batch "
    "norms. These means change in training mode without any gradient. (The authors' teacher drifts in just "
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
            "you exchanged the classes: you counted the pairs in which the negative scores higher. That "
            "is 1 - AUC.",
        ),
        Wrong(
            lambda scores, positive: (_gaps(scores, positive) > 0).double().mean(),
            "your ties count nothing. A model that gives every picture the same score would get "
            "0. It should get 1/2, like a model that guesses.",
        ),
        Wrong(
            lambda scores, positive: (_gaps(scores, positive) >= 0).double().mean(),
            "your ties count in full. A model that gives every picture the same score would be perfect.",
        ),
        Wrong(
            lambda scores, positive: _gaps(scores, positive).mean(),
            "you averaged by how much the positive is ahead. Only whether it is ahead counts.",
        ),
    ),
    alternative=_area,
    hints=(
        "Take the positives and the negatives apart, and compare each positive with each negative.",
        "`ones[:, None] - zeros` has one row per positive and one column per negative.",
        "Call this matrix `gap`. Add the mean of `gap > 0` and half the mean of `gap == 0`.",
    ),
    solution=my_auc,
    why="This share is also the area under the ROC curve (hits over false alarms, as the "
    "threshold falls). It can also be computed from the ranks of the scores, without any pairs. "
    "The common wrong turn is to report the accuracy: where one picture in ten is positive, the "
    "answer 'never' is right for nine of ten.",
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
            "you do not compare the photographs: column 20 of one photograph has nothing to do with "
            "column 20 of another.",
        ),
        Wrong(
            lambda train, val: _share(
                (val[:, None, 0] == train[:, 0]) & (_overlap(train, val) >= 0)
            ),
            "you count pieces that only touch: the first piece ends at column right - 1, and the "
            "second begins at column right.",
        ),
        Wrong(
            lambda train, val: _share((val[:, None] == train).all(dim=2)),
            "these are the pieces that are in both sets. A piece that is nearly the same leaks nearly as "
            "much.",
        ),
        Wrong(
            lambda train, val: _share(
                (val[:, None, 0] == train[:, 0])
                & (val[:, None, 1] >= train[:, 1])
                & (val[:, None, 2] <= train[:, 2])
            ),
            "these are the pieces that lie *inside* a piece of train. A part in common is enough.",
        ),
        Wrong(
            lambda train, val: _share(
                ((val[:, None, 0] == train[:, 0]) & (_overlap(train, val) > 0)).T
            ),
            "this is a share of the pieces of train. Give the share of val's pieces: these have to be "
            "new.",
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
        "Compare each piece of val with each piece of train. This gives a matrix of truth values. Then "
        "take `any`.",
        "Two pieces of one photograph share a column if each begins before the other ends.",
        "Write `(val[:, None, 0] == train[:, 0]) & (val[:, None, 1] < train[:, 2]) & ...`. Then take "
        "`.any(dim=1)`, and the mean.",
    ),
    solution=my_leaked,
    why="A split by pictures is not a split by what is in them. Pieces of one photograph, slices of one "
    "patient, or frames of one film may be on both sides of such a split. The common wrong turn is to "
    "look for duplicates only.",
)


# -- 9.4 ---------------------------------------------------------------------------------------
# Invented, so that each verb is needed once. The figure of the lesson shows these, without numbers.
ELSEWHERE = pd.DataFrame(
    {
        "difference": [6.0, -2.0, -4.5],
        "half_width": [1.5, 3.0, 1.5],
        "verdict": ["holds", "not decided", "does not hold"],
    },
    index=["birds", "cars", "leaves"],
)
OFF = 0.8  # points: how well a number can be read off the figure
VERBS = {
    "not decided": r"not decide|undecided|no verdict|cannot tell|leaves? open",
    "holds": r"\blead|ahead|\bbeats?\b|better",
    "does not hold": r"\btrail|behind|\bloses?\b|worse",
}
ASKED = {
    "holds": "the whole interval is right of 0: the student leads there",
    "does not hold": "the whole interval is left of 0: the student trails there",
    "not decided": "its interval has 0 in it: whatever the dot says, five trainings do not decide",
}


def one_figure(generator: torch.Generator) -> list[Case]:
    """The figure is one."""
    return [Case("the figure", ())]


def judge_sentence(got):
    """What is wrong with a sentence about ELSEWHERE: a set that it leaves out, a verb, a number."""
    if not isinstance(got, str):
        return f"it is a {type(got).__name__}, expected a sentence in quotes"
    clauses = re.split(r"[,;:.](?!\d)", got.replace("−", "-").lower())
    for name, row in ELSEWHERE.iterrows():
        mine = next((clause for clause in clauses if name in clause), None)
        if mine is None:
            return f"it says nothing of {name}, or not in a clause of its own (set off by commas)"
        verbs = [verdict for verdict, words in VERBS.items() if re.search(words, mine)]
        if not verbs or verbs[0] != row.verdict:  # "does not decide who leads" is no lead
            return f"{name}: {ASKED[row.verdict]}"
        numbers = [abs(float(n)) for n in re.findall(r"\d+(?:\.\d+)?", mine)]
        if not numbers:
            return f"{name}: no number of points"
        if abs(numbers[0] - abs(row.difference)) > OFF:
            return f"{name}: {numbers[0]:g} points is not where the dot is"
        if row.verdict == "not decided" and (
            len(numbers) < 2 or abs(numbers[1] - row.half_width) > OFF
        ):
            return f"{name}: where nothing is decided, say how wide the interval is (a ± b points)"
    return None


def _said(birds="leads by 6.0 points", cars="", leaves="trails by 4.5 points"):
    cars = cars or "five trainings do not decide (-2.0 ± 3.0 points)"
    return f"On birds the student {birds}, on cars {cars}, and on leaves the student {leaves}."


INTERPRET = Exercise(
    id="9.4",
    title="a figure without its sentence",
    minutes=15,
    difficulty=2,
    stub="""
    # One sentence with a clause for each set, set off by commas: who leads or trails whom, and by
    # how many points; where the trainings do not decide, say so, with the difference ± half-width.
    my_sentence = TODO
    """,
    reference=_said,
    cases=one_figure,
    judge=judge_sentence,
    wrong=(
        Wrong(
            lambda: _said(cars="the student trails by 2.0 points"),
            "your verb for cars follows the dot. Its interval has 0 in it, so another five trainings "
            "might put the student ahead: they do not decide.",
        ),
        Wrong(
            lambda: _said(cars="the student is level with the baseline (-2.0 ± 3.0 points)"),
            "on cars nothing is decided. That does not mean that the two are level: the interval allows "
            "the student to be 5 points behind.",
        ),
        Wrong(
            lambda: _said(leaves="leads by 4.5 points"),
            "look at the sign: the axis is student minus baseline, and the dot of leaves lies left of 0.",
        ),
        Wrong(
            lambda: _said(birds="leads by 1.5 points"),
            "1.5 is the half-width of the interval of birds. The dot says by how much the student leads.",
        ),
        Wrong(
            lambda: _said(birds="leads by 7.5 points"),
            "you read the right end of the interval of birds. The difference is the middle of the "
            "interval, where the dot is.",
        ),
        Wrong(
            lambda: (
                "On birds the student leads by 6.0 points, and on leaves it trails by 4.5 points."
            ),
            "cars are left out. A set on which nothing was decided belongs in the sentence too. "
            "Otherwise the reader thinks that there were only two results.",
        ),
    ),
    alternative=lambda: (
        "The student is ahead of the baseline on birds by 6 points, behind it on leaves by 4.5, and "
        "the case of cars is undecided (2 ± 3 points)."
    ),
    hints=(
        "For each set, first look whether its interval has 0 in it; the dot comes after that.",
        "If the whole interval is right of 0, the student leads. If the whole interval is left of 0, it "
        "trails. If 0 is within the interval, the trainings do not decide.",
        'Begin with "On birds the student leads by 6 points, on cars five trainings do not decide ...".',
    ),
    solution="""
    my_sentence = (
        "On birds the student leads the baseline by 6.0 points, on cars five trainings do not "
        "decide (-2.0 ± 3.0 points), and on leaves the student trails by 4.5 points."
    )
    """,
    why="The verb follows from the interval alone, and the number from the dot. For a set that "
    "is not decided, give both the difference and its interval, because a reader may add the "
    "results of further trainings. The common wrong turn is to let the dot choose the verb.",
)

EXERCISES = (NEW_HEAD, AUC, LEAKED, INTERPRET)

PREDICTIONS = (
    Prediction(
        "9.A",
        "Under masks, each set gets a new probe. On which set does the student lead the baseline by most? "
        "(In the paper it is ImageNet-100B, with 12.6 points.)",
        options=tuple(NAMES[name] for name in STANDS_FOR | THE_PAPERS),
    ),
    Prediction(
        "9.B",
        "Again under masks, the probes answer a question that no label of Stickers-100 ever asked: which "
        "photograph is behind the sticker? By how many points does the student lead the baseline? "
        "(Negative: the baseline leads.)",
        tolerance=5.0,
        digits=0,
    ),
)
