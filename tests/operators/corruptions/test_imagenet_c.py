"""The common corruptions: another package's pictures, loops in the published words, closed forms.

Loops and package draw from numpy's old stream, pixel by pixel; `Legacy` draws the same numbers.
"""

import doctest
import inspect
import io

import cv2
import numpy as np
import pytest
import torch
from oracles import corruptions as oracle
from PIL import Image
from scipy import ndimage
from skimage.filters import gaussian

from cinv_lib import paper
from cinv_lib.operators import corruptions
from cinv_lib.operators.corruptions import (
    blur,
    imagenet_c,
    linear,
    published,
    textures,
    weather,
)
from cinv_lib.operators.corruptions.imagenet_c import EXTRA, FAMILIES, NAMES, corrupt, corrupt_set
from cinv_lib.operators.corruptions.published import SIDES, TABLE, parameters

SEVERITIES = range(1, 6)
PICTURES = oracle.pictures()
SMALL = PICTURES[64]
DETERMINISTIC = {
    "defocus_blur", "zoom_blur", "gaussian_blur", "brightness", "contrast", "pixelate",
    "jpeg_compression", "saturate",
}  # fmt: skip

every_type = pytest.mark.parametrize("name", NAMES)


class Legacy(np.random.Generator):
    """A Generator in name, numpy's old RandomState in what it draws."""

    def __init__(self, seed: int):
        super().__init__(np.random.MT19937(seed))
        self.old = np.random.RandomState(seed)

    def __getattribute__(self, method):
        renamed = {"integers": "randint", "random": "random_sample"}
        if method in {"normal", "uniform", "poisson", *renamed}:
            return getattr(object.__getattribute__(self, "old"), renamed.get(method, method))
        return object.__getattribute__(self, method)


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def grey(level: int, side: int = 64) -> np.ndarray:
    return np.full((side, side, 3), level, dtype=np.uint8)


def distance(a, b) -> np.ndarray:
    return np.abs(a.astype(int) - b.astype(int))


def finished(y) -> np.ndarray:
    return np.clip(y, 0, 255).astype(np.uint8)


# ------------------------------------------------------------------------- another package


def ours(side: int, name: str, severity: int) -> np.ndarray:
    seed = oracle.seed_of(name, severity)
    draws = np.random.default_rng(seed) if name == "impulse_noise" else Legacy(seed)
    return corrupt(PICTURES[side], name, severity, draws, side=224)


def assert_within_one_level(y, theirs, name):
    gap = distance(y, theirs)
    assert gap.max() <= 1
    # motion blur: published in whole grey levels, rounded, where the package cuts them off
    assert name == "motion_blur" or (gap > 0).mean() < 0.01


@pytest.mark.parametrize("side", PICTURES)
@pytest.mark.parametrize("name", oracle.FAITHFUL)
def test_is_within_one_grey_level_of_imagecorruptions(name, side):
    changes = np.load(oracle.FILE)[str(side)][oracle.FAITHFUL.index(name)]
    for severity, change in zip(SEVERITIES, changes, strict=True):
        theirs = oracle.kept(PICTURES[side], severity) + change  # modulo 256
        assert theirs.dtype == np.uint8
        assert_within_one_level(oracle.kept(ours(side, name, severity), severity), theirs, name)


@pytest.mark.parametrize("name", oracle.FAITHFUL)
def test_is_within_one_grey_level_of_imagecorruptions_in_every_pixel(name):
    """The same on whole pictures, where the package is installed."""
    pytest.importorskip("imagecorruptions", reason="tests/oracles/corruptions.py says how")
    for severity in SEVERITIES:
        theirs = oracle.published(SMALL, name, severity)
        assert_within_one_level(ours(64, name, severity), theirs, name)


# ------------------------------------------------------- the published words, as slow loops


def glass_by_loop(x, old, sigma, reach, rounds):
    x = (gaussian(x / 255, sigma=sigma, channel_axis=-1) * 255).astype(np.uint8)
    height, width = x.shape[:2]
    for _ in range(rounds):
        for h in range(height - reach, reach, -1):
            for w in range(width - reach, reach, -1):
                dx, dy = old.randint(-reach, reach, size=2)
                x[h, w] = x[h + dy, w + dx]
    return finished(gaussian(x / 255, sigma=sigma, channel_axis=-1) * 255)


