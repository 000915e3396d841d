"""image_files: decoded as torchvision does, crops that depend on nothing else, clear errors."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms.functional import pil_to_tensor, resized_crop

from cinv_lib import data
from cinv_lib.data import catalogue, image_files, linked
from data_prep import links


def paint(path: Path, size=(90, 70), mode: str = "RGB", seed: int = 0) -> Path:
    """A smooth random picture in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (5, 6, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
    picture.convert(mode).save(path)
    return path


@pytest.fixture
def made(home, tmp_path):
    """A set of 6 pictures in two classes, all sizes and modes that occur, as links in `home`."""
    kinds = [
        ("a.JPEG", (300, 401), "RGB"), ("b.jpg", (401, 300), "L"), ("c.JPEG", (256, 256), "CMYK"),
        ("d.png", (100, 77), "P"), ("e.png", (257, 256), "RGB"), ("f.png", (64, 500), "L"),
    ]  # fmt: skip
    source = tmp_path / "source"
    for i, (name, size, mode) in enumerate(kinds):
        paint(source / "ab"[i % 2] / name, size, mode, seed=i)
    (source / "a" / "notes.txt").write_text("no picture")
    folders = {"infected": source / "a", "normal": source / "b"}
    label = {"infected": 0, "normal": 1}
    links.publish("covid", ("infected", "normal"), label, {"train": folders}, "made here")
    return linked.load("covid", "train")


def test_a_set_has_its_pictures_in_order_with_their_labels(made):
    assert [Path(p).name for p in made.paths] == ["a.JPEG", "c.JPEG", "e.png", "b.jpg", "d.png",
                                                  "f.png"]  # fmt: skip
    assert made.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert (made.name, made.class_names) == ("covid", ("infected", "normal"))
    few = made.per_class(1)
    assert [Path(p).name for p in few.paths] == ["a.JPEG", "b.jpg"]
    assert len(made.fraction(0.5, seed=0)) == 4
    with pytest.raises(IndexError, match="expected 0 to 5"):
        made.subset(torch.tensor([6]))


def test_decoding_is_torchvisions(made):
    """Resize(256) and CenterCrop(224), which the authors used, on every size and mode."""
    oracle = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])
    got = made.decode()
    assert got.shape == (6, 3, 224, 224) and got.dtype == torch.uint8
    for path, picture in zip(made.paths, got, strict=True):
        with Image.open(path) as opened:
            assert torch.equal(picture, pil_to_tensor(oracle(opened.convert("RGB")))), path
    some = made.decode(torch.tensor([4, 1]), short=60, crop=33)
    assert some.shape == (2, 3, 33, 33)
    for path, picture in zip([made.paths[4], made.paths[1]], some, strict=True):
        oracle = transforms.Compose([transforms.Resize(60), transforms.CenterCrop(33)])
        with Image.open(path) as opened:
            assert torch.equal(picture, pil_to_tensor(oracle(opened.convert("RGB")))), path
    with pytest.raises(ValueError, match="crop 225, short side 224"):
        made.decode(short=224, crop=225)


def test_images_load_decodes_and_refuses_what_does_not_fit(made, monkeypatch):
    found = data.load("covid", "train")
    assert torch.equal(found.images, made.decode()) and torch.equal(found.labels, made.labels)
    assert data.load("covid", "train", n=2).labels.tolist() == [0, 0, 1, 1]
    monkeypatch.setattr(catalogue, "LARGEST", 0)
    with pytest.raises(ValueError, match=r'6 pictures are 1 GB.*linked.load\("covid"'):
        data.load("covid", "train")
    assert image_files.gigabytes(126_689) == 20


def test_views_are_the_crops_of_their_boxes(made):
    """Against torchvision's resized_crop on the same boxes; flips are left to others."""
    order = torch.tensor([2, 0, 5])
    (batch,) = made.views(order, batch_size=8, seed=3, epoch=1, size=48, scale=(0.2, 0.6))
    for i, picture in zip(order.tolist(), batch, strict=True):
        with Image.open(made.paths[i]) as opened:
            whole = opened.convert("RGB")
        generator = data.generator_of(3, 1, i)
        box = data.crop_boxes(1, whole.height, whole.width, generator, (0.2, 0.6), (3 / 4, 4 / 3))
        left, top, width, height = box[0].int().tolist()
        want = resized_crop(whole, top, left, height, width, [48, 48])
        assert torch.equal(picture, pil_to_tensor(want))


