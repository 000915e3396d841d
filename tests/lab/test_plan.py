"""What `make course` makes beforehand is what the lessons then ask for."""

import json
import sys

import pytest

from cinv_lib.experiments import known_operator, trainings
from cinv_lib.experiments.base import LOSS, Task
from cinv_lib.lab import plan
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles.names import PROFILES
from cinv_lib.lab.profiles.smoke import SMOKE
from cinv_lib.lab.profiles.stickers import STICKERS
from cinv_lib.paper import results, verdicts


def test_scores_come_after_their_models():
    student, baseline, probe = SMOKE.after(SMOKE["known_operator"].task("mask:0.9", 2))
    assert student == Task("student", "mask:0.9", 2, LOSS)
    assert baseline == Task("baseline", "mask:0.9", 2)
    assert probe == Task("clean_probe", "identity", 2)
    assert SMOKE.after(student) == SMOKE.after(baseline) == SMOKE.after(probe) == []
    assert SMOKE.task_name(student) == "student-mask_0.9-seed2"


def test_a_blind_student_comes_after_its_probe_and_the_specialists_and_has_a_file_name():
    (mixed,) = SMOKE["blind"].operators
    blind = SMOKE["blind"].task(mixed, 1)
    assert SMOKE.task_name(blind) == "blind-mask_0.9_or_noise_0.5_or_blur_2.57-seed1"
    before = [
        Task(kind, op, 1, LOSS)
        for op in (mixed, "mask:0.9", "noise:0.5", "blur:2.57")
        for kind in ("student", "probe")
    ]
    assert SMOKE.after(blind) == before


@pytest.mark.parametrize("seeds", [1, 3])
def test_every_task_is_listed_once_with_the_address_of_its_result(seeds):
    listed, smoke = json.loads(plan.as_json(SMOKE, seeds)), Lab("smoke")
    tasks = listed["tasks"]
    of = 3 * 3 * seeds  # lesson 06: student, baseline and scores of three operators
    more = seeds > 1  # one seed alone has no side issues: see `Entry.several`
    of += 3 * seeds  # lesson 07: baselines from 100 classes
    of += 2 * 2 * seeds + seeds  # lesson 08: baselines, severity; a student that 11 has not
    of += 2 * seeds  # lesson 09: transfer
    of += (2 + more) * seeds  # lesson 11: students of two losses, and one at another temperature
    of += 2 * seeds  # lesson 12: pixels
    of += 3 * seeds  # lesson 13: student and clean baseline of the mixture, and their scores
    of += (4 + 4) * seeds  # lesson 14: tuned, anchored, vit, blind student; and what compares them
    of += seeds  # lesson 17: five patients together
    of += (2 + 2 + 2 + 3) * seeds  # controls: the baseline from R, 60,000 pictures, adaptation
    if more:  # these on one more operator each, and what is shown from the record else
        of += (2 + 2) * seeds
        of += (2 * 4 + 4) * seeds  # 07 and 06: three trainings, of two operators; three pools
        of += (2 * 2 + 2 * 2) * seeds  # 07 and 11: two more starts; batches of 256 with two losses
        of += (2 + 2 + 2) * seeds  # 09 and 12: the starts; two restorations, their scores
        of += (2 + 1) * seeds  # 09 and 16: R's words on other sets; 60,000 pictures under blur
        of += (3 + 4) * seeds  # lesson 14: two under attack, three transformers, and their scores
    assert len(tasks) == of
    out = {"start_and_target", "other_pools", "restored", "starts_transferred", "attacked"}
    out |= {"words_transferred", "other_starts", "batches"}
    out |= {"feature_distillation"} | {task.kind for name in out | {"feature_distillation"}
            for one in SMOKE[name].tasks(3) for task in SMOKE.after(one)}  # fmt: skip
    out -= {"student", "student_60000", "baseline", "probe", "clean_probe"}
    apart = {e.name for e in STICKERS.entries if e.apart}
    assert {t["kind"] for t in tasks.values()} == (apart if more else apart - out)
    named = {name for names in listed["lessons"].values() for name in names}
    assert named | {b for task in tasks.values() for b in task["after"]} == set(tasks)
    assert len({task["address"] for task in tasks.values()}) == len(tasks)
    for name, task in tasks.items():
        asked = smoke.task(task["kind"], task["operator"], task["seed"], task["loss"])
        assert smoke.store.path(**smoke.place(asked)).name == task["address"]
        assert SMOKE.task_name(asked) == name


