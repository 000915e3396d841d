"""Attacks on the models of the lab: what they see, what is counted, what the checks notice."""

import math

import pandas as pd
import pytest
import torch

from cinv_lib import evaluation, operators
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation import probe
from cinv_lib.experiments import adversarial, base
from cinv_lib.experiments.adversarial import UNBOUNDED, Protocol
from cinv_lib.lab.lab import Lab
from cinv_lib.training.baseline import Classifier

OP = "mask:0.5..0.95"


@pytest.fixture(scope="module")
def lab(folders):
    return Lab("smoke", recorded=False)


class Channels(torch.nn.Module):
    """The mean of each channel."""

    def forward(self, x):
        return x.mean(dim=(2, 3))


PROTOCOL = Protocol(severity=0.9, per_class=4, budgets=(0, 32, 128, UNBOUNDED), checked=128)
ENTRY = adversarial.Adversarial(operators={OP: None}, protocol=PROTOCOL)


@pytest.fixture
def attacked(image_set, monkeypatch):
    """Scores of models that name a picture by the mean of each channel, times a factor."""

    def times(factor):
        return probe.Probe(factor * torch.eye(3), torch.zeros(3)).requires_grad_(False)

    def measured(of_baseline=5.0):
        encoder = Encoder.wrap(Channels(), image_size=64, mean=(0, 0, 0), std=(1, 1, 1))
        monkeypatch.setattr(base, "zero_shot", lambda *_: times(5.0))
        baseline = Classifier(encoder, 3, seed=0).requires_grad_(False)
        baseline.head.load_state_dict(
            {"weight": of_baseline * torch.eye(3), "bias": torch.zeros(3)}
        )
        made = ENTRY.measure(ENTRY.task(OP), encoder, encoder, times(5.0), baseline, image_set)
        return made["adversarial"]

    return measured


def test_a_model_of_means_falls_where_it_must(attacked):
    """Bright channels are 180 to 240, the others below 60: in what a mask leaves, no mean can
    overtake another under 32 grey levels, and all can under 128."""
    scores = attacked()
    assert list(scores.columns) == adversarial.COLUMNS
    asked = scores.groupby("pixels").budget.unique().map(list).to_dict()
    assert asked == {"known": [0, 32, 128, UNBOUNDED], "all": [32, 128]}
    top1 = scores.pivot(index=["pixels", "budget"], columns="method", values="top1")
    for method in adversarial.RIVALS:
        assert top1[method]["known"].tolist() == [100, 100, 0, 0]
        # a tenth of the pixels is left, and what the black ones may become weighs more than they
        assert top1[method]["all"].tolist() == [0, 0]
    # the clean picture is named by all its pixels: a tenth of them changes nothing
    assert top1.clip_zero_shot["known"].tolist() == [100] * 4
    assert top1.clip_zero_shot["all"].tolist() == [100, 0]
    assert (scores.noise[scores.budget.between(1, 128)] == 100).all()
    checked = scores[(scores.budget == 128) & (scores.pixels == "known")].set_index("method")
    assert checked.transfer.tolist()[:2] == [0, 0] and math.isnan(checked.transfer.iloc[2])
    assert checked.longer.tolist()[:2] == [0, 0]
    assert scores.longer.notna().sum() == scores.transfer.notna().sum() == 2
    at_rest = scores[scores.budget == 0]
    assert at_rest.slope.tolist() == pytest.approx([1] * 3, abs=0.01) and (at_rest.flat == 0).all()
    assert scores.slope.notna().sum() == 3


def test_transfer_is_the_rival_s_attack_on_this_model(attacked):
    """Of two models that name by opposite rules, neither is harmed by what harms the other."""
    scores = attacked(of_baseline=-5.0).set_index(["pixels", "budget", "method"])
    assert scores.top1["known", 0, "baseline"] == 0 and scores.top1["known", 0, "student"] == 100
    assert scores.top1["known", 128, "student"] == 0
    # to be worse still, the baseline's attacker makes the right channel brighter
    assert scores.transfer["known", 128, "student"] == 100


