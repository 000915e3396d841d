"""Models of a range beyond it: what is scored, and what sums up two curves."""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq

from cinv_lib import evaluation, operators, paper
from cinv_lib.evaluation import probe, statistics
from cinv_lib.experiments import unknown_severity
from cinv_lib.lab import profiles
from cinv_lib.lab.lab import Lab

RANGES = list(profiles.SMOKE["unknown_severity"].operators)


@pytest.fixture(scope="module")
def lab(folders):
    return Lab("smoke", recorded=False)


# -- the measurement -------------------------------------------------------------------------------
@pytest.mark.parametrize("op", RANGES[:1])
def test_every_method_at_every_severity(lab, op):
    scores, entry = lab.table("unknown_severity", op), lab.profile["unknown_severity"]
    assert list(scores.columns) == [*unknown_severity.COLUMNS, "seed", "decides"]
    assert set(scores.method) == set(unknown_severity.METHODS)
    counts = scores.groupby(["method", "severity"]).size().unstack("method")
    assert tuple(counts.index) == entry.operators[op]
    assert (counts.loc[0] == 1).all(), "clean pictures are drawn once"
    assert (counts.clip_zero_shot == 1).all()
    assert (counts.loc[0.5:, ["student", "baseline", "zero_shot"]] == entry.realisations).all(
        axis=None
    )
    assert scores.top1.between(0, 100).all() and (scores.top5 >= scores.top1).all()


def test_the_scores_are_those_of_the_kept_probe(lab):
    """From the files alone: student, its probe and one severity, by `evaluate_heads`."""
    op, entry = RANGES[0], lab.profile["unknown_severity"]
    val = lab.val.per_class(entry.val_per_class)
    groups = [(lab.student(op), {"student": lab.probe(op)})]
    at = operators.parse(op).at(0.5)
    found = evaluation.evaluate_heads(groups, val, at, entry.realisations, 0, progress=False)
    kept = lab.table("unknown_severity", op).query("method == 'student' and severity == 0.5")
    assert kept.top1.tolist() == pytest.approx(found.top1.tolist())
    assert kept.top5.tolist() == pytest.approx(found.top5.tolist())


def test_the_probe_is_fitted_within_the_range_under_the_same_seed(lab):
    op, recipe = RANGES[0], lab.profile["probe"].recipe
    views = probe.features(lab.student(op), lab.train, operators.parse(op), recipe.epochs, 0)
    again = probe.fit(views, lab.train.labels, len(lab.train.class_names), recipe, 0)
    assert torch.allclose(lab.probe(op).weight, again.weight, atol=1e-6)
    seeds = [lab.profile.describe(lab.task("probe", op, seed)) for seed in (0, 1)]
    assert seeds[0] != seeds[1]


def test_contestants_put_clip_first_with_the_words_of_the_student(lab):
    op = RANGES[0]
    groups = lab.profile["unknown_severity"].contestants(
        lab.teacher, lab.baseline(op), lab.student(op), lab.probe(op), lab.val
    )
    assert [name for _, heads in groups for name in heads] == list(unknown_severity.METHODS)
    assert groups[0][0] is lab.teacher
    words = groups[0][1]["clip_zero_shot"]
    assert groups[2][1]["zero_shot"] is words
    assert torch.equal(words.weight, lab.words().weight)


@pytest.mark.parametrize("p", [profiles.STICKERS, profiles.SMOKE], ids=lambda p: p.name)
def test_the_severities_are_below_within_and_beyond(p):
    graded, shift = p["unknown_severity"].operators, p["label_shift"].operators
    assert set(graded) == set(shift) == set(p["transfer"].operators)
    for grid in (graded, shift):
        for op, severities in grid.items():
            low, high = operators.parse(op).bounds
            assert list(severities) == sorted(set(severities))
            assert severities[0] <= low < high < severities[-1]
            assert any(low <= s <= high for s in severities)
            for s in severities:
                operators.parse(op).at(s)  # raises where there is no such severity


def test_every_severity_that_the_paper_has_is_scored():
    for number, name in ((4, "unknown_severity"), (10, "unknown_severity"), (5, "label_shift")):
        theirs = paper.table(10) if number == 10 else paper.figure(number)
        for op, rows in theirs.groupby("trained"):
            grid = profiles.STICKERS[name].operators[op]
            ours = {str(operators.parse(op).at(s)) for s in grid}
            assert set(rows.operator) <= ours, (number, op)


# -- curves ----------------------------------------------------------------------------------------
def test_same_pixels_leaves_as_many_pixels():
    for p in (0.5, 0.9, 0.96, 0.99):
        q = unknown_severity.same_pixels(p, 224, 64)
        assert (1 - q) * 64**2 == pytest.approx((1 - p) * 224**2)
        assert unknown_severity.same_pixels(q, 64, 224) == pytest.approx(p)
    assert unknown_severity.same_pixels(0.9, 64, 64) == pytest.approx(0.9)
    assert unknown_severity.same_pixels(0.0, 224, 64) < 0


