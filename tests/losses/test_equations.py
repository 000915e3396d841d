"""The losses against open_clip, SimCLR written out slowly, autograd and closed forms."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.loss import ClipLoss

from cinv_lib.losses import equations
from cinv_lib.losses.equations import (
    VARIANTS,
    Loss,
    alignment,
    contrastive,
    decompose,
    pair_weights,
    parse,
    raw_mse,
    similarities,
    uniformity,
)

TAU = 0.1


def pair(n: int = 7, d: int = 5, seed: int = 0, dtype=torch.float64):
    """Embeddings of student and teacher: not normalised, and with a common mean as CLIP's have."""
    generator = torch.Generator().manual_seed(seed)
    S, R = torch.randn(2, n, d, generator=generator, dtype=torch.float64).to(dtype)
    return 3 * S + 1, R / 2 + 1


def unit(rows):
    return rows / rows.pow(2).sum(dim=1, keepdim=True).sqrt()


# ---------------------------------------------------------------- against other people's losses


@pytest.mark.parametrize("tau", [0.05, 0.1, 1.0])
def test_st_is_open_clips_loss_from_image_to_text(tau):
    S, R = pair(8, 6)
    clip = ClipLoss()
    scale = torch.tensor(1 / tau, dtype=torch.float64)
    both = clip(unit(S), unit(R), scale)
    halves = contrastive(S, R, tau), contrastive(R, S, tau)
    torch.testing.assert_close(sum(halves) / 2, both)
    logits, _ = clip.get_logits(unit(S), unit(R), scale)
    torch.testing.assert_close(halves[0], F.cross_entropy(logits, torch.arange(8)))
    assert halves[0] != halves[1]  # so the mean alone would not tell which half is which


def slow_uniformity(S, R, tau, variant):
    """Appendix C as it is printed, one exponential at a time (and SimCLR's 1/2N for "nt")."""
    S, R, n = unit(S).tolist(), unit(R).tolist(), len(S)

    def e(a, b):
        return math.exp(sum(x * y for x, y in zip(a, b, strict=True)) / tau)

    def others(rows, i):
        return sum(e(rows[i], rows[j]) for j in range(n) if j != i)

    def across(a, b, i):
        return sum(e(a[i], b[j]) for j in range(n))

    sums = {
        "st": [across(S, R, i) for i in range(n)],
        "ss": [others(S, i) for i in range(n)],
        "sb": [others(S, i) + across(S, R, i) for i in range(n)],
        "nt": [others(S, i) + across(S, R, i) for i in range(n)]
        + [others(R, i) + across(R, S, i) for i in range(n)],
    }[variant]
    return sum(map(math.log, sums)) / len(sums)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("n, d, tau", [(2, 1, 0.5), (2, 3, 0.1), (5, 2, 1.0), (9, 16, 0.07)])
def test_every_uniformity_written_out(variant, n, d, tau):
    S, R = pair(n, d)
    assert uniformity(S, R, tau, variant).item() == pytest.approx(
        slow_uniformity(S, R, tau, variant)
    )
    expected = -(unit(S) * unit(R)).sum().item() / n / tau + slow_uniformity(S, R, tau, variant)
    assert contrastive(S, R, tau, variant).item() == pytest.approx(expected)


def slow_simclr(S, R, tau):
    """Algorithm 1 of SimCLR (Chen et al. 2020): z_{2k-1}, z_{2k} is a pair, 2N losses, mean."""
    z = torch.stack([S, R], dim=1).flatten(0, 1)
    n2 = len(z)

    def similarity(i, j):
        return torch.dot(z[i], z[j]) / (z[i].norm() * z[j].norm())

    total = 0.0
    for k in range(0, n2, 2):
        for i, j in ((k, k + 1), (k + 1, k)):
            negatives = sum(math.exp(similarity(i, m) / tau) for m in range(n2) if m != i)
            total -= math.log(math.exp(similarity(i, j) / tau) / negatives)
    return total / n2


