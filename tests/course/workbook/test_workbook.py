"""The workbook's engine: no answer stops the notebook, each is told its fault, nothing is lost."""

import copy
import functools
import json
import math
import os
import pickle
import signal
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import numpy as np
import processes
import pytest
import torch
import torch.nn.functional as F

from cinv_lib.course import workbook
from cinv_lib.course.workbook import commands, grade, predictions, progress_record
from cinv_lib.course.workbook import exercise as book
from cinv_lib.course.workbook.compare import difference, relation
from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong
from cinv_lib.course.workbook.page import Page
from cinv_lib.course.workbook.todo import TODO, has_todo
from cinv_lib.machine import folders as places


def vectors(generator):
    draw = functools.partial(torch.randn, generator=generator, dtype=torch.float64)
    return [Case(f"N = {n}", (draw(n),)) for n in (2, 3, 5)]


def my_double(x):
    return 2 * x


DOUBLE = Exercise(
    id="99.1",
    title="twice <x> & more",
    minutes=5,
    difficulty=1,
    stub="""
    def my_double(x):
        return TODO
    """,
    reference=lambda x: x + x,
    cases=vectors,
    wrong=(
        Wrong(lambda x: x**2, "the square <is> not the double."),
        Wrong(lambda x: x / 2, "you halved it."),
        Wrong(lambda x: x, "nothing is doubled."),
    ),
    alternative=lambda x: 2.0 * x,
    hints=("first", "second, `x`", "third"),
    solution=my_double,
    why="Because.\n\nThe common wrong turn is the square.",
)
HALF = Exercise(
    id="99.2",
    title="a half",
    minutes=60,
    difficulty=3,
    stub="my_half = TODO",
    reference=lambda: 0.5,
    cases=lambda generator: [Case("")],
    wrong=(
        Wrong(lambda: 2.0, "that is its inverse."),
        Wrong(lambda: -0.5, "the sign."),
        Wrong(lambda: 50.0, "as a number, not in percent."),
    ),
    alternative=lambda: torch.tensor(0.5),
    hints=("a", "b", "c"),
    solution="my_half = 1 / 2",
    why="It is.",
)
COIN = Exercise(
    id="99.3",
    title="a sign, at random",
    minutes=5,
    difficulty=2,
    stub="def my_coin(n, generator):\n    return TODO",
    reference=lambda n, generator: 2 * torch.randint(0, 2, (n,), generator=generator) - 1,
    cases=lambda generator: [Case("n = 9", (9, generator))],
    wrong=(
        Wrong(lambda n, generator: torch.zeros(n), "nought is no sign."),
        Wrong(lambda n, generator: torch.ones(n + 1), "one too many."),
        Wrong(lambda n, generator: 2 * torch.ones(n), "too large."),
    ),
    alternative=lambda n, generator: torch.randn(n, generator=generator).sign(),
    hints=("a", "b", "c"),
    solution="def my_coin(n, generator):\n    return torch.ones(n)",
    why="Two values.",
    judge=lambda got, n, generator: None if (got.abs() == 1).all() and len(got) == n else "no sign",
)
NUMBER = Prediction("99.A", "How many?", tolerance=0.1, digits=1)
CHOICE = Prediction("99.B", "Which <one>?", options=("yes", "no"))


@pytest.fixture
def progress(tmp_path, monkeypatch) -> Path:
    """A progress file of its own, and a course of one lesson, 99."""
    monkeypatch.setenv("CINV_PROGRESS", str(tmp_path / "progress" / "progress.json"))
    monkeypatch.setattr(book, "lessons", lambda: ["99"])
    monkeypatch.setattr(book, "of_lesson", lambda n: (DOUBLE, HALF, COIN) if n == "99" else ())
    monkeypatch.setattr(
        book, "predictions_of_lesson", lambda n: (NUMBER, CHOICE) if n == "99" else ()
    )
    monkeypatch.setattr(progress_record, "_unsaved", {})
    return tmp_path / "progress" / "progress.json"


@pytest.fixture
def shown(progress, monkeypatch) -> list[Page]:
    """The pages that were displayed."""
    pages = []
    monkeypatch.setattr(commands, "display", pages.append)
    monkeypatch.setattr(predictions, "display", pages.append)
    return pages


# -- TODO --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "use",
    [
        lambda x: TODO + 1,
        lambda x: 1 - TODO,
        lambda x: x @ TODO,
        lambda x: TODO @ x.T,
        lambda x: (x * TODO).sum() / 2,
        lambda x: x[0] ** TODO // 2 % 3,
        lambda x: F.normalize(TODO, dim=1),
        lambda x: torch.stack([x, TODO]),
        lambda x: torch.where(TODO, x, x),
        lambda x: F.cross_entropy(x, TODO),
        lambda x: np.ones(3) * TODO,
        lambda x: np.exp(TODO),
        lambda x: np.concatenate([np.ones(2), TODO]),
        lambda x: (x.numpy() @ TODO).mean(axis=0)["key"](1, a=2),
        lambda x: -abs(~TODO) & (TODO < 3),
        lambda x: round(TODO, 2),
    ],
)
def test_todo_swallows_what_is_done_to_it(use):
    assert use(torch.ones(2, 3)) is TODO


