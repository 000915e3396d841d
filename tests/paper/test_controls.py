"""The claims about who wins and why, each on tables made for it, and the headline's family."""

import pandas as pd
import pytest
from ledgers import BY_NUMBER, FAILS, HOLDS, OPEN, each_way, table, verdicts

from cinv_lib.lab.profiles import STICKERS
from cinv_lib.paper import verdict
from cinv_lib.paper import verdicts as ledger


def counted(means: dict, **more) -> pd.DataFrame:
    """A control's table: (method, labelled pictures per class) -> top-1."""
    return table(means, **more).rename(columns={"a": "per_class"})


def tables(gap: float, better: tuple, worse: tuple, **more):
    """(table, method, per_class) of both; the better one is `gap` ahead."""
    found: dict[str, dict] = {}
    for (kind, method, per_class), top1 in ((worse, 60.0), (better, 60.0 + gap)):
        key = (method, per_class) if kind in COUNTED else method
        found.setdefault(kind, {})[key] = top1
    for kind in (KNOWN, *COUNTED, ADAPTED, RESTORED):
        found.setdefault(kind, {("other", 20.0): 50.0} if kind in COUNTED else {"other": 50.0})
    return {
        kind: (counted if kind in COUNTED else table)(means, chance=chance, **more)
        for chance, (kind, means) in enumerate(found.items())
    }


TEACHER, START, KNOWN = "teacher_start", "start_and_target", "known_operator"
POOLS, OTHERS = "pools", "other_pools"
ADAPTED, RESTORED = "adaptation", "restored"
COUNTED = (TEACHER, START, POOLS, OTHERS)  # tables that say how many labels each method has seen
COMPARED = {
    46: ((TEACHER, "baseline_r", 20.0), (KNOWN, "baseline", None)),
    47: ((KNOWN, "student", None), (TEACHER, "baseline_r", 20.0)),
    49: ((START, "tower_student", 20.0), (KNOWN, "baseline", None)),
    50: ((KNOWN, "student", None), (START, "words_of_r", 0.0)),
    51: ((POOLS, "student_60000", 20.0), (OTHERS, "words_of_r_60000", 0.0)),
    52: ((POOLS, "student_60000", 20.0), (KNOWN, "student", None)),
    54: ((POOLS, "student_60000_words", 0.0), (TEACHER, "baseline_r", 20.0)),
    56: ((OTHERS, "student_world", 20.0), (POOLS, "student_60000", 20.0)),
    57: ((START, "finetuned", 20.0), (TEACHER, "baseline_r", 20.0)),
    58: ((START, "finetuned", 20.0), (KNOWN, "student", None)),
    59: ((KNOWN, "student", None), (ADAPTED, "norms_again", None)),
    60: ((ADAPTED, "norms_again", None), (ADAPTED, "rescaled", None)),
    61: ((RESTORED, "student", None), (RESTORED, "restored", None)),
    62: ((RESTORED, "zero_shot", None), (RESTORED, "restored_words", None)),
}


def read(number: int, found: dict) -> dict:
    return {kind: found[kind] for kind in BY_NUMBER[number].reads}


@pytest.mark.parametrize("number", COMPARED)
def test_claims_that_compare_two_trainings(number):
    better, worse = COMPARED[number]
    each_way(number, lambda gap, **more: read(number, tables(gap, better, worse, **more)))


@pytest.mark.parametrize("number", [46, 47, 48, 49, 50, 51, 52, 54, 56, 57, 58, 59, 60])
def test_where_a_training_is_absent_nothing_is_decided(number):
    others = tables(0, (START, "other", 20.0), (KNOWN, "other", None))
    assert verdicts(number, **read(number, others)) == ["not decided (nothing to compare)"]


def test_level_means_within_two_points_on_either_side():
    def found(gap, **more):
        both = (KNOWN, "student", None), (TEACHER, "baseline_r", 20.0)
        return verdicts(48, **read(48, tables(gap, *both, **more)))

    assert found(0.5) == found(-0.5) == [HOLDS]
    assert found(5) == found(-5) == [FAILS]
    assert found(2, spread=2.0) == [OPEN]


def test_each_pool_is_compared_with_the_next():
    def found(middle, large):
        pools = counted({("student_60000", 20.0): large, ("other", 20.0): 1.0})
        others = counted({("student_7500", 20.0): middle, ("other", 20.0): 1.0}, chance=3)
        known = table({"student": 60.0, "other": 1.0}, chance=8)
        return verdicts(53, pools=pools, other_pools=others, known_operator=known)

    assert found(65, 70) == [HOLDS, HOLDS] and found(65, 62) == [HOLDS, FAILS]


def test_few_labels_of_a_large_pool_are_compared_with_all_labels_of_the_baseline():
    means = {("student_60000", n): 60.0 + g for n, g in ((1.0, -4), (5.0, 4), (20.0, 9))}
    start = counted({("baseline_r", 20.0): 60.0, ("other", 20.0): 1.0}, chance=8)
    rows = verdict.measured(BY_NUMBER[55], {POOLS: counted(means), TEACHER: start}, "x")
    assert [row["where"] for row in rows] == ["1 per class", "5 per class"]
    assert verdict.judged(rows).verdict.tolist() == [FAILS, HOLDS]


