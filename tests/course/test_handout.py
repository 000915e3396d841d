"""The teacher's folder: what it has, that its minutes are the lessons', and what it withholds."""

import inspect
import json
import re
import tomllib
from datetime import date, timedelta
from pathlib import Path

import nbformat
import pytest

from cinv_lib.course.excerpt import read_minutes
from cinv_lib.course.handout import __main__ as command
from cinv_lib.course.handout import folder, misconceptions, notes, plans
from cinv_lib.course.workbook import commands, withheld
from cinv_lib.course.workbook import exercise as book
from cinv_lib.machine import folders

NOTEBOOKS = sorted((folders.ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
LESSONS = {path.name[:2]: nbformat.read(path, as_version=4) for path in NOTEBOOKS}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of two lessons, without a run."""
    made = tmp_path_factory.mktemp("class") / "teaching"
    asked = [str(made), "--lessons", "1", "03", "--no-run", "--solutions", "2031-02-03"]
    assert command.main(asked) == 0
    return made


def test_the_folder_has_lessons_without_outputs_and_a_key_with_solutions(written):
    for part in ("lessons", "key"):
        names = sorted(path.name[:2] for path in (written / part).glob("[0-9]*.ipynb"))
        assert names == ["01", "03"]
    for path in (written / "lessons").glob("[0-9]*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
        sources = [cell.source for cell in cells]
        key = nbformat.read(written / "key" / path.name, as_version=4)
        solved = [cell.source for cell in key.cells]
        for exercise in book.of_lesson(path.name[:2]):
            assert exercise.cell() in sources and exercise.cell() not in solved
            assert exercise.cell(exercise.solution_source) in solved
    assert "CC BY 4.0" in (written / "LICENSE").read_text()
    beside = {path.name for path in (folders.ROOT / "notebooks").glob("*.md")} | {"class.toml"}
    assert beside <= {path.name for path in (written / "lessons").iterdir()}
    assert tomllib.loads((written / "lessons/class.toml").read_text()) == {
        "solutions_from": date(2031, 2, 3)
    }
    text = (written / "README.md").read_text()
    assert "{" not in text and "cinv_lib.course.grade" in text


def test_a_key_is_executed_once_and_a_lesson_that_fails_costs_no_other(tmp_path, monkeypatch):
    ran = []

    def execute(path: Path) -> None:
        ran.append(path.name[:2])
        if path.name.startswith("03"):
            raise RuntimeError("no kernel")
        done = nbformat.read(path, as_version=4)
        done.cells[1].outputs = [nbformat.v4.new_output("stream", text="done")]
        nbformat.write(done, path)

    monkeypatch.setattr(folder, "execute", execute)
    (wrong,) = folder.write(tmp_path, ["01", "03"])
    assert ran == ["01", "03"] and "lesson 03" in wrong and "no kernel" in wrong
    assert folder.write(tmp_path, ["01", "03"]) and ran == ["01", "03", "03"]
    assert (tmp_path / "key" / NOTEBOOKS[3].name).exists()


@pytest.mark.parametrize("asked", [["--lessons", "77"], ["--solutions", "soon"]])
def test_what_is_not_there_is_said(asked, tmp_path, capsys):
    with pytest.raises(SystemExit):
        command.main([str(tmp_path), *asked])
    assert "77" in (said := capsys.readouterr().err) or "soon" in said


@pytest.mark.parametrize("lesson", sorted(LESSONS))
def test_each_lesson_has_an_aim_a_demo_and_its_own_minutes(lesson):
    said = notes.teaching()["lesson"][lesson]
    assert len(said["aim"].split()) >= 10 and len(said["demo"].split()) >= 20
    parts = notes.sections(lesson, LESSONS[lesson])
    assert sum(part.read for part in parts) == read_minutes(LESSONS[lesson])
    exercises = book.of_lesson(lesson)
    assert sum(part.exercises for part in parts) == sum(one.minutes for one in exercises)
    assert all(part.read >= 0 for part in parts)


def test_notes_show_three_misconceptions_by_answers_that_are_wrong():
    found = misconceptions.of_lesson(book.of_lesson("01"))
    assert len(found) == 3 and len({one.exercise.id for one in found}) == 3
    assert all(one.found for one in found)
    text = notes.chapter("01", LESSONS["01"])
    assert text.count("The check finds:") == 3 and "my_taps = lambda sigma:" in text
    assert "def _each_pixel_for_itself(x, p, generator):" in text
    two = misconceptions.of_lesson(book.of_lesson("00"))
    assert [one.exercise.id for one in two] == ["0.1", "0.1", "0.2"], "two exercises make three"


def test_the_text_of_every_wrong_answer_is_that_answer():
    for exercise in (one for lesson in book.lessons() for one in book.of_lesson(lesson)):
        for wrong in exercise.wrong:
            text = misconceptions.source(wrong.answer, exercise.name)
            compile(text, exercise.id, "exec")
            assert all(name in text for name in inspect.signature(wrong.answer).parameters)


@pytest.mark.parametrize("plan", notes.teaching()["plan"], ids=lambda plan: plan["title"])
def test_the_sessions_of_a_plan_are_no_longer_than_they_say(plan):
    sessions = [plans.session(said, LESSONS) for said in plan["session"]]
    assert all(one.planned <= one.minutes for one in sessions), sessions
    assert all(one.exercises for one in sessions)
    for one in sessions:
        offered = {e.id for number, _ in one.read for e in book.of_lesson(number)}
        assert {e.id for e in (*one.exercises, *one.home)} == offered


def test_the_test_has_six_questions_and_only_the_key_its_answers():
    questions = notes.teaching()["test"]["question"]
    assert len(questions) == 6
    assert all(0 <= one["right"] < len(one["options"]) == 4 for one in questions)
    assert len({one["right"] for one in questions}) > 2, "always the same letter"
    plain, key = plans.test(key=False), plans.test(key=True)
    assert len(re.findall(r"\*\*\([a-d]\)\*\*, lesson", key)) == 6 and "**(" not in plain


# -- solutions that wait for their day ---------------------------------------------------------
@pytest.fixture
def said(monkeypatch, tmp_path):
    """What `solution` shows in a folder whose class.toml has this text."""
    shown = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(commands, "display", shown.append)
    monkeypatch.setenv("CINV_PROGRESS", str(tmp_path / "progress.json"))

    def ask(text: str) -> str:
        (tmp_path / "class.toml").write_text(text)
        commands.solution("2.1")
        return shown[-1].text()

    return ask


def test_a_solution_waits_for_its_day_and_says_that_it_is_a_courtesy(said, tmp_path):
    tomorrow = date.today() + timedelta(days=1)
    text = said(f"solutions_from = {tomorrow}")
    assert f"{tomorrow:%d.%m.%Y}" in text and "courtesy" in text and "def my_" not in text
    assert not (tmp_path / "progress.json").exists(), "nothing was seen"
    assert "def my_alignment" in said(f"solutions_from = {date.today()}")
    assert json.loads((tmp_path / "progress.json").read_text())["exercises"]["2.1"]["solution"]


@pytest.mark.parametrize("text", ["solutions_from = 'soon'", "solutions_from", ""])
def test_a_slip_in_class_toml_is_said_and_closes_nothing(said, text):
    with pytest.warns(UserWarning, match=r"class\.toml"):
        assert "def my_alignment" in said(text)


def test_without_a_date_solutions_are_shown(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert withheld.opening() is None and withheld.page("x") is None
