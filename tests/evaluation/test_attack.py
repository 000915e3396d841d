"""PGD against closed forms, its promises as properties, and gradients that lie."""

import doctest

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cinv_lib.evaluation import attack

budgets = st.sampled_from([0.0, 1 / 255, 8 / 255, 0.3, 1.0])
seeds = st.integers(0, 2**16)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def problem(seed: int, n: int = 5):
    """Pictures in [0,1] with some at its ends, labels, and which pixels may change."""
    g = seeded(seed)
    x = (1.4 * torch.rand(n, 3, 6, 5, generator=g) - 0.2).clamp(0, 1)
    labels = torch.randint(4, (n,), generator=g)
    return x, labels, torch.rand(n, 1, 6, 5, generator=g) < 0.6


def network(seed: int):
    """A small smooth network of 4 classes."""
    g = seeded(seed + 1)
    a, b = torch.randn(8, 90, generator=g) / 4, torch.randn(4, 8, generator=g)
    return lambda z: torch.tanh(z.flatten(1) @ a.T) @ b.T


def line(w):
    """Two classes whose logits are -w z and w z."""
    return lambda z: (z * w).sum((1, 2, 3))[:, None] * torch.tensor([-1.0, 1.0])


# -- closed forms ------------------------------------------------------------------------------
@settings(max_examples=25, deadline=None)
@given(seeds, budgets, st.integers(1, 12))
@example(2646, 8 / 255, 4)  # the step before the last one has the same loss, in float32
def test_of_a_linear_model_the_optimum_is_a_corner(seed, budget, steps):
    """The loss of class 0 grows with w z, so the worst z has every pixel at its own end."""
    x, _, where = problem(seed)
    w = torch.randn(3, 6, 5, generator=seeded(seed + 2)) / 10  # so that no loss rounds to 0
    labels = torch.zeros(len(x), dtype=torch.int64)
    z = attack.pgd(line(w), x, labels, budget, seeded(), steps, where, stop=False)
    corner = (x + budget * w.sign() * where).clamp(0, 1)
    loss = F.cross_entropy(line(w)(z), labels, reduction="none")
    best = F.cross_entropy(line(w)(corner), labels, reduction="none")
    torch.testing.assert_close(loss, best, rtol=1e-5, atol=1e-6)
    # A pixel's share of the loss: what it changes by less is rounded, and the first such z is kept.
    torch.testing.assert_close(z * w, corner * w, rtol=0, atol=1e-7)


@settings(max_examples=25, deadline=None)
@given(seeds, budgets)
def test_a_step_is_a_projection_onto_the_ball_and_the_range(seed, budget):
    """Both are boxes: the nearest point in both is the nearest in each number's interval."""
    x, _, _ = problem(seed)
    g = seeded(seed)
    z, gradient = torch.rand(x.shape, generator=g), torch.randn(x.shape, generator=g)
    found = attack.step(z, x, gradient, 0.05, budget)
    low, high = (
        np.maximum(0, x.numpy() - np.float32(budget)),
        np.minimum(1, x.numpy() + np.float32(budget)),
    )
    expected = np.clip(z.numpy() + np.float32(0.05) * np.sign(gradient.numpy()), low, high)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


# -- promises ----------------------------------------------------------------------------------
@settings(max_examples=30, deadline=None)
@given(seeds, budgets, st.integers(1, 6), st.booleans(), st.booleans())
def test_no_attack_leaves_the_ball_the_range_or_its_pixels(seed, budget, steps, stop, restricted):
    x, labels, where = problem(seed)
    where = where if restricted else None
    for z in (
        attack.pgd(network(seed), x, labels, budget, seeded(seed), steps, where, stop),
        attack.noise(x, budget, seeded(seed), where),
    ):
        assert (z - x).abs().max() <= budget + 1e-6
        assert z.min() >= 0 and z.max() <= 1
        if restricted:
            assert torch.equal(z * ~where, x * ~where)
        if budget == 0:
            assert torch.equal(z, x)


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from([2 / 255, 0.05, 0.3]))
def test_a_picture_never_gets_better_and_stopping_changes_no_verdict(seed, budget):
    x, labels, _ = problem(seed, n=20)
    model = network(seed)
    ask = (model, x, labels, budget, seeded(seed), 5)
    first, patient = attack.pgd(*ask), attack.pgd(*ask[:4], seeded(seed), 5, stop=False)
    before, early, late = (model(z).argmax(1) != labels for z in (x, first, patient))
    assert torch.equal(early, late)
    assert (early | ~before).all(), "what was wrong stays wrong"
    assert torch.equal(first[before], x[before]), "and is left as it is"
    losses = [F.cross_entropy(model(z), labels, reduction="none") for z in (x, patient)]
    assert (losses[1] >= losses[0])[before == late].all()
    assert (losses[1] >= F.cross_entropy(model(first), labels, reduction="none") - 1e-6).all()


