"""The table of lessons in the README, and how long the roads through them take, made from the
lessons themselves.

python -m cinv_lib.course.contents            write it anew
"""

import json
from dataclasses import dataclass
from pathlib import Path

from cinv_lib.course.excerpt import CORE, read_minutes
from cinv_lib.course.workbook import exercise as book
from cinv_lib.machine.files import write_text
from cinv_lib.machine.folders import ROOT

BEGIN, END = "<!-- lessons: python -m cinv_lib.course.contents -->", "<!-- end of lessons -->"
HEADER = ("lesson", "what it is about", "paper", "read", "run", "exercises")


def table(folder: Path = ROOT / "notebooks") -> str:
    """A row a notebook: its title, and of its metadata's `course` what it is about, the paper's
    place, minutes to read, seconds that its last published run took; and its exercises."""
    rows = [HEADER, tuple("---" for _ in HEADER)]
    for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        course = notebook["metadata"]["course"]
        heading = "".join(notebook["cells"][0]["source"]).splitlines()[0]
        title = heading.removeprefix("# ").replace(" · ", " ").partition(":")[0]
        exercises = book.of_lesson(path.stem[:2])
        minutes = sum(exercise.minutes for exercise in exercises)
        rows.append(
            (
                f"[{title}](notebooks/{path.name})",
                course["about"],
                course["paper"],
                f"{read_minutes(notebook)} min",
                f"{course['run_seconds']} s",
                f"{len(exercises)} ({minutes} min)" if exercises else "",
            )
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


@dataclass(frozen=True)
class Road:
    """A way through the course: its name, its lessons, minutes to read and minutes of exercises."""

    name: str
    lessons: str
    read: int
    exercises: int

    def __str__(self) -> str:
        return (
            f"{self.name}: lessons {self.lessons}, {_time(self.read)} to read, "
            f"{_time(self.exercises)} of exercises"
        )


def roads(folder: Path = ROOT / "notebooks") -> tuple[Road, Road]:
    """The evening's lessons and all of them, with the minutes that these say themselves."""
    every = [path.stem[:2] for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))]
    evening = [number for number in CORE.split() if number in every]
    return (
        _road("An evening", CORE, evening, folder),
        _road("Everything", f"{every[0]} to {every[-1]}", every, folder),
    )


def _road(name: str, lessons: str, numbers: list[str], folder: Path) -> Road:
    read = 0
    for number in numbers:
        (path,) = folder.glob(f"{number}_*.ipynb")
        read += read_minutes(json.loads(path.read_text(encoding="utf-8")))
    tasks = [exercise.minutes for number in numbers for exercise in book.of_lesson(number)]
    return Road(name, lessons, read, sum(tasks))


def _time(minutes: int) -> str:
    """In minutes; in hours, to a half, where it is more than three."""
    return f"{minutes} min" if minutes <= 180 else f"{round(minutes / 30) / 2:g} h"


def inserted(readme: str, lessons: str) -> str:
    """The README with the table between its marks.

    Raises:
        ValueError: a mark is missing, or they stand the other way round.
    """
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the README lacks {BEGIN!r} and {END!r}, between which the table stands")
    return f"{head}{BEGIN}\n{lessons}\n{END}{tail}"


if __name__ == "__main__":
    file = ROOT / "README.md"
    write_text(file, inserted(file.read_text(encoding="utf-8"), table()))
