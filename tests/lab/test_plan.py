"""What `make course` makes beforehand is what the lessons then ask for."""

import json
import sys
from dataclasses import replace

import pytest

from cinv_lib import training
from cinv_lib.experiments import known_operator
from cinv_lib.lab import made, plan
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.plan import Task
from cinv_lib.lab.profiles.stickers import PROFILES, STICKERS
from cinv_lib.paper import results, verdicts


def test_scores_come_after_their_models():
    student, baseline = Task("scores", "mask:0.9", 2).after
    assert student == Task("student", "mask:0.9", 2)
    assert baseline == Task("baseline", "mask:0.9", 2)
    assert student.after == baseline.after == ()
    assert student.name == "student-mask_0.9-seed2"


def test_a_blind_student_comes_after_its_probe_and_the_specialists_and_has_a_file_name():
    blind = Task("blind", "mask:0.9|noise:0.5", 1)
    assert blind.name == "blind-mask_0.9_or_noise_0.5-seed1"
    before = ("mask:0.9|noise:0.5", "mask:0.9", "noise:0.5")
    assert blind.after == tuple(Task("probe", op, 1) for op in before)


@pytest.mark.parametrize("seeds", [1, 3])
def test_every_task_is_listed_once_with_the_address_of_its_result(seeds):
    listed, smoke = json.loads(plan.as_json("smoke", seeds)), Lab("smoke")
    tasks = listed["tasks"]
    of = 3 * 3 * seeds  # lesson 06: student, baseline and scores of three operators
    more = seeds > 1  # one seed alone has no side issues: see `Profile.for_seeds`
    of += (2 + more) * seeds  # lesson 07: baselines from 100 classes
    of += 2 * 2 * seeds + seeds  # lesson 08: baselines, severity; a student that 11 has not
    of += 2 * seeds + more  # lesson 11: students of two losses, and one at another temperature
    of += 2 * seeds  # lesson 12: pixels
    of += 2 * seeds  # lesson 13: student and clean baseline of the mixture
    of += (4 + 4) * seeds  # lesson 14: tuned, anchored, vit, blind student; and what compares them
    assert len(tasks) == of and {task["kind"] for task in tasks.values()} == set(plan.APART)
    named = {name for names in listed["lessons"].values() for name in names}
    assert named | {b for task in tasks.values() for b in task["after"]} == set(tasks)
    assert len({task["address"] for task in tasks.values()}) == len(tasks)
    for task in tasks.values():
        asked = (task["kind"], task["operator"], task["seed"], task["loss"])
        spec = made.spec(smoke.profile, *asked)
        assert smoke.store.path(task["kind"], spec).name == task["address"]


def test_a_training_is_its_lesson_with_the_parameters_that_ask_for_it():
    tasks, smoke = json.loads(plan.as_json("smoke", 2))["tasks"].values(), Lab("smoke")
    shown = [task for task in tasks if "lesson" in task]
    assert {task["kind"] for task in shown} == set(plan.SHOWN)
    assert {task["seed"] for task in shown} == {0, 1}
    assert {"st:0.1", "mse"} <= {task["parameters"].get("loss") for task in shown}
    for task in shown:
        assert task["lesson"] == plan.SHOWN[task["kind"]]
        asked = {"op" if key == "operator" else key: v for key, v in task["parameters"].items()}
        spec = made.spec(smoke.profile, task["kind"], **asked)
        assert smoke.store.path(task["kind"], spec).name == task["address"]


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["plan", *arguments])
    plan.main()


def test_lessons_find_what_was_made(home, monkeypatch, capsys):
    monkeypatch.setenv("CINV_RECORDED", "0")
    tasks = plan.tasks("smoke", 1)
    for task in dict.fromkeys([b for t in tasks["06"] for b in t.after] + tasks["06"]):
        run(monkeypatch, "smoke", "--make", task.name)
    monkeypatch.setattr(training, "distill", None)  # nothing more can be trained
    monkeypatch.setattr(training, "finetune", None)
    monkeypatch.setattr(known_operator, "tables", None)
    smoke = Lab("smoke")
    operators = list(smoke.profile.operators)
    assert len(results.measured(smoke, operators, 1)) > 0
    found = verdicts.ledger(smoke, 1)
    assert (found.seeds[found.claim.isin([1, 6, 9, 11])] == 1).all()
    for task in tasks["05"]:
        smoke.student(task.operator, task.seed)


def test_a_task_that_is_none_is_said_so(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "smoke", "--make", "student-fog_1-seed0")
    assert "no task 'student-fog_1-seed0'; there are: ablation-" in capsys.readouterr().err


def test_what_comes_before_comes_with_what_comes_before_it(monkeypatch):
    severity = Task("severity", "noise:0.1..0.3")
    monkeypatch.setattr(plan, "tasks", lambda name, seeds: {"08": [severity]})
    tasks = json.loads(plan.as_json("smoke", 1))["tasks"]
    assert {task["kind"] for task in tasks.values()} == {"severity", "baseline", "student"}
    assert [t.kind for t in severity.beforehand] == ["severity"]
    shift = Task("shift", "noise:0.1..0.3")  # lesson 10 measures it, and its probe, by itself
    assert [t.kind for t in shift.beforehand] == ["baseline", "student"]


@pytest.mark.parametrize("p", PROFILES.values(), ids=lambda p: p.name)
def test_one_seed_leaves_out_side_issues_and_several_leave_out_nothing(p):
    assert p.for_seeds(2) == p.for_seeds(3) == p
    one = p.for_seeds(1)
    for field in ("starts", "taus", "remedies"):
        left = p.several.get(field, ())
        assert getattr(one, field) == tuple(x for x in getattr(p, field) if x not in left)
    assert replace(one, starts=p.starts, taus=p.taus, remedies=p.remedies) == p
    assert bool(one.starts) == bool(p.starts)  # what is left still compares
    assert {p.loss, "mse"} <= set(one.remedies)


def test_side_issues_are_named_as_the_profile_has_them():
    for field, left in STICKERS.several.items():
        assert set(left) <= set(getattr(STICKERS, field))
    named = {task.name for task in plan.every("stickers", 1).values()}
    assert "baseline100-noise_0.5-seed0" not in named and "baseline100-mask_0.9-seed0" in named
    assert {"baseline100-noise_0.5-seed0", "bias-mask_0.5..0.95-st_0.1,weight=0.75-seed2"} <= {
        task.name for task in plan.every("stickers", 3).values()
    }
