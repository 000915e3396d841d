"""A reader's own run beside the recorded one.

Own trainings decide nothing, and need not: as a rule there is one of each. What can be asked is
whether each value lies where the recorded ones say that another training would: within the recorded
mean ± t s sqrt(1/n + 1/k), for n recorded and k own seeds. By chance one of twenty does not, and
since values share trainings, many may be outside together. How many, the recorded run says of
itself: each of its seeds in turn is taken for a reader's own.
"""

import copy
import math

import numpy as np
import pandas as pd
from scipy import stats

from cinv_lib.evaluation.statistics import LEVEL
from cinv_lib.lab.lab import RECORDED, Lab
from cinv_lib.machine.store import Store, provenance

KEYS = ["claim", "operator", "where"]


def recorded(lab: Lab) -> tuple[Lab, list[int]]:
    """A lab that reads the recorded run of this profile and nothing else, and the seeds of that
    run; no seeds where there is no such run."""
    record = copy.copy(lab)
    record.archive = Store(RECORDED / lab.profile.name)
    record.store = Store(lab.store.root.with_name("beside the record"))  # never into the record
    return record, _seeds(record.archive)


def _seeds(store: Store) -> list[int]:
    entries = store.listing()
    scored = entries[(entries.kind == "known_operator") & (entries.state == "finished")]
    return sorted({spec["seed"] for spec in scored.spec})


def sources(record: Lab) -> pd.DataFrame:
    """Where the tables that a lab reads come from, by training seed: tables, first and last day,
    CPU minutes (of the tables alone: trainings are not kept), commit, machine, threads of torch; of
    several commits, machines or threads each."""
    rows = []
    for store in filter(None, (record.archive, record.store)):
        entries = store.listing()
        for entry in entries[entries.state == "finished"].itertuples():
            known = provenance(entry.path)
            if any(file.endswith(".csv") and file != "history.csv" for file in known["files"]):
                made = {"day": known["date"][:10], "commit": str(known["commit"])[:12]}
                made["threads"] = str(known.get("threads", "not noted"))
                rows.append({"seed": entry.spec["seed"]} | known | made)
    return (
        pd.DataFrame(rows, columns=["seed", "day", "cpu_minutes", "commit", "machine", "threads"])
        .groupby("seed")
        .agg(
            tables=("day", "size"),
            first=("day", "min"),
            last=("day", "max"),
            cpu_minutes=("cpu_minutes", "sum"),
            commit=("commit", _each),
            machine=("machine", _each),
            threads=("threads", _each),
        )
    )


def _each(values: pd.Series) -> str:
    return ", ".join(values.unique())


def shown(lab: Lab, table: str, seeds: int) -> tuple[Lab, int | list[int]]:
    """Which lab's table a lesson shows, of which training seeds: what was asked for. Where a run of
    one seed leaves something of the table out (`Entry.several`), the recorded run and its seeds,
    and a line that says so."""
    entry = lab.profile.making(table)
    if lab.archive is not None or entry.asked(seeds) == entry.asked(2):
        return lab, seeds  # without a look through the record
    record, there = recorded(lab)
    if not there:
        return lab, seeds
    print(
        f"A run of one seed does not train all of this. The recorded run is shown, seeds {there}."
    )
    return record, there


def own(lab: Lab) -> tuple[Lab, list[int]]:
    """A lab that has what was made on this machine and nothing else, and the seeds of that; those
    of the recorded run, which repeat it, only where there are no others."""
    mine = copy.copy(lab)
    mine.archive = None
    seeds = _seeds(mine.store)
    return mine, [seed for seed in seeds if seed not in lab.profile.recorded] or seeds


def beside(record: pd.DataFrame, mine: pd.DataFrame) -> pd.DataFrame:
    """Rows of two ledgers (`verdicts.ledger`) where both measured.

    Returns:
        KEYS; recorded, own: the means; reach: how far from the recorded mean the own one may be;
        inside: whether it is.
    """
    both = record.merge(mine, on=KEYS, suffixes=("", " own"))
    both = both[(both.seeds > 1) & (both["seeds own"] > 0)]
    reach = [
        _reach([*row.each.values()], k)
        for row, k in zip(both.itertuples(), both["seeds own"], strict=True)
    ]
    return pd.DataFrame(
        {
            **{key: both[key] for key in KEYS},
            "recorded": both.difference,
            "own": both["difference own"],
            "reach": reach,
            # rounded: a value that no training changes has no reach
            "inside": (both.difference - both["difference own"]).abs() <= np.add(reach, 1e-9),
        }
    ).reset_index(drop=True)


def _reach(each: list[float], k: int) -> float:
    n = len(each)
    t = stats.t.ppf(1 - LEVEL / 2, n - 1)
    return float(t * np.std(each, ddof=1) * math.sqrt(1 / n + 1 / k))


def left_out(record: pd.DataFrame) -> dict[int, int]:
    """Of each recorded seed, how many of its values are outside what the others say: the yardstick
    for one own training. Needs three seeds; {} where there are fewer."""
    rows = record[record.seeds > 2]
    seeds = sorted({seed for each in rows.each for seed in each})
    found = {}
    for out in seeds:
        two = [
            pd.DataFrame(
                {
                    **{key: rows[key] for key in KEYS},
                    "each": part,
                    "seeds": [len(each) for each in part],
                    "difference": [np.mean([*each.values()]) for each in part],
                }
            )
            for part in (
                [{s: d for s, d in each.items() if s != out} for each in rows.each],
                [{s: d for s, d in each.items() if s == out} for each in rows.each],
            )
        ]
        found[out] = int((~beside(*two).inside).sum())
    return found


def said(record: pd.DataFrame, mine: pd.DataFrame) -> str:
    """What a reader's own run says, in words: how many values lie outside, and what to expect."""
    compared = beside(record, mine)
    if compared.empty:
        return "No value of your own to compare: `make course` makes them."
    there, here = ({seed for each in rows.each for seed in each} for rows in (record, mine))
    outside = int((~compared.inside).sum())
    seeds = ", ".join(map(str, sorted(here)))
    text = f"{len(compared)} values of your own run (seeds {seeds}), {outside} outside."
    if here & there:
        return f"{text} Its seeds are recorded ones: differences are the machine's, not chance's."
    yardstick = ", ".join(f"{count} of seed {seed}" for seed, count in left_out(record).items())
    return (
        f"{text} Expected: {LEVEL * len(compared):.1f} on average; "
        f"left out in turn, of the recorded seeds: {yardstick or 'too few seeds'}."
    )
