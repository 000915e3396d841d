"""Models that were trained under attack: their entries, what is counted, and what it cost."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from cinv_lib import evaluation, operators
from cinv_lib.evaluation import probe
from cinv_lib.experiments import adversarial, attacked
from cinv_lib.experiments.adversarial import UNBOUNDED, Protocol
from cinv_lib.experiments.attacked import Attacked, AttackedBaseline, AttackedStudent
from cinv_lib.experiments.base import Task
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles import SMOKE
from cinv_lib.training.attacked import Attack

OP, SEVERITY = "mask:0.5..0.95", 0.9
SHORT = {name: getattr(SMOKE["student"], name) for name in ("recipe", "full", "side_epochs")}
ENTRY = Attacked(
    operators={OP: None},
    recipe=SMOKE["probe"].recipe,
    protocol=Protocol(severity=SEVERITY, per_class=1, budgets=(0, 8, UNBOUNDED), steps=2),
)
TRAINED = (AttackedStudent(**SHORT, budget=8), AttackedBaseline(**SHORT, budget=8))
WITH = replace(SMOKE, entries=(*SMOKE.entries, *TRAINED, ENTRY))


@pytest.fixture(scope="module")
def lab(folders):
    return Lab(WITH, recorded=False)


# -- entries -----------------------------------------------------------------------------------
@pytest.mark.parametrize(("entry", "plain"), [*zip(TRAINED, ("student", "baseline"), strict=True)])
def test_a_training_under_attack_is_the_plain_one_and_its_attack(entry, plain):
    assert entry.attack == Attack(8, steps=2) and SMOKE[plain].attack is None
    task, beside = WITH[entry.name].task(OP), WITH[plain].task(OP)
    mine, others = (WITH.describe(one) for one in (task, beside))
    assert {key for key in mine if mine[key] != others.get(key)} == {"kind", "budget", "steps"}
    for changed in ({"budget": 4}, {"steps": 3}):
        other = WITH.changed({entry.name: changed})
        assert other.address(task) != WITH.address(task)
    assert WITH.changed({entry.name: {"budget": 8.0}}).address(task) == WITH.address(task)
    assert entry.tasks(3) == []  # what measures it asks for it
    with pytest.raises(ValueError, match=r"Attack\.budget is 300; expected grey levels"):
        replace(entry, budget=300)
    with pytest.raises(ValueError, match=r"Attack\.steps is 0"):
        replace(entry, steps=0)


def test_the_entries_that_were_there_have_their_descriptions():
    for name in ("student", "baseline"):
        assert not {"budget", "steps", "attack"} & WITH.describe(WITH[name].task(OP)).keys()


def test_what_it_needs_comes_before_it():
    task = ENTRY.task(OP, 1)
    kinds = ("student", "probe", "baseline", "attacked_student", "attacked_baseline")
    loss = {"baseline": "", "attacked_baseline": ""}
    assert set(WITH.after(task)) == {Task(kind, OP, 1, loss.get(kind, "st:0.1")) for kind in kinds}


# -- the table ---------------------------------------------------------------------------------
def test_each_model_is_scored_on_what_evaluate_shows_and_then_attacked(lab):
    scores = lab.table("attacked")
    assert list(scores.columns) == [*attacked.COLUMNS, "seed"]
    asked = scores.groupby(["picture", "budget"]).method.apply(list).to_dict()
    places = [("attacked", 8), ("attacked", UNBOUNDED), ("clean", 0), ("corrupted", 0)]
    assert asked == {place: [*attacked.METHODS] for place in places}

    op, val, words = operators.parse(OP), lab.val.per_class(1), lab.words()
    S, T = lab.made("attacked_student", OP), lab.student(OP)
    fitted = probe.train(S, lab.train, op, ENTRY.recipe, 0)
    baselines = {name: lab.made(name, OP) for name in ("baseline", "attacked_baseline")}
    groups = [
        (T, {"student": lab.probe(OP), "zero_shot": words}),
        (S, {"attacked_student": fitted, "attacked_zero_shot": words}),
        *((made.encoder, {name: made.head}) for name, made in baselines.items()),
    ]
    found = scores.set_index(["picture", "budget", "method"]).top1.sort_index()
    for picture, A in (("clean", operators.Identity()), ("corrupted", op.at(SEVERITY))):
        expected = evaluation.evaluate_heads(groups, val, A, 1, 0, precision="fp32")
        expected = expected.set_index("model").top1.to_dict()
        assert found[picture, 0].to_dict() == pytest.approx(expected)
    assert found["clean", 0, "zero_shot"] > 30
    assert (found["attacked", 8] <= found["corrupted", 0]).all()
    assert (found["attacked", UNBOUNDED] < 5).all()


def test_the_two_students_differ_and_so_do_the_baselines(lab):
    for name in ("student", "baseline"):
        plain, under = (lab.made(kind, OP).state_dict() for kind in (name, f"attacked_{name}"))
        assert not all(torch.equal(plain[key], under[key]) for key in plain)


class Channels(torch.nn.Module):
    """The mean of each channel."""

    def forward(self, x):
        return x.mean(dim=(2, 3))


def test_models_of_means_fall_where_they_must(image_set, monkeypatch):
    """Bright channels are 180 to 240, the others below 60: in what a mask leaves no mean can
    overtake another under 32 grey levels, and all can under 128. The black pixels stay black."""
    from cinv_lib.encoders.encoder import Encoder
    from cinv_lib.training.baseline import Classifier

    def head(factor):
        return probe.Probe(factor * torch.eye(3), torch.zeros(3)).requires_grad_(False)

    encoder = Encoder.wrap(Channels(), image_size=64, mean=(0, 0, 0), std=(1, 1, 1))
    good, wrong = (Classifier(encoder, 3, seed=0).requires_grad_(False) for _ in range(2))
    for baseline, factor in ((good, 5.0), (wrong, -5.0)):
        baseline.head.load_state_dict({"weight": factor * torch.eye(3), "bias": torch.zeros(3)})
    monkeypatch.setattr(attacked.AskedInWords, "words", lambda *_: head(5.0))
    monkeypatch.setattr(probe, "train", lambda *_: head(5.0))
    protocol = Protocol(per_class=4, budgets=(0, 32, 128, UNBOUNDED), checked=128)
    entry, history = replace(ENTRY, protocol=protocol), pd.DataFrame({"images_per_s": [1.0]})
    made = entry.measure(
        entry.task(OP), encoder, encoder, head(5.0), good, encoder, wrong,
        *[history] * 4, image_set, image_set,
    )  # fmt: skip
    top1 = made["attacked"].pivot(index=["picture", "budget"], columns="method", values="top1")
    assert (top1.pop("attacked_baseline") == 0).all(), "the one that is wrong, and no other"
    for method in top1:
        assert top1[method]["attacked"].tolist() == [100, 0, 0]
        assert top1[method]["clean"].tolist() == top1[method]["corrupted"].tolist() == [100]


# -- what it costs -----------------------------------------------------------------------------
def test_the_cost_is_that_of_the_histories(lab):
    costs = lab.table("attacked_cost").set_index("method")
    for name in ("student", "baseline"):
        rates = [lab.history(kind, OP).images_per_s for kind in (name, f"attacked_{name}")]
        plain, under = (1000 / rate.tail(len(rate) // 2).median() for rate in rates)
        assert costs.ms[name] == pytest.approx(plain, rel=1e-3)
        assert costs.ms[f"attacked_{name}"] == pytest.approx(under, rel=1e-3)
        assert costs.times[name] == 1
        assert costs.times[f"attacked_{name}"] == pytest.approx(under / plain, rel=1e-3)


def test_a_step_that_had_to_wait_says_nothing_of_the_cost():
    """Nor the first half, in which the attacked baseline is not yet attacked."""
    first = [9.0] * 3
    rates = {
        "student": [*first, 500.0, 500.0, 1.0],
        "attacked_student": [*first, 2.0, 200.0, 200.0],
    }
    histories = {name: pd.DataFrame({"images_per_s": rate}) for name, rate in rates.items()}
    costs = attacked.cost(histories)
    assert costs.method.tolist() == [*rates]
    assert costs.ms.tolist() == [2, 5] and costs.times.tolist() == [1, 2.5]
    assert attacked.cost({"attacked_student": histories["student"]}).times.tolist() == [1]


# -- in words ----------------------------------------------------------------------------------
def test_the_sentence_says_what_is_won_and_lost():
    top1 = {
        "student": {("corrupted", 0): 70, ("attacked", 8): 5},
        "attacked_student": {("corrupted", 0): 60, ("attacked", 8): 40},
        "attacked_baseline": {("corrupted", 0): 55, ("attacked", 8): 30},
    }
    rows = [
        {
            "method": method,
            "picture": picture,
            "budget": budget,
            "top1": value + k * scale,
            "seed": k,
        }
        for scale, (method, scores) in enumerate(top1.items())
        for (picture, budget), value in scores.items()
        for k in (-1, 0, 1)
    ]
    assert attacked.found(pd.DataFrame(rows), 8) == (
        "Trained under attack, the student names 40 % instead of 5 % under an attack of 8 grey "
        "levels, 60 % instead of 70 % without one, and under attack the student leads the "
        "baseline trained so by 10.0 points."
    )


def test_the_pictures_are_those_of_the_attack_on_plain_models(lab):
    """So that both tables of the lesson are about the same pictures and the same masks."""
    protocol = replace(SMOKE["adversarial"].protocol, per_class=1, budgets=(0, 8, UNBOUNDED))
    entry = adversarial.Adversarial(operators={OP: None}, protocol=protocol)
    models = lab.teacher, lab.student(OP), lab.probe(OP), lab.baseline(OP)
    plain = entry.measure(entry.task(OP), *models, lab.val)["adversarial"]
    plain = plain[plain.pixels == "known"].set_index(["method", "budget"]).top1
    mine = lab.table("attacked")
    mine = mine[mine.picture != "clean"].set_index(["method", "budget"]).top1
    for method in adversarial.RIVALS:
        assert mine[method].to_dict() == pytest.approx(plain[method].to_dict())
