"""Exercises of lesson 11: ablations."""

import re
from functools import cache

import pandas as pd
import torch
import torch.nn.functional as F

from cinv_lib import losses
from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong
from cinv_lib.evaluation import metrics
from cinv_lib.evaluation.sentence import lead, sentence
from cinv_lib.experiments import ablation
from cinv_lib.lab.lab import Lab
from cinv_lib.paper import replication


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
            "you weighted the whole loss. That only scales the step: the minimum stays where it "
            "was.",
        ),
        Wrong(
            lambda S, R, tau, weight: (
                weight * losses.alignment(S, R) / tau + losses.uniformity(S, R, tau)
            ),
            "you multiplied the pull by the weight: multiply the push.",
        ),
        Wrong(
            lambda S, R, tau, weight: (
                losses.alignment(S, R) + weight * losses.uniformity(S, R, tau)
            ),
            "the pull lacks its factor 1/tau (Eq. 3).",
        ),
        Wrong(
            _log_of_weighted,
            "the weight is inside the logarithm. There it adds a constant and changes no gradient.",
        ),
    ),
    alternative=lambda S, R, tau, weight: (
        losses.contrastive(S, R, tau) - (1 - weight) * losses.uniformity(S, R, tau)
    ),
    hints=(
        "Eq. 3 is a sum of two terms. Only one of them is to be weighted.",
        "`pull, push = losses.decompose(S, R, tau)`; their sum is Eq. 3.",
        "Return `pull + weight * push`.",
    ),
    solution=my_weighted_loss,
    why="At weight 0 this is MSE over tau, and at weight 1 it is the paper's loss. The weight moves "
    "between these two. The common wrong turn is to weight the whole loss. Adam does not even "
    "notice that weight, because it divides every gradient by the gradient's own size.",
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
            "your rows do not have length 1 again: long rows would count for more than short rows.",
        ),
        Wrong(
            lambda R: F.normalize(R - R.mean(0), dim=1),
            "you took the mean of rows as the network gave them. Then long rows decide the mean: "
            "normalise first.",
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
            "your rows have length 1, but their common part is still in them: subtract the mean "
            "row.",
        ),
    ),
    alternative=lambda R: F.normalize(
        len(R) * F.normalize(R, dim=1) - F.normalize(R, dim=1).sum(0), dim=1
    ),
    hints=(
        "There are three steps: make the rows unit vectors, subtract what they share, and make "
        "them unit vectors again.",
        "What they share is the mean over the batch: `R.mean(dim=0)`, one row.",
        "First set `R = F.normalize(R, dim=1)`, then return `F.normalize(R - R.mean(dim=0), "
        "dim=1)`.",
    ),
    solution=my_centred,
    why="The contrastive loss does not change when every R_j is moved by the same vector (lesson "
    "04), so subtracting the mean alone would do nothing to the push. The normalising afterwards "
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
            "you averaged over all pairs, whatever their classes: take the pairs of one class "
            "only.",
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
        "First compute the matrix of all cosines between the rows of S.",
        "`labels[:, None] == labels` is True where two pictures share a label. It is also True on the "
        "diagonal.",
        "Make a mask of these values, set its diagonal to False, and take the mean of the "
        "cosines where the mask is True.",
    ),
    solution=my_within,
    why="A loss that tells *pictures* apart also pushes apart two pictures of one class. This number "
    "shows how far. The common wrong turn is to leave the diagonal in.",
)


# -- 11.4 --------------------------------------------------------------------------------------
@cache
def _unsaid() -> pd.DataFrame:
    lab, seeds = replication.recorded(Lab("stickers", recorded=True))
    tables = [
        lab.table("ablation", seeds=seeds, loss=loss) for loss in lab.profile["ablation"].losses
    ]
    scores, parts = pd.concat(tables), []
    for severity in lab.profile["ablation"].severities:
        rows = ablation.against(scores, severity).dropna()
        parts.append(
            rows.set_axis([f"{name} at {100 * severity:g} % missing" for name in rows.index])
        )
    rows = pd.concat(parts).assign(trainings=len(seeds))
    clear = rows.difference / rows.half_width
    tempting = rows[rows.verdict == "not decided"].difference.abs().idxmax()
    chosen = rows.loc[list(dict.fromkeys([clear.idxmax(), tempting, clear.idxmin()]))]
    return chosen.sort_values("difference", ascending=False)


def unsaid() -> pd.DataFrame:
    """Three rows of the recorded ablation against ST, for a figure that says nothing yet: the
    clearest lead, the clearest loss, and the largest difference that is not decided.

    Indexed by what is compared: difference, half_width, verdict, loss, trainings.
    """
    return _unsaid().copy()


def _said(verb=None, number=True, interval=True) -> dict[str, str]:
    """A sentence for each row. verb: from (difference, half-width) to another one than is right."""
    found = {}
    for key, (name, row) in zip("abc", unsaid().iterrows(), strict=False):
        text = sentence(lead(name, "ST", row.difference, row.half_width, row.trainings))
        if verb is not None:
            text = f"{name} {verb(row.difference, row.half_width)} ST by {abs(row.difference):.1f}."
        if not number:
            text = re.sub(r" by [\d.]+ points| \(.*points\)", "", text)
        found[key] = text if interval else re.sub(r" ± [\d.]+", "", text)
    return found


