"""The starts with new probes: R and the supervised tower, on the draws of `transfer`."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from cinv_lib import data, encoders
from cinv_lib.evaluation import probe
from cinv_lib.evaluation.metrics import top_k
from cinv_lib.experiments import transfer
from cinv_lib.experiments.starts_transferred import StartsTransferred
from cinv_lib.experiments.transfer import Transfer
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles import SMOKE, STICKERS
from cinv_lib.training.baseline import Classifier

RECIPE = probe.ProbeRecipe(epochs=30, lr=0.03, batch_size=64)
SETTINGS = {"sets": {"faces": (10, 8)}, "views": 2, "probe": RECIPE, "realisations": 2}
OPERATORS = dict.fromkeys(("mask:0.5..0.95", "identity"))


@pytest.fixture(scope="module")
def towers():
    return [encoders.load(p) for p in (STICKERS.teacher, STICKERS.supervised)]


def measured(towers, op, seed=1):
    entry = StartsTransferred(operators=OPERATORS, **SETTINGS)
    return entry.measure(entry.task(op, seed), *towers)["starts_transferred"]


def test_rows_are_those_that_transfer_has_for_the_same_towers(towers):
    """R's by its own name; the supervised tower's under the name of an untrained baseline."""
    R, supervised = towers
    op = "mask:0.5..0.95"
    whole = Transfer(operators=OPERATORS, **SETTINGS)
    untrained = Classifier(supervised, 2, seed=0)
    theirs = whole.measure(whole.task(op, 1), R, R, untrained)["transfer"]
    mine = measured(towers, op)
    assert list(mine.columns) == transfer.COLUMNS == list(theirs.columns)
    for here, there in (("clip", "clip"), ("resnet", "baseline")):
        same, other = (
            t[t.method == m].drop(columns="method").reset_index(drop=True)
            for t, m in ((mine, here), (theirs, there))
        )
        pd.testing.assert_frame_equal(same, other)


def test_clean_pictures_are_scored_once_and_as_by_hand(towers):
    scores = measured(towers, "identity")
    assert scores.method.tolist() == ["clip", "resnet"] and scores.realisation.tolist() == [0, 0]
    train, val = data.load("faces", "train", 10), data.load("faces", "val", 8)
    for tower, found in zip(towers, scores.top1, strict=True):
        with torch.no_grad():
            x, y = (tower(s.images.float() / 255) for s in (train, val))
        head = probe.fit(x.expand(2, -1, -1), train.labels, 2, RECIPE, 1)
        assert found == pytest.approx(top_k(head(y), val.labels, 1), abs=100 / 16)


def test_it_trains_nothing_and_depends_on_nothing_trained():
    entry = StartsTransferred(operators=OPERATORS, **SETTINGS)
    p = replace(SMOKE, entries=(*SMOKE.entries, entry))
    for op in OPERATORS:
        task = entry.task(op, 2, "mse")
        assert p.after(task) == [] and task.loss == ""
        assert p.describe(task)["needs"] == {
            "teacher": p.teacher, "supervised": p.supervised,
        }  # fmt: skip
    assert p.address(entry.task("identity")) != p.address(entry.task("mask:0.5..0.95"))
    rows = Lab(p, recorded=False).table("starts_transferred", "identity", seeds=[0, 1])
    assert list(rows.columns) == [*transfer.COLUMNS, "seed"] and len(rows) == 4


def test_sets_are_those_of_its_own_and_are_announced():
    entry = StartsTransferred(operators=OPERATORS, **SETTINGS)
    assert [*entry.loads()] == ["faces"] and entry.here() == SETTINGS["sets"]
