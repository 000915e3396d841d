"""The paper's printed numbers, asked what the claims ask.

A claim measures a difference on tables of a lab. Here the paper's tables and figures take the shape
of those tables, so that the same function gives the paper's own difference, to stand beside ours.
The paper trained once: its differences have no interval over trainings. Where it prints nothing
that a claim needs, there is no value.
"""

from collections.abc import Callable

import pandas as pd

from cinv_lib.experiments.transfer import THE_PAPERS
from cinv_lib.lab.profiles.record import Profile
from cinv_lib.operators.corruptions.imagenet_c import FAMILIES
from cinv_lib.paper import numbers, verdicts
from cinv_lib.paper.verdict import measured

KEYS = ["claim", "operator", "where"]


def _wide(rows: pd.DataFrame, *keys: str) -> pd.DataFrame:
    """The printed rows with a column for each metric: one training, one draw."""
    wide = rows.pivot_table(index=["method", *keys], columns="metric", values="value")
    return wide.reset_index().rename_axis(columns=None).assign(seed=0, realisation=0)


def _scores(op: str) -> pd.DataFrame:
    rows = pd.concat([numbers.table(number) for number in (1, 4, 9, 13)])
    return _wide(rows[rows.operator == numbers.counterpart(op)])


def _pixels(op: str) -> pd.DataFrame:
    rows = numbers.table(7 if op.startswith("noise") else 8)
    return _wide(rows[rows.operator == op]).assign(pictures=5000)


def _transfer(op: str) -> pd.DataFrame:
    rows = pd.concat([numbers.table(2), numbers.table(5)])
    names = {theirs: ours for ours, theirs in THE_PAPERS.items()}
    return _wide(rows[rows.operator == op], "dataset").replace({"dataset": names})


def _corruptions(op: str) -> pd.DataFrame:
    families = {name: family for family, names in FAMILIES.items() for name in names}
    rows = _wide(numbers.table(14), "operator").rename(columns={"operator": "corruption"})
    return rows.assign(family=rows.corruption.map(families))


def _severity(rows: pd.DataFrame, op: str) -> pd.DataFrame:
    """Rows of one kind of operator, their severities in a column."""
    kind = op.partition(":")[0]
    rows = rows[rows.operator.str.startswith(f"{kind}:")]
    severity = rows.operator.str.partition(":")[2].astype(float)
    return _wide(rows.assign(severity=severity), "severity").assign(operator=op)


def _severities(op: str) -> pd.DataFrame:
    return _severity(pd.concat([numbers.figure(4), numbers.table(10)]), op)


def _ablation(op: str) -> pd.DataFrame:
    rows = _severity(numbers.figure(6), op)
    return rows.assign(loss=[m if m == "mse" else f"{m}:0.1" for m in rows.method])


def _starts(op: str) -> pd.DataFrame:
    number = 12 if ".." in op else 11
    rows = numbers.table(number)
    rows = rows.assign(method=rows.method.replace("baseline_imagenet100", "baseline100"))
    if ".." in op:
        return _severity(rows, op)
    return _wide(rows[rows.operator == op])


SHAPED: dict[str, Callable[[str], pd.DataFrame]] = {
    "known_operator": _scores,
    "pixels": _pixels,
    "transfer": _transfer,
    "common_corruptions": _corruptions,
    "unknown_severity": _severities,
    "ablation": _ablation,
    "baseline_starts": _starts,
}


def differences(p: Profile) -> pd.Series:
    """What the paper's numbers give for each claim, by KEYS, in the unit of the claim."""
    expected, found = verdicts.operators(p), {}
    for claim in verdicts.CLAIMS:
        if not claim.reads or claim.ours or not set(claim.reads) <= set(SHAPED):
            continue
        for op in verdicts.places(claim, expected):
            tables = {kind: SHAPED[kind](op).assign(shared=True) for kind in claim.reads}
            try:
                rows = measured(claim, tables, op)
            except (AttributeError, KeyError, ValueError):  # a method, or a column, not printed
                continue
            found |= {(claim.number, op, row["where"]): row["difference"] for row in rows}
    index = pd.MultiIndex.from_tuples(found, names=KEYS)
    return pd.Series([*found.values()], index=index, dtype=float, name="paper").dropna()
