"""Exercises of lesson 02: the loss, taken apart."""

import math

import torch
import torch.nn.functional as F

from cinv_lib import losses
from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong

TAU = 0.1


def pairs(generator: torch.Generator) -> list[Case]:
    """Embeddings of several sizes; their rows are not unit vectors, as networks' never are."""
    cases = []
    for n, d in ((2, 3), (5, 8), (16, 32)):
        S, R = (3 * torch.randn(n, d, generator=generator, dtype=torch.float64) for _ in "SR")
        cases.append(Case(f"N = {n}, d = {d}", (S, R)))
    return cases


def pairs_and_tau(generator: torch.Generator) -> list[Case]:
    """The same with a temperature each."""
    taus = (0.1, 0.5, 2.0)
    return [
        Case(f"{case.label}, tau = {tau}", (*case.args, tau))
        for case, tau in zip(pairs(generator), taus, strict=True)
    ]


# -- 2.0 ---------------------------------------------------------------------------------------
ROW, WARM = (0.8, 0.1, 0.6), 0.1  # cosines of one picture to three captions, and tau


def shares(tau: float = WARM) -> list[float]:
    """The row as CLIP's shares: exponentials of K / tau, divided by their sum."""
    return torch.softmax(torch.tensor(ROW) / tau, dim=0).tolist()


BY_HAND = Exercise(
    id="2.0",
    title="one row by hand",
    minutes=5,
    difficulty=1,
    stub="""
    my_row = [TODO, TODO, TODO]  # the shares of the three captions, to two decimals
    """,
    reference=shares,
    cases=lambda generator: [Case("cosines 0.8, 0.1, 0.6 at tau = 0.1")],
    wrong=(
        Wrong(
            lambda: [round(share, 2) for share in shares(tau=1.0)],
            "tau is missing: divide each cosine by 0.1 before you take the exponential.",
        ),
        Wrong(
            lambda: [round(k / sum(ROW), 2) for k in ROW],
            "you divided the cosines themselves by their sum. First take the exponentials exp(K / "
            "tau).",
        ),
        Wrong(
            lambda: [round(k / WARM / 10, 2) for k in ROW],
            "those are the cosines as they were given: divide by tau, take exp, divide by the sum.",
        ),
        Wrong(
            lambda: [round(math.exp(k / WARM), 2) for k in ROW],
            "those are the exponentials; divide each by the sum of the three, so that the shares "
            "have sum 1.",
        ),
        Wrong(
            lambda: [round(-math.log(share), 2) for share in shares()],
            "those are the losses, -log of each share; the shares themselves are asked for.",
        ),
    ),
    alternative=lambda: [0.88, 0.0, 0.12],
    hints=(
        "Divide the three cosines by tau = 0.1: 8, 1 and 6.",
        "Their exponentials are 2981, 3 and 403. What is the sum of the three?",
        "The sum is 3387, so the first share is 2981 / 3387 = 0.88. The other two shares follow "
        "in the same way.",
    ),
    solution="my_row = [0.88, 0.00, 0.12]  # 2981, 3 and 403, of 3387",
    why="Dividing by tau = 0.1 makes every difference ten times as large: a cosine that is larger by "
    "0.2 gets seven times the share. The common wrong turn is to leave tau out, and then the three shares "
    "are nearly the same.",
    tolerance=0.011,
)


# -- 2.1 ---------------------------------------------------------------------------------------
def my_alignment(S, R):
    S, R = F.normalize(S, dim=1), F.normalize(R, dim=1)
    return -(S * R).sum(dim=1).mean()


ALIGNMENT = Exercise(
    id="2.1",
    title="the pull, Eq. 1",
    minutes=5,
    difficulty=1,
    stub="""
    def my_alignment(S, R):
        # S, R: (N, d). Minus the mean cosine between row i of S and row i of R.
        return TODO
    """,
    reference=losses.alignment,
    cases=pairs,
    wrong=(
        Wrong(
            lambda S, R: -(S * R).sum(1).mean(),
            "the rows are not normalised: Eq. 1 is for unit vectors, and networks do not give them.",
        ),
        Wrong(
            lambda S, R: F.cosine_similarity(S, R).mean(),
            "the sign is wrong: this is a loss, so agreement must make it small.",
        ),
        Wrong(
            lambda S, R: -F.cosine_similarity(S, R).sum(),
            "you took the sum over the batch; Eq. 1 divides by N, so that the size of "
            "a step does not depend on the batch size.",
        ),
        Wrong(
            lambda S, R: (S - R).square().mean(),
            "this is the authors' code, not Eq. 1: the mean squared difference of unnormalised rows "
            "over all N d numbers.",
        ),
        Wrong(
            lambda S, R: (F.normalize(S, dim=1) - F.normalize(R, dim=1)).square().sum(1).mean(),
            "|S - R|² of unit rows is 2 - 2<S, R>: the paper has dropped the constant and the factor.",
        ),
    ),
    alternative=lambda S, R: -F.cosine_similarity(S, R, dim=1).mean(),
    hints=(
        "A cosine is the inner product of two vectors of length 1. First make each row a vector of "
        "length 1.",
        "`F.normalize(S, dim=1)` makes rows of length 1; `(S * R).sum(dim=1)` is one inner product "
        "per row.",
        "Then take the mean over the rows, and put a minus before it.",
    ),
    solution=my_alignment,
    why="The loss sees directions only: the length of an embedding never matters to it. The common "
    "wrong turn is to leave the rows as they are. The loss can then be lowered for ever by making S "
    "longer, and the probe of lesson 06 would see embeddings of any length.",
)


