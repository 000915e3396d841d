"""Blur: each pixel from its neighbours."""

import cv2
import numpy as np
from jaxtyping import Int

from cinv_lib.operators.corruptions.linear import Levels, Number, Picture, Rng, smooth, streak, zoom


def gaussian_blur(x: Picture, rng: Rng, sigma: Number) -> Levels:
    """A Gaussian of σ pixels, cut off at 4σ."""
    return smooth(x / 255, sigma) * 255


def defocus_blur(x: Picture, rng: Rng, radius: Number, edge: Number) -> Levels:
    """A lens out of focus: the mean over a disk; σ `edge` softens its rim."""
    reach = max(8, int(radius))
    offsets = np.arange(-reach, reach + 1)
    disk = (offsets**2 + offsets[:, None] ** 2 <= radius**2).astype(np.float32)
    width = 3 if radius <= 8 else 5
    kernel = cv2.GaussianBlur(disk / disk.sum(), (width, width), edge)
    return cv2.filter2D(x / 255, -1, kernel) * 255


def motion_blur(x: Picture, rng: Rng, radius: int, sigma: Number) -> Levels:
    """A streak towards a random angle within 45 degrees of the x axis, whole grey levels."""
    return np.rint(streak(x, radius, sigma, rng.uniform(-45, 45)))


def zoom_blur(x: Picture, rng: Rng, stop: Number, step: Number) -> Levels:
    """The mean of the picture and of its enlargements by 1, 1 + step, ... below `stop`."""
    x = (x / 255).astype(np.float32)
    factors = np.arange(1, stop, step)
    total = x + sum(zoom(x, float(factor)) for factor in factors)
    return total / (len(factors) + 1) * 255


def glass_blur(x: Picture, rng: Rng, sigma: Number, reach: int, rounds: int) -> Levels:
    """Frosted glass: smoothed, pixels taken from random neighbours, smoothed again.

    Rounds go from the last pixel to the first, and each sets pixel p to its neighbour p + d, with d
    uniform in -reach .. reach-1 both ways. The published code means to swap the two, but numpy
    hands it views, of which the first is overwritten before it is read: so the published
    pictures, and these, have the neighbour copied.
    """
    x = (smooth(x / 255, sigma) * 255).astype(np.uint8)
    height, width = x.shape[:2]
    inner = max(height - 2 * reach, 0), max(width - 2 * reach, 0)
    for _ in range(rounds):
        offsets = rng.integers(-reach, reach, (*inner, 2))
        x = x.reshape(-1, 3)[taken_from(height, width, reach, offsets)].reshape(x.shape)
    return smooth(x / 255, sigma) * 255


def taken_from(
    height: int, width: int, reach: int, offsets: Int[np.ndarray, "h w 2"]
) -> Int[np.ndarray, " pixels"]:
    """Which pixel each pixel shows after one round of glass, both counted along the rows.

    offsets: (dx, dy) of the pixels from (height - reach, width - reach) back to (reach+1, reach+1).

    One pixel after the other would be a slow loop in Python. But a pixel that copies one visited
    before it shows what that one shows, which is a chain of pointers. Following pointers
    of pointers, all at once, halves every chain: a few steps do what the loop does, exactly.
    """
    shown = np.arange(height * width)
    if not offsets.size:
        return shown
    rows = np.arange(height - reach, reach, -1)[:, None]
    columns = np.arange(width - reach, reach, -1)
    pixels = (rows * width + columns).ravel()
    sources = ((rows + offsets[..., 1]) * width + columns + offsets[..., 0]).ravel()
    visited = np.zeros(height * width, dtype=bool)
    visited[pixels] = True
    shown[pixels] = sources
    # later in the picture is earlier in the round; outside the visited part nothing changes
    follows = visited[sources] & (sources > pixels)
    pointer = np.arange(height * width)
    pointer[pixels[follows]] = sources[follows]
    while not np.array_equal(further := pointer[pointer], pointer):
        pointer = further
    return shown[pointer]
