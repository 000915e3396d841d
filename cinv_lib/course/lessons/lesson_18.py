"""Exercises of lesson 18: what an operator promises, what a teacher's answers advise, how long a
training will take, and near copies on both sides of a split."""

import math

import torch
import torch.nn.functional as F

from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong
from cinv_lib.evaluation import beforehand


# -- 18.1 --------------------------------------------------------------------------------------
def my_contract(apply, x):
    none, half = (torch.full((len(x),), s, dtype=torch.float64) for s in (0.0, 0.5))
    one = torch.Generator().manual_seed(0)
    other = torch.Generator().manual_seed(0)
    first = apply(x, half, one)
    again = apply(x, half, other)
    after = apply(x, half, one)
    identity = torch.equal(apply(x, none, one), x)
    return identity, torch.equal(first, again), not torch.equal(first, after)


def _rows(x, generator):
    return torch.rand(len(x), 1, x.shape[2], 1, generator=generator)


def _keeps_all(x, severities, generator):
    return x * (_rows(x, generator) >= severities.view(-1, 1, 1, 1))


def _darkens(x, severities, generator):
    return 0.9 * _keeps_all(x, severities, generator)


def _one_for_ever(x, severities, generator):
    return _keeps_all(x, severities, torch.Generator().manual_seed(7))


def _of_nobody(x, severities, generator):
    return _keeps_all(x, severities, None)


def _darkens_of_nobody(x, severities, generator):
    return 0.9 * _of_nobody(x, severities, generator)


def operators(generator: torch.Generator) -> list[Case]:
    """An operator that keeps all three promises, and others that break some."""
    kinds = {
        "rows that are lost": _keeps_all,
        "the same, and a darker picture": _darkens,
        "the same rows every time": _one_for_ever,
        "rows that another generator chooses": _of_nobody,
        "these, and a darker picture": _darkens_of_nobody,
    }
    x = 0.1 + 0.9 * torch.rand(3, 3, 16, 4, generator=generator)
    return [Case(label, (apply, x)) for label, apply in kinds.items()]


def _at(x, severity):
    return torch.full((len(x),), severity, dtype=torch.float64)


def _seeded():
    return torch.Generator().manual_seed(0)


def _same_generator(apply, x):
    identity, _, fresh = beforehand.contract(apply, x)
    one = _seeded()
    return identity, torch.equal(apply(x, _at(x, 0.5), one), apply(x, _at(x, 0.5), one)), fresh


def _at_zero(apply, x):
    identity, _, fresh = beforehand.contract(apply, x)
    first, again = (apply(x, _at(x, 0.0), _seeded()) for _ in range(2))
    return identity, torch.equal(first, again), fresh


def _new_generators(apply, x):
    identity, equal, _ = beforehand.contract(apply, x)
    first, after = (apply(x, _at(x, 0.5), _seeded()) for _ in range(2))
    return identity, equal, not torch.equal(first, after)