# -- 2.2 ---------------------------------------------------------------------------------------
def my_uniformity(S, R, tau):
    K = F.normalize(S, dim=1) @ F.normalize(R, dim=1).T
    return torch.logsumexp(K / tau, dim=1).mean()


def _cosines(S, R):
    return F.normalize(S, dim=1) @ F.normalize(R, dim=1).T


UNIFORMITY = Exercise(
    id="2.2",
    title="the push, Eq. 4",
    minutes=8,
    difficulty=2,
    stub="""
    def my_uniformity(S, R, tau):
        # K[i, j]: the cosine of student i and teacher j. Every j counts, j = i as well.
        return TODO
    """,
    reference=losses.uniformity,
    cases=pairs_and_tau,
    wrong=(
        Wrong(
            lambda S, R, tau: (S @ R.T / tau).logsumexp(1).mean(),
            "the rows are not normalised, so K is not a cosine.",
        ),
        Wrong(
            lambda S, R, tau: (
                ((_cosines(S, R) / tau).masked_fill(torch.eye(len(S)).bool(), -torch.inf))
                .logsumexp(1)
                .mean()
            ),
            "you left j = i out. Eq. 4 keeps it; only with j = i is the sum of pull and push a "
            "cross-entropy.",
        ),
        Wrong(
            lambda S, R, tau: (_cosines(S, R) / tau).exp().mean(1).log().mean(),
            "under the logarithm you took the mean over j; Eq. 4 has the sum, which is N times as large.",
        ),
        Wrong(
            lambda S, R, tau: (_cosines(S, R) / tau).exp().sum().log(),
            "you took one logarithm of the sum over all pairs: that is Wang and Isola's energy, "
            "another loss. Here each row has a logarithm of its own. (Lesson 04 shows why the "
            "difference matters.)",
        ),
        Wrong(
            lambda S, R, tau: (_cosines(S, R) / tau).logsumexp(0).mean(),
            "you summed over the students of each teacher (dim 0); Eq. 4 sums over the teachers of "
            "each student (dim 1).",
        ),
        Wrong(
            lambda S, R, tau: (_cosines(S, R) * tau).logsumexp(1).mean(),
            "you multiplied by tau; Eq. 4 divides by it.",
        ),
        Wrong(
            lambda S, R, tau: (_cosines(S, R) / tau).logsumexp(1).sum(),
            "you summed over the students; Eq. 4 has the mean over them, so divide by N.",
        ),
        Wrong(
            lambda S, R, tau: (F.normalize(S, dim=1) @ R.T / tau).logsumexp(1).mean(),
            "only the students' rows are normalised. K is a cosine when the teachers' rows have "
            "length 1 as well.",
        ),
        Wrong(
            lambda S, R, tau: (S @ F.normalize(R, dim=1).T / tau).logsumexp(1).mean(),
            "only the teachers' rows are normalised. K is a cosine when the students' rows have "
            "length 1 as well.",
        ),
    ),
    alternative=lambda S, R, tau: (
        sum(torch.log(torch.exp(row / tau).sum()) for row in _cosines(S, R)) / len(S)
    ),
    hints=(
        "First compute the whole (N, N) matrix K of cosines: it is one matrix product of normalised rows.",
        "For each row of `K / tau`, take the logarithm of the sum of the exponentials. Then take the "
        "mean over the rows.",
        "`torch.logsumexp(K / tau, dim=1)` does log, sum and exp in one, and does not overflow.",
    ),
    solution=my_uniformity,
    why="`logsumexp` subtracts the largest entry first, so small tau does not overflow. The common "
    "wrong turn is to leave j = i out, as contrastive losses without a teacher must do (their "
    "K(i, i) is always 1). Here K(i, i) is the student's own match, and with it pull plus push is "
    "a cross-entropy.",
)


# -- 2.3 ---------------------------------------------------------------------------------------
def my_contrastive(S, R, tau):
    logits = F.normalize(S, dim=1) @ F.normalize(R, dim=1).T / tau
    return F.cross_entropy(logits, torch.arange(len(S)))