def test_views_depend_on_seed_epoch_and_picture_only(made):
    order, state = torch.tensor([5, 1, 3, 0]), torch.get_rng_state()

    def drawn(order, batch_size, workers=0, seed=0, epoch=0):
        loader = made.views(order, batch_size, seed, epoch, size=32, workers=workers)
        return torch.cat(list(loader))

    want = drawn(order, 4)
    assert torch.equal(drawn(order, 3, workers=2), want)
    assert torch.equal(drawn(order[2:], 1), want[2:])  # a resumed epoch
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(drawn(order, 4, epoch=1), want)
    assert not torch.equal(drawn(order, 4, seed=1), want)


def test_what_is_wrong_with_a_picture_is_said(made, tmp_path):
    cut = Path(made.paths[0]).resolve()
    cut.write_bytes(cut.read_bytes()[:2000])
    text = Path(made.paths[2]).resolve()
    text.write_text("no picture")
    with pytest.raises(ValueError, match=r"a\.JPEG cannot be read.*truncated.*copy it again"):
        made.decode(torch.tensor([0]))
    with pytest.raises(ValueError, match=r"e\.png is not a picture"):
        list(made.views(torch.tensor([2]), 1, 0, 0))
    faults = made.unreadable()
    assert [f.split(" ")[0] for f in faults] == [made.paths[0], made.paths[2]]
    link = tmp_path / "link.JPEG"
    link.symlink_to(tmp_path / "moved.JPEG")
    with pytest.raises(FileNotFoundError, match=r"link to .*moved\.JPEG, is absent.*data_prep"):
        data.open_rgb(link)


def test_a_set_that_is_not_there_or_has_changed_says_what_to_do(made, home):
    with pytest.raises(ValueError, match=r"covid was made without a split 'val': it has train"):
        linked.load("covid", "val")
    os.remove(Path(made.paths[0]).resolve())
    with pytest.raises(ValueError, match=r"5 pictures; set\.json says 6.*data_prep covid"):
        linked.load("covid", "train")
    (home / "covid" / "set.json").write_text("{")
    with pytest.raises(ValueError, match=r"set\.json is damaged.*data_prep covid"):
        data.load("covid", "train")
    for name in ("imagenet100", "imagenet100-shift"):
        with pytest.raises(
            FileNotFoundError, match=r"run `python -m data_prep imagenet100 --image"
        ):
            data.load(name, "val")
    with pytest.raises(FileNotFoundError, match="run `python -m data_prep imagenet100c`"):
        data.load("imagenet100c/frost/3", "val")
    with pytest.raises(ValueError, match="unknown set of files 'cats'"):
        linked.load("cats", "val")


@pytest.mark.parametrize("name", ["Imágenes/jürgen", os.fsdecode(b"caf\xe9"), "写真"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_path_is_bytes_that_come_back(tmp_path, name, workers):
    """Also where they are no UTF-8, as from a disk of before."""
    folder = tmp_path / name
    try:
        folder.mkdir(parents=True)
    except OSError:
        pytest.skip("this disk takes names in UTF-8 only")
    paths = [str(folder / f"bild {i}.png") for i in range(2)]
    for path in paths:
        Image.new("RGB", (40, 40), (200, 0, 0)).save(path)
    files = data.ImageFiles(tuple(paths), torch.arange(2), tuple("ab"), "mine", "made here")
    (batch,) = files.views(torch.arange(2), 2, seed=0, epoch=0, size=32, workers=workers)
    assert (batch.float().mean((0, 2, 3)) == torch.tensor([200.0, 0, 0])).all()


def test_a_macs_hidden_files_are_no_pictures(tmp_path):
    for name in ("a.JPEG", "._a.JPEG", ".DS_Store", ".b.png"):
        (tmp_path / name).write_bytes(b"")
    assert linked.pictures_in(tmp_path) == [str(tmp_path / "a.JPEG")]
    assert links.count(tmp_path) == 1


SOUND = {"class_names": ["cat"], "folders": {"n1": 0}, "counts": {"val": 0}, "provenance": "here"}


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("counts", None, "it has no counts"),
        ("class_names", "cat", "it has no class_names"),
        ("class_names", [None], "a class name is no text"),
        ("folders", {"n1": 1}, "the label of n1 is 1; there are 1 class names"),
        ("folders", {"n1": "0"}, "the label of n1 is '0'"),
        ("folders", {"../n1": 0}, "'../n1' is no folder of the set"),
        ("counts", {"val": "many"}, "the number of pictures of val is 'many'"),
    ],
)
def test_a_set_json_that_says_something_else_is_damaged(home, part, value, words):
    file = home / "imagenet100" / "set.json"
    (file.parent / "val").mkdir(parents=True)
    file.write_text(json.dumps(SOUND))
    assert len(linked.load("imagenet100", "val")) == 0
    file.write_text(json.dumps(SOUND | {part: value}))
    with pytest.raises(ValueError, match=r"set\.json is damaged .*" + re.escape(words) + ".* run"):
        linked.load("imagenet100", "val")
