"""A reader's own run: its tables, what it looks at beside, and the example of lesson 18."""

from dataclasses import replace

import pandas as pd
import pytest

from cinv_lib.experiments.base import Experiment, Task
from cinv_lib.experiments.own_looks import other_loss, other_range
from cinv_lib.lab import plan
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.missing import Absent
from cinv_lib.lab.profiles import of_one_of_your_own, own, own_example, profile
from cinv_lib.operators.basic import parse

TINY = own_example.tiny("smoke")
ROWS = "rows:0.3..0.7"


@pytest.fixture(scope="module")
def lab():
    return Lab(TINY, recorded=False)


def test_the_tables_of_a_run(lab):
    scores, answers = lab.table("own_scores"), lab.table("own_answers")
    assert set(scores.method) == {"clip", "clip_zero_shot", "student", "zero_shot"}
    assert set(scores.realisation) == {0, 1}
    assert len(answers) == len(lab.val) and answers.label.tolist() == lab.val.labels.tolist()
    first = scores[(scores.method == "zero_shot") & (scores.realisation == 0)].top1.item()
    assert 100 * (answers.student == answers.label).mean() == pytest.approx(first, abs=1e-3)
    assert answers.student_sure.between(0, 1).all() and answers.clip_sure.between(0, 1).all()
    cosines, steps = lab.table("own_cosines"), lab.table("own_training")
    assert len(cosines) == len(lab.val) and cosines["student"].between(-1, 1).all()
    pd.testing.assert_frame_equal(
        steps.drop(columns="seed"), lab.history("student", ROWS), rtol=1e-4
    )


def test_looks_are_students_that_differ_in_one_thing(lab):
    task = TINY["own_looks"].task(ROWS)
    assert TINY["own_looks"].needs(task)["students"] == {
        "as it is": Task("student", ROWS, 0, "st:0.1"),
        "fewer pictures": Task("own_fewer", ROWS, 0, "st:0.1"),
        "another loss": Task("student", ROWS, 0, "mse"),
        "another range": Task("student", "rows:0.7", 0, "st:0.1"),
    }
    looks = lab.table("own_looks")
    assert len(looks) == 4 * 2 and looks.cosine.between(-1, 1).all()
    few, all_of_them = (lab.history(kind, ROWS) for kind in ("own_fewer", "student"))
    assert few.epoch.max() + 1 == 4 * (all_of_them.epoch.max() + 1)
    assert all(TINY.task_name(t) in plan.every(TINY, 1) for t in TINY.after(task))


@pytest.mark.parametrize(
    ("given", "other"),
    [("mask:0.5..0.9", "mask:0.9"), ("mask:0.9", "mask:0.45..0.9"), ("identity", None),
     ("mask:0.9|noise:0.5", None), ("blur:1@0.8+noise:0.1@0.8", None)],
)  # fmt: skip
def test_another_range(given, other):
    found = other_range(parse(given))
    assert (found and str(found)) == other


def test_another_loss():
    assert (other_loss("st:0.1"), other_loss("mse")) == ("mse", "st:0.1")


def test_without_classes_or_without_looks_there_are_fewer_tables():
    whole = own.Own("/somewhere", "mask:0.9", "stickers-clip", loss="mse")
    tables = lambda run: {e.name for e in run.profile("own/x").entries if isinstance(e, Experiment)}  # noqa: E731
    assert tables(whole) == {"own_scores", "own_cosines", "own_training", "own_looks"}
    assert tables(replace(whole, labelled=False)) == {"own_cosines", "own_training", "own_looks"}
    assert "own_looks" not in tables(replace(whole, looks=False))
    assert all(e.losses == ("mse",) for e in whole.profile("own/x").entries)


def test_the_example_is_recorded_whole():
    """So that lesson 18 is replayed without a training."""
    lab = Lab("own/example")
    tasks = [t for e in lab.profile.entries if isinstance(e, Experiment) for t in e.tasks(1)]
    assert len(tasks) == 4
    assert all(lab.archive.finished(**lab.place(task)) for task in tasks)


def test_the_run_of_a_course():
    assert of_one_of_your_own("stickers") == profile("own/example")
    assert of_one_of_your_own("smoke") == TINY
    with pytest.raises(Absent, match="make own NAME=mine PICTURES=DIR"):
        of_one_of_your_own("stl10")
    with pytest.raises(ValueError, match="nonsense"):
        of_one_of_your_own("nonsense")


def test_the_examples_name_is_taken():
    with pytest.raises(ValueError, match="take another NAME"):
        own.write("own/example", own.Own("/somewhere", "mask:0.9", "stickers-clip"))
