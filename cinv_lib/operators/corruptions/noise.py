"""Noise: every pixel and channel on its own."""

from cinv_lib.operators.corruptions.linear import Levels, Number, Picture, Rng


def gaussian_noise(x: Picture, rng: Rng, sigma: Number) -> Levels:
    """x + σ z, z ~ N(0, 1): a sensor in the dark."""
    x = x / 255
    return (x + rng.normal(0, sigma, x.shape)) * 255


def shot_noise(x: Picture, rng: Rng, photons: Number) -> Levels:
    """Poisson: white is `photons` photons on average, and each pixel counts its own."""
    return rng.poisson(x / 255 * photons) / photons * 255


def impulse_noise(x: Picture, rng: Rng, share: Number) -> Levels:
    """Salt and pepper: a share of the values is replaced by black or white, half and half."""
    y = x.astype(float)
    hit = rng.random(x.shape) <= share
    white = rng.random(x.shape) <= 0.5
    y[hit] = 255 * white[hit]
    return y


def speckle_noise(x: Picture, rng: Rng, sigma: Number) -> Levels:
    """x + x σ z: noise as strong as the light."""
    x = x / 255
    return (x + x * rng.normal(0, sigma, x.shape)) * 255