def test_a_training_is_its_lesson_with_the_parameters_that_ask_for_it():
    tasks, smoke = json.loads(plan.as_json(SMOKE, 2))["tasks"].values(), Lab("smoke")
    shown = [task for task in tasks if "lesson" in task]
    assert {task["kind"] for task in shown} == {"student", "baseline"}
    assert {task["kind"] for task in shown} == {e.name for e in SMOKE.entries if e.shown}
    assert {task["seed"] for task in shown} == {0, 1}
    assert {"st:0.1", "mse"} <= {task["parameters"].get("loss") for task in shown}
    for task in shown:
        assert task["lesson"] == SMOKE[task["kind"]].shown
        asked = {"op" if key == "operator" else key: v for key, v in task["parameters"].items()}
        place = smoke.place(smoke.task(task["kind"], **asked))
        assert smoke.store.path(**place).name == task["address"]


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["plan", *arguments])
    plan.main()


def test_lessons_find_what_was_made(home, monkeypatch, capsys):
    monkeypatch.setenv("CINV_RECORDED", "0")
    tasks = plan.tasks(SMOKE, 1)
    for task in dict.fromkeys([b for t in tasks["06"] for b in SMOKE.after(t)] + tasks["06"]):
        run(monkeypatch, "smoke", "--make", SMOKE.task_name(task))
    monkeypatch.setattr(trainings, "distill", None)  # nothing more can be trained
    monkeypatch.setattr(trainings, "finetune", None)
    monkeypatch.setattr(known_operator, "evaluate_heads", None)
    smoke = Lab("smoke")
    operators = list(smoke.profile.operators)
    assert len(results.measured(smoke, operators, 1)) > 0
    found = verdicts.ledger(smoke, 1)
    assert (found.seeds[found.claim.isin([1, 6, 9, 11])] == 1).all()
    for task in tasks["05"]:
        smoke.student(task.operator, task.seed)


def test_lesson_00_has_its_student_made_beforehand_unless_one_is_recorded():
    assert plan.tasks(SMOKE, 3)["00"] == [Task("student", SMOKE.slider, 0, LOSS)]
    assert list(plan.every(SMOKE, 3, ["00"])) == [SMOKE.task_name(plan.tasks(SMOKE, 3)["00"][0])]
    assert "00" not in plan.tasks(STICKERS, 3)


def test_a_task_that_is_none_is_said_so(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "smoke", "--make", "student-fog_1-seed0")
    assert "no task 'student-fog_1-seed0'; there are: ablation-" in capsys.readouterr().err


def test_what_comes_before_comes_with_what_comes_before_it():
    listed = json.loads(plan.as_json(SMOKE, 1))["tasks"]
    severity = SMOKE["unknown_severity"].task("noise:0.1..0.3")
    waiting, kinds = [SMOKE.task_name(severity)], set()
    while waiting:
        task = listed[waiting.pop()]  # each is planned itself
        kinds.add(task["kind"])
        waiting += task["after"]
    assert kinds == {"unknown_severity", "baseline", "student"}
    assert [t.kind for t in plan.beforehand(SMOKE, severity)] == ["unknown_severity"]
    # lesson 10 measures this, and its probe, by itself
    shift = SMOKE["label_shift"].task("noise:0.1..0.3")
    assert {t.kind for t in plan.beforehand(SMOKE, shift)} == {"baseline", "student"}


def test_what_no_lesson_asks_for_is_made_by_its_name_and_by_no_course():
    name = "rate_search-mask_0.9-seed10"
    assert plan.every(STICKERS, 3)[name] == Task("rate_search", "mask:0.9", 10)
    listed = json.loads(plan.as_json(STICKERS, 3))
    assert name not in listed["tasks"]
    assert name not in {one for names in listed["lessons"].values() for one in names}


