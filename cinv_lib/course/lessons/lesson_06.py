"""Exercises of lesson 06: what a probe scores, which labels it gets, and how sure that is."""

import math

import pandas as pd
import torch
import torch.nn.functional as F

from cinv_lib import evaluation
from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong
from cinv_lib.data.image_set import ImageSet
from cinv_lib.evaluation import metrics
from cinv_lib.evaluation.probe import Probe
from cinv_lib.experiments.known_operator import METHODS


# -- 6.1 ---------------------------------------------------------------------------------------
def guesses(generator: torch.Generator) -> list[Case]:
    """Logits that are better than chance, several numbers of classes and of guesses."""
    cases = []
    for n, classes, k in ((8, 5, 1), (40, 10, 3), (200, 100, 5)):
        labels = torch.randint(classes, (n,), generator=generator)
        logits = torch.randn(n, classes, generator=generator) + F.one_hot(labels, classes)
        cases.append(Case(f"{n} pictures, {classes} classes, k = {k}", (logits, labels, k)))
    return cases


def my_top_k(logits, labels, k):
    best = logits.topk(k, dim=1).indices
    hit = (best == labels[:, None]).any(dim=1)
    return 100 * hit.float().mean().item()


def _rank(logits, labels):
    """How many logits of the row are larger than that of the label."""
    return (logits > logits.gather(1, labels[:, None])).sum(dim=1)


TOP_K = Exercise(
    id="6.1",
    title="top-k accuracy",
    minutes=5,
    difficulty=1,
    stub="""
    def my_top_k(logits, labels, k):
        # logits: (N, K), labels: (N,). Percent of rows whose label is among the k largest logits.
        return TODO
    """,
    reference=metrics.top_k,
    cases=guesses,
    wrong=(
        Wrong(
            lambda logits, labels, k: (_rank(logits, labels) < k).double().mean(),
            "this is a share, from 0 to 1; the tables are in percent.",
        ),
        Wrong(
            lambda logits, labels, k: 100 * (logits.argmax(1) == labels).double().mean(),
            "you do not use k: only the largest logit counts, so this is top-1.",
        ),
        Wrong(
            lambda logits, labels, k: (
                100 * (logits.argsort(1)[:, :k] == labels[:, None]).any(1).double().mean()
            ),
            "`argsort` begins with the smallest logit, so these are the k worst guesses. Give it "
            "`descending=True`, or take `topk`, which begins with the largest.",
        ),
        Wrong(
            lambda logits, labels, k: (
                100 * (logits.topk(k).indices == labels[:, None]).double().mean()
            ),
            "you took the mean over all N k guesses. At most one of the k guesses of a row can be "
            "right, so this is k times too small. Take `any` over each row first, then the mean over "
            "the rows.",
        ),
        Wrong(
            lambda logits, labels, k: 100 * (_rank(logits, labels) <= k).double().mean(),
            "you allow one place too many: with k logits above it, the label stands at place k + 1.",
        ),
    ),
    alternative=lambda logits, labels, k: 100 * (_rank(logits, labels) < k).double().mean(),
    hints=(
        "`logits.topk(k, dim=1).indices`, of shape (N, k), gives for each row the k classes with the "
        "largest logits. No softmax is needed, because it keeps the order.",
        "Compare these classes with the label of the row: `labels[:, None]` has the shape (N, 1), so "
        "it is compared with all k.",
        "`.any(dim=1)` says whether one of the k guesses is right. Then take the mean over the rows, "
        "times 100.",
    ),
    solution=my_top_k,
    why="A row counts once, whichever of its k guesses is right. So top-k can only grow with k, and "
    "chance is k in K. The common wrong turn is the mean over the whole (N, k) comparison: it looks "
    "like an accuracy, but it is right for k = 1 only.",
)