def test_todo_is_one_and_false_and_plain_to_read():
    assert repr(TODO) == "TODO" and not TODO
    for other in (type(TODO)(), copy.copy(TODO), copy.deepcopy(TODO)):
        assert other is TODO
    assert pickle.loads(pickle.dumps(TODO)) is TODO
    assert not hasattr(TODO, "_repr_html_") and not hasattr(TODO, "__len__")


def test_todo_in_a_collection_is_found():
    for value in (TODO, (1, TODO), [[TODO]], {"a": (2, TODO)}):
        assert has_todo(value)
    for value in (None, 0, "TODO", [], {"TODO": 1}, torch.ones(2), np.ones(2)):
        assert not has_todo(value)


@pytest.mark.parametrize(
    "half",
    [
        lambda x: [v for v in TODO],
        lambda x: sum(TODO),
        lambda x: 3 in TODO,
        lambda x: [x[k] for k in range(TODO)],
        lambda x: math.sqrt(TODO),
        lambda x: x * len(TODO),
        lambda x: torch.zeros(TODO),
        lambda x: torch.tensor([1.0, TODO]),
        lambda x: x.__setitem__(0, TODO),
        lambda x: np.zeros(3).__setitem__(0, TODO),
        lambda x: x if len(x) < 4 else TODO,
        lambda x: {"a": [x, TODO]},
    ],
)
def test_half_an_answer_is_not_attempted(half):
    """Iterating over TODO would go on for ever, so it must be refused at once."""
    start = time.perf_counter()
    graded = grade.grade(DOUBLE, half)
    assert graded.state == "todo" and not graded.outcomes
    assert time.perf_counter() - start < 5


# -- compare -----------------------------------------------------------------------------------
ONES = torch.ones(2, 3)


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (0.5, 0.5),
        (np.float32(0.5), 0.5),
        (torch.tensor(0.5), 0.5),
        (1, torch.tensor(1.0)),
        (np.ones((2, 3)), ONES),
        (ONES.bfloat16().requires_grad_(), ONES),
        (ONES.to_sparse(), ONES),
        (torch.tensor([1 - 2j]).conj(), np.array([1 + 2j])),
        (ONES * (1 + 5e-5), ONES),
        (1e6 + 50.0, 1e6),
        (torch.tensor([1.0, math.nan, math.inf]), np.array([1.0, math.nan, math.inf])),
        (torch.zeros(0, 3), np.zeros((0, 3))),
        (np.array([True, False]), torch.tensor([True, False])),
        ("yes", "yes"),
        ([1, 2.0], (1.0, 2)),
        (torch.tensor([1.0, 2.0]), [1.0, 2.0]),
        ({"b": ONES, "a": [1]}, {"a": (1,), "b": ONES}),
    ],
)
def test_values_that_are_the_same(got, expected):
    assert difference(got, expected, 1e-4) is None


@pytest.mark.parametrize(
    ("got", "expected", "words"),
    [
        (None, ONES, "it gave None: is a `return` missing?"),
        (0.5, 0.25, "you gave 0.5, expected 0.25"),
        (1.0003, 1.0, "you gave 1.0003, expected 1"),
        (123456, 123500, "you gave 123456, expected 123500"),
        (ONES, ONES[0], "its shape is (2, 3), expected (3,)"),
        (ONES[0], 1.0, "its shape is (3,), expected ()"),
        ([1.0, 2.0], np.ones(2), "it gave a list, expected an array of numbers, shape (2,)"),
        ("1", 1.0, "it gave a str, expected a number"),
        (print, 1.0, "it gave a builtin_function_or_method, expected a number"),
        (np.array(["a"]), 1.0, "expected a number"),
        (np.array([None, 1]), np.ones(2), "an array of objects, shape (2,), expected an array"),
        (ONES * math.nan, ONES, "6 of its 6 numbers are NaN or infinite"),
        (math.inf, 1.0, "1 of its 1 numbers are NaN or infinite"),
        (1.0, math.inf, "you gave 1, expected inf"),
        (
            torch.tensor([1.0, 2.0, math.inf]),
            torch.tensor([1.0, 5.0, math.inf]),
            "you gave [1, 2, inf], expected [1, 5, inf]; the largest difference is 3",
        ),
        (torch.arange(6), torch.ones(6), "you gave [0, 1, 2, 3, ...], expected [1, 1, 1, 1, ...]"),
        (True, False, "you gave True, expected False"),
        ("no", "yes", "you gave 'no', expected 'yes'"),
        (np.array(["yes", "no"]), "yes", "expected 'yes'"),
        ([1, 2, 3], (1, 2), "you gave [1, 2, 3], expected 2 values"),
        ("ab", [1, 2], "you gave 'ab', expected 2 values"),
        (3.0, [1, 2], "you gave 3.0, expected 2 values"),
        ((1, 5), (1, 2), "part 2: you gave 5, expected 2"),
        ({"a": 1}, {"a": 1, "b": 2}, "expected a dict with the keys ['a', 'b']"),
        ({"a": [1, 3]}, {"a": [1, 2]}, "a: part 2: you gave 3, expected 2"),
    ],
)
def test_differences_are_said_with_numbers(got, expected, words):
    assert words in difference(got, expected, 1e-4)


