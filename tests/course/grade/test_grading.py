"""A class's notebooks: what is read of them, what runs, what each accident costs, what is written.

Three kernels serve all tests that need one.
"""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import torch

from cinv_lib.course.grade import __main__ as command
from cinv_lib.course.grade import inside, kernel, report, rows
from cinv_lib.course.grade.kernel import Limits, Ran
from cinv_lib.course.grade.rows import Row
from cinv_lib.course.grade.submission import Cell, Submission, read, students
from cinv_lib.course.workbook import exercise as book

ROOT = Path(__file__).parents[3]
IMPORTS = """import torch
import torch.nn.functional as F
from cinv_lib import losses
from cinv_lib.course.workbook import TODO, check
"""
PULL = "def my_alignment(S, R):\n    {}\n\nmy_alignment = check('2.1', my_alignment)"
RIGHT = "return -F.cosine_similarity(S, R).mean()"


def notebook(*sources: str, heading: str = "# 02 · The loss") -> str:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    return nbformat.writes(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(heading), *cells])
    )


@pytest.fixture
def handed_in(tmp_path):
    """Writes a notebook and reads it as a submission."""

    def write(*sources: str, name: str = "eve", **settings) -> Submission:
        path = tmp_path / f"{name}.ipynb"
        path.write_text(notebook(*sources, **settings), encoding="utf-8")
        return read(path, name)

    return write


# -- what is read ------------------------------------------------------------------------------
def test_only_what_names_things_and_what_calls_check_is_left(handed_in):
    given = handed_in(
        IMPORTS + "lab = train_for_hours()\nlimit = 3\nhelper = lambda x: x\n%matplotlib inline",
        "def half(x):\n    return x / 2\n\nstudent = half(lab)",
        "try:\n    import missing\nexcept ImportError:\n    pass",
        PULL.format("return half(S)"),
        "print(student)",
        "# check('2.3', nothing)",
    )
    text = "\n".join(cell.source for cell in given.cells)
    assert "train_for_hours" not in text and "student" not in text and "print" not in text
    assert all(
        part in text for part in ("import torch", "limit = 3", "helper", "def half", "half(S)")
    )
    assert "import missing" in text
    assert [cell.ids for cell in given.cells if cell.ids] == [("2.1",)]
    assert given.lesson == "02" and given.ids == ("2.0", "2.1", "2.2", "2.3", "2.4")
    assert {"lab", "student"} <= given.elsewhere


def test_a_cell_that_python_cannot_read_keeps_its_exercise(handed_in):
    given = handed_in("def my_alignment(S, R)\n    return 1\nmy_alignment = check('2.1', 1)")
    assert [cell.ids for cell in given.cells] == [("2.1",)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{broken", "it is not JSON"),
        ("[1, 2]", "no notebook of format 4"),
        ('{"worksheets": []}', "no notebook of format 4"),
        ('{"cells": [{"source": "1"}]}', "a cell of it is damaged"),
        ("[" * 100_000, "no notebook"),
        (notebook("1 + 1", heading="Homework"), "no lesson can be told"),
    ],
)
def test_what_is_no_notebook_of_a_lesson_is_said_to_be_none(text, said, tmp_path):
    path = tmp_path / "odd.ipynb"
    path.write_text(text)
    with pytest.raises(ValueError, match=said) as error:
        read(path, "odd")
    assert "odd.ipynb" in str(error.value)


def test_an_untouched_heading_tells_the_lesson(handed_in):
    assert handed_in("1 + 1", heading="# 05 · Distillation").lesson == "05"


def test_equal_file_names_are_told_apart_by_their_folders():
    paths = [Path(name) for name in ("x/a/01.ipynb", "x/b/01.ipynb", "y/b/01.ipynb", "eve.ipynb")]
    assert students(paths) == ["a/01", "x/b/01", "y/b/01", "eve"]


