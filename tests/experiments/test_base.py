"""An entry says by its parameters what it needs: what it is handed, what comes before it, and what
its address depends on follow from them."""

import re
from dataclasses import dataclass, fields, is_dataclass, replace
from types import MappingProxyType

import pandas as pd
import pytest

from cinv_lib.experiments.base import Entry, Experiment, Task, Training, training_seeds
from cinv_lib.experiments.trainings import Trained
from cinv_lib.lab import plan
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles import PROFILES, SMOKE

MAIN, SIDE = "mask:0.9", "mask:0.5..0.95"
EACH_PROFILE = pytest.mark.parametrize("p", PROFILES.values(), ids=lambda p: p.name)


def each(entries):
    return pytest.mark.parametrize("entry", entries, ids=lambda entry: entry.name)


def operators_of(entry):
    """Those that lessons ask for; of a training that none asks for, one that it can be made at."""
    return [*entry.operators] or ([MAIN] if isinstance(entry, Training) else [])


def task_of(entry):
    return entry.task(operators_of(entry)[0])


def moves(entry, task, p=SMOKE, **settings):
    """Whether the address of a task is another one under other settings of an entry."""
    return p.changed({entry.name: settings}).address(task) != p.address(task)


# -- a new experiment is one class, and its line in a profile -----------------------------------
@dataclass(frozen=True, kw_only=True)
class Loudness(Experiment):
    """How long the embeddings of a few pictures are."""

    pictures: int
    name, lessons, apart = "loudness", ("04",), True
    tables = MappingProxyType({"loudness": "%.4f"})

    def measure(self, task, student, val):
        x = val.images[: self.pictures].float() / 255
        return {"loudness": pd.DataFrame({"length": student(x).norm(dim=1).tolist()})}


WITH = replace(SMOKE, entries=(*SMOKE.entries, Loudness(operators={MAIN: None}, pictures=3)))


def test_a_new_experiment_has_a_table_and_a_task_in_the_plan():
    rows = Lab(WITH, recorded=False).table("loudness", seeds=[0])
    assert list(rows.columns) == ["length", "seed"] and (rows.length > 0).all() and len(rows) == 3
    tasks = plan.tasks(WITH, 2)["04"]
    assert tasks == [Task("loudness", MAIN, seed, "st:0.1") for seed in (0, 1)]
    assert "loudness-mask_0.9-seed1" in plan.every(WITH, 2)
    assert WITH.after(tasks[1]) == [Task("student", MAIN, 1, "st:0.1")]
    assert plan.beforehand(WITH, tasks[0]) == [tasks[0]]


# -- what is needed --------------------------------------------------------------------------------
def test_an_entry_is_handed_what_it_names_and_nothing_else(monkeypatch, tmp_path):
    handed = {}
    monkeypatch.setattr(Lab, "_get", lambda self, need: need)
    monkeypatch.setattr(Loudness, "make", lambda *_, **needed: handed.update(needed))
    Lab(WITH, recorded=False).build(WITH["loudness"].task(MAIN, 7), tmp_path)
    assert handed == {"student": Task("student", MAIN, 7, "st:0.1"), "val": "val"}


@EACH_PROFILE
def test_everything_that_an_entry_needs_is_of_its_seed_and_can_be_had(p):
    for entry in p.entries:
        for op in operators_of(entry):
            task = entry.task(op, 7)
            for before in p.after(task):
                assert before.seed == 7 and isinstance(p[before.kind], Training)
            needs = p.needs(task)
            assert all(hasattr(Lab, need) for need in needs.values() if isinstance(need, str))
            assert p.describe(task)["needs"].keys() == needs.keys()


def test_what_is_needed_moves_the_address_of_all_that_needs_it():
    changed = SMOKE.changed({"student": {"recipe": replace(SMOKE["student"].recipe, lr=0.5)}})
    for entry in SMOKE.entries:
        task = task_of(entry)
        depends = "student" in {one.kind for one in with_what_comes_before(task)}
        assert (SMOKE.address(task) != changed.address(task)) == depends, entry.name


def with_what_comes_before(task):
    return [task, *(one for before in SMOKE.after(task) for one in with_what_comes_before(before))]


# -- what the address depends on -------------------------------------------------------------------
def other(value):
    """Another value of the same kind: longer, or larger."""
    if is_dataclass(value):
        first = fields(value)[0].name
        return replace(value, **{first: other(getattr(value, first))})
    if isinstance(value, dict):
        return dict(list(value.items())[:-1])
    if isinstance(value, tuple):
        return value * 2
    return value + " " if isinstance(value, str) else 2 * value + 1


@each(SMOKE.entries)
def test_every_setting_moves_the_address(entry):
    for field in fields(entry):
        if field.name not in entry.asks:
            changed = {field.name: other(getattr(entry, field.name))}
            assert moves(entry, task_of(entry), **changed), field.name


