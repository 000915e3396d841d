"""reading: awkward pictures are read as they look, and what cannot be read is named."""

import warnings

import awkward
import numpy as np
import pytest
from PIL import Image

from cinv_lib import data
from cinv_lib.data import reading
from cinv_lib.data.image_files import ImageFiles
from cinv_lib.data.preprocess import Preprocess


@pytest.fixture(autouse=True)
def afresh(monkeypatch):
    """Nothing is remembered of other tests."""
    monkeypatch.setattr(reading, "KNOWN", {})
    monkeypatch.setattr(reading, "SAID", set())


@pytest.fixture
def folder(tmp_path):
    return awkward.folder(tmp_path / "mine")


@pytest.fixture
def picture():
    """Smooth, its left half dark, its upper half red: a turn of it is seen."""
    across, down = np.meshgrid(np.linspace(40, 200, 60), np.linspace(0, 90, 40))
    pixels = np.stack([across * (down < 45), across, across], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def test_awkward_pictures_look_as_they_are_meant(picture, tmp_path):
    for kind, grey in [(0, False), (1, True), (3, False), (4, False)]:
        file = awkward.write(picture, tmp_path / f"{kind}", kind)
        seen = np.asarray(data.upright(file)).astype(int)
        want = np.asarray(picture.convert("L").convert("RGB") if grey else picture).astype(int)
        assert seen.shape == (40, 60, 3), kind
        assert np.abs(seen - want).mean() < (0.51 if kind in (1, 4) else 6), kind


def test_16_bits_are_divided_by_257(tmp_path):
    values = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    Image.fromarray(values).save(tmp_path / "a.png")
    Image.fromarray(values).save(tmp_path / "a.tif")
    for file in ("a.png", "a.tif"):
        seen = np.asarray(data.upright(tmp_path / file))[..., 0]
        assert np.array_equal(seen, np.round(values / 257).astype(np.uint8))


def test_what_is_transparent_is_white(tmp_path):
    clear = Image.new("P", (4, 4), 0)
    clear.putpalette([255, 0, 0, 0, 0, 255])
    clear.putpixel((1, 1), 1)
    clear.save(tmp_path / "a.png", transparency=0)
    seen = np.asarray(data.upright(tmp_path / "a.png"))
    assert seen[0, 0].tolist() == [255, 255, 255] and seen[1, 1].tolist() == [0, 0, 255]


def test_one_warning_says_all_that_was_done_and_says_it_once(folder):
    files = ImageFiles.from_folder(folder)
    assert len(files) == 25
    with pytest.warns(UserWarning) as caught:
        good = files.readable(Preprocess(64))
    (text,) = (str(w.message) for w in caught)
    assert "1 of 25 pictures cannot be read: " in text and "broken.jpg cannot be read" in text
    assert "left out" in text and "4 of 24 pictures are smaller than the 64 pixels a side" in text
    assert "down to 50 x 45, and are enlarged" in text
    for kind in (
        "1 turned", "1 16-bit grey (divided by 257)", "1 palette", "1 transparent (laid on white)",
        "1 CMYK (converted to RGB)",
    ):  # fmt: skip
        assert kind in text
    assert len(good) == 24 and not any("broken" in path for path in good.paths)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert files.readable(Preprocess(64)).paths == good.paths
    assert good.decode().shape == (24, 3, 224, 224)


def test_unreadable_pictures_are_left_out_or_refused_as_asked(folder):
    with pytest.raises(
        ValueError, match=r"mine: 1 of 25 pictures cannot be read: .*broken\.jpg.*ski"
    ):
        ImageFiles.from_folder(folder, unreadable="raise")
    with pytest.warns(UserWarning, match="1 of 25 pictures"):
        assert len(ImageFiles.from_folder(folder, unreadable="skip")) == 24
    with pytest.raises(ValueError, match="unreadable 'maybe': expected skip, raise or None"):
        ImageFiles.from_folder(folder, unreadable="maybe")


@pytest.mark.parametrize(("name", "words"), [
    ("a.HEIC", "pillow_heif.register_heif_opener"), ("a.nef", "develop it to TIFF or JPEG"),
    ("a.dcm", "pydicom's pixel_array to ImageSet.from_arrays"), ("a.jpg", "save it as JPEG or PNG"),
])  # fmt: skip
def test_what_pillow_does_not_open_says_how(tmp_path, name, words):
    (tmp_path / name).write_bytes(b"something else" * 20)
    with pytest.raises(ValueError, match=rf"1 of 1 pictures cannot be read.*{words}.*None is left"):
        ImageFiles.from_folder(tmp_path).readable()


def test_the_first_few_are_named_and_all_are_counted(tmp_path):
    for i in range(9):
        (tmp_path / f"{i}.png").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"9 of 9 pictures.*4\.png[^;]*;[^;]*; and 4 more"):
        ImageFiles.from_folder(tmp_path).readable()


def test_a_picture_in_two_classes_is_said(tmp_path):
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for i in range(3):
            Image.new("RGB", (300, 300), (80 * i, 0, 0)).save(tmp_path / label / f"{i}.png")
    with pytest.warns(UserWarning, match=r"3 pictures are in two classes.*in 'cat' and 'dog'"):
        ImageFiles.from_folder(tmp_path).readable()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ImageFiles.from_folder(tmp_path, labelled=False).readable()


def test_each_file_is_decoded_once_and_again_where_it_has_changed(folder, monkeypatch):
    read, real = [], reading._fact
    monkeypatch.setattr(reading, "_fact", lambda path, now: read.append(path) or real(path, now))
    files = ImageFiles.from_folder(folder)
    with pytest.warns(UserWarning):
        files.readable()
        files.split(0.5)[0].readable(Preprocess(64))
    assert sorted(read) == sorted(files.paths)
    Image.new("RGB", (90, 90)).save(next(p for p in files.paths if "broken" in p))
    with pytest.warns(UserWarning):
        assert len(files.readable()) == 25
    assert len(read) == 26


def test_a_file_that_is_gone_is_unreadable(folder):
    files = ImageFiles.from_folder(folder)
    (folder / files.names[0]).unlink()
    with pytest.warns(UserWarning, match="it was moved or deleted"):
        assert len(files.readable()) == 23


def test_the_check_finds_what_decoding_finds(folder):
    """It reads JPEGs at an eighth of their size, and must miss nothing."""
    whole = folder / "whole.jpg"
    Image.effect_noise((400, 300), 80).convert("RGB").save(whole, quality=90)
    data_of = whole.read_bytes()
    for share in (0.02, 0.3, 0.7, 0.99):
        whole.write_bytes(data_of[: int(share * len(data_of))])
        reading.KNOWN.clear()
        (fact,) = reading.facts([str(whole)], "mine")
        with pytest.raises(ValueError, match="cannot be read"):
            data.upright(whole)
        assert fact.fault, share


def test_a_lying_phones_picture_has_the_size_that_is_seen(tmp_path):
    file = awkward.write(Image.new("RGB", (60, 40)), tmp_path / "a", 0)
    assert Image.open(file).size == (40, 60)
    assert reading.size_of(str(file)) == (60, 40)
    (fact,) = reading.facts([str(file)], "mine")
    assert fact.size == data.upright(file).size == (60, 40)
