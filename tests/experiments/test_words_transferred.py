"""Networks of R's words beside students, with new probes on the draws of `transfer`."""

import pandas as pd
import pytest

from cinv_lib import encoders
from cinv_lib.evaluation.probe import ProbeRecipe
from cinv_lib.experiments import transfer
from cinv_lib.experiments.transfer import Transfer
from cinv_lib.experiments.words_transferred import METHODS, PAIRS, WordsTransferred
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles import SMOKE, STICKERS
from cinv_lib.training.baseline import Classifier

OP = "mask:0.9"
RECIPE = ProbeRecipe(epochs=30, lr=0.03, batch_size=64)
SETTINGS = {"sets": {"faces": (10, 8)}, "views": 2, "probe": RECIPE, "realisations": 2}


def test_rows_are_those_that_transfer_has_for_the_same_towers():
    """A student is scored as transfer scores it; of a network of words the encoder alone."""
    R, supervised = (encoders.load(p) for p in (STICKERS.teacher, STICKERS.supervised))
    whole = Transfer(operators={OP: None}, **SETTINGS)
    network = Classifier(supervised, 2, seed=0)
    theirs = whole.measure(whole.task(OP, 1), R, R, network)["transfer"]
    entry = WordsTransferred(operators={OP: ("student", "words_of_r")}, **SETTINGS)
    models = {"student": R, "words_of_r": network}
    mine = entry.measure(entry.task(OP, 1), models)["words_transferred"]
    assert list(mine.columns) == transfer.COLUMNS
    for here, there in (("student", "student"), ("words_of_r", "baseline")):
        same, other = (
            t[t.method == m].drop(columns="method").reset_index(drop=True)
            for t, m in ((mine, here), (theirs, there))
        )
        pd.testing.assert_frame_equal(same, other)


def test_each_is_asked_for_with_its_own_training():
    entry = STICKERS["words_transferred"]
    assert dict(entry.sets) == dict(STICKERS["transfer"].sets) and set(METHODS) == set(
        entry.operators[OP]
    )
    for op in entry.operators:
        models = entry.needs(entry.task(op, 12))["models"]
        assert {name: (t.kind, t.operator, t.seed) for name, t in models.items()} == {
            name: (name, op, 12) for name in entry.operators[op]
        }
        for words, student in PAIRS.items():
            if student in models:
                assert models[student].loss == "st:0.1" and models[words].loss == ""


@pytest.mark.parametrize("op", SMOKE["words_transferred"].operators)
def test_a_run_has_every_method_and_set(op, folders):
    entry = SMOKE["words_transferred"]
    rows = Lab("smoke", recorded=False).table("words_transferred", op)
    assert set(rows.method) == set(entry.operators[op]) and set(rows.dataset) == set(entry.sets)
    assert len(rows) == len(entry.operators[op]) * len(entry.sets) * entry.realisations
