"""The forward operators against torchvision, exact counts, moments and closed forms."""

import doctest
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as tv

from cinv_lib.operators import basic, functional
from cinv_lib.operators.basic import (
    GaussianBlur,
    GaussianNoise,
    Identity,
    Mixture,
    OneOf,
    RandomMask,
    parse,
)

EVERY = [
    "identity", "mask:0.9", "mask:0.5..0.95", "noise:0.5", "noise:0.1..0.3", "blur:1.43",
    "blur:0.5..2", "blur:1..2@0.8+noise:0.05..0.5@0.8", "mask:0.5@1+blur:1@0.5",
    "mask:0.9|noise:0.5|blur:2", "mask:0.5..0.9|identity",
]  # fmt: skip


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def missing(y: torch.Tensor) -> torch.Tensor:
    """How many pixels of each image are black, for images that had no black pixel."""
    return (y == 0).all(dim=1).sum(dim=(1, 2))


# ---------------------------------------------------------------- what all of them promise


@pytest.mark.parametrize("text", EVERY)
def test_equal_generators_give_equal_corruptions(text, pictures):
    op = parse(text)
    first, second, other = op(pictures, seeded()), op(pictures, seeded()), op(pictures, seeded(1))
    assert torch.equal(first, second)
    assert op.is_random == (not torch.equal(first, other))
    torch.manual_seed(5)
    without = op(pictures)
    torch.manual_seed(5)
    assert torch.equal(without, op(pictures))


@pytest.mark.parametrize("text", EVERY)
def test_shape_dtype_and_input_are_kept(text, pictures):
    before = pictures.clone()
    y = parse(text)(pictures, seeded())
    assert y.shape == pictures.shape and y.dtype == torch.float32
    assert torch.equal(pictures, before)
    assert parse(text)(pictures.double(), seeded()).dtype == torch.float64
    if not text.startswith("noise"):  # torch draws other noise in float64
        channels_last = pictures.contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(parse(text)(channels_last, seeded()), y)


@pytest.mark.parametrize("text", EVERY)
def test_call_is_draw_then_apply(text, pictures):
    op, generator = parse(text), seeded()
    severities = op.draw(len(pictures), generator)
    assert torch.equal(op.apply(pictures, severities, generator), op(pictures, seeded()))


@pytest.mark.parametrize("text", EVERY)
def test_severity_zero_is_the_identity(text, pictures):
    op = parse(text)
    y = op.apply(pictures, torch.zeros_like(op.draw(len(pictures))), seeded())
    assert torch.equal(y, pictures)


@pytest.mark.parametrize("text", EVERY)
def test_works_in_inference_mode_and_lets_gradients_through(text, pictures):
    op = parse(text)
    with torch.inference_mode():
        y = op(pictures.clone(), seeded())
    x = pictures.clone().requires_grad_()
    z = op(x, seeded())
    assert torch.equal(y, z.detach())
    (gradient,) = torch.autograd.grad(z.sum(), x)
    step = 1e-2 * torch.rand(x.shape, generator=seeded(2)) * (x < 0.9)
    # every operator is affine in x, so the gradient of the sum gives the exact change
    change = (op(x.detach() + step, seeded()) - z.detach()).double().sum()
    assert change.item() == pytest.approx((gradient * step).double().sum().item(), rel=1e-3)


@pytest.mark.parametrize("text", ["mask:0.5", "noise:0.3"])
def test_images_differ_within_a_batch_and_threads_do_not_matter(text):
    x, op = torch.full((20, 3, 8, 8), 0.5), parse(text)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = op(x, seeded())
        torch.set_num_threads(3)
        three = op(x, seeded())
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one, three)
    assert len({tuple(y.flatten().tolist()) for y in one}) == 20


@pytest.mark.parametrize("module", [functional, basic])
def test_examples_in_docstrings(module):
    failed, run = doctest.testmod(module)
    assert run and not failed


def test_many_callers_at_once():
    op, x = parse("noise:0.5"), torch.rand(16, 3, 8, 8)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: op(x, seeded()), range(16)))
    assert all(torch.equal(results[0], y) for y in results)


