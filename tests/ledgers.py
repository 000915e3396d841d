"""Tables that are made to decide a claim, either way and not at all."""

import numpy as np
import pandas as pd

from cinv_lib.paper import verdict
from cinv_lib.paper import verdicts as ledger

BY_NUMBER = {claim.number: claim for claim in ledger.CLAIMS}
HOLDS, FAILS, OPEN = "holds", "does not hold", "not decided"


def table(
    means: dict,
    seeds: int = 3,
    draws: int = 4,
    spread: float = 0.1,
    operator: str = "x",
    chance: int = 9,
):
    """`means` maps a method, or (method, a), to a top-1. A draw moves all alike, by 2 points; each
    row alone by `spread`, of which `chance` is the seed."""
    random, rows = np.random.default_rng(chance), []
    a = isinstance(next(iter(means)), tuple)
    for seed in range(seeds):
        for r in range(draws):
            luck = 2 * np.random.default_rng([seed, r]).normal()
            for key, mean in means.items():
                key = dict(zip(("method", "a"), key, strict=True)) if a else {"method": key}
                top1 = mean + luck + spread * random.normal()
                rows.append(key | {"seed": seed, "realisation": r, "top1": top1})
    frame = pd.DataFrame(rows).assign(operator=operator, shared=True)
    return frame.assign(top5=frame.top1 + 5)


def scores(ahead: float, better: str, worse: str, **more):
    return table({worse: 60.0, better: 60.0 + ahead}, **more)


def decided(number: int, operator: str = "x", **tables) -> pd.DataFrame:
    return verdict.judged(verdict.measured(BY_NUMBER[number], tables, operator))


def verdicts(number: int, **tables) -> list[str]:
    rows = verdict.measured(BY_NUMBER[number], tables, "x")
    return verdict.judged(rows).verdict.tolist() if rows else []


def each_way(number: int, make):
    """`make(gap)` are the tables in which the claim's difference is `gap` above its margin."""
    margin = BY_NUMBER[number].margin
    assert set(verdicts(number, **make(margin + 3))) == {HOLDS}
    assert set(verdicts(number, **make(margin - 3))) == {FAILS}
    assert OPEN in verdicts(number, **make(margin, spread=3.0))
