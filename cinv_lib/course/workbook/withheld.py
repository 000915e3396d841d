"""Until a date that the teacher names, a class finds its own solutions.

The date stands in `class.toml`, beside the lessons:

    solutions_from = 2026-12-01

This is a courtesy and no lock: whoever deletes the file sees the solutions, and the page says so.
"""

import tomllib
import warnings
from datetime import date
from pathlib import Path

from cinv_lib.course.workbook.page import Page
from cinv_lib.machine.folders import ROOT

FILE, KEY = "class.toml", "solutions_from"


def opening() -> date | None:
    """The first day of solutions; None where no file names one. A lesson runs in its own folder.

    Raises:
        ValueError: the file says something else.
    """
    for folder in (Path.cwd(), ROOT / "notebooks"):
        file = folder / FILE
        if file.is_file():
            try:
                day = tomllib.loads(file.read_text(encoding="utf-8")).get(KEY)
            except ValueError as error:
                raise ValueError(f"{file} cannot be read: {error}") from None
            if type(day) is not date:
                raise ValueError(f"{file}: expected a line as `{KEY} = 2026-12-01`, got {day!r}")
            return day
    return None


def page(title: str) -> Page | None:
    """What stands in place of a solution, under this title; None where it may be seen."""
    try:
        day = opening()
    except ValueError as error:  # a slip of the teacher's must not close the solutions for ever
        warnings.warn(f"{error}; no solution is withheld", stacklevel=3)
        return None
    if day is None or date.today() >= day:
        return None
    shown = Page(f"{title} from {day:%d.%m.%Y} on")
    return shown.line(
        f"Your class sees solutions from that day on; until then `hint` helps. The date is in "
        f"`{FILE}` beside the lessons. It is a courtesy to your teacher and no lock."
    )