@pytest.mark.parametrize(
    "lo, hi, op", [(0.5, 0.95, RandomMask), (0.1, 0.3, GaussianNoise), (1, 5, GaussianBlur)]
)
def test_ranges_are_drawn_uniformly_per_image(lo, hi, op):
    s = op((lo, hi)).draw(4000, seeded())
    assert s.dtype == torch.float64 and lo <= s.min() and s.max() <= hi
    assert len(s.unique()) == 4000
    standard_error = (hi - lo) / math.sqrt(12 * 4000)
    assert abs(s.mean() - (lo + hi) / 2) < 4 * standard_error
    quarters = torch.histc(s, 4, lo, hi)
    assert (quarters - 1000).abs().max() < 4 * math.sqrt(4000 * 0.25 * 0.75)
    assert torch.equal(op(hi).draw(3), torch.full((3,), float(hi), dtype=torch.float64))


def test_at():
    assert RandomMask(0.9).at((0.5, 0.95)) == RandomMask((0.5, 0.95))
    assert str(parse("blur:9").at(5)) == "blur:5"
    with pytest.raises(ValueError, match="no single severity"):
        parse("blur:1@0.8+noise:0.5@0.8").at(0.5)
    with pytest.raises(ValueError, match="severity of identity is 1"):
        Identity().at(1)


def test_frozen_and_comparable():
    assert RandomMask((0.5, 0.5)) == RandomMask(0.5) and hash(RandomMask(1)) == hash(RandomMask(1))
    assert RandomMask(0.5) != GaussianNoise(0.5)
    assert RandomMask((0.5, 0.5)).severity == 0.5 and GaussianBlur((1, 5)).severity == (1.0, 5.0)
    with pytest.raises(FrozenInstanceError):
        RandomMask(0.5).severity = 0.6


@pytest.mark.parametrize(
    "text, random",
    [
        ("identity", False), ("mask:0", False), ("mask:0.1", True), ("blur:3", False),
        ("blur:1..3", True), ("noise:0", False), ("blur:1@1+identity@1", False),
        ("blur:1@0.5", True), ("noise:1@0", False), ("blur:1@1+mask:0.1@1", True),
        ("blur:1|blur:2", True), ("blur:1|blur:1", False), ("mask:0.5|mask:0.5", True),
    ],
)  # fmt: skip
def test_is_random(text, random):
    assert parse(text).is_random is random


# ---------------------------------------------------------------- mask


@settings(max_examples=60, deadline=None)
@given(
    p=st.floats(0, 1) | st.sampled_from([0.5, 0.75, 0.9, 0.95, 0.99, 1.0]),
    sides=st.tuples(st.integers(1, 24), st.integers(1, 24)),
)
def test_mask_removes_exactly_int_of_h_w_p(p, sides):
    height, width = sides
    y = RandomMask(p)(torch.full((3, 3, height, width), 0.7), seeded())
    assert missing(y).tolist() == [int(height * width * p)] * 3
    assert set(y.unique().tolist()) <= {0.0, torch.tensor(0.7).item()}  # the rest is untouched
    assert torch.equal(y[:, 0], y[:, 1]) and torch.equal(y[:, 0], y[:, 2])


def test_mask_at_the_papers_size():
    y = RandomMask(0.9)(torch.ones(2, 3, 224, 224), seeded())
    assert missing(y).tolist() == [int(224 * 224 * 0.9)] * 2


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_mask_counts_are_exact_for_each_image_of_a_range(ps):
    y = RandomMask((0, 1)).apply(
        torch.ones(len(ps), 3, 10, 7), torch.tensor(ps, dtype=torch.float64), seeded()
    )
    assert missing(y).tolist() == [int(70 * p) for p in ps]


@pytest.mark.parametrize("p", [0.29, 0.53, 0.57])  # where float32 comes out one off
def test_mask_counts_in_float64(p):
    assert missing(RandomMask(p)(torch.ones(1, 3, 10, 10))).tolist() == [int(100 * p)]


