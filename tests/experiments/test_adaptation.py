"""R without a training: whose batch norms, which pictures, which draws."""

import pytest
import torch

from cinv_lib import data, encoders, operators
from cinv_lib.evaluation import draws, probe
from cinv_lib.evaluation.beforehand import batch_norms_again
from cinv_lib.evaluation.metrics import top_k
from cinv_lib.evaluation.scores import evaluate_heads
from cinv_lib.experiments import adaptation
from cinv_lib.experiments.adaptation import Adaptation, Rescaled
from cinv_lib.experiments.known_operator import KnownOperator
from cinv_lib.training.baseline import Classifier

MASK, NOISE, RANGE = "mask:0.9", "noise:0.5", "mask:0.5..0.95"
RECIPE = probe.ProbeRecipe(epochs=2, lr=1e-2, batch_size=32)


@pytest.fixture(scope="module")
def R():
    return encoders.load("stickers-clip")


@pytest.fixture(scope="module")
def sets():
    """Fifty pictures each, of every other class."""
    some = torch.arange(0, 100, 2)
    return tuple(data.load("stickers-100", split, 1).subset(some) for split in ("train", "val"))


def measured(R, sets, op, seed=3):
    entry = Adaptation(operators=dict.fromkeys((MASK, NOISE, RANGE)), probe=RECIPE, realisations=2)
    return entry.measure(entry.task(op, seed), R, *sets)["adaptation"]


# -- the pictures ----------------------------------------------------------------------------------
@pytest.mark.parametrize("text", [MASK, RANGE, "mask:0"])
def test_rescaled_pictures_are_the_masked_ones_and_as_bright_as_before(text):
    op, x = operators.parse(text), torch.full((64, 3, 32, 32), 0.25)
    generators = [torch.Generator().manual_seed(1) for _ in range(3)]
    y, masked = Rescaled(op)(x, generators[0]), op(x, generators[1])
    p = op.draw(64, generators[2])
    torch.testing.assert_close(y, masked / (1 - p).float().view(-1, 1, 1, 1))
    torch.testing.assert_close(y.mean((1, 2, 3)), torch.full((64,), 0.25), atol=0.01, rtol=0)
    white = Rescaled(op)(torch.ones(1, 3, 32, 32), torch.Generator().manual_seed(0)).max().item()
    assert white == pytest.approx(10) if text == MASK else white >= 1  # not clipped
    assert Rescaled(op).is_random == op.is_random


def test_rescaling_is_no_operator_that_a_text_names_and_needs_some_pixel():
    assert operators.parse(MASK) == operators.RandomMask(0.9)
    assert type(operators.parse(MASK)) is operators.RandomMask
    with pytest.raises(ValueError, match=r"mask:0.5..1 leaves no pixel .* severities below 1"):
        Rescaled(operators.parse("mask:0.5..1"))


# -- the scores ------------------------------------------------------------------------------------
def test_scores_are_those_by_hand(R, sets):
    scores = measured(R, sets, MASK).set_index(["method", "realisation"])
    assert list(scores.index.get_level_values(0).unique()) == [*adaptation.METHODS]
    train, val = sets
    op = operators.parse(MASK)
    words = probe.zero_shot(R, train.class_names)
    again = batch_norms_again(R, train, op, seed=3, most=len(train))
    for r in (0, 1):
        x = torch.cat(list(draws.corrupted(op, val, 3, r)))
        with torch.no_grad():
            rows = {"norms_again_words": again(x), "rescaled_words": R(x / (1 - 0.9))}
        for method, seen in rows.items():
            for k, column in ((1, "top1"), (5, "top5")):
                by_hand = top_k(words(seen), val.labels, k)
                assert scores[column][method, r] == pytest.approx(by_hand, abs=2.01)  # one picture
    for method, encoder, A in (("norms_again", again, op), ("rescaled", R, Rescaled(op))):
        views = probe.features(encoder, train, A, RECIPE.epochs, 3)
        head = probe.fit(views, train.labels, 100, RECIPE, 3)
        mine = evaluate_heads([(encoder, {"": head})], val, A, 2, 3, progress=False)
        assert mine.top1.tolist() == scores.top1[method].tolist()


@pytest.mark.parametrize("op", [NOISE, "mask:0.5|noise:0.5"])
def test_only_pictures_of_masks_are_rescaled(R, sets, op):
    entry = Adaptation(operators={op: None}, probe=RECIPE, realisations=2)
    scores = entry.measure(entry.task(op), R, *sets)["adaptation"]
    assert set(scores.method) == {"norms_again", "norms_again_words"} and len(scores) == 4


def test_every_training_picture_is_looked_at_once(R, sets, monkeypatch):
    asked, (train, val) = [], sets
    words = probe.zero_shot(R, train.class_names)

    def watched(encoder, images, op, seed, most):
        asked.append((len(images), str(op), seed, most))
        return encoder

    monkeypatch.setattr(adaptation, "batch_norms_again", watched)
    monkeypatch.setattr(probe, "train", lambda *_: words)
    many = train.subset(torch.arange(1030) % len(train))
    entry = Adaptation(operators={NOISE: None}, probe=RECIPE, realisations=1)
    entry.measure(entry.task(NOISE, 3), R, many, val)
    assert asked == [(1030, NOISE, 3, 1030)]


def test_r_as_it_is_would_have_the_rows_of_known_operator(R, sets, monkeypatch):
    """So both tables are on the same draws: differences between their rows are paired."""
    known = KnownOperator(operators={MASK: (1.0,)}, probe=RECIPE, fractions=(1.0,), realisations=2)
    words = probe.zero_shot(R, sets[0].class_names)
    others = R, Classifier(R, 100, seed=0), R, words
    theirs = known.measure(known.task(MASK, 3), R, *others, *sets)["known_operator"]
    monkeypatch.setattr(adaptation, "batch_norms_again", lambda encoder, *_, **__: encoder)
    mine = measured(R, sets, MASK)
    for here, there in (("norms_again", "clip"), ("norms_again_words", "clip_zero_shot")):
        for column in ("top1", "top5"):
            a, b = (t[t.method == m][column] for t, m in ((mine, here), (theirs, there)))
            assert a.tolist() == b.tolist()


def test_r_stays_as_it_was(R, sets):
    before = {name: value.clone() for name, value in R.state_dict().items()}
    measured(R, sets, RANGE)
    assert all(torch.equal(before[name], value) for name, value in R.state_dict().items())