# -- 6.2 ---------------------------------------------------------------------------------------
def labelled(generator: torch.Generator) -> list[Case]:
    """Sets with common and rare classes, a share, and the pictures in a random order."""
    cases = []
    for sizes, fraction in (((20, 7, 3), 0.1), ((40, 12, 25, 6), 0.25), ((9, 2, 5, 14, 1), 0.5)):
        labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
        labels = labels[torch.randperm(len(labels), generator=generator)]
        order = torch.randperm(len(labels), generator=generator)
        words = f"classes of {', '.join(map(str, sizes))}; {100 * fraction:g} %"
        cases.append(Case(words, (labels, fraction, order)))
    return cases


def my_share(labels, fraction, order):
    chosen = []
    for c in labels.unique():
        rows = order[labels[order] == c]
        chosen.append(rows[: math.ceil(fraction * len(rows))])
    return torch.cat(chosen).sort().values


def _first(labels, order, counts):
    """In each class, so many of the pictures that come first in `order`; sorted."""
    rows = [order[labels[order] == c] for c in range(len(counts))]
    return torch.cat([r[: int(n)] for r, n in zip(rows, counts, strict=True)]).sort().values


def _wanted(labels, fraction):
    """How many pictures of each class the library chooses."""
    k = int(labels.max()) + 1
    names = tuple(map(str, range(k)))
    no_pictures = torch.zeros(len(labels), 3, 1, 1, dtype=torch.uint8)
    chosen = ImageSet(no_pictures, labels, names, "exercise", "drawn").fraction(fraction, seed=0)
    return labels[chosen].bincount(minlength=k)


def _share(labels, fraction, order):
    return _first(labels, order, _wanted(labels, fraction))


def _judge_share(got, labels, fraction, order) -> str | None:
    rows = torch.as_tensor(got)
    if rows.dtype == torch.bool:
        return "it gave a mask; expected the numbers of the pictures, as `.nonzero()` finds them"
    if rows.ndim != 1 or rows.is_floating_point() or rows.is_complex():
        return f"it gave {rows.dtype} {tuple(rows.shape)}, expected whole numbers in one row"
    if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(labels):
        return f"pictures {int(rows.min())} to {int(rows.max())}; there are 0 to {len(labels) - 1}"
    if len(rows.unique()) < len(rows):
        return f"{len(rows) - len(rows.unique())} pictures are chosen twice"
    wanted, sizes = _wanted(labels, fraction), labels.bincount()
    counts = labels[rows].bincount(minlength=len(wanted))
    for c, (n, want) in enumerate(zip(counts.tolist(), wanted.tolist(), strict=True)):
        if n != want:
            return f"of class {c}, with {int(sizes[c])} pictures, you chose {n}, expected {want}"
    if not torch.equal(rows.sort().values, _share(labels, fraction, order)):
        return "so many of each class are right, but not those that come first in `order`"
    return None


