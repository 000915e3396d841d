"""Exercises of lesson 05: targets that stay put, the loss of one batch, the learning rate."""

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from cinv_lib import losses, operators
from cinv_lib.course.workbook.compare import difference
from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong
from cinv_lib.training import loop

TAU = 0.1


def _seed(generator: torch.Generator) -> int:
    return int(torch.randint(2**31, (), generator=generator))


# -- 5.1 ---------------------------------------------------------------------------------------
def small_teacher(seed: int) -> nn.Module:
    """A teacher with a batch norm, as a training leaves it: in train mode, not frozen."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        R = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))
        with torch.no_grad():
            for _ in range(20):
                R(1 + 2 * torch.randn(64, 6))
    return R


def teacher_and_batches(generator: torch.Generator) -> list[Case]:
    """A function that gives a teacher, each time a new and equal one; some batches."""
    cases = []
    for sizes in ((4,), (8, 8), (3, 5, 2)):
        pictures = [torch.randn(n, 6, generator=generator) for n in sizes]
        label = f"{len(sizes)} batch{'es' * (len(sizes) > 1)} of {', '.join(map(str, sizes))}"
        cases.append(Case(label, (partial(small_teacher, _seed(generator)), pictures)))
    return cases


def my_targets(load, batches):
    R = load().eval()
    with torch.no_grad():
        return [R(x) for x in batches]


def judge_targets(got, load, batches):
    """What is wrong with the targets: their values, or a gradient that they carry."""
    wrong = difference(got, my_targets(load, batches), 1e-4)
    if wrong is None and any(r.requires_grad for r in got):
        return (
            "the values are right, but they carry a gradient to R, which costs memory and might "
            "train it: embed under `torch.no_grad()`, or freeze R by `requires_grad_(False)`"
        )
    return wrong


def _in_train_mode(load, batches):
    R = load()
    with torch.no_grad():
        return [R(x) for x in batches]


def _warmed_up(load, batches):
    R = load()
    with torch.no_grad():
        for x in batches:
            R(x)
        R.eval()
        return [R(x) for x in batches]


TARGETS = Exercise(
    id="5.1",
    title="targets that stay put",
    minutes=6,
    difficulty=2,
    stub="""
    def my_targets(load, batches):
        # load() gives a teacher as a training leaves it: in train mode, not frozen. A list of its
        # embeddings, one for each batch: a picture's must not depend on the other pictures.
        return TODO
    """,
    reference=my_targets,
    cases=teacher_and_batches,
    judge=judge_targets,
    wrong=(
        Wrong(
            _in_train_mode,
            "R is in train mode: its batch norm subtracts the mean of the batch, so a picture's "
            "target depends on its neighbours. `no_grad` and `requires_grad_(False)` do not change "
            "that; `eval()` does.",
        ),
        Wrong(
            _warmed_up,
            "R has drifted: it saw batches in train mode before `eval()`, and each of them moved the "
            "running mean and variance of its batch norm.",
        ),
        Wrong(
            lambda load, batches: list(load()(torch.cat(batches)).split([len(x) for x in batches])),
            "this is one large batch, but R is still in train mode: now each target depends on all the "
            "other pictures.",
        ),
        Wrong(
            lambda load, batches: torch.cat(my_targets(load, batches)),
            "you joined all batches into one tensor: a list is asked for, with a tensor per batch.",
        ),
        Wrong(
            lambda load, batches: [F.normalize(r, dim=1) for r in my_targets(load, batches)],
            "you made the rows unit vectors. The loss does that itself; here R(x) as it comes is asked "
            "for.",
        ),
    ),
    alternative=lambda load, batches: [r.detach() for r in map(load().eval(), batches)],
    hints=(
        "Two things must be switched off in R, and they have nothing to do with each other: the "
        "gradient, and the batch statistics of its batch norm.",
        "`R.eval()` makes batch norm use the statistics of its training; `torch.no_grad()` keeps "
        "the gradient out.",
        "Read R once, `R = load().eval()`, and return `[R(x) for x in batches]` under "
        "`with torch.no_grad():`.",
    ),
    solution=my_targets,
    why="`eval()` decides what R computes, and `no_grad` decides what is kept for a gradient. "
    "Neither can replace the other. The common wrong turn is to freeze the weights only. R's "
    "batch norm then goes on adapting to what it sees.",
)


# -- 5.2 ---------------------------------------------------------------------------------------
class Tiny(nn.Module):
    """A linear encoder of pictures (B, 3, 8, 8)."""

    def __init__(self, weight: torch.Tensor):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x):
        return x.flatten(1) @ self.weight.T


def students_and_teachers(generator: torch.Generator) -> list[Case]:
    """A teacher, a student that is a little beside it, an operator, a batch."""
    cases = []
    for n, text in ((4, "mask:0.5"), (8, "noise:0.5"), (16, "mask:0.9")):
        weight, step = (torch.randn(12, 3 * 8 * 8, generator=generator) for _ in "RS")
        S, R, x = (
            Tiny(weight + 0.3 * step),
            Tiny(weight),
            torch.rand(n, 3, 8, 8, generator=generator),
        )
        own = torch.Generator().manual_seed(_seed(generator))
        cases.append(Case(f"N = {n}, {text}", (S, R, operators.parse(text), x, own)))
    return cases


def student_loss(S, R, A, x, generator):
    with torch.no_grad():
        target = R(x)
    return losses.contrastive(S(A(x, generator)), target, tau=0.1)


def judge_loss(got, S, R, A, x, generator):
    """What is wrong with the loss of a batch: its value, or whom its gradient reaches."""
    wrong = difference(got, student_loss(S, R, A, x, generator), 1e-4)
    if wrong:
        return wrong
    if not _graph_is_whole(got, S):
        return (
            "the value is right, but you called `backward()`: return the loss, the loop does that"
        )
    learns = [_has_gradient(got, encoder) for encoder in (S, R)]
    if not learns[0]:
        return (
            "the value is right, but no gradient reaches S: only R belongs under `no_grad`, and the "
            "loss has to stay a tensor"
        )
    if learns[1]:
        return "the value is right, but a gradient reaches R: embed x under `torch.no_grad()`"
    return None


def _graph_is_whole(loss, encoder):
    """Whether a gradient can still be taken; `backward()` frees what it needs."""
    try:
        _has_gradient(loss, encoder)
    except RuntimeError:
        return False
    return True


def _has_gradient(loss, encoder):
    if not (isinstance(loss, torch.Tensor) and loss.requires_grad):
        return False
    (gradient,) = torch.autograd.grad(loss, encoder.weight, retain_graph=True, allow_unused=True)
    return gradient is not None


def _contrastive(s, r):
    return losses.contrastive(s, r, TAU)


def _both_ruined(S, R, A, x, generator):
    y = A(x, generator)
    return _contrastive(S(y), R(y).detach())


STUDENT_LOSS = Exercise(
    id="5.2",
    title="who sees what",
    minutes=8,
    difficulty=2,
    stub="""
    def student_loss(S, R, A, x, generator):
        # The loss of a batch x of clean pictures, by losses.contrastive(..., tau=0.1). A takes a
        # batch and the generator. S is to learn from it; R is not frozen here, and must not learn.
        return TODO
    """,
    reference=student_loss,
    cases=students_and_teachers,
    judge=judge_loss,
    wrong=(
        Wrong(
            _both_ruined,
            "the teacher sees the ruined picture too. S would learn to give R's answers to ruined "
            "pictures. S gives these answers already, because it starts as R. The target is R(x).",
        ),
        Wrong(
            lambda S, R, A, x, generator: _contrastive(S(x), R(x).detach()),
            "the student sees the clean picture, so there is nothing to invert.",
        ),
        Wrong(
            lambda S, R, A, x, generator: _contrastive(S(x), R(A(x, generator)).detach()),
            "the two are exchanged: S should see A(x), and R should see x.",
        ),
        Wrong(
            lambda S, R, A, x, generator: _contrastive(R(x).detach(), S(A(x, generator))),
            "the student comes first in the loss, since each student embedding picks its teacher "
            "embedding. You let each teacher embedding pick its student embedding.",
        ),
        Wrong(
            lambda S, R, A, x, generator: losses.alignment(S(A(x, generator)), R(x).detach()),
            "that is the pull alone (Eq. 1). The contrastive loss also pushes S away from the R(x) of the "
            "other pictures.",
        ),
        Wrong(
            lambda S, R, A, x, generator: losses.contrastive(
                S(A(x, generator)), R(x).detach(), 1.0
            ),
            "your temperature is 1: give `tau=0.1`.",
        ),
        Wrong(
            lambda S, R, A, x, generator: len(x) * student_loss(S, R, A, x, generator),
            "you summed over the batch. The loss is a mean, so that a larger batch does not make a larger "
            "step.",
        ),
    ),
    alternative=lambda S, R, A, x, generator: F.cross_entropy(
        F.normalize(S(A(x, generator))) @ F.normalize(R(x).detach()).T / TAU, torch.arange(len(x))
    ),
    hints=(
        "R is asked about the intact picture and S about the ruined one. S should say what R says.",
        "`S(A(x, generator))` is the guess and `R(x)` is the target. The target is a constant.",
        "Compute the target under `with torch.no_grad():` and return "
        "`losses.contrastive(guess, target, tau=0.1)`.",
    ),
    solution=student_loss,
    why="The target is what CLIP says of the intact picture, and it stays where it is. The common "
    "wrong turn is to let the gradient into R. If the optimiser also has R's weights, then R "
    "moves towards S, and R is no longer CLIP. If the optimiser does not have R's weights, the "
    "gradient only costs time and memory.",
)


# -- 5.3 ---------------------------------------------------------------------------------------
def steps_of_trainings(generator: torch.Generator) -> list[Case]:
    """Steps of this lesson's training and of the paper's: the first, the last, and any."""
    cases = []
    for epochs, batches, lr in ((30, 32, 3e-3), (25, 495, 3e-4)):
        last = epochs * batches - 1
        inner = int(torch.randint(last // 4, 3 * last // 4, (), generator=generator))
        inner += inner % batches == 0  # not where a schedule by epochs is right
        for t in (0, inner, last):
            label = f"{epochs} epochs of {batches} batches, step {t}"
            cases.append(Case(label, (t, lr, epochs, batches)))
    return cases


def my_lr(t, lr, epochs, batches):
    done = t / (epochs * batches)
    return lr * 0.5 * (1 + math.cos(math.pi * done))


def _cosine(lr, done):
    return lr * 0.5 * (1 + math.cos(math.pi * done))


SCHEDULE = Exercise(
    id="5.3",
    title="a cosine to zero",
    minutes=6,
    difficulty=1,
    stub="""
    def my_lr(t, lr, epochs, batches):
        # The learning rate of step t = 0, 1, ... of a training of so many epochs of so many batches:
        # half a wave of a cosine, from lr at the first step to 0 just after the last.
        return TODO
    """,
    reference=lambda t, lr, epochs, batches: loop.cosine(lr, t, epochs * batches),
    cases=steps_of_trainings,
    tolerance=1e-9,  # learning rates are small
    wrong=(
        Wrong(
            lambda t, lr, epochs, batches: _cosine(lr, t // batches / (epochs * batches)),
            "your wave is as long as the number of all steps, but you go on by one step only once "
            "per epoch, so the rate hardly falls.",
        ),
        Wrong(
            lambda t, lr, epochs, batches: _cosine(lr, t // batches / epochs),
            "your rate is a staircase with one stair per epoch. Here the rate changes at every step.",
        ),
        Wrong(
            lambda t, lr, epochs, batches: lr * math.cos(math.pi * t / (epochs * batches)),
            "a cosine goes from 1 to -1, so your rate ends at -lr: lift it by 1 and halve it.",
        ),
        Wrong(
            lambda t, lr, epochs, batches: _cosine(lr, t / epochs),
            "you divided by the number of epochs, but t counts steps: there are epochs * batches.",
        ),
        Wrong(
            lambda t, lr, epochs, batches: _cosine(lr, t / batches),
            "the wave is as long as one epoch: the rate falls to 0, and rises again in the next "
            "epoch.",
        ),
        Wrong(
            lambda t, lr, epochs, batches: 2 * _cosine(lr, t / (epochs * batches)),
            "the half is missing: 1 + cos begins at 2.",
        ),
        Wrong(
            lambda t, lr, epochs, batches: lr * math.cos(math.pi / 2 * t / (epochs * batches)),
            "that is a quarter of a wave. It also goes from lr to 0, but it is steepest at the end, where "
            "half a wave is flat.",
        ),
        Wrong(
            lambda t, lr, epochs, batches: _cosine(lr, t / (epochs * batches - 1)),
            "your last step has the rate 0 and teaches nothing. The rate should reach 0 just after the "
            "last step.",
        ),
        Wrong(
            lambda t, lr, epochs, batches: lr * (1 - t / (epochs * batches)),
            "that is a straight line; half a wave of a cosine is asked for.",
        ),
    ),
    alternative=lambda t, lr, epochs, batches: (
        lr * math.cos(math.pi * t / (2 * epochs * batches)) ** 2
    ),
    hints=(
        "Which share of the training is done at step t? It is a number from 0 to 1.",
        "cos(π · done) goes from 1 to -1. Shift and scale it so that it goes from 1 to 0.",
        "`lr * 0.5 * (1 + math.cos(math.pi * t / (epochs * batches)))`.",
    ),
    solution=my_lr,
    why="The steps are large first and small at the end, and only lr has to be chosen. The common "
    "wrong turn is to give the length of the training in steps, but to count the time in epochs.",
)


# -- 5.4 ---------------------------------------------------------------------------------------
class World:
    """A world in which a student leads a baseline, for one of two reasons.

    student, baseline: their scores, in percent. Called with a measurement's name, it gives the
    score of the model that is trained or asked then.
    """

    def __init__(self, cause: str, student: float, baseline: float, scores: dict[str, float]):
        self._cause, self.student, self.baseline, self.scores = cause, student, baseline, scores

    def __call__(self, name: str) -> float:
        if name not in self.scores:
            raise ValueError(f"no measurement {name!r}; there are {', '.join(self.scores)}")
        return self.scores[name]


def worlds(generator: torch.Generator) -> list[Case]:
    """Of half of them the start is the cause, of the others the target. How much the baseline gains
    from more steps, and how good R is on clean pictures, is the same for both kinds."""

    def between(low: float, high: float) -> float:
        return low + (high - low) * torch.rand((), generator=generator).item()

    cases = []
    causes = [("start", "target")[k % 2] for k in torch.randperm(8, generator=generator).tolist()]
    for number, cause in enumerate(causes, start=1):
        baseline, lead = between(50.0, 75.0), between(3.0, 8.0)
        # What the start alone brings: nearly all of the lead, or little, or even a loss.
        share = between(0.75, 0.95) if cause == "start" else (-1) ** number * between(0.05, 0.25)
        scores = {
            "labels from R": baseline + share * lead,
            "longer baseline": baseline + between(0.0, 0.9) * lead,
            "R on clean pictures": baseline + lead + between(2.0, 15.0),
        }
        scores = {name: round(score, 1) for name, score in scores.items()}
        world = World(cause, round(baseline + lead, 1), round(baseline, 1), scores)
        label = f"world {number}: student {world.student}, baseline {world.baseline}"
        cases.append(Case(label, (world.student, world.baseline, world)))
    return cases


DECIDES = "labels from R"
CANNOT = {  # each measurement that does not decide, and why
    "longer baseline": "it changes neither the start nor the target. If it gains, the baseline was "
    "not finished, but the student's lead over a finished baseline may still come from either",
    "R on clean pictures": "R is both: the student starts as R, and R gives its targets. A good R "
    "makes a good start and good targets, so a high score is what both explanations predict",
}


def my_cause(student, baseline, measure):
    score = measure("labels from R")
    nearer_to_student = student - score < score - baseline
    return "labels from R", "start" if nearer_to_student else "target"


def judge_cause(got, student, baseline, measure):
    """What is wrong with a choice: the measurement, or what is concluded from it."""
    if not (isinstance(got, tuple | list) and len(got) == 2):
        return f"you gave {got!r}, expected a name and a cause"
    name, cause = got
    if name in CANNOT:
        return f"{name!r} cannot decide: {CANNOT[name]}"
    if name != DECIDES:
        return f"there is no measurement {name!r}; there are {', '.join(measure.scores)}"
    if cause == measure._cause:
        return None
    return (
        f"{name!r} scores {measure(name)} in this world, the student {student} and the baseline "
        f"{baseline}; you conclude {cause!r}"
    )


def _concluded(name, rule):
    """An answer that asks for one measurement and goes by a rule of (score, student, baseline)."""

    def answer(student, baseline, measure):
        return name, "start" if rule(measure(name), student, baseline) else "target"

    return answer


CAUSE = Exercise(
    id="5.4",
    title="start or target, what would decide",
    minutes=15,
    difficulty=2,
    stub="""
    def my_cause(student, baseline, measure):
        # Two scores in percent, and one more that you may measure:
        #   measure("labels from R"): a network that starts as R and learns from labels
        #   measure("longer baseline"): the baseline, trained for twice as many steps
        #   measure("R on clean pictures"): R, which sees no corruption
        # Return the name of the measurement that decides, and what it says: "start" or "target".
        return TODO, TODO
    """,
    reference=my_cause,
    cases=worlds,
    judge=judge_cause,
    wrong=(
        Wrong(
            _concluded("longer baseline", lambda m, s, b: s - m > m - b),
            "more steps change neither the start nor the target, so their score cannot tell the two "
            "apart. Change one of them, and leave the other as it is.",
        ),
        Wrong(
            _concluded("R on clean pictures", lambda m, s, b: m > s),
            "R gives both the start and the targets. How good R is does not say which of the two helps. "
            "Keep one of R's roles, and take the other away.",
        ),
        Wrong(
            _concluded(DECIDES, lambda m, s, b: s - m > m - b),
            "the measurement is right, but the conclusion is the wrong way round. This network has the "
            "student's start and the baseline's target: where it does as well as the student, the "
            "start is enough.",
        ),
        Wrong(
            _concluded(DECIDES, lambda m, s, b: True),
            "you conclude the start in every world. The score decides: is it near the student's, or "
            "near the baseline's?",
        ),
        Wrong(
            _concluded(DECIDES, lambda m, s, b: False),
            "you conclude the target in every world. The score decides: is it near the student's, or "
            "near the baseline's?",
        ),
        Wrong(
            _concluded(DECIDES, lambda m, s, b: m > b),
            "you conclude the start from any gain over the baseline. Ask how much of the lead the gain "
            "explains: a gain of a tenth of the lead leaves nine tenths to the target.",
        ),
    ),
    alternative=lambda student, baseline, measure: [
        DECIDES,
        "start" if measure(DECIDES) > (student + baseline) / 2 else "target",
    ],
    hints=(
        "Student and baseline differ in two things at once: where they start, and what they learn "
        "from. Which of the two would you keep as it is, and which would you change?",
        "A measurement decides if the two explanations predict different scores for it. Write down "
        "for each of the three what you would see if only the start helped, and if only the target "
        "did.",
        "`measure(\"labels from R\")` has the student's start and the baseline's target. If it "
        "scores near the student, the start is the cause. If it scores near the baseline, the "
        "target is the cause.",
    ),
    solution=my_cause,
    why="Two things differ, so change one of them and leave the other. More steps change neither "
    "of them, and a high score of R fits both explanations. Lesson 07 asks this question about "
    "the real student. The common wrong turn is to measure something easy that will fit one's own "
    "explanation. A score decides only where the other explanation predicts another score.",
)

EXERCISES = (TARGETS, STUDENT_LOSS, SCHEDULE, CAUSE)

PREDICTIONS = (
    Prediction(
        "5.A",
        "Before training, S is R, and sees pictures with 90 % of their pixels missing. Is its loss "
        "above or below log 64, the loss of a student that finds all 64 equally likely?",
        options=("above", "below"),
    ),
    Prediction(
        "5.B",
        "After the training: what is the mean cosine of S(A(x)) to R(x), on pictures that S has "
        "never seen?",
        options=("below 0.5", "0.5 to 0.9", "above 0.9"),
    ),
)
