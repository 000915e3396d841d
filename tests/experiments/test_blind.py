"""A blind student, specialists and a router: who sees which picture, and what is compared."""

import doctest
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cinv_lib import data, evaluation, operators
from cinv_lib.evaluation import probe
from cinv_lib.experiments import blind
from cinv_lib.lab import profiles
from cinv_lib.lab.lab import Lab

NAMES = ("mask:0.9", "noise:0.5", "blur:2.57")


@pytest.fixture(scope="module")
def lab(folders):
    return Lab("smoke", recorded=False)


@pytest.fixture(scope="module")
def scores(lab):
    return lab.table("blind")


# -- the router --------------------------------------------------------------------------------
def test_signs_are_what_they_say(generator):
    x = torch.rand(4, 3, 10, 8, generator=generator) + 0.01
    x[0, :, :, :4] = 0  # half of the first picture
    x[1, 0, :5] = 0  # half of one channel of the second: not black
    found = blind.Signs()(x)
    clipped = x.clamp(0, 1)
    assert found[:, 0].tolist() == [0.5, 0, 0, 0]
    gaps = [clipped.diff(dim=d).abs().mean(dim=(1, 2, 3)) for d in (2, 3)]
    torch.testing.assert_close(found[:, 1], sum(gaps) / 2)
    torch.testing.assert_close(found[:, 2], clipped.flatten(1).std(dim=1))
    assert torch.equal(blind.Signs()(clipped), found), "a file could not hold more"


def test_the_router_tells_the_operators_apart_on_other_pictures(lab, monkeypatch):
    router = blind.fit_router(lab.train, NAMES, seed=0)
    for k, name in enumerate(NAMES):
        op, generator = operators.parse(name), torch.Generator().manual_seed(5)
        seen = op(lab.val.images.float() / 255, generator)
        assert (router(seen).argmax(dim=1) == k).float().mean() > 0.95, name
    again = blind.fit_router(lab.train, NAMES, seed=0)
    assert torch.equal(router(seen), again(seen))
    alone = [
        probe.features(blind.Signs(), lab.train, operators.parse(name), 1, 0, precision="fp32")[0]
        for name in NAMES
    ]
    monkeypatch.setattr(blind, "realised_each", lambda *_, **__: [torch.stack(alone)])
    assert torch.equal(router(seen), blind.fit_router(lab.train, NAMES, seed=0)(seen))
    assert not any(p.requires_grad for p in router.parameters())


def test_a_router_that_cannot_know_is_at_chance(lab):
    router = blind.fit_router(lab.train, ("mask:0.5", "mask:0.5", "blur:1"), seed=0)
    seen = operators.parse("mask:0.5")(lab.val.images.float() / 255, torch.Generator())
    assert router(seen)[:, :2].softmax(dim=1).mean(dim=0).tolist() == pytest.approx(
        [0.5] * 2, abs=0.1
    )


