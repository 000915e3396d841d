"""The reader's own library: what is kept, what is used later, and that nothing is lost by it."""

import functools
import inspect
import linecache

import pytest
import torch

from cinv_lib.course import workbook
from cinv_lib.course.workbook import commands, my_course
from cinv_lib.course.workbook import exercise as book

COINS = """
from torch import rand
import torch.nn.functional as F
from cinv_lib import losses

HALF = 0.5
def middle(lo, hi):
    return lo + HALF * (hi - lo)

def width(lo, hi):
    return hi - lo
"""
SEVERITIES = """
def my_severities(n, lo, hi, p, generator):
    # Mine: the middle, and a width.
    u = torch.rand(n, generator=generator) - HALF
    return (middle(lo, hi) + width(lo, hi) * u) * (torch.rand(n, generator=generator) < p)
"""


@pytest.fixture(autouse=True)
def file(tmp_path, monkeypatch):
    """A progress file of its own; pages are collected."""
    monkeypatch.setenv("CINV_PROGRESS", str(tmp_path / "mine" / "progress.json"))
    monkeypatch.setattr(my_course, "_unkept", {})
    return tmp_path / "mine" / "my_course.py"


@pytest.fixture
def pages(monkeypatch):
    shown = []
    monkeypatch.setattr(commands, "display", shown.append)
    return shown


def cell(*sources: str) -> dict:
    """What cells of a notebook define; `inspect` finds their sources as it does in a kernel."""
    space = {"__name__": __name__, "torch": torch}
    for number, source in enumerate(sources):
        name = f"<cell {number} {hash(source)}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        exec(compile(source, name, "exec"), space)
    return space


def solved(id: str):
    """The solution of an exercise, typed into a cell."""
    exercise = book.find(id)
    return cell("import math", exercise.solution_source)[exercise.name]


def test_an_answer_is_kept_with_all_that_it_uses_and_used_later(file, pages, capsys):
    answer = cell(COINS, SEVERITIES)["my_severities"]
    assert workbook.check("1.4", answer) is answer
    assert "Kept in my_course.py." in pages[-1].text()
    text = file.read_text()
    for part in (
        "# ==== 1.4: ",
        "import torch",
        "HALF = 0.5",
        "def middle",
        "def width",
        "Mine:",
    ):
        assert part in text, part
    used = workbook.mine("1.4")
    assert (
        used is not answer and "my_severities (1.4): your own, from my_c" in capsys.readouterr().out
    )
    drawn = used(50, 0.0, 1.0, 0.8, torch.Generator().manual_seed(1))
    assert torch.equal(drawn, answer(50, 0.0, 1.0, 0.8, torch.Generator().manual_seed(1)))
    assert workbook.own_answers() == {"1.4": "my_severities"}
    compile(text, "my_course.py", "exec")
    assert workbook.check("1.4", used) is used, "what was read from there is kept as well"
    assert file.read_text() == text


def test_without_an_answer_it_is_the_librarys(file, capsys):
    assert workbook.mine("5.2") is book.find("5.2").reference
    assert "student_loss (5.2): the library's own (you have none yet" in capsys.readouterr().out
    assert workbook.own_answers() == {} and not file.exists()
    with pytest.raises(KeyError, match=r"no exercise '5\.9'"):
        workbook.mine("5.9")


def test_another_right_answer_takes_the_place_of_the_first_and_a_wrong_one_does_not(file, pages):
    one, other = (
        f"def my_bound(delta):\n    return {text}\n"
        for text in ("(2 * delta) ** 0.5", "2 ** 0.5 * delta**0.5")
    )
    for source in (one, other):
        workbook.check("4.1", cell(source)["my_bound"])
        assert source.strip() in file.read_text()
    assert one.strip() not in file.read_text()
    before = file.read_text()
    workbook.check("4.1", lambda delta: delta)
    assert file.read_text() == before