def test_mask_counts_at_the_extremes():
    counts = torch.tensor([0, 1, 2048, 4095, 4096])
    assert torch.equal((~functional.random_keep(counts, 64, 64)).sum(dim=(1, 2, 3)), counts)
    for wrong in (-1, 17):
        with pytest.raises(ValueError, match=rf"are \[3, {wrong}\]; expected 0 to 16"):
            functional.random_keep(torch.tensor([3, wrong]), 4, 4)


@pytest.mark.parametrize("bits", [0, 2**63 - 1])  # all draws low, all draws high
def test_mask_is_drawn_again_where_the_draws_are_extreme(monkeypatch, bits):
    honest, calls = functional._bits, []

    def extreme_at_first(*args):
        calls.append(args)
        return honest(*args).fill_(bits) if len(calls) == 1 else honest(*args)

    monkeypatch.setattr(functional, "_bits", extreme_at_first)
    keep = functional.random_keep(torch.tensor([2048, 2048]), 64, 64, seeded())
    assert keep.sum(dim=(1, 2, 3)).tolist() == [2048, 2048] and len(calls) == 3


@pytest.mark.parametrize("counts", [[12, 12], [4, 12]])  # one count, and one each
def test_mask_is_uniform_over_pixels_and_pairs(counts):
    draws, n = 3000, 16
    missing = torch.tensor(counts).repeat_interleave(draws)
    gone = ~functional.random_keep(missing, 4, 4, seeded()).view(len(counts), draws, n)
    for k, rows in zip(counts, gone.double(), strict=True):
        together = rows.T @ rows / draws  # pair (a, b) is gone with chance k(k-1) / n(n-1)
        expected = torch.full((n, n), k * (k - 1) / (n * (n - 1)), dtype=torch.float64)
        expected.fill_diagonal_(k / n)
        error = (expected * (1 - expected) / draws).sqrt()
        assert ((together - expected).abs() / error).max() < 4.5


# ---------------------------------------------------------------- noise


@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0])
def test_noise_has_the_moments_of_a_gaussian_and_is_not_clipped(sigma):
    x = torch.rand(20, 3, 40, 40, generator=seeded(1))
    z = ((GaussianNoise(sigma)(x, seeded()) - x) / sigma).double()
    n = z.numel()
    assert abs(z.mean()) < 4 / math.sqrt(n)
    assert abs(z.var() - 1) < 4 * math.sqrt(2 / n)
    assert abs((z**3).mean()) < 4 * math.sqrt(15 / n)
    assert abs((z**4).mean() - 3) < 4 * math.sqrt(96 / n)
    y = GaussianNoise(sigma)(torch.ones(4, 3, 20, 20), seeded())
    assert (y > 1).double().mean() == pytest.approx(0.5, abs=0.03)


def test_noise_is_independent_between_pixels_channels_and_images():
    z = GaussianNoise(1)(torch.zeros(32, 3, 16, 16), seeded()).double()
    for a, b in [
        (z[:, 0], z[:, 1]), (z[:, :2], z[:, 1:]), (z[:-1], z[1:]), (z[:8], z[8:16]),
        (z[..., 1:], z[..., :-1]), (z[..., 1:, :], z[..., :-1, :]),
    ]:  # fmt: skip
        assert abs((a * b).mean()) < 4 / math.sqrt(a.numel())


def test_noise_takes_each_images_own_sigma():
    sigmas = torch.tensor([0.0, 0.1, 1.0], dtype=torch.float64)
    y = GaussianNoise((0, 1)).apply(torch.full((3, 3, 50, 50), 0.5), sigmas, seeded())
    torch.testing.assert_close(y.std(dim=(1, 2, 3)).double(), sigmas, rtol=0.05, atol=0)


# ---------------------------------------------------------------- blur


@pytest.mark.parametrize("sigma, n", [(5, 21), (9, 37), (1.43, 7), (2.57, 11), (0.5, 3)])
def test_blur_is_torchvisions(sigma, n):
    x = torch.rand(2, 3, 48, 40, generator=seeded())
    expected = tv.gaussian_blur(x, [n, n], [float(sigma)] * 2)
    torch.testing.assert_close(GaussianBlur(sigma)(x), expected, rtol=0, atol=2e-6)


