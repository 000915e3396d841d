"""Short trainings: what is recorded, how a reader's own step trains, and what is said of it."""

import pandas as pd
import pytest
import torch

from cinv_lib import operators
from cinv_lib.course.workbook import exercise as book
from cinv_lib.experiments import short_trainings
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles import SMOKE, STICKERS
from cinv_lib.losses import parse
from cinv_lib.training.student import distill

ENTRY = SMOKE["short_trainings"]
(TASK,) = ENTRY.tasks(3)


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A lab that has made nothing, and reads what it makes."""
    monkeypatch.setenv("CINV_RUNS", str(tmp_path))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    return Lab("smoke", recorded=False)


def test_no_lesson_makes_them_and_they_are_trained_as_the_students_are_but_shorter():
    brief, whole = STICKERS["short_trainings"].recipe, STICKERS["student"].recipe
    assert not STICKERS["short_trainings"].lessons
    assert (brief.batch_size, brief.lr, brief.epochs) == (whole.batch_size, whole.lr, 8)


def test_a_killed_run_goes_on_and_trains_none_twice(lab, monkeypatch):
    made, write = [], short_trainings.write_text

    def counted(teacher, images, op, loss, recipe, seed, checkpoint):
        made.append(seed)
        return teacher, None

    def killed(file, text):
        write(file, text)
        raise KeyboardInterrupt

    monkeypatch.setattr(short_trainings, "distill", counted)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(short_trainings, "write_text", killed)
        lab.folder(TASK)
    rows = lab.table("short_trainings")
    assert made == rows.training.tolist() == [0, 1]
    assert rows.top1.between(0, 100).all() and rows.cosine.between(-1, 1).all()
    assert not (lab.folder(TASK) / "rows.csv").exists()


def test_a_step_of_the_readers_trains_as_the_library_does(lab):
    """Exercise 5.2's solution in the library's loop: the same draws, so the same losses but for
    the rounding of the loss, which the library computes in float32."""
    R, op = lab.teacher, operators.parse("mask:0.9")
    images = lab.train.subset(torch.arange(0, len(lab.train), 2))
    step, before = book.find("5.2").solution, R.tower.state_dict()["conv1.weight"].clone()
    S, own = short_trainings.train(step, R, images, op, ENTRY.recipe, 3, progress=False)
    _, wanted = distill(R, images, op, parse("st:0.1"), ENTRY.recipe, 3, progress=False)
    assert own.loss.tolist() == pytest.approx(wanted.loss.tolist(), rel=0.05)
    assert not torch.equal(S.tower.state_dict()["conv1.weight"], before) and not S.training
    assert torch.equal(R.tower.state_dict()["conv1.weight"], before)


def test_the_band_holds_one_more_training_in_95_of_100_cases(generator):
    scores = torch.randn(4000, 6, generator=generator, dtype=torch.float64)
    inside = 0
    for *five, one in scores.tolist():
        low, high = short_trainings.band(five)
        inside += low <= one <= high
    assert inside / len(scores) == pytest.approx(0.95, abs=0.012)
    with pytest.raises(ValueError, match="1 scores: expected two or more"):
        short_trainings.band([70.0])


@pytest.mark.parametrize(
    ("top1", "recorded", "words"),
    [
        (70.0, [69.0, 70.0, 71.0], "inside the 65.0 to 75.0 %"),
        (60.0, [69.0, 70.0, 71.0], "5.0 points below the 65.0 to 75.0 %"),
        (76.0, [69.0, 70.0, 71.0], "1.0 points above the 65.0 to 75.0 %"),
        (70.0, [], "there is no recorded training"),
        (70.0, [69.0], "there is no recorded training"),
        (None, [69.0, 70.0, 71.0], "of eight epochs names 65.0 to 75.0 %"),
        (None, [], "Solve exercise 5.2"),
    ],
)
def test_one_sentence_says_where_a_readers_student_stands(top1, recorded, words):
    said = short_trainings.verdict(top1, recorded)
    assert words in said and said.endswith(".") and said.count(". ") == 0


def test_what_is_recorded_is_five_trainings():
    rows = Lab("stickers", recorded=True).table("short_trainings")
    assert isinstance(rows, pd.DataFrame) and rows.training.tolist() == [0, 1, 2, 3, 4]
    low, high = short_trainings.band(rows.top1.tolist())
    assert 60 < low < high < 80