SHARE = Exercise(
    id="6.2",
    title="a tenth of the labels",
    minutes=8,
    difficulty=2,
    stub="""
    def my_share(labels, fraction, order):
        # labels: (N,). order: the numbers 0 .. N - 1, shuffled: all the chance that there is.
        # From each class the share `fraction` of its pictures, rounded up: those that come first
        # in order. Give their numbers, sorted.
        return TODO
    """,
    reference=_share,
    cases=labelled,
    judge=_judge_share,
    wrong=(
        Wrong(
            lambda labels, fraction, order: (
                order[: math.ceil(fraction * len(labels))].sort().values
            ),
            "you took a share of the whole set. Then chance gives a class more or less than its own "
            "share, and a rare class may get no label at all.",
        ),
        Wrong(
            lambda labels, fraction, order: _first(
                labels, order, (fraction * labels.bincount()).floor()
            ),
            "you rounded down: a tenth of 7 pictures is then none, and the probe never hears of "
            "that class.",
        ),
        Wrong(
            lambda labels, fraction, order: _first(
                labels,
                order,
                (fraction * labels.bincount().double().mean()).ceil().expand(len(labels.unique())),
            ),
            "you took the same number of pictures from every class. That is balanced, but it is not a "
            "share: where classes differ in size, a rare class may lose nothing, and a common one "
            "nearly all of its pictures.",
        ),
        Wrong(
            lambda labels, fraction, order: _first(
                labels, torch.arange(len(labels)), _wanted(labels, fraction)
            ),
            "you do not use `order`: these are the first pictures of each class in the order of the "
            "set. Sets are often sorted (by source, by date), and another seed would change nothing.",
        ),
        Wrong(
            lambda labels, fraction, order: _first(
                labels[order], torch.arange(len(labels)), _wanted(labels, fraction)
            ),
            "these are places in `order`, not numbers of pictures: picture `order[i]` stands at "
            "place i.",
        ),
    ),
    alternative=lambda labels, fraction, order: torch.tensor(
        sorted(
            i
            for at, i in enumerate(order.tolist())
            if (labels[order[:at]] == labels[i]).sum() < fraction * (labels == labels[i]).sum()
        )
    ),
    hints=(
        "Go class by class, `for c in labels.unique()`, and join what you chose by `torch.cat`.",
        "`order[labels[order] == c]` are the numbers of the pictures of class c, in the order of "
        "`order`.",
        "Keep the first `math.ceil(fraction * how_many)` of these. At the end sort the numbers by "
        "`.sort().values`.",
    ),
    solution=my_share,
    why="Every class keeps its share, and no class is lost. Since only `order` is random, the chosen "
    "10 % are among the chosen 50 %, so a curve over fractions compares like with like. The common "
    "wrong turn is a share of the whole set. With many pictures per class this hardly matters; with 20 "
    "it costs whole classes.",
)


# -- 6.3 ---------------------------------------------------------------------------------------
def pictures_and_prompts(generator: torch.Generator) -> list[Case]:
    """Embeddings of any length; the prompts of one class point roughly the same way."""
    cases = []
    for n, classes, templates, d in ((4, 3, 1, 8), (10, 5, 3, 16), (30, 10, 7, 32)):
        names = torch.randn(classes, 1, d, generator=generator)
        prompts = names + 0.7 * torch.randn(classes, templates, d, generator=generator)
        prompts = prompts * (0.5 + 3 * torch.rand(classes, templates, 1, generator=generator))
        pictures = 3 * torch.randn(n, d, generator=generator)
        words = f"{n} pictures, {classes} names in {templates} templates, d = {d}"
        cases.append(Case(words, (pictures, prompts)))
    return cases


def my_zero_shot(pictures, prompts):
    words = (prompts / prompts.norm(dim=2, keepdim=True)).mean(dim=1)
    words = words / words.norm(dim=1, keepdim=True)
    return pictures @ words.T / pictures.norm(dim=1, keepdim=True)


def _unit_words(prompts):
    return F.normalize(F.normalize(prompts, dim=2).mean(1), dim=1)


def _zero_shot(pictures, prompts):
    words = _unit_words(prompts)
    bias = torch.zeros(len(words), dtype=words.dtype, device=words.device)
    return Probe(words, bias, normalise=True)(pictures).detach()