@pytest.mark.parametrize("n, d", [(1, 4), (2, 2), (4, 16), (11, 3)])
@pytest.mark.parametrize("tau", [0.1, 0.5, 2.0])
def test_nt_is_simclrs_nt_xent(n, d, tau):
    S, R = pair(n, d)
    assert contrastive(S, R, tau, "nt").item() == pytest.approx(slow_simclr(S, R, tau))


def test_the_appendix_prints_nt_twice_too_large():
    S, R = pair()
    printed = alignment(S, R) / TAU + 2 * uniformity(S, R, TAU, "nt")  # 1/N over 2N logarithms
    assert printed.item() > contrastive(S, R, TAU, "nt").item() + 1


def test_alignment_is_half_the_squared_distance_minus_one():
    S, R = pair()
    distance = F.mse_loss(unit(S), unit(R), reduction="sum") / len(S)
    torch.testing.assert_close(alignment(S, R), distance / 2 - 1)
    torch.testing.assert_close(alignment(S, R), -F.cosine_similarity(S, R).mean())
    torch.testing.assert_close(similarities(S, R).diag().mean(), -alignment(S, R))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_raw_mse_is_torchs_mse_of_embeddings_as_they_come(dtype):
    S, R = pair(8, 6, dtype=dtype)
    assert torch.equal(raw_mse(S, R), torch.nn.functional.mse_loss(S, R))
    loss = parse("raw_mse")
    assert torch.equal(loss(S, R), raw_mse(S, R)) and str(loss) == "raw_mse"
    torch.testing.assert_close(raw_mse(5 * S, 5 * R), 25 * raw_mse(S, R))  # lengths count
    # of normalised rows it is Eq. 1, but for its scale and a constant
    torch.testing.assert_close(raw_mse(unit(S), unit(R)), 2 / 6 * (1 + alignment(S, R)))


def test_raw_mse_pulls_towards_the_embedding_and_eq_1_towards_its_direction():
    S, R = pair()
    S.requires_grad_()
    (raw,) = torch.autograd.grad(raw_mse(S, R), S)
    torch.testing.assert_close(raw, 2 * (S - R).detach() / S.numel())
    (pull,) = torch.autograd.grad(alignment(S, R), S)
    torch.testing.assert_close((pull * S).sum(1), torch.zeros(7, dtype=S.dtype))  # at right angles
    assert ((raw * S).sum(1).abs() > 1e-3).all()


# ---------------------------------------------------------------- closed forms


@pytest.mark.parametrize("n", [2, 5])
@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_values_at_perfect_recovery_of_orthogonal_embeddings(n, tau):
    R = 2 * torch.eye(n, dtype=torch.float64)
    e = math.exp(1 / tau)
    expected = {
        "st": math.log(e + n - 1),
        "ss": math.log(n - 1),
        "sb": math.log(e + 2 * n - 2),
        "nt": math.log(e + 2 * n - 2),
    }
    assert alignment(R, R).item() == pytest.approx(-1)
    for variant, value in expected.items():
        assert uniformity(R, R, tau, variant).item() == pytest.approx(value)


def test_values_where_all_embeddings_are_one():
    S = torch.ones(6, 3)
    weights = pair_weights(S, S, TAU)
    torch.testing.assert_close(weights, torch.full((6, 6), 1 / 6))
    assert contrastive(S, S, TAU).item() == pytest.approx(math.log(6), rel=1e-5)