A = torch.tensor([[1.0, 2.0, -3.0], [0.5, -1.0, 4.0]])


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (lambda a: -a, "opposite sign"),
        (lambda a: 3 * a, "is 3 times the right one"),
        (lambda a: -a / 4, "is -0.25 times the right one"),
        (lambda a: a + 2, "the right one plus 2 in"),
        (lambda a: a - 0.5, "the right one minus 0.5 in"),
        (lambda a: a.T, "transpose"),
        (lambda a: a**2, None),
        (lambda a: 0 * a, None),
        (lambda a: a.flatten(), None),
        (lambda a: a * math.nan, None),
        (lambda a: str(a), None),
        (lambda a: None, None),
        (lambda a: a > 0, None),
        (lambda a: a[:0], None),
    ],
)
def test_a_simple_rule_between_given_and_expected_is_found(rule, words):
    found = relation([(rule(a), a) for a in (A, 10 * A)], 1e-4)
    assert found is None if words is None else words in found


def test_a_rule_must_hold_in_every_case():
    """One scale for all cases would overlook the small ones."""
    large, small = 1e6 * A, A
    assert relation([(2 * large, large), (3 * small, small)], 1e-4) is None
    assert relation([(large, large), (small + 0.1, small)], 1e-4) is None
    assert relation([(torch.zeros(0), torch.zeros(0)), (-A, A)], 1e-4) is not None
    assert relation([(4.0, 2.0)], 1e-4) is None, "one number fits every rule"


# -- grade -------------------------------------------------------------------------------------
def raises(x):
    raise ValueError("bad <thing>\nand more")


def leaves(x):
    exit()


def deep(x):
    return deep(x)


def interrupted(x):
    raise KeyboardInterrupt


class Silent(BaseException):
    pass


def silent(x):
    raise Silent


def spoils(x):
    return x.mul_(2)


class Doubler:
    def __call__(self, x):
        return 2 * x


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (
            raises,
            "error",
            'bad <thing> (in your line `raise ValueError("bad <thing>\\nand more")`)',
        ),
        (leaves, "error", "SystemExit"),
        (lambda x: sys.exit(3), "error", "SystemExit: 3"),
        (deep, "error", "RecursionError: maximum"),
        (silent, "error", "Silent: no message"),
        (lambda x: x.nonsense, "error", "AttributeError: 'Tensor' object has no attribute"),
        (lambda: 1, "error", "TypeError"),
        (lambda x, y: x, "error", "missing 1 required positional argument: 'y'"),
        (functools.partial(my_double, y=2), "error", "unexpected keyword argument 'y'"),
        (int, "error", "ValueError: only one element"),
        (spoils, "error", "it changes its argument number 1 in place; work on a copy"),
        (lambda x: None, "wrong", "is a `return` missing?"),
        (lambda x: "two", "wrong", "it gave a str"),
        (lambda x: print, "wrong", "it gave a builtin_function_or_method"),
        (lambda x: (v for v in x), "wrong", "it gave a generator"),
        (lambda x: x * math.nan, "wrong", "NaN or infinite"),
        (lambda x: x.sum(), "wrong", "its shape is (), expected (2,)"),
        (lambda x: x[None], "wrong", "its shape is (1, 2), expected (2,)"),
        (lambda x: (2 * x).tolist(), "wrong", "it gave a list"),
        (lambda x: np.array([object()] * len(x)), "wrong", "an array of objects"),
        (lambda x: x + 2, "wrong", "you gave ["),
        (3, "wrong", "my_double is a int, expected a function"),
        ("my_double", "wrong", "my_double is a str, expected a function"),
        (None, "wrong", "my_double is a NoneType, expected a function"),
    ],
)
def test_whatever_an_answer_does_is_reported(answer, state, words, shown):
    goes_on = workbook.check("99.1", answer)
    assert goes_on is DOUBLE.reference
    (page,) = shown
    assert "not yet right" in page.title and words in page.text()
    assert {outcome.state for outcome in grade.grade(DOUBLE, answer).outcomes} == {state}


@pytest.mark.parametrize(
    "answer",
    [
        my_double,
        Doubler(),
        functools.partial(torch.mul, other=2),
        lambda *args: args[0] * 2,
        lambda x, verbose=False: 2 * x.float(),
    ],
)
def test_a_right_answer_is_handed_back_whatever_its_form(answer, shown):
    assert workbook.check("99.1", answer) is answer
    assert shown[0].title.endswith(": right, 3 of 3 cases")


