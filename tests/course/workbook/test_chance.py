"""An answer's chance comes from the generator that it is given, and from nowhere else."""

import numpy as np
import pytest
import torch

from cinv_lib.course.workbook import chance
from cinv_lib.course.workbook import exercise as book
from cinv_lib.course.workbook.grade import grade

EXERCISES = [exercise for lesson in book.lessons() for exercise in book.of_lesson(lesson)]
RANDOM = [
    exercise
    for exercise in EXERCISES
    if exercise.is_function
    and any(isinstance(one, torch.Generator) for case in exercise.drawn() for one in case.args)
]
every = pytest.mark.parametrize("exercise", RANDOM, ids=lambda exercise: exercise.id)


def with_generator(exercise, make):
    """The reference, which draws from another generator than the one that it is given."""

    def answer(*arguments):
        return exercise.reference(
            *(make(one) if isinstance(one, torch.Generator) else one for one in arguments)
        )

    return answer


def test_those_that_accepted_anything_are_among_them():
    assert {"1.1", "1.2", "1.4", "5.2", "8.1", "13.1"} <= {exercise.id for exercise in RANDOM}


@every
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda given: torch.Generator().manual_seed(0), chance.UNUSED),
        (lambda given: torch.Generator().manual_seed(given.initial_seed()), chance.UNUSED),
        (
            lambda given: torch.Generator().manual_seed(int(torch.randint(2**31, ()))),
            chance.ELSEWHERE,
        ),
        (
            lambda given: torch.Generator().manual_seed(int(np.random.randint(2**31))),
            chance.ELSEWHERE,
        ),
    ],
    ids=["its own seed", "the seed alone", "torch's global one", "numpy's global one"],
)
def test_an_answer_that_ignores_its_generator_is_refused_and_told_so(exercise, make, words):
    graded = grade(exercise, with_generator(exercise, make))
    assert graded.state == "wrong" and graded.cause == words, graded.outcomes


@every
def test_the_global_state_is_left_as_it_was(exercise):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert grade(exercise, exercise.reference).state == "right"
    assert torch.equal(torch.get_rng_state(), before)


def test_an_answer_that_stops_the_second_time_is_told_so():
    exercise, called = book.find("8.1"), []

    def once(*arguments):
        called.append(1)
        if len(called) > len(exercise.drawn()):
            raise SystemExit
        return exercise.reference(*arguments)

    graded = grade(exercise, once)
    assert graded.state == "wrong" and "a second time your answer stops" in graded.cause


def test_a_wrong_answer_is_not_blamed_for_a_generator_that_it_uses():
    """5.2 blamed it whatever was wrong."""
    exercise = book.find("5.2")
    graded = grade(exercise, lambda S, R, A, x, g: exercise.reference(S, R, A, x, g) / 3)
    assert graded.state == "wrong"
    said = [graded.cause, *(outcome.detail for outcome in graded.outcomes)]
    assert not any("generator" in words for words in said), said
    deaf = grade(exercise, lambda S, R, A, x, g: exercise.reference(S, R, A, x, None))
    assert deaf.cause == chance.ELSEWHERE


def test_what_an_answer_prints_is_seen_once_for_each_case(capsys):
    exercise = book.find("8.1")

    def loud(*arguments):
        print("here")
        return exercise.reference(*arguments)

    grade(exercise, loud)
    assert capsys.readouterr().out.split() == ["here"] * len(exercise.drawn())