# -- the judge, without a kernel ---------------------------------------------------------------
@pytest.mark.parametrize("lesson", book.lessons())
def test_every_solution_is_right_in_its_reduced_notebook_on_fresh_cases(lesson, tmp_path):
    """So nothing that an exercise needs is left out, and no solution counts as the library's."""
    (path,) = (ROOT / "notebooks").glob(f"{lesson}_*.ipynb")
    stubs = {e.cell(): e.cell(e.solution_source) for e in book.of_lesson(lesson)}
    given = nbformat.read(path, as_version=4)
    for cell in given.cells:
        cell.source = stubs.get(cell.source, cell.source)
    nbformat.write(given, tmp_path / "key.ipynb")
    found, names = [], {}

    def check(id, answer):
        found.append(inside.verdict(book.find(id), answer, seed=11))
        return answer

    for cell in read(tmp_path / "key.ipynb", "key").cells:
        try:
            exec(cell.source, names)
        except NameError:  # a default value that some training makes: the kernel goes on, too
            assert not cell.ids
        names["check"] = check
    assert [one["id"] for one in found] == [e.id for e in book.of_lesson(lesson)]
    assert {one["state"] for one in found} == {"right"}
    assert not any(one["own"] for one in found), found
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("id", "own"), [("2.1", True), ("1.1", True), ("2.3", True), ("11.3", False)]
)
def test_a_call_of_the_librarys_own_function_is_noticed(id, own):
    exercise = book.find(id)
    assert inside.verdict(exercise, exercise.reference, 3)["own"] is own or not own
    assert inside.verdict(exercise, exercise.alternative, 3)["own"] is False


def test_cases_are_those_of_the_seed():
    exercise = book.find("0.1")
    known = [exercise.reference(*case.args) for case in exercise.drawn()]

    def learnt_by_heart(a, b):
        value = exercise.reference(a, b)
        return value if any(torch.equal(value, one) for one in known) else value**2

    assert inside.verdict(exercise, learnt_by_heart, exercise.seed)["state"] == "right"
    wrong = inside.verdict(exercise, learnt_by_heart, 1234)
    assert (wrong["state"], wrong["right"]) == ("wrong", 0)


# -- kernels and accidents ---------------------------------------------------------------------
LIMITS = Limits(cell=6.0, total=30.0, cpu=60, file=2_000_000)
# What the answer to 2.1 does before it is right.
SURVIVED = {
    "input": "input()",
    "fifty gigabytes": "bytearray(50 << 30)",
    "a loop": "while True: pass",
    "a full disk": "open('big', 'wb').write(bytes(3_000_000))",
}


NOISY = """import os, shutil, sys
for _ in range(20):
    print("x" * 50_000_000)
os.write(1, b"y" * 50_000_000)
display("z" * 5_000_000)
shutil.rmtree(os.getcwd())
"""
BEFORE = {"2.1": NOISY, "2.2": "import time; time.sleep(100)\n", "2.4": "import os; os._exit(0)\n"}


@pytest.fixture(scope="module")
def accidents(tmp_path_factory):
    """Rows by exercise of a notebook whose answers are right, and three have bad luck first."""
    path = tmp_path_factory.mktemp("handed-in") / "bad luck.ipynb"
    answered = {e.id: e.cell(e.solution_source) for e in book.of_lesson("02")}
    cells = [BEFORE.get(id, "") + cell for id, cell in answered.items()]
    path.write_text(notebook(IMPORTS, *cells), encoding="utf-8")
    limits = Limits(cell=10.0, total=60.0, cpu=60)
    return {row.exercise: row for row in rows.grade(read(path, "bad luck"), 5, limits)}


def test_a_gigabyte_of_output_and_a_folder_that_is_gone_cost_nothing(accidents):
    assert (accidents["2.1"].state, accidents["2.1"].cases) == ("right", "3 of 3")


def test_a_cell_that_hangs_is_stopped_and_the_next_exercise_is_graded(accidents):
    assert accidents["2.2"].state == "stopped" and "more than 10 s" in accidents["2.2"].cause
    assert accidents["2.3"].state == "right"


def test_an_answer_that_ends_its_process_is_told(accidents):
    assert accidents["2.4"].state == "stopped" and "process ended" in accidents["2.4"].cause


@pytest.fixture(scope="module")
def survived(tmp_path_factory):
    """What one kernel gives for answers that it survives, and for one that kills it, last."""
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    own = {"HOME": "os.environ['HOME']", "threads": "torch.get_num_threads()"}
    bodies = [*SURVIVED.values(), "return losses.alignment(S, R)", "return TODO", "return missing"]
    cells = [Cell("import os\n" + IMPORTS)]
    for body in bodies:
        cells.append(Cell(PULL.format(f"{body}\n    {RIGHT}"), ("2.1",)))
    told = ", ".join(f"{name!r}: {value}" for name, value in own.items())
    cells.append(Cell(f"import json; open('../told', 'w').write(json.dumps({{{told}}}))"))
    cells.append(Cell("raise ValueError(open('../told').read())"))
    cells.append(Cell(kill, ("2.4",)))
    return kernel.run(cells, 5, LIMITS)


