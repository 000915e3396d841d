"""Wrong answers that show what is easily misunderstood, from the exercises themselves."""

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cinv_lib.course.workbook.exercise import Exercise, Wrong
from cinv_lib.course.workbook.grade import grade

COUNT = 3


@dataclass(frozen=True)
class Misconception:
    """A wrong answer of an exercise.

    code: the answer; shows: a line that shows what the check says of it; because: the sentence for
    its author; found: what is wrong with it in the first case that it fails.
    """

    exercise: Exercise
    code: str
    shows: str
    because: str
    found: str


def of_lesson(exercises: Sequence[Exercise]) -> list[Misconception]:
    """Three, of as many exercises as there are; the first of an exercise is the most usual one."""
    rounds = max((len(exercise.wrong) for exercise in exercises), default=0)
    order = [(e, k) for k in range(rounds) for e in exercises if k < len(e.wrong)]
    return sorted((_of(e, k) for e, k in order[:COUNT]), key=lambda one: one.exercise.id)


def _of(exercise: Exercise, number: int) -> Misconception:
    wrong: Wrong = exercise.wrong[number]
    answer = wrong.answer if exercise.is_function else wrong.answer()
    bad = [one for one in grade(exercise, answer).outcomes if one.state != "right"]
    call = "answer" if exercise.is_function else "answer()"
    return Misconception(
        exercise=exercise,
        code=source(wrong.answer, exercise.name),
        shows=f'check("{exercise.id}", find("{exercise.id}").wrong[{number}].{call})',
        because=wrong.because,
        found=f"{bad[0].label}: {bad[0].detail}".strip(": ") if bad else "",
    )


def source(answer: Callable, name: str) -> str:
    """The text of a function, or of a lambda as `name = lambda ...`. (`inspect` gives a lambda's
    whole line, with what stands around it.)"""
    if isinstance(answer, functools.partial):  # what it fixes is said beneath the function
        fixed = [*map(repr, answer.args), *(f"{k}={v!r}" for k, v in answer.keywords.items())]
        called = f"{name} = functools.partial({answer.func.__name__}, {', '.join(fixed)})"
        return f"{source(answer.func, name)}\n\n\n{called}"
    if answer.__name__ != "<lambda>":
        return textwrap.dedent(inspect.getsource(answer)).strip()
    file, first = Path(answer.__code__.co_filename), answer.__code__.co_firstlineno
    tree = ast.parse(file.read_text(encoding="utf-8"))
    there = [n for n in ast.walk(tree) if isinstance(n, ast.Lambda) and n.lineno == first]
    # the outer one of two on a line has names of its own: its parameters
    names = answer.__code__.co_varnames[: answer.__code__.co_argcount]
    found = next(n for n in there if tuple(arg.arg for arg in n.args.args) == names)
    return f"{name} = {ast.unparse(found)}"
