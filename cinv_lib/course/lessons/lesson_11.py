"""Exercises of lesson 11: ablations."""

import torch
import torch.nn.functional as F

from cinv_lib import losses
from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong
from cinv_lib.evaluation import metrics


def _embeddings(generator: torch.Generator, n: int, d: int) -> torch.Tensor:
    """Rows with a common part and lengths of their own, as a network gives them."""
    common = torch.randn(d, generator=generator, dtype=torch.float64)
    rows = common + torch.randn(n, d, generator=generator, dtype=torch.float64)
    return rows * (1 + torch.rand(n, 1, generator=generator, dtype=torch.float64))


def weighted_cases(generator: torch.Generator) -> list[Case]:
    """Two batches, a temperature, a weight."""
    cases = []
    for n, d, tau, weight in ((4, 8, 0.5, 0.5), (6, 8, 0.1, 0.25), (5, 4, 1.0, 2.0)):
        S, R = _embeddings(generator, n, d), _embeddings(generator, n, d)
        cases.append(Case(f"N = {n}, tau = {tau}, weight = {weight}", (S, R, tau, weight)))
    return cases


def teachers(generator: torch.Generator) -> list[Case]:
    """Teacher embeddings of three sizes."""
    return [
        Case(f"N = {n}, d = {d}", (_embeddings(generator, n, d),))
        for n, d in ((3, 4), (8, 16), (32, 8))
    ]


def labelled(generator: torch.Generator) -> list[Case]:
    """Embeddings and labels; every class has at least two pictures."""
    cases = []
    for n, k in ((6, 2), (12, 3), (30, 5)):
        labels = torch.arange(n) % k
        cases.append(Case(f"{n} pictures, {k} classes", (_embeddings(generator, n, 8), labels)))
    return cases


# -- 11.1 --------------------------------------------------------------------------------------
def my_weighted_loss(S, R, tau, weight):
    pull, push = losses.decompose(S, R, tau)
    return pull + weight * push


def _log_of_weighted(S, R, tau, weight):
    K = losses.similarities(S, R) / tau
    return -K.diagonal().mean() + (weight * K.exp().sum(1)).log().mean()


WEIGHTED = Exercise(
    id="11.1",
    title="a weaker push",
    minutes=4,
    difficulty=1,
    stub="""
    def my_weighted_loss(S, R, tau, weight):
        # The pull in full, the push times `weight`. losses.decompose gives both.
        return TODO
    """,
    reference=lambda S, R, tau, weight: losses.contrastive(S, R, tau, weight=weight),
    cases=weighted_cases,
    wrong=(
        Wrong(
            lambda S, R, tau, weight: weight * losses.contrastive(S, R, tau),
            "you weighted the whole loss: that only scales the step, the minimum stays where it was.",
        ),
        Wrong(
            lambda S, R, tau, weight: (
                weight * losses.alignment(S, R) / tau + losses.uniformity(S, R, tau)
            ),
            "the weight stands at the pull; it belongs to the push.",
        ),
        Wrong(
            lambda S, R, tau, weight: (
                losses.alignment(S, R) + weight * losses.uniformity(S, R, tau)
            ),
            "the pull has lost its 1/tau (Eq. 3).",
        ),
        Wrong(
            _log_of_weighted,
            "the weight stands under the logarithm, where it adds a constant and changes no gradient.",
        ),
    ),
    alternative=lambda S, R, tau, weight: (
        losses.contrastive(S, R, tau) - (1 - weight) * losses.uniformity(S, R, tau)
    ),
    hints=(
        "Eq. 3 is a sum of two terms. Only one of them is to be weighted.",
        "`pull, push = losses.decompose(S, R, tau)`; their sum is Eq. 3.",
        "`pull + weight * push`.",
    ),
    solution=my_weighted_loss,
    why="At weight 0 this is MSE over tau, at weight 1 the paper's loss: the weight moves between "
    "them. The common wrong turn is to weight the whole loss. Adam does not even notice that, as it "
    "divides every gradient by its own size.",
)


# -- 11.2 --------------------------------------------------------------------------------------
def my_centred(R):
    R = F.normalize(R, dim=1)
    return F.normalize(R - R.mean(dim=0), dim=1)


