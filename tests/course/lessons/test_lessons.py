"""Every exercise of every lesson: what is right passes, what is wrong is told its own reason.

The lessons are found, not listed: a new one is tested as soon as its module is there. That the
notebooks run with every solution in its cell is shown in test_notebooks.py.
"""

import ast
import importlib
import linecache
import re
from pathlib import Path

import nbformat
import pytest

from cinv_lib.course.workbook import exercise as book
from cinv_lib.course.workbook import my_course
from cinv_lib.course.workbook.grade import grade
from cinv_lib.course.workbook.todo import TODO

ROOT = Path(__file__).parents[3]
LESSONS = book.lessons()
EXERCISES = [exercise for lesson in LESSONS for exercise in book.of_lesson(lesson)]
PREDICTIONS = [one for lesson in LESSONS for one in book.predictions_of_lesson(lesson)]
WRONG = [(exercise, k) for exercise in EXERCISES for k in range(len(exercise.wrong))]
NOTEBOOKS = [
    path
    for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if path.stem[:2] in LESSONS
]

every_lesson = pytest.mark.parametrize("lesson", LESSONS)
every_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.id)
every_prediction = pytest.mark.parametrize("prediction", PREDICTIONS, ids=lambda p: p.id)
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list[str]:
    cells = nbformat.read(path, as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "code"]


def namespace(lesson: str) -> dict:
    """What a cell of the lesson sees: what its notebook imports. Where there is none yet, what
    the module of its exercises sees."""
    for path in NOTEBOOKS:
        if path.stem[:2] == lesson:
            nodes = [n for cell in code_cells(path) for n in ast.parse(cell).body]
            imports = [n for n in nodes if isinstance(n, ast.Import | ast.ImportFrom)]
            names = {}
            exec(compile(ast.Module(imports, []), path.name, "exec"), names)
            return names
    module = importlib.import_module(f"cinv_lib.workbook.lessons.lesson_{lesson}")
    return {"TODO": TODO} | vars(module)


def answered(exercise: book.Exercise, source: str):
    """What `source` makes of the exercise's name, in its notebook."""
    names = namespace(exercise.lesson)
    exec(source, names)
    return names[exercise.name]


# -- what an exercise has ----------------------------------------------------------------------
@every_lesson
def test_ids_are_of_the_lesson_and_in_order(lesson):
    exercises, predictions = book.of_lesson(lesson), book.predictions_of_lesson(lesson)
    first = 0 if exercises[0].id.endswith(".0") else 1  # 0: it came later, before all others
    count = range(first, first + len(exercises))
    assert [exercise.id for exercise in exercises] == [f"{int(lesson)}.{k}" for k in count]
    letters = "ABCDEFGHIJ"[: len(predictions)]
    assert [prediction.id for prediction in predictions] == [f"{int(lesson)}.{c}" for c in letters]
    assert 2 <= len(exercises) <= 5
    names = [exercise.name for exercise in exercises]
    assert len(set(names)) == len(names)


@every_exercise
def test_exercise_is_whole(exercise):
    assert 2 <= exercise.minutes <= 30 and exercise.difficulty in (1, 2, 3)
    assert "TODO" in exercise.stub and exercise.title.strip() and exercise.why.strip()
    reasons = [wrong.because for wrong in exercise.wrong]
    assert len(reasons) >= 3 and len(set(reasons)) == len(reasons)
    assert len(exercise.hints) == len(set(exercise.hints)) == 3
    for text in (*reasons, *exercise.hints):
        assert len(text) > 15 and text.rstrip().endswith((".", "?", "!", "`", ")")), text
    assert re.search(r"wrong turn", exercise.why), "the solution names the common wrong turn"
    assert len(exercise.drawn()) >= 1
    lines = exercise.cell() + "\n" + exercise.cell(exercise.solution_source)
    assert max(map(len, lines.splitlines())) <= 100


@every_exercise
def test_backticks_come_in_pairs(exercise):
    for text in (*exercise.hints, exercise.why, *(wrong.because for wrong in exercise.wrong)):
        assert text.count("`") % 2 == 0, text


@every_prediction
def test_prediction_is_whole(prediction):
    assert "?" in prediction.question
    if prediction.options:
        assert len(set(prediction.options)) == len(prediction.options) >= 2
    else:
        assert prediction.tolerance > 0


# -- what its check says -----------------------------------------------------------------------
@every_exercise
def test_todo_is_a_state_of_its_own(exercise):
    graded = grade(exercise, answered(exercise, exercise.stub))
    assert graded.state == "todo" and not graded.outcomes


@every_exercise
def test_the_reference_is_right_over_20_seeds(exercise):
    answer = exercise.reference if exercise.is_function else exercise.reference()
    for seed in range(20):
        graded = grade(exercise, answer, seed)
        assert graded.state == "right", (seed, graded.outcomes)
        assert graded.usable


@pytest.mark.parametrize(
    ("exercise", "k"), WRONG, ids=[f"{exercise.id}-{k}" for exercise, k in WRONG]
)
def test_a_wrong_answer_is_told_its_own_reason(exercise, k):
    wrong = exercise.wrong[k]
    graded = grade(exercise, wrong.answer if exercise.is_function else wrong.answer())
    assert graded.state == "wrong", "it passes"
    assert graded.cause == wrong.because, graded.outcomes


@every_exercise
def test_the_alternative_is_right(exercise):
    answer = exercise.alternative if exercise.is_function else exercise.alternative()
    for seed in range(3):
        graded = grade(exercise, answer, seed)
        assert graded.state == "right", (seed, graded.outcomes)


@every_exercise
def test_the_solution_as_it_is_shown_is_right(exercise):
    answer = answered(exercise, exercise.solution_source)
    for seed in range(3):
        graded = grade(exercise, answer, seed)
        assert graded.state == "right" and graded.usable, (seed, graded.outcomes)


@every_exercise
def test_the_solution_typed_into_the_notebook_can_be_kept_for_later_lessons(exercise):
    source = exercise.solution_source
    name = f"<{exercise.id}>"  # where `inspect` looks for it, as in a kernel
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    names = {"__name__": "__main__"} | namespace(exercise.lesson)
    exec(compile(source, name, "exec"), names)
    kept = my_course._alone(exercise, names[exercise.name])
    assert kept.endswith(source) or not exercise.is_function


# -- the notebooks -----------------------------------------------------------------------------
@every_notebook
def test_the_notebook_has_each_exercise_once_and_in_order(path):
    cells = code_cells(path)
    exercises = book.of_lesson(path.stem[:2])
    places = []
    for exercise in exercises:
        assert cells.count(exercise.cell()) == 1, f"{exercise.id}: its cell is not exercise.cell()"
        places.append(cells.index(exercise.cell()))
    assert places == sorted(places)
    calls = re.findall(r'check\("([^"]+)"', "\n".join(cells))
    assert calls == [exercise.id for exercise in exercises]


@every_notebook
def test_each_guess_is_asked_for_before_the_result_is_shown(path):
    cells = code_cells(path)
    for prediction in book.predictions_of_lesson(path.stem[:2]):
        asked, shown = (
            [
                k
                for k, cell in enumerate(cells)
                if re.search(rf'^\s*{call}\("{prediction.id}"', cell, re.M)
            ]
            for call in ("predict", "reveal")
        )
        assert len(asked) == len(shown) == 1, prediction.id
        assert re.search(rf'predict\("{prediction.id}", TODO[,)]', cells[asked[0]])
        assert asked < shown, f"{prediction.id}: in the same cell there is no time to guess"
