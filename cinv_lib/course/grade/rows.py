"""The rows of a grade: one for each student and exercise, from what the kernels gave."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cinv_lib.course.grade import kernel
from cinv_lib.course.grade.kernel import Limits, Ran
from cinv_lib.course.grade.submission import Submission
from cinv_lib.course.workbook import exercise as book
from cinv_lib.machine.files import read_json

RIGHT, WRONG, STOPPED, BY_HAND = "right", "wrong", "stopped", "by hand"
NOT_ATTEMPTED = "not attempted"
STATES = (RIGHT, WRONG, STOPPED, BY_HAND, NOT_ATTEMPTED)  # the best of several checks counts
LONGEST = 500  # letters of a cause


@dataclass(frozen=True)
class Row:
    """One exercise of one student.

    cases: right ones of all, as "2 of 3"; cause: why it is not right; own: "yes" where the answer
    calls the library's own function, which the course's solution does not; attempts: of the
    student's progress, where it was handed in too.
    """

    student: str
    exercise: str
    state: str
    cases: str = ""
    cause: str = ""
    own: str = ""
    attempts: str = ""


def grade(
    given: Submission,
    seed: int,
    limits: Limits = kernel.LIMITS,
    run: Callable[..., Ran] = kernel.run,
) -> list[Row]:
    """A row for each exercise of the lesson; an exercise at which a kernel is lost costs no other.

    Raises RuntimeError where no kernel starts.
    """
    cells, verdicts, failed = list(given.cells), [], {}
    while any(cell.ids for cell in cells):
        ran = run(cells, seed, limits)
        verdicts += ran.verdicts
        failed |= {id: said for at, said in ran.errors.items() for id in cells[at].ids}
        if ran.stopped is None:
            break
        at, cause = ran.stopped
        failed |= dict.fromkeys(cells[at].ids, cause)
        cells = [cell for cell in cells[:at] if not cell.ids] + cells[at + 1 :]
    found = [_row(given, id, verdicts, failed.get(id)) for id in given.ids]
    return [named(row, given) for row in found]


def not_graded(student: str, cause: str) -> Row:
    """The row of a file that could not be graded."""
    return Row(student, "", BY_HAND, cause=cause)


def _row(given: Submission, id: str, verdicts: list[dict[str, Any]], failed: str | None) -> Row:
    mine = [one for one in verdicts if one["id"] == id and one.get("state") in STATES]
    if mine:
        best = min(mine, key=lambda one: STATES.index(one["state"]))
        state, cause = best["state"], str(best["cause"])
        cases = "" if state == NOT_ATTEMPTED else f"{best['right']} of {best['cases']}"
        own = "" if state == NOT_ATTEMPTED else "yes" if best["own"] else "no"
    else:
        state, cases, own = STOPPED, "", ""
        cause = failed or ""
    if not mine and not failed:
        state, cause = NOT_ATTEMPTED, f'no cell calls check("{id}", ...)'
    if state in (WRONG, STOPPED) and (name := _missing(cause)) in given.elsewhere:
        state = BY_HAND
        cause = f"it uses `{name}`, which a cell makes that is not run for a grade ({cause})"
    if not _is_known(id):
        state, cause = BY_HAND, "this version of the course has no such exercise"
    return Row(given.student, id, state, cases, cause[:LONGEST], own)


def _missing(cause: str) -> str | None:
    found = re.search(r"NameError: name '(\w+)'", cause)
    return found and found[1]


def _is_known(id: str) -> bool:
    try:
        book.find(id)
    except KeyError:
        return False
    return True


def _attempts(path: Path) -> dict[str, str]:
    """Attempts by exercise: of NAME.progress.json beside NAME.ipynb; else of progress.json there,
    if the folder is one student's: it has a single notebook, or lessons of different numbers."""
    own, shared = path.with_suffix(".progress.json"), path.with_name("progress.json")
    numbers = [one.name[:2] for one in path.parent.glob("*.ipynb")]
    lessons = all(map(str.isdigit, numbers)) and len(set(numbers)) == len(numbers)
    if not own.exists() and len(numbers) > 1 and not lessons:
        return {}
    try:
        entries = read_json(own if own.exists() else shared)["exercises"]
        return {id: str(entry.get("attempts", 0)) for id, entry in entries.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def named(row: Row, given: Submission) -> Row:
    """A row that was kept, for whoever hands in the same file now."""
    attempts = _attempts(given.path).get(row.exercise, "")
    return replace(row, student=given.student, attempts=attempts)


def to_json(rows: list[Row]) -> str:
    """The rows as text, for `from_json`."""
    return json.dumps([asdict(row) for row in rows], indent=1)


def from_json(file: Path) -> list[Row] | None:
    """The rows of a file; None where there is none that can be read."""
    try:
        return [Row(**row) for row in read_json(file)]
    except (OSError, ValueError, TypeError):
        return None
