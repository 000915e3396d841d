"""The ward of lesson 17: its instruments show each cause where it is, and nowhere else."""

import pandas as pd
import pytest
import torch

from cinv_lib.course import ward
from cinv_lib.course.lessons import lesson_17
from cinv_lib.course.workbook import progress_record
from cinv_lib.data.catalogue import load
from cinv_lib.data.image_set import to_float
from cinv_lib.experiments.patients import LOOPS
from cinv_lib.lab import lab as labs
from cinv_lib.lab.profiles import rehearsed
from cinv_lib.lab.profiles.smoke import SMOKE
from cinv_lib.lab.profiles.stickers import STICKERS
from cinv_lib.training import faults


@pytest.fixture(scope="module")
def lab():
    return labs.Lab("smoke", recorded=False)


@pytest.fixture(scope="module")
def patients(lab):
    return ward.ward(lab, 0)


def test_the_pictures_are_those_that_the_training_of_this_seed_had(lab, monkeypatch):
    redrawn = labs.Lab(SMOKE.changed({}, redrawn=True), recorded=False)
    kept = {name: lab.table(name) for name in ("patients_steps", "patients")}
    monkeypatch.setattr(redrawn, "table", lambda name, seeds: kept[name])
    own = {seed: load(f"stickers-32@{seed}", "train", 2).images[0] for seed in (11, 12)}
    for seed, image in own.items():
        shown = ward.ward(redrawn, seed)["A"].clean(0)
        assert torch.equal(shown, to_float(image))
    assert not torch.equal(*own.values())


def with_cause(cause):
    return {name for name, found in ward.causes().items() if found == cause}


def test_one_patient_is_sound_and_the_others_have_causes_that_are_listed():
    assert len(ward.causes()) == len(LOOPS) - 1
    assert set(ward.causes().values()) < set(ward.CAUSES)
    assert len(set(ward.CAUSES)) == len(set(ward.MEASUREMENTS)) == 10
    assert set(lesson_17.RULED_OUT) == set(ward.CAUSES)
    assert {m for by in lesson_17.SHOWN_BY.values() for m in by} < set(ward.MEASUREMENTS)


def test_holes(patients):
    black = {
        name: bool(((p.seen(0, 0) == 0) | (p.seen(0, 0) == p.clean(0))).all())
        for name, p in patients.items()
    }
    assert {n for n in black if not black[n]} == with_cause("the holes are not black")


def test_two_epochs(patients):
    same = {n for n, p in patients.items() if torch.equal(p.seen(0, 3), p.seen(1, 3))}
    assert same == with_cause("a picture keeps its mask in all epochs")
    for p in patients.values():
        one, other = (p.seen(0, row) == p.clean(row) for row in (0, 1))
        assert not torch.equal(one, other), "two pictures have one mask"


def test_alone_and_in_a_batch(patients):
    differ = {
        n
        for n, p in patients.items()
        if not torch.allclose(p.targets(range(8)), p.targets(range(64))[:8], atol=1e-4)
    }
    assert differ == with_cause("R is in train mode")


def test_before_and_after(patients):
    moved = {n for n, p in patients.items() if p.looks.moved.iloc[-1] > 0}
    assert moved == with_cause("R is in train mode")
    assert all((p.looks.weights == 0).all() for p in patients.values())


def test_rates(patients):
    ends = {n: p.history.lr.iloc[-1] / p.history.lr.iloc[0] for n, p in patients.items()}
    assert {n for n in ends if ends[n] > 0.5} == with_cause("the rate hardly falls")
    assert all((p.history.lr.diff().dropna() <= 0).all() for p in patients.values())


def test_to_read_the_source_counts_as_a_hint(patients, tmp_path, monkeypatch):
    monkeypatch.setenv("CINV_PROGRESS", str(tmp_path / "progress.json"))
    assert "def ruined" in patients["A"].source()
    assert progress_record.load()["exercises"]["17.1"]["hints"] == 1


def test_a_profile_without_patients_shows_the_recorded_ones():
    own, seeds = ward.lab_of("smoke", 2)
    assert own.profile.name == "smoke" and seeds == [0, 1]
    other, there = ward.lab_of("stl10", 1)
    assert other.profile.name == "stickers" and other.archive is not None
    assert len(there) > 1


def test_harms_are_differences_to_the_sound_one_of_the_same_draws(monkeypatch, lab):
    (sound,) = set(LOOPS) - set(ward.causes())
    rows = [
        {"patient": name, "draw": d, "seed": s, "words": 50 + 3 * s + d - 2 * k * (name != sound)}
        for k, name in enumerate(LOOPS)
        for s in range(3)
        for d in range(2)
    ]
    monkeypatch.setattr(lab, "table", lambda name, seeds: pd.DataFrame(rows))
    cost = ward.harms(lab, [0, 1, 2])
    expected = {n: -2.0 * k for k, n in enumerate(LOOPS) if n != sound}
    assert cost.difference.to_dict() == pytest.approx(expected)
    assert cost.cause.to_dict() == ward.causes()
    (of_mode,) = with_cause("R is in train mode")
    assert "training mode" in cost.loc[of_mode, "the authors' code"]


# -- diagnoses -----------------------------------------------------------------------------------
def test_a_sick_patient_in_another_place_is_not_called_sound():
    letters = list(ward.causes())
    said = lesson_17.judge_diagnosis((letters[1], ward.CAUSES[0], "loss"), place=0)
    assert "has a fault, but it is not number 1" in said
    assert "no measurement" in lesson_17.judge_diagnosis(
        (lesson_17.SOUND, ward.CAUSES[0], "loss"), place=0
    )


@pytest.mark.parametrize("got", ["A", ("A", "rate"), ("Z", *ward.CAUSES[:2]), ("A", "?", "loss")])
def test_what_is_no_diagnosis_is_told_what_is_expected(got):
    said = lesson_17.judge_diagnosis(got, place=0)
    assert "expected three texts" in said or "there are" in said


def test_a_test_that_gives_no_truth_value_is_told_so():
    trial = lesson_17.Trial(faults.Loop, 0)
    assert "expected True" in lesson_17.judge_test("fine", trial)
    assert "refuses a sound loop" in lesson_17.judge_test(False, trial)


def test_a_profile_without_patients_has_those_that_are_recorded(monkeypatch):
    monkeypatch.setenv(rehearsed.VARIABLE, "1")  # it shortens others alone
    lab, seeds = ward.lab_of("stl10", 1)
    assert lab.profile is STICKERS and len(ward.ward(lab, seeds[-1])) == 5
    others = [seed for seed in range(99) if seed not in STICKERS.recorded]
    assert ward.lab_of("stickers", 99)[1] == [*STICKERS.recorded, *others][:99]  # its own are made
