"""Every table of the paper, with what was measured here in the same cells.

Each value is labelled by its column: "quoted" is the paper's; "reduced scale" or "reproduced" was
measured here (see `results`). A cell of ours is empty where nothing has been measured.
"""

from collections.abc import Iterator

import pandas as pd

from cinv_lib import operators
from cinv_lib.experiments import common_corruptions, spoken
from cinv_lib.experiments.transfer import STANDS_FOR, THE_PAPERS
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles.record import Profile
from cinv_lib.paper import numbers, results, verdicts

TITLES = {  # Tables 3, 15 and 16 are lists of classes
    1: "student and baseline, top-1",
    2: "transfer to other sets, top-1",
    4: "student and baseline, top-5",
    5: "transfer to other sets, top-5",
    6: "transfer to two classes, area under the curve (%)",
    7: "removing the noise, then a clean classifier",
    8: "filling the holes, then a clean classifier",
    9: "R's clean classifier on the student",
    10: "severities below the range",
    11: "other starts of the baseline",
    12: "other starts of the baseline, beyond the range",
    13: "probes on towers that never saw a corruption",
    14: "common corruptions, none announced",
}
PROBED = ("baseline", "student", "student_10")
KEYS = ["table", "operator", "dataset", "method"]
Cell = tuple[int, str, str, str, str, pd.DataFrame]  # KEYS, the metric, its rows


def tables(lab: Lab, seeds: int = 1) -> dict[int, pd.DataFrame]:
    """By the number of the table: a row for each operator (and set of pictures), by its name; for
    each method ours and the paper's. What a lab has not finished is not measured for it.

    Ours have the half-width of the 95 % interval over trainings, the paper's the standard error
    over draws. In percent; of Table 6 the area under the curve, times 100.
    """
    found = verdicts.finished(lab, seeds)
    ours = pd.DataFrame(
        [_summary(cell) for cell in cells(found, lab.profile)], columns=[*KEYS, "here"]
    ).set_index(KEYS)["here"]
    return {number: table(number, ours, results.label(lab.profile.name)) for number in TITLES}


def table(number: int, ours: pd.Series, label: str) -> pd.DataFrame:
    """One of the tables; `ours` are texts by KEYS, `label` says what these are."""
    quoted = numbers.table(number)
    several, scale = quoted.dataset.nunique() > 1, 100 if number == 6 else 1
    columns: dict[tuple[str, str], dict[str, str]] = {}
    for row in quoted.itertuples():
        name = common_corruptions.words(spoken.title(row.operator))
        place = f"{name}, {row.dataset}" if several else name
        here = ours.get((number, row.operator, row.dataset, row.method), "")
        method = numbers.METHODS[row.method]
        columns.setdefault((method, f"here, {label}"), {})[place] = here
        text = results.number(scale * row.value, scale * row.se)
        columns.setdefault((method, "paper, quoted"), {})[place] = text
    return pd.DataFrame(columns).fillna("")


def cells(found: verdicts.Tables, p: Profile) -> Iterator[Cell]:
    """The rows of the lab's tables that belong into each cell of the paper's, under its names."""
    for (kind, op), rows in found.items():
        yield from FILLED[kind](rows, op, p) if kind in FILLED else ()


def _by_method(
    number: int, rows: pd.DataFrame, operator: str, *methods: str,
    metric: str = "top1", dataset: str = "ImageNet-100",
) -> Iterator[Cell]:  # fmt: skip
    for method in methods:
        own = rows[rows.method == method]
        if len(own):
            yield number, operator, dataset, method, metric, own


def _scores(rows: pd.DataFrame, op: str, p: Profile) -> Iterator[Cell]:
    theirs = numbers.counterpart(op)
    yield from _by_method(1, rows, theirs, *PROBED)
    yield from _by_method(4, rows, theirs, *PROBED, metric="top5")
    yield from _by_method(9, rows, theirs, "clean_classifier", "student")
    yield from _by_method(11, rows, theirs, "baseline")
    yield from _by_method(13, rows, theirs, "clip")


def _labels(rows: pd.DataFrame, op: str, p: Profile) -> Iterator[Cell]:
    every = rows[rows.per_class == rows.per_class.max()]
    yield from _by_method(13, every, numbers.counterpart(op), "resnet")


def _starts(rows: pd.DataFrame, op: str, p: Profile) -> Iterator[Cell]:
    theirs = "baseline_imagenet100"  # the paper's name of the other start
    rows = rows.replace({"method": {"baseline100": theirs}})
    if op in p.operators:
        yield from _by_method(11, rows, numbers.counterpart(op), theirs)
    else:
        for name, part in _fixed(rows, op):
            yield from _by_method(12, part, name, theirs)


def _severity(rows: pd.DataFrame, op: str, p: Profile) -> Iterator[Cell]:
    for name, part in _fixed(rows, op):
        yield from _by_method(10, part, name, "baseline", "student")
        yield from _by_method(12, part, name, "baseline")


def _fixed(rows: pd.DataFrame, op: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each severity of a range, and the name of that operator."""
    for severity, part in rows.groupby("severity"):
        yield str(operators.parse(op).at(severity)), part


def _transfer(rows: pd.DataFrame, op: str, p: Profile) -> Iterator[Cell]:
    for number, metric in ((2, "top1"), (5, "top5"), (6, "auc")):
        for mine, theirs in (STANDS_FOR | THE_PAPERS).items():
            named = {"metric": metric, "dataset": theirs}
            part = rows[rows.dataset == mine]
            yield from _by_method(number, part, op, "baseline", "student", **named)


def _pixels(rows: pd.DataFrame, op: str, p: Profile) -> Iterator[Cell]:
    few = rows[rows.pictures == rows.pictures.min()]  # the same pictures for all methods
    number, other = (7, "denoising") if op.startswith("noise") else (8, "inpainting")
    yield from _by_method(number, few, numbers.counterpart(op), other, "student")


def _corruptions(rows: pd.DataFrame, op: str, p: Profile) -> Iterator[Cell]:
    for name, part in rows.assign(realisation=0).groupby("corruption"):
        means = part.groupby(["method", "seed", "realisation"])[["top1"]].mean().reset_index()
        yield from _by_method(14, means, name, "baseline", "student", dataset="ImageNet-100C")


FILLED = {
    "known_operator": _scores,
    "few_labels": _labels,
    "baseline_starts": _starts,
    "unknown_severity": _severity,
    "transfer": _transfer,
    "pixels": _pixels,
    "common_corruptions": _corruptions,
}


def _summary(cell: Cell) -> tuple[int, str, str, str, str]:
    number, operator, dataset, method, metric, rows = cell
    text = results.stated(rows, metric, 100 if metric == "auc" else 1)
    return number, operator, dataset, method, text
