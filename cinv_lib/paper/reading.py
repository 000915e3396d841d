"""The ledger for a reader: a claim as a sentence, its verdict in one word, the paper's value beside
ours."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from cinv_lib.evaluation.sentence import count, listed, sentence
from cinv_lib.experiments import spoken
from cinv_lib.experiments.ablation import LOSSES
from cinv_lib.paper import verdict, verdicts
from cinv_lib.paper.asked import KEYS
from cinv_lib.paper.verdict import Claim

HOLDS, DEPENDS, FAILS, OPEN, NOTHING = GROUPS = (
    "holds",
    "depends",
    "does not hold",
    "not decided",
    "not comparable or not measured",
)
MEANING = {
    HOLDS: "These hold. Every row that is decided holds.",
    DEPENDS: "These hold in one place and fail in another.",
    FAILS: "These do not hold. No row holds, and some are decided against.",
    OPEN: "These are not decided by the trainings that there are.",
    NOTHING: "These cannot be asked at this scale, or nobody has measured them here.",
}
OPERATORS = {
    "mask:0.9": "90 % missing",
    "noise:0.5": "noise, σ 0.5",
    "blur:2.57": "blur",
    "mask:0.5..0.95": "masks",
    "noise:0.1..0.3": "noise",
}


HEADLINE = {  # what the claims of `verdicts.HEADLINE` compare
    47: "student over baseline from R",
    52: "60,000 pictures over 2,000",
    54: "words over baseline from R",
}


@dataclass(frozen=True)
class Read:
    """A claim and its rows of a ledger. group: one of GROUPS."""

    claim: Claim
    rows: pd.DataFrame
    group: str


def group(claim: Claim, ledger: pd.DataFrame) -> str:
    """In which of GROUPS a claim is. One whose rows are parts of a statement fails with a part."""
    if claim.every:
        return verdict.whole(claim, ledger)
    said = ledger.verdict[ledger.claim == claim.number]
    holds, fails = (said == "holds").any(), (said == "does not hold").any()
    if holds or fails:
        return DEPENDS if holds and fails else HOLDS if holds else FAILS
    return OPEN if said.str.startswith("not decided").any() else NOTHING


def read(ledger: pd.DataFrame, claims: Sequence[Claim] = verdicts.CLAIMS) -> list[Read]:
    """Every claim with its rows, by GROUPS and then by number."""
    found = [Read(c, ledger[ledger.claim == c.number], group(c, ledger)) for c in claims]
    return sorted(found, key=lambda one: (GROUPS.index(one.group), one.claim.number))


def said(found: Sequence[Read]) -> str:
    """The sentence of lesson 15: of the paper's claims, how many are in each group."""
    theirs = [one.group for one in found if not one.claim.ours]
    n = {name: theirs.count(name) for name in GROUPS}

    def of(name: str, one: str, several: str) -> str:
        return f"{count(n[name]) if n[name] else 'none'} {one if n[name] <= 1 else several}"

    first = f"of the paper's {count(len(theirs), 'claim')} {of(HOLDS, 'holds', 'hold')} here"
    first += " wherever the trainings decide"
    others = [
        of(FAILS, "does not hold", "do not"),
        of(
            DEPENDS,
            "holds in one place and fails in another",
            "hold in one place and fail in another",
        ),
        of(OPEN, "is not decided", "are not decided"),
        of(NOTHING, "cannot be asked at this scale", "cannot be asked at this scale"),
    ]
    return sentence(first, *others)


def place(operator: str, where: str) -> str:
    """Where a row was measured, to read.

    >>> place("mask:0.9", ""), place("mask:0.5..0.95", "st:0.1 over mse")
    ('90 % missing', "ST, the paper's choice over alignment alone (MSE)")
    >>> place("blur:9", ""), place("mask:0.9|noise:0.5|blur:9", "noise:0.3")
    ('blur of σ 9', 'noise of σ 0.3')
    """
    for key in sorted(LOSSES, key=len, reverse=True):
        where = where.replace(key, LOSSES[key]) if key != "mse" else where
    where = where.replace(" mse", f" {LOSSES['mse']}").replace("mse ", f"{LOSSES['mse']} ")
    where = OPERATORS.get(where) or spoken.corruption(where)
    if where and (not operator or "|" in operator):  # one of several: the row says which
        return where
    name = OPERATORS.get(operator) or spoken.corruption(operator)
    name = "the mixture" if "+" in operator else name
    return f"{name}, {where}" if where and "over" not in where else where or name