def test_blur_with_a_sigma_an_image_is_a_blur_of_each(pictures):
    sigmas = torch.tensor([0.3, 2.5, 0.0, 1.0], dtype=torch.float64)
    together = GaussianBlur((0, 3)).apply(pictures, sigmas)
    apart = [GaussianBlur(s.item())(x[None])[0] for s, x in zip(sigmas, pictures, strict=True)]
    torch.testing.assert_close(together, torch.stack(apart), rtol=0, atol=5e-7)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 6), min_size=1, max_size=4))
def test_gaussian_taps(sigmas):
    taps = functional.gaussian_taps(torch.tensor(sigmas, dtype=torch.float64))
    r = round(2 * max(sigmas))
    assert taps.shape == (len(sigmas), 2 * r + 1)
    torch.testing.assert_close(taps.sum(dim=1), torch.ones(len(sigmas), dtype=torch.float64))
    assert torch.equal(taps, taps.flip(1))
    for row, sigma in zip(taps, sigmas, strict=True):
        own = round(2 * sigma)
        assert int((row > 0).sum()) == 2 * own + 1
        if own:
            ratio = math.exp(-0.5 / sigma**2)  # of the Gaussian at 1 to the Gaussian at 0
            assert row[r + 1] / row[r] == pytest.approx(ratio)


def test_blur_needs_an_image_wider_than_half_its_kernel(pictures):
    assert GaussianBlur(5.5)(pictures).shape == pictures.shape  # 11 pixels mirrored, of 12
    with pytest.raises(ValueError, match=r"σ = 6 mirrors 12 .* have 12; expected σ up to 5\.5"):
        GaussianBlur(6)(pictures)
    with pytest.raises(ValueError, match="mirrors 2000000000"):
        GaussianBlur(1e9)(pictures)  # and no 16 GB of taps


def test_blur_keeps_its_precision_under_autocast(pictures):
    with torch.autocast("cpu", torch.bfloat16):
        y = GaussianBlur(2)(pictures)
    assert torch.equal(y, GaussianBlur(2)(pictures))


# ---------------------------------------------------------------- mixture


def test_mixture_applies_each_part_with_its_own_probability():
    mixture = parse("mask:0.5..0.95@0.8+noise:0.1@0.25+blur:2@0+blur:1@1")
    s = mixture.draw(4000, seeded())
    assert s.shape == (4000, 4)
    applied = (s > 0).double()
    for column, p in zip(applied.T, (0.8, 0.25, 0.0, 1.0), strict=True):
        assert abs(column.mean() - p) <= 4 * math.sqrt(p * (1 - p) / 4000)
    both = (applied[:, 0] * applied[:, 1]).mean()  # independently
    assert abs(both - 0.2) < 4 * math.sqrt(0.2 * 0.8 / 4000)
    on = s[:, 0][s[:, 0] > 0]
    assert on.min() >= 0.5 and on.max() <= 0.95


def test_mixture_is_its_parts_in_order(pictures):
    mixture = Mixture((GaussianBlur(1), RandomMask(0.5)), (1.0, 1.0))
    y = mixture(pictures, seeded())
    assert missing(y).tolist() == [96] * 4  # the mask comes last, so its holes stay sharp
    blurred = GaussianBlur(1)(pictures)
    assert torch.equal(y, torch.where(y == 0, 0, blurred))
    reversed_order = Mixture((RandomMask(0.5), GaussianBlur(1)), (1.0, 1.0))(pictures, seeded())
    assert missing(reversed_order).sum() < 96


def test_mixture_leaves_images_alone_that_no_part_chooses(pictures):
    mixture = parse("blur:2@0.5+mask:0.5@0.5")
    severities = torch.tensor([[0, 0], [2, 0], [0, 0.5], [2, 0.5]], dtype=torch.float64)
    y = mixture.apply(pictures, severities, seeded())
    assert torch.equal(y[0], pictures[0])
    torch.testing.assert_close(y[1], GaussianBlur(2)(pictures)[1], rtol=0, atol=1e-6)
    assert missing(y).tolist() == [0, 0, 96, 96]


# ---------------------------------------------------------------- one of several

CHOICE = "mask:0.5|noise:0.5|blur:1..2|mask:0.9"


