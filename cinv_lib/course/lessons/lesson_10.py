"""Exercises of lesson 10: label shift."""

import math

import torch
import torch.nn.functional as F

from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong
from cinv_lib.experiments import label_shift

KNOWN = ("cat", "flag", "moon", "note", "sun", "umbrella")
STAND_IN = {"solid flag": "flag", "rainy umbrella": "umbrella", "eighth note": "note"}


# -- 10.1 --------------------------------------------------------------------------------------
def shown_names(generator: torch.Generator) -> list[Case]:
    """What pictures show: unseen classes, in a random order, some of them several times."""
    twins = list(STAND_IN)
    cases = []
    for n in (3, 8, 20):
        drawn = torch.randint(len(twins), (n,), generator=generator).tolist()
        shown = [*twins, *(twins[k] for k in drawn)]
        cases.append(Case(f"{len(shown)} pictures", (shown, STAND_IN, KNOWN)))
    return cases


def my_labels(shown, stand_in, known):
    return torch.tensor([known.index(stand_in[name]) for name in shown])


RELABEL = Exercise(
    id="10.1",
    title="the label of the near twin",
    minutes=4,
    difficulty=1,
    stub="""
    def my_labels(shown, stand_in, known):
        # shown: what each picture shows, none of it in `known`. stand_in: unseen name -> known name.
        # known: the classes of the classifier, in the order of its logits. A tensor of labels.
        return TODO
    """,
    reference=lambda shown, stand_in, known: torch.tensor(
        [known.index(stand_in[name]) for name in shown]
    ),
    cases=shown_names,
    wrong=(
        Wrong(
            lambda shown, stand_in, known: torch.tensor([[*stand_in].index(n) for n in shown]),
            "these number the unseen classes; the classifier's logits are in the order of `known`.",
        ),
        Wrong(
            lambda shown, stand_in, known: torch.tensor(
                [sorted(stand_in.values()).index(stand_in[n]) for n in shown]
            ),
            "these number the stand-ins among themselves; the classifier has more classes than these.",
        ),
        Wrong(
            lambda shown, stand_in, known: torch.tensor(
                [len(known) + [*stand_in].index(n) for n in shown]
            ),
            "these are new labels behind the known ones: the classifier has no logit for them.",
        ),
    ),
    alternative=lambda shown, stand_in, known: torch.tensor(
        [{name: k for k, name in enumerate(known)}[stand_in[n]] for n in shown]
    ),
    hints=(
        "Each picture takes two steps: from its name to the stand-in's name, then to a number.",
        "The number is the place of the stand-in's name in `known`.",
        "`known.index(stand_in[name])` for each `name` in `shown`.",
    ),
    solution=my_labels,
    why="The head is not changed. It has one logit for each class that it was trained on, and we "
    "declare one of these classes right. The common wrong turn is to number the five pairs from 0 "
    "to 4.",
)


# -- 10.2 --------------------------------------------------------------------------------------
def embedded(generator: torch.Generator) -> list[Case]:
    """Embeddings of unseen pictures near one of several classes; some classes have long rows."""
    cases = []
    for classes, d in ((4, 6), (8, 16), (20, 8)):
        centres = torch.randn(classes, d, generator=generator, dtype=torch.float64)
        labels = torch.arange(6 * classes) % classes
        noise = torch.randn(len(labels), d, generator=generator, dtype=torch.float64)
        rows = centres[labels] + 0.4 * noise
        rows = rows * (0.2 + 6 * torch.rand(len(labels), 1, generator=generator).double() ** 3)
        k = int(torch.randint(classes, (), generator=generator))
        noise = torch.randn(5, d, generator=generator, dtype=torch.float64)
        twins = 0.3 * (centres[k] + 0.4 * noise)
        cases.append(Case(f"{classes} classes, d = {d}", (twins, rows, labels)))
    return cases


def my_stand_ins(twins, pictures, labels):
    unit = pictures / pictures.norm(dim=1, keepdim=True)
    means = torch.stack([unit[labels == k].mean(dim=0) for k in range(int(labels.max()) + 1)])
    twin = (twins / twins.norm(dim=1, keepdim=True)).mean(dim=0)
    return torch.cosine_similarity(means, twin[None]).argsort(descending=True)


def _by(twins, pictures, labels, normal=True, distance=False):
    rows = F.normalize(pictures, dim=1) if normal else pictures
    means = torch.stack([rows[labels == k].mean(0) for k in range(int(labels.max()) + 1)])
    twin = (F.normalize(twins, dim=1) if normal else twins).mean(0)
    if distance:
        return (means - twin).norm(dim=1).argsort()
    return (means @ twin).argsort(descending=True)


