"""Non-local means and PSNR against scikit-image; the noise's σ against noise whose σ is known."""

import doctest

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from skimage.restoration import denoise_nl_means

from cinv_lib.operators.inverse import nonlocal_means
from cinv_lib.operators.inverse.nonlocal_means import (
    estimate_sigma,
    high_pass,
    non_local_means,
    psnr,
)


@pytest.fixture
def smooth():
    """Three pictures (3, 3, 64, 48) in [0,1] of slow waves, with an edge down the middle."""
    row, column = torch.meshgrid(torch.arange(64) / 64, torch.arange(48) / 48, indexing="ij")
    phase = torch.arange(9).view(3, 3, 1, 1)
    return 0.5 + 0.3 * torch.sin(5 * row + phase) * torch.cos(4 * column) + 0.1 * (column > 0.5)


def noisy(x, sigma, seed=0):
    z = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    return x + torch.as_tensor(sigma).view(-1, 1, 1, 1) * z


@pytest.mark.parametrize("sigma", [0.3, None])
def test_each_picture_is_what_scikit_image_makes_of_it(smooth, sigma):
    y = noisy(smooth, torch.tensor([0.1, 0.3, 0.5]))
    made = non_local_means(y, sigma)
    for i, picture in enumerate(y):
        expected = denoise_nl_means(
            picture.permute(1, 2, 0).numpy(),
            sigma=estimate_sigma(y)[i].item() if sigma is None else sigma,
            fast_mode=True,
            channel_axis=-1,
        )  # its own defaults: the authors'
        np.testing.assert_array_equal(made[i].permute(1, 2, 0).numpy(), expected)


def test_its_settings_arrive(smooth):
    y = noisy(smooth[:1], 0.2)
    expected = denoise_nl_means(y[0].numpy(), 5, 4, 0.3, True, 0.2, channel_axis=0)
    np.testing.assert_allclose(
        non_local_means(y, 0.2, h=0.3, patch=5, distance=4)[0], expected, atol=1e-6
    )


def test_nothing_is_clipped_and_the_input_is_kept(smooth):
    y = 3 * smooth - 1
    before = y.clone()
    made = non_local_means(y, 0.0, h=0.01)
    assert made.min() < 0 and made.max() > 1
    assert torch.equal(y, before)
    assert non_local_means(y[:0], 0.1).shape == y[:0].shape


@pytest.mark.parametrize("sigma", [0.1, 0.3])
def test_denoised_is_nearer_to_the_picture(smooth, sigma):
    y = noisy(smooth, sigma)
    for cleaned in (non_local_means(y), non_local_means(y, sigma)):
        assert (psnr(cleaned, smooth) > psnr(y, smooth) + 6).all()


def test_sigma_is_found_within_a_tenth(smooth):
    sigmas = torch.tensor([0.1, 0.3, 0.5])
    for seed in range(3):
        assert ((estimate_sigma(noisy(smooth, sigmas, seed)) / sigmas - 1).abs() < 0.1).all()


def test_sigma_is_that_of_the_noise_alone(smooth):
    assert (estimate_sigma(smooth) < 2e-3).all()
    noise = noisy(torch.zeros_like(smooth), 0.2)
    torch.testing.assert_close(estimate_sigma(3 * noise), 3 * estimate_sigma(noise))
    by_channel = torch.stack([estimate_sigma(noise[:, [c]]) for c in range(3)]).mean(dim=0)
    torch.testing.assert_close(estimate_sigma(noise), by_channel)


def test_sigma_of_clipped_noise_is_too_small(smooth):
    y = noisy(smooth, 0.5)
    ratio = estimate_sigma(y.clamp(0, 1)) / estimate_sigma(y)
    assert ((ratio > 0.5) & (ratio < 0.8)).all()


def test_the_filter_is_that_of_daubechies():
    """These five equations have db2's high pass as their solution, up to order and sign."""
    taps = high_pass(torch.empty(0, dtype=torch.float64))
    place = torch.arange(4, dtype=torch.float64)
    zero = torch.tensor(0.0, dtype=torch.float64)
    torch.testing.assert_close(taps.sum(), zero)
    torch.testing.assert_close((taps * place).sum(), zero)
    torch.testing.assert_close(taps.square().sum(), zero + 1)
    torch.testing.assert_close((taps[:2] * taps[2:]).sum(), zero)
    assert (taps * place**2).sum().abs() > 0.1


def test_sigma_is_near_that_of_scikit_image(smooth):
    pytest.importorskip("pywt", reason="scikit-image's estimate needs PyWavelets")
    from skimage.restoration import estimate_sigma as theirs

    y = noisy(smooth, torch.tensor([0.1, 0.3, 0.5]))
    expected = [theirs(one.numpy(), channel_axis=0, average_sigmas=True) for one in y]
    torch.testing.assert_close(estimate_sigma(y), torch.tensor(expected).float(), rtol=0.05, atol=0)


def test_psnr_is_that_of_scikit_image(smooth):
    y = noisy(smooth, torch.tensor([0.05, 0.2, 0.5]))
    expected = [
        peak_signal_noise_ratio(a.numpy(), b.numpy(), data_range=1)
        for a, b in zip(smooth, y, strict=True)
    ]
    np.testing.assert_allclose(psnr(smooth, y), expected, rtol=1e-5)


def test_psnr_of_a_constant_difference(smooth):
    torch.testing.assert_close(
        psnr(smooth, smooth + 0.01), torch.full((3,), 40.0), atol=1e-3, rtol=0
    )
    assert (psnr(smooth, smooth) == torch.inf).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sigma": -0.1}, "σ is -0.1"),
        ({"sigma": float("nan")}, "σ is nan"),
        ({"h": 0.0}, "h 0.0"),
        ({"patch": 0}, "patch 0"),
        ({"distance": 0}, "distance 0"),
    ],
)
def test_bad_settings_are_named(smooth, arguments, message):
    with pytest.raises(ValueError, match=message):
        non_local_means(smooth, **arguments)


def test_bad_pictures_are_named(smooth):
    broken = smooth.clone()
    broken[0, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="NaN or infinite"):
        non_local_means(broken, 0.1)
    with pytest.raises(ValueError, match="4 px or more"):
        estimate_sigma(smooth[..., :3])


def test_examples():
    result = doctest.testmod(nonlocal_means)
    assert result.attempted and not result.failed
