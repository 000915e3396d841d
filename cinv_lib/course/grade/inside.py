"""What runs in the kernel of a notebook that is graded: limits, silence, and another `check`.

The first cell calls `begin`. From then on `check` judges on the cases of the teacher's seed and
writes a line of JSON for each answer, for the grader to read.
"""

import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from IPython import get_ipython

import cinv_lib
from cinv_lib.course import workbook
from cinv_lib.course.workbook import commands
from cinv_lib.course.workbook import exercise as book
from cinv_lib.course.workbook import grade as judge
from cinv_lib.course.workbook.exercise import Exercise

LIBRARY = str(Path(cinv_lib.__file__).parent) + os.sep
COURSE = LIBRARY + "course" + os.sep
TOO_LONG = "TimeoutError: it ran for more than"  # as the judge says it
STATES = {"todo": "not attempted"}


def begin(verdicts: str, seed: int, cell: int | float, cpu: int, file: int, memory: int) -> None:
    """Set the limits of this process, and have `check` write its verdicts to a file.

    cell: seconds for a cell; cpu: seconds of computing from now on; file, memory: bytes, the
    latter of address space, and on Linux only.
    """
    out = open(verdicts, "a", encoding="utf-8")  # noqa: SIM115  # it is written to the very end
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    _limit(resource.RLIMIT_CPU, round(used) + cpu)
    _limit(resource.RLIMIT_FSIZE, file)
    _limit(resource.RLIMIT_CORE, 0)
    if sys.platform == "linux":  # others count otherwise, or do not keep to it
        _limit(resource.RLIMIT_AS, memory)
    torch.set_num_threads(1)
    _mute()

    def check(id: str, answer: Any) -> Any:
        exercise = book.find(id)
        # a loop without an end is the judge's to report, before the cell is stopped
        judge.SECONDS = min(judge.SECONDS, cell / (len(exercise.drawn(seed)) + 2))
        print(json.dumps(verdict(exercise, answer, seed)), file=out, flush=True)
        return exercise.reference if exercise.is_function else exercise.reference()

    commands.check = workbook.check = check


def _limit(what: int, most: int) -> None:
    """Lower a limit; one that is lower already stays."""
    _, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, hard))


def _mute() -> None:
    """What is printed or shown goes nowhere: a gigabyte of it would fill the grader's memory."""
    nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for descriptor in (1, 2):
        os.dup2(nowhere.fileno(), descriptor)
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = nowhere
    shell = get_ipython()
    shell.display_pub.publish = shell.display_trap.hook = lambda *_, **__: None


def verdict(exercise: Exercise, answer: Any, seed: int) -> dict[str, Any]:
    """What came of an answer, as it is handed to the grader: numbers, words and truth values."""
    watched = Watched(answer) if callable(answer) and exercise.is_function else answer
    graded = judge.grade(exercise, watched, seed)
    bad = [f"{one.label}: {one.detail}" for one in graded.outcomes if one.state != "right"]
    long = any(one.detail.startswith(TOO_LONG) for one in graded.outcomes)
    own = calls_own(exercise, watched.calls, seed) if isinstance(watched, Watched) else False
    return {
        "id": exercise.id,
        "state": "stopped" if long else STATES.get(graded.state, graded.state),
        "right": len(graded.outcomes) - len(bad),
        "cases": len(graded.outcomes),
        "cause": graded.cause or next(iter(bad), ""),
        "own": own,
    }


class Watched:
    """An answer that remembers which functions of the library it has called itself.

    Only its first calls are looked into, as that makes a call many times as slow.
    """

    def __init__(self, answer: Callable) -> None:
        self.answer = answer
        self.left = 3
        self.calls: set[Any] = set()
        self.__code__ = getattr(answer, "__code__", None)  # the judge quotes the line that failed

    def __call__(self, *arguments: Any) -> Any:
        if not self.left:
            return self.answer(*arguments)
        self.left -= 1
        depth = 0

        def note(frame: Any, event: str, _: Any) -> None:
            nonlocal depth
            file = frame.f_code.co_filename
            if event in ("call", "return") and file.startswith(LIBRARY):
                if file.startswith(COURSE):
                    return
                if event == "call" and depth == 0:
                    self.calls.add(frame.f_code)
                depth += 1 if event == "call" else -1

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            return self.answer(*arguments)
        finally:
            sys.setprofile(before)


def calls_own(exercise: Exercise, calls: set[Any], seed: int) -> bool:
    """Whether the calls have one that the reference makes and the course's solution does not."""
    if not calls:
        return False
    reference, solution = Watched(exercise.reference), Watched(lambda *_: None)
    if callable(exercise.solution):
        solution = Watched(exercise.solution)
    for tried in (reference, solution):
        judge.grade(exercise, tried, seed)
    return bool(calls & (reference.calls - solution.calls))