@st.composite
def curves(draw):
    n = draw(st.integers(2, 8))
    steps = draw(st.lists(st.floats(0.05, 2), min_size=n, max_size=n))
    heights = st.lists(st.floats(-50, 50), min_size=n, max_size=n)
    return [torch.tensor(v, dtype=torch.float64)
            for v in (np.cumsum(steps), draw(heights), draw(heights))]  # fmt: skip


@given(curves())
def test_mean_lead_is_the_integral_over_the_width(drawn):
    x, a, b = drawn

    def between(t):
        return np.interp(t, x, a) - np.interp(t, x, b)

    area = sum(quad(between, lo, hi)[0] for lo, hi in pairwise(x.tolist()))
    width = float(x[-1] - x[0])
    assert unknown_severity.mean_lead(x, a, b).item() == pytest.approx(area / width, abs=1e-6)
    assert unknown_severity.mean_lead(x, a, b) == -unknown_severity.mean_lead(x, b, a)


@given(curves())
def test_crossing_is_the_first_root_from_above(drawn):
    x, a, b = drawn
    lead = (a - b).numpy()
    assume((np.abs(lead) > 1e-3).all())
    found = unknown_severity.crossing(x, a, b)
    falls = [k for k in range(len(x) - 1) if lead[k] > 0 > lead[k + 1]]
    if not falls:
        assert math.isnan(found)
    else:
        k = falls[0]
        root = brentq(lambda t: np.interp(t, x, lead), float(x[k]), float(x[k + 1]), xtol=1e-10)
        assert found == pytest.approx(root, abs=1e-6)


def test_crossing_at_a_point_and_none():
    x = torch.arange(4.0)
    zero = torch.zeros(4)
    assert unknown_severity.crossing(x, torch.tensor([2.0, 0.0, -1.0, 5.0]), zero) == 1.0
    assert unknown_severity.crossing(x, torch.tensor([0.0, 1.0, -1.0, 0.0]), zero) == 1.5
    for never in ([1.0, 2.0, 0.0, 1.0], [-1.0, -2.0, 0.0, -1.0], [-1.0, 1.0, 1.0, 1.0]):
        assert math.isnan(unknown_severity.crossing(x, torch.tensor(never), zero)), never


# -- verdicts --------------------------------------------------------------------------------------
def test_leads_are_paired_and_their_error_is_over_trainings():
    rng = np.random.default_rng(0)
    rows = []
    for s in (0.5, 0.9):
        for seed in range(3):
            for r in range(10):
                common = rng.normal(0, 10)  # a hard draw is hard for both
                base = {"severity": s, "seed": seed, "realisation": r, "top5": 90.0}
                rows.append(base | {"method": "a", "top1": 50 + 10 * s + common + seed})
                rows.append(base | {"method": "b", "top1": 50 + common})
    leads = statistics.leads(pd.DataFrame(rows), "a", "b")
    assert leads.difference.tolist() == pytest.approx([6.0, 10.0])
    t = scipy.stats.t.ppf(0.975, 2)
    assert leads.half_width.tolist() == pytest.approx([t / math.sqrt(3)] * 2)  # of seeds 0, 1, 2
    assert leads.verdict.tolist() == ["holds", "holds"]
    top5 = statistics.leads(pd.DataFrame(rows), "a", "b", metric="top5")
    assert (top5.difference == 0).all() and (top5.verdict == "not decided").all()
    once = pd.DataFrame(rows).query("seed == 0 and realisation == 0")
    assert (statistics.leads(once, "a", "b").verdict == "not decided").all()


# -- which severities decide -----------------------------------------------------------------------
def scored(at: dict[float, tuple[float, float]]) -> pd.DataFrame:
    """`at`: severity -> the student's top-1, the baseline's; CLIP is always right."""
    rows = [
        (method, severity, seed, 0, top1)
        for severity, two in at.items()
        for method, top1 in zip(("student", "baseline", "clip_zero_shot"), (*two, 100), strict=True)
        for seed in (0, 1)
    ]
    return pd.DataFrame(rows, columns=["method", "severity", "seed", "realisation", "top1"])


def test_the_rule_leaves_out_guesses_and_what_is_as_easy_as_the_range():
    at = {
        0.3: (9, 20),
        0.5: (80, 70),
        0.95: (50, 40),
        0.96: (49.5, 10),
        0.97: (20, 48),
        0.98: (9, 15),
    }
    scores, op = scored(at | {0.99: (9, 9)}), "mask:0.5..0.95"
    assert unknown_severity.deciding(scores, op, classes=100) == [0.97, 0.98]
    assert unknown_severity.deciding(scores, op, classes=10) == [0.97], "15 % is a guess of ten"


def test_severities_that_were_chosen_before_are_not_chosen_again():
    entry = profiles.STICKERS["unknown_severity"]
    for op, chosen in entry.chosen.items():
        assert op in entry.operators and set(chosen) < set(entry.operators[op])
        scores = scored({s: (90 - 100 * s, 5) for s in entry.operators[op]})
        marked = entry.read(scores, op)
        assert set(marked.severity[marked.decides]) == set(chosen)
        found = unknown_severity.leads(marked, op, 100)
        assert set(found.index[found.decides]) == set(chosen)
