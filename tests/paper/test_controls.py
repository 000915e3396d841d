"""The claims about who wins and why, each on tables made for it, and the headline's family."""

import pandas as pd
import pytest
from paper.test_verdicts import BY_NUMBER, FAILS, HOLDS, OPEN, each_way, table, verdicts

from cinv_lib.lab.profiles import EVIDENCE
from cinv_lib.paper import verdict
from cinv_lib.paper import verdicts as ledger


def counted(means: dict, **more) -> pd.DataFrame:
    """A control's table: (method, labelled pictures per class) -> top-1."""
    return table(means, **more).rename(columns={"a": "per_class"})


def tables(gap: float, better: tuple, worse: tuple, **more):
    """(table, method, per_class) of both; the better one is `gap` ahead."""
    found: dict[str, dict] = {}
    for (kind, method, per_class), top1 in ((worse, 60.0), (better, 60.0 + gap)):
        key = method if kind == KNOWN else (method, per_class)
        found.setdefault(kind, {})[key] = top1
    for kind in (KNOWN, START, POOLS):
        found.setdefault(kind, {"other": 50.0} if kind == KNOWN else {("other", 20.0): 50.0})
    return {
        kind: (table if kind == KNOWN else counted)(means, chance=chance, **more)
        for chance, (kind, means) in enumerate(found.items())
    }


START, POOLS, KNOWN = "start_and_target", "pools", "known_operator"
COMPARED = {
    46: ((START, "baseline_r", 20.0), (KNOWN, "baseline", None)),
    47: ((KNOWN, "student", None), (START, "baseline_r", 20.0)),
    49: ((START, "tower_student", 20.0), (KNOWN, "baseline", None)),
    50: ((KNOWN, "student", None), (START, "words_of_r", 0.0)),
    51: ((POOLS, "student_60000", 20.0), (POOLS, "words_of_r_60000", 0.0)),
    52: ((POOLS, "student_60000", 20.0), (KNOWN, "student", None)),
    54: ((POOLS, "student_60000_words", 0.0), (START, "baseline_r", 20.0)),
    56: ((POOLS, "student_world", 20.0), (POOLS, "student_60000", 20.0)),
}


def read(number: int, found: dict) -> dict:
    return {kind: found[kind] for kind in BY_NUMBER[number].reads}


@pytest.mark.parametrize("number", COMPARED)
def test_claims_that_compare_two_trainings(number):
    better, worse = COMPARED[number]
    each_way(number, lambda gap, **more: read(number, tables(gap, better, worse, **more)))


@pytest.mark.parametrize("number", [*COMPARED, 48])
def test_where_a_training_is_absent_nothing_is_decided(number):
    others = tables(0, (START, "other", 20.0), (KNOWN, "other", None))
    assert verdicts(number, **read(number, others)) == ["not decided (nothing to compare)"]


def test_level_means_within_two_points_on_either_side():
    def found(gap, **more):
        both = (KNOWN, "student", None), (START, "baseline_r", 20.0)
        return verdicts(48, **read(48, tables(gap, *both, **more)))

    assert found(0.5) == found(-0.5) == [HOLDS]
    assert found(5) == found(-5) == [FAILS]
    assert found(2, spread=2.0) == [OPEN]


def test_each_pool_is_compared_with_the_next():
    def found(middle, large):
        pools = counted({("student_7500", 20.0): middle, ("student_60000", 20.0): large})
        known = table({"student": 60.0, "other": 1.0}, chance=8)
        return verdicts(53, pools=pools, known_operator=known)

    assert found(65, 70) == [HOLDS, HOLDS] and found(65, 62) == [HOLDS, FAILS]
    without = counted({("student_60000", 20.0): 70.0, ("other", 20.0): 1.0})
    assert verdicts(53, pools=without, known_operator=table({"student": 60.0})) == []


def test_few_labels_of_a_large_pool_are_compared_with_all_labels_of_the_baseline():
    means = {("student_60000", n): 60.0 + g for n, g in ((1.0, -4), (5.0, 4), (20.0, 9))}
    start = counted({("baseline_r", 20.0): 60.0, ("other", 20.0): 1.0}, chance=8)
    rows = verdict.measured(BY_NUMBER[55], {"pools": counted(means), START: start}, "x")
    assert [row["where"] for row in rows] == ["1 per class", "5 per class"]
    assert verdict.judged(rows).verdict.tolist() == [FAILS, HOLDS]


# -- the headline ----------------------------------------------------------------------------------
def test_the_headline_has_nine_rows_of_claims_that_are_ours():
    expected = ledger.operators(EVIDENCE)
    rows = [(n, op) for n in ledger.HEADLINE for op in ledger.places(BY_NUMBER[n], expected)]
    assert len(rows) == 9 and all(BY_NUMBER[n].ours for n in ledger.HEADLINE)


def test_the_headline_is_decided_by_holm_among_its_own_rows():
    """Of nine p-values the smallest is held against 5 % / 9, the next against 5 % / 8, ..."""
    p = [0.001, 0.005, 0.007, 0.0085, 0.02, 0.04, 0.2, 0.5, float("nan")]
    rows = pd.DataFrame({"p": p, "difference": [3.0, -3.0] + [3.0] * 7, "margin": 0.0})
    rows = rows.assign(claim=[*ledger.HEADLINE] * 3, verdict="not measured here (lesson 06)")
    others = pd.DataFrame({"claim": [1], "p": [1e-9], "difference": [1.0], "margin": [0.0]})
    found = ledger.headline(pd.concat([rows, others.assign(verdict=HOLDS)], ignore_index=True))
    said = found.verdict.tolist()
    assert len(found) == 9 and said[:4] == [HOLDS, FAILS, HOLDS, HOLDS]
    # 8 rows with a p: .001 < .05/8, .005 < .05/7, .007 < .05/6, .0085 < .05/5, .02 > .05/4
    assert said[4:8] == [OPEN] * 4 and said[8] == "not measured here (lesson 06)"