@pytest.mark.parametrize("side", [64, 224])
@pytest.mark.parametrize("severity", SEVERITIES)
def test_glass_is_the_loop_over_pixels(side, severity):
    row = parameters("glass_blur", side)[severity - 1]
    picture = SMALL[:, :50]
    y = finished(blur.glass_blur(picture, Legacy(3), **row))
    slow = glass_by_loop(picture, np.random.RandomState(3), **row)
    # the smoothing sums in another order, so a level that is nearly whole may be cut the other way
    assert distance(y, slow).max() <= 1 and (y != slow).mean() < 0.01


def test_numpy_copies_where_the_published_glass_means_to_swap():
    x = SMALL.copy()
    x[0, 0], x[1, 1] = x[1, 1], x[0, 0]
    assert (x[0, 0] == SMALL[1, 1]).all() and (x[1, 1] == SMALL[1, 1]).all()
    assert (SMALL[0, 0] != SMALL[1, 1]).any()


@pytest.mark.parametrize("height, width, reach", [(9, 7, 1), (20, 31, 4), (8, 8, 3), (6, 6, 3)])
def test_pointers_end_where_the_loop_ends(height, width, reach):
    for seed in range(20):
        inner = (height - 2 * reach, width - 2 * reach, 2)
        offsets = seeded(seed).integers(-reach, reach, inner)
        x = np.arange(height * width).reshape(height, width)
        for i, h in enumerate(range(height - reach, reach, -1)):
            for j, w in enumerate(range(width - reach, reach, -1)):
                dx, dy = offsets[i, j]
                x[h, w] = x[h + dy, w + dx]
        assert (blur.taken_from(height, width, reach, offsets) == x.ravel()).all()


def streak_by_loop(x, radius, sigma, angle):
    """ImageMagick's MotionBlurImage, a pixel at a time."""
    width = 2 * radius + 1
    kernel = [np.exp(-i * i / (2 * sigma * sigma)) for i in range(width)]
    px, py = width * np.sin(np.deg2rad(angle)), width * np.cos(np.deg2rad(angle))
    y = np.zeros(x.shape)
    for i, weight in enumerate(kernel):
        right = int(np.ceil(i * py / np.hypot(px, py) - 0.5))
        down = int(np.ceil(i * px / np.hypot(px, py) - 0.5))
        for h in range(len(x)):
            row = x[min(max(h + down, 0), len(x) - 1)]
            y[h] += (
                weight / sum(kernel) * row[np.clip(np.arange(len(row)) + right, 0, len(row) - 1)]
            )
    return y


@pytest.mark.parametrize("angle", [-135.0, -80.0, -45.0, 0.0, 31.7, 45.0])
def test_streak_is_imagemagicks(angle):
    expected = streak_by_loop(SMALL[:20, :30], 14, 6, angle)
    np.testing.assert_allclose(linear.streak(SMALL[:20, :30], 14, 6, angle), expected, atol=1e-9)


def middle_enlarged(x, factor):
    side = len(x)
    middle = int(np.ceil(side / factor))
    first = (side - middle) // 2
    part = x[first : first + middle, first : first + middle]
    y = ndimage.zoom(part, (factor, factor, 1), order=1)
    cut = (len(y) - side) // 2
    return y[cut : cut + side, cut : cut + side]