def test_right_numbers_that_are_no_tensor_are_right_and_not_handed_on(shown):
    """The cells below may ask them for what only a tensor has."""
    assert workbook.check("99.1", lambda x: (2 * x).numpy()) is DOUBLE.reference
    assert shown[0].title.endswith(": right, 3 of 3 cases")
    assert "go on with the library's own, which gives a tensor" in shown[0].text()


def test_an_endless_answer_is_stopped(monkeypatch):
    def forever(x):
        while True:
            pass

    handler = signal.getsignal(signal.SIGALRM)
    monkeypatch.setattr(grade, "SECONDS", 0.1)
    start = time.perf_counter()
    graded = grade.grade(DOUBLE, forever)
    assert time.perf_counter() - start < 5
    assert all("ran for more than 0.1 s" in outcome.detail for outcome in graded.outcomes)
    assert signal.getsignal(signal.SIGALRM) == handler
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert grade.grade(DOUBLE, my_double).state == "right"


def test_gradients_are_on_after_an_answer_that_turned_them_off():
    """A stopped answer may have been under `no_grad`, and nothing that follows would learn."""
    grade.grade(DOUBLE, lambda x: torch.set_grad_enabled(False) and None)
    assert torch.is_grad_enabled()


def test_answers_are_graded_in_a_thread_too():
    """Signals are the main thread's, so there is no limit there, and no error either."""
    graded = []
    thread = threading.Thread(target=lambda: graded.append(grade.grade(DOUBLE, my_double)))
    thread.start()
    thread.join()
    assert graded[0].state == "right"


def test_the_reader_may_interrupt():
    with pytest.raises(KeyboardInterrupt):
        grade.grade(DOUBLE, interrupted)


@pytest.mark.parametrize(
    ("argument", "spoil"),
    [
        (lambda: torch.tensor([1.0, math.nan]), lambda a: a.zero_()),
        (lambda: torch.ones(2, 3), lambda a: a.t_()),
        (lambda: np.ones(3), lambda a: a.fill(0)),
        (lambda: [1, 2], lambda a: a.clear()),
        (lambda: (torch.ones(2), 3), lambda a: a[0].zero_()),
        (lambda: {"a": torch.ones(2)}, lambda a: a["a"].zero_()),
        (lambda: {"a": torch.ones(2)}, lambda a: a.pop("a")),
    ],
)
def test_a_spoilt_argument_is_noticed_and_harms_no_one_else(argument, spoil):
    def answer(a):
        spoil(a)
        return 1.0

    case = Case("", (argument(),))
    assert grade._try(answer, case) == (
        None,
        "it changes its argument number 1 in place; work on a copy",
    )
    assert difference(case.args[0], argument(), 0.0) is None
    assert grade._try(lambda a: 1.0, case) == (1.0, "")


def test_a_generator_is_there_to_be_used_and_each_answer_gets_it_anew():
    case = Case("", (torch.Generator().manual_seed(3),))
    first, second = (
        grade._try(lambda g: torch.rand(3, generator=g), case)[0].tolist() for _ in "12"
    )
    assert first == second == torch.rand(3, generator=case.args[0]).tolist()


def test_every_known_wrong_answer_is_told_its_own_reason():
    for exercise in (DOUBLE, HALF, COIN):
        for wrong in exercise.wrong:
            answer = wrong.answer if exercise.is_function else wrong.answer()
            graded = grade.grade(exercise, answer)
            assert (graded.state, graded.cause) == ("wrong", wrong.because)
        assert grade.grade(exercise, TODO).state == "todo"
    assert grade.grade(DOUBLE, lambda x: -2 * x).cause.startswith("your answer has the opposite")
    assert grade.grade(DOUBLE, lambda x: x.exp()).cause == ""


def test_only_some_cases_wrong():
    graded = grade.grade(DOUBLE, lambda x: 2 * x if len(x) < 4 else x)
    assert [outcome.state for outcome in graded.outcomes] == ["right", "right", "wrong"]
    assert "2 of 3 cases" in commands.report(graded).title


def test_a_judge_counts_many_answers_as_right_and_survives_odd_ones():
    assert grade.grade(COIN, COIN.alternative).state == "right"
    odd = grade.grade(COIN, lambda n, generator: "heads")
    assert odd.state == "wrong"
    assert "it gave a str of no use here (AttributeError" in odd.outcomes[0].detail
    assert "return" in grade.grade(COIN, lambda n, generator: None).outcomes[0].detail


def test_values(shown):
    for right in (0.5, np.float64(0.5), torch.tensor(0.5), 1 / 2):
        assert workbook.check("99.2", right) is right
    for other in (TODO, TODO / 2, None, "half", math.nan, [0.5], 2.0, torch.ones(3), print):
        assert workbook.check("99.2", other) == 0.5
    titles = [page.title.partition(": ")[2] for page in shown]
    assert (
        titles
        == ["right, 1 of 1 cases"] * 4
        + ["not attempted yet"] * 2
        + ["not yet right, 0 of 1 cases"] * 7
    )


