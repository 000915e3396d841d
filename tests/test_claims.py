"""The ledger's arithmetic: paired differences, both standard errors, the rule of the verdict."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import sem

from cinv_lib import claims
from cinv_lib.scoring import METHODS


def scores(gap: float, seeds: int = 3, noise: float = 0.1, realisations: int = 10) -> pd.DataFrame:
    random = np.random.default_rng(0)
    rows = []
    for seed in range(seeds):
        for r in range(realisations):
            common = random.normal(60, 5)  # a hard draw is hard for both: pairing removes it
            rows.append(("baseline", seed, r, common))
            rows.append(("student", seed, r, common + gap + random.normal(0, noise)))
    return pd.DataFrame(rows, columns=["method", "seed", "realisation", "top1"])


def claim(margin: float = 0.0) -> claims.Claim:
    return claims.Claim(1, "S beats the baseline.", "Table 1", "student", "baseline", margin)


def test_pairing_removes_what_both_methods_share():
    row = claims.decide(claim(), scores(2.0), "mask:0.9")
    assert row["difference"] == pytest.approx(2.0, abs=0.1)
    assert row["se realisations"] < 0.1  # unpaired, a spread of 5 would give 5 / sqrt(30) = 0.9


def test_standard_errors_are_scipy_s():
    pairs = claims.difference(scores(1.0), "student", "baseline")
    realisations, seeds = claims.standard_errors(pairs)
    by_seed = [group.difference.to_numpy() for _, group in pairs.groupby("seed")]
    assert seeds == pytest.approx(sem([d.mean() for d in by_seed]))
    # The mean of three independent means: variances add, and are divided by three twice.
    assert realisations == pytest.approx(math.sqrt(sum(sem(d) ** 2 for d in by_seed)) / 3)


def test_one_seed_and_one_realisation_have_no_error():
    realisations, seeds = claims.standard_errors(
        claims.difference(scores(1.0, seeds=1, realisations=1), "student", "baseline")
    )
    assert math.isnan(realisations) and math.isnan(seeds)
    row = claims.decide(claim(), scores(1.0, seeds=1, realisations=1), "blur:2.57")
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
    assert claims.verdict(value, error, margin) == expected


def test_a_verdict_can_go_both_ways():
    assert claims.decide(claim(), scores(3.0), "x")["verdict"] == "holds"
    assert claims.decide(claim(), scores(-3.0), "x")["verdict"] == "does not hold"
    assert claims.decide(claim(20.0), scores(3.0), "x")["verdict"] == "does not hold"


def test_an_unknown_method_is_named_with_those_that_are_there():
    with pytest.raises(ValueError, match="baseline, student"):
        claims.difference(scores(1.0), "student", "oracle")


def test_every_claim_compares_two_methods_that_are_measured():
    assert [c.number for c in claims.CLAIMS] == list(range(1, len(claims.CLAIMS) + 1))
    for c in claims.CLAIMS:
        assert {c.better, c.worse} <= set(METHODS), c