@pytest.mark.parametrize("factor", [1, 1.01, 1.1, 1.25, 1.75, 2.25, 4.5])
def test_zoom_is_scipys_cut_from_the_middle(factor):
    x = SMALL / 255
    np.testing.assert_allclose(linear.zoom(x, factor), middle_enlarged(x, factor), atol=1e-12)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_snow_is_its_published_definition(side, severity):
    strength = parameters("snow", side)[severity - 1]
    mean, spread, size, threshold, radius, sigma, kept = strength.values()
    old, x = np.random.RandomState(severity), SMALL.astype(np.float32) / 255
    layer = middle_enlarged(old.normal(size=(64, 64), loc=mean, scale=spread)[..., None], size)
    layer[layer < threshold] = 0
    layer = (np.clip(layer, 0, 1) * 255).astype(np.uint8)
    layer = np.round(streak_by_loop(layer, radius, sigma, old.uniform(-135, -45))) / 255
    luma = x @ np.float32([0.299, 0.587, 0.114])
    white = kept * x + (1 - kept) * np.maximum(x, luma[..., None] * 1.5 + 0.5)
    expected = finished((white + layer + np.rot90(layer, k=2)) * 255)
    gap = distance(corrupt(SMALL, "snow", severity, Legacy(severity), side=side), expected)
    assert gap.max() <= 1 and (gap > 0).mean() < 0.01


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_elastic_is_its_published_definition(side, severity):
    strength, sigma, tilt = parameters("elastic_transform", side)[severity - 1].values()
    old = np.random.RandomState(severity)
    corners = np.float32([[53, 53], [53, 11], [11, 11]])  # 32 plus and minus 64 // 3
    moved = corners + old.uniform(-tilt, tilt, size=(3, 2)).astype(np.float32)
    affine = cv2.getAffineTransform(corners, moved)
    x = SMALL.astype(np.float32) / 255
    x = cv2.warpAffine(x, affine, (64, 64), borderMode=cv2.BORDER_REFLECT_101)
    dx, dy = (
        gaussian(old.uniform(-1, 1, size=(64, 64)), sigma, mode="reflect", truncate=3) * strength
        for _ in range(2)
    )
    columns, rows, channels = np.meshgrid(np.arange(64), np.arange(64), np.arange(3))
    places = rows + dy[..., None], columns + dx[..., None], channels
    expected = finished(ndimage.map_coordinates(x, places, order=1, mode="reflect") * 255)
    y = corrupt(SMALL, "elastic_transform", severity, Legacy(severity), side=side)
    assert distance(y, expected).max() <= 1


def test_elastic_without_a_field_is_an_affine_map_of_a_ramp():
    """At 64 px severity 1 only tilts: a ramp stays a ramp, with another slope and offset."""
    ramp = np.broadcast_to(np.arange(64)[None, :, None] * 3 + 30, (64, 64, 3)).astype(np.uint8)
    y = corrupt(ramp, "elastic_transform", 1, seeded(4))[16:48, 16:48, 0].astype(float)
    rows, columns = np.indices(y.shape)
    design = np.stack([np.ones(y.size), rows.ravel(), columns.ravel()], axis=1)
    fit, *_ = np.linalg.lstsq(design, y.ravel(), rcond=None)
    assert np.abs(design @ fit - y.ravel()).max() < 1.1
    assert abs(fit[2] - 3) < 1.5 and not np.allclose(fit[1:], [0, 3], atol=0.01)


# --------------------------------------------------------------------------- closed forms


@pytest.mark.parametrize("sigma", [0.3, 1, 2.5, 6])
def test_smoothing_is_scikit_images(sigma):
    x = SMALL[:, :40] / 255
    np.testing.assert_allclose(
        linear.smooth(x, sigma), gaussian(x, sigma, channel_axis=-1), atol=1e-12
    )
    np.testing.assert_allclose(
        linear.smooth(x[..., 0], sigma, "reflect", 3),
        gaussian(x[..., 0], sigma, mode="reflect", truncate=3),
        atol=1e-12,
    )


def test_noise_has_its_moments():
    def values(name, level, severity):
        return corrupt(grey(level, 256), name, severity, seeded(), side=64).astype(float)

    # cutting fractions off costs half a level
    y = values("gaussian_noise", 128, 3) + 0.5
    assert abs(y.mean() - 128) < 0.4 and abs(y.std() / 255 - 0.12) < 0.001
    y = values("speckle_noise", 100, 2) + 0.5
    assert abs(y.mean() - 100) < 0.4 and abs(y.std() / 100 - 0.2) < 0.002
    y = (values("shot_noise", 102, 3) + 0.5) / 255 * 50  # photons, 20 on average
    assert abs(y.mean() - 20) < 0.1 and abs(y.var() - 20) < 0.4
    y = values("impulse_noise", 128, 5)
    assert set(np.unique(y)) == {0, 128, 255}
    assert abs((y != 128).mean() - 0.14) < 0.003
    assert abs((y == 255).sum() / (y != 128).sum() - 0.5) < 0.01