def _always(difference: float, half_width: float) -> str:
    return "leads" if difference > 0 else "trails"


def _level(difference: float, half_width: float) -> str:
    return _always(difference, 0.0) if abs(difference) > half_width else "is as good as"


LEADS = r"\b(leads?|ahead|beats?|better)\b"
TRAILS = r"\b(trails?|behind|worse|below|loses?)\b"
OPEN = r"\b(not (yet )?decided?|undecided|decides? nothing|cannot (tell|decide))\b"
ALIKE = r"\b(equal(ly)?|same|as good as|no difference|level|tie[ds]?)\b"


def _judge_said(got, key, name, difference, half_width) -> str | None:
    text = got[key] if isinstance(got, dict) else None
    if not isinstance(text, str) or len(text.split()) < 4:
        return f"expected a sentence under {key!r}, not {text!r}"
    text = text.replace(name, "it")  # a name may hold words and numbers of its own
    decided = abs(difference) > half_width
    if f"{abs(difference):.1f}" not in text:
        return f"it does not say the difference of {key}, {abs(difference):.1f} points"
    if not decided and f"{half_width:.1f}" not in text:
        return f"{key}: without the interval nobody can see why nothing is decided"
    kinds = {"leads": LEADS, "trails": TRAILS, "open": OPEN, "alike": ALIKE}
    said = {kind for kind, words in kinds.items() if re.search(words, text, re.IGNORECASE)}
    right = ("leads" if difference > 0 else "trails") if decided else "open"
    verb = {"leads": "leads", "trails": "trails", "open": "is not decided"}[right]
    if said != {right}:
        where = "does not touch 0" if decided else "has 0 in it"
        return f"the interval of {key} {where}: the verb to use is {verb!r}, and no other"
    return None


def _sentences(generator: torch.Generator) -> list[Case]:
    return [
        Case(f"sentence {key}", (key, name, float(row.difference), float(row.half_width)))
        for key, (name, row) in zip("abc", unsaid().iterrows(), strict=False)
    ]


SAID = Exercise(
    id="11.4",
    title="a figure without its sentence",
    minutes=15,
    difficulty=2,
    stub="""
    my_sentences = {  # what each row says: who, the verb, whom, and the numbers with one decimal
        "a": TODO,  # the upper row
        "b": TODO,  # the middle row
        "c": TODO,  # the lower row
    }
    """,
    reference=lambda *_: _said(),
    cases=_sentences,
    judge=_judge_said,
    wrong=(
        Wrong(
            lambda: _said(verb=_always),
            "you took the verb from the dot alone. Where the interval has 0 in it, further "
            "trainings may change the sign of the difference, however large it looks: the row is "
            "not decided.",
        ),
        Wrong(
            lambda: _said(verb=_level),
            '"not decided" does not mean that the losses are equally good. By its interval the '
            "difference may be 0, but it may also be twice as large as measured.",
        ),
        Wrong(
            lambda: _said(verb=lambda difference, half_width: _always(-difference, 0.0)),
            "you exchanged the signs. The axis is the loss minus ST: right of 0 the loss leads.",
        ),
        Wrong(
            lambda: _said(number=False),
            "the verbs are right, but a verb without its number cannot be checked by anybody.",
        ),
        Wrong(
            lambda: _said(interval=False),
            "you left out the interval of a row that is not decided, so the row looks as if "
            "nobody had measured it. Give both numbers.",
        ),
    ),
    alternative=lambda: {
        key: f"{name}: {abs(row.difference):.1f} ± {row.half_width:.1f} points "
        + (
            "not decided"
            if abs(row.difference) <= row.half_width
            else f"{'ahead of' if row.difference > 0 else 'behind'} ST"
        )
        for key, (name, row) in zip("abc", unsaid().iterrows(), strict=False)
    },
    hints=(
        "First look at the interval, not at the dot: is 0 in it?",
        "Right of 0 the loss leads, left of 0 it trails. If 0 is in the interval, the row is not "
        "decided.",
        'Write as in "NT-Xent leads ST by 2.4 points", or in "three trainings do not decide between '
        'SB and ST (-0.4 ± 4.7 points)".',
    ),
    solution="""
    from cinv_lib.evaluation.sentence import lead, sentence

    my_sentences = {  # the library makes them from the numbers, so that they cannot say too much
        key: sentence(lead(name, "ST", row.difference, row.half_width, row.trainings))
        for key, (name, row) in zip("abc", unsaid().iterrows())
    }
    """,
    why="The verb follows from the interval and from nothing else. The common wrong turn is to read "
    "the dot. The dot of the middle row may be further from 0 than the dot of the lower row, and "
    "the middle row may still be undecided, because its trainings disagree.",
)

EXERCISES = (WEIGHTED, CENTRED, WITHIN, SAID)

PREDICTIONS = (
    Prediction(
        "11.A",
        "Which loss gives the student whose embeddings are nearest to R(x) (the largest cosine)?",
        options=("st", "ss", "sb", "nt", "mse"),
    ),
    Prediction(
        "11.B",
        "In Figure 6 MSE is 4.6 points below ST at 90 % missing. Here, by how many points does ST "
        "lead? (Negative: MSE leads.)",
        tolerance=2.0,
        digits=0,
    ),
)
