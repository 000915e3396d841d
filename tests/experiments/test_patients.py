"""The ward's measurements: that a killed run goes on, and what its columns mean."""

import pandas as pd
import pytest

from cinv_lib.experiments import patients
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles.smoke import SMOKE


@pytest.fixture(scope="module")
def lab():
    return Lab("smoke", recorded=False)


def test_each_patient_has_a_row_for_each_epoch_and_step(lab):
    recipe = SMOKE["patients"].recipe
    looks, steps = lab.table("patients"), lab.table("patients_steps")
    for name in patients.LOOPS:
        assert looks[looks.patient == name].epoch.tolist() == list(range(recipe.epochs + 1))
        here = steps[steps.patient == name]
        assert here.step.tolist() == list(range(len(here)))
        assert here.epoch.nunique() == recipe.epochs
    assert set(lab.table("patients_scores").patient) == set(patients.LOOPS)


def test_before_the_training_all_students_are_the_teacher(lab):
    first = lab.table("patients").query("epoch == 0")
    assert first.own.round(3).eq(1.0).all(), "nothing was shown, and S is R"
    assert first.drop(columns="patient").drop_duplicates().shape[0] == 1


def test_a_patient_that_a_killed_run_has_finished_is_not_trained_again(tmp_path, monkeypatch, lab):
    entry = SMOKE["patients"]
    asked = []

    def one(self, loop, *_):
        asked.append(type(loop))
        if len(asked) == 3:
            raise KeyboardInterrupt
        row = pd.DataFrame({"epoch": [0], "words": [1.0]})
        return dict.fromkeys(entry.tables, row)

    monkeypatch.setattr(patients.Patients, "one", one)
    given = (tmp_path, entry.task("mask:0.9"), lab.teacher, lab.train, lab.val)
    with pytest.raises(KeyboardInterrupt):
        entry.measure(*given)
    made = entry.measure(*given)
    assert len(asked) == len(patients.LOOPS) + 1, "the one that was killed, twice"
    assert set(made) == set(entry.tables)
    assert made["patients"].patient.tolist() == list(patients.LOOPS)
    assert made["patients"].columns[0] == "patient"
    assert not list(tmp_path.glob("part-*"))