def test_contrast_keeps_the_mean_and_scales_the_rest():
    x = SMALL / 255
    y = corrupt(SMALL, "contrast", 2, seeded()) + 0.5
    assert np.abs(y.mean((0, 1)) - SMALL.mean((0, 1))).max() < 0.2
    assert np.allclose(y.std((0, 1)) / 255, 0.3 * x.std((0, 1)), atol=0.002)


def test_brightness_and_saturation_on_colours_done_by_hand():
    def seen(name, colour, severity):
        picture = np.broadcast_to(np.uint8(colour), (16, 16, 3))
        return corrupt(picture, name, severity, seeded(), side=64)[0, 0].astype(int)

    # V + .2 scales a colour to a brightest channel of 100 + 51; S x .1 keeps the brightest channel
    assert np.abs(seen("brightness", (100, 50, 20), 2) - [151, 75, 30]).max() <= 1
    assert np.abs(seen("brightness", (240, 120, 0), 5) - [255, 127, 0]).max() <= 1
    assert np.abs(seen("saturate", (100, 50, 0), 2) - [100, 95, 90]).max() <= 1
    assert np.abs(seen("saturate", (90, 90, 90), 3) - 90).max() <= 1


def test_pixelate_by_half_is_the_mean_of_two_by_two():
    y = corrupt(SMALL, "pixelate", 5, seeded())  # factor .5 at 64 px
    means = SMALL.reshape(32, 2, 32, 2, 3).mean((1, 3))
    assert np.abs(y - means.repeat(2, 0).repeat(2, 1)).max() <= 1  # rounded twice


def test_defocus_of_a_point_is_a_disk():
    point = np.zeros((64, 64, 3), dtype=np.uint8)
    point[32, 32] = 255
    y = blur.defocus_blur(point, seeded(), 6, 0.01)[..., 0]
    rows, columns = np.indices(y.shape) - 32
    disk = rows**2 + columns**2 <= 36
    np.testing.assert_allclose(y, 255 * disk / disk.sum(), atol=1e-3)


@pytest.mark.parametrize("name", [*FAMILIES["blur"], "pixelate", "contrast"])
def test_blurs_leave_an_even_picture_alone(name):
    for severity in SEVERITIES:
        y = corrupt(grey(128), name, severity, seeded())
        assert distance(y, grey(128)).max() <= (2 if name == "glass_blur" else 1)


def test_clouds_fill_0_to_1_and_a_large_decay_smooths_them():
    rough, even = (textures.plasma(64, decay, seeded()) for decay in (1.2, 3))
    for clouds in (rough, even):
        assert clouds.shape == (64, 64) and clouds.min() == 0 and clouds.max() == 1
    assert np.abs(np.diff(even)).mean() < 0.5 * np.abs(np.diff(rough)).mean()
    for side in (0, 1, 48):
        with pytest.raises(ValueError, match=f"plasma of {side} pixels; expected a power of two"):
            textures.plasma(side, 2, seeded())


def test_fog_on_black_stays_black():
    assert (corrupt(grey(0), "fog", 5, seeded()) == 0).all()


def test_no_drop_no_water():
    """The published code divides nought by nought here."""
    y = weather.spatter(SMALL, seeded(), 0.1, 0.01, 1, 0.7, 0.6, 0)
    assert np.isfinite(y).all() and (finished(y + 0.01) == SMALL).all()


def test_mud_is_brown_and_opaque():
    y = corrupt(grey(250), "spatter", 5, seeded())
    darkest = y.reshape(-1, 3)[y.sum(-1).argmin()].astype(int)
    assert np.abs(darkest - [63, 42, 20]).max() <= 1
    assert ((y == 250).all(-1) | (y == 249).all(-1)).mean() > 0.3


# ------------------------------------------------------------------------------ our own frost