STAND_INS = Exercise(
    id="10.2",
    title="whose twin, says R",
    minutes=8,
    difficulty=2,
    stub="""
    def my_stand_ins(twins, pictures, labels):
        # twins: (N, d), embeddings of one unseen class; pictures: (M, d), labels: (M,), those of
        # the known classes. The labels in order of the cosine of their mean direction (the mean
        # of the rows, made unit vectors first) to the twins', the nearest first.
        return TODO
    """,
    reference=label_shift.stand_in,
    cases=embedded,
    wrong=(
        Wrong(
            lambda t, p, y: my_stand_ins(t, p, y).flip(0),
            "the farthest comes first: sort in descending order of the cosine.",
        ),
        Wrong(
            lambda t, p, y: _by(t, p, y),
            "inner products with the class means: a class whose pictures agree has a longer mean, and "
            "would win by that. Take cosines.",
        ),
        Wrong(
            lambda t, p, y: _by(t, p, y, normal=False, distance=True),
            "distances of embeddings as they come: their lengths, which mean nothing, decide.",
        ),
        Wrong(
            lambda t, p, y: my_stand_ins(t, p, y)[0],
            "this is the nearest alone; all labels are asked for, in order.",
        ),
        Wrong(
            lambda t, p, y: _by(t, p, y, normal=False),
            "make the rows unit vectors before you average: long ones count for more as it is.",
        ),
    ),
    alternative=lambda t, p, y: (
        F.normalize(
            F.one_hot(y).T.to(p) @ F.normalize(p, dim=1),
            dim=1,
        )
        @ F.normalize(t, dim=1).sum(0)
    ).argsort(descending=True),
    hints=(
        "Make the rows unit vectors. Then take one mean per class, and one mean of the twins.",
        "`torch.stack([unit[labels == k].mean(dim=0) for k in range(K)])` are the class means.",
        "`torch.cosine_similarity(means, twin[None])`, then `argsort(descending=True)`.",
    ),
    solution=my_stand_ins,
    why="A teacher has its own opinion on which classes are alike. Where this opinion differs from "
    "ours, a student that agrees with its teacher is counted as wrong. The common wrong turn is to "
    "take the inner product with a mean that is not of length one.",
)


# -- 10.3 --------------------------------------------------------------------------------------
def scored(generator: torch.Generator) -> list[Case]:
    """Scores of pairs of classes, which differ far more than the realisations do."""
    cases = []
    for pairs, realisations in ((5, 10), (3, 4), (8, 2)):
        height = 50 + 15 * torch.randn(pairs, 1, generator=generator, dtype=torch.float64)
        noise = torch.randn(pairs, realisations, generator=generator, dtype=torch.float64)
        cases.append(Case(f"{pairs} pairs, {realisations} realisations", (height + noise,)))
    return cases


def my_errors(scores):
    def error(means):
        return means.std() / len(means) ** 0.5

    return error(scores.mean(dim=0)), error(scores.mean(dim=1))


ERRORS = Exercise(
    id="10.3",
    title="two standard errors",
    minutes=7,
    difficulty=2,
    stub="""
    def my_errors(scores):
        # scores: (pairs, realisations). Two standard errors of the mean of them all: how it would
        # vary with other realisations of the same pairs; and with other pairs.
        return TODO
    """,
    reference=label_shift.errors,
    cases=scored,
    wrong=(
        Wrong(
            lambda s: (
                s.mean(1).std() / math.sqrt(len(s)),
                s.mean(0).std() / math.sqrt(s.shape[1]),
            ),
            "the two are exchanged: realisations first, pairs second.",
        ),
        Wrong(
            lambda s: (s.mean(0).std(), s.mean(1).std()),
            "these are standard deviations; that of a mean of n is smaller by the root of n.",
        ),
        Wrong(
            lambda s: (s.std() / math.sqrt(s.numel()),) * 2,
            "you took all scores as independent; those of one pair are alike, so the five pairs "
            "count as five.",
        ),
        Wrong(
            lambda s: (s.std() / math.sqrt(s.shape[1]), s.std() / math.sqrt(len(s))),
            "you took the spread of all scores together for both. For other realisations, first one "
            "mean per realisation; for other pairs, first one mean per pair.",
        ),
        Wrong(
            lambda s: (
                s.mean(0).std(correction=0) / math.sqrt(s.shape[1]),
                s.mean(1).std(correction=0) / math.sqrt(len(s)),
            ),
            "divide by n - 1, not by n: the mean was taken from the same few numbers "
            "(`std` does so by itself).",
        ),
        Wrong(
            lambda s: (
                (s.std(1) / math.sqrt(s.shape[1])).mean(),
                (s.std(0) / math.sqrt(len(s))).mean(),
            ),
            "you averaged the errors of the parts; average the scores first, then ask how much the "
            "means differ.",
        ),
    ),
    alternative=lambda s: (
        (s.mean(0).var() / s.shape[1]).sqrt(),
        (s.mean(1).var() / s.shape[0]).sqrt(),
    ),
    hints=(
        "For other realisations, take one mean per realisation, over its pairs. How much do these "
        "means differ?",
        "The standard error of a mean of n numbers is their standard deviation over the root of n.",
        "`means = scores.mean(dim=0)`, then `means.std() / len(means) ** 0.5`. Do the same with dim 1.",
    ),
    solution=my_errors,
    why="An error bar answers one question, and here there are two questions. The paper's ±0.4 "
    "answers the question about other masks on the same 250 pictures. A reader wants to know about "
    "other unseen classes, and only five were measured. The common wrong turn is to take all "
    "numbers as independent.",
)


EXERCISES = (RELABEL, STAND_INS, ERRORS)

PREDICTIONS = (
    Prediction(
        "10.A",
        "R sees the twins clean, with a probe on the 100 known classes. What percent does it put "
        "under the stand-in's label?",
        tolerance=8.0,
        digits=0,
    ),
    Prediction(
        "10.B",
        "At 90 % missing, who puts more of the twins under the stand-in's label?",
        options=("the student", "the baseline", "not decided"),
    ),
)
