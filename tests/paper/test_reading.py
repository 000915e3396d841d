"""The ledger in words: groups, the sentence, the paper's numbers asked what the claims ask."""

import math
import re

import pandas as pd
import pytest

from cinv_lib import paper
from cinv_lib.lab.profiles.paper import IMAGENET100
from cinv_lib.lab.profiles.stickers import STICKERS
from cinv_lib.paper import asked, reading
from cinv_lib.paper import verdicts as ledger

BY_NUMBER = {claim.number: claim for claim in ledger.CLAIMS}
HOLDS, FAILS, OPEN = "holds", "does not hold", "not decided"
FEW = "not comparable at this scale (2 labelled per class, 127 in the paper)"


def rows(said: dict[int, list[str]]) -> pd.DataFrame:
    """A ledger with these verdicts on each claim."""
    found = [
        {"claim": n, "operator": "mask:0.9", "where": "", "verdict": one, "difference": 1.0,
         "half_width": math.nan, "unit": "points"}
        for n, several in said.items()
        for one in several
    ]  # fmt: skip
    return pd.DataFrame(found)


@pytest.mark.parametrize(
    ("number", "said", "expected"),
    [
        (1, [HOLDS, HOLDS], reading.HOLDS),
        (1, [HOLDS, OPEN], reading.HOLDS),
        (1, [HOLDS, FAILS, OPEN], reading.DEPENDS),
        (1, [FAILS, OPEN], reading.FAILS),
        (1, [OPEN, FEW], reading.OPEN),
        (1, ["not decided (one training)"], reading.OPEN),
        (2, [FEW, FEW], reading.NOTHING),
        (31, [HOLDS, FAILS], reading.FAILS),  # a statement with parts
        (31, [HOLDS, OPEN], reading.OPEN),
        (31, [HOLDS, HOLDS], reading.HOLDS),
    ],
)
def test_each_claim_is_in_a_group(number, said, expected):
    assert reading.group(BY_NUMBER[number], rows({number: said})) == expected


def test_the_sentence_counts_the_papers_claims_only():
    claims = [BY_NUMBER[n] for n in (1, 3, 4, 6, 28)]
    ledger_ = rows({1: [HOLDS], 3: [HOLDS], 4: [FAILS], 6: [OPEN], 28: [HOLDS]})
    said = reading.said(reading.read(ledger_, claims))
    assert said == (
        "Of the paper's four claims two hold here wherever the trainings decide, one does not "
        "hold, none holds in one place and fails in another, one is not decided, and none cannot "
        "be asked at this scale."
    )
    one = rows({n: ["not decided (one training)"] for n in (1, 3, 4, 6)})
    undecided = reading.said(reading.read(one, claims[:4]))
    assert "none holds" in undecided and "four are not decided" in undecided


def test_the_papers_own_numbers_answer_the_same_questions():
    theirs = asked.differences(STICKERS)
    table = {m: paper.value(1, "mask:0.9", m) for m in ("student", "baseline")}
    assert theirs[1, "mask:0.9", ""] == pytest.approx(table["student"] - table["baseline"])
    better, worse = (paper.value(4, "blur:9", method, "top5") for method in ("student", "baseline"))
    assert theirs[7, "blur:2.57", ""] == pytest.approx(better - worse)
    decoder = paper.value(8, "mask:0.9", "student") - paper.value(8, "mask:0.9", "inpainting")
    assert theirs[13, "mask:0.9", ""] == pytest.approx(decoder)
    curves = paper.figure(6).query("metric == 'top1'").groupby("method").value.mean()
    over = theirs[31, "mask:0.5..0.95", "st:0.1 over mse"]
    assert over == pytest.approx(curves["st"] - curves["mse"])
    other = {
        m: paper.value(2, "mask:0.5..0.95", m, dataset="STL-10") for m in ("student", "baseline")
    }
    gap = other["student"] - other["baseline"]
    assert theirs[18, "mask:0.5..0.95", ""] == pytest.approx(gap)
    assert not {claim.number for claim in ledger.CLAIMS if claim.ours} & {
        n for n, *_ in theirs.index
    }


def test_signs_that_agree_are_counted():
    theirs = pd.Series({(1, "mask:0.9", ""): 8.8, (3, "mask:0.9", ""): -1.0})
    said = reading.same_sign(rows({1: [HOLDS], 3: [HOLDS], 4: [HOLDS]}), theirs)
    assert said == (
        "For two rows the paper prints the numbers, and in one of them our difference and the "
        "paper's have the same sign."
    )


def test_the_table_has_a_row_for_each_claim_and_escapes_its_text():
    read = reading.read(rows({1: [HOLDS, OPEN], 3: [HOLDS]}), [BY_NUMBER[1], BY_NUMBER[3]])
    page = reading.table(read, pd.Series({(1, "mask:0.9", ""): 8.84}))
    assert page.count("<tr>") == 3 and "by &gt; 20" in page and "style" not in page
    assert "<td nowrap>8.8<br>8.8</td>" in page and ">holds<br>not decided</td>" in page
    assert re.search(
        r">90 % missing</td><td nowrap>1.0</td><td nowrap>–</td><td nowrap>holds</td>", page
    )


def test_places_have_names():
    keys = {
        (op, where)
        for op in reading.OPERATORS
        for where in ("", "student", "st:0.1,weight=0.5 over st:0.1", "nt:0.1 over mse")
    }
    for op, where in keys:
        assert ":" not in reading.place(op, where), (op, where)
    assert reading.place("mask:0.9|noise:0.5|blur:2.57", "blur:2.57") == "blur"
    assert reading.place("", "autograd") == "autograd"
    for op in IMAGENET100.operators:  # of another profile
        assert ":" not in reading.place(op, ""), op
    assert reading.place(*IMAGENET100["blind"].operators, "blur:9") == "blur of σ 9"


def test_the_headline_is_named_and_counted():
    found = rows({47: [HOLDS], 52: [FAILS], 54: [OPEN], 1: [HOLDS]})
    named, title = reading.headline(found)
    assert (
        title == "The headline: of three rows one holds, one does not hold and one is not decided"
    )
    assert named.index[0] == "student over baseline from R, 90 % missing" and len(named) == 3
    assert set(reading.HEADLINE) == set(ledger.HEADLINE)
    _, title = reading.headline(rows({47: [HOLDS], 52: [HOLDS], 54: [OPEN]}))
    assert title == "The headline: of three rows two hold and one is not decided"