@pytest.mark.parametrize(
    ("number", "better", "worse"),
    [(63, "attacked_student", "student"), (64, "attacked_student", "attacked_baseline")],
)
def test_claims_under_attack_are_about_bounded_budgets(number, better, worse):
    def found(gap, **more):
        parts = [
            table({better: 40 + lead, worse: 40.0}, draws=1, chance=budget, **more).assign(
                picture=picture, budget=budget
            )
            for picture, budget, lead in (
                ("attacked", 2, gap + 2), ("attacked", 8, gap - 2), ("attacked", 255, -50),
                ("corrupted", 0, -50), ("clean", 0, -50),
            )
        ]  # fmt: skip
        return {"attacked": pd.concat(parts).drop(columns="realisation")}

    each_way(number, found)


def test_the_price_of_an_attack_is_paid_on_corrupted_pictures():
    def found(gap, **more):
        parts = [
            table({"attacked_student": 40 + lead, "student": 40.0}, draws=1, **more).assign(
                picture=picture, budget=0
            )
            for picture, lead in (("corrupted", gap), ("clean", 50), ("attacked", 50))
        ]
        return {"attacked": pd.concat(parts).drop(columns="realisation")}

    each_way(65, found)


def test_more_features_are_compared_with_the_embedding_alone_by_their_probes():
    def found(patches, attention):
        means = {"vit_global": 50.0, "vit_patches": patches, "vit_attention": attention}
        scores = table(means).rename(columns={"method": "model"}).assign(head="probe")
        words = scores.assign(head="words", top1=100 - scores.top1)
        return verdicts(66, feature_distillation=pd.concat([scores, words]))

    assert found(55, 45) == [HOLDS, FAILS] and found(45, 55) == [FAILS, HOLDS]


def test_what_labels_forget_is_asked_where_no_label_asked():
    def found(gap, **more):
        start = table({"resnet": 60.0 + gap, "clip": 1.0}, chance=1, **more)
        trained = table({"baseline": 60.0, "clip": 1.0}, chance=2, **more)
        there = {"starts_transferred": start, "transfer": trained}
        places = {kind: rows.assign(dataset="stickers-places") for kind, rows in there.items()}
        others = {kind: rows.assign(dataset="digits", top1=0.0) for kind, rows in there.items()}
        return {kind: pd.concat([places[kind], others[kind]]) for kind in there}

    each_way(67, found)


def test_the_authors_mse_is_asked_where_it_was_trained():
    def rows(gap, **more):
        return {"ablation": table({"mse": 60.0 + gap, "raw_mse": 60.0}, **more).rename(
            columns={"method": "loss"}
        )}  # fmt: skip

    each_way(68, rows)
    assert verdicts(68, ablation=rows(0)["ablation"].query("loss == 'mse'")) == []


# -- the headline ----------------------------------------------------------------------------------
def test_the_headline_has_nine_rows_of_claims_that_are_ours():
    expected = ledger.operators(STICKERS)
    rows = [(n, op) for n in ledger.HEADLINE for op in ledger.places(BY_NUMBER[n], expected)]
    assert len(rows) == 9 and all(BY_NUMBER[n].ours for n in ledger.HEADLINE)


def test_the_headline_is_decided_by_holm_among_its_own_rows():
    """Of nine p-values the smallest is held against 5 % / 9, the next against 5 % / 8, ..."""
    p = [0.001, 0.005, 0.007, 0.0085, 0.02, 0.04, 0.2, 0.5, float("nan")]
    rows = pd.DataFrame({"p": p, "difference": [3.0, -3.0] + [3.0] * 7, "margin": 0.0})
    rows = rows.assign(claim=47, verdict="not measured here (lesson 06)")
    others = pd.DataFrame({"claim": [1], "p": [1e-9], "difference": [1.0], "margin": [0.0]})
    both = pd.concat([others.assign(verdict=""), rows])
    found = ledger.decided(both.to_dict("records"))
    said = found.verdict[found.claim == 47].tolist()
    assert len(found) == 10 and said[:4] == [HOLDS, FAILS, HOLDS, HOLDS]
    # 8 rows with a p: .001 < .05/8, .005 < .05/7, .007 < .05/6, .0085 < .05/5, .02 > .05/4
    assert said[4:8] == [OPEN] * 4 and said[8] == "not measured here (lesson 06)"


def test_the_headline_does_not_help_to_decide_the_other_rows():
    """Nine tiny p-values beside .04: with them it would be the tenth of ten, and decided."""
    nine = [{"claim": 52, "p": 1e-9, "difference": 3.0, "margin": 0.0, "verdict": ""}] * 9
    other = [
        {"claim": 1, "p": p, "difference": 3.0, "margin": 0.0, "verdict": ""} for p in (0.04, 0.9)
    ]
    found = ledger.decided(nine + other)
    assert found.verdict.tolist() == [OPEN, OPEN] + [HOLDS] * 9
    assert verdict.judged(nine + other).verdict.tolist() == [HOLDS] * 10 + [OPEN]