# ---------------------------------------------------------------- the decomposition, the gradient


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 6), st.floats(0.03, 3), st.integers(0, 99))
def test_pull_and_push_sum_to_the_loss(n, d, tau, seed):
    S, R = pair(n, d, seed)
    pull, push = decompose(S, R, tau)
    loss = contrastive(S, R, tau)
    torch.testing.assert_close(pull + push, loss, rtol=1e-12, atol=1e-12)
    entropy = F.cross_entropy(unit(S) @ unit(R).T / tau, torch.arange(n))  # Eq. 2
    torch.testing.assert_close(loss, entropy, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(pull, alignment(S, R) / tau)
    torch.testing.assert_close(
        pair_weights(S, R, tau).sum(dim=1), torch.ones(n, dtype=torch.float64)
    )


@pytest.mark.parametrize("tau", [0.1, 0.7])
def test_gradient_of_section_3_has_a_plus(tau):
    S, R = pair()
    S.requires_grad_()
    n = len(S)

    def gradient(value):
        return torch.autograd.grad(value, S, retain_graph=True)[0]

    K, w = similarities(S, R), pair_weights(S, R, tau).detach()
    push = sum(w[i, j] * gradient(K[i, j]) for i in range(n) for j in range(n)) / (tau * n)
    pull = gradient(alignment(S, R)) / tau
    loss = gradient(contrastive(S, R, tau))
    torch.testing.assert_close(loss, pull + push, rtol=1e-10, atol=1e-12)
    assert (loss - (-pull + push)).abs().max() > 0.01  # the sign that is printed


def test_weights_are_those_of_the_formula_and_sharpen_as_tau_falls():
    S, R = pair()
    K = unit(S) @ unit(R).T
    expected = torch.exp(K / TAU - torch.log(torch.exp(K / TAU).sum(dim=1, keepdim=True)))
    torch.testing.assert_close(pair_weights(S, R, TAU), expected)
    largest = [pair_weights(S, R, tau).max(dim=1).values.mean() for tau in (2.0, 0.5, 0.1, 0.02)]
    assert largest == sorted(largest)


@pytest.mark.parametrize("text", ["st:0.2", "ss:0.2", "sb:0.2", "nt:0.2", "mse"])
@pytest.mark.parametrize("centred", [False, True])
def test_gradcheck(text, centred):
    loss = parse(text + ",centred" * centred)
    S, R = pair(4, 3)
    assert torch.autograd.gradcheck(loss, (S.requires_grad_(), R.requires_grad_()))
    assert torch.autograd.gradcheck(raw_mse, (S, R))


# ---------------------------------------------------------------- weight and centring


@pytest.mark.parametrize("variant", VARIANTS)
def test_weight_is_on_the_push(variant):
    S, R = pair()
    pull, push = alignment(S, R) / TAU, uniformity(S, R, TAU, variant)
    for weight in (0.0, 0.5, 2.0):
        torch.testing.assert_close(contrastive(S, R, TAU, variant, weight), pull + weight * push)
    assert not torch.isclose(contrastive(S, R, TAU, variant, 0.5), contrastive(S, R, TAU, variant))


@pytest.mark.parametrize("variant", VARIANTS)
def test_centring_takes_the_mean_of_the_normalised_teacher_out(variant):
    S, R = pair()
    centre = unit(R).mean(dim=0)
    centred = unit(R) - centre
    torch.testing.assert_close(
        contrastive(S, R, TAU, variant, centred=True), contrastive(S, centred, TAU, variant)
    )
    torch.testing.assert_close(alignment(S, R, centred=True), alignment(S, centred))
    assert not torch.isclose(
        contrastive(S, R, TAU, variant, centred=True), contrastive(S, R, TAU, variant)
    )


def test_centring_changes_nothing_where_the_mean_is_zero():
    S, R = pair()
    R = torch.cat([unit(R), -unit(R)])
    S = torch.cat([S, S + 1])
    torch.testing.assert_close(contrastive(S, R, TAU, centred=True), contrastive(S, R, TAU))


def test_translating_the_teacher_moves_the_pull_and_the_push_alike():
    """Why subtracting a mean without normalising again would do nothing to Eq. 2, and much to 1."""
    S, R = map(unit, pair())
    labels = torch.arange(len(S))
    shift = torch.tensor([3.0, -1.0, 0.5, 2.0, 0.0], dtype=torch.float64)
    entropy = F.cross_entropy(S @ R.T / TAU, labels)
    torch.testing.assert_close(F.cross_entropy(S @ (R + shift).T / TAU, labels), entropy)
    torch.testing.assert_close(entropy, contrastive(S, R, TAU))
    pull, moved = (S * R).sum(dim=1).mean(), (S * (R + shift)).sum(dim=1).mean()
    assert (pull - moved).abs() > 0.1
    # once rows are normalised again, the push notices too
    assert (contrastive(S, R + shift, TAU) - entropy).abs() > 0.1


@pytest.mark.parametrize("text", ["st:0.1", "ss:0.1", "sb:0.1", "nt:0.1", "mse", "st:0.1,centred"])
def test_only_directions_count(text):
    loss = parse(text)
    S, R = pair()
    value = loss(S, R)
    torch.testing.assert_close(loss(5 * S, R / 7), value)
    scales = torch.arange(1.0, 8.0, dtype=torch.float64)[:, None]
    torch.testing.assert_close(loss(scales * S, R * scales**2), value)
    Q = torch.linalg.qr(pair(5, 5)[0]).Q
    torch.testing.assert_close(loss(S @ Q, R @ Q), value)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loss(S[order], R[order]), value)


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_see_what_they_should(variant):
    """ "ss" does not see the teacher; "nt" alone is symmetric; the others are neither."""
    S, R = pair()
    other = pair(seed=1)[1]
    sees_teacher = not torch.isclose(
        uniformity(S, R, TAU, variant), uniformity(S, other, TAU, variant)
    )
    assert sees_teacher == (variant != "ss")
    symmetric = torch.isclose(uniformity(S, R, TAU, variant), uniformity(R, S, TAU, variant))
    assert symmetric == (variant == "nt")


