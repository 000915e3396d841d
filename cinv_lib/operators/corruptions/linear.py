"""Gaussian smoothing, zoom and streaks: the linear operations that blur and weather share.

Smoothing and zoom act on rows and columns alike, y = A x Bᵀ. A is what scipy's own routine makes of
the identity matrix, so it is scipy's definition, border rule and all, computed once for each side:
from then on a matrix product, several times as fast as scipy on pictures of 64 pixels.
"""

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Real, UInt8
from scipy import ndimage

Picture = UInt8[np.ndarray, "H W 3"]
Levels = Float[np.ndarray, "H W 3"]  # grey levels, 0 to 255; `corrupt` clips and truncates them
Rng = np.random.Generator
Number = float | int
Field = Float[np.ndarray, "H W *channels"]
Matrix = Float[np.ndarray, "side side"]


def smooth(x: Field, sigma: Number, mode: str = "nearest", truncate: Number = 4) -> Field:
    """Gaussian filter of σ pixels, cut off at `truncate` σ; the default is scikit-image's.

    mode: scipy's name for what lies beyond the border ("nearest", "reflect").
    """
    return separable(x, *(smoother(side, sigma, mode, truncate) for side in x.shape[:2]))


def zoom(x: Field, factor: Number) -> Field:
    """The middle of a picture, enlarged by `factor` >= 1 to the size of the whole, bilinear."""
    return separable(x, *(zoomer(side, factor) for side in x.shape[:2]))


def streak(x: Real[np.ndarray, "H W *channels"], radius: int, sigma: Number, angle: float) -> Field:
    """ImageMagick's motion blur: a half Gaussian of σ pixels towards `angle`, in degrees.

        y(p) = Σ_i w_i x(p + round(i e)),  i = 0 .. 2 radius,  w_i ∝ exp(-i²/2σ²)

    with e the unit vector of `angle` (from the x axis towards the bottom) and the border's pixels
    repeated outside.
    """
    reach = 2 * radius + 1
    i = np.arange(reach)
    weights = np.exp(-(i**2) / (2 * sigma**2))
    weights /= weights.sum()
    # ceil(t - 1/2): halves are rounded down, as in ImageMagick
    down, right = (
        np.ceil(i * part(math.radians(angle)) - 0.5).astype(int) for part in (math.sin, math.cos)
    )
    height, width = x.shape[:2]
    padded = np.pad(x, [(reach, reach)] * 2 + [(0, 0)] * (x.ndim - 2), mode="edge")
    y = np.zeros(x.shape)
    for weight, dy, dx in zip(weights, reach + down, reach + right, strict=True):
        y += weight * padded[dy : dy + height, dx : dx + width]
    return y


def separable(x: Field, rows: Float[np.ndarray, "H H"], columns: Float[np.ndarray, "W W"]) -> Field:
    """rows · x · columnsᵀ in every channel, in the precision of x."""
    rows, columns = rows.astype(x.dtype, copy=False), columns.astype(x.dtype, copy=False)
    if x.ndim == 2:
        return rows @ x @ columns.T
    channels = np.ascontiguousarray(x.transpose(2, 0, 1))  # BLAS takes whole matrices only
    return np.ascontiguousarray((rows @ channels @ columns.T).transpose(1, 2, 0))


@lru_cache(maxsize=64)
def smoother(side: int, sigma: Number, mode: str, truncate: Number) -> Matrix:
    """scipy's Gaussian filter along one side, as a matrix; σ = 0 is the identity."""
    return _kept(ndimage.gaussian_filter(np.eye(side), (sigma, 0), mode=mode, truncate=truncate))


@lru_cache(maxsize=256)
def zoomer(side: int, factor: Number) -> Matrix:
    """scipy's zoom of the middle ceil(side / factor) pixels of a side, cut back to the side."""
    middle = math.ceil(side / factor)
    first = (side - middle) // 2
    enlarged = ndimage.zoom(np.eye(side)[first : first + middle], (factor, 1), order=1)
    cut = (len(enlarged) - side) // 2
    return _kept(enlarged[cut : cut + side])


def _kept(matrix: Matrix) -> Matrix:
    matrix.setflags(write=False)  # the cache hands the same array to every caller
    return matrix