CONTRASTIVE = Exercise(
    id="2.3",
    title="the whole loss as a classification, Eq. 2",
    minutes=6,
    difficulty=2,
    stub="""
    def my_contrastive(S, R, tau):
        # One call of F.cross_entropy: which logits, which labels?
        return TODO
    """,
    reference=losses.contrastive,
    cases=pairs_and_tau,
    wrong=(
        Wrong(
            lambda S, R, tau: F.cross_entropy(_cosines(S, R), torch.arange(len(S))),
            "tau is missing: the logits are the cosines divided by tau.",
        ),
        Wrong(
            lambda S, R, tau: F.cross_entropy(_cosines(S, R).T / tau, torch.arange(len(S))),
            "rows and columns are exchanged: you ask each teacher for its student.",
        ),
        Wrong(
            lambda S, R, tau: (
                (
                    F.cross_entropy(_cosines(S, R) / tau, torch.arange(len(S)))
                    + F.cross_entropy(_cosines(S, R).T / tau, torch.arange(len(S)))
                )
                / 2
            ),
            "that is CLIP's symmetric loss, the mean of both directions. Eq. 2 has one direction "
            "only: each student chooses its teacher.",
        ),
        Wrong(
            lambda S, R, tau: F.cross_entropy(
                _cosines(S, R) / tau, torch.zeros(len(S), dtype=torch.int64)
            ),
            "the labels are wrong: the right teacher of student i is teacher i, so they are 0, 1, "
            "..., N - 1.",
        ),
    ),
    alternative=lambda S, R, tau: -(_cosines(S, R) / tau).log_softmax(1).diagonal().mean(),
    hints=(
        "Eq. 2 is minus the mean log-probability of the right class among N. What are the classes here?",
        "The classes are the N teachers' rows; the logits of student i are K(i, j)/tau.",
        "`F.cross_entropy(K / tau, torch.arange(N))`.",
    ),
    solution=my_contrastive,
    why="Each student picks its teacher among the N of the batch: no class label is used, since the "
    "batch itself makes the task. The common wrong turn is CLIP's own symmetric loss, in which image and "
    "text have equal roles. Here the teacher is frozen, and only the student chooses.",
)


# -- 2.4 ---------------------------------------------------------------------------------------
def my_nt_push(S, R, tau):
    Z = F.normalize(torch.cat([S, R]), dim=1)
    logits = (Z @ Z.T / tau).fill_diagonal_(-torch.inf)
    return logits.logsumexp(dim=1).mean()


def _all_rows(S, R, tau, self_too=False):
    Z = F.normalize(torch.cat([S, R]), dim=1)
    logits = Z @ Z.T / tau
    return (logits if self_too else logits.fill_diagonal_(-torch.inf)).logsumexp(dim=1)


NT = Exercise(
    id="2.4",
    title="NT-Xent's push, and the appendix's slip",
    minutes=10,
    difficulty=3,
    stub="""
    def my_nt_push(S, R, tau):
        # All 2N rows, S and R alike: each is pushed from the 2N - 1 others. The mean over rows.
        return TODO
    """,
    reference=lambda S, R, tau: losses.uniformity(S, R, tau, "nt"),
    cases=pairs_and_tau,
    wrong=(
        Wrong(
            lambda S, R, tau: _all_rows(S, R, tau).sum() / len(S),
            "you divided the sum over 2N rows by N, as Appendix C prints it. SimCLR's loss is the "
            "mean over all 2N rows; with 1/N the push is twice as strong as it should be, compared "
            "with the pull.",
        ),
        Wrong(
            lambda S, R, tau: _all_rows(S, R, tau, self_too=True).mean(),
            "a row is pushed from itself: its cosine with itself, 1, stands under the logarithm.",
        ),
        Wrong(
            lambda S, R, tau: _all_rows(S, R, tau)[: len(S)].mean(),
            "you have only the students' rows: that is the variant 'student against both'.",
        ),
        Wrong(
            lambda S, R, tau: losses.uniformity(S, R, tau),
            "you push students from teachers only: that is Eq. 4 again.",
        ),
    ),
    alternative=lambda S, R, tau: (
        (losses.uniformity(S, R, tau, "sb") + losses.uniformity(R, S, tau, "sb")) / 2
    ),
    hints=(
        "Put S above R: `torch.cat([S, R])` has 2N rows. Normalise them.",
        "Divide their (2N, 2N) cosines by tau. The diagonal is each row with itself and must not count.",
        "Set the diagonal to -inf, take `logsumexp` over each row, and then the mean over the 2N rows.",
    ),
    solution=my_nt_push,
    why="With the mean over 2N rows, alignment / tau plus this push is SimCLR's loss. The appendix "
    "divides by N and so counts the push twice; the authors' code does not do so. The common "
    "wrong turn is to set the diagonal to 0 instead of -inf: exp(0) = 1 is still in the sum.",
)

EXERCISES = (BY_HAND, ALIGNMENT, UNIFORMITY, CONTRASTIVE, NT)

PREDICTIONS = (
    Prediction(
        "2.A",
        "The embeddings of a student are random. The student has to find its own teacher among N "
        "= 64, at tau = 1, in many dimensions. What is its loss, to one decimal?",
        tolerance=0.1,
        digits=1,
    ),
    Prediction(
        "2.B",
        "Can a student trained by MSE alone (Eq. 1) make its loss small by mapping every picture "
        "to the same point?",
        options=("yes", "no"),
    ),
)