# ---------------------------------------------------------------- precision


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_embeddings_are_compared_in_float32(dtype):
    S, R = pair(dtype=dtype)
    for loss in map(parse, ("st:0.1", "nt:0.1", "mse", "raw_mse")):
        with torch.autocast("cpu", torch.bfloat16):
            value = loss(S, R)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value.double(), loss(S.double(), R.double()), rtol=1e-5, atol=0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_small_tau_does_not_overflow(variant):
    S, R = pair(dtype=torch.float32)
    S.requires_grad_()
    loss = contrastive(S, R, 1e-3, variant)
    loss.backward()
    assert loss.isfinite() and S.grad.isfinite().all()


# ---------------------------------------------------------------- Loss and its text


@pytest.mark.parametrize("variant", VARIANTS)
def test_loss_is_the_function_of_that_name(variant):
    S, R = pair()
    loss = Loss(variant, tau=0.3, weight=0.5, centred=True)
    assert torch.equal(loss(S, R), contrastive(S, R, 0.3, variant, 0.5, True))
    assert torch.equal(Loss("mse")(S, R), alignment(S, R))
    assert torch.equal(Loss("mse", centred=True)(S, R), alignment(S, R, centred=True))
    assert Loss("st") == Loss("st", tau=0.1, weight=1, centred=False)


@pytest.mark.parametrize(
    "text", ["mse", "mse,centred", "st:0.1", "nt:0.5", "ss:1", "st:0.1,weight=0.5", "sb:2,centred"]
)
def test_str_and_parse_are_inverse(text):
    assert str(parse(text)) == text


@settings(deadline=None)
@given(
    st.sampled_from(sorted(VARIANTS)),
    st.floats(1e-9, 1e9),
    st.floats(0, 1e300),
    st.booleans(),
)
def test_parse_and_str_are_inverse(name, tau, weight, centred):
    loss = Loss(name, tau, weight, centred)
    assert parse(str(loss)) == loss


