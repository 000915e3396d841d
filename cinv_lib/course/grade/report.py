"""What the teacher reads: a table for a spreadsheet, and a page. Both are written whole."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

from jinja2 import Environment, FileSystemLoader

from cinv_lib.course.grade.rows import NOT_ATTEMPTED, RIGHT, STATES, Row
from cinv_lib.machine.files import whole, write_text

COLUMNS = (
    "student", "exercise", "state", "cases", "cause", "calls the library's own function", "attempts"
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would compute what begins so
PAGES = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)


def write(folder: Path, rows: Sequence[Row], seed: int) -> None:
    """Write grades.csv and grades.html into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with whole(folder / "grades.csv") as part:
        part.write_bytes(table(rows).encode("utf-8-sig"))
    write_text(folder / "grades.html", page(rows, seed))


def table(rows: Sequence[Row]) -> str:
    """Comma-separated values, without a formula.

    >>> table([Row("=1+1", "2.1", "right")]).splitlines()[1]
    "'=1+1,2.1,right,,,,"
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    writer.writerows([_plain(cell) for cell in astuple(row)] for row in rows)
    return out.getvalue()


def _plain(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def page(rows: Sequence[Row], seed: int) -> str:
    """The same as a page, which escapes all that students wrote: who has what, what went wrong most
    often, and every row."""
    exercises = sorted({row.exercise for row in rows if row.exercise}, key=_order)
    students = list(dict.fromkeys(row.student for row in rows))
    state = {(row.student, row.exercise): row.state for row in rows}
    causes = Counter(
        (row.exercise, row.cause)
        for row in rows
        if row.cause and row.state not in (RIGHT, NOT_ATTEMPTED)
    )
    return PAGES.get_template("grades.html").render(
        seed=seed,
        columns=COLUMNS,
        rows=[astuple(row) for row in rows],
        exercises=exercises,
        grid=[(one, [state.get((one, id), "") for id in exercises]) for one in students],
        right=[sum(state.get((one, id)) == RIGHT for one in students) for id in exercises],
        causes=[(id, cause, count) for (id, cause), count in causes.most_common()],
        counts=[(name, sum(row.state == name for row in rows)) for name in STATES],
    )


def _order(id: str) -> tuple[str, str]:
    lesson, _, number = id.partition(".")
    return lesson.zfill(2), number.zfill(3)
