"""Scores as a reader wants them: means with their errors, the paper's value beside each.

Ours has the half-width of the 95 % interval over trainings, the paper's a standard error over
draws: it trained once. Every row carries a label. *reproduced*: the paper's own setting. *reduced
scale*: the same experiment on smaller data and models. *quoted*: the paper's number, nothing
measured here.
"""

import math
from collections.abc import Iterable, Sequence

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from cinv_lib.evaluation import statistics
from cinv_lib.experiments import spoken
from cinv_lib.experiments.known_operator import METHODS
from cinv_lib.lab.lab import Lab
from cinv_lib.paper import numbers

TABLES = {  # metric -> method -> table of the paper that has it
    "top1": {
        "baseline": 1, "student": 1, "student_10": 1, "clean_classifier": 9, "clip": 13,
    },
    "top5": {"baseline": 4, "student": 4, "student_10": 4},
}  # fmt: skip


def label(profile: str) -> str:
    """What a measurement under a profile is."""
    return "reproduced" if profile == "imagenet100" else "reduced scale"


def measured(
    lab: Lab,
    operators: Sequence[str] | None = None,
    seeds: int | Iterable[int] = 1,
    metric: str = "top1",
) -> pd.DataFrame:
    """operator, method, value, error (the half-width of its 95 % interval over trainings), se (the
    standard error over draws), seeds, label: one row for each of METHODS on each operator.

    Raises ValueError for a metric other than "top1" or "top5".
    """
    if metric not in TABLES:
        raise ValueError(f"no metric {metric!r}; there are {', '.join(TABLES)}")
    rows = []
    for op in operators or lab.profile.operators:
        scores = lab.table("known_operator", op, seeds)
        for method in METHODS:
            mine = scores[scores.method == method]
            value, error = statistics.estimate(mine, metric)
            se = statistics.over_draws(mine, metric)
            rows.append((op, method, value, error, se, mine.seed.nunique()))
    columns = ["operator", "method", "value", "error", "se", "seeds"]
    return pd.DataFrame(rows, columns=columns).assign(label=label(lab.profile.name))


def quoted(lab: Lab, metric: str = "top1", operators: Sequence[str] | None = None) -> pd.DataFrame:
    """The paper's numbers for the same methods, under the names of the lab's operators, or of
    these; error is its standard error over draws."""
    back = {numbers.counterpart(op): op for op in operators or lab.profile.operators}
    rows = []
    for method, number in TABLES[metric].items():
        table = numbers.table(number)
        mine = (table.method == method) & (table.metric == metric) & table.operator.isin(back)
        rows.append(table[mine])
    found = pd.concat(rows).rename(columns={"se": "error"})
    found = found[["operator", "method", "value", "error", "source"]]
    return found.assign(operator=found.operator.map(back), label="quoted").reset_index(drop=True)


def quoted_losses(severity: float, metric: str = "top1") -> pd.Series:
    """The paper's score of each loss at a severity of masks (Figure 6, or 10 for "top5"), by the
    names that a profile has for them. One training each; which run is plotted is inferred."""
    rows = numbers.figure(6 if metric == "top1" else 10)
    rows = rows[(rows.metric == metric) & (rows.operator == f"mask:{severity:g}")]
    rows = rows.set_index("method").value
    return rows.rename(index=lambda name: name if name == "mse" else f"{name}:0.1")


def sweep() -> pd.DataFrame:
    """method, lr, top1: the learning rates that were tried on masks, as the recorded run of
    `stickers` has them."""
    lab = Lab("stickers", recorded=True)
    return lab.table("rate_search", lab.profile.operators[0]).drop(columns="seed")


def best_rate(rates: Float[Tensor, " n"], top1: Float[Tensor, " n"]) -> tuple[float, bool]:
    """(the best of the learning rates that were tried, whether both a lower and a higher one were).

    top1 is NaN where a rate was not tried; the rates come in any order. A best rate at the edge of
    what was tried may not be the best there is.

    >>> best_rate(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([50.0, 60.0, math.nan]))
    (2.0, False)

    Raises ValueError if none was tried.
    """
    tried = ~torch.isnan(top1)
    if not bool(tried.any()):
        raise ValueError("no learning rate was tried: every top-1 is NaN")
    rates = rates[tried]
    best = rates[top1[tried].argmax()]
    return best.item(), bool(rates.min() < best < rates.max())


def layout(frame: pd.DataFrame, paper_rows: pd.DataFrame) -> pd.DataFrame:
    """A table to read: a row for each method, "here" and "paper" for each operator."""
    methods = [m for m in METHODS if m in set(frame.method)]
    columns = {}
    for op in dict.fromkeys(frame.operator):
        for where, rows in (("here", frame), ("paper", paper_rows)):
            mine = rows[rows.operator == op].set_index("method")
            columns[spoken.title(op), where] = [
                number(*mine.loc[m, ["value", "error"]]) if m in mine.index else "" for m in methods
            ]
    return pd.DataFrame(columns, index=[METHODS[m] for m in methods])


def number(value: float, error: float) -> str:
    """ "58.2 ± 0.1", or "58.2" where there is no error."""
    return f"{value:.1f}" if math.isnan(error) else f"{value:.1f} ± {error:.1f}"


def stated(rows: pd.DataFrame, column: str = "top1", scale: float | int = 1) -> str:
    """The mean of a column as `number` has it, with the half-width of its 95 % interval over
    trainings; "" where nothing was measured."""
    value, error = statistics.estimate(rows, column)
    return "" if math.isnan(value) else number(scale * value, scale * error)
