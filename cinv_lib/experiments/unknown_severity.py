"""Models of a range of severities, scored at fixed ones: below the range, within it and beyond it
(Sec. 4.2; Figures 4 and 8, Table 10). And what sums up two curves over severity.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from cinv_lib import evaluation
from cinv_lib.data.image_set import ImageSet
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation import statistics
from cinv_lib.evaluation.probe import Probe
from cinv_lib.evaluation.sentence import count, listed
from cinv_lib.evaluation.sentence import sentence as joined
from cinv_lib.experiments import spoken
from cinv_lib.experiments.base import AskedInWords, Experiment, Task
from cinv_lib.experiments.methods import labels
from cinv_lib.operators.base import Operator
from cinv_lib.operators.basic import parse
from cinv_lib.training.baseline import Classifier

METHODS = labels("clip_zero_shot", "baseline", "student", "zero_shot")
COLUMNS = ["method", "severity", "realisation", "top1", "top5"]


def measure(
    groups: Sequence[evaluation.Group],
    val: ImageSet,
    op: Operator,
    severities: Sequence[float | int],
    realisations: int,
    seed: int,
) -> pd.DataFrame:
    """Scores of `AskedInWords.contestants` at each severity of `op`, all on the same draws.

    CLIP, the first group, gets one draw: it is there to show where it loses the picture, and a
    third of the time would go into it. So has everybody at severity 0, where nothing is drawn.

    Returns:
        COLUMNS, a row for each method, severity and realisation; top1 and top5 in percent.
    """
    draws = {"seed": seed, "progress": False}
    clip = evaluation.sweep(groups[:1], val, op, severities, realisations=1, **draws)
    rest = evaluation.sweep(groups[1:], val, op, severities, realisations=realisations, **draws)
    return pd.concat([clip, rest], ignore_index=True).rename(columns={"model": "method"})[COLUMNS]


def same_pixels(p: float, side: int, other: int) -> float:
    """The share to remove from a picture `other` pixels wide so that as many pixels are left as
    after removing the share `p` of one `side` wide. Below 0: it has not that many.

    >>> round(same_pixels(0.96, 224, 64), 2)
    0.51
    """
    return 1 - (1 - p) * side**2 / other**2


def guessing(classes: int) -> float:
    """The top-1, in percent, up to which a method guesses: 10 %, or twice chance where that is
    more.

    >>> guessing(100), guessing(10)
    (10.0, 20.0)
    """
    return max(10.0, 2 * 100 / classes)


def regions(severities: pd.Series, op: str) -> pd.Series:
    """Where each severity lies: "below", "within" or "beyond" the range of `op`."""
    low, high = parse(op).bounds
    return severities.map(lambda s: "below" if s < low else "beyond" if s > high else "within")


def best_of_two(scores: pd.DataFrame) -> pd.Series:
    """The top-1 of the better one of student and baseline, by severity."""
    two = scores[scores.method.isin(["student", "baseline"])]
    return two.groupby(["severity", "method"]).top1.mean().groupby("severity").max()


def deciding(scores: pd.DataFrame, op: str, classes: int) -> list[float]:
    """The severities that may decide who is more robust: beyond the range, where the better one of
    student and baseline names more than `guessing` gives, and a point less than its worst within
    the range."""
    best = best_of_two(scores)
    where = regions(best.index.to_series(), op)
    harder = best <= best[where == "within"].min() - 1
    return best.index[(where == "beyond") & (best > guessing(classes)) & harder].tolist()


def leads(scores: pd.DataFrame, op: str, classes: int) -> pd.DataFrame:
    """The student's lead over the baseline at each severity: difference, half_width and verdict as
    in `statistics.leads`; where (`regions`); guess, whether the better one names no more of the
    `classes` than `guessing` gives; decides, as `UnknownSeverity.read` has marked the scores.
    """
    table = statistics.leads(scores, "student", "baseline")
    return table.assign(
        where=regions(table.index.to_series(), op),
        guess=best_of_two(scores) <= guessing(classes),
        decides=scores.groupby("severity").decides.first(),
    )


def finding(tables: Mapping[str, pd.DataFrame], trainings: int, side: int) -> str:
    """What lesson 08 found, in a sentence: at how many of the severities beyond the range that
    decide the student leads, and where all guess.

    Args:
        tables: `leads` by operator.
        side: the width of the pictures in pixels.
    """
    clauses, guess = [], []
    for op, table in tables.items():
        verdicts = table.verdict[table.decides]
        clauses.append(f"beyond the range of {spoken.kind(op)} {_tally(verdicts, trainings)}")
        if table.guess.any():
            easiest = table.index[table.guess].min()
            pixels = side**2 - int(side**2 * easiest)
            masks = spoken.kind(op) == "masks"
            guess.append(f"with {pixels:,} pixels left" if masks else f"at σ {easiest:g}")
    return joined(*clauses, *([f"both guess {listed(guess)}"] if guess else []), long=True)


def headline(tables: Mapping[str, pd.DataFrame]) -> str:
    """The title of lesson 08's figure: at how many severities that decide the student leads."""
    said = []
    for op, table in tables.items():
        won, every = int((table.verdict[table.decides] == "holds").sum()), int(table.decides.sum())
        under = f"under {spoken.kind(op)}"
        said.append(f"{won} of {every} {under}" if every else f"none {under}, as none decides")
    return f"Of severities beyond the range that decide, the student leads at {listed(said)}"