CENTRED = Exercise(
    id="11.2",
    title="a teacher without its common part",
    minutes=5,
    difficulty=2,
    stub="""
    def my_centred(R):
        # Rows of length 1, less their mean, of length 1 again.
        return TODO
    """,
    reference=losses.centred,
    cases=teachers,
    wrong=(
        Wrong(
            lambda R: F.normalize(R, dim=1) - F.normalize(R, dim=1).mean(0),
            "the rows are not of length 1 again; long ones would count for more than short ones.",
        ),
        Wrong(
            lambda R: F.normalize(R - R.mean(0), dim=1),
            "you took the mean of rows as the network gave them; long rows then decide it. Normalise "
            "first.",
        ),
        Wrong(
            lambda R: F.normalize(
                F.normalize(R, dim=1) - F.normalize(R, dim=1).mean(1, keepdim=True), dim=1
            ),
            "you took out each row's own mean over its dimensions (dim 1); what all pictures share "
            "is the mean over pictures (dim 0).",
        ),
        Wrong(
            lambda R: F.normalize(R, dim=1),
            "these are unit rows, but what they share is still in them: subtract the mean row.",
        ),
    ),
    alternative=lambda R: F.normalize(
        len(R) * F.normalize(R, dim=1) - F.normalize(R, dim=1).sum(0), dim=1
    ),
    hints=(
        "Three steps: make the rows unit vectors, subtract what they share, make them unit again.",
        "What they share is the mean over the batch: `R.mean(dim=0)`, one row.",
        "`R = F.normalize(R, dim=1)`, then `F.normalize(R - R.mean(dim=0), dim=1)`.",
    ),
    solution=my_centred,
    why="The contrastive loss does not change when every R_j is moved by one vector (lesson 04), so "
    "subtracting the mean alone would do nothing to the push; it is the normalising afterwards that "
    "spreads the rows. The common wrong turn is to normalise only once.",
)


# -- 11.3 --------------------------------------------------------------------------------------
def my_within(S, labels):
    S = F.normalize(S, dim=1)
    same = labels[:, None] == labels
    same.fill_diagonal_(False)
    return (S @ S.T)[same].mean()


def _within(S, labels):
    same = labels[:, None] == labels
    return metrics.geometry(S, S, same)["within"]


WITHIN = Exercise(
    id="11.3",
    title="how near are two pictures of one class",
    minutes=6,
    difficulty=2,
    stub="""
    def my_within(S, labels):
        # The mean cosine over all pairs of different pictures that share a label.
        return TODO
    """,
    reference=_within,
    cases=labelled,
    wrong=(
        Wrong(
            lambda S, labels: (F.normalize(S, dim=1) @ F.normalize(S, dim=1).T)[
                labels[:, None] == labels
            ].mean(),
            "each picture is paired with itself too; those cosines are 1 and raise the mean.",
        ),
        Wrong(
            lambda S, labels: (S @ S.T)[
                (labels[:, None] == labels) & ~torch.eye(len(S), dtype=torch.bool)
            ].mean(),
            "the rows are not normalised, so these are inner products and not cosines.",
        ),
        Wrong(
            lambda S, labels: (F.normalize(S, dim=1) @ F.normalize(S, dim=1).T)[
                labels[:, None] != labels
            ].mean(),
            "these are the pairs of different classes.",
        ),
        Wrong(
            lambda S, labels: (F.normalize(S, dim=1) @ F.normalize(S, dim=1).T)[
                ~torch.eye(len(S), dtype=torch.bool)
            ].mean(),
            "all pairs are in it, whatever their classes.",
        ),
    ),
    alternative=lambda S, labels: (
        sum(
            F.cosine_similarity(S[i], S[j], dim=0)
            for i in range(len(S))
            for j in range(len(S))
            if i != j and labels[i] == labels[j]
        )
        / sum(int((labels == k).sum()) * (int((labels == k).sum()) - 1) for k in labels.unique())
    ),
    hints=(
        "First the matrix of all cosines between the rows of S.",
        "`labels[:, None] == labels` is True where two pictures share a label. Also on the diagonal.",
        "Make a mask, set its diagonal to False, and take the mean of the cosines under it.",
    ),
    solution=my_within,
    why="A loss that tells *pictures* apart pushes two pictures of one class apart as well; this "
    "number shows how far. The common wrong turn is to leave the diagonal in.",
)

EXERCISES = (WEIGHTED, CENTRED, WITHIN)

PREDICTIONS = (
    Prediction(
        "11.A",
        "Which loss gives the student whose embeddings are nearest to R(x) (the largest cosine)?",
        options=("st", "ss", "sb", "nt", "mse"),
    ),
    Prediction(
        "11.B",
        "In Figure 6 MSE is 4.5 points below ST at 90 % missing. Here, by how many points does ST "
        "lead? (Negative: MSE leads.)",
        tolerance=2.0,
        digits=0,
    ),
)