ZERO_SHOT = Exercise(
    id="6.3",
    title="a classifier made of words",
    minutes=8,
    difficulty=2,
    stub="""
    def my_zero_shot(pictures, prompts):
        # pictures: (N, d). prompts: (K, T, d), class name k in template t. Their lengths vary.
        # Scores (N, K): the cosine of each picture and the mean direction of each class's prompts.
        return TODO
    """,
    reference=_zero_shot,
    cases=pictures_and_prompts,
    wrong=(
        Wrong(
            lambda pictures, prompts: (
                F.normalize(pictures, dim=1) @ F.normalize(prompts.mean(1), dim=1).T
            ),
            "you average the prompts as they come, so a long prompt counts for more than a short one. "
            "Make each prompt a unit vector first.",
        ),
        Wrong(
            lambda pictures, prompts: (
                F.normalize(pictures, dim=1) @ F.normalize(prompts, dim=2).mean(1).T
            ),
            "the mean of unit vectors is shorter than 1, and it is very short if the prompts of a "
            "class disagree. Such a class would get scores that are too small. Normalise the mean "
            "once more. (Averaging the cosines over the templates is the same mistake.)",
        ),
        Wrong(
            lambda pictures, prompts: pictures @ _unit_words(prompts).T,
            "you do not normalise the pictures. The ranking within a row is right, but the scores are "
            "no cosines: they cannot be compared between rows, nor divided by a temperature.",
        ),
        Wrong(
            lambda pictures, prompts: (
                torch.einsum(
                    "nd,ktd->nkt", F.normalize(pictures, dim=1), F.normalize(prompts, dim=2)
                )
            ).amax(2),
            "you let each picture choose its best template. CLIP averages the templates, so that the "
            "words do not depend on the picture.",
        ),
        Wrong(
            lambda pictures, prompts: (
                F.normalize(pictures, dim=1)
                @ F.normalize(F.normalize(prompts, dim=2).mean(0), dim=1).T
            ),
            "you averaged over the classes (dim 0); the templates are dim 1.",
        ),
    ),
    alternative=lambda pictures, prompts: F.cosine_similarity(
        pictures[:, None], (prompts / prompts.norm(dim=2, keepdim=True)).sum(1)[None], dim=2
    ),
    hints=(
        "A class needs one vector. It is a row of a linear classifier, and no label has trained it.",
        "Make unit vectors, `prompts / prompts.norm(dim=2, keepdim=True)`. Take their mean over the "
        "templates, and make this mean a unit vector again.",
        "Then return the product of the unit pictures (N, d) and the transposed words (d, K).",
    ),
    solution=my_zero_shot,
    why="The classifier is a probe whose weights are not fitted: they come from R's text tower. "
    "The student answers as R answers, so R's words can be used for the student. The common wrong "
    "turn is not to normalise the mean. With one template this changes nothing. With several "
    "templates, the classes that are hard to put into words lose to the others.",
)


# -- 6.4 ---------------------------------------------------------------------------------------
def draws(generator: torch.Generator) -> list[Case]:
    """Hits on the same pictures under several draws; some pictures are easy and some hopeless."""
    cases = []
    for r, n in ((3, 50), (5, 200), (10, 1000)):
        easy = torch.randn(n, generator=generator, dtype=torch.float64).mul(3).sigmoid()
        right = torch.rand(r, n, generator=generator, dtype=torch.float64) < easy
        cases.append(Case(f"{r} draws, {n} pictures", (right.double(),)))
    return cases


def my_mean_and_error(right):
    scores = 100 * right.mean(dim=1)
    return scores.mean().item(), (scores.std() / len(scores) ** 0.5).item()


def _mean_and_error(right):
    scores = {"model": "", "realisation": range(len(right)), "top1": (100 * right.mean(1)).tolist()}
    row = evaluation.summary(pd.DataFrame(scores)).iloc[0]
    return float(row.top1), float(row.top1_se)


def _scored(right):
    """Percent of each draw."""
    return 100 * right.mean(1)


def _binomial(right, trials):
    """The error of a share of so many independent trials, in percent."""
    p = right.mean()
    return 100 * (p * (1 - p) / trials) ** 0.5