@each(SMOKE.entries)
def test_what_only_chooses_moves_no_address(entry):
    more = {
        "operators": {**entry.operators, "mask:0.1..0.2": (0.1,)},
        "losses": (*entry.losses, "st:0.7"),
        "several": (*entry.several, MAIN),
        "rows": (MAIN,),
        "taus": (0.3, 0.7),
        "chosen": {"mask:0.1..0.2": (0.3,)},
        "classes": 7,
    }
    of_trained = Trained.asks - Training.asks if isinstance(entry, Trained) else set()
    for name in entry.asks - of_trained:
        assert not moves(entry, task_of(entry), **{name: more[name]}), name


@each([entry for entry in SMOKE.entries if isinstance(entry, Trained)])
def test_a_recipe_moves_the_address_of_what_is_trained_by_it(entry):
    """On the operators of `full` all of it, on others `side_epochs` of it."""
    p = SMOKE.changed({entry.name: {"side_epochs": 2}})
    assert Trained.asks - Training.asks == {"recipe", "full", "side_epochs", "epochs", "rates"}
    for changed, expected in (
        ({"recipe": replace(entry.recipe, lr=0.5)}, {MAIN, SIDE}),
        ({"recipe": replace(entry.recipe, epochs=3)}, {MAIN}),
        ({"side_epochs": 3}, {SIDE}),
        ({"full": (*entry.full, SIDE)}, {SIDE}),
        ({"full": ()}, {MAIN}),
        ({"epochs": {SIDE: 7}}, {SIDE}),
        ({"rates": {"mask": 0.25}}, {MAIN, SIDE}),
    ):
        assert {op for op in (MAIN, SIDE) if moves(entry, entry.task(op), p, **changed)} == expected


@each([entry for entry in SMOKE.entries if any(entry.operators.values())])
def test_what_is_particular_at_an_operator_moves_the_address_there_and_nowhere_else(entry):
    for op, here in entry.operators.items():
        changed = {"operators": {**entry.operators, op: other(here)}}
        assert [at for at in entry.operators if moves(entry, entry.task(at), **changed)] == [op]


@each(SMOKE.entries)
def test_operator_seed_loss_and_version_move_the_address(entry, monkeypatch):
    task = task_of(entry)
    addresses = {SMOKE.address(task), SMOKE.address(replace(task, seed=task.seed + 1))}
    addresses |= {SMOKE.address(replace(task, operator="noise:0.1|blur:1"))}
    addresses |= {SMOKE.address(replace(task, loss="st:0.7"))} if task.loss else set()
    monkeypatch.setattr(type(entry), "version", entry.version + 1)
    assert SMOKE.address(task) not in addresses
    assert len(addresses) == (4 if task.loss else 3)


# -- tasks ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("op", "loss"), [("mask:.9", "st:.1"), ("mask:0.90", "st:0.10"), (" mask:0.9", "st:0.1")]
)
def test_a_text_written_otherwise_is_the_same_task(op, loss):
    assert Task("student", op, 0, loss) == Task("student", "mask:0.9", 0, "st:0.1")


@pytest.mark.parametrize("seed", [-1, "0", 1.5, True, None, 2**63])
def test_a_seed_that_is_no_whole_number_is_refused(seed):
    with pytest.raises(ValueError, match="expected a whole number, 0 or more"):
        Task("student", MAIN, seed)


def test_what_is_not_there_is_refused_with_what_there_is():
    with pytest.raises(ValueError, match=r"expected one of mask:0.9, noise:0.5, blur:2.57"):
        SMOKE["known_operator"].task("mask:0.3")
    with pytest.raises(KeyError, match="no entry 'pixel' in profile smoke; there are student, "):
        SMOKE["pixel"]
    with pytest.raises(ValueError, match="no table 'scores' in profile smoke; there are known_op"):
        SMOKE.making("scores")


@EACH_PROFILE
def test_a_run_of_one_seed_leaves_out_side_issues_and_others_nothing(p):
    assert all(set(entry.rows) <= set(entry.operators) for entry in p.entries)
    for entry in p.all_rows().entries:
        taus = {f"st:{tau:g}" for tau in getattr(entry, "taus", ())}
        every = [[*entry.operators], [*(entry.losses or ("",))]]
        assert set(entry.several) <= {*every[0], *every[1], *taus}
        assert [*entry.asked(3)] == every
        assert [*entry.asked(1)] == [[x for x in of if x not in entry.several] for of in every]


def test_every_name_of_a_profile_is_of_one_entry():
    for p in PROFILES.values():
        assert all(isinstance(entry, Entry) for entry in p.entries)
        assert len(p.by_name()) == len(p.entries)
        tables = [name for e in p.entries if isinstance(e, Experiment) for name in e.tables]
        assert len(tables) == len(set(tables))


@pytest.mark.parametrize("seeds", [0, -1, [], "3", 2.0, True, None])
def test_seeds_that_are_none_are_refused(seeds):
    with pytest.raises(ValueError, match=f"seeds {re.escape(repr(seeds))}: expected how many"):
        training_seeds(seeds)


@pytest.mark.parametrize("seeds", [0, True, "3", 10**20])
def test_no_number_of_seeds_is_refused(seeds):
    with pytest.raises(ValueError, match=f"seeds {seeds!r}: expected how many"):
        training_seeds(seeds)
