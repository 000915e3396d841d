"""data_prep covid: the layout of Kaggle's CoronaHack set."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cinv_lib.data import linked
from data_prep import covid

ROWS = [  # name, label, split; the other columns are as in the set
    ("IM-0128-0001.jpeg", "Normal", "TRAIN", None, None),
    ("IM-0127-0001.jpeg", "Normal", "TRAIN", None, None),
    ("person1_bacteria_1.jpeg", "Pnemonia", "TRAIN", None, "bacteria"),
    ("7AF6C1AF.jpeg", "Pnemonia", "TRAIN", "COVID-19", "Virus"),
    ("person2_virus_2.jpg", "Pnemonia", "TEST", None, "Virus"),
    ("IM-0001-0001.jpeg", "Normal", "TEST", None, None),
    ("IM-0003-0001.jpeg", "Normal", "TEST", None, None),
]
NAMES = ["X_ray_image_name", "Label", "Dataset_type", "Label_2_Virus_category",
         "Label_1_Virus_category"]  # fmt: skip


@pytest.fixture(params=["nested", "plain"])
def source(request, tmp_path):
    root = tmp_path / "coronahack"
    inner = root / covid.PICTURES
    inner = inner / covid.PICTURES if request.param == "nested" else inner
    for i, (name, _, split, *_) in enumerate(ROWS):
        (inner / split.lower()).mkdir(parents=True, exist_ok=True)
        grey = np.full((30 + i, 40), 20 * i, dtype=np.uint8)
        Image.fromarray(grey).save(inner / split.lower() / name)
    Image.fromarray(grey).save(inner / "train" / "in-no-table.jpeg")
    pd.DataFrame(ROWS, columns=NAMES).to_csv(root / covid.TABLE)
    return root


def rewrite(source: Path, **columns) -> None:
    table = pd.read_csv(source / covid.TABLE, index_col=0)
    table.assign(**columns).to_csv(source / covid.TABLE)


def test_pictures_get_the_labels_of_the_table(source, home, capsys):
    covid.make(source, check=True)
    said = capsys.readouterr().out
    assert "OK  covid/train: 4 pictures (the paper has 5,286), 2 of them infected" in said
    assert "OK  covid/val: 3 pictures (the paper has 624), 1 of them infected" in said
    for split, kind in (("train", "TRAIN"), ("val", "TEST")):
        files = linked.load("covid", split)
        want = {name: int(label == "Normal") for name, label, s, *_ in ROWS if s == kind}
        got = {Path(p).name: k for p, k in zip(files.paths, files.labels.tolist(), strict=True)}
        assert got == want
        assert files.class_names == ("infected", "normal")
        assert all(Path(p).is_symlink() for p in files.paths)
        place = [row[0] for row in ROWS].index(Path(files.paths[0]).name)
        assert (files.decode()[0].float() - 20 * place).abs().max() <= 2  # grey, three times


def test_the_papers_numbers_are_said_to_be_so(source, home, capsys, monkeypatch):
    monkeypatch.setattr(covid, "COUNTS", {"train": 4, "val": 3})
    covid.make(source)
    assert capsys.readouterr().out.count("(as in the paper)") == 2


def test_missing_and_damaged_pictures_are_named(source, home, capsys):
    (gone,) = source.rglob("7AF6C1AF.jpeg")
    gone.unlink()
    with pytest.raises(ValueError, match=r"1 of 7 pictures .*train/7AF6C1AF\.jpeg.*--partial"):
        covid.make(source)
    covid.make(source, partial=True)
    assert len(linked.load("covid", "train")) == 3
    (cut,) = source.rglob("person2_virus_2.jpg")
    cut.write_bytes(cut.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"person2_virus_2\.jpg cannot be read"):
        covid.make(source, partial=True, check=True)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"Label": ["Normal"] * 6 + ["Pneumonia"]}, "Label is 'Pneumonia'; expected Pnemonia"),
        ({"Dataset_type": ["TRAIN"] * 6 + [None]}, "Dataset_type is ''; expected TRAIN, TEST"),
        ({"X_ray_image_name": ["../../etc/x.jpeg"] * 7}, "'../../etc/x.jpeg' .*not the name of a"),
        ({"X_ray_image_name": ["IM-0128-0001.jpeg"] * 7}, "names IM-0128-0001.jpeg twice"),
    ],
)
def test_a_table_that_is_not_coronahacks_is_refused(columns, words, source, home):
    rewrite(source, **columns)
    with pytest.raises(ValueError, match=words):
        covid.make(source)


def test_another_folder_is_refused(source, home, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Metadata\.csv is absent: unpack Kaggle's"):
        covid.make(tmp_path)
    table = pd.read_csv(source / covid.TABLE, index_col=0)
    table.drop(columns="Label").to_csv(source / covid.TABLE)
    with pytest.raises(ValueError, match="has no column Label; it has"):
        covid.make(source)
    table.to_csv(tmp_path / covid.TABLE)
    with pytest.raises(FileNotFoundError, match="train is absent: unpack the set's pictures"):
        covid.make(tmp_path)


@pytest.mark.parametrize("data", [b"Label,\xff\n", b'a,b\n1,2,3\n4,5,6,7,8\n"', b""])
def test_a_damaged_table_is_named(tmp_path, data):
    (tmp_path / covid.TABLE).write_bytes(data)
    with pytest.raises(ValueError, match=r"Metadata\.csv .*download the table again"):
        covid.make(tmp_path)
