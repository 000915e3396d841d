"""Probes from few labels: how many pictures, the same draws as the scores, each picture once."""

import pandas as pd
import pytest
import torch

from cinv_lib import few_labels, operators, paper, plan, probe
from cinv_lib.plan import Task
from cinv_lib.profiles import PROFILES

RECIPE = probe.ProbeRecipe(epochs=3, lr=0.05, batch_size=4)


class Colours(torch.nn.Module):
    """An encoder that any probe can read: the mean colour. It counts what it is shown."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, x):
        self.seen += len(x)
        return x.mean((2, 3))


@pytest.fixture
def words():
    return probe.Probe(torch.eye(3), torch.zeros(3), normalise=True)


def measured(image_set, words, shares=(0.25, 0.5, 1.0), op="noise:0.1", **encoders):
    return few_labels.measure(
        encoders, words, image_set, image_set, operators.parse(op), shares, RECIPE, 2, seed=0
    )


def test_a_row_for_each_method_number_of_labels_and_draw(image_set, words):
    towers = {"student": Colours(), "clip": Colours(), "resnet": Colours()}
    frame = measured(image_set, words, **towers)
    assert list(frame.columns) == few_labels.COLUMNS
    probed = {(m, n) for m in towers for n in (1.0, 2.0, 4.0)}  # of 4 pictures a class
    in_words = {("zero_shot", 0.0), ("clip_zero_shot", 0.0)}  # the supervised tower has none
    assert set(zip(frame.method, frame.per_class, strict=True)) == probed | in_words
    assert (frame.groupby(["method", "per_class"]).realisation.nunique() == 2).all()
    assert set(few_labels.METHODS) == set(frame.method)


def test_a_picture_is_embedded_once_however_many_shares(image_set, words):
    few, many = Colours(), Colours()
    measured(image_set, words, shares=(1.0,), student=few)
    measured(image_set, words, shares=(0.25, 0.5, 1.0), student=many)
    assert few.seen == many.seen == len(image_set) * (RECIPE.epochs + 2)


def test_the_words_read_colours_and_a_tower_of_noise_is_no_better_than_chance(image_set, words):
    frame = measured(image_set, words, student=Colours(), resnet=lambda x: torch.zeros(len(x), 3))
    mean = frame.groupby("method").top1.mean()
    assert mean.zero_shot == 100
    assert mean.resnet == pytest.approx(100 / 3)


def test_all_labels_are_the_probe_of_the_scores(image_set, words):
    op = operators.parse("noise:0.1")
    student = Colours()
    frame = measured(image_set, words, student=student)
    views = probe.features(student, image_set, op, RECIPE.epochs, 0)
    head = probe.fit(views, image_set.labels, 3, RECIPE, 0)
    from cinv_lib import evaluate

    scores = evaluate.evaluate_heads([(student, {"student": head})], image_set, op, 2, 0)
    mine = frame[(frame.method == "student") & (frame.per_class == 4)]
    assert mine.top1.tolist() == scores.top1.tolist()


def test_pictures_a_class_are_those_of_figure_3():
    shares = sorted(paper.figure(3).query("method == 'student'").fraction.unique())
    assert [few_labels.per_class(s) for s in shares] == [2, 7, 13, 64, 127, 1267]


@pytest.mark.parametrize("p", PROFILES.values(), ids=lambda p: p.name)
def test_a_profile_asks_of_operators_that_it_trains_on(p):
    assert set(p.few_labels) == set(p.operators)  # Table 13 has them all
    assert all(
        0 < share <= 1 and 1.0 in shares for shares in p.few_labels.values() for share in shares
    )
    assert sum(len(shares) > 1 for shares in p.few_labels.values()) == 2  # Figure 3 has two


def test_the_student_comes_first_and_lesson_06_asks_for_it():
    labels = Task("labels", "mask:0.9", 1)
    assert labels.after == (Task("student", "mask:0.9", 1),)
    assert labels in plan.tasks("smoke", 2)["06"] and labels in plan.tasks("smoke", 2)["15"]


def test_the_lab_measures_it(folders):
    from cinv_lib.lab import Lab

    lab = Lab("smoke", recorded=False)
    assert not lab.finished("labels", "blur:2.57", 1)
    assert lab.so_far("labels", "blur:2.57", 2) is None
    frame = lab.labels("blur:2.57", [1])
    assert set(frame.method) == set(few_labels.METHODS) and (frame.seed == 1).all()
    assert lab.finished("labels", "blur:2.57", 1) and not lab.finished("labels", "blur:2.57", 0)
    pd.testing.assert_frame_equal(lab.so_far("labels", "blur:2.57", 2), frame)
