"""The rehearsal: the profile that it runs, the pictures that it makes up, what it says at the end.

The rehearsal itself takes minutes: `make rehearse PROFILE=imagenet100`.
"""

import json
import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from cinv_lib.course import rehearsal
from cinv_lib.data import linked, prepared
from cinv_lib.encoders import encoder as encoders
from cinv_lib.lab import plan, trial
from cinv_lib.lab.profiles import IMAGENET100, STL10, own, rehearsed
from cinv_lib.lab.profiles.names import profile
from cinv_lib.lab.trial import Tried
from data_prep import imagenet100, made_up


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A rehearsal's own folders."""
    for name in ("CINV_HOME", "CINV_RUNS"):
        monkeypatch.setenv(name, str(tmp_path / name))
    return tmp_path


@pytest.mark.parametrize("p", [IMAGENET100, STL10], ids=lambda p: p.name)
def test_it_asks_for_the_same_tasks_in_shorter(p, there):
    rehearsed.write_towers(p)
    short = rehearsed.rehearsed(p)
    assert short.name == p.name
    assert list(plan.every(short, 2)) == list(plan.every(p, 2))
    assert [*short.operators] == [*p.operators]
    named = short["known_operator"].fractions  # lesson 06 calls its methods by them
    assert named == p["known_operator"].fractions
    for kind in ("student", "baseline"):
        recipe, whole = short[kind].recipe_at("mask:0.9"), p[kind].recipe_at("mask:0.9")
        assert recipe.epochs == 1 and recipe.batch_size == whole.batch_size
    assert not {short.address(t) for t in plan.every(short, 1).values()} & {
        p.address(t) for t in plan.every(p, 1).values()
    }