def test_frost_is_the_picture_plus_ice():
    ice = corrupt(grey(0), "frost", 3, seeded(7)).astype(int)
    both = corrupt(SMALL, "frost", 3, seeded(7)).astype(int)
    assert np.abs(np.minimum(0.8 * SMALL + ice, 255) - both).max() <= 1
    window = textures.frozen_window(64, 64, 0.3, seeded(7))
    assert (ice == (0.45 * window).astype(int)).all()


@pytest.mark.parametrize("number", range(len(textures.PANES)))
def test_panes_have_the_colour_and_contrast_they_say(number):
    colour, contrast = textures.PANES[number]
    pane = textures.pane(number)
    assert pane.shape == (512, 512, 3)
    assert np.abs(pane.mean((0, 1)) - colour).max() < 3
    assert np.abs(pane.std((0, 1)) - contrast).max() < 3
    textures.pane.cache_clear()
    assert (textures.pane(number) == pane).all()


def test_no_two_panes_and_no_two_windows_are_the_same():
    panes = [textures.pane(number) for number in range(len(textures.PANES))]
    assert len({pane.tobytes() for pane in panes}) == len(panes)
    windows = {textures.frozen_window(32, 40, 0.3, seeded(i)).tobytes() for i in range(20)}
    assert len(windows) == 20
    assert textures.frozen_window(600, 530, 1, seeded()).shape == (600, 530, 3)


# ------------------------------------------------------------------------- what all promise


def test_the_examples_in_the_docstrings_run():
    for module in (imagenet_c, published):
        assert doctest.testmod(module).failed == 0 < doctest.testmod(module).attempted


def test_the_names_are_those_of_table_14():
    assert set(NAMES) == set(paper.table(14).operator) == set(TABLE)
    assert len(NAMES) == len(set(NAMES)) == 19
    assert [len(names) for names in FAMILIES.values()] == [4, 5, 5, 5]
    labels = paper.table(14).query("method == 'student'").set_index("operator").row
    assert {name for name in NAMES if labels[name].startswith("Extra")} == set(EXTRA)


@every_type
def test_parameters_are_what_the_function_takes(name):
    for side in SIDES:
        rows = parameters(name, side)
        assert len(rows) == 5
        for row in rows:
            inspect.signature(corruptions.FUNCTIONS[name]).bind(SMALL, seeded(), **row)


def test_the_nearest_published_side_is_nearest_in_ratio():
    at = {side: parameters("jpeg_compression", side)[0]["quality"] for side in SIDES}
    assert at == {224: 25, 64: 65, 32: 80}
    nearest = {16: 32, 28: 32, 45: 32, 46: 64, 64: 64, 119: 64, 120: 224, 299: 224}
    for side, taken in nearest.items():
        assert parameters("jpeg_compression", side)[0]["quality"] == at[taken]
    assert parameters("glass_blur", 64)[4] == {"sigma": 0.9, "reach": 2, "rounds": 2}


@every_type
def test_equal_generators_give_equal_pictures_and_leave_the_clean_one(name):
    before, state = SMALL.copy(), np.random.get_state()[1].copy()
    first, second, other = (corrupt(SMALL, name, 3, seeded(s)) for s in (0, 0, 1))
    assert first.dtype == np.uint8 and first.shape == SMALL.shape
    assert (first == second).all()
    assert (first == other).all() == (name in DETERMINISTIC)
    assert (before == SMALL).all() and (np.random.get_state()[1] == state).all()


@every_type
@pytest.mark.parametrize("side", SIDES)
def test_severity_5_does_more_than_severity_1(name, side):
    x = PICTURES[224][60:124, 60:124]
    mild, strong = (
        np.mean([distance(corrupt(x, name, s, seeded(i), side=side), x) for i in range(3)])
        for s in (1, 5)
    )
    # published so: elastic turns from a tilt to a ripple, saturation from grey to lurid
    if name not in {"elastic_transform", "saturate"}:
        assert 0 < mild < strong
    else:
        assert min(mild, strong) > 0


