"""Weather: something between the picture and the eye."""

import cv2
import numpy as np
from jaxtyping import Float
from skimage import color

from cinv_lib.operators.corruptions.linear import Levels, Number, Picture, Rng, smooth, streak, zoom
from cinv_lib.operators.corruptions.textures import frozen_window, plasma

WATER = np.array([175, 238, 238], dtype=np.float32) / 255  # pale turquoise
MUD = np.array([63, 42, 20]) / 255  # brown


def snow(
    x: Picture,
    rng: Rng,
    mean: Number,
    spread: Number,
    size: Number,
    threshold: Number,
    radius: int,
    sigma: Number,
    kept: Number,
) -> Levels:
    """Flakes in streaks, once as they are and once turned by 180 degrees, over a pale scene.

    Flakes: N(mean, spread²) in each pixel, enlarged by `size`, black below the threshold, a streak
    of (radius, σ). A share `kept` of the picture stays; the rest is whitened.
    """
    x = x.astype(np.float32) / 255
    flakes = zoom(rng.normal(mean, spread, x.shape[:2]), size)
    flakes[flakes < threshold] = 0
    # the published code hands its flakes to ImageMagick and back as 8-bit pictures
    flakes = (np.clip(flakes, 0, 1) * 255).astype(np.uint8)
    flakes = np.rint(streak(flakes, radius, sigma, rng.uniform(-135, -45)))[..., None] / 255
    grey = cv2.cvtColor(x, cv2.COLOR_RGB2GRAY)[..., None]
    pale = kept * x + (1 - kept) * np.maximum(x, grey * 1.5 + 0.5)
    return (pale + flakes + np.rot90(flakes, k=2)) * 255


def frost(x: Picture, rng: Rng, kept: Number, ice: Number, scale: Number) -> Levels:
    """kept · x + ice · window, a random piece of a frozen window, drawn at `scale`."""
    return kept * x + ice * frozen_window(*x.shape[:2], scale, rng)


def fog(x: Picture, rng: Rng, amount: Number, decay: Number) -> Levels:
    """x + amount · clouds, scaled back by max / (max + amount); a large decay is even fog."""
    x = x / 255
    height, width = x.shape[:2]
    side = 1 << (max(height, width) - 1).bit_length()
    brightest = x.max()
    foggy = x + amount * plasma(side, decay, rng)[:height, :width, None]
    return foggy * brightest / (brightest + amount) * 255


def brightness(x: Picture, rng: Rng, added: Number) -> Levels:
    """The V of HSV, and no more than 1 of it."""
    hsv = color.rgb2hsv(x / 255)
    hsv[..., 2] = np.clip(hsv[..., 2] + added, 0, 1)
    return color.hsv2rgb(hsv) * 255


def spatter(
    x: Picture,
    rng: Rng,
    mean: Number,
    spread: Number,
    sigma: Number,
    threshold: Number,
    amount: Number,
    mud: int,
) -> Levels:
    """Drops on the lens: where noise N(mean, spread²), smoothed by σ, exceeds the threshold.

    mud: 0 for water, which adds `amount` of turquoise where a drop is embossed; 1 for mud, opaque
    brown inside drops that are smoothed by `amount` pixels.
    """
    x = x.astype(np.float32) / 255
    liquid = smooth(rng.normal(mean, spread, x.shape[:2]), sigma)
    liquid[liquid < threshold] = 0
    if mud:
        cover = smooth((liquid > threshold).astype(np.float32), amount)[..., None]
        cover[cover < 0.8] = 0
        return (x * (1 - cover) + MUD * cover) * 255
    return (np.minimum(x + _drops(liquid)[..., None] * amount * WATER, 1)) * 255


def _drops(liquid: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """How much water stands where, 0 to 1: depth times a relief lit from one corner."""
    depth = (liquid * 255).astype(np.uint8)
    inside = cv2.distanceTransform(255 - cv2.Canny(depth, 50, 150), cv2.DIST_L2, 5)
    inside = cv2.blur(np.minimum(inside, 20), (3, 3)).astype(np.uint8)
    light = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    relief = cv2.filter2D(cv2.equalizeHist(inside), cv2.CV_8U, light)
    water = depth * cv2.blur(relief, (3, 3)).astype(np.float32)
    peak = water.max()
    return water / peak if peak else water  # no drop, no water: the published code divides 0 by 0