def test_two_steps_are_a_training():
    """300 pictures, or 3 of each of 100 classes, in batches of at most 256."""
    for n in (rehearsed.UNLABELLED, 100 * rehearsed.TRAIN):
        assert -(-n // IMAGENET100["student"].recipe.batch_size) == 2


def test_towers_have_the_published_shapes_of_inputs_and_outputs(there):
    for name, folder in zip(
        (IMAGENET100.teacher, IMAGENET100.supervised, IMAGENET100.vit),
        rehearsed.write_towers(IMAGENET100),
        strict=True,
    ):
        tower, whole = encoders.load(folder), rehearsed.shape(name)
        assert tower(torch.zeros(1, 3, 224, 224)).shape == (1, whole["model_cfg"]["embed_dim"])
        assert tower.config["preprocess_cfg"] == whole["preprocess_cfg"]
        assert sum(p.numel() for p in tower.tower.parameters()) < 3e6
    assert encoders.load(rehearsed.tower_folder(IMAGENET100.supervised)).dim == 2048
    assert encoders.load(rehearsed.tower_folder(IMAGENET100.teacher)).clip is not None


def test_only_a_rehearsal_has_the_short_profile(there, monkeypatch):
    monkeypatch.delenv(rehearsed.VARIABLE, raising=False)
    assert profile("stl10") is STL10
    monkeypatch.setenv(rehearsed.VARIABLE, "1")
    rehearsed.write_towers(STL10)
    assert profile("stl10").train_per_class == rehearsed.TRAIN


def test_the_made_up_imagenet_has_the_papers_numbers():
    numbers = made_up.numbers()
    for name, counts in imagenet100.COUNTS.items():
        _, label = imagenet100.labels(name)
        for split, n in counts.items():
            assert sum(numbers[split][wnid] for wnid in label) == n
    assert max(numbers["train"].values()) <= 1300  # none of ImageNet's has more


def test_made_up_pictures_become_the_sets(there, monkeypatch):
    """Of three pictures per class, for speed, by the code that links the real ones."""
    few = {"imagenet100": {"train": 300, "val": 100}}
    monkeypatch.setattr(imagenet100, "COUNTS", few)
    monkeypatch.setattr(imagenet100, "VAL_PER_CLASS", 1)
    monkeypatch.setattr(imagenet100.make, "__defaults__", (False, False, few))
    made_up.make("imagenet100", there / "made-up")
    files = linked.load("imagenet100", "train")
    assert len(files) == 300 and files.labels.bincount().tolist() == [3] * 100
    assert Image.open(files.paths[0]).size == made_up.SIZE
    assert os.stat(files.paths[0]).st_ino == os.stat(files.paths[1]).st_ino  # no disk is used
    made_up.make("covid", there / "made-up")
    assert [len(linked.load("covid", split)) for split in ("train", "val")] == [5286, 624]
    made_up.make("cifar100", there / "made-up")
    hundred = prepared.read("cifar100", "val")
    assert hundred.images.shape[1:] == (3, 32, 32)
    assert hundred.class_names[2] == "made-up 2", 'a sentence would say "the class class 2"'
    with pytest.raises(ValueError, match="cannot be made up"):
        made_up.make("imagenet100c", there / "made-up")


def test_pictures_that_are_here_are_taken(there, monkeypatch):
    """A set of the reader's is linked; of unlabelled pictures a few are taken."""
    yours = Path(os.environ["CINV_HOME"])
    for name in ("stl10", "stl10-unlabelled", "cifar10", "cifar100"):
        monkeypatch.setattr(made_up, "UNLABELLED", 600)
        made_up.downloaded(name)
    lines = list(rehearsal.data(STL10, there / "rehearsal"))
    assert all("yours" in line for line in lines)
    assert (there / "rehearsal/data/stl10").resolve() == yours / "stl10"
    few = prepared.read("stl10-unlabelled", "train")
    assert len(few) == rehearsed.UNLABELLED and len(few.images) < 600
    assert list(rehearsal.data(STL10, there / "rehearsal"))  # a second time changes nothing


def lesson(folder, name, *outputs):
    cell = {"cell_type": "code", "outputs": list(outputs)}
    (folder / "notebooks").mkdir(parents=True, exist_ok=True)
    (folder / "notebooks" / f"{name}.ipynb").write_text(json.dumps({"cells": [cell]}))


def test_each_lesson_is_said_with_its_end(tmp_path, capsys):
    lesson(tmp_path, "01_a")
    markdown = {"text/markdown": "The profile needs what is not here:\n\n- a set of near twins"}
    shown = {"output_type": "display_data", "data": markdown}
    end = {"output_type": "error", "ename": "SystemExit", "evalue": "0"}
    lesson(tmp_path, "10_b", shown, end)
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").touch()
    assert rehearsal.said(tmp_path, 0, 2.0) == 0
    said = capsys.readouterr().out
    assert "01_a: whole" in said and "10_b: lacks: a set of near twins" in said

    fault = {"output_type": "error", "ename": "KeyError", "evalue": "'noise'"}
    lesson(tmp_path, "12_c", fault)
    assert rehearsal.said(tmp_path, 0, 2.0) == 1
    assert "12_c: stopped: KeyError: 'noise'" in capsys.readouterr().out


def test_a_task_that_stopped_or_absent_pages_are_no_success(tmp_path, capsys):
    lesson(tmp_path, "01_a")
    assert rehearsal.said(tmp_path, 0, 1.0) == 1  # no pages
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").touch()
    assert rehearsal.said(tmp_path, 1, 1.0) == 1  # make says that something is wrong
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/blind-mask_0.9-seed0.log.stopped").touch()
    assert rehearsal.said(tmp_path, 0, 1.0) == 1
    assert "see " in (said := capsys.readouterr().out) and "blind-mask_0.9-seed0.log\n" in said


def test_a_run_of_your_own_is_rehearsed_on_a_few_pictures(there):
    photos = there / "photos"
    for kind in ("cats", "dogs"):
        (photos / kind).mkdir(parents=True)
        for i in range(40):
            Image.new("RGB", (64, 64), (i, 0, 0)).save(photos / kind / f"{i}.png")
    given = own.Own(str(photos), "mask:0.9", "stickers-clip", batch_size=8, epochs=25)
    own.write("own/mine", given)
    rehearsal.few_of_your_own("own/mine", there / "rehearsal")
    few = own.read("own/mine")  # now that of the rehearsal
    assert few.epochs == 1 and few.batch_size == 8 and few.teacher == "stickers-clip"
    assert len(list(Path(few.pictures).rglob("*.png"))) == 16  # two batches
    assert {path.name for path in Path(few.pictures).iterdir()} == {"cats", "dogs"}


def test_other_profiles_are_refused(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["rehearsal", "stickers"])
    with pytest.raises(SystemExit):
        rehearsal.main()
    assert "expected imagenet100, stl10 or own/NAME" in capsys.readouterr().err


def test_measured_rates_are_of_the_networks_alone():
    """A student at 900 images a second that waits a tenth of its time: R takes a quarter of it."""
    found = trial.rates(
        Tried("student", 900.0, 0.1, 20.0), Tried("baseline", 2000.0, float("nan"), 18.0)
    )
    assert found["clip trained"] == pytest.approx(1000 * 4 / 3)
    assert found["clip"] == pytest.approx(4000) and found["resnet trained"] == 2000
    assert 1 / found["clip trained"] + 1 / found["clip"] == pytest.approx(1 / 1000)
    assert str(Tried("student", 900.0, 0.1, 20.0)) == (
        "student: 900 images/s, waiting 10% of the time, at most 20.0 GiB of the card in use"
    )