def test_what_an_answer_does_is_its_own_verdict(survived):
    verdicts = dict(zip([*SURVIVED, "own", "todo", "name"], survived.verdicts, strict=True))
    state = {name: one["state"] for name, one in verdicts.items()}
    assert state == {
        "input": "wrong", "fifty gigabytes": "wrong", "a loop": "stopped", "a full disk": "wrong",
        "own": "right", "todo": "not attempted", "name": "wrong",
    }  # fmt: skip
    assert "StdinNotImplementedError" in verdicts["input"]["cause"]
    assert "endless loop" in verdicts["a loop"]["cause"]
    assert "in your line `while True: pass`" in verdicts["a loop"]["cause"]
    assert "MemoryError" in verdicts["fifty gigabytes"]["cause"] or sys.platform != "linux"
    assert "File too large" in verdicts["a full disk"]["cause"]
    assert verdicts["own"]["own"] and not verdicts["a loop"]["own"]


def test_the_kernel_has_a_home_of_its_own_and_one_thread(survived):
    (said,) = survived.errors.values()
    told = json.loads(said.removeprefix("ValueError: "))
    assert told["threads"] == 1 and told["HOME"] != os.environ.get("HOME")
    assert not Path(told["HOME"]).exists(), "it was not tidied away"


def test_a_kernel_that_kills_itself_is_told_by_its_cell(survived):
    at, cause = survived.stopped
    assert at == 10 and "process ended" in cause


def test_the_clock_of_the_whole_notebook_ends_the_process_group():
    """What the kernel started ends with it; a loop that swallows every error does too."""
    stubborn = """import subprocess
child = subprocess.Popen(["sleep", "987"])
while True:
    try:
        while True: pass
    except BaseException: pass
"""
    ran = kernel.run([Cell(stubborn, ("2.1",))], 5, Limits(cell=60.0, total=2.0))
    assert ran.stopped == (0, "the notebook ran for more than 2 s")
    table = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=False)
    assert "sleep 987" not in table.stdout


# -- rows --------------------------------------------------------------------------------------
def verdict(id: str, state: str = "right", cause: str = "", own: bool = False) -> dict:
    right = 3 if state == "right" else 1
    return {"id": id, "state": state, "right": right, "cases": 3, "cause": cause, "own": own}


def pretended(*runs: Ran):
    """In place of kernels: gives these, one after the other, and keeps what it was asked."""
    asked = []

    def run(cells, seed, limits):
        asked.append([cell.ids for cell in cells if cell.ids])
        return runs[len(asked) - 1]

    run.asked = asked
    return run


def checks(*ids: str) -> list[str]:
    return [f"x = check('{id}', x)" for id in ids]


def test_an_exercise_at_which_the_kernel_is_lost_costs_no_other(handed_in):
    given = handed_in(IMPORTS, *checks("2.1", "2.2", "2.3"))
    at = [cell.ids for cell in given.cells].index(("2.2",))
    run = pretended(
        Ran([verdict("2.1")], {}, (at, "its process ended")), Ran([verdict("2.3", "wrong", "tau")])
    )
    found = rows.grade(given, 1, run=run)
    assert run.asked == [[("2.1",), ("2.2",), ("2.3",)], [("2.3",)]]
    assert [(row.exercise, row.state, row.cases) for row in found] == [
        ("2.0", "not attempted", ""),
        ("2.1", "right", "3 of 3"), ("2.2", "stopped", ""), ("2.3", "wrong", "1 of 3"),
        ("2.4", "not attempted", ""),
    ]  # fmt: skip
    assert found[2].cause == "its process ended" and found[3].cause == "tau"


def test_the_best_of_several_checks_counts(handed_in):
    given = handed_in(*checks("2.1", "2.1"))
    run = pretended(Ran([verdict("2.1"), verdict("2.1", "wrong", "later")]))
    assert {row.exercise: row.state for row in rows.grade(given, 1, run=run)}["2.1"] == "right"


