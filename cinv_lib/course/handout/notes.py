"""notes.md: for each lesson its aim, minutes by section, three misconceptions and a demo."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nbformat

from cinv_lib.course.excerpt import read_minutes
from cinv_lib.course.handout import misconceptions
from cinv_lib.course.workbook import exercise as book

HERE = Path(__file__).parent
HEAD = """# Notes for teachers

The minutes to read are each lesson's own, shared out over its sections by what stands in them. The
minutes of exercises are the exercises' own. A wrong answer is shown in a lesson by the line below
it, after

    from cinv_lib.course.workbook import check
    from cinv_lib.course.workbook.exercise import find

## From nbgrader or otter

`python -m cinv_lib.course.grade` needs neither. A course that uses one of them already can call the
same judge from a hidden test (we have not run this in either of them):

    from cinv_lib.course.workbook.exercise import find
    from cinv_lib.course.workbook.grade import grade

    graded = grade(find("2.1"), my_alignment, seed=7)    # the cases of your seed; it raises nothing
    wrong = [f"{one.label}: {one.detail}" for one in graded.outcomes if one.state != "right"]
    assert graded.state == "right", graded.cause or wrong or "not attempted"

In nbgrader this is an autograded test cell below the exercise. In otter it is the body of a test
case with the exercise's name as its argument. Neither contains malice without a container.
"""


@dataclass(frozen=True)
class Section:
    """A section of a lesson, with minutes to read, and of its exercises."""

    title: str
    read: int
    exercises: int


@cache
def teaching() -> dict[str, Any]:
    """What the lessons cannot say of themselves: aims, demos, plans, the test."""
    return tomllib.loads((HERE / "teaching.toml").read_text(encoding="utf-8"))


def title(notebook: nbformat.NotebookNode) -> str:
    """The heading of a lesson, "01 Forward operators"."""
    return notebook.cells[0].source.splitlines()[0].removeprefix("# ").replace(" · ", " ")


def sections(lesson: str, notebook: nbformat.NotebookNode) -> list[Section]:
    """The sections of a lesson, by its second headings; their minutes to read add up to its own."""
    cells = {exercise.cell(): exercise for exercise in book.of_lesson(lesson)}
    names, weights, minutes = ["Beginning"], [0], [0]
    for cell in notebook.cells:
        found = re.findall(r"^## (.+)$", cell.source, re.M) if cell.cell_type == "markdown" else []
        if found:
            names.append(found[0])
            weights.append(0)
            minutes.append(0)
        if cell.source in cells:
            minutes[-1] += cells[cell.source].minutes
        else:
            weights[-1] += _weight(cell)
    read = shared(read_minutes(notebook), weights)
    return [Section(*one) for one in zip(names, read, minutes, strict=True) if any(one[1:])]


def _weight(cell: nbformat.NotebookNode) -> int:
    """How long a cell takes to read, in words: a line of code as four, a figure as sixty."""
    if cell.cell_type == "markdown":
        return len(cell.source.split())
    figures = sum("image/png" in output.get("data", {}) for output in cell.get("outputs", ()))
    return 4 * len(cell.source.splitlines()) + 60 * figures


def shared(total: int, weights: Sequence[int]) -> list[int]:
    """Whole numbers with this sum, in proportion to the weights.

    >>> shared(10, [1, 1, 2])
    [3, 2, 5]
    """
    ends, done = [], 0
    for weight in weights:
        done += weight
        ends.append(int(total * done / (sum(weights) or 1) + 0.5))
    return [end - before for before, end in zip([0, *ends], ends, strict=False)]


def notes(lessons: dict[str, nbformat.NotebookNode]) -> str:
    """The notes on lessons, by number."""
    return "\n".join([HEAD, *(chapter(number, one) for number, one in lessons.items())])


def chapter(lesson: str, notebook: nbformat.NotebookNode) -> str:
    """The notes on one lesson."""
    said = teaching()["lesson"].get(lesson, {})
    parts = sections(lesson, notebook)
    lines = [f"## {title(notebook)}", "", f"**Aim.** {_line(said, 'aim')}", ""]
    lines += ["| section | read | exercises |", "|---|---|---|"]
    lines += [f"| {s.title} | {_minutes(s.read)} | {_minutes(s.exercises)} |" for s in parts]
    sums = [sum(s.read for s in parts), sum(s.exercises for s in parts)]
    lines += [f"| **together** | {_minutes(sums[0])} | {_minutes(sums[1])} |", ""]
    found = misconceptions.of_lesson(book.of_lesson(lesson))
    lines += ["**Three misconceptions**, each with the wrong answer that shows it.", ""] * bool(
        found
    )
    for number, one in enumerate(found, start=1):
        lines += [f"{number}. Exercise {one.exercise.id}, {one.exercise.title}: {one.because}", ""]
        lines += [f"       {line}".rstrip() for line in [*one.code.splitlines(), "", one.shows]]
        lines += ["", f"   The check finds: {one.found}." if one.found else "", ""]
    return "\n".join([*lines, f"**Demo, five minutes.** {_line(said, 'demo')}", ""])


def _line(said: dict[str, str], key: str) -> str:
    return " ".join(said.get(key, "").split())


def _minutes(count: int) -> str:
    return f"{count} min" if count else ""
