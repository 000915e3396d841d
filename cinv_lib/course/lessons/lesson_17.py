"""Exercises of lesson 17: four diagnoses, and a test that finds faults."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import torch

from cinv_lib.course.ward import CAUSES, MEASUREMENTS, causes
from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong
from cinv_lib.experiments.patients import LOOPS
from cinv_lib.training import faults

Diagnosis = tuple[str, str, str]
MODE, LEARNS, RUINED, CONSTANT, SAW, KEEPS, SHARED, FEW, GREY, NO_PUSH = CAUSES
SICK = causes()
(SOUND,) = set(LOOPS) - set(SICK)
SHOWN_BY = {  # the measurements that show a cause, and none of the other nine
    GREY: ("holes",),
    CONSTANT: ("rates",),
    MODE: ("alone and in a batch", "before and after"),
    KEEPS: ("two epochs",),
}
RULED_OUT = {  # what the patients without this fault would show if they had it
    MODE: "with R in train mode, `targets(range(8))` would differ from the first eight rows of "
    "`targets(range(64))`. Here they are the same.",
    LEARNS: "if R were trained along with S, the column `weights` of `looks` would rise from 0. "
    "It stays at 0.",
    RUINED: "if R saw the ruined pictures, the student would not be trained towards R(x), so the "
    "column `own` of `looks` would not rise from epoch to epoch. It rises.",
    CONSTANT: "the last rate in `history` is below a hundredth of the first: it falls as it should.",
    SAW: "the rates in `history` never rise from one step to the next.",
    KEEPS: "`seen(0, i)` and `seen(5, i)` have different holes: the picture was masked anew.",
    SHARED: "`seen(0, 0)` and `seen(0, 1)` have different holes.",
    FEW: "count the holes of `seen(0, 0)`: nine tenths of the pixels are missing, as they should be.",
    GREY: "the holes of `seen(0, 0)` are exactly 0, in all three channels.",
    NO_PUSH: "without the push the loss is a cosine with its sign changed, and that is never "
    "above 1. The first losses in `history` are above 1.",
}
POINTS_AT = {  # why a measurement is not enough, although the cause is right
    "loss": "a loss is measured by the loop itself, with its own masks, targets and rates. Many "
    "faults change it, and some make it look better.",
    "own and fresh": "the cosine on its own masks and the cosine on fresh masks differ for every "
    "fault in the masks, whichever it is.",
    "words": "the score in words says that a student is worse, but not why.",
}


def judge_diagnosis(got: object, place: int) -> str | None:
    """What is wrong with a diagnosis of the sick patient at this place, by letter."""
    if not (isinstance(got, tuple | list) and len(got) == 3):
        return "expected three texts: (letter, cause, measurement)"
    letter, cause, by = got
    for value, known, what in (
        (letter, tuple(LOOPS), "a patient"),
        (cause, CAUSES, "in CAUSES"),
        (by, MEASUREMENTS, "in MEASUREMENTS"),
    ):
        if value not in known:
            return f"{value!r} is not {what}; there are {', '.join(map(repr, known))}"
    if letter == SOUND:
        return f"no measurement of {letter} is out of order"
    if letter != list(SICK)[place]:
        return f"{letter} has a fault, but it is not number {place + 1} of those that have one"
    if cause != SICK[letter]:
        return f"this cause is ruled out: {RULED_OUT[cause]}"
    if by not in SHOWN_BY[cause]:
        why = POINTS_AT.get(by, "that measurement is the same for a loop without this fault.")
        return f"the cause is right, but another measurement shows it: {why}"
    return None


ORDINALS = ("first", "second", "third", "fourth")


def diagnosis(
    place: int, suspects: tuple[str, ...], hints: tuple[str, str, str], why: str, slip: Wrong
) -> Exercise:
    """The exercise on the sick patient at this place. `suspects`: three causes that readers try."""
    letter, word = list(SICK)[place], ORDINALS[place]
    right = (letter, SICK[letter], SHOWN_BY[SICK[letter]][0])
    other = SHOWN_BY[SICK[letter]][-1]
    suspected = tuple(
        Wrong(partial(_given, (letter, cause, right[2])), f"Ruled out: {RULED_OUT[cause]}")
        for cause in suspects
    )
    return Exercise(
        id=f"17.{place + 1}",
        title=f"the {word} fault",
        minutes=12,
        difficulty=2,
        stub=f"""
        # Of the patients with a fault, the {word} by letter: (letter, cause, measurement), with a
        # text of CAUSES, and the one of MEASUREMENTS that shows this cause and no other.
        {word} = TODO
        """,
        reference=partial(_given, right),
        cases=lambda generator: [Case("letter, cause and measurement")],
        judge=partial(judge_diagnosis, place=place),
        wrong=(*suspected, slip),
        alternative=partial(_given, (letter, SICK[letter], other)),
        hints=hints,
        solution=f"{word} = {right!r}".replace("'", '"'),
        why=why,
    )


def _given(answer: Diagnosis) -> Diagnosis:
    return answer


def _by(place: int, by: str, because: str) -> Wrong:
    letter = list(SICK)[place]
    return Wrong(partial(_given, (letter, SICK[letter], by)), because)


FIRST = diagnosis(
    0,
    (KEEPS, FEW, MODE),
    hints=(
        "Compare this patient's cosine on its own masks with its cosine on fresh masks, and do "
        "the same for the other patients. Something in the pictures that it was shown differs "
        "from the pictures that the course would show it.",
        "Look at `plots.grid` of `seen(0, i)` for several patients, side by side.",
        "Find the pixels of `seen(0, 0)` that are missing, and print their values.",
    ),
    why="A pixel that is missing should be 0 in [0, 1]: black, whatever comes after. This loop "
    "masks the normalised picture, where 0 is the mean colour. Its student learns from pictures "
    "with grey holes, and these are easier: its loss begins lower than that of any other patient. "
    "Afterwards the student meets black holes. The common wrong turn is to trust the loss or the "
    "cosine on its own masks: both look fine.",
    slip=_by(
        0,
        "own and fresh",
        "The cause is right, but that measurement says only that its own masks differ from fresh "
        "masks, and not how they differ. Look at the missing pixels themselves.",
    ),
)
SECOND = diagnosis(
    1,
    (KEEPS, SAW, MODE),
    hints=(
        "The pictures that this student sees are right, and so are its targets. What else is "
        "there in a training loop?",
        "Compare the `words` of all patients from epoch to epoch. Whose student still changes when the "
        "training stops?",
        "Print `history.lr` of this patient and of another one, in the first row and in the last.",
    ),
    why="The schedule is 320 steps long, but it moves on only once per epoch, so it makes ten of "
    "its 320 moves. No error is raised: the rate stays almost where it was, and the weights still "
    "change by large steps when the training stops. The common wrong turn is to look for the "
    "fault in the loss, which falls all the same.",
    slip=_by(
        1,
        "loss",
        "The cause is right, but this patient's loss looks like that of the other patients. The "
        "rate itself is in `history`.",
    ),
)
THIRD = diagnosis(
    2,
    (LEARNS, RUINED, KEEPS),
    hints=(
        "What does this student learn from? Compare this patient's targets with those of another "
        "patient.",
        "R(x) should be a function of x alone. Ask for the same eight pictures in two batches.",
        "Compare `p.targets(range(8))` with `p.targets(range(64))[:8]`, and look at the column "
        "`moved` of `looks`.",
    ),
    why="Frozen weights are not a frozen network: in train mode a batch norm subtracts the mean "
    "of the batch, so a picture's target depends on the other pictures of the batch. The running "
    "means of R drift as well. No gradient is needed for either. The common wrong turn is to look "
    "at the weights of R, which never move.",
    slip=_by(
        2,
        "words",
        "The cause is right, but a score says only how good a student is. Look at what R itself "
        "says.",
    ),
)
FOURTH = diagnosis(
    3,
    (GREY, SHARED, FEW),
    hints=(
        "Compare this patient's cosine on its own masks with its cosine on fresh masks of the "
        "same pictures.",
        "This student has learned something by heart. What stayed the same from epoch to epoch?",
        "Compare `p.seen(0, i)` with `p.seen(5, i)` for any i: how many of the pixels that are "
        "left do they share?",
    ),
    why="The stream of masks begins anew in each epoch, so a picture never gets another mask: "
    "the student sees the same ruined picture ten times and learns it by heart. Each mask leaves "
    "a share 1 - p of the pixels, and of the pixels that one mask leaves, an independent mask "
    "should leave only a share 1 - p. The common wrong turn is to look at one epoch alone, in "
    "which everything is as it should be.",
    slip=_by(
        3,
        "own and fresh",
        "The cause is right, and this is its symptom. But holes of another kind would make the "
        "two cosines differ as well. Which measurement shows the masks themselves?",
    ),
)


# -- 17.5 --------------------------------------------------------------------------------------
FAULTY = {
    "R in train mode": faults.TeacherInTrainMode,
    "a rate that hardly falls": faults.NearlyConstant,
    "one mask for all epochs": faults.SameMasks,
    "holes that are not black": faults.GreyHoles,
    "a fault that no patient has": faults.TeacherLearns,
    "another fault that no patient has": faults.WithReplacement,
}
SOUND_SEEDS = 20


@dataclass(frozen=True)
class Trial:
    """What an answer is called with: `train()` gives the log of a loop."""

    loop: type[faults.Loop]
    seed: int

    def __call__(self) -> faults.Log:
        return copy.deepcopy(_tried(self.loop, self.seed))  # an answer may change what it gets

    @property
    def sound(self) -> bool:
        return self.loop is faults.Loop


# An answer that is wrong is compared with others, and all of them ask for the same trainings.
@lru_cache(maxsize=64)
def _tried(loop: type[faults.Loop], seed: int) -> faults.Log:
    return faults.trial(loop(), seed)


def loops(generator: torch.Generator) -> list[Case]:
    """The sound loop with 20 seeds, and six with a fault."""
    seeds = torch.randint(2**31, (SOUND_SEEDS + len(FAULTY),), generator=generator).tolist()
    labels = [f"the sound loop with {SOUND_SEEDS} seeds", *[""] * (SOUND_SEEDS - 1)]
    kinds = [(label, faults.Loop) for label in labels] + [*FAULTY.items()]
    return [
        Case(label, (Trial(loop, seed),)) for (label, loop), seed in zip(kinds, seeds, strict=True)
    ]


def my_test(train):
    log = train()
    first, last = log.steps[0], log.steps[-1]
    shown = {}
    for step in log.steps:
        x = log.pictures[step.rows]
        if not torch.allclose(step.target, log.R(x), atol=1e-5):
            return False  # R moved, or was in another mode, or saw something else
        if not ((step.shown == 0) | (step.shown == x)).all():
            return False  # a hole that is not black
        for i, y in zip(step.rows.tolist(), step.shown, strict=True):
            shown.setdefault(i, []).append(y)
    if any(len(ys) != last.epoch + 1 for ys in shown.values()) or len(shown) < len(log.pictures):
        return False  # a picture that an epoch left out
    if any(torch.equal(ys[0], ys[1]) for ys in shown.values()):
        return False  # a mask that came back
    return last.rate < first.rate / 50


def judge_test(got: object, train: Trial) -> str | None:
    """What is wrong with what a test says of a loop."""
    if not isinstance(got, bool | np.bool_ | torch.Tensor):
        return f"it gave {got!r}; expected True for a sound loop and False for one with a fault"
    if bool(got) == train.sound:
        return None
    return f"your test refuses a sound loop (seed {train.seed})" if train.sound else "it passes"


def _targets(log: faults.Log) -> bool:
    return all(torch.allclose(s.target, log.R(log.pictures[s.rows]), atol=1e-5) for s in log.steps)


def _black(log: faults.Log) -> bool:
    return all(((s.shown == 0) | (s.shown == log.pictures[s.rows])).all() for s in log.steps)


def _falls(log: faults.Log) -> bool:
    return log.steps[-1].rate < log.steps[0].rate / 50


def _whole(log: faults.Log) -> bool:
    epochs = log.steps[-1].epoch + 1
    counts = torch.cat([s.rows for s in log.steps]).bincount(minlength=len(log.pictures))
    return bool((counts == epochs).all())


def _by_number(log: faults.Log) -> torch.Tensor:
    """(epochs, n, 3, H, W): what was shown, by the numbers of the pictures; 0 where nothing was."""
    seen = torch.zeros(log.steps[-1].epoch + 1, *log.pictures.shape)
    for s in log.steps:
        seen[s.epoch, s.rows] = s.shown
    return seen


def _anew(log: faults.Log) -> bool:
    seen = _by_number(log)
    return not torch.equal(seen[0], seen[1])


def _all_of(*tests: Callable[[faults.Log], bool]) -> Callable[[Trial], bool]:
    def test(train: Trial) -> bool:
        log = train()
        return all(one(log) for one in tests)

    return test


def _same_place(log: faults.Log) -> bool:
    per_epoch = sum(s.epoch == 0 for s in log.steps)
    first, later = log.steps[0], log.steps[per_epoch]
    return not torch.equal(first.shown, later.shown)


TEST = Exercise(
    id="17.5",
    title="a test that finds faults",
    minutes=25,
    difficulty=3,
    stub="""
    def my_test(train):
        # `log = train()` trains a tiny student by some loop and gives its log. True if the loop is
        # sound, False if it has a fault: one of the four that you found, or one that you did not.
        return TODO
    """,
    reference=lambda train: train.sound,
    cases=loops,
    judge=judge_test,
    wrong=(
        Wrong(lambda train: True, "your test lets every loop pass: a test has to be able to fail."),
        Wrong(lambda train: False, "your test refuses every loop, even the sound one."),
        Wrong(
            _all_of(_falls),
            "your test looks at the rate alone, so it finds only the fault of the rate.",
        ),
        Wrong(
            lambda train: not train().R_after.training,
            "your test asks in which mode R was at the end. What counts is what R said during the "
            "training: compare each `step.target` with `log.R(log.pictures[step.rows])`.",
        ),
        Wrong(
            _all_of(_targets, _black, _falls, _whole, _same_place),
            "you compare the first batch of two epochs. These batches hold different pictures, so "
            "they differ even if each picture keeps its mask: compare the same picture, by its "
            "number in `rows`.",
        ),
        Wrong(
            _all_of(_targets, _black, _falls, _anew),
            "your test does not count how often each picture was shown: an epoch shows every "
            "picture once.",
        ),
        Wrong(
            lambda train: (
                _falls(log := train()) and _black(log) and _anew(log) and not (log.R_after.training)
            ),
            "your test never looks at the targets: R may have moved although its mode is right. "
            "If R is trained along with S, it gives other targets from the second step on.",
        ),
    ),
    alternative=_all_of(_targets, _black, _falls, _whole, _anew),
    hints=(
        "For each of the four faults, say in one sentence what a sound loop promises; then turn each "
        "sentence into a line that compares two things of the log. What else is promised?",
        "R(x) is one function: every `step.target` equals `log.R(log.pictures[step.rows])`. Each "
        "number of a masked picture is either 0 or the number of the clean picture. The last rate "
        "is far below the first.",
        "Collect what was shown in a dict by picture: `shown.setdefault(i, []).append(y)`. Each "
        "picture has to be in it once per epoch, and the first two entries of a picture have to "
        "differ.",
    ),
    solution=my_test,
    why="A test states what a sound loop promises, and not what went wrong last time. One line, "
    "which says that the target is R(x), finds an R in train mode, an R that learns, and an R "
    "that sees the ruined picture. To find out whether a test is good, break the code on purpose, "
    "as this exercise does; this is called mutation testing. The common wrong turn is to test "
    "that the loss falls: it falls in all seven loops.",
)

EXERCISES = (FIRST, SECOND, THIRD, FOURTH, TEST)

PREDICTIONS = (
    Prediction(
        "17.A",
        "Which of the five loops has no fault?",
        options=tuple(LOOPS),
    ),
)
