"""The ledger's arithmetic: paired differences, both standard errors, the rule of the verdict."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import sem

from cinv_lib import plots
from cinv_lib.evaluation import statistics
from cinv_lib.paper import results, verdict


def scores(gap: float, seeds: int = 3, noise: float = 0.1, realisations: int = 10) -> pd.DataFrame:
    random = np.random.default_rng(0)
    rows = []
    for seed in range(seeds):
        for r in range(realisations):
            common = random.normal(60, 5)  # a hard draw is hard for both: pairing removes it
            rows.append(("baseline", seed, r, common))
            rows.append(("student", seed, r, common + gap + random.normal(0, noise)))
    return pd.DataFrame(rows, columns=["method", "seed", "realisation", "top1"])


def claim(margin: float = 0.0) -> verdict.Claim:
    @verdict.claim(1, source="Table 1", lesson="06", margin=margin)
    def ahead(scores):
        """S beats the baseline."""
        return statistics.difference(scores, "student", "baseline")

    return ahead


def decided(margin: float, frame: pd.DataFrame) -> dict:
    (row,) = verdict.decide(claim(margin), {"scores": frame}, "mask:0.9")
    return row


def test_pairing_removes_what_both_methods_share():
    row = decided(0.0, scores(2.0))
    assert row["difference"] == pytest.approx(2.0, abs=0.1)
    assert row["se realisations"] < 0.1  # unpaired, a spread of 5 would give 5 / sqrt(30) = 0.9


def test_standard_errors_are_scipy_s():
    pairs = statistics.difference(scores(1.0), "student", "baseline")
    realisations, seeds = statistics.standard_errors(pairs)
    by_seed = [group.difference.to_numpy() for _, group in pairs.groupby("seed")]
    assert seeds == pytest.approx(sem([d.mean() for d in by_seed]))
    # The mean of three independent means: variances add, and are divided by three twice.
    assert realisations == pytest.approx(math.sqrt(sum(sem(d) ** 2 for d in by_seed)) / 3)


def test_one_seed_and_one_realisation_have_no_error():
    realisations, seeds = statistics.standard_errors(
        statistics.difference(scores(1.0, seeds=1, realisations=1), "student", "baseline")
    )
    assert math.isnan(realisations) and math.isnan(seeds)
    row = decided(0.0, scores(1.0, seeds=1, realisations=1))
    assert row["verdict"].startswith("not decided")


@pytest.mark.parametrize(
    ("value", "error", "margin", "expected"),
    [
        (1.0, 0.4, 0.0, "holds"),
        (1.0, 0.6, 0.0, "not decided"),
        (-1.0, 0.6, 0.0, "not decided"),
        (-1.0, 0.4, 0.0, "does not hold"),
        (21.0, 0.4, 20.0, "holds"),
        (19.0, 0.4, 20.0, "does not hold"),
        (-5.0, 1.0, -10.0, "holds"),
    ],
)
def test_the_rule_of_the_verdict(value, error, margin, expected):
    assert statistics.verdict(value, error, margin) == expected


def test_a_verdict_can_go_both_ways():
    assert decided(0.0, scores(3.0))["verdict"] == "holds"
    assert decided(0.0, scores(-3.0))["verdict"] == "does not hold"
    assert decided(20.0, scores(3.0))["verdict"] == "does not hold"


def test_an_unknown_method_is_named_with_those_that_are_there():
    with pytest.raises(ValueError, match="baseline, student"):
        statistics.difference(scores(1.0), "student", "oracle")


def test_a_claim_reads_what_its_measurement_names():
    assert claim().reads == ("scores",) and not claim().ours


def test_the_largest_error_counts():
    """Also one that the measurement brings along, over the choice of pictures say."""

    @verdict.claim(1, source="ours", lesson="06")
    def ahead(scores):
        """S beats the baseline."""
        return statistics.difference(scores, "student", "baseline").assign(choice=2.0)

    (row,) = verdict.decide(ahead, {"scores": scores(3.0)}, "mask:0.9")
    assert row["se choice"] == 2.0 and row["verdict"] == "not decided"
    assert statistics.largest((math.nan, 1.0, 0.5)) == 1.0 and math.isnan(
        statistics.largest((math.nan,))
    )


def test_seeds_that_only_one_method_has_are_not_compared():
    frame = scores(1.0)
    frame = frame[(frame.method == "student") | (frame.seed < 2)]
    assert statistics.difference(frame, "student", "baseline").seed.unique().tolist() == [0, 1]


def test_nothing_to_compare_decides_nothing():
    @verdict.claim(1, source="ours", lesson="06")
    def ahead(scores):
        """S beats the baseline."""
        return {"here": statistics.NOTHING}

    (row,) = verdict.decide(ahead, {"scores": scores(3.0)}, "mask:0.9")
    assert (row["where"], row["seeds"]) == ("here", 0)
    assert row["verdict"] == "not decided (nothing to compare)"


def test_margins_shows_what_was_measured_in_one_unit():
    rows = [decided(0.0, scores(3.0)), decided(0.0, scores(-3.0))]
    rows.append(verdict.undecided(claim(), "blur:2.57", "not measured here (lesson 06)"))
    (ax,) = plots.margins(pd.DataFrame(rows)).axes
    assert [t.get_text().strip() for t in ax.get_yticklabels()] == ["1. mask:0.9"] * 2
    assert "points" in ax.get_xlabel()
    with pytest.raises(ValueError, match="points, degrees"):
        plots.margins(pd.DataFrame([rows[0], rows[1] | {"unit": "degrees"}]))
    with pytest.raises(ValueError, match="no unit"):
        plots.margins(pd.DataFrame(rows[2:]))


# -- what lessons show -----------------------------------------------------------------------------
def test_an_estimate_weighs_seeds_alike_and_has_the_larger_error():
    uneven = pd.DataFrame({"seed": [0, 0, 0, 1], "realisation": [0, 1, 2, 0]})
    value, error = statistics.estimate(uneven.assign(top5=[10.0, 20.0, 30.0, 50.0]), "top5")
    assert value == 35 and error == pytest.approx(sem([20, 50]))  # over realisations it is 2.9
    nothing = uneven.assign(top1=math.nan)
    assert all(math.isnan(number) for number in statistics.estimate(nothing))


def test_a_comparison_has_the_error_of_the_choice_of_pictures_too():
    rows = [(m, s, r, 50 + 5 * (m == "a") + s + r) for m in "ab" for s in (0, 1) for r in (0, 1)]
    scores = pd.DataFrame(rows, columns=["method", "seed", "realisation", "top1"])
    assert statistics.compare(scores, "a", "b") == {"difference": 5, "error": 0, "verdict": "holds"}
    found = statistics.compare(scores, "a", "b", choice=2.6)
    assert found == {"difference": 5, "error": 2.6, "verdict": "not decided"}
    back = statistics.leads(scores.assign(severity=1), "b", "a")
    assert back.loc[1].to_dict() == statistics.compare(scores, "b", "a")


def test_stated_is_a_number_with_its_error_or_nothing():
    rows = pd.DataFrame({"seed": [0, 0], "realisation": [0, 1], "auc": [0.80, 0.84]})
    assert results.stated(rows, "auc", scale=100) == "82.0 ± 2.0"
    assert results.stated(rows.assign(auc=math.nan), "auc") == ""
