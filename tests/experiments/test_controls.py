"""Other starts, targets and pictures: each differs from student or baseline in one thing."""

import copy
import math
from dataclasses import replace

import pandas as pd
import pytest
import torch

from cinv_lib.data.catalogue import load
from cinv_lib.encoders.inference import embedded
from cinv_lib.evaluation.probe import zero_shot
from cinv_lib.experiments import controls, trainings
from cinv_lib.experiments.base import Task
from cinv_lib.experiments.start_and_target import COLUMNS, WORDS
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles import SMOKE, STICKERS

MASK, BLUR = "mask:0.9", "blur:2.57"


@pytest.fixture(scope="module")
def lab(folders):
    return Lab("smoke", recorded=False)


def spied(monkeypatch):
    """What distill and finetune are asked for; nothing is trained."""
    seen = {}

    def distill(teacher, images, op, loss, recipe, seed, *_, start=None, attack=None):
        seen.update(target=teacher.name, start=(start or teacher).name, images=images, seed=seed)
        raise InterruptedError

    def finetune(init, images, op, recipe, seed, *_, attack=None):
        seen.update(target="labels", start=init.name, images=images, seed=seed)
        raise InterruptedError

    monkeypatch.setattr(trainings, "distill", distill)
    monkeypatch.setattr(controls, "distill", distill)
    monkeypatch.setattr(trainings, "finetune", finetune)
    return seen


@pytest.mark.parametrize(
    ("kind", "target", "start", "pictures"),
    [
        ("student", "teacher", "teacher", 64),
        ("baseline", "labels", "supervised", 64),
        ("baseline_r", "labels", "teacher", 64),
        ("tower_student", "teacher", "supervised", 64),
        ("tower100_student", "teacher", "supervised_narrow", 64),
        ("student_256", "teacher", "teacher", 64),
        ("words_of_r", "labels", "teacher", 64),
        ("student_60000", "teacher", "teacher", 128),
        ("student_7500", "teacher", "teacher", 96),
        ("words_of_r_60000", "labels", "teacher", 128),
    ],
)
def test_each_training_has_its_start_its_target_and_its_pictures(
    lab, monkeypatch, kind, target, start, pictures
):
    seen = spied(monkeypatch)
    with pytest.raises(InterruptedError):
        lab.made(kind, "mask:0.123", 3)
    named = lambda what: getattr(SMOKE, what, what)  # noqa: E731
    assert (seen["target"], seen["start"]) == (named(target), named(start))
    assert len(seen["images"]) == pictures and seen["seed"] == 3


def test_the_names_that_r_gives_are_those_of_its_words_on_clean_pictures(lab):
    images = load("stickers-100", "train", 2)
    again = controls.named(lab.teacher, images)
    words = zero_shot(lab.teacher, images.class_names)
    expected = words(embedded(lab.teacher, images.images)).argmax(1)
    assert torch.equal(again.labels, expected) and torch.equal(again.images, images.images)
    right = (again.labels == images.labels).float().mean()
    assert right > 0.95, "R names nearly all of them"


def test_pools_are_nested_and_each_seed_has_its_own():
    small, large = (controls.Pool(per_class=n, pictures="stickers-100") for n in (1, 3))
    few, many, other = small.pool(7), large.pool(7), large.pool(8)
    assert torch.equal(few.images, many.images[:100])
    assert torch.equal(few.images, load("stickers-100@7", "train", 1).images)
    assert not torch.equal(many.images, other.images)
    assert torch.equal(many.labels, other.labels)


def test_a_start_of_another_shape_is_refused(lab):
    from cinv_lib.losses import parse as loss
    from cinv_lib.operators import parse
    from cinv_lib.training.recipe import Recipe
    from cinv_lib.training.student import distill

    images, recipe = load("stickers-100", "train", 1), Recipe(1, 64, 1e-3)
    start = copy.copy(lab.supervised)
    start.dim = 7
    with pytest.raises(ValueError, match=r"start with \(dimension, pixels\) \(7, 64\)"):
        distill(lab.teacher, images, parse(MASK), loss("st:0.1"), recipe, 0, start=start)


