"""Exercises of lesson 07: the baseline's step, who knows which pictures, a fair learning rate."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from cinv_lib import operators
from cinv_lib.course.workbook.compare import difference
from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong
from cinv_lib.experiments import baseline_fit
from cinv_lib.paper import results


# -- 7.1 ---------------------------------------------------------------------------------------
class Tower(nn.Module):
    """A linear encoder of pictures (B, 3, 8, 8)."""

    def __init__(self, weight: torch.Tensor):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x):
        return x.flatten(1) @ self.weight.T


def towers_and_heads(generator: torch.Generator) -> list[Case]:
    """A small encoder, a head, an operator, a batch with its labels."""
    cases = []
    for n, text in ((4, "mask:0.5"), (8, "noise:0.5"), (16, "mask:0.9")):
        encoder = Tower(torch.randn(12, 3 * 8 * 8, generator=generator) / 8)
        head = nn.utils.skip_init(nn.Linear, 12, 5)
        with torch.no_grad():
            for parameter in head.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
        x, labels = torch.rand(n, 3, 8, 8, generator=generator), torch.arange(n) % 5
        own = torch.Generator().manual_seed(int(torch.randint(2**31, (), generator=generator)))
        args = (encoder, head, operators.parse(text), x, labels, own)
        cases.append(Case(f"N = {n}, {text}", args))
    return cases


def my_loss(encoder, head, A, x, labels, generator):
    logits = head(encoder(A(x, generator)))
    return F.cross_entropy(logits, labels)


def judge_step(got, encoder, head, A, x, labels, generator):
    """What is wrong with the loss of a batch: its value, or whom its gradient reaches."""
    wrong = difference(got, my_loss(encoder, head, A, x, labels, generator), 1e-4)
    if wrong:
        return wrong
    named = {"encoder": encoder.weight, "head": head.weight}
    if not (isinstance(got, torch.Tensor) and got.requires_grad):
        return "the value is right, but it has no gradient: return the tensor itself"
    found = torch.autograd.grad(got, [*named.values()], retain_graph=True, allow_unused=True)
    for name, gradient in zip(named, found, strict=True):
        if gradient is None:
            return f"the value is right, but no gradient reaches the {name}: end to end, both learn"
    return None


def _frozen(encoder, head, A, x, labels, generator):
    with torch.no_grad():
        embedded = encoder(A(x, generator))
    return F.cross_entropy(head(embedded), labels)


STEP = Exercise(
    id="7.1",
    title="end to end",
    minutes=7,
    difficulty=2,
    stub="""
    def my_loss(encoder, head, A, x, labels, generator):
        # The baseline's loss on a batch x of clean pictures: cross-entropy of the head's logits on
        # the encoder's embeddings. A takes a batch and the generator. Encoder and head both learn.
        return TODO
    """,
    reference=my_loss,
    cases=towers_and_heads,
    judge=judge_step,
    wrong=(
        Wrong(
            _frozen,
            "you froze the encoder, so this is a linear probe. The baseline is trained end to end.",
        ),
        Wrong(
            lambda encoder, head, A, x, labels, generator: F.cross_entropy(
                head(encoder(x)), labels
            ),
            "your encoder sees the clean pictures. The baseline gets what the student gets, A(x).",
        ),
        Wrong(
            lambda encoder, head, A, x, labels, generator: F.cross_entropy(
                head(encoder(A(x, generator))).softmax(1), labels
            ),
            "you take the softmax twice: `F.cross_entropy` takes logits and does the softmax itself.",
        ),
        Wrong(
            lambda encoder, head, A, x, labels, generator: F.cross_entropy(
                head(F.normalize(encoder(A(x, generator)))), labels
            ),
            "you made the embeddings unit vectors: the baseline's head takes them as they are.",
        ),
        Wrong(
            lambda encoder, head, A, x, labels, generator: F.cross_entropy(
                head(encoder(A(x, generator))), labels, reduction="sum"
            ),
            "this is the sum over the batch. Take the mean: with it, a learning rate means the same for "
            "every size of batch.",
        ),
    ),
    alternative=lambda encoder, head, A, x, labels, generator: F.nll_loss(
        head(encoder(A(x, generator))).log_softmax(1), labels
    ),
    hints=(
        "Apply three functions, one after the other, to get from the clean picture to the logits.",
        "`head(encoder(A(x, generator)))` are the logits. The gradient has to pass through head and "
        "encoder.",
        "`F.cross_entropy(logits, labels)` is the mean over the batch.",
    ),
    solution=my_loss,
    why="The whole baseline is one line, without a teacher. Compared with the student's step, "
    "R(x) is missing: the target of a picture is one label, and not an embedding. The common "
    "wrong turn is to freeze the encoder, as one does for a probe: then the encoder never learns "
    "the corruption.",
)


# -- 7.2 ---------------------------------------------------------------------------------------
def counts(generator: torch.Generator) -> list[Case]:
    """In how many draws two models recognise each of some pictures."""
    cases = []
    for n, draws in ((40, 3), (101, 10), (60, 4)):
        difficulty = torch.rand(n, generator=generator)
        a, b = (
            (torch.rand(draws, n, generator=generator) < difficulty**power).sum(0)
            for power in (1.0, 0.5)
        )
        cases.append(Case(f"{n} pictures, {draws} draws", (a, b, draws)))
    return cases


def my_exchange(a, b, draws):
    more = 100 * (b - a) / draws
    return more.clamp(min=0).mean(), (-more).clamp(min=0).mean()


EXCHANGE = Exercise(
    id="7.2",
    title="gained and lost",
    minutes=6,
    difficulty=2,
    stub="""
    def my_exchange(a, b, draws):
        # a, b: (N,), in how many of the draws models a and b recognise each picture. From a to b,
        # in points of top-1: (gained, lost). A picture counts for one of the two, by how much more
        # often b or a recognises it.
        return TODO
    """,
    reference=baseline_fit.exchange,
    cases=counts,
    wrong=(
        Wrong(
            lambda a, b, draws: (
                100 * (b > a).double().mean().item(),
                100 * (a > b).double().mean().item(),
            ),
            "you counted pictures. If b recognises a picture in one draw more than a does, that "
            "is not a whole picture gained. Count it as one draw, divided by the number of draws.",
        ),
        Wrong(
            lambda a, b, draws: baseline_fit.exchange(b, a, draws),
            "you exchanged the two: a gain is what b recognises and a does not.",
        ),
        Wrong(
            lambda a, b, draws: tuple(v / 100 for v in baseline_fit.exchange(a, b, draws)),
            "these are shares, from 0 to 1; top-1 is in percent.",
        ),
        Wrong(
            lambda a, b, draws: tuple(v * draws for v in baseline_fit.exchange(a, b, draws)),
            "you did not divide by the draws: a picture gained in every draw should weigh 1.",
        ),
        Wrong(
            lambda a, b, draws: (
                max(
                    baseline_fit.exchange(a, b, draws)[0] - baseline_fit.exchange(a, b, draws)[1],
                    0.0,
                ),
                max(
                    baseline_fit.exchange(a, b, draws)[1] - baseline_fit.exchange(a, b, draws)[0],
                    0.0,
                ),
            ),
            "you took the mean first and then asked for its sign, so gains and losses have cancelled. "
            "Clamp the difference of each picture first, then take the mean.",
        ),
    ),
    alternative=lambda a, b, draws: tuple(
        100 * (m - n)[m > n].sum().item() / (draws * len(a)) for m, n in ((b, a), (a, b))
    ),
    hints=(
        "Where a picture's difference b - a is positive, it counts as a gain.",
        "`(b - a).clamp(min=0)` is a picture's gain, counted in draws. For the loss take `a - b`.",
        "Divide by the number of draws, take the mean over the pictures, and multiply by 100.",
    ),
    solution=my_exchange,
    why="The gain minus the loss is the difference of the two top-1 scores, so nothing is counted twice. "
    "The common wrong turn is to look at the difference alone: two models with equal top-1 may know "
    "different pictures, and then each has something to learn from the other.",
)


# -- 7.3 ---------------------------------------------------------------------------------------
def sweeps(generator: torch.Generator) -> list[Case]:
    """Rates in some order; the best at an edge, inside, and beside one that was not tried."""
    nan = math.nan
    cases = [
        ("best inside", (3e-3, 3e-4, 1e-2, 1e-3), (72.9, 62.7, 57.7, 73.5)),
        ("best at the upper edge", (3e-4, 1e-3, 3e-3, 1e-2), (50.0, 60.0, 70.0, 71.0)),
        ("best at the lower edge", (1e-2, 1e-3, 3e-3, 3e-2), (40.0, 61.0, 50.0, 1.0)),
        ("an outer rate was not tried", (3e-4, 1e-3, 3e-3, 1e-2), (nan, 75.0, 70.0, 60.0)),
        ("two were not tried", (3e-3, 3e-4, 1e-2, 1e-3), (75.0, nan, 50.0, 70.0)),
    ]
    shift = torch.rand((), generator=generator, dtype=torch.float64)
    return [
        Case(words, (torch.tensor(rates).double(), torch.tensor(top1).double() + shift))
        for words, rates, top1 in cases
    ]


def my_choice(rates, top1):
    rates, top1 = rates[~top1.isnan()], top1[~top1.isnan()]
    best = rates[top1.argmax()]
    return best, bool(rates.min() < best < rates.max())


def _nan_as_best(rates, top1):
    best = rates[top1.argmax()]
    return best.item(), bool(rates.min() < best < rates.max())


def _untried_as_bracket(rates, top1):
    best = rates[top1.nan_to_num(-1).argmax()]
    return best.item(), bool(rates.min() < best < rates.max())


def _by_place(rates, top1):
    rates, top1 = rates[~top1.isnan()], top1[~top1.isnan()]
    place = int(top1.argmax())
    return rates[place].item(), 0 < place < len(rates) - 1


CHOICE = Exercise(
    id="7.3",
    title="the best of those that were tried",
    minutes=6,
    difficulty=1,
    stub="""
    def my_choice(rates, top1):
        # rates, top1: (n,), in any order; top1 is NaN where a rate was not tried. The best rate of
        # those that were, and whether both a lower and a higher one were tried too: True or False.
        return TODO
    """,
    reference=results.best_rate,
    cases=sweeps,
    wrong=(
        Wrong(
            _nan_as_best,
            "`argmax` takes NaN for the largest number. Before you compare, leave out the rates that were "
            "not tried.",
        ),
        Wrong(
            _untried_as_bracket,
            "you let a rate that was not tried bracket the best one. Leave such rates out before you look "
            "at the edges.",
        ),
        Wrong(
            _by_place,
            "you looked at the place of the best rate in the list. The rates come in any order, so compare "
            "the best with the lowest and the highest rate.",
        ),
        Wrong(
            lambda rates, top1: (results.best_rate(rates, top1)[0], True),
            "you said that every best rate is bracketed. If it lies at the edge, a rate further out may be "
            "better.",
        ),
        Wrong(
            lambda rates, top1: (
                top1[~top1.isnan()].max().item(),
                results.best_rate(rates, top1)[1],
            ),
            "this is the best score; give the rate that has this score.",
        ),
    ),
    alternative=lambda rates, top1: (
        lambda tried: (
            max(tried, key=tried.get),
            max(tried, key=tried.get) not in (min(tried), max(tried)),
        )
    )({r: s for r, s in zip(rates.tolist(), top1.tolist(), strict=True) if s == s}),
    hints=(
        "First drop the rates that were not tried, from `rates` and from `top1`.",
        "Write `tried = ~top1.isnan()`, and then take `rates[tried]` and `top1[tried]`.",
        "The best is `rates[top1.argmax()]`; it is bracketed if `rates.min() < best < rates.max()`.",
    ),
    solution=my_choice,
    why="If the best rate of a baseline lies at the edge of what was tried, a better rate may lie "
    "further out: try one more rate there. The common wrong turn is to tune one's own method "
    "until its rate is bracketed, and to give the baseline the first rate that trains.",
)


# -- 7.4 ---------------------------------------------------------------------------------------
MEASUREMENTS = ("again", "R with labels", "100 classes")
SAYS = {
    "again": "these are more seeds of the same two trainings. Both hypotheses expect the same lead, so "
    "this narrows the interval and does not tell one hypothesis from the other",
    "R with labels": "these are R's weights with the baseline's labels. Only the start has changed, so "
    "this training is ahead by the whole lead if the start makes the lead, and by 0 if the target does",
    "100 classes": "these are the weights of 100 classes with labels. If the target makes the lead, no "
    "start matters, so the difference is 0. If R's start makes it, the hypothesis does not say what a "
    'third start gives ("?")',
}


def leads_in_points(generator: torch.Generator) -> list[Case]:
    """Leads of a student over a baseline, in points."""
    drawn = (2 + 10 * torch.rand(3, generator=generator)).tolist()
    return [Case(f"a lead of {lead:.1f} points", (round(lead, 1),)) for lead in drawn]


def my_plan(lead):
    return {
        "again": (lead, lead),
        "R with labels": (lead, 0),
        "100 classes": ("?", 0),
        "decides": "R with labels",
    }


def judge_plan(got, lead):
    """What is wrong with a plan: an expectation, with its reason, or the choice."""
    if not isinstance(got, dict) or set(got) != {*MEASUREMENTS, "decides"}:
        names = ", ".join(map(repr, (*MEASUREMENTS, "decides")))
        return f"it gave {got!r}; expected a dict with {names}"
    expected = my_plan(lead)
    for name in MEASUREMENTS:
        if not isinstance(got[name], tuple | list) or len(got[name]) != 2:
            return f"{name!r}: {got[name]!r}; expected a pair, (if the start, if the target)"
        for value, right in zip(got[name], expected[name], strict=True):
            if value != right:
                return f"{name!r}: {SAYS[name]}"
    if got["decides"] != expected["decides"]:
        return f"{got['decides']!r} does not decide; {SAYS.get(got['decides'], 'name one of the three')}"
    return None


def _plan(lead, **changes):
    return my_plan(lead) | {name.replace("_", " "): one for name, one in changes.items()}


PLAN = Exercise(
    id="7.4",
    title="start or target: what would decide?",
    minutes=20,
    difficulty=3,
    stub="""
    def my_plan(lead):
        # The student (start: R, target: R's embeddings) leads the baseline (start: all classes,
        # target: labels) by so many points. Hypothesis 1: the start makes all of it; hypothesis 2:
        # the target does. For three measurements, each minus the baseline's score: what it gives
        # under 1, and under 2; "?" where the hypothesis does not say. And the one that decides.
        return {
            "again": (TODO, TODO),  # the student once more, with five more seeds of both
            "R with labels": (TODO, TODO),  # start: R, target: labels
            "100 classes": (TODO, TODO),  # start: the 100 classes, target: labels
            "decides": TODO,  # the name of one of the three
        }
    """,
    reference=my_plan,
    cases=leads_in_points,
    judge=judge_plan,
    wrong=(
        Wrong(
            lambda lead: _plan(lead, decides="again"),
            "you choose more seeds. They make the interval of the lead narrower, but both hypotheses "
            "expect that same lead: a precise number that fits both decides nothing.",
        ),
        Wrong(
            lambda lead: _plan(lead, decides="100 classes"),
            "you choose the narrow start, as the paper did. It can show that starts matter, but it says "
            "nothing about R's start: whatever it gives fits the first hypothesis.",
        ),
        Wrong(
            lambda lead: my_plan(lead) | {"R with labels": (0, lead)},
            "you exchanged the two hypotheses at R with labels. This training has R's start, so it is "
            "ahead by the whole lead if the start makes the lead.",
        ),
        Wrong(
            lambda lead: my_plan(lead) | {"100 classes": (-lead, 0)},
            "you expect the narrow start to be behind by the lead. The first hypothesis is about R's "
            'start alone. It does not say how much worse a third start is, so write "?".',
        ),
        Wrong(
            lambda lead: my_plan(lead) | {"100 classes": (0, 0)},
            "you expect 0 from the narrow start under both hypotheses. If the start makes the lead, "
            'starts differ, and nothing says that these two are equal, so write "?".',
        ),
        Wrong(
            lambda lead: my_plan(lead) | {"again": (lead, 0)},
            "more seeds change neither start nor target: under both hypotheses the student is ahead "
            "by its lead.",
        ),
    ),
    alternative=lambda lead: {
        name: [*pair] if isinstance(pair, tuple) else pair for name, pair in my_plan(lead).items()
    },
    hints=(
        "For each measurement ask which of start and target differs from the baseline's, and which is "
        "the same.",
        "A measurement decides if each of the two hypotheses expects a number from it, and the two "
        "numbers are different.",
        "`\"R with labels\": (lead, 0)`: this training has R's start, but not R's target.",
    ),
    solution=my_plan,
    why='Only the measurement "R with labels" takes one of the two things from the student, and '
    "the other from the baseline. It has the student's start and the baseline's target. So it "
    "lies at the student's score if the start makes the lead, and at the baseline's score if the "
    "target does. A score in between says how much of the lead each of them makes. The common "
    "wrong turn is to repeat a measurement until it is precise: the result is a narrow interval "
    "around a number that both explanations expect.",
)

EXERCISES = (STEP, EXCHANGE, CHOICE, PLAN)

PREDICTIONS = (
    Prediction(
        "7.A",
        "With 90 % of the pixels missing, the paper's baseline from the full ImageNet leads the baseline "
        "from ImageNet-100 by 3.4 points. By how many points does the start from the full world lead "
        "here? (Negative: the narrow start leads.)",
        tolerance=3.0,
        digits=0,
    ),
    Prediction(
        "7.B",
        "Take pictures of the training set, with 90 % of their pixels missing in a new draw. Who names "
        "more of them: the baseline, which was trained end to end on their labels, or the student with "
        "its probe?",
        options=("the baseline", "the student"),
    ),
    Prediction(
        "7.C",
        "How much better are R's weights than those of the supervised tower, as the start of a network "
        "that learns labels? With 90 % of the pixels missing, by how many points does the baseline from "
        "R lead the baseline? (Negative: the baseline from R is behind.)",
        tolerance=2.0,
        digits=1,
    ),
)
