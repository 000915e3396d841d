"""The embedded world: a function of (seed, index), disjoint splits, captions that are true."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cinv_lib.data.stickers import drawing, sets
from cinv_lib.data.stickers.glyphs import (
    FONTS,
    SIDE,
    _distance,
    _draw,
    _signed_distance,
    glyphs,
    plain_name,
)


def test_there_are_some_370_pictographs_with_names_of_their_own():
    world = glyphs()
    assert 360 <= len(world.names) <= 380
    assert len(set(world.names)) == len(world.names) == len(world.chars)
    assert len(world.fields) == int(world.count.sum()) > len(world.names)  # some have two drawings
    assert int(world.count.max()) <= len(FONTS)


def test_names_are_unicode_s_without_its_black_and_white():
    assert plain_name("★") == "solid star"
    assert plain_name("☂") == "umbrella"
    assert not any(word in name.split() for name in glyphs().names for word in ("black", "white"))


def test_the_signed_distance_of_a_disc_is_known_in_closed_form():
    k = 4
    y, x = np.mgrid[: k * SIDE, : k * SIDE] + 0.5
    radius = 20.0
    distance = radius - np.hypot(x / k - SIDE / 2, y / k - SIDE / 2)
    field = _signed_distance(distance > 0)
    exact = distance.reshape(SIDE, k, SIDE, k).mean((1, 3))
    assert np.abs(field - exact).max() < 0.3  # a pixel of the fine grid is 0.25


@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_distances_are_those_of_scipy_to_the_bit(share):
    """Far ones too, and of a drawing: the pictures of the world are kept to the bit."""
    random = np.random.default_rng(0).random((4 * SIDE, 4 * SIDE)) < share
    for ink in (random, _draw("☂", FONTS[0]), ~_draw("☂", FONTS[0])):
        np.testing.assert_array_equal(_distance(ink), ndimage.distance_transform_edt(ink))


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=6, unique=True), st.integers(0, 50))
def test_a_picture_depends_on_seed_and_index_alone(indices, seed):
    rows = torch.tensor(indices)
    together = drawing.render(seed, rows)
    alone = drawing.render(seed, rows[-1:])
    assert torch.equal(together.images[-1:], alone.images)
    assert together.captions()[-1] == alone.captions()[0]
    assert not torch.equal(drawing.render(seed + 1, rows[-1:]).images, alone.images)


def test_uniforms_are_uniform_and_uncorrelated():
    u = drawing.uniforms(3, torch.arange(20_000), 4).double()
    assert u.min() >= 0 and u.max() < 1
    for edge in (0.1, 0.5, 0.9):
        # Five standard errors of a share.
        assert ((u < edge).double().mean(0) - edge).abs().max() < 5 * (0.25 / 20_000) ** 0.5
    assert torch.corrcoef(u.T).fill_diagonal_(0).abs().max() < 5 / 20_000**0.5
    assert torch.corrcoef(torch.stack([u[:-1, 0], u[1:, 0]]))[0, 1].abs() < 5 / 20_000**0.5


def test_a_caption_says_what_is_in_the_picture():
    drawn = drawing.render(0, torch.arange(40))
    for caption, label, colour, scale in zip(
        drawn.captions(), drawn.labels.tolist(), drawn.colours, drawn.scales.tolist(), strict=True
    ):
        assert f" {colour} {glyphs().names[label]} on " in caption
        assert (" big " in caption) == (scale > 0.88)
        assert (" small " in caption) == (scale < 0.77)


def test_a_sticker_stands_out_from_its_background():
    """Where ink covers a pixel wholly, the picture is near the colour that the caption names."""
    rows, labels = torch.arange(30), torch.full((30,), glyphs().names.index("heavy check mark"))
    drawn = drawing.render(7, rows, labels)
    u = drawing.uniforms(7, rows, 32)
    cover = drawing._coverage(labels, 0.65 + 0.35 * u[:, 4], u[:, 5:13])[:, 0] > 0.99
    for picture, inside, name in zip(drawn.images, cover, drawn.colours, strict=True):
        mean = picture[:, inside].float().mean(1) / 255
        assert torch.dist(mean, torch.tensor(drawing.COLOURS[name])) < 0.2


def test_training_and_validation_share_no_background():
    train, val = drawing._photographs(True), drawing._photographs(False)
    assert len(train) == len(val) == len(drawing.PHOTOGRAPHS) == 13
    for left, right in zip(train, val, strict=True):
        assert left.shape[1] == right.shape[1] == 256
        assert left.shape[2] / (left.shape[2] + right.shape[2]) == pytest.approx(0.6, abs=0.01)


def test_splits_are_disjoint_and_the_twins_outside():
    names = glyphs().names
    one, other = set(sets.classes("stickers-100")), set(sets.classes("stickers-100b"))
    assert len(one) == len(other) == 100 and not one & other
    for twin, target in sets.SHIFT.items():
        assert names.index(twin) not in one | other
        assert names.index(target) in one


@pytest.mark.parametrize(
    ("twins", "known"),
    [("stickers-shift", "stickers-100"), ("stickers-32-shift", "stickers-32")],
)
def test_label_shift_pictures_carry_the_label_of_the_twin_in_the_known_set(home, twins, known):
    _, labels, names, _ = sets.image_set(twins, "val", 1)
    assert [names[k] for k in labels] == list(sets.SHIFT.values())
    assert names == sets.image_set(known, "val", 1)[2]


def test_stickers_32_is_a_third_of_the_classes_with_other_pictures(home):
    assert len(sets.classes("stickers-32")) == 32
    assert set(sets.classes("stickers-32")) < set(sets.classes("stickers-100"))
    pictures = {
        picture.numpy().tobytes()
        for name in ("stickers-32", "stickers-100")
        for split in ("train", "val")
        for picture in sets.image_set(name, split, 1)[0]
    }
    assert len(pictures) == 2 * (32 + 100)


def test_a_set_is_kept_on_disk_and_a_larger_one_begins_with_the_smaller(monkeypatch, tmp_path):
    monkeypatch.setenv("CINV_HOME", str(tmp_path))
    small = sets.image_set("stickers-100", "val", 1)
    assert len(list(tmp_path.rglob("*.npz"))) == 1
    again = sets.image_set("stickers-100", "val", 1)
    large = sets.image_set("stickers-100", "val", 2)
    assert torch.equal(small[0], again[0]) and torch.equal(small[0], large[0][:100])
    assert torch.equal(large[1].bincount(), torch.full((100,), 2))


def test_unknown_sets_and_splits_are_refused_by_name():
    with pytest.raises(ValueError, match="stickers-100/train"):
        sets.image_set("stickers-100", "test")
    with pytest.raises(ValueError, match="stickers-100b"):
        sets.classes("stickers-1000")


def test_damaged_pictures_are_drawn_anew(home):
    first = sets.image_set("stickers-shift", "val", 1)
    (file,) = (home / "stickers").iterdir()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.warns(UserWarning, match=r"\.npz is damaged .* drawn anew"):
        again = sets.image_set("stickers-shift", "val", 1)
    assert (again[0] == first[0]).all() and (again[1] == first[1]).all()
    assert again[2:] == first[2:]