def test_a_student_that_starts_as_its_teacher_is_the_student(lab):
    from cinv_lib.losses import parse as loss
    from cinv_lib.operators import parse
    from cinv_lib.training.recipe import Recipe
    from cinv_lib.training.student import distill

    images, recipe = load("stickers-100", "train", 1), Recipe(1, 64, 1e-3)
    settings = (images, parse(MASK), loss("st:0.1"), recipe, 0)
    usual, _ = distill(lab.teacher, *settings, progress=False)
    same, _ = distill(lab.teacher, *settings, progress=False, start=lab.teacher)
    other, _ = distill(lab.teacher, *settings, progress=False, start=lab.supervised)
    states = [dict(one.tower.named_parameters()) for one in (usual, same, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not all(torch.equal(states[0][name], states[2][name]) for name in states[0])


# -- scores ----------------------------------------------------------------------------------------
def test_scores_are_on_the_draws_of_known_operator(lab):
    """The student, scored as a control, has the scores that it has there."""
    entry = SMOKE["pools"]
    p = SMOKE.changed({
        "pools": {"operators": {BLUR: {"student": (1.0,)}}, "realisations": 2,
                  "probe": SMOKE["known_operator"].probe},
    })  # fmt: skip
    here = Lab(p, recorded=False)
    found = here.table("pools", BLUR)
    there = here.table("known_operator", BLUR)
    assert list(found.columns) == [*COLUMNS, "seed"] and entry.realisations == 2
    for mine, theirs in (("student", "student"), ("student" + WORDS, "zero_shot")):
        one = found[found.method == mine].set_index("realisation")[["top1", "top5"]]
        two = there[there.method == theirs].set_index("realisation")[["top1", "top5"]]
        pd.testing.assert_frame_equal(one, two)


def test_each_control_says_how_many_labels_it_has_seen(lab):
    rows = pd.concat([lab.table(name, MASK) for name in ("teacher_start", "start_and_target")])
    counted = rows.groupby("method").per_class.agg(["min", "max"])
    assert counted.loc["baseline_r"].tolist() == [2, 2]
    assert counted.loc["words_of_r"].tolist() == [0, 0]
    assert counted.loc["tower_student"].tolist() == [2, 2]
    assert counted.loc["tower_student" + WORDS].tolist() == [0, 0]


def test_batches_of_256_are_looked_at_as_those_of_64_are(lab, tmp_path):
    """With the same student in place of both, the same numbers: probe, pictures, draws."""
    op, entry = SMOKE.slider, SMOKE["batches"]
    student = lab.student(op)
    found = entry.measure(
        entry.task(op), teacher=lab.teacher, student_256=student, train=lab.train, val=lab.val
    )["batches"]
    there = lab.table("ablation", op, loss="st:0.1").query("severity == 0.9")
    expected = there[found.columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected, check_exact=False, atol=1e-4)


# -- the profile -----------------------------------------------------------------------------------
def names_of_sets(described) -> set[str]:
    if isinstance(described, dict):
        return set().union(*map(names_of_sets, described.values()), set())
    if isinstance(described, list) and described and isinstance(described[0], str):
        return (
            {described[0]} if described[0].startswith("stickers-") and len(described) > 1 else set()
        )
    return set()


@pytest.mark.parametrize("entry", STICKERS.entries, ids=lambda e: e.name)
def test_a_seed_has_pictures_of_its_own_and_no_other_seeds(entry):
    for task in entry.tasks([11]) if hasattr(entry, "tables") else []:
        if task.seed == 11:
            sets = names_of_sets(STICKERS.describe(task))
            assert all(name.endswith("@11") for name in sets), sets


@pytest.mark.parametrize("seed", [11, 12, 13, 14, 15])
def test_a_set_of_each_recorded_seed_has_the_pictures_that_are_asked_for(seed):
    """Of digits and faces a seed has one of five folds, which is smaller than the usual split."""
    for name, classes in (("digits", 10), ("faces", 2)):
        for split, n in zip(("train", "val"), STICKERS["transfer"].sets[name], strict=True):
            assert len(load(f"{name}@{seed}", split, n)) == n * classes
    assert STICKERS["starts_transferred"].sets == STICKERS["transfer"].sets


def test_no_entry_is_called_as_what_a_lab_gives():
    """It would be handed over in its place."""
    given = {
        "teacher",
        "supervised",
        "supervised_narrow",
        "vit",
        "train",
        "val",
        "unlabelled",
        "twins",
    }
    for p in (STICKERS, SMOKE):
        assert not given & {entry.name for entry in p.entries}


def test_a_lab_has_the_pictures_of_the_seed_that_it_makes(monkeypatch, tmp_path):
    monkeypatch.setenv("CINV_RUNS", str(tmp_path))
    p = SMOKE.changed({}, redrawn=True)
    lab, seen, pools = Lab(p, recorded=False), {}, type(p["pools"])

    def measure(self, task, train, val, twins):
        seen.update(train=train.name, val=val.name, twins=twins.name)

    monkeypatch.setattr(pools, "measure", measure)
    monkeypatch.setattr(pools, "needs", lambda *_: {n: n for n in ("train", "val", "twins")})
    monkeypatch.setattr(pools, "keep", lambda *_: None)
    assert lab.val.name == "stickers-32"
    lab.folder(p["pools"].task(MASK, 12))
    expected = {"train": "stickers-32", "val": "stickers-32", "twins": "stickers-32-shift"}
    assert seen == {which: f"{name}@12" for which, name in expected.items()}
    assert lab.val.name == "stickers-32", "what a reader looks at is as it was"


def test_rates_are_by_the_kind_of_operator_and_the_smallest_of_a_mixture():
    entry = trainings.Student(
        recipe=SMOKE["student"].recipe, full=(MASK,), side_epochs=5,
        rates={"mask": 3e-3, "noise": 1e-3}, epochs={BLUR: 9},
    )  # fmt: skip
    assert entry.recipe_at(MASK).lr == entry.recipe_at("mask:0.5..0.95").lr == 3e-3
    assert entry.recipe_at("mask:0.9|noise:0.5").lr == 1e-3
    assert entry.recipe_at(BLUR).lr == SMOKE["student"].recipe.lr
    assert (entry.recipe_at(BLUR).epochs, entry.recipe_at("noise:0.5").epochs) == (9, 5)


@pytest.mark.parametrize("loss", STICKERS["batches"].losses)
def test_batches_of_256_differ_in_that_alone_and_take_as_many_steps(loss):
    small, large = (
        STICKERS.describe(STICKERS[kind].task(STICKERS.slider, 11, loss))
        for kind in ("student", "student_256")
    )
    recipes, pictures = [one.pop("recipe") for one in (small, large)], len(lab_of_11().train)
    steps = [r.epochs * math.ceil(pictures / r.batch_size) for r in recipes]
    assert steps == [480, 480] and [r.batch_size for r in recipes] == [64, 256]
    same = {"epochs": recipes[0].epochs, "batch_size": 64}
    assert replace(recipes[1], **same) == recipes[0]
    assert small | {"kind": "student_256"} == large
    for setting in ("severities", "val_per_class", "realisations"):
        assert getattr(STICKERS["batches"], setting) == getattr(STICKERS["ablation"], setting)
    assert STICKERS["batches"].probe == STICKERS["probe"].recipe


def lab_of_11() -> Lab:
    return Lab("stickers", recorded=False).of_seed(11)


def test_a_model_of_another_seed_is_not_taken():
    task = STICKERS["start_and_target"].task(MASK, 13)
    for need in STICKERS.needs(task)["models"].values():
        assert isinstance(need, Task) and need.seed == 13