def test_known_pixels_are_those_that_a_mask_left(generator):
    x = torch.rand(3, 3, 16, 16, generator=generator)
    seen = operators.parse("mask:0.75")(x, generator)
    left = adversarial.known(seen)
    assert left.shape == (3, 1, 16, 16) and left.sum(dim=(1, 2, 3)).tolist() == [64] * 3
    assert torch.equal(seen, x * left)


def test_the_lab_attacks_what_evaluate_scores(lab):
    scores = lab.table("adversarial")
    p = lab.profile["adversarial"].protocol
    assert list(scores.columns) == [*adversarial.COLUMNS, "seed"]
    assert set(scores.method) == set(adversarial.METHODS)
    assert tuple(scores[scores.pixels == "known"].budget.unique()) == p.budgets
    words = probe.zero_shot(lab.teacher, lab.train.class_names)
    val, baseline = lab.val.per_class(p.per_class), lab.baseline(OP)
    seen = [(lab.student(OP), {"student": lab.probe(OP)})]
    seen += [(baseline.encoder, {"baseline": baseline.head})]
    at = operators.parse(OP).at(p.severity)
    masked = evaluation.evaluate_heads(seen, val, at, 1, 0, precision="fp32")
    clean = evaluation.evaluate_heads(
        [(lab.teacher, {"clip_zero_shot": words})], val, operators.Identity(), precision="fp32"
    )
    expected = pd.concat([masked, clean]).set_index("model").top1
    found = scores[scores.budget == 0].set_index("method").top1
    assert found.to_dict() == pytest.approx(expected.to_dict())
    assert found["clip_zero_shot"] > 90
    unbounded = scores[scores.budget == UNBOUNDED].set_index("method").top1
    assert unbounded["clip_zero_shot"] < 5
    assert scores.slope.dropna().tolist() == pytest.approx([1, 1, 1], abs=0.05)


# -- checks ------------------------------------------------------------------------------------
def good(seed=0):
    """Scores of an attack that nothing is wrong with."""
    rows = []
    for method in adversarial.METHODS:
        for budget, top1 in {0: 70, 2: 60, 8: 20, UNBOUNDED: 0}.items():
            row = {"method": method, "pixels": "known", "budget": budget, "top1": top1 + seed / 10}
            row |= {"noise": 69.0} if budget else {"slope": 1.0, "flat": 0.0}
            row |= {"longer": 19.0, "transfer": 60.0} if budget == 8 else {}
            rows.append(row | {"seed": seed})
    return pd.DataFrame(rows)


def test_a_good_attack_passes_every_check_in_the_mean_over_seeds():
    found = adversarial.checks(pd.concat([good(0), good(1)]))
    assert found.passes.all() and len(found) == 2 * len(adversarial.CHECKS)
    value = found.value["student S", adversarial.CHECKS["transfer"][2]]
    assert value == pytest.approx(60 - 20.05)
    assert ((found.low <= found.value) & (found.value <= found.high)).all()


@pytest.mark.parametrize(
    ("check", "budget", "column", "value"),
    [
        ("unbounded budget", UNBOUNDED, "top1", 5.0),
        ("larger budgets", 8, "top1", 65.0),
        ("noise", 2, "noise", 50.0),
        ("twice the steps", 8, "longer", 12.0),
        ("twice the steps", 8, "longer", 25.0),
        ("transfer", 8, "transfer", 20.0),
        ("slope", 0, "slope", 0.5),
        ("flat", 0, "flat", 40.0),
    ],
)
def test_each_check_sees_what_it_is_there_for(check, budget, column, value):
    scores = good()
    scores.loc[(scores.budget == budget) & (scores.method == "baseline"), column] = value
    found = adversarial.checks(scores)
    failed = found[~found.passes].index.tolist()
    assert ("baseline", adversarial.CHECKS[check][2]) in failed
    assert {method for method, _ in failed} == {"baseline"}


@pytest.mark.parametrize("budgets", [(0, 8), (8, 255), (0, 4, 255)])
def test_a_protocol_has_what_the_checks_need(budgets):
    with pytest.raises(ValueError, match=r"expected \d+ too"):
        Protocol(budgets=budgets)