def test_parse_fills_in_the_papers_tau():
    assert parse("st") == Loss("st", 0.1) and parse(" nt:1 ") == Loss("nt", 1.0)
    assert parse("st:0.1,centred,weight=0.5") == Loss("st", 0.1, 0.5, True)


@pytest.mark.parametrize(
    "text, message",
    [
        ("l2", "unknown loss 'l2'; known are st, ss, sb, nt, mse, raw_mse"),
        ("", "unknown loss ''"),
        ("st:0", "tau is 0.0; expected a finite number above 0"),
        ("st:-1", "tau is -1.0"),
        ("st:nan", "tau is nan"),
        ("st:inf", "tau is inf"),
        ("st:", "'' in loss 'st:' is not a number"),
        ("st:cold", "'cold' in loss 'st:cold' is not a number"),
        ("st:0.1,weight=-1", "weight of the uniformity is -1.0; expected 0 or more"),
        ("st:0.1,weight=nan", "weight of the uniformity is nan"),
        ("st:0.1,weight=x", "'x' in loss"),
        ("st:0.1,weight", "unknown option 'weight' in loss 'st:0.1,weight'"),
        ("st:0.1,centered", "unknown option 'centered'"),
        ("mse:0.3", "loss 'mse' with tau 0.3 and weight 1.0; it has neither"),
        ("mse,weight=0.5", "it has neither"),
        ("raw_mse:0.3", "loss 'raw_mse' with tau 0.3 and weight 1.0; it has neither"),
        ("raw_mse,weight=0.5", "it has neither"),
        ("raw_mse,centred", "loss 'raw_mse' is never centred; expected it alone, or 'mse,c"),
    ],
)
def test_losses_that_are_none(text, message):
    with pytest.raises(ValueError) as error:
        parse(text)
    assert message in str(error.value)


def test_bad_arguments():
    S, R = pair()
    with pytest.raises(ValueError, match="unknown loss 'xx'"):
        uniformity(S, R, TAU, "xx")
    for tau in (0.0, -0.1, math.nan):
        for function in (uniformity, decompose, pair_weights, contrastive):
            with pytest.raises(ValueError, match="temperature tau is"):
                function(S, R, tau)
    with pytest.raises(ValueError, match="expected N >= 2"):
        uniformity(S[:1], R[:1], TAU, "ss")


@pytest.mark.parametrize(
    "S, R, message",
    [
        (torch.ones(3, 4), torch.ones(3, 5), r"shapes \(3, 4\) and \(3, 5\)"),
        (torch.ones(3, 4), torch.ones(2, 4), r"expected \(N, d\) twice"),
        (torch.ones(4), torch.ones(4), r"shapes \(4,\)"),
        (torch.ones(0, 4), torch.ones(0, 4), r"shapes \(0, 4\)"),
        (torch.ones(2, 4, dtype=torch.int64), torch.ones(2, 4), r"are torch\.int64 and"),
    ],
)
def test_embeddings_that_do_not_fit(S, R, message):
    with pytest.raises(ValueError, match=message):
        equations._comparable(S, R)  # the annotations of the public functions would complain first
    with pytest.raises(ValueError, match=message):
        equations._normalised(S, R)


def test_a_loss_passes_through_parse_and_its_numbers_are_plain():
    loss = equations.Loss("st", tau=np.float32(0.1))
    assert (
        equations.parse(loss) is loss
        and str(loss) == "st:0.1"
        and loss == equations.parse("st:.10")
    )
    for fields in ({"tau": "0.1"}, {"tau": None}, {"weight": True}):
        with pytest.raises(ValueError, match="expected numbers, as"):
            equations.Loss("st", **fields)


@pytest.mark.parametrize("strange", [0.1, None, b"st:0.1"])
def test_what_is_neither_a_text_nor_a_loss_is_refused(strange):
    with pytest.raises((ValueError, TypeError)):  # the latter: the check of types in tests
        equations.parse(strange)
