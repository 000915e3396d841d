"""Probes: against scikit-learn's logistic regression, open_clip's zero-shot classifier, counts."""

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import nn

from cinv_lib import encoders
from cinv_lib.data.image_set import ImageSet, to_float
from cinv_lib.data.views import random_crop, random_flip
from cinv_lib.encoders import words
from cinv_lib.evaluation.draws import BLOCK, corrupted
from cinv_lib.evaluation.probe import Probe, ProbeRecipe, features, fit, zero_shot
from cinv_lib.operators.basic import parse


def image_set(n, side=8, classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (n, 3, side, side), generator=generator, dtype=torch.uint8)
    names = tuple(f"class {k}" for k in range(classes))
    return ImageSet(images, torch.arange(n) % classes, names, "noise", "drawn by a test")


class Counting(nn.Module):
    """An encoder that keeps what it saw: its embedding is the flattened image."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)  # in train mode, its output depends on the batch
        self.images, self.batches = 0, []

    def forward(self, x):
        self.images += len(x)
        self.batches.append(len(x))
        assert not self.training and not torch.is_grad_enabled()
        return self.norm(x).flatten(1)


def clusters(n=300, d=5, k=4, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(k, size=n)
    x = rng.normal(size=(k, d))[y] * 1.2 + rng.normal(size=(n, d))
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


# -- fit -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("decay", [0.01, 0.1])
def test_fit_reaches_sklearns_minimum(decay, normalise):
    x, y = clusters()
    recipe = ProbeRecipe(
        epochs=800, lr=0.1, batch_size=300, weight_decay=decay, normalise=normalise
    )
    probe = fit(x[None], y, 4, recipe, seed=0)
    seen = F.normalize(x, dim=1) if normalise else x
    oracle = LogisticRegression(C=1 / (decay * len(y)), tol=1e-10, max_iter=10_000).fit(seen, y)
    ours = probe(x).softmax(1).detach().numpy()
    np.testing.assert_allclose(ours, oracle.predict_proba(seen), atol=2e-4)
    np.testing.assert_allclose(probe.weight.detach(), oracle.coef_, atol=2e-3)
    assert (ours.argmax(1) == y.numpy()).mean() == oracle.score(seen, y)


def test_fit_without_decay_is_as_good_as_sklearns():
    x, y = clusters(n=1200)
    x, y, new_x, new_y = x[:600], y[:600], x[600:], y[600:]
    probe = fit(x[None], y, 4, ProbeRecipe(epochs=60, lr=0.03, batch_size=100), seed=0)
    oracle = LogisticRegression(C=np.inf, max_iter=1000).fit(x, y)
    ours = (probe(new_x).argmax(1) == new_y).double().mean().item()
    assert abs(ours - oracle.score(new_x, new_y)) <= 0.01


def test_fit_is_a_function_of_its_seed():
    x, y = clusters()
    recipe = ProbeRecipe(epochs=2, batch_size=50)
    one, same, other = (fit(x[None], y, 4, recipe, seed) for seed in (0, 0, 1))
    assert torch.equal(one.weight, same.weight) and torch.equal(one.bias, same.bias)
    assert not torch.equal(one.weight, other.weight)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    fit(x[None], y, 4, recipe, 0)
    assert torch.equal(torch.get_rng_state(), state)  # the global generator is not touched


def test_within_a_reader_s_own_autocast_it_is_the_same_fit():
    """There PyTorch keeps bfloat16 copies of weights until the reader's block ends."""
    x, y = clusters()
    with torch.autocast("cpu", torch.bfloat16):
        within = fit(x[None], y, 4, ProbeRecipe(epochs=3), seed=0)
    alone = fit(x[None], y, 4, ProbeRecipe(epochs=3), seed=0)
    assert torch.equal(within.weight, alone.weight) and alone.weight.any()