def test_the_same_seed_gives_the_same_cases_and_another_others():
    values = [[case.args[0].tolist() for case in DOUBLE.drawn(seed)] for seed in (0, 0, 1, None)]
    assert values[0] == values[1] == values[3] != values[2]


def test_cells_and_names():
    assert DOUBLE.cell() == (
        'def my_double(x):\n    return TODO\n\n\nmy_double = check("99.1", my_double)'
    )
    assert DOUBLE.cell(DOUBLE.solution_source).startswith("def my_double(x):\n    return 2 * x\n")
    assert HALF.cell() == 'my_half = TODO\nmy_half = check("99.2", my_half)'
    assert HALF.cell(HALF.solution_source).startswith("my_half = 1 / 2\n")
    assert (DOUBLE.lesson, book.find("2.1").lesson, CHOICE.lesson) == ("99", "02", "99")


def test_an_unknown_id_names_the_known_ones(progress):
    with pytest.raises(KeyError, match=r"no exercise '99\.7'; its lesson has 99\.1, 99\.2, 99\.3"):
        workbook.check("99.7", my_double)
    with pytest.raises(KeyError, match=r"no prediction '99\.Z'; its lesson has 99\.A, 99\.B"):
        workbook.predict("99.Z", 1)
    with pytest.raises(KeyError, match="an id is for example"):
        workbook.hint("77.1")


# -- pages -------------------------------------------------------------------------------------
def blocks(page: Page) -> list[str]:
    """The HTML's paragraphs, list items and table cells; folded parts apart. Parsing it as XML
    shows as well that every tag is closed and every text escaped."""
    root = ElementTree.fromstring(page._repr_html_())
    for parent in list(root.iter()):
        for folded in parent.findall("details"):
            parent.remove(folded)
    found = [node for node in root.iter() if node.tag in ("p", "li", "th", "td", "pre")]
    return [" ".join("".join(node.itertext()).split()) for node in found]


def all_pages(progress) -> dict[str, Page]:
    """Everything that the workbook can show."""
    graded = {
        "todo": grade.grade(DOUBLE, TODO),
        "right": grade.grade(DOUBLE, my_double),
        "right value": grade.grade(HALF, 0.5),
        "wrong": grade.grade(DOUBLE, DOUBLE.wrong[0].answer),
        "error": grade.grade(DOUBLE, raises),
        "wrong value": grade.grade(HALF, 2.0),
    }
    pages = {name: commands.report(found) for name, found in graded.items()}
    pages["no hints left"] = commands.report(graded["wrong"], hints_used=3)
    for prediction, given in ((NUMBER, 3.0), (CHOICE, "no")):
        pages[f"{prediction.id} no guess"] = predictions.committed(prediction, TODO)
        pages[f"{prediction.id} odd"] = predictions.committed(prediction, "<perhaps>")
        pages[f"{prediction.id} unguessed"] = predictions.revealed(prediction, given)
        pages[f"{prediction.id} guess"] = predictions.committed(prediction, given)
        pages[f"{prediction.id} shown"] = predictions.revealed(prediction, given)
        pages[f"{prediction.id} too late"] = predictions.committed(prediction, given)
    pages["progress"] = commands.progress_page()
    return pages


def test_html_and_text_say_the_same(progress):
    for name, page in all_pages(progress).items():
        said = " ".join(page.text().replace("`", "").split())
        for block in blocks(page):
            assert block and block in said, (name, block)
        assert repr(page) == page.text() and page.title in page.text()


def test_pages_speak_to_a_screen_reader(progress):
    for name, page in all_pages(progress).items():
        root = ElementTree.fromstring(page._repr_html_())
        assert root.get("role") == "status" and root.get("aria-label") == page.title, name
        for table in root.iter("table"):
            columns = [th.get("scope") for th in table.find("thead").iter("th")]
            assert set(columns) == {"col"}
            for row in table.find("tbody").iter("tr"):
                assert [cell.tag for cell in row] == ["th"] + ["td"] * (len(columns) - 1)
                assert row[0].get("scope") == "row"
        assert all(details[0].tag == "summary" for details in root.iter("details")), name
        assert all(len(list_) for list_ in root.iter("ul")), name


def test_every_state_is_a_word(progress):
    pages = all_pages(progress)
    words = {"todo": "not attempted yet", "right": ": right,", "wrong": "not yet right"}
    words |= {
        "error": "not yet right",
        "99.A shown": ": right, 1 of 1",
        "99.A no guess": "no guess",
    }
    words |= {"99.B odd": "that is no guess", "99.B guess": "your guess is no"}
    for name, word in words.items():
        assert word in pages[name].title, name
    assert len({pages[name].state for name in ("todo", "right", "wrong")}) == 3
    lines = pages["error"].text().splitlines()
    assert sum(line.startswith("error: N = ") for line in lines) == 3
    partly = commands.report(grade.grade(DOUBLE, lambda x: 2 * x if len(x) < 4 else x)).text()
    assert "right: N = 2\nright: N = 3\nwrong: N = 5: you gave [" in partly
    assert "Likely cause: the square <is> not the double." in pages["wrong"].text()