CONTRACT = Exercise(
    id="18.1",
    title="what an operator promises",
    minutes=10,
    difficulty=2,
    stub="""
    def my_contract(apply, x):
        # apply(x, severities, generator) corrupts pictures x: (B, 3, H, W), at severities: (B,).
        # Three truths, (identity, equal, fresh): at severity 0 it gives x back; two generators of
        # one seed give equal corruptions; the next draw of one generator is another corruption.
        # Try the last two at severity 0.5.
        return TODO
    """,
    reference=beforehand.contract,
    cases=operators,
    wrong=(
        Wrong(
            _same_generator,
            "for `equal` you drew twice from *one* generator. The second draw of a generator has "
            "to differ from its first: make two generators with the same seed.",
        ),
        Wrong(
            _at_zero,
            "for `equal` you corrupted at severity 0, where nothing is random and every operator "
            "passes.",
        ),
        Wrong(
            _new_generators,
            "for `fresh` you made a new generator for the second draw. Draw again from the first "
            "generator.",
        ),
        Wrong(
            lambda apply, x: (
                torch.equal(apply(x, _at(x, 0.5), _seeded()), x),
                *beforehand.contract(apply, x)[1:],
            ),
            "you looked for the identity at severity 0.5; the operator promises it at severity 0.",
        ),
        Wrong(
            lambda apply, x: (
                *beforehand.contract(apply, x)[:2],
                not beforehand.contract(apply, x)[2],
            ),
            "`fresh` is true where two draws *differ*.",
        ),
    ),
    alternative=lambda apply, x: (
        bool((apply(x, _at(x, 0.0), _seeded()) - x).abs().max() == 0),
        bool((apply(x, _at(x, 0.5), _seeded()) == apply(x, _at(x, 0.5), _seeded())).all()),
        len({apply(x, _at(x, 0.5), g).sum().item() for g in [_seeded()] * 2}) == 2,
    ),
    hints=(
        "`torch.Generator().manual_seed(0)` makes a generator. `torch.full((len(x),), 0.5)` has "
        "one severity per picture.",
        "Make two generators with one seed. The first draws of the two should be equal, and the "
        "second draw of the first generator should differ from its first.",
        "For `equal`, take `torch.equal(apply(x, half, one), apply(x, half, other))`, where "
        "`one` and `other` have the same seed. For `fresh`, take `not torch.equal(first, "
        "apply(x, half, one))`, where `first` is the first draw of `one`.",
    ),
    solution=my_contract,
    why="Severity 0 is where the scale begins. Equal generators make every result of this course "
    "repeatable, and let all methods see the same draws. And the student has to see a fresh draw "
    "each time. The common wrong turn is an operator that seeds itself: then the student learns "
    "one corruption by heart.",
)


# -- 18.2 --------------------------------------------------------------------------------------
def my_near_copies(train, val, limit):
    train, val = (torch.nn.functional.normalize(one, dim=1) for one in (train, val))
    return (val @ train.T).max(dim=1).values.ge(limit).double().mean()


def halves(generator: torch.Generator) -> list[Case]:
    """Vectors of pictures, some of which are in both halves, a little changed, some of them often."""
    cases = []
    for n, m, copies in ((30, 10, 3), (12, 20, 5), (40, 8, 0)):
        train = torch.randn(n, 24, generator=generator)
        val = torch.randn(m, 24, generator=generator)
        if copies:
            noise = 0.02 * torch.randn(copies, 24, generator=generator)
            val[:copies] = 3 * (train[:copies] + noise)  # brighter, which a cosine does not see
            train[copies : copies + 4] = train[0] + 0.01  # a burst: one picture four times more
        cases.append(Case(f"{n} and {m} pictures, {copies} copies", (train, val, 0.95)))
    return cases


def _cosines(train, val):
    return F.normalize(val, dim=1) @ F.normalize(train, dim=1).T


COPIES = Exercise(
    id="18.2",
    title="near copies on both sides of a split",
    minutes=8,
    difficulty=2,
    stub="""
    def my_near_copies(train, val, limit):
        # train: (N, d), val: (M, d), a vector for each picture, of any length. The share, in
        # [0, 1], of the *validation* pictures that have a training picture with a cosine of
        # `limit` or more.
        return TODO
    """,
    reference=beforehand.near_copies,
    cases=halves,
    wrong=(
        Wrong(
            lambda train, val, limit: (val @ train.T).max(1).values.ge(limit).double().mean(),
            "you did not divide by the lengths of the vectors, so this is not a cosine.",
        ),
        Wrong(
            lambda train, val, limit: beforehand.near_copies(val, train, limit),
            "that is the share of the *training* pictures that have a copy. Scores are counted on "
            "the validation pictures.",
        ),
        Wrong(
            lambda train, val, limit: _cosines(train, val).ge(limit).sum() / len(val),
            "you counted pairs. A validation picture with five copies counts once.",
        ),
        Wrong(
            lambda train, val, limit: _cosines(train, val).mean(1).ge(limit).double().mean(),
            "you took the mean over the training pictures. One copy is enough, so take the "
            "largest cosine.",
        ),
        Wrong(
            lambda train, val, limit: _cosines(train, val).max(1).values.lt(limit).double().mean(),
            "that is the share without a copy.",
        ),
    ),
    alternative=lambda train, val, limit: (
        sum(bool((F.cosine_similarity(v[None], train) >= limit).any()) for v in val) / len(val)
    ),
    hints=(
        "`torch.nn.functional.normalize(train, dim=1)` gives rows of length one.",
        "If both have such rows, `val @ train.T` has all cosines, with one row per validation "
        "picture.",
        "Take `(val @ train.T).max(dim=1).values >= limit`, and then the mean of these truth "
        "values.",
    ),
    solution=my_near_copies,
    why="A burst of photographs counts as one picture. If it lies on both sides of a split, the "
    "score measures memory, and the method that remembers best seems to lead. The common wrong "
    "turn is to look only for identical files: a camera never writes the same file twice.",
)


