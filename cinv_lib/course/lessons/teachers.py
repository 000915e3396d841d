"""Exercises of lesson 14 on a teacher that learns along; `lesson_14` lists them with its others."""

import math

import torch
import torch.nn.functional as F

from cinv_lib import losses
from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong
from cinv_lib.training import tuned_teacher


def batches(generator: torch.Generator) -> list[Case]:
    """Embeddings as a network gives them, with lengths of their own, and a temperature."""
    cases = []
    for n, d, tau in ((4, 8, 0.5), (16, 8, 0.1), (64, 16, 1.0)):
        common = torch.randn(d, generator=generator, dtype=torch.float64)
        R = common + torch.randn(n, d, generator=generator, dtype=torch.float64)
        R = R * (1 + torch.rand(n, 1, generator=generator, dtype=torch.float64))
        cases.append(Case(f"N = {n}, tau = {tau}", (R, tau)))
    return cases


def turned_pairs(generator: torch.Generator) -> list[Case]:
    """Embeddings, and the same ones turned, with a little noise."""
    cases = []
    for n, d in ((20, 3), (50, 8), (200, 16)):
        R = torch.randn(n, d, generator=generator, dtype=torch.float64)
        Q, _ = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))
        noise = torch.randn(n, d, generator=generator, dtype=torch.float64)
        T = F.normalize(R, dim=1) @ Q + 0.1 * noise
        cases.append(Case(f"{n} pictures, d = {d}", (T, F.normalize(R, dim=1))))
    return cases


# -- 14.3 --------------------------------------------------------------------------------------
def my_cost_of_collapse(R, tau):
    same = R[:1].expand_as(R)
    return losses.contrastive(same, same, tau) - losses.contrastive(R, R, tau)


COLLAPSE = Exercise(
    id="14.3",
    title="what a collapse costs",
    minutes=5,
    difficulty=2,
    stub="""
    def my_cost_of_collapse(R, tau):
        # Eq. 3 where student and teacher give every picture one and the same embedding,
        # less Eq. 3 where both give R. losses.contrastive is Eq. 3.
        return TODO
    """,
    reference=lambda R, tau: math.log(len(R)) - losses.contrastive(R, R, tau),
    cases=batches,
    wrong=(
        Wrong(
            lambda R, tau: losses.contrastive(R, R, tau) - math.log(len(R)),
            "the sign is the wrong way round: the cost is Eq. 3 at the collapse minus Eq. 3 at R.",
        ),
        Wrong(
            lambda R, tau: -1 / tau - losses.contrastive(R, R, tau),
            "at the collapse you counted the pull alone. The push is at its largest there: N equal "
            "terms under the logarithm.",
        ),
        Wrong(
            lambda R, tau: math.log(len(R) - 1) - losses.contrastive(R, R, tau),
            "the sum under the logarithm of Eq. 4 includes j = i: it has N terms, not N - 1.",
        ),
        Wrong(
            lambda R, tau: torch.zeros((), dtype=R.dtype),
            "that is right for MSE, under which a collapse costs nothing. Eq. 3 has a push as "
            "well.",
        ),
    ),
    alternative=lambda R, tau: (
        math.log(len(R)) + 1 / tau - (losses.similarities(R, R) / tau).logsumexp(1).mean()
    ),
    hints=(
        "Make the collapsed embeddings: N equal rows, the same for student and teacher.",
        "`same = R[:1].expand_as(R)`; then compute Eq. 3 twice, of (same, same) and of (R, R).",
        "`losses.contrastive(same, same, tau) - losses.contrastive(R, R, tau)`.",
    ),
    solution=my_cost_of_collapse,
    why="At a collapse Eq. 3 is log N, whatever tau is: it is the loss of a guess among N "
    "pictures. R itself costs less, since each K(i, j) is below K(i, i) = 1. Lesson 11 found that "
    "the push is of little use to a student of a frozen teacher. Here the push is what keeps a "
    "teacher that may move from collapsing. The common wrong turn is to forget the push at a "
    "collapse, where all embeddings are equal and the push is largest.",
)


# -- 14.4 --------------------------------------------------------------------------------------
def my_turn(T, R):
    U, _, Vh = torch.linalg.svd(T.T @ R)
    return U @ Vh


def _polar(T, R):
    M = T.T @ R
    squared, V = torch.linalg.eigh(M.T @ M)
    return M @ V @ torch.diag(squared.rsqrt()) @ V.T


TURN = Exercise(
    id="14.4",
    title="turning a teacher back",
    minutes=8,
    difficulty=3,
    stub="""
    def my_turn(T, R):
        # The orthogonal matrix Q (Q.T @ Q is the identity) for which the sum over pictures of
        # <T_i @ Q, R_i> is largest. With U, _, Vh = torch.linalg.svd(M) of the right M.
        return TODO
    """,
    reference=tuned_teacher.turn,
    cases=turned_pairs,
    wrong=(
        Wrong(
            lambda T, R: tuned_teacher.turn(R, T),
            "this turns R to T: it is the transpose of the matrix that was asked for.",
        ),
        Wrong(
            lambda T, R: torch.linalg.lstsq(T, R).solution,
            "least squares may stretch and squeeze as well; Q has to be orthogonal.",
        ),
        Wrong(
            lambda T, R: T.T @ R,
            "that is M itself. Its singular values stretch; U @ Vh is M without them.",
        ),
        Wrong(
            lambda T, R: (lambda U, _, Vh: U @ Vh.T)(*torch.linalg.svd(T.T @ R)),
            "`torch.linalg.svd` gives V already transposed (Vh), and you transposed it again.",
        ),
        Wrong(
            lambda T, R: tuned_teacher.turn(F.normalize(T, dim=1), F.normalize(R, dim=1)),
            "you normalised the rows first. The sum is over <T_i @ Q, R_i> as the rows are, and a "
            "longer row counts for more.",
        ),
    ),
    alternative=_polar,
    hints=(
        "The sum is the trace of (T @ Q).T @ R, which is the trace of Q.T @ (T.T @ R).",
        "So M = T.T @ R. With M = U Σ V^T, the trace of Q.T U Σ V^T is largest where V^T Q.T U is "
        "the identity.",
        "`U, _, Vh = torch.linalg.svd(T.T @ R)`, and Q is `U @ Vh`.",
    ),
    solution=my_turn,
    why="This is the orthogonal Procrustes problem (Schönemann 1966). The loss is the same for "
    "(S, T) and (S Q, T Q), so nothing in it holds a tuned teacher to the axes on which the words "
    "lie. What a turn can bring back was never lost; what a turn cannot bring back was lost. The "
    "common wrong turn is least squares, which also undoes a stretching that the loss *does* see.",
)

EXERCISES = (COLLAPSE, TURN)

PREDICTIONS = (
    Prediction(
        "14.C",
        "A teacher is tuned along with its student, without an anchor. How many percent of the "
        "clean validation pictures does it then recognise in words?",
        tolerance=5.0,
        digits=0,
    ),
    Prediction(
        "14.D",
        "The push counts 3/4. Is the student's cosine to R(x) nearer to that of weight 1, to that of "
        "weight 1/2, or half-way?",
        options=("weight 1", "half-way", "weight 1/2"),
    ),
)
