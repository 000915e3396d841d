"""The common corruptions, measured: every type and severity once, counted as Table 14 is."""

import pandas as pd
import pytest
import scipy.stats
import torch

from cinv_lib import operators, paper
from cinv_lib.data.image_set import to_float
from cinv_lib.evaluation.metrics import top_k
from cinv_lib.experiments import common_corruptions
from cinv_lib.experiments.base import Task
from cinv_lib.lab import plan
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles import SMOKE, STICKERS
from cinv_lib.operators.corruptions import published
from cinv_lib.operators.corruptions.imagenet_c import FAMILIES, NAMES, corrupt_set

MIXTURE = "blur:0.29..1.43@0.8+noise:0.05..0.5@0.8"


class Colour(torch.nn.Module):
    """An encoder that sees the mean of each channel, and counts the pictures that it is shown."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, x):
        self.seen += len(x)
        return x.mean((2, 3))


def scores_of(rows) -> pd.DataFrame:
    """rows: (method, corruption, family, severity, seed, top1)."""
    columns = ["method", "corruption", "family", "severity", "seed", "top1"]
    return pd.DataFrame(rows, columns=columns)


# -- measuring ---------------------------------------------------------------------------------
def test_each_encoder_sees_each_picture_once_for_all_its_heads(image_set):
    first, second = Colour(), Colour()
    groups = [
        (first, {"right": lambda x: x, "wrong": lambda x: -x}),
        (second, {"dim": lambda x: 0.1 * x}),
    ]
    table = common_corruptions.score(groups, image_set, (1, 4), seed=3)
    assert first.seen == second.seen == len(image_set) * (1 + 2 * len(NAMES))
    columns = ["method", "corruption", "family", "severity", "top1", "top5"]
    assert list(table.columns) == columns
    keys = set(zip(table.method, table.corruption, table.severity, strict=True))
    types = [(common_corruptions.CLEAN, 0), *((name, s) for name in NAMES for s in (1, 4))]
    assert keys == {(m, *one) for m in ("right", "wrong", "dim") for one in types}
    assert len(table) == len(keys)
    family = {name: f for f, names in FAMILIES.items() for name in names}
    assert (
        table.family == table.corruption.map(family | {common_corruptions.CLEAN: "clean"})
    ).all()
    clean = table[table.corruption == common_corruptions.CLEAN].set_index("method").top1
    assert clean.right == clean.dim == 100 and clean.wrong == 0


def test_a_score_is_that_of_the_corrupted_pictures_of_its_seed(image_set):
    def edge(x):  # depends on single pixels, so on the draw
        return x[:, :, 5, 5]

    for seed in (0, 1):
        table = common_corruptions.score([(edge, {"edge": lambda x: x})], image_set, (5,), seed)
        found = table.set_index("corruption").top1
        for name in ("impulse_noise", "contrast", "frost"):
            seen = to_float(corrupt_set(image_set.images, name, 5, seed))
            assert found[name] == pytest.approx(top_k(edge(seen), image_set.labels, 1))


def test_a_severity_that_is_none_is_refused(image_set):
    with pytest.raises(ValueError, match="expected 1, 2, 3, 4 or 5"):
        common_corruptions.score([(Colour(), {"right": lambda x: x})], image_set, (0,), seed=0)


# -- the lab -----------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def lab(folders):
    return Lab("smoke", recorded=False)


@pytest.fixture(scope="module")
def scores(lab):
    return lab.table("common_corruptions")


def test_the_lab_measures_all_methods_and_finds_them_again(lab, scores, monkeypatch):
    severities = lab.profile["common_corruptions"].severities
    assert set(scores.method) == set(common_corruptions.METHODS)
    assert len(scores) == len(common_corruptions.METHODS) * (1 + len(NAMES) * len(severities))
    assert scores.top1.between(0, 100).all() and (scores.top5 >= scores.top1).all()
    monkeypatch.setattr(common_corruptions, "score", None)  # nothing can be computed
    again = Lab("smoke", recorded=False).table("common_corruptions")
    pd.testing.assert_frame_equal(again, scores)


def test_the_student_is_of_the_mixture_and_the_baseline_of_clean_pictures(lab, scores):
    kept = {path.parent.name for path in lab.store.root.glob("*/*")}
    assert {"student", "baseline", "common_corruptions"} <= kept
    for kind, op in (("student", MIXTURE), ("baseline", "identity")):
        assert lab.store.finished(**lab.place(lab.task(kind, op)))
    assert not lab.store.finished(**lab.place(lab.task("baseline", MIXTURE)))
    clean = scores[scores.corruption == common_corruptions.CLEAN].set_index("method")
    val = lab.val.per_class(lab.profile["common_corruptions"].val_per_class)
    with torch.no_grad():
        logits = lab.baseline("identity")(to_float(val.images))
    assert clean.top1["baseline"] == pytest.approx(top_k(logits, val.labels, 1), abs=1.01)
    assert clean.top1["clip_clean"] > 30  # the embedded CLIP is trained, also under smoke


@pytest.mark.parametrize(
    "change",
    [
        {"operators": {"blur:1@0.5+noise:0.1@0.5": None}},
        {"severities": (2,)},
        {"val_per_class": 3},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_the_result_depends_on_is_in_its_description(change):
    specs = []
    for p in (SMOKE, SMOKE.changed({"common_corruptions": change})):
        (op,) = p["common_corruptions"].operators
        specs.append(p.describe(p["common_corruptions"].task(op)))
    assert specs[0] != specs[1]


def test_its_models_are_made_before_it():
    tasks = [Task("common_corruptions", MIXTURE, seed, "st:0.1") for seed in range(3)]
    assert plan.tasks(SMOKE, 3)["13"] == tasks
    assert SMOKE.after(tasks[2]) == [
        Task("student", MIXTURE, 2, "st:0.1"),
        Task("probe", MIXTURE, 2, "st:0.1"),
        Task("baseline", "identity", 2),
        Task("clean_probe", "identity", 2),
    ]


# -- counting ----------------------------------------------------------------------------------
def table_of_two():
    """Two types and clean pictures, two methods, two severities, three seeds."""
    rows = []
    for seed, shift in enumerate((0.0, 1.0, 5.0)):
        for name, family, base in (("fog", "weather", 50.0), ("shot_noise", "noise", 30.0)):
            for severity, drop in ((1, 0.0), (5, 20.0)):
                rows.append(("student", name, family, severity, seed, base - drop + shift))
                rows.append(("baseline", name, family, severity, seed, base - 2 * drop))
        rows.append(("student", common_corruptions.CLEAN, "clean", 0, seed, 90.0))
        rows.append(("baseline", common_corruptions.CLEAN, "clean", 0, seed, 99.0))
    return scores_of(rows)


def test_a_type_is_the_mean_over_severities_then_seeds():
    table = common_corruptions.by_type(table_of_two())
    assert list(table.index) == [("weather", "fog"), ("noise", "shot_noise")]
    assert table.loc[("weather", "fog"), "student"] == pytest.approx(50 - 10 + 2)
    assert table.loc[("noise", "shot_noise"), "baseline"] == pytest.approx(30 - 20)


def test_the_types_stand_in_the_order_of_the_families(scores):
    assert [name for _, name in common_corruptions.by_type(scores).index] == list(NAMES)
    assert set(paper.table(14).operator) == set(NAMES)  # so the paper's rows can stand beside


@pytest.mark.parametrize("by", ["corruption", "family"])
def test_a_difference_has_its_interval_over_seeds(by):
    table = common_corruptions.compare(table_of_two(), "student", "baseline", by=by)
    fog = table.loc["fog" if by == "corruption" else "weather"]
    expected = pd.Series([10.0, 11.0, 15.0])  # a seed's: half of the drop of 20, and its shift
    assert fog.difference == pytest.approx(expected.mean())
    half = scipy.stats.t.ppf(0.975, 2) * expected.sem()
    assert fog.half_width == pytest.approx(half) and fog.seeds == 3
    clean = table.loc[common_corruptions.CLEAN if by == "corruption" else "clean"]
    assert clean.difference == -9 and clean.verdict == "not decided"  # the seeds do not scatter
    back = common_corruptions.compare(table_of_two(), "baseline", "student", by=by)
    pd.testing.assert_series_equal(back.difference, -table.difference)


def test_one_seed_has_no_interval_and_an_unknown_method_is_named():
    one = table_of_two().query("seed == 0")
    assert common_corruptions.compare(one, "student", "baseline").half_width.isna().all()
    with pytest.raises(ValueError, match="no method 'clip' among the scores"):
        common_corruptions.compare(one, "student", "clip")


def test_mce_is_a_mean_of_ratios_of_sums():
    baseline = torch.tensor([[1.0, 3.0], [50.0, 50.0]])
    errors = torch.tensor([[4.0, 4.0], [25.0, 75.0]])
    assert common_corruptions.mean_corruption_error(errors, baseline) == pytest.approx(
        150
    )  # of 2 and 1
    assert common_corruptions.mean_corruption_error(baseline, baseline) == pytest.approx(100)
    assert common_corruptions.mean_corruption_error(2 * errors, 2 * baseline) == pytest.approx(150)
    with pytest.raises(ValueError, match="above 0"):
        common_corruptions.mean_corruption_error(errors, 0 * baseline)


# -- the figure --------------------------------------------------------------------------------


def test_the_mixture_holds_two_of_the_types_at_four_severities():
    """Lesson 13 says so, of the default profile."""
    blur, noise = operators.parse(next(iter(STICKERS["common_corruptions"].operators))).parts
    for op, name in ((blur, "gaussian_blur"), (noise, "gaussian_noise")):
        low, high = op.bounds
        sigmas = [row["sigma"] for row in published.parameters(name, 64)]
        assert sum(low <= sigma <= high for sigma in sigmas) == 4
    assert blur.bounds == pytest.approx((64 / 224, 5 * 64 / 224), abs=0.005)