# -- 18.3 --------------------------------------------------------------------------------------
def my_advice(clean, corrupted, again, chance):
    if clean - chance < 5:
        return "hopeless"
    if clean - corrupted < 5:
        return "needless"
    if clean - again < 5:
        return "batch norms"
    return "train"


def teachers(generator: torch.Generator) -> list[Case]:
    """Accuracies of teachers, of each kind."""
    near, far = (4 * torch.rand((), generator=generator).item() for _ in range(2))
    rows = (
        (90.0, 20.0 + far, 50.0, 5.0),
        (90.0, 90.0 - near, 60.0 + far, 5.0),
        (90.0, 12.0, 90.0 - near, 10.0),
        (10.0 + near, 11.0, 9.0, 10.0),
        (70.0, 3.0 + near, 4.0, 5.0),
        (60.0, 58.0, 59.0, 57.0 + near / 4),
        (80.0, 90.0, 85.0, 1.0),
        (90.0, 3.0, 90.0 - near, 10.0),
    )
    return [
        Case("clean {:.1f}, corrupted {:.1f}, again {:.1f}, chance {:.1f}".format(*r), r)
        for r in rows
    ]


def _other_order(clean, corrupted, again, chance):
    return "batch norms" if clean - again < 5 else my_advice(clean, corrupted, again, chance)


ADVICE = Exercise(
    id="18.3",
    title="hopeless, needless, or worth a training",
    minutes=6,
    difficulty=1,
    stub="""
    def my_advice(clean, corrupted, again, chance):
        # A teacher's accuracy in percent, in words: on clean pictures, on corrupted ones, on these
        # with its batch norms estimated again; and that of a guess. The first that is true:
        # "hopeless": it is less than 5 points above chance on clean pictures
        # "needless": on corrupted ones it loses less than 5 points
        # "batch norms": with these estimated again it loses less than 5 points
        # "train": none of these
        return TODO
    """,
    reference=beforehand.advice,
    cases=teachers,
    wrong=(
        Wrong(
            lambda clean, corrupted, again, chance: (
                "hopeless" if corrupted - chance < 5 else my_advice(clean, corrupted, again, chance)
            ),
            "you called a teacher hopeless because it fails on *corrupted* pictures. A student is "
            "trained for just this case; a teacher is hopeless if it does not know the clean "
            "pictures.",
        ),
        Wrong(
            lambda clean, corrupted, again, chance: my_advice(clean, corrupted, again, 0.0),
            "a guess is also right now and then: subtract `chance`.",
        ),
        Wrong(
            _other_order,
            "you looked at the batch norms first. If nothing is lost, nothing needs to be done. "
            "And a teacher that knows nothing has nothing to lose, so `hopeless` comes first.",
        ),
        Wrong(
            lambda clean, corrupted, again, chance: (
                "needless"
                if abs(clean - corrupted) < 5
                else my_advice(clean, min(corrupted, clean - 6), again, chance)
            ),
            "a teacher that is *better* on corrupted pictures loses less than 5 points as well: "
            "do not use `abs`.",
        ),
        Wrong(
            lambda clean, corrupted, again, chance: (
                "train" if corrupted < chance else my_advice(clean, corrupted, again, chance)
            ),
            "an accuracy below chance is not a case of its own. Look first at what the batch "
            "norms bring back.",
        ),
    ),
    alternative=lambda clean, corrupted, again, chance: next(
        name
        for name, lost in (
            ("hopeless", clean - chance),
            ("needless", clean - corrupted),
            ("batch norms", clean - again),
            ("train", -math.inf),
        )
        if lost < 5
    ),
    hints=(
        "Write one `if` for each answer but the last, in the order of the comments.",
        "The corruption costs `clean - corrupted`; the teacher's lead over a guess is `clean - "
        "chance`.",
        'The first line is `if clean - chance < 5: return "hopeless"`. Compare `clean - '
        "corrupted` and `clean - again` with 5 in the same way.",
    ),
    solution=my_advice,
    why="A student learns what its teacher says of clean pictures, so the first question is "
    "whether the teacher knows these. The common wrong turn is to read a teacher's failure on "
    "corrupted pictures as proof that everything is lost: in lesson 05 CLIP names hardly any of "
    "the masked pictures, and its student most of them.",
)


