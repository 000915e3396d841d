"""A student that is fine-tuned: two halves, their draws, the same result however often killed."""

import math
from dataclasses import replace

import pandas as pd
import processes
import pytest
import torch

from cinv_lib import losses, operators
from cinv_lib.encoders import weight_files
from cinv_lib.encoders.config import TOWER_FILES
from cinv_lib.experiments import finetuned
from cinv_lib.experiments.base import LOSS
from cinv_lib.experiments.finetuned import Finetuned
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles import SMOKE
from cinv_lib.training import baseline, history
from cinv_lib.training.baseline import Classifier, finetune
from cinv_lib.training.recipe import Recipe
from cinv_lib.training.student import distill

OP = "mask:0.5"
RECIPE = Recipe(epochs=4, batch_size=6, lr=1e-3, precision="fp32")  # of 12 pictures: 8 steps
ENTRY = Finetuned(recipe=RECIPE, full=(OP,), side_epochs=3, finetune_lr=5e-4)
FILES = ("head.pt", f"encoder/{TOWER_FILES[1]}", "history.csv")


@pytest.fixture
def R():
    return processes.small_encoder()


@pytest.fixture
def pictures():
    return processes.small_pictures(12)


def build(folder, R, pictures, seed=2, entry=ENTRY):
    folder.mkdir(exist_ok=True)
    entry.build(folder, entry.task(OP, seed), R, pictures, pictures)
    return folder


@pytest.mark.parametrize(("epochs", "halves"), [(30, (15, 15)), (15, (8, 7)), (2, (1, 1))])
def test_halves_of_the_epochs(epochs, halves):
    entry = replace(ENTRY, recipe=replace(RECIPE, epochs=epochs))
    first, second = entry.halves(OP)
    assert (first.epochs, second.epochs) == halves
    assert (first.lr, second.lr) == (RECIPE.lr, 5e-4)
    assert replace(second, lr=RECIPE.lr, epochs=1) == replace(first, epochs=1)
    assert [half.epochs for half in entry.halves("noise:0.5")] == [2, 1]  # of side_epochs


def test_of_one_epoch_each_half_has_it():
    assert [h.epochs for h in replace(ENTRY, side_epochs=1).halves("noise:0.5")] == [1, 1]


def test_it_is_a_distillation_and_then_a_fine_tuning_of_its_student(R, pictures, tmp_path):
    folder = build(tmp_path / "it", R, pictures)
    op, (first, second) = operators.parse(OP), ENTRY.halves(OP)
    S, before = distill(R, pictures, op, losses.parse(LOSS), first, 2, progress=False)
    want, after = finetune(S, pictures, op, second, 1002, progress=False)
    head = torch.load(folder / FILES[0], weights_only=True)
    assert torch.equal(head["weight"], want.head.weight)
    made = weight_files.read(folder / FILES[1])
    for name, value in want.encoder.tower.state_dict().items():
        kept = value.half() if value.is_floating_point() else value
        assert torch.equal(made[name].to(kept), kept), name
    rows = pd.read_csv(folder / "history.csv")
    assert rows.step.tolist() == [*range(8)] and rows.epoch.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert rows.loss.tolist() == pytest.approx([*before.loss, *after.loss], rel=1e-4)
    assert rows.lr.tolist() == pytest.approx([*before.lr, *after.lr], rel=1e-4)
    assert sorted(path.name for path in folder.iterdir()) == ["encoder", "head.pt", "history.csv"]


def test_the_second_half_meets_no_corruption_of_the_first(R, pictures, tmp_path, monkeypatch):
    seen, apply = [], operators.RandomMask.apply

    def watched(self, x, severities, generator=None):
        y = apply(self, x, severities, generator)
        seen.extend((y != 0).any(dim=1).flatten(1).numpy().tobytes() for y in y.split(1))
        return y

    monkeypatch.setattr(operators.RandomMask, "apply", watched)
    build(tmp_path / "apart", R, pictures)
    masks = seen[-48:]  # 4 epochs of 12 pictures
    assert len(masks) == len(set(masks)) == 48
    monkeypatch.setattr(finetuned, "SECOND_HALF", 0)
    seen.clear()
    build(tmp_path / "alike", R, pictures)
    assert len(set(seen[-48:])) == 24  # what it is there for


def test_killed_and_resumed_at_any_point_it_is_the_same(R, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(history, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(history, "SAVE_SHARE", math.inf)
    steps, kill_at = [], [0]

    def counted(function):
        def call(*given):
            steps.append(1)
            if len(steps) == kill_at[0]:
                raise KeyboardInterrupt
            return function(*given)

        return call

    monkeypatch.setattr(losses.Loss, "__call__", counted(losses.Loss.__call__))
    monkeypatch.setattr(baseline.F, "cross_entropy", counted(baseline.F.cross_entropy))
    whole = build(tmp_path / "whole", R, pictures)
    assert len(steps) == 8
    for kill in range(1, 9):
        steps.clear()
        kill_at[0] = kill
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / str(kill), R, pictures)
        steps.clear()
        kill_at[0] = 0
        folder = build(tmp_path / str(kill), R, pictures)
        assert len(steps) == 9 - kill, "a step that was kept is taken once"
        for name in FILES[:2]:
            assert (folder / name).read_bytes() == (whole / name).read_bytes(), (kill, name)
        rows, want = (pd.read_csv(at / FILES[2]) for at in (folder, whole))
        pd.testing.assert_frame_equal(*(t.drop(columns="images_per_s") for t in (rows, want)))


def test_killed_when_the_result_is_written_it_is_made_again(R, pictures, tmp_path, monkeypatch):
    whole = build(tmp_path / "whole", R, pictures)
    keep = finetuned.keep_classifier

    def killed(*given):
        keep(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(finetuned, "keep_classifier", killed)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "late", R, pictures)
    monkeypatch.setattr(finetuned, "keep_classifier", keep)
    late = build(tmp_path / "late", R, pictures)
    assert all((late / name).read_bytes() == (whole / name).read_bytes() for name in FILES[:2])


# -- in a lab --------------------------------------------------------------------------------------
SHORT = replace(SMOKE["student"].recipe, epochs=2)
P = replace(
    SMOKE,
    train_per_class=1,
    entries=(*SMOKE.entries, Finetuned(recipe=SHORT, full=(), side_epochs=2, finetune_lr=1e-3)),
)


def test_a_lab_makes_it_as_it_makes_a_baseline():
    lab = Lab(P, recorded=False)
    made = lab.made("finetuned", OP)
    assert isinstance(made, Classifier) and not made.training
    assert len(made.head.weight) == len(lab.train.class_names)
    assert lab.history("finetuned", OP).epoch.unique().tolist() == [0, 1]


def test_what_it_is_made_of_moves_its_address():
    task = P["finetuned"].task(OP)
    assert P.after(task) == []
    assert set(P.describe(task)["needs"]) == {"teacher", "unlabelled", "train"}
    addresses = {
        P.address(task),
        P.address(replace(task, loss="mse")),
        P.changed({"finetuned": {"finetune_lr": 2e-3}}).address(task),
        P.changed({"finetuned": {"recipe": replace(SHORT, lr=0.5)}}).address(task),
    }
    assert len(addresses) == 4