def test_each_epoch_takes_the_next_view():
    x, y = clusters(n=64)
    poison = torch.stack([x, x, x])
    recipe = ProbeRecipe(epochs=2, batch_size=16)
    same = fit(x[None], y, 4, recipe, 0)
    poison[2] = 1e6  # the third view is not reached in two epochs
    assert torch.equal(fit(poison, y, 4, recipe, 0).weight, same.weight)
    poison[1] = 0  # the second is
    assert not torch.equal(fit(poison, y, 4, recipe, 0).weight, same.weight)
    again = fit(torch.stack([x, 2 * x, x, 2 * x]), y, 4, ProbeRecipe(epochs=4, batch_size=16), 0)
    wrapped = fit(torch.stack([x, 2 * x]), y, 4, ProbeRecipe(epochs=4, batch_size=16), 0)
    assert torch.equal(again.weight, wrapped.weight)


def test_only_the_labels_given_are_used():
    x, y = clusters()
    chosen = torch.arange(0, 300, 7)
    recipe = ProbeRecipe(epochs=3, small_batch=8)
    wrong = (y + 1) % 4
    wrong[chosen] = y[chosen]
    one, other = (fit(x[None], labels, 4, recipe, 0, chosen) for labels in (y, wrong))
    assert torch.equal(one.weight, other.weight)
    alone = fit(x[None, chosen], y[chosen], 4, ProbeRecipe(epochs=3, batch_size=8), 0)
    torch.testing.assert_close(one.weight, alone.weight)


def test_few_labels_get_small_batches_and_so_enough_steps(monkeypatch):
    x, y = clusters()
    steps = []
    step = torch.optim.Adam.step
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: steps.append(1) or step(self))

    def count(recipe, indices=None):
        steps.clear()
        fit(x[None], y, 4, recipe, 0, indices)
        return len(steps)

    recipe = ProbeRecipe(epochs=5, batch_size=100, small_batch=10)
    tenth = torch.arange(30)
    assert count(recipe) == 5 * 3
    assert count(recipe, torch.arange(300)) == 5 * 3
    assert count(recipe, tenth) == 5 * 3  # not 5 * 1
    only_below = ProbeRecipe(epochs=5, batch_size=100, small_batch=10, small_below=0.05)
    assert count(only_below, tenth) == 5 * 1
    assert ProbeRecipe().batch_for(100, 100) == 512  # 4 GPUs x 128, and 4 x 8
    assert ProbeRecipe().batch_for(10, 100) == 32
    assert ProbeRecipe(batch_size=16).batch_for(10, 100) == 16


def test_learning_rate_falls_to_zero_along_a_cosine(monkeypatch):
    x, y = clusters()
    rates = []
    step = torch.optim.Adam.step

    def spy(self):
        rates.append({group["lr"] for group in self.param_groups})
        step(self)

    monkeypatch.setattr(torch.optim.Adam, "step", spy)
    fit(x[None], y, 4, ProbeRecipe(epochs=2, batch_size=100, lr=0.1), 0)
    expected = [0.05 * (1 + np.cos(np.pi * t / 6)) for t in range(6)]
    assert all(len(rate) == 1 for rate in rates)
    np.testing.assert_allclose([rate.pop() for rate in rates], expected)