STANDARD_ERROR = Exercise(
    id="6.4",
    title="the error of the paper's tables",
    minutes=6,
    difficulty=2,
    stub="""
    def my_mean_and_error(right):
        # right: (R, N), 1 where draw r of the corruption left picture i recognised, else 0.
        # (mean, standard error of the mean), in percent: another draw of the same pictures.
        return TODO
    """,
    reference=_mean_and_error,
    cases=draws,
    wrong=(
        Wrong(
            lambda right: (
                _scored(right).mean(),
                _scored(right).std(correction=0) / len(right) ** 0.5,
            ),
            "the variance is divided by R; it must be R - 1, since the mean is taken from the same R "
            "scores. (NumPy divides by R unless told `ddof=1`; PyTorch by R - 1.)",
        ),
        Wrong(
            lambda right: (_scored(right).mean(), _scored(right).std()),
            "this is the spread of single scores. The error of the mean of R scores is smaller by a "
            "factor of sqrt(R).",
        ),
        Wrong(
            lambda right: (_scored(right).mean(), _scored(right).std() / len(right)),
            "you divided by R. Variances of independent draws add up, so the error of their mean "
            "falls as 1/sqrt(R).",
        ),
        Wrong(
            lambda right: (
                100 * right.mean(),
                100 * right.mean(0).std() / right.shape[1] ** 0.5,
            ),
            "this is the error over pictures: how the score would change with *other pictures*. "
            "Here the pictures stay and the corruption is drawn again. First compute one score per "
            "draw, then the spread of these scores.",
        ),
        Wrong(
            lambda right: (100 * right.mean(), 100 * right.std() / right.numel() ** 0.5),
            "you treat all R N hits as independent. They are not: a hopeless picture is missed in "
            "every draw. First compute one score per draw, then the spread of these scores.",
        ),
        Wrong(
            lambda right: (100 * right.mean(), _binomial(right, right.shape[1])),
            "sqrt(p (1 - p) / N) is the binomial error of N pictures that are drawn anew, each with "
            "the same chance p. Here the pictures stay and the corruption is drawn again.",
        ),
        Wrong(
            lambda right: (100 * right.mean(), _binomial(right, right.numel())),
            "sqrt(p (1 - p) / RN) is the binomial error of R N independent hits. The hits of one "
            "picture are not independent: a picture is easy or hopeless in every draw.",
        ),
        Wrong(
            lambda right: (right.mean(), right.mean(1).std() / len(right) ** 0.5),
            "this is a share, from 0 to 1; the tables are in percent.",
        ),
    ),
    alternative=lambda right: (
        100 * right.sum() / right.numel(),
        ((_scored(right) - _scored(right).mean()).square().sum() / (len(right) ** 2 - len(right)))
        ** 0.5,
    ),
    hints=(
        "Each draw of the corruption is a row. So first turn each row into one number: its top-1, in "
        "percent.",
        "The spread of these R numbers is their standard deviation, with R - 1 in the denominator; "
        "`Tensor.std()` has that.",
        "The error of their mean is smaller by a factor of sqrt(R): `scores.std() / len(scores) ** 0.5`.",
    ),
    solution=my_mean_and_error,
    why="An error answers the question 'what if something were drawn again?', and here only the "
    "corruption is drawn again. The common wrong turn is the spread over pictures, or over all hits: "
    "that error is larger, and it answers another question. None of these errors says what another "
    "training would change.",
)

EXERCISES = (TOP_K, SHARE, ZERO_SHOT, STANDARD_ERROR)

PREDICTIONS = (
    Prediction(
        "6.A",
        "With 90 % of the pixels missing, who recognises the most pictures?",
        options=tuple(METHODS.values()),
    ),
    Prediction(
        "6.B",
        "How many points does the student lose on these pictures when its probe gets only a tenth of "
        "the labels? In the paper it loses 3.",
        tolerance=5.0,
        digits=1,
    ),
    Prediction(
        "6.C",
        "The student's probe gets one labelled picture per class, and 90 % of the pixels are missing. "
        "What top-1 does it reach, in percent?",
        tolerance=8.0,
        digits=0,
    ),
    Prediction(
        "6.D",
        "One student sees 2,000 pictures thirty times, another sees 60,000 different pictures once. With "
        "90 % of the pixels missing, by how many points of top-1 does the second lead the first, each "
        "with a probe on all labels? (Negative: the second is behind.)",
        tolerance=2.0,
        digits=1,
    ),
)
