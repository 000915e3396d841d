"""What describes a task: names of what is published, fingerprints of what is a reader's own."""

from dataclasses import replace

import pytest
import torch

from cinv_lib.encoders import encoder as encoders
from cinv_lib.lab import given, missing, plan
from cinv_lib.lab import lab as lab_module
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles import PROFILES, SMOKE

TASKS = plan.every(SMOKE, 1).values()


def saved(folder, shift):
    """An encoder in a folder of the reader's own, its weights moved by `shift`."""
    made = encoders.load("stickers-clip")
    with torch.no_grad():
        next(made.tower.parameters()).add_(shift)
    return str(encoders.save(made, folder))


def needs_teacher(p, task):
    needs = p.needs(task)
    return "teacher" in needs.values() or any(needs_teacher(p, one) for one in p.after(task))


@pytest.mark.parametrize("file", ["", "open_clip_model.safetensors"])
def test_other_weights_under_the_same_name_are_another_teacher(tmp_path, file):
    """Else one who trains a teacher anew is handed the student of yesterday's."""
    own = replace(SMOKE, teacher=str(tmp_path / "mine" / file) if file else str(tmp_path / "mine"))
    saved(tmp_path / "mine", 0.0)
    before = {task: own.address(task) for task in TASKS}
    assert before == {task: own.address(task) for task in TASKS}
    saved(tmp_path / "mine", 0.1)
    moved = {task for task in TASKS if own.address(task) != before[task]}
    assert moved == {task for task in TASKS if needs_teacher(SMOKE, task)}
    assert {"student", "known_operator"} <= {task.kind for task in moved}
    assert "baseline" not in {task.kind for task in moved}
    saved(tmp_path / "mine", 0.0)
    assert before == {task: own.address(task) for task in TASKS}, "the first weights again"


def test_other_means_of_the_same_weights_are_another_teacher(tmp_path):
    own = replace(SMOKE, teacher=saved(tmp_path / "mine", 0.0))
    task = own["student"].task("mask:0.9")
    before, config = own.address(task), tmp_path / "mine" / "open_clip_config.json"
    text = config.read_text()
    assert '"mean"' in text
    config.write_text(text.replace('"mean": [', '"mean": [\n      ').replace("0.4", "0.3"))
    assert own.address(task) != before


@pytest.mark.parametrize("p", PROFILES.values(), ids=lambda p: p.name)
def test_what_is_embedded_or_published_keeps_its_name(p, tmp_path, monkeypatch):
    """Also where a folder of the reader's is called like an embedded one."""
    (tmp_path / "stickers-clip").mkdir()
    monkeypatch.chdir(tmp_path)
    needs = p.describe(p["student"].task("mask:0.9"))["needs"]
    assert needs["teacher"] == p.teacher
    assert p.describe(p["baseline"].task("mask:0.9"))["needs"]["supervised"] == p.supervised


def test_a_teacher_of_another_size_moves_what_sees_pictures_of_that_size(tmp_path):
    """A lab resizes its pictures for the teacher; the baseline is then trained on those."""
    config = encoders.load("stickers-supervised").config
    config["model_cfg"]["vision_cfg"]["image_size"] = config["preprocess_cfg"]["size"] = 32
    small = replace(
        SMOKE, teacher=str(encoders.save(encoders._build("", config), tmp_path / "small"))
    )
    assert Lab(small).train.images.shape[-1] == 32 != Lab(SMOKE).train.images.shape[-1]
    task = SMOKE["baseline"].task("mask:0.9")
    assert small.address(task) != SMOKE.address(task)
    alike = replace(
        small, **dict.fromkeys(("supervised", "supervised_narrow", "vit"), small.teacher)
    )
    assert alike.describe(task)["needs"]["train"] == ["stickers-32", "train", 2]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "a student in 1 epochs of 2 pictures per class, and kept"),
        ({"train_per_class": None}, "of all pictures of stickers-32, and"),
        ({"unlabelled": "stickers"}, "of all pictures of stickers, and"),
    ],
)
def test_what_a_training_costs_is_said_without_reading_a_picture(
    changed, said, monkeypatch, tmp_path, capsys
):
    """Outside a checkout, before a measurement that needs the validation pictures alone."""
    missing._say.cache_clear()
    monkeypatch.setattr(lab_module.folders, "in_checkout", lambda: False)
    monkeypatch.setattr(given.catalogue, "to_train", None)
    lab = Lab(replace(SMOKE, **changed), recorded=False)
    monkeypatch.setattr(type(SMOKE["ablation"]), "make", lambda *_, **__: None)
    monkeypatch.setattr(type(SMOKE), "needs", lambda *_: {"val": "val"})
    for _ in range(2):
        lab.build(lab.task("ablation", SMOKE.slider), tmp_path)
    err = capsys.readouterr().err
    assert err.count("are not installed with the package") == 1 and said in err