def test_probe_normalises_if_it_was_fitted_so_and_saves_it():
    x, y = clusters()
    probe = fit(x[None], y, 4, ProbeRecipe(epochs=1, normalise=True), 0)
    torch.testing.assert_close(probe(x), probe(7 * x))
    plain = fit(x[None], y, 4, ProbeRecipe(epochs=1), 0)
    assert not torch.allclose(plain(x), plain(7 * x))
    again = Probe.from_state(probe.state_dict())
    assert torch.equal(again(x), probe(x))
    plain.load_state_dict(probe.state_dict())
    assert torch.equal(plain(x), probe(x))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        # with the shapes checked, as in these tests, jaxtyping is the first to object
        (
            {"labels": torch.zeros(3, dtype=torch.int64)},
            (ValueError, TypeError),
            "3 labels for 300|Type-check error",
        ),
        ({"labels": torch.full((300,), 4)}, ValueError, "from 4 to 4: expected 0 to 3"),
        ({"labels": torch.full((300,), -1)}, ValueError, "from -1 to -1"),
        ({"indices": torch.tensor([], dtype=torch.int64)}, ValueError, "no image"),
        ({"indices": torch.tensor([0, 300])}, ValueError, "0 to 300: expected 0 to 299"),
        ({"features": torch.full((1, 300, 5), torch.nan)}, FloatingPointError, "NaN"),
        ({"recipe": ProbeRecipe(epochs=3, lr=1e38)}, FloatingPointError, r"diverged.*lr 1e\+38"),
    ],
)
def test_bad_input_is_named(change, error, words):
    x, y = clusters()
    arguments = {"features": x[None], "labels": y, "recipe": ProbeRecipe(epochs=1)} | change
    with pytest.raises(error, match=words):
        fit(n_classes=4, seed=0, **arguments)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("lr", -1.0),
        ("batch_size", 0),
        ("small_batch", 0),
        ("small_below", 10.0),
        ("weight_decay", float("nan")),
    ],
)
def test_bad_recipes_are_named(field, value):
    with pytest.raises(ValueError, match=f"ProbeRecipe.{field} is {value}; expected"):
        ProbeRecipe(**{field: value})


# -- features ------------------------------------------------------------------------------------


def test_each_view_is_forwarded_once_whatever_the_number_of_label_fractions():
    images, encoder = image_set(150), Counting()
    seen = features(encoder, images, parse("mask:0.5"), views=3, seed=0)
    assert seen.shape == (3, 150, 192) and seen.dtype == torch.float32
    for share in (0.05, 0.1, 0.5, 1.0):
        for normalise in (False, True):
            recipe = ProbeRecipe(epochs=4, normalise=normalise)
            fit(seen, images.labels, 4, recipe, 0, images.fraction(share, seed=0))
    assert encoder.images == 3 * 150


@pytest.mark.parametrize(
    ("op", "crop", "flip", "forwards"),
    [
        ("blur:1", (1.0, 1.0), False, 1),
        ("identity", (1.0, 1.0), False, 1),
        ("blur:1", (0.5, 1.0), False, 3),
        ("blur:1", (1.0, 1.0), True, 3),
        ("noise:0.1", (1.0, 1.0), False, 3),
    ],
)
def test_views_that_cannot_differ_are_forwarded_once(op, crop, flip, forwards):
    images, encoder = image_set(70), Counting()
    seen = features(encoder, images, parse(op), 3, 0, crop, flip)
    assert encoder.images == forwards * 70 and seen.shape == (3, 70, 192)
    assert torch.equal(seen[0], seen[1]) == (forwards == 1)
    assert torch.isfinite(fit(seen, images.labels, 4, ProbeRecipe(epochs=3), 0).weight).all()


@pytest.mark.parametrize("batch_size", [1, 7, 64, 100, 256])
def test_views_do_not_depend_on_the_batch_size(batch_size):
    images = image_set(150)
    encoder = Counting()
    arguments = (images, parse("noise:0.1..0.5"), 2, 3, (0.5, 1.0), True)
    seen = features(encoder, *arguments, batch_size=batch_size, precision="fp32")
    assert max(encoder.batches) <= batch_size
    assert torch.equal(seen, features(Counting(), *arguments, precision="fp32"))


def test_views_are_crop_then_flip_then_corruption_of_the_right_images():
    images, op = image_set(BLOCK + 6), parse("noise:0.5")
    encoder = Counting()
    with torch.no_grad():
        encoder.norm.running_var += 1 - encoder.norm.eps  # so that it is the identity / sqrt(2)
    seen = features(encoder, images, op, 2, 5, precision="fp32").reshape(2, -1, 3, 8, 8) * 2**0.5
    residue = seen - to_float(images.images)
    assert residue.std().item() == pytest.approx(0.5, abs=0.02)
    assert abs(residue.mean().item()) < 0.01
    assert not torch.equal(seen[0], seen[1])
    # a validation set with the same seed gets other draws than the training views
    scored = torch.cat(list(corrupted(op, images, 5, 0)))
    assert not torch.allclose(scored, seen[0], atol=1e-3)

    order = []
    from cinv_lib.evaluation import probe as module

    def spy(name, function):
        def wrapper(x, *rest, **named):
            order.append((name, float(x.min()) >= 0))
            return function(x, *rest, **named)

        return wrapper

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "random_crop", spy("crop", random_crop))
        patch.setattr(module, "random_flip", spy("flip", random_flip))
        features(encoder, images, op, 1, 0, (0.5, 1.0), True)
    assert order == [("crop", True), ("flip", True)] * 2  # two blocks, not yet noisy


