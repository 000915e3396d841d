"""Plans for three kinds of course, with the lessons' own minutes; a test for before and after."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import nbformat

from cinv_lib.course.excerpt import read_minutes
from cinv_lib.course.handout.notes import teaching, title
from cinv_lib.course.workbook import exercise as book
from cinv_lib.course.workbook.exercise import Exercise

TALK = 15  # minutes of every session that belong to questions


@dataclass(frozen=True)
class Session:
    """One meeting: lessons with minutes to read together, exercises, and what is left for home."""

    title: str
    minutes: int
    read: tuple[tuple[str, int], ...]
    exercises: tuple[Exercise, ...]
    home: tuple[Exercise, ...]

    @property
    def planned(self) -> int:
        """Minutes that are planned, with those for questions."""
        return sum(m for _, m in self.read) + sum(e.minutes for e in self.exercises) + TALK


def session(said: Mapping[str, Any], lessons: Mapping[str, nbformat.NotebookNode]) -> Session:
    """A session of the data, with as many exercises as fit, the easier ones first."""
    numbers = [one for one in said["lessons"] if one in lessons]
    most = said.get("at_most", {})
    minutes = {one: read_minutes(lessons[one]) for one in numbers}
    read = tuple((one, min(minutes[one], most.get(one, minutes[one]))) for one in numbers)
    left = said["minutes"] - TALK - sum(count for _, count in read)
    offered = [exercise for one in numbers for exercise in book.of_lesson(one)]
    chosen = []
    for exercise in sorted(offered, key=lambda e: e.difficulty):
        if exercise.minutes <= left:
            chosen.append(exercise)
            left -= exercise.minutes
    here = tuple(e for e in offered if e in chosen)
    home = tuple(e for e in offered if e not in chosen)
    return Session(said["title"], said["minutes"], read, here, home)


def plans(lessons: Mapping[str, nbformat.NotebookNode]) -> str:
    """plans.md: every plan, a row for each session."""
    lines = ["# Plans", "", teaching()["plans"]["before"].strip(), ""]
    for plan in teaching()["plan"]:
        lines += [f"## {plan['title']}", "", plan["about"].strip(), ""]
        lines += [
            "| session | together | exercises there | at home | planned |",
            "|---|---|---|---|---|",
        ]
        for said in plan["session"]:
            one = session(said, lessons)
            read = "; ".join(f"{title(lessons[n])}, {minutes} min" for n, minutes in one.read)
            there, home = (", ".join(e.id for e in some) for some in (one.exercises, one.home))
            lines.append(
                f"| {one.title} | {read} | {there} | {home} | {one.planned} of {one.minutes} min |"
            )
        lines.append("")
    return "\n".join(lines)


def test(key: bool) -> str:
    """test.md, the same six questions before and after the course; with `key`, for the teacher."""
    said = teaching()["test"]
    lines = [
        "# Test, the key" if key else "# Test, before and after",
        "",
        said["about"].strip(),
        "",
    ]
    for number, one in enumerate(said["question"], start=1):
        lines += [f"{number}. {' '.join(one['asks'].split())}", ""]
        lines += [f"   - ({chr(97 + k)}) {option}" for k, option in enumerate(one["options"])]
        if key:
            right = chr(97 + one["right"])
            lines += [
                "",
                f"   **({right})**, lesson {one['lesson']}. {' '.join(one['why'].split())}",
            ]
        lines.append("")
    return "\n".join(lines)
