"""The ledger: every claim of the paper that can be tested here, and ours, with its verdict.

A claim is one function, decorated with its sentence. Of `claims`, `known` has those of Section 4.1
and of the appendices beside it, `shifted` those of Sections 4.2 to 4.4, `losses` those of the loss,
computed or ablated, `open_problems` those of Section 5. Numbers stay as they are: texts name them.

The ledger makes nothing. It is decided by what a lab has finished, and says which lesson measures
what is not there.
"""

from collections.abc import Mapping

import pandas as pd

from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles.record import Profile
from cinv_lib.paper.claims import known, losses, open_problems, shifted
from cinv_lib.paper.verdict import Claim, decide, undecided

Tables = Mapping[tuple[str, str], pd.DataFrame]  # by kind and operator

CLAIMS: tuple[Claim, ...] = tuple(
    sorted(
        (
            found
            for room in (known, shifted, losses, open_problems)
            for found in vars(room).values()
            if isinstance(found, Claim)
        ),
        key=lambda claim: claim.number,
    )
)


def operators(p: Profile) -> dict[str, tuple[str, ...]]:
    """The operators under which a profile measures each kind of table."""
    return {
        "scores": tuple(p.operators),
        "labels": tuple(p.few_labels),
        "starts": p.starts,
        "severity": tuple(p.graded),
        "transfer": tuple(p.ranges),
        "shift": tuple(p.shift_severities),
        "ablation": (p.slider,),
        "pixels": tuple(p.pixels),
        "corruptions": (p.mixture,),
        "tuning": (p.slider,),
        "towers": (p.slider,),
        "blind": (p.blind,),
        "adversarial": (p.slider,),
    }


def finished(lab: Lab, seeds: int = 1) -> dict[tuple[str, str], pd.DataFrame]:
    """The tables that are there, of the seeds that are there: nothing is trained or measured.

    With the columns "operator" and "loss"; those of the ablation one below the other.
    """
    p, tables = lab.profile, {}
    for kind, asked in operators(p).items():
        losses = p.ablation if kind == "ablation" else (p.loss,)
        for op in asked:
            parts = []
            for loss in losses:
                # the profile's own loss is the one of students that nobody asked another of
                found = lab.so_far(kind, op, seeds, None if loss == p.loss else loss)
                if found is not None:
                    parts.append(named(found, op, loss))
            if parts:
                tables[kind, op] = pd.concat(parts, ignore_index=True)
    return tables


def named(table: pd.DataFrame, operator: str, loss: str | None) -> pd.DataFrame:
    """With its operator and loss; one that is scored under several operators names them itself."""
    return table.assign(**{"operator": operator, "loss": loss} | dict(table.items()))


def verdicts(
    tables: Tables, expected: Mapping[str, tuple[str, ...]], claims: tuple[Claim, ...] = CLAIMS
) -> pd.DataFrame:
    """Every claim on every operator where a profile can decide it.

    expected: the operators of each kind, as `operators` gives them. A claim with a table that is
        not among `tables` is "not measured here", with the lesson that measures it.

    Returns:
        claim, operator, where (which of several comparisons), difference, margin, unit, the
        standard errors `statistics.ERRORS`, seeds, verdict.
    """
    rows = []
    for claim in claims:
        for op in places(claim, expected):
            if all((kind, op) in tables for kind in claim.reads):
                rows += decide(claim, {kind: tables[kind, op] for kind in claim.reads}, op)
            else:
                rows.append(undecided(claim, op, f"not measured here (lesson {claim.lesson})"))
    return pd.DataFrame(rows)


def places(claim: Claim, expected: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The operators under which all that a claim reads is measured; [""] if it reads nothing."""
    if not claim.reads:
        return [""]
    first, *others = (expected.get(kind, ()) for kind in claim.reads)
    return [op for op in first if op.startswith(claim.on) and all(op in of for of in others)]


def ledger(lab: Lab, seeds: int = 1, claims: tuple[Claim, ...] = CLAIMS) -> pd.DataFrame:
    """Every claim, decided by what `lab` has finished for the first `seeds` seeds: `verdicts`."""
    return verdicts(finished(lab, seeds), operators(lab.profile), claims)