def test_features_of_a_real_encoder_are_its_embeddings():
    encoder = encoders.fresh("stickers-clip", seed=0)
    images = image_set(5, side=64)
    seen = features(encoder, images, parse("identity"), 1, 0, precision="fp32")
    with torch.no_grad():
        torch.testing.assert_close(seen[0], encoder(to_float(images.images)))
    half = features(encoder, images, parse("identity"), 1, 0, precision="bf16")
    assert half.dtype == torch.float32 and not torch.equal(half, seen)
    assert F.cosine_similarity(half[0], seen[0]).min() > 0.99


def test_an_encoder_that_returns_its_input_is_not_overwritten():
    images, op = image_set(2 * BLOCK), parse("noise:0.5")
    seen = features(lambda x: x.flatten(1), images, op, 3, 0, precision="fp32")
    assert len({tuple(view[0, :5].tolist()) for view in seen}) == 3
    parts = [features(lambda x: x.flatten(1), images, op, v, 0, precision="fp32") for v in (1, 2)]
    assert torch.equal(seen[:1], parts[0]) and torch.equal(seen[:2], parts[1])


def test_no_images_no_features():
    with pytest.raises(ValueError, match="noise is empty"):
        features(Counting(), image_set(2).subset(torch.arange(0)), parse("identity"), 1, 0)


@pytest.mark.parametrize("bad", [{"views": 0}, {"batch_size": 0}, {"precision": "fp8"}])
def test_bad_arguments_of_features_are_named(bad):
    (name, value), *_ = bad.items()
    with pytest.raises(ValueError, match=f"{name} '?{value}"):
        features(Counting(), image_set(2), parse("identity"), **{"views": 1, "seed": 0} | bad)


# -- words ---------------------------------------------------------------------------------------


def test_zero_shot_is_open_clips():
    encoder = encoders.fresh("stickers-clip", seed=0)
    names = ["red umbrella", "black sun with rays", "snowman"]
    templates = ("a photo of a {}", "a photo of a big {}")
    context = encoder.config["model_cfg"]["text_cfg"]["context_length"]
    with torch.no_grad():
        oracle = open_clip.build_zero_shot_classifier(
            encoder.clip, words.tokenizer(context), names, [t.format for t in templates]
        )
    probe = zero_shot(encoder, names, templates)
    torch.testing.assert_close(probe.weight / 100, oracle.T, atol=1e-5, rtol=0)
    assert not probe.bias.any() and not probe.training

    x = torch.randn(6, encoder.dim, generator=torch.Generator().manual_seed(0))
    by_hand = 100 * F.normalize(x, dim=1) @ F.normalize(oracle, dim=0)
    torch.testing.assert_close(probe(x), by_hand, atol=1e-3, rtol=1e-4)
    assert torch.equal(probe(x).argmax(1), by_hand.argmax(1))
    softer = zero_shot(encoder, names, templates, scale=1.0)
    assert torch.equal(softer(x).argmax(1), probe(x).argmax(1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_features_of_any_precision_are_fitted_in_float32(dtype):
    x = torch.tensor([[-1.0], [-2.0], [1.0], [2.0]])
    labels, recipe = torch.tensor([0, 0, 1, 1]), ProbeRecipe(epochs=3)
    want = fit(x[None], labels, 2, recipe, seed=0)
    got = fit(x[None].to(dtype), labels, 2, recipe, seed=0)
    assert got.weight.dtype == torch.float32 and torch.equal(got.weight, want.weight)
    assert torch.equal(got(x.to(dtype)), want(x))