def test_page_escapes_and_sets_code_in_code():
    page = Page('<i>"q"</i>').line("a `x < 1` b ` c", "<s>").items(["`y`"]).code("if a < b:\n    c")
    page.table(["a", "<b>"], [["1", "&"]]).folded("<open>", "one\n\ntwo `z`", "x < y")
    root = ElementTree.fromstring(page._repr_html_())
    assert [node.text for node in root.iter("code")] == ["x < 1", " c", "y", "z"]
    assert [node.text for node in root.iter("pre")] == ["if a < b:\n    c", "x < y"]
    assert len(list(root.find("details").iter("p"))) == 2
    assert "a  <b>\n1  &" in page.text() and "one" not in page.text()
    with pytest.raises(KeyError):
        Page("x", "green")._repr_html_()


# -- desk --------------------------------------------------------------------------------------
def saved(progress: Path, kind: str = "exercises") -> dict:
    return json.loads(progress.read_text())[kind]


def test_nothing_is_written_while_nothing_is_attempted(progress, shown):
    assert workbook.check("99.1", TODO) is DOUBLE.reference
    assert workbook.check("99.2", TODO) == 0.5
    workbook.predict("99.A")
    workbook.reveal("99.A", 3)
    workbook.progress()
    assert not progress.exists()


def test_attempts_are_counted_until_solved(progress, shown):
    for answer in (raises, TODO, lambda x: x, my_double, my_double, raises):
        workbook.check("99.1", answer)
    entry = saved(progress)["99.1"]
    assert entry["attempts"] == 3 and entry["solved"].startswith("20")


def test_hints_come_one_by_one_and_stay(progress, shown):
    for number in (1, 2, 3, 3):
        workbook.check("99.1", raises)
        workbook.hint("99.1")
        report, hints = shown[-2:]
        assert f"hint {number} of 3" in hints.title
        assert [text in hints.text() for text in DOUBLE.hints] == [k < number for k in range(3)]
        assert ("solution(" in hints.text()) == (number == 3)
    assert "all hints are given" in report.text()
    assert "gives hint 1 of 3" in shown[0].text()
    assert saved(progress)["99.1"]["hints"] == 3


def test_the_solution_is_folded_and_noted(progress, shown):
    workbook.solution("99.1")
    (page,) = shown
    details = ElementTree.fromstring(page._repr_html_()).find("details")
    assert details.get("open") is None
    for text in ("def my_double(x):\n    return 2 * x", "The common wrong turn is the square."):
        assert text in "".join(details.itertext()) and text in page.text()
    assert saved(progress)["99.1"]["solution"] is True


def test_progress_says_done_hints_left_and_next(progress, shown):
    workbook.progress()
    assert "Your progress: 0 of 3 exercises" in shown[-1].title
    assert "Left: 1 h 10 min." in shown[-1].text()
    workbook.check("99.2", 0.5)
    workbook.check("99.3", raises)
    workbook.hint("99.3")
    workbook.hint("99.1")
    workbook.solution("99.3")
    workbook.predict("99.A", 3.2)
    workbook.reveal("99.A", 3)
    workbook.progress()
    text = shown[-1].text()
    assert shown[-1].title == "Your progress: 1 of 3 exercises"
    columns = ["99", "1 of 3", "2", "1", "0.5 of 2", "10 min"]
    assert columns == [cell.strip() for cell in text.splitlines()[2].split("  ") if cell.strip()]
    assert "Next: 99.1, twice <x> & more (5 min)." in text and "Left: 10 min." in text
    workbook.check("99.1", my_double)
    workbook.check("99.3", COIN.alternative)
    workbook.progress()
    assert shown[-1].title == "Your progress: 3 of 3 exercises"
    assert "Next" not in shown[-1].text() and "Left: 0 min." in shown[-1].text()


# -- predictions -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("given", "points"),
    [(3.0, 1), (3.1, 1), (2.9, 1), (3.11, 0.5), (2.71, 0.5), (3.31, 0), (-3, 0), ("3.05", 1)],
)
def test_a_number_is_scored_by_its_distance(given, points, progress, shown):
    workbook.predict("99.A", given)
    workbook.reveal("99.A", torch.tensor(3.0))
    assert saved(progress, "predictions")["99.A"]["points"] == points
    word = {1: "right", 0.5: "near", 0: "not this time"}[points]
    assert f"it is 3.0: {word}, {points:g} of 1 point" in shown[-1].title


def test_a_choice_is_scored_by_equality(progress, shown):
    workbook.predict("99.B", "yes")
    workbook.predict("99.B", "no")  # it may be changed until the result is shown
    workbook.reveal("99.B", "no")
    assert saved(progress, "predictions")["99.B"]["points"] == 1
    assert "you said no, it is no: right" in shown[-1].title