def title_of_scores(curves: Mapping[str, pd.DataFrame]) -> str:
    """The title of a figure of accuracies: where CLIP and the student stand on clean pictures, and
    at the hardest severity. curves: rows by severity, columns by method, for each operator."""
    clean = next(iter(curves.values())).iloc[0]
    last = [
        f"{curve.student.iloc[-1]:.0f} % under the hardest {spoken.kind(op)}"
        for op, curve in curves.items()
    ]
    return (
        f"CLIP names {clean.clip_zero_shot:.0f} % of clean pictures and the student "
        f"{clean.student:.0f} %; the student names {listed(last)}"
    )


def _tally(verdicts: pd.Series, trainings: int) -> str:
    won, lost = (int((verdicts == word).sum()) for word in ("holds", "does not hold"))
    every, left = len(verdicts), len(verdicts) - won - lost
    if not every:
        return "no severity decides"
    those = (
        "the one severity that counts"
        if every == 1
        else f"the {count(every)} severities that count"
    )
    if not won + lost:
        decide = "decides" if trainings == 1 else "decide"
        return f"{count(trainings, 'training')} {decide} at none of {those}"
    if every == 1:
        return f"the student {'leads' if won else 'trails'} at {those}"
    verbs = {"leads": won, "trails": lost}
    said = listed(f"{verb} at {count(n)}" for verb, n in verbs.items() if n)
    rest = f" ({count(left)} {'is' if left == 1 else 'are'} not decided)" if left else ""
    return f"the student {said} of {those}{rest}"


def mean_lead(
    severities: Float[Tensor, " n"], a: Float[Tensor, " n"], b: Float[Tensor, " n"]
) -> Float[Tensor, ""]:
    """The mean height of curve a above curve b over the interval of severities: the area between
    them (straight lines from point to point) over its width. Severities increase.

    >>> mean_lead(torch.tensor([0.0, 1.0, 3.0]), torch.tensor([2.0, 2.0, 0.0]), torch.zeros(3))
    tensor(1.3333)
    """
    return torch.trapezoid(a - b, severities) / (severities[-1] - severities[0])


def crossing(
    severities: Float[Tensor, " n"], a: Float[Tensor, " n"], b: Float[Tensor, " n"]
) -> float:
    """The first severity from which curve a, until then above b, is below it; between two points
    on straight lines. NaN where a is never above b, or never falls below it after that.

    >>> crossing(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([3.0, 1.0, 0.0]), torch.ones(3))
    1.0
    """
    led, last, before = False, math.nan, math.nan  # before: the lead at the severity `last`
    for severity, lead in zip(severities.tolist(), (a - b).tolist(), strict=True):
        if led and lead < 0:
            return last + (severity - last) * before / (before - lead)
        led, last, before = led or lead > 0, severity, lead
    return math.nan


@dataclass(frozen=True, kw_only=True)
class UnknownSeverity(AskedInWords):
    """Models of a range at fixed severities (Sec. 4.2; Figures 4 and 8, Table 10; lesson 08).

    Args:
        operators: the severities at which the models of that range are scored.
        realisations: draws of the corruption at each severity, CLIP's apart, which has one.
        val_per_class: validation pictures per class.
        classes: how many there are.
        chosen: the severities that decide who is more robust, by operator, where other trainings
            than those that are judged have chosen them by the rule of `deciding`.
    """

    realisations: int
    val_per_class: int
    classes: int = 100
    chosen: Mapping[str, Sequence[float]] = field(default_factory=dict)
    name = "unknown_severity"
    lessons, apart = ("07", "08"), True
    tables = MappingProxyType({"unknown_severity": "%.4f"})
    asks = Experiment.asks | {"classes", "chosen"}

    def read(self, rows: pd.DataFrame, operator: str) -> pd.DataFrame:
        """With the column `decides`: whether the severity is one of those chosen, or, where none
        were, of those that these rows choose themselves."""
        mine = self.chosen.get(operator) or deciding(rows, operator, self.classes)
        return rows.assign(decides=rows.severity.isin(mine))

    def measure(
        self,
        task: Task,
        teacher: Encoder,
        student: Encoder,
        probe: Probe,
        baseline: Classifier,
        val: ImageSet,
    ) -> dict[str, pd.DataFrame]:
        """COLUMNS, a row for each of METHODS, severity and realisation."""
        frame = measure(
            self.contestants(teacher, baseline, student, probe, val),
            val.per_class(self.val_per_class), parse(task.operator),
            self.operators[task.operator], self.realisations, task.seed,
        )  # fmt: skip
        return {"unknown_severity": frame}
