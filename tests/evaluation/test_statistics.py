"""One number a training, its interval and p; the rule of one row; what lessons show."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cinv_lib.evaluation import statistics
from cinv_lib.evaluation.statistics import over_trainings
from cinv_lib.paper import results


def scores(gap: float, seeds: int = 3, noise: float = 0.1, realisations: int = 10) -> pd.DataFrame:
    random = np.random.default_rng(0)
    rows = []
    for seed in range(seeds):
        for r in range(realisations):
            common = random.normal(60, 5)  # a hard draw is hard for both: pairing removes it
            rows.append(("baseline", seed, r, common))
            rows.append(("student", seed, r, common + gap + random.normal(0, noise)))
    return pd.DataFrame(rows, columns=["method", "seed", "realisation", "top1"])


# -- the interval ----------------------------------------------------------------------------------
@pytest.mark.parametrize("n", [2, 3, 5, 10])
@pytest.mark.parametrize("margin", [0.0, 20.0, -2.0])
def test_the_interval_and_p_are_scipy_s(n, margin):
    each = np.random.default_rng(n).normal(margin + 1, 2, n)
    mean, half_width, p = over_trainings(each, margin)
    expected = stats.ttest_1samp(each, margin)
    low, high = expected.confidence_interval(0.95)
    assert mean == pytest.approx(each.mean(), rel=1e-12)
    assert p == pytest.approx(expected.pvalue, rel=1e-12)
    assert (mean - half_width, mean + half_width) == pytest.approx((low, high), rel=1e-12)


@pytest.mark.parametrize("each", [[], [1.0], [1.5, 1.5, 1.5], [0.1 + 0.2, 0.3]])
def test_one_training_or_none_that_differs_decides_nothing(each):
    mean, half_width, p = over_trainings(each)
    assert math.isnan(half_width) and math.isnan(p)
    assert statistics.verdict(mean, half_width) == "not decided"


def test_the_square_of_the_choice_is_added_and_the_fewer_count():
    each, choice = [1.0, 2.0, 4.0], 3.0
    _, half_width, _ = over_trainings(each, choice=choice, units=5)
    error = math.hypot(stats.sem(each), choice)
    assert half_width == pytest.approx(stats.t.ppf(0.975, 2) * error)
    four = over_trainings([*each] * 3, choice=choice, units=4)[1]
    assert four == pytest.approx(stats.t.ppf(0.975, 3) * math.hypot(stats.sem([*each] * 3), choice))
    assert over_trainings([1.0, 1.0], choice=1.0, units=5)[2] < 1  # not without an error


def false_share(experiments: np.ndarray, units: int | None) -> float:
    """Percent of experiments (E, trainings, units) without any difference that are decided."""
    decided = 0
    for d in experiments:
        shared = {} if units is None else {"choice": stats.sem(d.mean(0)), "units": units}
        decided += over_trainings(d.mean(1), **shared)[2] <= 0.05
    return 100 * decided / len(experiments)


@pytest.mark.parametrize("n", [3, 5])
def test_with_pictures_of_its_own_each_training_decides_falsely_in_five_percent(n):
    random = np.random.default_rng(n)
    E, k = 10_000, 6
    nested = random.normal(size=(E, n, 1)) + 2 * random.normal(size=(E, n, k))  # own pictures
    assert false_share(nested, None) == pytest.approx(5, abs=0.5)


@pytest.mark.parametrize(("n", "k"), [(3, 5), (5, 5), (5, 60)])
@pytest.mark.parametrize("luck", [0.2, 1.0, 3.0])
def test_with_shared_units_it_decides_falsely_in_five_percent_at_most(n, k, luck):
    random = np.random.default_rng([n, k, int(10 * luck)])
    E = 2000
    crossed = luck * random.normal(size=(E, n, 1)) + random.normal(size=(E, 1, k))
    crossed = crossed + 0.5 * random.normal(size=(E, n, k))
    assert false_share(crossed, k) <= 5.5


def test_units_that_are_shared_and_forgotten_are_found_out():
    random = np.random.default_rng(0)
    crossed = 0.2 * random.normal(size=(1000, 3, 1)) + random.normal(size=(1000, 1, 5))
    assert false_share(crossed, None) > 30


# -- from scores to one number a training ----------------------------------------------------------
def test_pairing_removes_what_both_methods_share():
    value, half_width = statistics.estimate(
        statistics.difference(scores(2.0), "student", "baseline"), "difference"
    )
    assert value == pytest.approx(2.0, abs=0.1) and half_width < 0.3  # the draws' spread is 5


def test_seeds_weigh_alike_and_only_they_count():
    uneven = pd.DataFrame({"seed": [0, 0, 0, 1], "realisation": [0, 1, 2, 0]})
    uneven["top5"] = [10.0, 20.0, 30.0, 50.0]
    value, half_width = statistics.estimate(uneven, "top5")
    assert value == 35 and half_width == pytest.approx(stats.t.ppf(0.975, 1) * stats.sem([20, 50]))
    nothing = uneven.assign(top1=math.nan)
    assert all(math.isnan(number) for number in statistics.estimate(nothing))


def test_the_error_over_draws_is_that_of_these_networks():
    pairs = statistics.difference(scores(1.0), "student", "baseline")
    by_seed = [group.difference.to_numpy() for _, group in pairs.groupby("seed")]
    # The mean of three independent means: variances add, and are divided by three twice.
    expected = math.sqrt(sum(stats.sem(d) ** 2 for d in by_seed)) / 3
    assert statistics.over_draws(pairs) == pytest.approx(expected)
    assert math.isnan(statistics.over_draws(pairs[pairs.realisation == 0]))


def test_more_draws_of_one_training_decide_nothing():
    found = statistics.compare(scores(5.0, seeds=1, realisations=50), "student", "baseline")
    assert found["verdict"] == "not decided" and math.isnan(found["half_width"])


def test_seeds_that_only_one_method_has_are_not_compared():
    frame = scores(1.0)
    frame = frame[(frame.method == "student") | (frame.seed < 2)]
    assert statistics.difference(frame, "student", "baseline").seed.unique().tolist() == [0, 1]


def test_an_unknown_method_is_named_with_those_that_are_there():
    with pytest.raises(ValueError, match="baseline, student"):
        statistics.difference(scores(1.0), "student", "oracle")


# -- the verdict of one row ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "half_width", "margin", "expected"),
    [
        (1.0, 0.9, 0.0, "holds"),
        (1.0, 1.1, 0.0, "not decided"),
        (-1.0, 1.1, 0.0, "not decided"),
        (-1.0, 0.9, 0.0, "does not hold"),
        (21.0, 0.9, 20.0, "holds"),
        (19.0, 0.9, 20.0, "does not hold"),
        (-5.0, 4.0, -10.0, "holds"),
        (5.0, math.nan, 0.0, "not decided"),
    ],
)
def test_the_rule_of_one_row(value, half_width, margin, expected):
    assert statistics.verdict(value, half_width, margin) == expected


def test_comparisons_are_decided_by_their_own_intervals():
    noisy = scores(2.0, noise=0.5)
    each = statistics.by_training(statistics.difference(noisy, "student", "baseline"))
    value, half_width, _ = over_trainings(each)
    found = statistics.compare(noisy, "student", "baseline")
    assert found == {"difference": value, "half_width": half_width, "verdict": "holds"}
    few = statistics.compare(noisy, "student", "baseline", choice=2.0, units=5)
    assert few["half_width"] > 8 and few["verdict"] == "not decided"
    back = statistics.leads(noisy.assign(severity=1), "baseline", "student")
    assert back.loc[1].to_dict() == statistics.compare(noisy, "baseline", "student")


def test_the_choice_of_pictures_is_that_of_two_shares():
    frame = pd.DataFrame({"method": ["a", "b"], "top1": [60.0, 80.0]})
    expected = 100 * math.sqrt((0.6 * 0.4 + 0.8 * 0.2) / 50)
    assert statistics.choice_of_pictures(frame, "a", "b", 50) == pytest.approx(expected)


def test_stated_is_a_number_with_its_half_width_or_nothing():
    rows = pd.DataFrame({"seed": [0, 1], "realisation": [0, 0], "auc": [0.80, 0.84]})
    assert results.stated(rows, "auc", scale=100) == "82.0 ± 25.4"  # t of one degree: 12.7
    assert results.stated(rows[:1], "auc", scale=100) == "80.0"
    assert results.stated(rows.assign(auc=math.nan), "auc") == ""
