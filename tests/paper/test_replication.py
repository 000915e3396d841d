"""A reader's own run beside the recorded one: inside or outside, and how many to expect."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cinv_lib.course.lessons import lesson_15
from cinv_lib.lab.lab import Lab
from cinv_lib.paper import replication, verdict, verdicts
from cinv_lib.paper.verdicts import CLAIMS

SEEDS = (11, 12, 13, 14, 15)
GIVEN = replace(CLAIMS[0], measure=lambda pairs: pairs)


def ledger(values, seeds) -> pd.DataFrame:
    """`values`: (rows, seeds), what each training gave."""
    rows = []
    for k, each in enumerate(values):
        pairs = pd.DataFrame({"seed": seeds, "realisation": 0, "difference": each})
        rows += verdict.measured(GIVEN, {"pairs": pairs}, f"operator {k}")
    return verdict.judged(rows)


def test_a_value_is_inside_where_another_training_should_lie():
    each = [1.0, 2.0, 3.0, 4.0, 5.0]
    reach = stats.t.ppf(0.975, 4) * np.std(each, ddof=1) * (1 / 5 + 1 / 2) ** 0.5
    record = ledger([each] * 4, SEEDS)
    own = [[3 + at] * 2 for at in (0.99 * reach, 1.01 * reach, -0.99 * reach, -1.01 * reach)]
    found = replication.beside(record, ledger(own, (0, 1)))
    assert found.inside.tolist() == [True, False, True, False]
    assert found.reach.tolist() == pytest.approx([reach] * 4)


@pytest.mark.parametrize(("n", "k"), [(3, 1), (5, 1), (5, 3)])
def test_by_chance_one_of_twenty_is_outside(n, k):
    values = np.random.default_rng(n * k).normal(size=(4000, n + k))
    record = pd.DataFrame(
        {
            "claim": range(4000), "operator": "", "where": "", "difference": values[:, :n].mean(1),
            "each": [dict(enumerate(row)) for row in values[:, :n]], "seeds": n,
        }
    )  # fmt: skip
    mine = record.assign(difference=values[:, n:].mean(1), seeds=k)
    assert (~replication.beside(record, mine).inside).mean() == pytest.approx(0.05, abs=0.01)


def test_each_recorded_seed_is_left_out_in_turn():
    values = np.random.default_rng(0).normal(size=(40, 5))
    values[:, 3] += 30  # one training unlike the others: it is outside by itself
    found = replication.left_out(ledger(values, SEEDS))
    assert set(found) == set(SEEDS) and found[14] == 40 and max(found[s] for s in (11, 12)) < 5
    assert replication.left_out(ledger(values[:, :2], SEEDS[:2])) == {}


def test_what_is_said_of_an_own_run():
    values = np.random.default_rng(0).normal(size=(40, 5))
    record = ledger(values, SEEDS)
    own = replication.said(record, ledger(values[:, :1] + 100, (0,)))
    assert "40 values of your own run (seeds 0), 40 outside. Expected: 2.0 on average" in own
    assert "of seed 15" in own
    again = replication.said(record, ledger(values[:, :1], (11,)))
    assert "0 outside. Its seeds are recorded ones: differences are the machine's" in again
    assert "No value of your own" in replication.said(record, record.iloc[:0])


def test_the_recorded_run_and_the_own_one_are_apart(home):
    lab = Lab("stickers")
    record, seeds = replication.recorded(lab)
    assert seeds == [11, 12, 13, 14, 15]
    assert record.finished(record.task("known_operator", "mask:0.9", seeds[0]))
    mine, there = replication.own(lab)
    assert not mine.finished(mine.task("known_operator", "mask:0.9", seeds[0])) and there == []
    for made, expected in ((12, [12]), (0, [0]), (13, [0])):
        task = mine.task("known_operator", "mask:0.9", made)
        mine.store.make(**mine.place(task), build=lambda folder: None)
        assert replication.own(lab)[1] == expected, "a repeated seed is no own one"
    assert record.store.root != lab.archive.root  # nothing is ever made in the record
    assert replication.recorded(Lab("smoke"))[1] == []


def test_a_run_says_how_many_tables_of_each_seed_come_from_which_commit(home):
    """As `made` below has them; a training is no table."""
    lab = Lab("smoke", recorded=False)

    def made(folder):
        (folder / "known_operator.csv").write_text("top1\n1\n")

    for seed in (3, 4):
        task = lab.task("known_operator", "mask:0.9", seed)
        lab.store.make(**lab.place(task), build=made)
    task = lab.task("student", "mask:0.9", 3)
    lab.store.make(**lab.place(task), build=lambda folder: (folder / "history.csv").write_text("x"))
    found = replication.sources(lab)
    assert found.tables.to_dict() == {3: 1, 4: 1} and replication.own(lab)[1] == [3, 4]
    known = lab.provenance("known_operator", "mask:0.9", 4)
    assert found.commit[4] == known["commit"][:12] and found["first"][4] == known["date"][:10]
    assert found.machine.unique().tolist() == [known["machine"]]


def test_what_a_run_of_one_seed_leaves_out_is_shown_from_the_record(home, monkeypatch, capsys):
    """Only where nothing is read from the record anyway, as under `make course`."""
    reads = Lab("stickers")
    assert replication.shown(reads, "tuned_teacher", 1) == (reads, 1)
    monkeypatch.setenv("CINV_RECORDED", "0")
    lab = Lab("stickers")
    assert replication.shown(lab, "tuned_teacher", 2) == (lab, 2)
    assert replication.shown(lab, "adversarial", 1) == (lab, 1)
    assert not capsys.readouterr().out
    for table in ("blind", "ablation", "fit_by_picture"):  # wholly, in part, a second table
        record, seeds = replication.shown(lab, table, 1)
        assert f"recorded run is shown, seeds {seeds}" in capsys.readouterr().out
        assert set(record.table(table, seeds=seeds).seed) == set(seeds) and len(seeds) > 1
    smoke = Lab("smoke")  # it has no recorded run
    assert replication.shown(smoke, "tuned_teacher", 1) == (smoke, 1)


def test_the_guess_of_lesson_15_says_what_was_recorded():
    """Its question has the mean of claim 47 under blur, as a text that no cell computes."""
    lab, seeds = replication.recorded(Lab("stickers"))
    tables = {
        (name, "blur:2.57"): lab.table(name, "blur:2.57", seeds)
        for name in ("teacher_start", "known_operator")
    }
    (claim,) = (one for one in CLAIMS if one.number == 47)
    row = verdicts.verdicts(tables, {name: ("blur:2.57",) for name, _ in tables}, (claim,)).iloc[0]
    question = next(p.question for p in lesson_15.PREDICTIONS if p.id == "15.A")
    assert f"the student is {row.difference:.1f} points ahead" in question