def test_a_prediction_offers_the_options_that_a_profile_has(progress, shown):
    workbook.predict("99.B", TODO, among=["no", "another"])
    assert "'no'" in shown[-1].text() and "'yes'" not in shown[-1].text()
    workbook.predict("99.B", "yes", among=["no"])
    assert "expected one of 'no'" in shown[-1].text() and not progress.exists()
    with pytest.raises(ValueError, match=r"99\.B: \['another'\]: expected some of yes, no"):
        workbook.predict("99.B", TODO, among=["another"])


def test_a_guess_cannot_be_changed_once_it_is_scored(progress, shown):
    workbook.predict("99.A", 9)
    workbook.reveal("99.A", 3)
    before = progress.read_text()
    workbook.predict("99.A", 3)
    assert "your guess 9.0 has been scored" in shown[-1].title
    workbook.reveal("99.A", 3)
    assert "0 of 1 point" in shown[-1].title and progress.read_text() == before


def test_a_guess_that_comes_while_another_notebook_shows_the_result_is_too_late(
    progress, shown, monkeypatch
):
    workbook.predict("99.A", 9)
    known = progress_record.load()
    workbook.reveal("99.A", 3)
    monkeypatch.setattr(progress_record, "load", lambda: known)  # read before, written after
    workbook.predict("99.A", 3)
    assert saved(progress, "predictions")["99.A"]["guess"] == 9


@pytest.mark.parametrize(
    "odd",
    [None, "many", [3], (), math.nan, math.inf, 10**400, 1j, torch.ones(2), np.ones(2), print],
    ids=lambda odd: type(odd).__name__,
)
def test_an_odd_guess_is_refused_in_words(odd, progress, shown):
    for id in ("99.A", "99.B"):
        workbook.predict(id, odd)
        assert "that is no guess" in shown[-1].title and "expected" in shown[-1].text()
        workbook.reveal(id, "yes" if id == "99.B" else 3)
        assert "no guess was made" in shown[-1].title
    assert not progress.exists()


@pytest.mark.parametrize(
    ("guess", "words"),
    [
        (("0,7",), "write 0.7: Python's decimal sign"),
        ((" -12,50 ",), "write -12.50: "),
        ((0, 7), "write 0.7: "),
        ((-3, 25), "write -3.25: "),
        (((0, 7),), "write 0.7: "),
        ((0, 7, 1), "you gave (0, 7, 1), expected a number"),
        ((0, -7), "you gave (0, -7), expected a number"),
        ((0, True), "expected a number"),
        ((0.5, 7), "expected a number"),
        (("1,2,3",), "you gave '1,2,3', expected a number"),
    ],
)
def test_a_decimal_comma_is_told_to_be_a_point(guess, words, progress, shown):
    workbook.predict("99.A", *guess)
    assert "that is no guess" in shown[-1].title and words in shown[-1].text()
    assert not progress.exists()
    workbook.predict("99.B", *guess)
    assert "expected one of 'yes', 'no'" in shown[-1].text()
    workbook.predict("99.A", TODO, 7)
    assert "no guess yet" in shown[-1].title


def test_a_guess_from_before_the_question_changed_is_none(progress, shown):
    progress_record.change("predictions", "99.A", lambda entry: entry.update(guess="yes"))
    progress_record.change("predictions", "99.B", lambda entry: entry.update(guess=0.5))
    workbook.reveal("99.A", 3)
    workbook.reveal("99.B", "yes")
    assert all("no guess was made" in page.title for page in shown)


# -- record ------------------------------------------------------------------------------------
def attempt(entry):
    entry["attempts"] = entry.get("attempts", 0) + 1


def test_what_is_known_survives_a_restart(progress):
    progress_record.change("exercises", "2.1", attempt)
    progress_record.change("predictions", "2.A", lambda entry: entry.update(guess="ü"))
    text = progress.read_text(encoding="utf-8")
    assert json.loads(text) == {
        "exercises": {"2.1": {"attempts": 1}},
        "predictions": {"2.A": {"guess": "ü"}},
    }
    assert progress_record.load() == json.loads(text)
    assert sorted(p.name for p in progress.parent.iterdir() if p.suffix != ".lock") == [
        "progress.json"
    ]


def test_where_progress_is_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("CINV_PROGRESS", str(tmp_path / "mine.json"))
    assert places.progress_file() == tmp_path / "mine.json"
    monkeypatch.delenv("CINV_PROGRESS")
    assert places.progress_file() == places.ROOT / "progress.json"
    clean = (places.ROOT / "Makefile").read_text().partition("\nclean:")[2]
    assert "rm -rf" in clean and "progress" not in clean


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[1]",
        b"3",
        b'{"exercises": {}}',
        b'{"exercises": [], "predictions": {}}',
        b'{"exercises": {"99.1": 5}, "predictions": {}}',
        b'{"exercises": {"99.1": {"hints": null}}, "predictions": {}}',
        b'{"exercises": {}, "predictions": {"99.A": {"points": "1"}}}',
    ],
)
def test_a_damaged_file_is_kept_aside_and_begun_anew(content, progress, shown):
    progress.parent.mkdir()
    progress.write_bytes(content)
    with pytest.warns(UserWarning, match="cannot be read"):
        workbook.progress()
    assert progress.read_bytes() == content, "to look is not to change"
    with pytest.warns(UserWarning, match=r"kept as progress\.damaged\.json"):
        workbook.hint("99.1")
    assert progress.with_suffix(".damaged.json").read_bytes() == content
    assert saved(progress) == {"99.1": {"hints": 1}}


