"""A folder of stickers as files: what lies in it, how it is read, and that it is there whole."""

from collections import Counter

import pytest

from cinv_lib.data import catalogue, reading
from cinv_lib.data.image_files import ImageFiles
from cinv_lib.data.stickers import files
from cinv_lib.machine import folders


@pytest.fixture(scope="module")
def listed():
    return ImageFiles.from_folder(files.folder())


def test_it_has_every_kind_of_file_and_one_that_cannot_be_read(listed):
    assert len(listed) == len(files.CLASSES) * files.PER_CLASS + 1
    assert set(listed.class_names) == set(files.CLASSES)
    found = reading.facts(listed.paths, listed.name, progress=False)
    (broken,) = [path for path, fact in zip(listed.paths, found, strict=True) if fact.fault]
    assert broken.endswith(files.CUT)
    kinds = " ".join({kind for fact in found for kind in fact.kinds})
    for word in ("turned", "16-bit grey", "transparent", "palette", "CMYK", "grey"):
        assert word in kinds
    assert len({fact.size for fact in found}) > 100
    assert min(Counter(path.rpartition(".")[2] for path in listed.paths).values()) >= 2
    hidden = [path.name for path in files.folder().rglob(".*")]
    assert {"._IMG_0000.jpg", ".DS_Store"} <= set(hidden)


def test_the_set_of_that_name_has_each_readable_picture_once():
    train, val = (catalogue.load(files.NAME, split) for split in ("train", "val"))
    assert train.labels.bincount().tolist() == [32] * 20
    assert val.labels.bincount().tolist() == [8] * 20
    both = [picture.numpy().tobytes() for half in (train, val) for picture in half.images]
    assert len(set(both)) == len(both) == 800
    assert train.class_names == val.class_names and len(catalogue.load(files.NAME, "val", 2)) == 40


def test_a_turned_picture_is_upright(listed):
    """Its pixels lie on their side in the file: the set has them as the mark says."""
    (path,) = [p for p in listed.paths if p.endswith("IMG_0003.JPG")]
    (fact,) = reading.facts([path], "one", progress=False)
    with files.Image.open(path) as picture:
        assert picture.size == fact.size[::-1] and picture.getexif()[files.TURNED] == 6


def test_what_was_not_written_whole_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "home", lambda: tmp_path)

    def cut_off(root):
        (root / "umbrella").mkdir(parents=True)
        raise OSError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(files, "_write", cut_off)
        with pytest.raises(OSError, match="full"):
            files.folder()
    monkeypatch.setattr(files, "_write", lambda root: root.mkdir(parents=True))
    there = files.folder()
    assert there.is_dir() and not list(there.iterdir())  # nothing of the first try
    assert folders.home() != tmp_path
