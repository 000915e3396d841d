"""Clouds and ice, drawn from random numbers.

The published frost is cut out of five photographs of frozen windows that are not ours to pass on.
So the ice here is drawn: ferns of ice over a cloudy pane, each pane of the mean colour and contrast
that one of those photographs has. Frost here is as bright as the published frost, not the same.
"""

import math
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from cinv_lib.operators.corruptions.linear import Number, Rng

PANE = 512  # pixels; the photographs have 315 to 600
# Mean red, green, blue and standard deviation, in grey levels: teal, white twice (two of the
# published files are one photograph), silver, slate.
PANES = (
    ((78, 149, 166), 18), ((201, 205, 214), 22), ((201, 205, 214), 22), ((138, 153, 165), 29),
    ((112, 123, 135), 43),
)  # fmt: skip


def plasma(side: int, decay: Number, rng: Rng) -> Float[np.ndarray, "side side"]:
    """Clouds between 0 and 1, by the diamond-square algorithm on a torus.

    side: a power of two. Each round halves the mesh: new points are the mean of their four
    neighbours plus uniform noise, whose width falls by decay² from one round to the next.
    Raises ValueError for another side.
    """
    if side < 2 or side & (side - 1):
        raise ValueError(f"plasma of {side} pixels; expected a power of two, 2 or more")
    z = np.zeros((side, side))
    step, width = side, 100.0

    def mean_and_noise(a, b, c, d):
        return (a + b + c + d) / 4 + width * rng.uniform(-width, width, a.shape)

    while step >= 2:
        half = step // 2
        corner = z[::step, ::step]
        right, below = np.roll(corner, -1, axis=1), np.roll(corner, -1, axis=0)
        z[half::step, half::step] = mean_and_noise(corner, right, below, np.roll(below, -1, axis=1))
        middle = z[half::step, half::step]
        z[::step, half::step] = mean_and_noise(corner, right, middle, np.roll(middle, 1, axis=0))
        z[half::step, ::step] = mean_and_noise(corner, below, middle, np.roll(middle, 1, axis=1))
        step, width = half, width / decay
    z -= z.min()
    return z / z.max()


def frozen_window(height: int, width: int, scale: Number, rng: Rng) -> UInt8[np.ndarray, "H W 3"]:
    """A random piece of a random pane, the pane first shrunk to `scale`."""
    number = int(rng.integers(len(PANES)))
    sheet = _pane_of(number, max(round(PANE * scale), height + 1, width + 1))
    top, left = (int(rng.integers(len(sheet) - side)) for side in (height, width))
    return sheet[top : top + height, left : left + width]


@lru_cache(maxsize=2 * len(PANES))
def _pane_of(number: int, side: int) -> UInt8[np.ndarray, "side side 3"]:
    return cv2.resize(pane(number), (side, side))


@lru_cache
def pane(number: int) -> UInt8[np.ndarray, "side side 3"]:
    """Pane 0 to 4, 512 pixels wide, always the same."""
    colour, contrast = PANES[number]
    rng = np.random.default_rng([number])
    relief = _standard(plasma(PANE, 1.6, rng)) + _standard(_ferns(rng))
    levels = np.array(colour) + contrast * _standard(relief)[..., None]
    return np.clip(levels, 0, 255).astype(np.uint8)


def _ferns(rng: Rng) -> Float[np.ndarray, "side side"]:
    """Stems in all directions, with barbs at 60 degrees that shorten towards the tip."""
    canvas = np.zeros((PANE, PANE), dtype=np.uint8)

    def line(start, angle, length, light):
        end = start + length * np.array([math.cos(angle), math.sin(angle)])
        ends = (tuple(int(v) for v in np.rint(point * 16)) for point in (start, end))
        cv2.line(canvas, *ends, light, 1, cv2.LINE_AA, shift=4)  # in sixteenths of a pixel

    for _ in range(260):
        root, angle = rng.uniform(0, PANE, 2), rng.uniform(0, 2 * math.pi)
        length, light = rng.uniform(20, 110), rng.uniform(90, 255)
        along = np.array([math.cos(angle), math.sin(angle)])
        line(root, angle, length, light)
        for at in np.arange(3, length, 5):
            for side in (-1, 1):
                barb = 0.45 * (length - at) * rng.uniform(0.5, 1)
                line(
                    root + at * along, angle + side * math.pi / 3, barb, light * rng.uniform(0.4, 1)
                )
    return canvas.astype(float)


def _standard(field: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    return (field - field.mean()) / field.std()