def test_one_of_chooses_each_part_as_often_and_one_for_each_image():
    s = parse(CHOICE).draw(4000, seeded())
    chosen = (s > 0).double()
    assert s.shape == (4000, 4) and (chosen.sum(dim=1) == 1).all()
    assert (chosen.sum(dim=0) - 1000).abs().max() < 4 * math.sqrt(4000 * 0.25 * 0.75)
    assert set(s[:, 0].tolist()) == {0, 0.5} and set(s[:, 3].tolist()) == {0, 0.9}
    blurred = s[:, 2][s[:, 2] > 0]
    assert blurred.min() >= 1 and blurred.max() <= 2 and len(blurred.unique()) == len(blurred)
    pairs = (chosen[:-1].T @ chosen[1:]) / 3999  # one image's choice says nothing of the next
    assert (pairs - 1 / 16).abs().max() < 4 * math.sqrt(1 / 16 * 15 / 16 / 3999)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20))
def test_each_image_is_exactly_what_its_part_makes_of_it(seed, n):
    """Of the images that share a part, in their order, and from where the generator then is."""
    x = torch.rand(n, 3, 12, 9, generator=seeded(seed))
    op, own = parse(CHOICE), seeded(seed)
    y = op(x, seeded(seed))
    severities = op.draw(n, own)
    for part, column in zip(op.parts, severities.T, strict=True):
        rows = column > 0
        if rows.any():
            assert torch.equal(y[rows], part.apply(x[rows], column[rows], own))
    assert ((severities > 0).sum(dim=1) == 1).all()


def test_what_is_no_choice():
    with pytest.raises(ValueError, match="one of 1 parts is no choice"):
        OneOf((RandomMask(0.5),))
    with pytest.raises(ValueError, match=r"blur:1@0\.5 cannot be one of several"):
        OneOf((parse("blur:1@0.5"), RandomMask(0.5)))
    with pytest.raises(ValueError, match="no single severity"):
        parse(CHOICE).at(0.5)


# ---------------------------------------------------------------- text

KINDS = [Identity, RandomMask, GaussianNoise, GaussianBlur]
bounds = st.lists(st.floats(0, 1), min_size=1, max_size=2).map(sorted).map(tuple)
described = st.lists(
    st.tuples(st.sampled_from(KINDS), bounds, st.floats(0, 1)), min_size=1, max_size=3
)


@settings(deadline=None)
@given(described, st.sampled_from(["alone", "mixture", "one of"]))
def test_parse_and_str_are_inverse(parts, kind_of):
    # built here, not in the strategy: the tests' type checks use `random`, which hypothesis minds
    operators = [kind() if kind is Identity else kind((s[0], s[-1])) for kind, s, _ in parts]
    op = operators[0]
    if kind_of == "mixture":
        op = Mixture(tuple(operators), tuple(p for *_, p in parts))
    elif kind_of == "one of":
        op = OneOf((*operators, op))
    assert parse(str(op)) == op


@settings(deadline=None)
@given(st.floats(0, 1e300))
def test_parse_and_str_are_inverse_for_every_number(sigma):
    assert parse(str(GaussianNoise(sigma))) == GaussianNoise(sigma)
    assert parse(f"{GaussianNoise(sigma)}@1") == Mixture((GaussianNoise(sigma),), (1.0,))


@pytest.mark.parametrize(
    "text",
    [
        "identity", "mask:0.9", "mask:0.5..0.95", "noise:0.5", "noise:0.1..0.3", "blur:9",
        "blur:2.57", "blur:1..5@0.8+noise:0.05..0.5@0.8", "mask:0.9|noise:0.1..0.5|identity",
    ],
)  # fmt: skip
def test_str_and_parse_are_inverse(text):
    assert str(parse(text)) == text