# -- 18.4 --------------------------------------------------------------------------------------
def my_minutes(seconds, epochs, pictures, batch_size):
    steps = epochs * math.ceil(pictures / batch_size)
    return steps * seconds[10:].mean() / 60


def timed(generator: torch.Generator) -> list[Case]:
    """Seconds of fifty steps, of which the first are slow, and trainings of some sizes."""
    cases = []
    for epochs, pictures, batch_size in ((25, 640, 64), (10, 1000, 256), (3, 130, 64)):
        seconds = 0.1 + 0.05 * torch.rand(50, generator=generator)
        seconds[:5] *= 8
        label = f"{epochs} epochs of {pictures} pictures, batches of {batch_size}"
        cases.append(Case(label, (seconds, epochs, pictures, batch_size)))
    return cases


MINUTES = Exercise(
    id="18.4",
    title="minutes, from fifty steps",
    minutes=6,
    difficulty=1,
    stub="""
    def my_minutes(seconds, epochs, pictures, batch_size):
        # seconds: (50,), of the first steps of a training. The minutes that all its steps will
        # take. Leave out the first ten, which are slow; a last batch may be smaller, and counts
        # as a step.
        return TODO
    """,
    reference=beforehand.minutes,
    cases=timed,
    wrong=(
        Wrong(
            lambda seconds, *rest: beforehand.minutes(seconds, *rest, leave=0),
            "the first ten steps are in your mean. They are slow, because memory is allocated "
            "and kernels are chosen in them. The later steps are faster.",
        ),
        Wrong(
            lambda seconds, epochs, pictures, batch_size: (
                seconds[10:].mean() * epochs * (pictures // batch_size) / 60
            ),
            "you rounded the steps of an epoch down. The pictures that are left over make one "
            "more step.",
        ),
        Wrong(
            lambda seconds, epochs, pictures, batch_size: (
                seconds[10:].mean() * math.ceil(pictures / batch_size) / 60
            ),
            "that is the time of one epoch only.",
        ),
        Wrong(
            lambda seconds, epochs, pictures, batch_size: (
                seconds[10:].mean() * epochs * math.ceil(pictures / batch_size)
            ),
            "these are seconds: divide by 60.",
        ),
        Wrong(
            lambda seconds, epochs, pictures, batch_size: (
                seconds[10:].mean() * epochs * pictures / 60
            ),
            "a step takes a batch, not a picture.",
        ),
    ),
    alternative=lambda seconds, epochs, pictures, batch_size: (
        seconds[10:].double().sum() / 40 / 60 * epochs * -(-pictures // batch_size)
    ),
    hints=(
        "Minutes = number of steps × seconds per step / 60.",
        "An epoch has `math.ceil(pictures / batch_size)` steps.",
        "`seconds[10:].mean()` is the time that a step takes.",
    ),
    solution=my_minutes,
    why="After the first ten, a step costs the same at the end as at the beginning, in time and "
    "in memory, so fifty steps tell the cost of all steps. The common wrong turn is to count the "
    "slow first steps: they make a long training look hopeless.",
)

EXERCISES = (CONTRACT, COPIES, ADVICE, MINUTES)

PREDICTIONS = (
    Prediction(
        "18.A",
        "CLIP names all of our clean stickers rightly. Of these pictures, with 30 to 70 % of their rows "
        "lost, how many percent does it name rightly?",
        tolerance=8.0,
        digits=0,
    ),
    Prediction(
        "18.B",
        "You have seen fifty steps. How many percent does the student of the whole training name "
        "rightly, in words, without a label?",
        tolerance=5.0,
        digits=0,
    ),
    Prediction(
        "18.C",
        "A student of a quarter of the pictures, each seen four times as often: how many points does it "
        "lose?",
        tolerance=3.0,
        digits=1,
    ),
)