@every_type
@pytest.mark.parametrize("shape", [(16, 16, 3), (33, 50, 3), (70, 40, 3)])
def test_any_shape_and_black_and_white(name, shape):
    for level in (0, 255):
        y = corrupt(np.full(shape, level, dtype=np.uint8), name, 5, seeded())
        assert y.shape == shape and y.dtype == np.uint8


@every_type
def test_a_set_is_the_same_in_any_batches(name):
    images = torch.from_numpy(SMALL).permute(2, 0, 1).expand(4, 3, 64, 64)
    whole = corrupt_set(images, name, 4, seed=1)
    assert whole.shape == images.shape and whole.dtype == torch.uint8
    parts = [corrupt_set(images[i:j], name, 4, seed=1, first=i) for i, j in ((0, 1), (1, 4))]
    if name in ("fog", "glass_blur"):
        assert torch.equal(corrupt_set(images, name, 4, seed=1, workers=2), whole)
    assert torch.equal(torch.cat(parts), whole)
    random = name not in DETERMINISTIC
    assert random == (not torch.equal(whole[0], whole[1]))
    assert random == (not torch.equal(whole, corrupt_set(images, name, 4, seed=2)))


def test_a_set_passes_its_options_on():
    images = torch.from_numpy(SMALL).permute(2, 0, 1)[None]
    y = corrupt_set(images, "contrast", 1, seed=0, side=32, published=True)
    expected = corrupt(SMALL, "contrast", 1, seeded(), side=32, published=True)
    assert torch.equal(y[0].permute(1, 2, 0), torch.from_numpy(expected))


def test_published_pictures_went_through_jpeg_85():
    plain = corrupt(SMALL, "contrast", 3, seeded())
    file = io.BytesIO()
    Image.fromarray(plain).save(file, "JPEG", quality=85)
    pressed = corrupt(SMALL, "contrast", 3, seeded(), published=True)
    assert (pressed == np.array(Image.open(file))).all() and (pressed != plain).any()


@pytest.mark.parametrize(
    "picture, name, severity, message",
    [
        (SMALL, "rain", 1, "unknown corruption 'rain'; expected one of gaussian_noise, shot_noise"),
        (SMALL, "fog", 0, "severity of fog is 0; expected 1, 2, 3, 4 or 5"),
        (SMALL, "fog", 6, "severity of fog is 6"),
        (SMALL / 255, "fog", 1, "picture is float64 .64, 64, 3.; expected a numpy array of uint8"),
        (SMALL[None], "fog", 1, "picture has shape .1, 64, 64, 3.; expected .H, W, 3."),
        (SMALL[..., 0], "fog", 1, "picture has shape .64, 64.; expected"),
        (SMALL[:15], "fog", 1, "picture has shape .15, 64, 3.; expected .H, W, 3., sides of 16"),
        (SMALL.transpose(2, 0, 1), "fog", 1, "picture has shape .3, 64, 64.; expected .H, W, 3."),
    ],
)
def test_what_corrupt_says_to_what_it_cannot_take(picture, name, severity, message):
    with pytest.raises(ValueError, match=message):
        corrupt(picture, name, severity, seeded())


def test_what_corrupt_set_and_parameters_say():
    images = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    with pytest.raises(
        ValueError, match=r"pictures are torch.float32 .2, 3, 16, 16.; expected uint8"
    ):
        corrupt_set(images.float(), "fog", 1, seed=0)
    for wrong in (images[0], images.permute(0, 2, 3, 1), images[:0]):
        with pytest.raises(ValueError, match=r"expected uint8 .N, 3, H, W., N > 0"):
            corrupt_set(wrong, "fog", 1, seed=0)
    with pytest.raises(ValueError, match="unknown corruption 'rain'"):
        corrupt_set(images, "rain", 1, seed=0)
    with pytest.raises(ValueError, match="severity of fog is 9"):
        corrupt_set(images, "fog", 9, seed=0)
    with pytest.raises(ValueError, match="seed -1, first picture 0: expected 0 or more"):
        corrupt_set(images, "fog", 1, seed=-1)
    with pytest.raises(ValueError, match="side is 0; expected the shorter side"):
        parameters("fog", 0)
