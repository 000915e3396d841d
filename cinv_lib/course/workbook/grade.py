"""Try an answer on an exercise's cases, and find the likely cause of what is wrong.

Nothing that an answer does stops the notebook: it may raise, hang, return nothing or change its
arguments, and the report says so.
"""

import contextlib
import io
import linecache
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cinv_lib.course.workbook import chance
from cinv_lib.course.workbook.chance import fresh
from cinv_lib.course.workbook.compare import NONE, difference, relation
from cinv_lib.course.workbook.exercise import Case, Exercise
from cinv_lib.course.workbook.todo import TODO, has_todo, is_about_todo

SECONDS = 10  # for one case


@dataclass(frozen=True)
class Outcome:
    """One case: "right", "wrong" or "error", and what is to be said of it."""

    label: str
    state: str
    detail: str = ""


@dataclass(frozen=True)
class Grade:
    """What came of an answer. `state`: "todo", "right" or "wrong".

    usable: whether a right answer gives tensors where the library's own does, so that cells below
        can go on with it. A float is as right, but has no `.mean()`.
    """

    exercise: Exercise
    state: str
    outcomes: tuple[Outcome, ...] = ()
    cause: str = ""
    usable: bool = True


def grade(exercise: Exercise, answer: Any, seed: int | None = None) -> Grade:
    """Try `answer`, a function or a value, on the cases of a seed. Never raises what it raises."""
    if exercise.is_function and not callable(answer):
        if has_todo(answer):
            return Grade(exercise, "todo")
        said = f"{exercise.name} is a {type(answer).__name__}, expected a function"
        return Grade(exercise, "wrong", (Outcome("the answer", "wrong", said),))
    function = answer if exercise.is_function else lambda *_: answer
    cases = exercise.drawn(seed)
    tried = [_try(function, case) for case in cases]
    if any(has_todo(got) for got, _ in tried):
        return Grade(exercise, "todo")
    outcomes = tuple(
        Outcome(case.label, "error", error) if error else _judge(exercise, case, got)
        for case, (got, error) in zip(cases, tried, strict=True)
    )
    results, stopped = [got for got, _ in tried], any(error for _, error in tried)
    # An answer that draws elsewhere can be right by chance, or for today.
    fault = "" if stopped else _chance(function, exercise, cases, results)
    right = all(outcome.state == "right" for outcome in outcomes)
    if right and fault:
        said = "it looks right, but its chance is not the generator's"
        outcomes = tuple(Outcome(case.label, "wrong", said) for case in cases)
        return Grade(exercise, "wrong", outcomes, fault)
    if right:
        usable = all(
            isinstance(got, torch.Tensor)
            or not isinstance(exercise.reference(*fresh(case.args)), torch.Tensor)
            for case, (got, _) in zip(cases, tried, strict=True)
        )
        return Grade(exercise, "right", outcomes, usable=usable)
    cause = "" if stopped else _cause(exercise, cases, results) or fault
    return Grade(exercise, "wrong", outcomes, cause)


def _chance(function: Callable, exercise: Exercise, cases: list[Case], results: list[Any]) -> str:
    """What is wrong with where an answer's chance comes from; "" where nothing is."""
    with contextlib.redirect_stdout(io.StringIO()):  # what an answer prints was seen once
        return chance.fault(
            lambda arguments: _try(function, Case("", arguments)),
            [case.args for case in cases],
            results,
            exercise.tolerance,
        )


def _judge(exercise: Exercise, case: Case, got: Any) -> Outcome:
    if exercise.judge is None:
        expected = exercise.reference(*fresh(case.args))
        wrong = difference(got, expected, exercise.tolerance)
    else:
        try:
            wrong = NONE if got is None else exercise.judge(got, *fresh(case.args))
        except Exception as error:  # a judge counts on the right kind of value
            wrong = f"it gave a {type(got).__name__} of no use here ({_line(error)})"
    return Outcome(case.label, "wrong" if wrong else "right", wrong or "")


def _cause(exercise: Exercise, cases: list[Case], results: list[Any]) -> str:
    """The sentence of the known wrong answer that gives the same results; else a simple rule."""
    for wrong in exercise.wrong:
        function = wrong.answer if exercise.is_function else _constant(wrong.answer)
        others = [_try(function, case) for case in cases]
        if not any(error for _, error in others) and all(
            difference(got, other, exercise.tolerance) is None
            for got, (other, _) in zip(results, others, strict=True)
        ):
            return wrong.because
    if exercise.judge or not exercise.is_function:
        return ""
    expected = [exercise.reference(*fresh(case.args)) for case in cases]
    return relation(list(zip(results, expected, strict=True)), exercise.tolerance) or ""


def _constant(answer: Callable) -> Callable:
    return lambda *_: answer()


def _try(function: Callable, case: Case) -> tuple[Any, str]:
    """What the function gives, and what stopped it in words ("" where nothing did)."""
    arguments = fresh(case.args)
    try:
        # Gradients are on again after an answer that turned them off, or was stopped under no_grad.
        with torch.set_grad_enabled(torch.is_grad_enabled()), _limited(SECONDS):
            got = function(*arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit as well: an answer must not end the notebook
        return (TODO, "") if is_about_todo(error) else (None, _words(error, function))
    for number, (after, before) in enumerate(zip(arguments, case.args, strict=True), start=1):
        if _changed(after, before):
            return None, f"it changes its argument number {number} in place; work on a copy"
    return got, ""


def _changed(after: Any, before: Any) -> bool:
    """Whether numbers in an argument differ; a generator, say, is there to be used."""
    if isinstance(before, dict):
        return list(after) != list(before) or _changed([*after.values()], [*before.values()])
    if isinstance(before, tuple | list):
        return len(after) != len(before) or any(map(_changed, after, before))
    numbers = isinstance(before, torch.Tensor | np.ndarray)
    return numbers and difference(after, before, 0.0) is not None


def _words(error: BaseException, function: Callable) -> str:
    """The error in one line, with the reader's own line that raised it."""
    file = getattr(getattr(function, "__code__", None), "co_filename", None)
    text = _line(error)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename == file:
            line = (frame.line or linecache.getline(file, frame.lineno)).strip()
            return f"{text} (in your line `{line}`)" if line else text
    return text


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), 'no message')}"


@contextmanager
def _limited(seconds: int | float) -> Iterator[None]:
    """TimeoutError after so long, where the system can: an endless loop is an answer too."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f"it ran for more than {seconds:g} s; is there an endless loop?")

    if not hasattr(signal, "setitimer") or threading.current_thread() != threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