def test_the_worst_of_all_that_was_seen_is_given():
    """Of a loss that goes up and down on the way, not where the way ended."""
    x, _, _ = problem(1, n=20)
    w, labels, seen = (
        torch.randn(3, 6, 5, generator=seeded(9)),
        torch.zeros(20, dtype=torch.int64),
        [],
    )

    def wavy(z):
        wave = 2 * torch.sin(20 * (z * w).mean((1, 2, 3)))
        logits = torch.stack([torch.ones_like(wave), wave], dim=1)
        seen.append(F.cross_entropy(logits.detach(), labels, reduction="none"))
        return logits

    z = attack.pgd(wavy, x, labels, 0.5, seeded(), 8, stop=False)
    assert len(seen) == 10, "itself, a random start, eight steps"
    worst = torch.stack(seen).amax(dim=0)
    assert (worst > seen[9] + 0.1).any()
    wavy(z)
    torch.testing.assert_close(seen[10], worst)


def test_it_finds_more_than_chance_does_and_the_same_from_the_same_seed():
    x, _, _ = problem(0, n=200)
    model = network(0)
    labels = model(x).argmax(1)
    z, again, other = (attack.pgd(model, x, labels, 0.05, seeded(s), 10) for s in (0, 0, 1))
    assert torch.equal(z, again) and not torch.equal(z, other)
    left, shaken = ((model(v).argmax(1) == labels).float().mean() for v in (
        z, attack.noise(x, 0.05, seeded(0))))  # fmt: skip
    assert left < shaken - 0.3
    assert torch.is_grad_enabled() and not z.requires_grad


def test_each_picture_is_attacked_on_its_own():
    """As the random start is drawn for all together, only the steps can be compared: from none."""
    x, labels, _ = problem(3)
    model = network(3)
    together = attack.pgd(model, x, labels, 1.0, seeded(), 8, stop=False)
    apart = [attack.pgd(model, x[k : k + 1], labels[k : k + 1], 1.0, seeded(), 8, stop=False)
             for k in range(len(x))]  # fmt: skip
    assert torch.equal(together[:1], apart[0])


def test_noise_goes_to_random_corners():
    x = torch.full((50, 3, 8, 8), 0.5)
    z = attack.noise(x, 0.1, seeded())
    torch.testing.assert_close((z - 0.5).abs(), torch.full_like(z, 0.1))
    up = (z > 0.5).double().mean()
    assert abs(up - 0.5) < 4 * 0.5 / z.numel() ** 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.full((1, 3, 4, 4), 1.5)}, r"run from 1\.5 to 1\.5; expected \[0,1\].*noise"),
        ({"x": torch.full((1, 3, 4, 4), torch.nan)}, "from nan"),
        ({"budget": -0.1}, "budget -0.1"),
        ({"steps": 0}, "0 steps"),
    ],
)
def test_what_cannot_be_attacked(change, message):
    given_ = {"x": torch.full((1, 3, 4, 4), 0.5), "labels": torch.tensor([0]), "budget": 0.1}
    with pytest.raises(ValueError, match=message):
        attack.pgd(line(torch.ones(3, 4, 4)), generator=seeded(), **given_ | change)


# -- gradients ---------------------------------------------------------------------------------
def test_the_slope_of_an_honest_model_is_its_gradient():
    x, labels, _ = problem(0, n=30)
    ratio, flat = attack.slope(network(0), x, labels)
    assert ratio == pytest.approx(1, abs=1e-3) and flat == 0


def test_the_slope_of_a_certain_model_is_its_gradient_and_not_rounding():
    x, labels, _ = problem(0, n=200)
    model = network(0)
    certain = lambda z: model(z) + 16 * F.one_hot(labels, model(z).shape[1])  # noqa: E731
    assert F.cross_entropy(certain(x), labels) < 1e-5
    ratio, flat = attack.slope(certain, x, labels)
    assert ratio == pytest.approx(1, abs=1e-3) and flat == 0


def test_gradients_that_lie_are_seen():
    x, labels, _ = problem(0, n=30)
    model = network(0)
    in_steps = lambda z: model((z * 8).round() / 8)  # noqa: E731
    assert attack.slope(in_steps, x, labels)[1] == 100
    shrunk = lambda z: model(z.detach() + 0.5 * (z - z.detach()))  # noqa: E731
    assert attack.slope(shrunk, x, labels)[0] == pytest.approx(2, rel=1e-2)
    wrong = lambda z: model(z.detach() + 0.5 * (z - z.detach()).flip(3))  # noqa: E731
    assert abs(attack.slope(wrong, x, labels)[0] - 1) > 0.2


def test_examples_in_docstrings():
    failed, run = doctest.testmod(attack)
    assert run and not failed


# -- on a GPU ----------------------------------------------------------------------------------
def on_a_gpu(model):
    """A model whose input is rounded as cuDNN rounds it in TF32, where that is allowed."""

    def rounded(z):
        bits = z.detach().contiguous().view(torch.int32)
        return z + (((bits + 0x1000) & ~0x1FFF).view(torch.float32) - z.detach())

    return lambda z: model(rounded(z) if torch.backends.cudnn.allow_tf32 else z)


def test_gradients_are_looked_at_in_float32_where_tf32_is_allowed():
    x, labels, where = problem(3)
    model = on_a_gpu(network(3))
    assert attack.slope(model, x, labels)[0] == pytest.approx(1, abs=0.01)
    assert torch.backends.cudnn.allow_tf32
    with_it = attack.slope.__wrapped__(model, x, labels)[0]
    assert abs(with_it - 1) > 0.05, "the rounding is what it is about"
    plain = attack.pgd(network(3), x, labels, 0.1, seeded(), 5, where)
    assert torch.equal(plain, attack.pgd(model, x, labels, 0.1, seeded(), 5, where))
