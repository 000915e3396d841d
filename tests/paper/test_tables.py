"""Every table of the paper with ours in its cells: which table, which cell, which label."""

import pandas as pd
import pytest

from cinv_lib import paper
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles.stickers import STICKERS
from cinv_lib.operators import corruptions
from cinv_lib.paper import tables as paper_tables
from cinv_lib.paper import verdicts

MASKS, NOISES = STICKERS["transfer"].operators


def rows(**columns) -> pd.DataFrame:
    """A row for each seed and draw: of seeds 60, 61 and 62 in the mean, draws 2 apart."""
    draws = [{"seed": seed, "realisation": r} for seed in range(3) for r in range(2)]
    frame = pd.DataFrame(draws)
    frame["top1"] = 59.0 + frame.seed + 2 * frame.realisation
    return frame.assign(top5=frame.top1 + 20, auc=0.9, **columns)


def several(name: str, values, **columns) -> pd.DataFrame:
    return pd.concat([rows(**{name: value}, **columns) for value in values], ignore_index=True)


METHODS = ["student", "student_10", "baseline", "clip", "clean_classifier", "zero_shot"]
FOUND = {
    ("known_operator", "mask:0.9"): several("method", METHODS),
    ("known_operator", "blur:2.57"): several("method", METHODS),
    ("few_labels", "mask:0.9"): pd.concat([rows(method="resnet", per_class=n) for n in (1, 20)]),
    ("baseline_starts", "noise:0.5"): rows(method="baseline100", severity=0.5),
    ("baseline_starts", MASKS): several("severity", (0.95, 0.96, 0.99), method="baseline100"),
    ("unknown_severity", MASKS): pd.concat(
        [several("severity", (0.3, 0.9, 0.96), method=m) for m in ("student", "baseline")]
    ),
    ("transfer", NOISES): several(
        "dataset", ("digits", "faces", "stickers-places"), method="student"
    ),
    ("pixels", "noise:0.5"): several("method", ("student", "denoising"), pictures=500),
    ("pixels", "mask:0.9"): several("method", ("student", "inpainting"), pictures=100),
    ("common_corruptions", *STICKERS["common_corruptions"].operators): several(
        "corruption", ("fog", "none"), method="student", severity=1
    ).drop(columns="realisation"),
    ("tuned_teacher", STICKERS.slider): rows(method="frozen"),  # no table of the paper's
}


@pytest.fixture(scope="module")
def tables():
    lab = Lab("stickers", recorded=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verdicts, "finished", lambda lab, seeds: FOUND)
        return paper_tables.tables(lab, 3)


def ours(tables, number: int) -> set[tuple[str, str]]:
    """(row, method) of the cells of ours that are filled, all in columns with the label."""
    table = tables[number]
    return {
        (row, method)
        for method, where in table
        if where == "here, reduced scale"
        for row, text in table[method, where].items()
        if text
    }


def test_every_cell_of_ours_is_where_it_belongs(tables):
    name = {key: paper.METHODS[key] for key in paper.METHODS}
    three = {name["baseline"], name["student"], name["student_10"]}
    ours_1 = {(op, m) for op in ("masks, 90 % missing", "blur, σ 9") for m in three}
    assert ours(tables, 1) == ours(tables, 4) == ours_1
    assert ours(tables, 2) == {
        ("noise, CIFAR-10", "Ours"),
        ("noise, COVID X-ray", "Ours"),
    }
    assert ours(tables, 5) == {("noise, CIFAR-10", "Ours")}  # no top-5 of two classes
    assert ours(tables, 6) == {("noise", "Ours")}
    assert ours(tables, 7) == {("noise, σ 0.5", "Ours"), ("noise, σ 0.5", name["denoising"])}
    assert ours(tables, 8) == {
        ("masks, 90 % missing", "Ours"),
        ("masks, 90 % missing", name["inpainting"]),
    }
    both = {name["clean_classifier"], "Ours"}
    assert ours(tables, 9) == {(op, m) for op in ("masks, 90 % missing", "blur, σ 9") for m in both}
    assert ours(tables, 10) == {
        ("masks, 30 % missing", "Ours"),
        ("masks, 30 % missing", name["baseline"]),
    }
    narrow = name["baseline_imagenet100"]
    assert ours(tables, 11) == {
        ("noise, σ 0.5", narrow),
        ("masks, 90 % missing", name["baseline"]),
        ("blur, σ 9", name["baseline"]),
    }
    assert ours(tables, 12) == {
        ("masks, 96 % missing", narrow),
        ("masks, 99 % missing", narrow),
        ("masks, 96 % missing", name["baseline"]),
    }
    assert ours(tables, 13) == {
        ("masks, 90 % missing", name["clip"]),
        ("blur, σ 9", name["clip"]),
        ("masks, 90 % missing", name["resnet"]),
    }
    assert ours(tables, 14) == {("fog", "Ours")}


def test_ours_have_the_interval_over_trainings_and_the_paper_s_are_as_printed(tables):
    table = tables[1]["Ours"]
    assert table["here, reduced scale"]["masks, 90 % missing"] == "61.0 ± 2.5"  # 4.303 / sqrt(3)
    assert table["paper, quoted"]["masks, 90 % missing"] == "83.0 ± 0.1"
    assert tables[4]["Ours"]["here, reduced scale"]["masks, 90 % missing"] == "81.0 ± 2.5"
    assert tables[6]["Ours"]["here, reduced scale"]["noise"] == "90.0"
    assert tables[6]["Ours"]["paper, quoted"]["noise"] == "89.6 ± 0.1"


def test_every_printed_number_is_there_with_its_label(tables):
    assert set(tables) == set(paper_tables.TITLES) == set(range(1, 15)) - {3}
    for number, table in tables.items():
        assert {where for _, where in table} == {"here, reduced scale", "paper, quoted"}
        quoted = table.loc[:, [c for c in table if c[1] == "paper, quoted"]]
        assert (quoted != "").to_numpy().sum() == len(paper.table(number))
    assert len(tables[14]) == len(corruptions.NAMES)


def test_what_has_not_been_measured_is_empty(home):
    for table in paper_tables.tables(Lab("smoke", recorded=False), 1).values():
        assert not table.loc[:, [c for c in table if c[1] != "paper, quoted"]].any(axis=None)
    assert not (home.parent / "runs").exists()
