"""The README's table of lessons says what the lessons say."""

import json
from dataclasses import dataclass

import pytest

from cinv_lib.course import contents
from cinv_lib.course.workbook import exercise as book
from cinv_lib.machine.folders import ROOT


@dataclass(frozen=True)
class Short:
    minutes: int


def lesson(folder, name: str, heading: str, **course) -> None:
    course = {"about": "it", "paper": "Eq. 1", "read_minutes": 5, "run_seconds": 9} | course
    cells = [{"cell_type": "markdown", "metadata": {}, "source": [f"# {heading}\n", "more"]}]
    notebook = {"cells": cells, "metadata": {"course": course}, "nbformat": 4, "nbformat_minor": 5}
    (folder / f"{name}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")


def test_the_readme_has_the_table_of_the_lessons_as_they_are():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    between = readme.partition(contents.BEGIN)[2].partition(contents.END)[0]
    assert between == f"\n{contents.table()}\n", "python -m cinv_lib.course.contents writes it anew"
    assert contents.inserted(readme, contents.table()) == readme


def test_a_row_a_lesson_in_order(tmp_path, monkeypatch):
    exercises = {"02": (Short(5), Short(8))}
    monkeypatch.setattr(book, "of_lesson", lambda number: exercises.get(number, ()))
    lesson(tmp_path, "10_ten", "10 · Ten: and a subtitle", read_minutes=20)
    lesson(tmp_path, "02_two", "02 · Two", about="two *things*", run_seconds=31)
    (tmp_path / "draft.ipynb").write_text("no JSON")
    assert contents.table(tmp_path).splitlines() == [
        "| lesson | what it is about | paper | read | run | exercises |",
        "| --- | --- | --- | --- | --- | --- |",
        "| [02 Two](notebooks/02_two.ipynb) | two *things* | Eq. 1 | 5 min | 31 s | 2 (13 min) |",
        "| [10 Ten](notebooks/10_ten.ipynb) | it | Eq. 1 | 20 min | 9 s |  |",
    ]


def test_only_what_stands_between_the_marks_changes():
    old = f"before\n{contents.BEGIN}\nold\n{contents.END}\nafter\n"
    new = contents.inserted(old, "| new |")
    assert new == f"before\n{contents.BEGIN}\n| new |\n{contents.END}\nafter\n"
    assert contents.inserted(new, "| new |") == new


@pytest.mark.parametrize(
    "readme",
    [
        "no marks",
        f"only {contents.BEGIN}",
        f"only {contents.END}",
        f"{contents.END} the wrong way round {contents.BEGIN} and a rest that must not be lost",
    ],
)
def test_without_its_marks_the_readme_is_refused(readme):
    with pytest.raises(ValueError, match="README lacks"):
        contents.inserted(readme, "| new |")


def test_roads_add_up_what_the_lessons_say(tmp_path, monkeypatch):
    by_lesson = {"00": (Short(7),), "05": (Short(10), Short(20)), "07": (Short(200),)}
    monkeypatch.setattr(book, "of_lesson", lambda number: by_lesson.get(number, ()))
    for name in ("00_a", "05_b", "07_c"):
        lesson(tmp_path, name, f"{name} · Title", read_minutes=20)
    evening, everything = contents.roads(tmp_path)
    assert str(evening) == (
        "An evening: lessons 00 01 05 06 15, 40 min to read, 37 min of exercises"
    )
    assert str(everything) == "Everything: lessons 00 to 07, 60 min to read, 4 h of exercises"