def test_parse_is_lenient_where_nothing_is_in_doubt():
    assert parse(" mask:.9 ") == RandomMask(0.9)
    assert parse("blur:1 + noise:0.1@0.5") == Mixture(
        (GaussianBlur(1), GaussianNoise(0.1)), (1.0, 0.5)
    )
    assert parse("noise:1e-3") == GaussianNoise(0.001)


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    "text, message",
    [
        ("fog:3", "unknown operator 'fog:3'; known are identity, mask, noise, blur"),
        ("", "unknown operator ''"),
        ("Mask:0.9", "known are"),
        ("mask", "'' in operator 'mask' is not a number"),
        ("mask:", "is not a number; expected 'name:severity'"),
        ("mask:much", "'much' in operator 'mask:much'"),
        ("mask:0.5..", "'' in operator 'mask:0.5..'"),
        ("mask:0.1..0.2..0.3", "'0.2..0.3' in operator"),
        ("mask:1.5", "severity of mask is 1.5; expected 0 to 1"),
        ("mask:-0.1", "severity of mask is -0.1; expected 0 to 1"),
        ("mask:0.5..1.5", "severity of mask is 1.5"),
        ("mask:90", "severity of mask is 90.0; expected 0 to 1"),
        ("noise:-1", "severity of noise is -1.0; expected 0 to inf, finite"),
        ("noise:nan", "severity of noise is nan"),
        ("noise:inf", "severity of noise is inf"),
        ("blur:5..1", "severity of blur runs from 5.0 to 1.0; expected lo <= hi"),
        ("identity:1", "severity of identity is 1.0; expected 0 to 0"),
        ("blur:1@1.5", "probability of blur:1 is 1.5; expected 0 to 1"),
        ("blur:1@nan", "probability of blur:1 is nan"),
        ("blur:1@often", "'often' in operator 'blur:1@often' is not a number"),
        ("blur:1@0.5@0.5", "'0.5@0.5' in operator"),
        ("blur:1+", "unknown operator ''"),
        ("blur:1|", "unknown operator ''"),
        ("blur:1|fog:2", "unknown operator 'fog:2'"),
        ("blur:1|noise:1@0.5", "'1@0.5' in operator 'noise:1@0.5' is not a number"),
    ],
)
def test_unknown_operators_and_severities_out_of_range(text, message):
    with pytest.raises(ValueError) as error:
        parse(text)
    assert message in str(error.value)


def test_mixtures_that_are_none():
    with pytest.raises(ValueError, match="2 parts has 1 probabilities"):
        Mixture((RandomMask(0.5), GaussianNoise(1)), (0.5,))
    with pytest.raises(ValueError, match="at least one part"):
        Mixture((), ())
    with pytest.raises(ValueError, match=r"blur:1@0\.5 cannot be a part of a mixture"):
        Mixture((parse("blur:1@0.5"),), (0.5,))


@pytest.mark.parametrize(
    "x, message",
    [
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), r"torch\.uint8; expected a tensor of floats"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.int64), r"torch\.int64"),
        (torch.zeros(3, 8, 8), r"shape \(3, 8, 8\); expected RGB \(B, 3, H, W\)"),
        (torch.zeros(2, 1, 8, 8), r"\(2, 1, 8, 8\).*repeat a grey channel"),
        (torch.zeros(2, 8, 8, 3), r"\(2, 8, 8, 3\)"),
        (torch.zeros(0, 3, 8, 8), r"\(0, 3, 8, 8\)"),
        (torch.full((2, 3, 8, 8), 255.0), r"from 255 to 255; expected \[0,1\]: divide grey"),
        (torch.full((2, 3, 8, 8), -0.5), r"from -0\.5 to -0\.5"),
        (torch.full((2, 3, 8, 8), math.nan), "from nan to nan"),
    ],
)
@pytest.mark.parametrize("text", ["identity", "mask:0.5", "noise:1@0.5"])
def test_images_that_are_not_rgb_in_0_1(x, message, text):
    with pytest.raises(ValueError, match=message):
        parse(text)(x)


def test_images_that_are_no_tensor():
    with pytest.raises(ValueError, match="images are uint8; expected a tensor"):
        unchecked = RandomMask.__call__.__wrapped__  # what a reader meets, without the tests' hook
        unchecked(RandomMask(0.5), np.zeros((2, 3, 8, 8), dtype=np.uint8))


def test_rounding_just_beyond_0_and_1_is_let_through():
    assert RandomMask(0.5)(torch.full((1, 3, 4, 4), 1.00001)).shape == (1, 3, 4, 4)