def test_answers_of_one_name_do_not_meet_and_stand_in_their_order(file, pages):
    for id in ("8.1", "1.4", "10.3"):
        workbook.check(id, solved(id))
    assert list(workbook.own_answers()) == ["1.4", "8.1", "10.3"]
    places = [file.read_text().index(f"==== {id}:") for id in ("1.4", "8.1", "10.3")]
    assert places == sorted(places)
    names = [list(inspect.signature(workbook.mine(id)).parameters) for id in ("1.4", "8.1")]
    assert names == [["n", "lo", "hi", "p", "generator"], ["n", "lo", "hi", "generator"]]


def closed_over():
    two = 2

    def my_bound(delta):
        return (two * delta) ** 0.5

    return my_bound


class Callable:
    def __call__(self, delta):
        return (2 * delta) ** 0.5


def power(base, exponent, delta):
    return (base * delta) ** exponent


@pytest.mark.parametrize(
    "answer",
    [
        lambda delta: (2 * delta) ** 0.5,
        closed_over(),
        Callable(),
        Callable().__call__,
        functools.partial(power, 2, 0.5),
        cell('def my_bound(delta):\n    """\n# ==== 4.1: mine ====\n    """\n'
             "    return (2 * delta) ** 0.5")["my_bound"],
        cell("table = torch.tensor([2.0])\ndef my_bound(delta):\n"
             "    return float(table * delta) ** 0.5")["my_bound"],
    ],
    ids=["lambda", "closure", "object", "method", "partial", "marker", "tensor"],
)  # fmt: skip
def test_a_source_that_cannot_be_had_stops_nothing(answer, file, pages, capsys):
    assert workbook.check("4.1", answer) is answer
    assert "right, " in pages[-1].title and "Not kept in my_course.py, as " in pages[-1].text()
    assert not file.exists()
    assert workbook.mine("4.1") is answer, "this kernel still has it"
    assert "my_bound (4.1): your own\n" in capsys.readouterr().out
    assert workbook.own_answers() == {"4.1": "my_bound"}


def test_a_section_that_is_no_longer_right_is_not_used(file, pages, capsys):
    workbook.check("4.1", solved("4.1"))
    text = file.read_text()
    for change, words in (
        (("2 * delta", "3 * delta"), "you gave"),
        (("return", "retur"), "SyntaxError"),
        (("def my_bound", "def your_bound"), "KeyError"),
    ):
        file.write_text(text.replace(*change))
        assert workbook.mine("4.1") is book.find("4.1").reference
        said = capsys.readouterr().out
        assert "the library's own" in said and words in said
    file.write_text(text.replace("2 * delta", "delta * 2"))
    assert workbook.mine("4.1") is not book.find("4.1").reference, "a change of one's own is used"


def test_what_stands_before_the_sections_and_unknown_sections_stay(file, pages):
    file.parent.mkdir()
    file.write_text("# my notes\n\n# ==== 77.1: of another course ====\nx = 1\n")
    workbook.check("4.1", solved("4.1"))
    text = file.read_text()
    assert text.startswith("# my notes\n") and text.rstrip().endswith("x = 1")
    assert text.index("4.1") < text.index("77.1") and list(workbook.own_answers()) == ["4.1"]


def test_a_file_that_is_no_text_is_set_aside(file, pages):
    file.parent.mkdir()
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.warns(UserWarning, match=r"kept as my_course\.damaged\.py"):
        workbook.check("4.1", solved("4.1"))
    assert file.with_suffix(".damaged.py").read_bytes() == b"\xff\xfe\x00"
    assert list(workbook.own_answers()) == ["4.1"]


def test_a_disk_that_is_full_stops_nothing(file, pages, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(my_course, "write_text", refuse)
    answer = solved("4.1")
    assert workbook.check("4.1", answer) is answer
    assert "it cannot be written" in pages[-1].text() and workbook.mine("4.1") is answer
    monkeypatch.undo()


def test_a_value_is_kept_as_its_text(file, pages):
    labels = book.find("15.3").reference()
    workbook.check("15.3", labels)
    assert f"my_labels = {labels}" in file.read_text()
    assert workbook.mine("15.3") == labels and workbook.own_answers() == {"15.3": "my_labels"}
    with pytest.raises(my_course.NoSource, match="a Tensor that has no short text"):
        my_course._literal(torch.ones(2))