def test_each_picture_is_shown_to_the_one_that_the_router_picks():
    shown = {0: [], 1: [], 2: []}

    def specialist(k):
        def encoder(x):
            shown[k] += x[:, 0, 0, 0].tolist()
            return x[:, 0, 0, :2]

        return encoder, lambda e: torch.cat([e, torch.full((len(e), 1), float(k))], dim=1)

    class Router(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.one_hot((x[:, 0, 0, 0] % 2).long(), 3).float()

    x = torch.arange(7.0)[:, None, None, None].expand(7, 3, 4, 4)
    logits = blind.routed(Router(), [specialist(k) for k in range(3)])(x)
    assert shown == {0: [0, 2, 4, 6], 1: [1, 3, 5], 2: []}
    assert logits[:, 0].tolist() == list(range(7))
    assert logits[:, 2].tolist() == [0, 1, 0, 1, 0, 1, 0]


# -- the measurement ---------------------------------------------------------------------------
def test_every_method_under_every_operator(lab, scores):
    assert list(scores.columns) == [*blind.COLUMNS, "seed"]
    assert tuple(scores.operator.unique()) == NAMES and set(scores.method) == set(blind.METHODS)
    sizes = scores.groupby(["operator", "method"]).size().unstack()
    draws = {"mask:0.9": 2, "noise:0.5": 2, "blur:2.57": 1}  # a blur is drawn once
    for name, n in draws.items():
        assert sizes.loc[name].to_dict() == {
            "specialist": n,
            "blind": n,
            "routed": n,
            "wrong": 2 * n,
        }
    wrong = scores[scores.method == "wrong"]
    assert (wrong.model != wrong.operator).all()
    own = scores[scores.method == "specialist"]
    assert (own.model == own.operator).all()
    assert scores.sent.notna().eq(scores.method == "routed").all()
    assert scores.top1.between(0, 100).all()


def test_the_scores_are_those_of_the_kept_models_and_their_probes(lab, scores):
    name = "noise:0.5"
    groups = [(lab.student(name), {"specialist": lab.probe(name)})]
    (of_all,) = lab.profile["blind"].operators
    groups += [(lab.student(of_all), {"blind": lab.probe(of_all)})]
    found = evaluation.evaluate_heads(groups, lab.val, operators.parse(name), 2, 0, progress=False)
    for method, rows in found.groupby("model"):
        kept = scores[(scores.method == method) & (scores.operator == name)]
        assert kept.top1.tolist() == pytest.approx(rows.top1.tolist(), abs=1e-3)


def test_a_router_that_is_never_wrong_costs_nothing(lab):
    """Two encoders of the embedded world, without any training of them."""
    train, val = (data.load("stickers-100", split, n) for split, n in (("train", 2), ("val", 1)))
    words = probe.zero_shot(lab.teacher, val.class_names)
    turned = probe.Probe(words.weight.flip(0), words.bias, normalise=True)
    specialists = {
        op: {"student": lab.teacher, "probe": head}
        for op, head in {"mask:0.3": words, "noise:0.5": turned}.items()
    }
    entry = blind.Blind(operators={"mask:0.3|noise:0.5": None}, realisations=2)
    task = entry.task("mask:0.3|noise:0.5")
    found = entry.measure(task, lab.teacher, words, specialists, train, val)["blind"]
    assert (found.sent.dropna() == 100).all()
    mean = found.groupby(["operator", "method"]).top1.mean()
    for name in specialists:
        assert mean[name, "routed"] == mean[name, "specialist"]
    assert mean["mask:0.3", "blind"] == mean["mask:0.3", "specialist"] > 5
    assert mean["mask:0.3", "wrong"] < 3


# -- what is worth it --------------------------------------------------------------------------
@given(*[st.floats(0, 100)] * 2, st.floats(-0.5, 1.5))
def test_break_even_solves_its_equation(own, wrong, share):
    if abs(own - wrong) < 1:
        return
    scores = torch.tensor(
        [[share * own + (1 - share) * wrong], [own], [wrong]], dtype=torch.float64
    )
    assert blind.break_even(*scores).item() == pytest.approx(share, abs=1e-9)


def test_examples_in_docstrings():
    failed, run = doctest.testmod(blind)
    assert run and not failed


# -- the profiles ------------------------------------------------------------------------------
@pytest.mark.parametrize("p", profiles.PROFILES.values(), ids=lambda p: p.name)
def test_the_blind_student_is_trained_as_its_specialists_are(p):
    (of_all,) = p["blind"].operators
    op = operators.parse(of_all)
    assert set(map(str, op.parts)) <= set(p.operators) and len(op.parts) > 1
    # of `stickers` it has cost what its specialists have, and has a rate that was searched for it
    lr = p["student"].rates.get(of_all)
    longer = {"epochs": 3 * p["student"].recipe.epochs, "lr": lr} if p.redrawn else {}
    student = replace(p["student"].recipe_at(p.operators[-1]), **longer)
    assert p["student"].recipe_at(of_all) == student
    for entry in (p["student"], p["baseline"]):
        assert entry.recipe_at("mask:0.9").epochs == entry.recipe.epochs
        if entry.side_epochs < entry.recipe.epochs:
            assert entry.recipe_at("mask:0.9|noise:0.5") != entry.recipe
    blind_student, specialist = (
        p.describe(p["student"].task(op))["recipe"] for op in (of_all, "mask:0.9")
    )
    assert blind_student == replace(specialist, **longer)