def show(found: Sequence[Read], paper: pd.Series) -> None:
    """Display `table` in a notebook, with the number of its claims for those who see no HTML."""
    from IPython.display import display  # the library needs no notebook, this does

    whose = "its rows" if len(found) == 1 else "the rows of each"
    plain = f"a table of {count(len(found), 'claim')}, with {whose}"
    display({"text/html": table(found, paper), "text/plain": plain}, raw=True)


def formatted(found: pd.DataFrame) -> pd.DataFrame:
    """A ledger to read, indexed by claim and place: the difference ± the half-width of
    its 95 % interval over trainings, margin, unit, trainings, verdict, and "also by Holm"."""
    text = [verdicts.number(row.difference, row.half_width, row.unit) for row in found.itertuples()]
    columns = {
        "difference": text,
        "margin": [f"{margin:g}" for margin in found.margin],
        "unit": found.unit,
        "trainings": found.seeds,
        "verdict": found.verdict,
        "": found.surely.map({True: "also by Holm", False: ""}),
    }
    where = [place(row.operator, row.where) for row in found.itertuples()]
    index = pd.MultiIndex.from_arrays([found.claim, where], names=["claim", "where"])
    return pd.DataFrame(columns).set_axis(index)


def headline(found: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The rows of the headline in a ledger, as `plots.lead_rows` takes them, and the title of their
    figure."""
    rows = found[found.claim.isin(verdicts.HEADLINE)]
    names = [
        f"{HEADLINE[row.claim]}, {place(row.operator, row.where)}" for row in rows.itertuples()
    ]
    held, failed = (int((rows.verdict == one).sum()) for one in (HOLDS, FAILS))
    forms = (
        (held, "holds", "hold"),
        (failed, "does not hold", "do not hold"),
        (len(rows) - held - failed, "is not decided", "are not decided"),
    )
    said = [f"{count(n)} {one if n == 1 else more}" for n, one, more in forms if n]
    title = f"The headline: of {count(len(rows), 'row')} {listed(said)}"
    return rows.set_axis(names), title


def same_sign(ledger: pd.DataFrame, paper: pd.Series) -> str:
    """Of the rows for which the paper prints numbers, in how many the two have the same sign."""
    rows = ledger.set_index(KEYS).difference
    both = pd.DataFrame({"here": rows, "paper": paper}).dropna()
    same = int((both.here * both.paper > 0).sum())
    first = f"for {count(len(both), 'row')} the paper prints the numbers,"
    those = "it" if len(both) == 1 else "them"
    second = f"in {count(same) if same else 'none'} of {those} our difference and the paper's"
    return sentence(first, f"{second} have the same sign")


def table(found: Sequence[Read], paper: pd.Series) -> str:
    """An HTML table of claims: the sentence, where, ours, the paper's value, the verdict; a line of
    each cell for each row of the ledger, so no line is broken.

    paper: as `asked.differences` gives it.
    """
    lines = [
        "<table class='claims'><thead><tr><th>claim</th><th>where</th><th>here</th>"
        "<th>paper</th><th>verdict</th></tr></thead><tbody>"
    ]
    for one in found:
        cells: list[list[str]] = [[], [], [], []]
        for row in one.rows.itertuples():
            quoted = paper.get((row.claim, row.operator, row.where), math.nan)
            cells[0].append(place(row.operator, row.where))
            here = verdicts.number(row.difference, row.half_width, row.unit)
            cells[1].append(here or "–")
            cells[2].append("–" if math.isnan(quoted) else f"{quoted:.1f}")
            cells[3].append(row.verdict.partition(" (")[0])
        margin = f" (margin {one.claim.margin:g} {one.claim.unit})" if one.claim.margin else ""
        who = "ours" if one.claim.ours else one.claim.source
        text = f"{one.claim.number}. {one.claim.sentence}{margin} [{who}]"
        columns = "".join(
            f"<td nowrap>{'<br>'.join(map(html.escape, cell))}</td>" for cell in cells
        )
        lines.append(f"<tr><td align='left'>{html.escape(text)}</td>{columns}</tr>")
    return "\n".join([*lines, "</tbody></table>"])
