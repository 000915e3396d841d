"""The public face: what `import cinv_lib as ci` offers, lazily, and how it understands texts."""

import dataclasses
import inspect
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import awkward
import pandas as pd
import pytest
import torch
from jaxtyping import config as jaxtyping_config

import cinv_lib as ci
from cinv_lib import face
from cinv_lib.evaluation import probe, scores
from cinv_lib.lab.profiles import paper
from cinv_lib.losses.equations import Loss
from cinv_lib.operators import base
from cinv_lib.operators.basic import GaussianNoise, RandomMask
from cinv_lib.training import student as training

FOLDERS = {
    "machine", "losses", "theory", "operators", "data", "encoders", "training", "evaluation",
    "experiments", "plots", "lab", "paper", "course",
}  # fmt: skip
NAMES = {
    "Operator", "parse_operator", "ImageSet", "ImageFiles", "Pairs", "Shards", "load_images",
    "Encoder", "load_encoder", "save_encoder", "distill", "fit_probe", "evaluate", "embed",
    "summary", "Lab", "Recipe", "ProbeRecipe",
}  # fmt: skip
ONE = ci.Recipe(epochs=1, batch_size=6, lr=1e-3)
QUICK = ci.ProbeRecipe(epochs=2, batch_size=6)
FUNCTIONS = [value for value in vars(face).values() if inspect.isfunction(value)]
FUNCTIONS = [f for f in FUNCTIONS if f.__module__ == face.__name__]


