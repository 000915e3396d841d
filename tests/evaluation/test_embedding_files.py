"""embedding_files: a row for each name, and both files or none."""

import dataclasses

import awkward
import numpy as np
import pandas as pd
import processes
import pytest
import torch

import cinv_lib as ci
from cinv_lib.data.preprocess import Preprocess
from cinv_lib.evaluation import embedding_files


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return awkward.folder(tmp_path_factory.mktemp("pictures") / "mine", classes=2, each=3)


@pytest.mark.filterwarnings("ignore:mine:UserWarning")
def test_each_row_is_the_embedding_of_the_picture_of_its_name(folder, tmp_path):
    encoder = processes.small_encoder()
    made = ci.embed(encoder, folder, tmp_path / "out" / "deep", batch_size=2, progress=False)
    rows, table = np.load(made / "embeddings.npy"), pd.read_csv(made / "names.csv")
    assert rows.shape == (6, encoder.dim) and rows.dtype == np.float32
    assert [*table.columns] == ["name", "label"] and table.label.nunique() == 2
    assert sorted(p.name for p in made.iterdir()) == ["embeddings.npy", "names.csv"]
    seen = Preprocess(16, "shortest", encoder.interpolation)
    for row, name in zip(rows, table.name, strict=True):
        x = ci.data.tensor(seen(ci.data.upright(folder / name)))
        with torch.no_grad():
            want = encoder(x[None] / 255)[0]
        torch.testing.assert_close(torch.from_numpy(row), want, atol=1e-4, rtol=1e-3)


def test_sets_in_memory_and_pairs_have_embeddings_too(image_set, tmp_path):
    encoder = processes.small_encoder()
    made = ci.embed(encoder, image_set, tmp_path / "a", progress=False)
    table = pd.read_csv(made / "names.csv")
    assert table.name.tolist() == list(range(12)) and table.label[0] == "red"
    clean = dataclasses.replace(image_set, images=255 - image_set.images)
    pairs = ci.Pairs(clean, image_set)
    ci.embed(encoder, pairs, tmp_path / "b", progress=False)
    a, b = (np.load(tmp_path / name / "embeddings.npy") for name in "ab")
    assert np.array_equal(a, b)
    bare = ci.ImageSet.from_arrays(image_set.images.permute(0, 2, 3, 1))
    ci.embed(encoder, bare, tmp_path / "a", progress=False)
    assert [*pd.read_csv(tmp_path / "a" / "names.csv").columns] == ["name"]


def test_a_full_disk_leaves_what_was_there(image_set, tmp_path, monkeypatch):
    encoder = processes.small_encoder()
    ci.embed(encoder, image_set, tmp_path, progress=False)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(file, array):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(embedding_files.np, "save", full)
    with pytest.raises(OSError, match="No space left"):
        ci.embed(processes.small_encoder(seed=1), image_set, tmp_path, progress=False)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_no_pictures_say_so_and_write_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no picture"):
        ci.embed(processes.small_encoder(), tmp_path / "empty", tmp_path / "out")
    assert not (tmp_path / "out").exists()
