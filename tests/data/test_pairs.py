"""pairs: by their names, of one size, under one crop; what does not match is said."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from cinv_lib import data
from cinv_lib.data import reading
from cinv_lib.data.image_set import ImageSet
from cinv_lib.data.pairs import Pairs
from cinv_lib.data.preprocess import Preprocess

SIZES = [(90, 70), (64, 64), (71, 133)]


@pytest.fixture(autouse=True)
def afresh(monkeypatch):
    monkeypatch.setattr(reading, "KNOWN", {})
    monkeypatch.setattr(reading, "SAID", set())


@pytest.fixture
def two(tmp_path) -> tuple[Path, Path]:
    """Six pictures in two classes, and their negatives under other endings."""
    clean, ruined = tmp_path / "clean", tmp_path / "ruined"
    for i in range(6):
        noise = np.random.default_rng(i).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(noise).resize(SIZES[i % 3], Image.Resampling.BILINEAR)
        name = f"{'ab'[i % 2]}/{'z' if i == 2 else 'm'}{i}"
        for folder, end, pixels in ((clean, "png", picture), (ruined, "BMP", negative(picture))):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            pixels.save(folder / f"{name}.{end}")
    return clean, ruined


def negative(picture):
    return Image.eval(picture, lambda value: 255 - value)


def test_partners_are_found_by_their_names(two):
    pairs = Pairs.from_folders(*two)
    assert len(pairs) == 6 and pairs.class_names == ("a", "b") and pairs.name == "clean and ruined"
    assert pairs.labels.tolist() == [0, 0, 0, 1, 1, 1]
    for one, other in zip(pairs.clean.paths, pairs.ruined.paths, strict=True):
        assert Path(one).stem == Path(other).stem
        assert (one.endswith(".png"), other.endswith(".BMP")) == (True, True)
    first, second = pairs.split(0.7, seed=1)
    assert sorted(first.clean.paths + second.clean.paths) == sorted(pairs.clean.paths)
    assert [Path(p).stem for p in first.ruined.paths] == [Path(p).stem for p in first.clean.paths]
    assert len(pairs.per_class(1)) == 2


@pytest.mark.parametrize("preprocess", [Preprocess(32), Preprocess(32, "longest", "bilinear", 0)])
@pytest.mark.parametrize("scale", [(0.1, 0.5), (1.0, 1.0)])
def test_both_get_the_same_crop(two, preprocess, scale):
    """A negative under the same crop is the negative of the crop."""
    pairs = Pairs.from_folders(*two).seen_as(preprocess)
    seen = torch.cat(list(pairs.views(torch.tensor([4, 0, 3]), 2, 7, 1, 32, scale))).int()
    assert seen.shape == (3, 6, 32, 32)
    clean, ruined = seen[:, :3], seen[:, 3:]
    filled = (clean == 0) & (ruined == 0)  # "longest" fills both with black
    assert ((clean + ruined - 255).abs()[~filled] <= 2).all() and filled.float().mean() < 0.5
    alone = torch.cat(
        list(pairs.clean.views(torch.tensor([4, 0, 3]), 2, 7, 1, 32, scale, workers=2))
    )
    assert torch.equal(alone.int(), clean)


def test_what_has_no_partner_is_said(two):
    clean, ruined = two
    (ruined / "a" / "m0.BMP").unlink()
    with pytest.raises(
        ValueError, match=r"1 of 6 pictures of .*clean have no partner in .*ruined, a"
    ):
        Pairs.from_folders(clean, ruined)
    (clean / "a" / "m0.png").unlink()
    Image.new("RGB", (9, 9)).save(ruined / "b" / "more.jpg")
    with pytest.raises(
        ValueError, match=r"1 of 6 pictures of .*ruined .*clean, as b.more; expected"
    ):
        Pairs.from_folders(clean, ruined)
    (ruined / "b" / "more.jpg").unlink()
    assert len(Pairs.from_folders(clean, ruined)) == 5
    Image.new("RGB", (9, 9)).save(clean / "b" / "m1.jpg")
    with pytest.raises(ValueError, match=r"m1\.jpg and .*m1\.png have one name but for the ending"):
        Pairs.from_folders(clean, ruined)


def test_partners_of_other_sizes_are_said(two):
    clean, ruined = two
    Image.new("RGB", (45, 35)).save(ruined / "a" / "m0.BMP")
    with pytest.raises(ValueError, match=r"1 of 6 pairs differ.*90 x 70 and .*45 x 35 pixels; exp"):
        Pairs.from_folders(clean, ruined)
    files = [data.ImageFiles.from_folder(folder) for folder in (clean, ruined)]
    with pytest.raises(ValueError, match=r"90 x 70, .*45 x 35: expected one size"):
        list(Pairs(*files).views(torch.tensor([0]), 1, 0, 0, 32))


def test_a_pair_of_which_one_cannot_be_read_is_left_out(two):
    clean, ruined = two
    (ruined / "a" / "m0.BMP").write_bytes(b"x")
    pairs = Pairs.from_folders(clean, ruined)
    with pytest.warns(UserWarning, match=r"ruined: 1 of 6 pictures cannot be read: .*m0\.BMP"):
        good = pairs.readable()
    assert len(good) == 5 and not any("m0" in path for path in good.clean.paths + good.ruined.paths)
    with pytest.raises(ValueError, match=r"ruined: 1 of 6 pictures cannot be read"):
        Pairs.from_folders(clean, ruined, unreadable="raise")
    assert len(Pairs.from_folders(clean, ruined, unreadable="skip")) == 5


def test_a_turned_phones_picture_has_a_partner_of_the_size_that_is_seen(tmp_path):
    import awkward

    picture = Image.effect_noise((60, 40), 50).convert("RGB")
    awkward.write(picture, tmp_path / "clean" / "a", 0)
    awkward.write(picture.filter(ImageFilter.BLUR), tmp_path / "ruined" / "a", 4)
    assert len(Pairs.from_folders(tmp_path / "clean", tmp_path / "ruined")) == 1


def test_pairs_in_memory():
    x = torch.arange(2 * 4 * 5 * 3, dtype=torch.uint8).view(2, 4, 5, 3)
    clean, ruined = ImageSet.from_arrays(x, [0, 1]), ImageSet.from_arrays(255 - x, [0, 1])
    pairs = Pairs(clean, ruined)
    assert torch.equal(pairs.images, torch.cat([clean.images, 255 - clean.images], 1))
    assert pairs.fingerprint is None and pairs.readable() is pairs
    with pytest.raises(ValueError, match="4 x 5 pixels, ruined ones 4 x 4; expected one size"):
        Pairs(clean, ImageSet.from_arrays(x[:, :, :4], [0, 1]))
    with pytest.raises(ValueError, match="have other labels"):
        Pairs(clean, ImageSet.from_arrays(x, [1, 0]))
    with pytest.raises(ValueError, match="2 clean pictures in ImageSet, 1 ruined"):
        Pairs(clean, ruined.subset(torch.tensor([0])))