def in_a_fresh_python(text: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=False,
        cwd=Path(face.__file__).parents[1],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def teacher():
    return ci.load_encoder("stickers-clip")


@pytest.fixture
def own_checks():
    """What a reader meets, without the type checks of the tests."""
    jaxtyping_config.update("jaxtyping_disable", True)
    yield
    jaxtyping_config.update("jaxtyping_disable", False)


# -- what there is -----------------------------------------------------------------------------
def test_the_list_is_the_public_one():
    assert set(ci.__all__) == set(dir(ci)) == NAMES | FOLDERS
    for name in ci.__all__:
        assert getattr(ci, name) is not None
    assert re.fullmatch(r"\d+\.\d+\.\d+", ci.__version__)


def test_every_function_of_the_face_is_in_the_list():
    assert {f.__name__ for f in FUNCTIONS} < NAMES


def test_import_alone_imports_next_to_nothing():
    code = "import sys, cinv_lib; print(*{n.partition('.')[0] for n in sys.modules})"
    loaded = set(in_a_fresh_python(code).split())
    assert not loaded & {"torch", "numpy", "pandas", "matplotlib", "open_clip", "platformdirs"}
    host = "import sys; from cinv_lib.machine import host; print(*sys.modules)"
    assert not set(in_a_fresh_python(host).split()) & {"torch", "numpy", "pandas"}


def test_import_takes_a_fifth_of_a_second():
    def seconds(code: str) -> float:
        start = time.perf_counter()
        in_a_fresh_python(code)
        return time.perf_counter() - start

    # the best of several: others use this machine too
    with_it, without = (min(seconds(code) for _ in range(5)) for code in ("import cinv_lib", ""))
    assert with_it - without < 0.2


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_every_function_says_what_it_takes_and_raises(function):
    text = inspect.getdoc(function)
    assert re.search(r"lesson \d\d|`load_encoder", text) and "Raises" in text
    given = [name for name in inspect.signature(function).parameters]
    # names and types say enough of these
    plain = {"seed", "progress", "op", "images", "encoder", "folder", "teacher"}
    said = text.partition("Args:")[2]
    for name in set(given) - plain:
        assert re.search(rf"^ *(\w+, )*{name}(, \w+)*:", said, re.M), name


# -- texts and objects -------------------------------------------------------------------------
def test_texts_and_objects_are_one(teacher, image_set):
    by_text, history = ci.distill(
        teacher, image_set, "mask:0.5", "st:0.5", ONE, seed=3, progress=False
    )
    by_object, again = training.distill(
        teacher, image_set, RandomMask(0.5), Loss("st", 0.5), ONE, 3, progress=False
    )
    given, other = by_text.state_dict(), by_object.state_dict()
    assert all(torch.equal(given[key], other[key]) for key in given)
    assert history.loss.equals(again.loss) and len(history) == 2

    head = ci.fit_probe(by_text, image_set, "noise:0.2", QUICK, seed=1)
    want = probe.train(by_text, image_set, GaussianNoise(0.2), QUICK, 1)
    assert torch.equal(head.weight, want.weight)

    found = ci.evaluate({"student": (by_text, head)}, image_set, "mask:0.5", 3, progress=False)
    want = scores.evaluate_heads(
        [(by_text, {"student": head})], image_set, RandomMask(0.5), 3, progress=False
    )
    pd.testing.assert_frame_equal(found, want)
    assert ci.summary(found).n.tolist() == [3]


def test_heads_of_one_encoder_share_its_forwards_and_whole_models_go_along(image_set):
    calls = []

    def encoder(x):
        calls.append(len(x))
        return x.mean((2, 3))

    def brightest(x):
        return x.mean((2, 3))

    double = torch.nn.Linear(3, 3, bias=False)
    torch.nn.init.eye_(double.weight)
    models = {"one": (encoder, double), "two": (encoder, torch.nn.Identity()), "whole": brightest}
    found = ci.evaluate(models, image_set, "noise:0.01", realisations=2, progress=False)
    assert sum(calls) == 2 * len(image_set)
    assert found.groupby("model", sort=False).top1.mean().to_dict() == dict.fromkeys(models, 100.0)


def test_a_function_is_no_operator_and_is_refused_at_once(teacher, image_set, own_checks):
    def halved(x):
        return x / 2

    for call in (
        lambda: ci.parse_operator(halved),
        lambda: ci.distill(teacher, image_set, halved, recipe=ONE),
        lambda: ci.fit_probe(teacher, image_set, halved, QUICK),
        lambda: ci.evaluate({"teacher": teacher}, image_set, halved),
    ):
        with pytest.raises(
            ValueError, match=r"halved at .* is no operator;(.|\n)*class Rows\(ci\."
        ):
            call()


def test_an_operator_of_ones_own_is_known_to_the_face_and_to_the_lab():
    class Columns(ci.Operator):
        name, limits = "columns", (0.0, 1.0)

        def apply(self, x, severities, generator=None):
            keep = torch.rand(len(x), 1, 1, x.shape[3], generator=generator, device=x.device)
            return x * (keep >= severities.to(x).view(-1, 1, 1, 1))

    try:
        assert ci.parse_operator("columns:0.25") == Columns(0.25)
        lab = ci.Lab("smoke")
        student, task = lab.student("columns:0.5"), lab.task("student", "columns:0.50")
        assert lab.finished(task) and "columns_0.5-seed0" in lab.folder(task).name
        assert student(torch.rand(1, 3, 64, 64)).shape == (1, 128)
    finally:
        del base.OPERATORS["columns"]


def test_what_is_not_said_is_as_in_the_paper():
    defaults = {f: inspect.signature(f).parameters for f in (ci.distill, ci.fit_probe, ci.evaluate)}
    assert defaults[ci.distill]["recipe"].default == paper.STUDENT
    assert defaults[ci.distill]["loss"].default == "st:0.1"
    assert defaults[ci.fit_probe]["recipe"].default == paper.PROBE
    assert defaults[ci.evaluate]["realisations"].default == 10


def test_images_and_encoders_by_name(teacher, tmp_path):
    val = ci.load_images("stickers-100", "val", n=1)
    assert isinstance(val, ci.ImageSet) and len(val) == 100
    folder = ci.save_encoder(teacher, tmp_path / "teacher", dtype=torch.float16)
    assert isinstance(ci.load_encoder(folder), ci.Encoder)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    mine = ci.save_encoder(ci.Encoder.wrap(module, 4), tmp_path / "mine")
    assert ci.load_encoder(mine, tower=module).dim == 5


# -- pictures of one's own ---------------------------------------------------------------------
@pytest.fixture
def my_pictures(tmp_path):
    return awkward.folder(tmp_path / "my_pictures")


def test_the_lines_of_the_design_run_on_a_folder_as_readers_have_it(teacher, my_pictures, tmp_path):
    train, val = ci.ImageFiles.from_folder(my_pictures).split(0.8, seed=0)
    student, history = ci.distill(teacher, train, "mask:0.5", recipe=ONE, seed=0, progress=False)
    head = ci.fit_probe(student, train, "mask:0.5", QUICK)
    found = ci.evaluate({"student": (student, head)}, val, "mask:0.5", progress=False)
    assert found.top1.between(0, 100).all() and len(history) == 4
    before = student.state_dict()
    again = ci.load_encoder(ci.save_encoder(student, tmp_path / "student")).state_dict()
    assert all(torch.equal(again[key], before[key]) for key in again)


def test_without_labels_there_is_a_student_and_a_sentence(teacher, my_pictures):
    pictures = ci.ImageFiles.from_folder(my_pictures, labelled=False)
    student, history = ci.distill(teacher, pictures, "mask:0.5", recipe=ONE, progress=False)
    assert len(history) == 4
    for needs_them in (
        lambda: ci.fit_probe(student, pictures, "mask:0.5", QUICK),
        lambda: ci.evaluate({"student": student}, pictures),
    ):
        with pytest.raises(ValueError, match=r"my_pictures has no labels; expected two classes or"):
            needs_them()


def test_one_class_is_said(teacher, my_pictures):
    folder = next(path for path in sorted(my_pictures.iterdir()) if (path / "deep").is_dir())
    one = ci.ImageFiles.from_folder(my_pictures).subset(torch.arange(4))
    only = my_pictures.parent / "one"
    only.mkdir()
    folder.rename(only / "cat")
    assert len(one.class_names) == 4
    with pytest.raises(
        ValueError, match="one has one class, 'cat'; expected two classes or more to"
    ):
        ci.fit_probe(teacher, ci.ImageFiles.from_folder(only))


def test_pairs_need_no_operator_and_are_scored_as_they_are(teacher, image_set):
    dark = dataclasses.replace(image_set, images=image_set.images // 2)
    pairs = ci.Pairs(image_set, dark)
    student, history = ci.distill(teacher, pairs, loss="st:0.5", recipe=ONE, seed=0, progress=False)
    assert len(history) == 2
    head = ci.fit_probe(student, pairs, recipe=QUICK)
    assert torch.equal(head.weight, ci.fit_probe(student, dark, recipe=QUICK).weight)
    found = ci.evaluate({"student": (student, head)}, pairs, progress=False)
    want = ci.evaluate({"student": (student, head)}, dark, progress=False)
    pd.testing.assert_frame_equal(found, want)
    assert len(found) == 1  # there is no chance in it

    with pytest.raises(
        ValueError, match=r"no operator for test; expected one, as 'mask:0\.9', or Pa"
    ):
        ci.distill(teacher, image_set, recipe=ONE)
    for twice in (
        lambda: ci.distill(teacher, pairs, "mask:0.5", recipe=ONE),
        lambda: ci.fit_probe(teacher, pairs, "mask:0.5", QUICK),
        lambda: ci.evaluate({"teacher": teacher}, pairs, "mask:0.5"),
    ):
        with pytest.raises(ValueError, match=r"are ruined already, and mask:0\.5 would ruin them"):
            twice()


# -- outside the repository --------------------------------------------------------------------
def test_data_and_runs_stand_in_the_users_folder_where_there_is_no_repository(
    monkeypatch, tmp_path
):
    import platformdirs

    from cinv_lib.machine import folders

    for name in ("CINV_HOME", "CINV_RUNS", "CINV_PROGRESS"):
        monkeypatch.delenv(name, raising=False)
    assert folders.in_checkout() and folders.runs("smoke") == folders.ROOT / "runs" / "smoke"
    monkeypatch.setattr(folders, "ROOT", tmp_path / "site-packages")
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda *a, **k: str(tmp_path / "me"))
    assert not folders.in_checkout()
    assert folders.home() == tmp_path / "me" / "data"
    assert folders.runs("smoke") == tmp_path / "me" / "runs" / "smoke"
    assert folders.progress_file() == tmp_path / "me" / "progress.json"
    monkeypatch.setenv("CINV_RUNS", os.fspath(tmp_path / "there"))
    assert folders.runs("smoke") == tmp_path / "there" / "smoke"