@pytest.mark.parametrize("p", PROFILES.values(), ids=lambda p: p.name)
def test_one_seed_leaves_out_side_issues_and_several_leave_out_nothing(p):
    for entry in p.all_rows().entries:
        everything = entry.asked(3)
        assert entry.asked(2) == everything
        assert set(entry.operators) == set(everything[0])
        assert set(entry.losses or ("",)) <= set(everything[1])
        one = entry.asked(1)
        for here, of_all in zip(one, everything, strict=True):
            assert here == [x for x in of_all if x not in entry.several]
            if entry.several:  # what is left out is shown from the recorded run
                assert p in (STICKERS, SMOKE) or here
    assert {LOSS, "mse"} <= set(p["loss_bias"].asked(1)[1])
    ablation = p["ablation"]
    assert ablation.asked_taus(2) == ablation.asked_taus(3) == list(ablation.taus)
    left = [tau for tau in ablation.taus if f"st:{tau:g}" not in ablation.several]
    assert ablation.asked_taus(1) == left


def test_side_issues_are_named_as_the_profile_has_them():
    side = {entry.name: entry.several for entry in STICKERS.entries if entry.several}
    wholly = {"baseline_starts", "baseline_fit", "tuned_teacher", "patients", "start_and_target",
              "other_pools", "restored", "starts_transferred", "attacked", "feature_distillation",
              "words_transferred", "pool_cosines", "blind", "other_starts", "batches",
    }  # fmt: skip
    assert set(side) == wholly | {"ablation", "loss_bias", "teacher_start", "pools"}
    assert all(not STICKERS[name].asked(1)[0] for name in wholly)
    for name, left in side.items():
        operators, losses = STICKERS[name].asked(2)
        taus = getattr(STICKERS[name], "taus", ())
        assert set(left) <= {*operators, *losses, *(f"st:{tau:g}" for tau in taus)}
    kinds = {task.kind for task in plan.every(STICKERS, 1).values()}
    assert not kinds & {*wholly, "baseline100", "tuned", "anchored"}
    assert {
        "baseline100-noise_0.5-seed0",
        "patients-mask_0.9-seed2",
        "loss_bias-mask_0.5..0.95-st_0.1,weight=0.75-seed2",
    } <= set(plan.every(STICKERS, 3))


def test_the_rows_of_the_papers_tables_are_asked_for_with_all_tables_alone(monkeypatch, capsys):
    rows = {op for op in STICKERS["known_operator"].operators if op not in STICKERS.operators}
    assert len(rows) == 5 and len(STICKERS.operators) == 3
    assert STICKERS.all_rows().operators == (*STICKERS["known_operator"].operators,)
    found = {}
    for tables in ("some", "all"):
        run(monkeypatch, "stickers", "--tables", tables)
        tasks = json.loads(capsys.readouterr().out)["tasks"].values()
        found[tables] = {task["operator"] for task in tasks if task["kind"] == "known_operator"}
    assert found["some"] == {*STICKERS.operators} and found["all"] - found["some"] == rows
    monkeypatch.setattr(plan.several_gpus, "make", lambda _, task: print(task.operator))
    run(monkeypatch, "stickers", "--make", "known_operator-mask_0.75-seed0")
    assert capsys.readouterr().out == "mask:0.75\n"


@pytest.mark.parametrize("p", PROFILES.values(), ids=lambda p: p.name)
def test_what_lessons_ask_for_is_planned_with_all_that_comes_before_it(p):
    every = set(plan.every(p, 2).values())
    assert {task for asked in plan.tasks(p, 2).values() for task in asked} <= every
    for task in every:
        assert set(p.after(task)) <= every


@pytest.mark.parametrize(("seeds", "refused"), [(10, False), (11, True)])
def test_a_reader_s_seeds_end_before_those_that_chose_and_decide(
    monkeypatch, capsys, seeds, refused
):
    monkeypatch.setattr(sys, "argv", ["plan", "stickers", "--seeds", str(seeds), "--make", "none"])
    with pytest.raises(SystemExit):
        plan.main()
    said = capsys.readouterr().err
    assert ("expected at most 10, your seeds 0 to 9" in said) == refused