def test_a_folder_that_cannot_be_written_stops_nothing(progress, shown, monkeypatch):
    """What could not be written is known until the kernel ends, and is written when it can be."""
    progress_record.change("exercises", "99.3", attempt)
    before = progress.read_text()

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch, pytest.warns(UserWarning, match="cannot be kept"):
        patch.setattr(progress_record, "write_text", refuse)
        assert workbook.check("99.1", raises) is DOUBLE.reference
        workbook.hint("99.1")
        workbook.hint("99.1")
        assert "hint 2 of 3" in shown[-1].title
        workbook.predict("99.A", 3)
        workbook.reveal("99.A", 3)
        assert "1 of 1 point" in shown[-1].title
    assert progress.read_text() == before
    workbook.check("99.1", my_double)
    entry = saved(progress)["99.1"]
    assert (entry["attempts"], entry["hints"]) == (2, 2) and "solved" in entry
    assert saved(progress)["99.3"] == {"attempts": 1}
    assert saved(progress, "predictions")["99.A"]["points"] == 1
    assert not progress_record._unsaved


def test_a_place_that_cannot_be_a_file_stops_nothing(tmp_path, shown, monkeypatch):
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "file" / "below.json"):
        monkeypatch.setenv("CINV_PROGRESS", str(place))
        with pytest.warns(UserWarning):
            assert workbook.check("99.1", my_double) is my_double
            workbook.progress()
        assert shown[-1].title == "Your progress: 1 of 3 exercises"


def test_a_lock_that_is_held_is_not_waited_for_for_ever(progress, monkeypatch):
    real = progress_record.filelock.FileLock
    progress.parent.mkdir()
    monkeypatch.setattr(
        progress_record.filelock, "FileLock", lambda file, timeout: real(file, timeout=0.1)
    )
    with real(progress.with_suffix(".lock")), pytest.warns(UserWarning, match="cannot be kept"):
        assert progress_record.change("exercises", "2.1", attempt) == {"attempts": 1}
    assert not progress.exists()


def many_attempts(file: Path, n: int) -> None:
    os.environ["CINV_PROGRESS"] = str(file)
    for k in range(n):
        progress_record.change("exercises", f"2.{k % 2}", attempt)


def test_threads_lose_nothing(progress):
    threads = [threading.Thread(target=many_attempts, args=(progress, 20)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert saved(progress) == {"2.0": {"attempts": 40}, "2.1": {"attempts": 40}}


def test_processes_lose_nothing(progress):
    assert processes.run(many_attempts, progress, 50, ranks=2) == [0, 0]
    assert saved(progress) == {"2.0": {"attempts": 50}, "2.1": {"attempts": 50}}


def killed_while_writing(file: Path, moment: str) -> None:
    """SIGKILL to oneself when half of the text is written, all of it, or it has its name."""
    os.environ["CINV_PROGRESS"] = str(file)
    write, replace = Path.write_text, os.replace

    def die(done: Callable, *arguments, **named) -> None:
        done(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    if moment == "half":
        Path.write_text = lambda self, text, **k: die(write, self, text[: len(text) // 2], **k)
    elif moment == "all":
        Path.write_text = functools.partialmethod(
            lambda self, text, **k: die(write, self, text, **k)
        )
    else:
        os.replace = functools.partial(die, replace)
    progress_record.change("exercises", "2.1", attempt)


@pytest.mark.parametrize(("moment", "attempts"), [("half", 1), ("all", 1), ("named", 2)])
def test_kill_9_leaves_the_old_file_or_the_new(moment, attempts, progress):
    progress_record.change("exercises", "2.1", attempt)
    assert processes.run(killed_while_writing, progress, moment) == [-signal.SIGKILL]
    assert saved(progress) == {"2.1": {"attempts": attempts}}
    start = time.perf_counter()
    progress_record.change("exercises", "2.1", attempt)  # the dead process holds no lock
    assert time.perf_counter() - start < 5
    assert saved(progress) == {"2.1": {"attempts": attempts + 1}}


def test_a_guess_is_taken_as_its_option_is_spelled():
    prediction = book.find_prediction("0.B")
    for guess in ("50 %", "50%", " 50 % "):
        assert "your guess is 50 %" in predictions.committed(prediction, guess).title
    assert "that is no guess" in predictions.committed(prediction, "5 %").title


def test_a_number_is_as_good_an_id_as_its_text_and_a_question_keeps_its_mark():
    assert book.find(0.1) is book.find("0.1")
    assert book.find("0.1").heading.endswith("embeddings?")
    assert book.find("0.2").heading.endswith("in words:")
