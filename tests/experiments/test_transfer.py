"""Transfer: the encoder is only looked at, the probe is new, and both see the same operator."""

import math

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from cinv_lib import data, evaluation, operators, paper
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation import probe
from cinv_lib.experiments import transfer
from cinv_lib.lab import plan, profiles
from cinv_lib.lab.lab import Lab
from cinv_lib.training.baseline import Classifier

RECIPE = probe.ProbeRecipe(epochs=60, lr=0.03, batch_size=64)
SETS = {"digits": (30, 20), "faces": (40, 30)}
OP = operators.parse("mask:0.1..0.3")


def pixels(x):
    """Seeing: the picture itself, 8 x 8."""
    return F.adaptive_avg_pool2d(x.mean(1, keepdim=True), 8).flatten(1)


class Seeing(torch.nn.Module):
    def forward(self, x):
        return pixels(x)


class Blind(torch.nn.Module):
    def forward(self, x):
        return torch.ones(len(x), 4)


def wrapped(module):
    return Encoder.wrap(module, image_size=64, mean=(0, 0, 0), std=(1, 1, 1))


def measured(sets, views, realisations, seed=0, student=None):
    """Of a teacher that sees, a student that does too, and a baseline that is blind."""
    entry = transfer.Transfer(
        operators={str(OP): None}, sets=sets, views=views, probe=RECIPE, realisations=realisations
    )
    sees, classifier = wrapped(Seeing()), Classifier(wrapped(Blind()), 2, seed=0)
    made = entry.measure(entry.task(str(OP), seed), sees, student or sees, classifier)
    return made["transfer"]


@pytest.fixture(scope="module")
def scores():
    return measured(SETS, 2, 3)


def test_a_row_for_each_set_method_and_realisation(scores):
    assert list(scores.columns) == transfer.COLUMNS
    assert (scores.groupby(["dataset", "method"]).size() == 3).all() and len(scores) == 18
    two = scores.dataset == "faces"
    assert scores.auc[two].between(0, 1).all() and scores.auc[~two].isna().all()
    assert scores.top5[two].isna().all() and (scores.top5 >= scores.top1)[~two].all()


def test_an_encoder_that_sees_is_told_from_one_that_does_not(scores):
    means = scores.groupby(["dataset", "method"]).mean(numeric_only=True)
    assert means.top1["digits", "student"] > 70
    assert means.top1["digits", "baseline"] == pytest.approx(10)
    assert means.top1["faces", "baseline"] == 50 and means.auc["faces", "baseline"] == 0.5
    assert means.auc["faces", "student"] > 0.8


def test_every_method_sees_the_same_draws(scores):
    same, other = (scores[scores.method == m].drop(columns="method") for m in ("student", "clip"))
    pd.testing.assert_frame_equal(same.reset_index(drop=True), other.reset_index(drop=True))


def test_a_score_is_that_of_a_probe_fitted_by_hand(scores):
    """With another library's softmax regression, to its own minimum, on the same views."""
    from sklearn.linear_model import LogisticRegression

    train, val = data.load("digits", "train", 30), data.load("digits", "val", 20)
    views = probe.features(pixels, train, OP, 2, 0)
    x, y = views.flatten(0, 1).numpy(), train.labels.repeat(2).numpy()
    model = LogisticRegression(C=1.0, max_iter=2000).fit(x, y)
    drawn = torch.cat(list(evaluation.corrupted(OP, val, 0, 1)))
    top1 = 100 * model.score(pixels(drawn).numpy(), val.labels.numpy())
    ours = scores.query("dataset == 'digits' and method == 'student' and realisation == 1")
    assert ours.top1.item() == pytest.approx(top1, abs=6)


class Tower(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn = torch.nn.Conv2d(3, 4, 8, 8), torch.nn.BatchNorm2d(4)

    def forward(self, x):
        return self.bn(self.conv(x)).flatten(1)


def test_the_encoder_stays_as_it_was():
    tower = wrapped(Tower()).train()
    before = {name: value.clone() for name, value in tower.state_dict().items()}
    measured({"faces": (10, 5)}, 1, 1, student=tower)
    assert tower.training
    for name, value in tower.state_dict().items():  # running means are among them
        assert torch.equal(value, before[name]), name
    assert all(parameter.grad is None for parameter in tower.parameters())


def test_fit_and_score_are_under_the_same_operator_and_of_different_pictures(monkeypatch):
    fitted, scored = [], []
    views, heads = probe.features_of, evaluation.evaluate_heads
    monkeypatch.setattr(
        transfer, "features_of", lambda e, s, op, *a: fitted.append((op, s)) or views(e, s, op, *a)
    )
    monkeypatch.setattr(
        evaluation,
        "evaluate_heads",
        lambda g, s, op, *a, **k: scored.append((op, s)) or heads(g, s, op, *a, **k),
    )
    measured({"faces": (6, 4)}, 1, 2)
    assert len(fitted) == len(scored) == 1
    (fit_op, train), (score_op, val) = fitted[0], *scored
    assert fit_op == score_op == OP
    assert (len(train), len(val)) == (12, 8)
    assert not {x.numpy().tobytes() for x in train.images} & {
        x.numpy().tobytes() for x in val.images
    }


def test_seeds_are_other_draws():
    one, other = (measured({"digits": (10, 10)}, 1, 2, seed=s) for s in (0, 1))
    assert not one.equals(other)


# -- what the course asks for ------------------------------------------------------------------
def test_every_stand_in_is_measured_and_the_paper_has_it():
    entry = profiles.STICKERS["transfer"]
    assert set(transfer.STANDS_FOR) < set(entry.sets)
    assert sorted(transfer.STANDS_FOR.values()) == sorted(paper.table(2).dataset.unique())
    assert next(iter(entry.operators)) == profiles.STICKERS.slider
    assert set(paper.table(2).operator) == set(entry.operators)
    for name in ("digits", "faces"):  # installed sets have no more than they have
        for split, n in zip(("train", "val"), entry.sets[name], strict=True):
            data.load(name, split, n)
    steps = {
        name: entry.probe.epochs * math.ceil(len(data.load(name, "train", n)) / 128)
        for name, (n, _) in entry.sets.items()
        if name in ("digits", "faces")
    }
    assert min(steps.values()) >= 200 and max(steps.values()) <= 800  # as the profile says


def test_the_lab_makes_it_after_student_and_baseline():
    task = plan.tasks(profiles.SMOKE, 2)["09"][1]
    assert (task.kind, task.operator, task.seed) == ("transfer", "noise:0.1..0.3", 0)
    assert [before.kind for before in profiles.SMOKE.after(task)] == ["student", "baseline"]


def test_the_lab_keeps_a_table_for_each_seed():
    lab = Lab("smoke", recorded=False)
    entry = lab.profile["transfer"]
    op = list(entry.operators)[1]
    scores = lab.table("transfer", op)
    assert list(scores.columns) == [*transfer.COLUMNS, "seed"]
    assert list(scores.dataset.unique()) == list(entry.sets)
    assert set(scores.method) == {"baseline", "student", "clip"}
    assert len(scores) == 6 * 3 * entry.realisations
    pd.testing.assert_frame_equal(lab.table("transfer", op), scores)
