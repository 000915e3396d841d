"""Digital: what cameras and files do to a picture."""

from io import BytesIO

import cv2
import numpy as np
from PIL import Image
from scipy import ndimage
from skimage import color

from cinv_lib.operators.corruptions.linear import Levels, Number, Picture, Rng, smooth


def contrast(x: Picture, rng: Rng, factor: Number) -> Levels:
    """Towards the mean colour of the picture: what differs from it is multiplied by `factor`."""
    x = x / 255
    mean = x.mean(axis=(0, 1), keepdims=True)
    return ((x - mean) * factor + mean) * 255


def saturate(x: Picture, rng: Rng, factor: Number, added: Number) -> Levels:
    """The S of HSV becomes factor · S + added, within 0 and 1."""
    hsv = color.rgb2hsv(x / 255)
    hsv[..., 1] = np.clip(hsv[..., 1] * factor + added, 0, 1)
    return color.hsv2rgb(hsv) * 255


def elastic_transform(
    x: Picture, rng: Rng, strength: Number, sigma: Number, tilt: Number
) -> Levels:
    """A random affine map, then every pixel moved by a smooth random field.

    tilt: how far three corners of a square in the middle move at most, in pixels. strength, sigma:
    the field is uniform noise in -1 .. 1, smoothed by σ and times strength.
    """
    x = x.astype(np.float32) / 255
    height, width = x.shape[:2]
    centre = np.array([width, height], dtype=np.float32) // 2
    arm = min(height, width) // 3
    corners = centre + arm * np.array([[1, 1], [1, -1], [-1, -1]], dtype=np.float32)
    moved = corners + rng.uniform(-tilt, tilt, corners.shape).astype(np.float32)
    affine = cv2.getAffineTransform(corners, moved)
    x = cv2.warpAffine(x, affine, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    dx, dy = (
        smooth(rng.uniform(-1, 1, (height, width)), sigma, "reflect", 3) * strength
        for _ in range(2)
    )
    rows, columns = np.indices((height, width))
    places = rows + dy.astype(np.float32), columns + dx.astype(np.float32)
    channels = cv2.split(x)
    bent = [ndimage.map_coordinates(c, places, order=1, mode="reflect") for c in channels]
    return np.stack(bent, axis=-1) * 255


def pixelate(x: Picture, rng: Rng, factor: Number) -> Picture:
    """Shrunk to `factor` of its sides and enlarged again, both by a box filter."""
    height, width = x.shape[:2]
    small = Image.fromarray(x).resize((int(width * factor), int(height * factor)), Image.BOX)
    return np.array(small.resize((width, height), Image.BOX))


def jpeg_compression(x: Picture, rng: Rng, quality: int) -> Picture:
    """Saved as JPEG at this quality, and read."""
    file = BytesIO()
    Image.fromarray(x).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file))
