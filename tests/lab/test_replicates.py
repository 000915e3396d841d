"""All of given seeds, by several processes: what is made, in which order, what a stop leaves."""

import os
import subprocess
import sys
import time

import pytest

from cinv_lib.experiments.base import Experiment, Task
from cinv_lib.lab import replicates
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles import SMOKE, STICKERS

MASK, BLUR = "mask:0.9", "blur:2.57"


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A lab that has made nothing."""
    monkeypatch.setenv("CINV_RUNS", str(tmp_path))
    monkeypatch.setenv("CINV_RECORDED", "0")
    return Lab("smoke")


def test_the_tables_of_a_seed_are_those_of_every_experiment():
    tables = replicates.measured(STICKERS, [11, 12])
    kinds = {entry.name for entry in STICKERS.entries if isinstance(entry, Experiment)}
    assert {task.kind for task in tables} == kinds
    of_one, of_two = ([t for t in tables if t.seed == seed] for seed in (11, 12))
    assert {t.operator for t in tables if t.kind == "known_operator"} > {*STICKERS.operators}
    assert of_two == [Task(t.kind, t.operator, 12, t.loss) for t in of_one]
    assert tables.index(of_one[-1]) < tables.index(of_two[0])
    assert len(tables) == len(set(tables))
    without = {t.kind for t in tables if t.seed not in (11, 12)}
    assert without == {"rate_search", "other_rates", "short_trainings"}


def test_a_run_may_be_of_some_tables_only():
    of_all = replicates.measured(STICKERS, [11, 12])
    some = replicates.measured(STICKERS, [11, 12], ["pools-*", "known_operator-mask_0.9-*"])
    assert some == [
        task
        for task in of_all
        if task.kind == "pools" or (task.kind, task.operator) == ("known_operator", MASK)
    ]
    assert {task.seed for task in some} == {11, 12}
    with pytest.raises(ValueError, match="'lakes' fits no table of 'stickers'; a name is known_"):
        replicates.measured(STICKERS, [11], ["pools-*", "lakes"])


def test_nothing_is_made_that_only_a_finished_table_needs(lab):
    table = SMOKE["teacher_start"].task(BLUR, 3)
    wanted = replicates.graph(lab, [table])
    model = Task("baseline_r", BLUR, 3)
    assert wanted == {table: [model], model: []}
    lab.store.make(**lab.place(model), build=lambda folder: (folder / "x").write_text("x"))
    assert replicates.graph(lab, [table]) == {table: []}
    lab.store.make(**lab.place(table), build=lambda folder: (folder / "x").write_text("x"))
    assert replicates.graph(lab, [table]) == {}


class Alone:
    """A pool that runs what it is given at once, in this process."""

    def __init__(self, *_):
        self.done = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, function, task):
        from concurrent.futures import Future

        future = Future()
        try:
            future.set_result(function(task))
        except Exception as error:
            future.set_exception(error)
        return future


def test_what_a_table_needs_is_made_just_before_it_and_a_failure_stops_nothing_else(
    lab, monkeypatch, capsys
):
    made = []

    def make(task):
        made.append(task)
        if task.kind == "tower_student":
            raise OSError("no space left")

    monkeypatch.setattr(replicates, "ProcessPoolExecutor", Alone)
    monkeypatch.setattr(replicates, "_make", make)
    one, two = SMOKE["start_and_target"].task(MASK, 4), SMOKE["teacher_start"].task(BLUR, 4)
    left = replicates.make(lab, [one, two], jobs=1, minutes=1)
    models = len(SMOKE["start_and_target"].operators[MASK])
    assert [task.operator for task in made] == [MASK] * models + [BLUR] * 2
    assert made[-1] == two and one not in made
    assert left == ["start_and_target-mask_0.9-seed4", "tower_student-mask_0.9-seed4"]
    assert "tower_student-mask_0.9-seed4 stopped: OSError: no space left" in capsys.readouterr().out


def test_after_its_minutes_nothing_is_begun(lab, monkeypatch):
    monkeypatch.setattr(replicates, "ProcessPoolExecutor", Alone)
    monkeypatch.setattr(replicates, "_make", lambda task: pytest.fail(f"{task} was begun"))
    left = replicates.make(lab, [SMOKE["teacher_start"].task(BLUR, 4)], jobs=1, minutes=0)
    assert left == ["baseline_r-blur_2.57-seed4", "teacher_start-blur_2.57-seed4"]


def test_a_process_of_its_own_makes_what_is_asked(lab, capfd):
    table = SMOKE["teacher_start"].task(BLUR, 5)
    assert replicates.make(lab, [table], jobs=1, minutes=10) == []
    assert lab.finished(table)
    printed = capfd.readouterr()
    assert "teacher_start-blur_2.57-seed5: done; 0 left" in printed.out
    assert "images/s" not in printed.err


BEGUN = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from cinv_lib.machine.parent import end_with_parent
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, end_with_parent) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 120).result()
"""


def test_a_process_of_a_run_that_is_killed_ends_with_it(tmp_path):
    script = tmp_path / "begun.py"
    script.write_text(BEGUN)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as run:
        worker = int(run.stdout.readline())
        os.kill(worker, 0)  # it is there
        run.kill()
        with pytest.raises(ProcessLookupError):
            for _ in range(200):
                time.sleep(0.1)
                os.kill(worker, 0)
