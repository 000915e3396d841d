"""The ledger: every claim of the paper that can be tested here, and ours, with its verdict.

A claim is one function, decorated with its sentence. Of `claims`, `known` has those of Section 4.1
and of the appendices beside it, `controls` ours about who wins and why, `shifted` those of Sections
4.2 to 4.4, `losses` those of the loss, computed or ablated, `open_problems` those of Section 5.
Numbers stay as they are: texts name them.

The ledger makes nothing. It is decided by what a lab has finished, and says which lesson measures
what is not there.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from cinv_lib.experiments.base import Experiment
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles.record import Profile
from cinv_lib.paper.claims import controls, known, losses, open_problems, shifted
from cinv_lib.paper.verdict import Claim, judged, measured, undecided

Tables = Mapping[tuple[str, str], pd.DataFrame]  # by name and operator
# Named as the headline before the recorded seeds were run: the student against the baseline that
# starts from R, 60,000 unlabelled pictures against 2,000, and the words of the former against that
# baseline. (Claims 1 to 68 were written down then too; 69 and 70 later, before their own tables.)
HEADLINE = (47, 52, 54)
DIGITS = {"points": 1, "cosine": 3}

CLAIMS: tuple[Claim, ...] = tuple(
    sorted(
        (
            found
            for room in (known, controls, shifted, losses, open_problems)
            for found in vars(room).values()
            if isinstance(found, Claim)
        ),
        key=lambda claim: claim.number,
    )
)


def operators(p: Profile) -> dict[str, tuple[str, ...]]:
    """The operators under which a profile measures each table."""
    return {
        table: tuple(entry.operators)
        for entry in p.entries
        if isinstance(entry, Experiment)
        for table in entry.tables
    }


def finished(lab: Lab, seeds: int | Iterable[int] = 1) -> dict[tuple[str, str], pd.DataFrame]:
    """The tables that are there, of the seeds that are there: nothing is trained or measured.

    With the columns of `named`; those of several losses one below the other.
    """
    p, tables = lab.profile, {}
    for name, asked in operators(p).items():
        for op in asked:
            losses = p.making(name).losses or ("",)
            found = {loss: lab.so_far(name, op, seeds, loss) for loss in losses}
            parts = [
                named(t, op, loss or p.loss, not p.redrawn)
                for loss, t in found.items()
                if t is not None
            ]
            if parts:
                tables[name, op] = pd.concat(parts, ignore_index=True)
    return tables


def named(table: pd.DataFrame, operator: str, loss: str | None, shared: bool) -> pd.DataFrame:
    """With the columns operator and loss (one that is scored under several operators names them
    itself), and shared: whether all training seeds are scored on the same pictures."""
    more = {"operator": operator, "loss": loss, "shared": shared}
    return table.assign(**more | dict(table.items()))


def verdicts(
    tables: Tables, expected: Mapping[str, tuple[str, ...]], claims: tuple[Claim, ...] = CLAIMS
) -> pd.DataFrame:
    """Every claim on every operator where a profile can decide it.

    expected: the operators of each table, as `operators` gives them. A claim with a table that is
        not among `tables` is "not measured here", with the lesson that measures it.

    Returns what `decided` does.
    """
    rows = []
    for claim in claims:
        for op in places(claim, expected):
            if all((kind, op) in tables for kind in claim.reads):
                rows += measured(claim, {kind: tables[kind, op] for kind in claim.reads}, op)
            else:
                rows.append(undecided(claim, op, f"not measured here (lesson {claim.lesson})"))
    return decided(rows)


def decided(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """As `verdict.judged`, all rows together, but those of HEADLINE as a family of their own: not
    one of nine is falsely decided, by Holm's procedure, in 95 of 100 such families."""
    rows = list(rows)
    families = [
        [row for row in rows if (row["claim"] in HEADLINE) == nine] for nine in (True, False)
    ]
    found = pd.concat([judged(family) for family in families if family])
    unsure = found.claim.isin(HEADLINE) & found.p.notna() & ~found.surely
    return found.assign(verdict=found.verdict.mask(unsure, "not decided")).sort_values(
        "claim", kind="stable", ignore_index=True
    )


def places(claim: Claim, expected: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The operators under which all that a claim reads is measured; [""] if it reads nothing."""
    if not claim.reads:
        return [""]
    first, *others = (expected.get(kind, ()) for kind in claim.reads)
    return [op for op in first if op.startswith(claim.on) and all(op in of for of in others)]


def ledger(
    lab: Lab, seeds: int | Iterable[int] = 1, claims: tuple[Claim, ...] = CLAIMS
) -> pd.DataFrame:
    """Every claim, decided by what `lab` has finished for these seeds: `verdicts`."""
    return verdicts(finished(lab, seeds), operators(lab.profile), claims)


def number(value: float, half_width: float, unit: str) -> str:
    """A difference with its interval, with the digits of its unit; "" where there is none."""
    if math.isnan(value):
        return ""
    if unit not in DIGITS:  # computed, with no chance in it
        return "0 (to rounding)" if abs(value) < 1e-9 else f"{value:.3g}"
    text = f"{value:.{DIGITS[unit]}f}"
    return text if math.isnan(half_width) else f"{text} ± {half_width:.{DIGITS[unit]}f}"
