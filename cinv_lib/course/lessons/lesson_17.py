"""Exercises of lesson 17: four diagnoses, and a test that finds faults."""

from collections.abc import Callable, Iterator
from functools import partial

import torch

from cinv_lib.course.ward import CAUSES, MEASUREMENTS
from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong
from cinv_lib.experiments.patients import LOOPS
from cinv_lib.training import faults

Diagnosis = tuple[str, str, str]
MODE, LEARNS, RUINED, CONSTANT, SAW, KEEPS, SHARED, FEW, GREY, NO_PUSH = CAUSES
OF_LOOP = {
    faults.GreyHoles: GREY,
    faults.NearlyConstant: CONSTANT,
    faults.TeacherInTrainMode: MODE,
    faults.SameMasks: KEEPS,
}
SICK = {name: OF_LOOP[loop] for name, loop in LOOPS.items() if loop in OF_LOOP}
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
    LEARNS: "if R learned along, the column `weights` of `looks` would rise from 0. It stays at 0.",
    RUINED: "if R saw the ruined pictures, the cosine to R(x) would not rise in `looks`, since R(x) "
    "would never be asked for. It rises.",
    CONSTANT: "the last rate in `history` is below a hundredth of the first: it falls as it should.",
    SAW: "the rates in `history` fall at every step and never rise again.",
    KEEPS: "`seen(0, i)` and `seen(5, i)` have other holes: the picture was masked anew.",
    SHARED: "`seen(0, 0)` and `seen(0, 1)` have other holes.",
    FEW: "count the holes of `seen(0, 0)`: nine tenths of the pixels are missing, as they should be.",
    GREY: "the holes of `seen(0, 0)` are exactly 0, in all three channels.",
    NO_PUSH: "the loss without the push is a cosine with its sign turned, which is never above 1. The "
    "first losses in `history` are.",
}
POINTS_AT = {  # why a measurement is not enough, although the cause is right
    "loss": "a loss is measured by the loop itself, with its own masks, targets and rates. Many "
    "faults change it, and some make it look better.",
    "own and fresh": "cosines on its own masks and on fresh ones part for every fault in the masks, "
    "whichever it is.",
    "words": "the words say that a student is worse, and not why.",
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
    place: int, causes: tuple[str, ...], hints: tuple[str, str, str], why: str, slip: Wrong
) -> Exercise:
    """The exercise on the sick patient at this place. `causes`: three that readers suspect."""
    letter, word = list(SICK)[place], ORDINALS[place]
    right = (letter, SICK[letter], SHOWN_BY[SICK[letter]][0])
    other = SHOWN_BY[SICK[letter]][-1]
    suspected = tuple(
        Wrong(partial(_given, (letter, cause, right[2])), f"Ruled out: {RULED_OUT[cause]}")
        for cause in causes
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
        cases=lambda generator: [Case("letter, cause and measurement", (place,))],
        judge=judge_diagnosis,
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
        "Compare its cosine on its own masks with that on fresh ones, and do the same for the others. "
        "Something about what it was shown differs from what the course shows it.",
        "Look at `plots.grid` of `seen(0, i)` for several patients, side by side.",
        "Find the pixels of `seen(0, 0)` that are missing, and print their values.",
    ),
    why="A pixel that is missing should be 0 in [0, 1]: black, whatever comes after. This loop masks the "
    "normalised picture, where 0 is the mean colour. Its student learns from pictures with grey holes, "
    "which are also easier: its loss begins lower than anyone's. Then it meets black holes. The common "
    "wrong turn is to trust the loss, or the cosine on its own masks, which are both fine.",
    slip=_by(
        0,
        "own and fresh",
        "The cause is right, but that measurement only says that its own masks differ from fresh ones, "
        "and not how. Look at the missing pixels themselves.",
    ),
)
SECOND = diagnosis(
    1,
    (KEEPS, SAW, MODE),
    hints=(
        "Nothing that it sees is wrong, and nothing that it is told. What is left of a training loop?",
        "Compare how much the loss jumps from step to step in the last epoch of each patient.",
        "`history.lr` of this patient and of another, first row and last.",
    ),
    why="The schedule's length is counted in steps, and it moves on once an epoch: after ten epochs a "
    "thousandth of the way is done that should have been all of it. Nothing fails; the rate just stays "
    "where it was, and the weights are still being thrown about when the training stops. The common wrong "
    "turn is to look for it in the loss, which falls all the same.",
    slip=_by(
        1,
        "loss",
        "The cause is right, but a jagged loss has other causes too. The rate itself is in `history`.",
    ),
)
THIRD = diagnosis(
    2,
    (LEARNS, RUINED, KEEPS),
    hints=(
        "What does this student learn from? Compare its targets with those of another patient.",
        "R(x) should be a function of x alone. Ask for the same eight pictures in two batches.",
        "`p.targets(range(8))` and `p.targets(range(64))[:8]`; and the column `moved` of `looks`.",
    ),
    why="Frozen weights are not a frozen network: in train mode a batch norm subtracts the mean of the "
    "batch, so that a picture's target depends on its neighbours, and its running means drift. No gradient "
    "is needed for it. The common wrong turn is to look at the weights of R, which never move.",
    slip=_by(
        2,
        "words",
        "The cause is right, but a score says only how good a student is. Ask R itself.",
    ),
)
FOURTH = diagnosis(
    3,
    (GREY, SHARED, FEW),
    hints=(
        "Compare its cosine on its own masks with that on fresh masks of the same pictures.",
        "It has learned something by heart. What stayed the same from epoch to epoch?",
        "`p.seen(0, i)` and `p.seen(5, i)`, for any i: how many of the pixels left do they share?",
    ),
    why="The stream of masks begins anew in each epoch, so that a picture never gets another mask: the "
    "student sees ten times the same ruined picture, and learns it by heart. Two masks that leave a share "
    "1 - p of the pixels should have only that share of them in common. The common wrong turn is to look at "
    "one epoch, in which everything is as it should be.",
    slip=_by(
        3,
        "own and fresh",
        "The cause is right, and this is its symptom. But holes of another kind would part the two cosines "
        "as well. Which measurement shows the masks themselves?",
    ),
)


# -- 17.5 --------------------------------------------------------------------------------------
NAMED = {
    "R in train mode": faults.TeacherInTrainMode,
    "a rate that hardly falls": faults.NearlyConstant,
    "one mask for all epochs": faults.SameMasks,
    "holes that are not black": faults.GreyHoles,
    "a fault that the lesson did not name": faults.TeacherLearns,
    "another fault that the lesson did not name": faults.LastBatchLost,
}
SOUND_SEEDS = 20


def loops(generator: torch.Generator) -> Iterator[Case]:
    """The sound loop with 20 seeds, and six with a fault."""
    seeds = torch.randint(2**31, (SOUND_SEEDS + len(NAMED),), generator=generator).tolist()
    for k, seed in enumerate(seeds[:SOUND_SEEDS]):
        label = f"the sound loop, {SOUND_SEEDS} seeds" if k == 0 else ""
        yield Case(label, (partial(faults.trial, faults.Loop(), seed), True))
    for (label, loop), seed in zip(NAMED.items(), seeds[SOUND_SEEDS:], strict=True):
        yield Case(label, (partial(faults.trial, loop(), seed), False))