def test_what_only_a_person_can_grade_is_said_to_be_so(handed_in):
    given = handed_in("lab = train()", *checks("2.1", "2.2", "2.99"))
    assert [cell.ids for cell in given.cells] == [("2.1",), ("2.2",), ("2.99",)]
    lost = "NameError: name 'lab' is not defined"
    ran = Ran(
        [verdict("2.1", "wrong", lost)], {1: lost.replace("lab", "typo"), 2: "KeyError: '2.99'"}
    )
    found = {row.exercise: row for row in rows.grade(given, 1, run=pretended(ran))}
    assert found["2.1"].state == "by hand" and "`lab`" in found["2.1"].cause
    assert found["2.2"].state == "stopped" and "typo" in found["2.2"].cause
    assert found["2.99"].state == "by hand" and "no such exercise" in found["2.99"].cause


def test_attempts_are_those_of_the_progress_that_was_handed_in_too(handed_in, tmp_path):
    progress = {"exercises": {"2.1": {"attempts": 4}}, "predictions": {}}
    given = handed_in(*checks("2.1"))
    (tmp_path / "progress.json").write_text(json.dumps(progress))
    assert rows.named(Row("", "2.1", "right"), given).attempts == "4"
    ada = handed_in(*checks("2.1"), name="ada")
    assert rows.named(Row("", "2.1", "right"), ada).attempts == "", "whose is it?"
    (tmp_path / "ada.progress.json").write_text(json.dumps(progress))
    assert rows.named(Row("", "2.1", "right"), ada).attempts == "4"
    (tmp_path / "ada.progress.json").write_text("[1]")
    assert rows.named(Row("", "2.1", "right"), ada).attempts == ""


# -- what is written ---------------------------------------------------------------------------
EVIL = "<script>alert(1)</script>"


def test_the_table_has_no_formula_and_the_page_no_script():
    texts = ["=1+1", "+1", "-1", "@x", "\tx", f"plain, {EVIL}"]
    some = [Row(text, "2.1", "wrong", "1 of 3", text, "no") for text in texts]
    cells = list(csv.reader(io.StringIO(report.table(some))))
    assert cells[0] == list(report.COLUMNS)
    assert [row[0] for row in cells[1:]] == [f"'{text}" for text in texts[:5]] + texts[5:]
    page = report.page(some, 5)
    assert EVIL not in page and "&lt;script&gt;" in page and "not against malice" in page


def test_a_class_is_graded_and_nothing_is_graded_twice(tmp_path, monkeypatch, capsys):
    for folder, text in (("ada", notebook(*checks("2.1"))), ("bob", "{"), ("eve", notebook("1"))):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "02.ipynb").write_text(text)
    files = [str(path) for path in sorted(tmp_path.glob("*/*.ipynb"))]
    run = pretended(Ran([verdict("2.1")]))
    grade = rows.grade
    monkeypatch.setattr(rows, "grade", lambda given, seed: grade(given, seed, run=run))
    asked = [*files, files[0], "--seed", "5", "--out", str(tmp_path / "out"), "--jobs", "1"]
    assert command.main(asked) == 1, "one file is no notebook"
    said = capsys.readouterr().err
    assert "named twice" in said and "bob/02.ipynb is no notebook" in said
    text = (tmp_path / "out" / "grades.csv").read_bytes().decode()
    assert text.startswith("\ufeff")
    found = [row[:3] for row in csv.reader(io.StringIO(text.removeprefix("\ufeff")))][1:]
    assert found[1] == ["ada/02", "2.1", "right"] and found[5] == ["bob/02", "", "by hand"]
    assert [row[2] for row in found[6:]] == ["not attempted"] * 5
    assert command.main(asked) == 1 and len(run.asked) == 1, "graded again"
    assert (tmp_path / "out" / "grades.csv").read_bytes().decode() == text
    asked[asked.index("5")] = "6"
    with pytest.raises(IndexError):  # another seed is another grade
        command.main(asked)


@pytest.mark.parametrize("wrong", [["--seed", "-1"], ["--seed", "1", "--jobs", "0"], []])
def test_what_cannot_be_asked_is_refused(wrong, tmp_path, capsys):
    with pytest.raises(SystemExit):
        command.main(["a.ipynb", "--out", str(tmp_path), *wrong])
    assert "--seed" in capsys.readouterr().err
