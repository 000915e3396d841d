"""Adversarial inputs (paper, Section 5): how does the student do when they are chosen against it?

The corruption comes first: A(x) is drawn and stays. Then an attacker who knows the model changes
the pixels of A(x) a little (`attack`); either those alone that a mask has left, which comes to the
same as a change of x before the mask, or all.

An attack can only show that a model is *not* robust: a high accuracy may be the attack's fault.
`checks` looks for signs of that (Athalye, Carlini and Wagner 2018, Section 3.1). All is computed in
float32, since bfloat16 would round the gradients.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from tqdm.auto import tqdm

from cinv_lib.data.image_files import Pictures
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.encoders.inference import device_of, looking, side_of
from cinv_lib.evaluation import statistics
from cinv_lib.evaluation.attack import Model, noise, pgd, slope
from cinv_lib.evaluation.draws import batches, repeated
from cinv_lib.evaluation.metrics import top_k
from cinv_lib.evaluation.probe import Probe
from cinv_lib.evaluation.sentence import lead, sentence
from cinv_lib.experiments.base import AskedInWords, Task
from cinv_lib.experiments.methods import labels
from cinv_lib.machine import hardware
from cinv_lib.operators.base import Operator
from cinv_lib.operators.basic import Identity, parse
from cinv_lib.operators.functional import known
from cinv_lib.training.baseline import Classifier

# CLIP sees the clean picture: what there is without A.
METHODS = labels("student", "baseline", "clip_zero_shot")
RIVALS = {"student": "baseline", "baseline": "student"}  # see the same A(x): attacks can transfer
COLUMNS = [
    "method", "pixels", "budget", "top1", "noise", "longer", "transfer", "slope", "flat",
]  # fmt: skip
CHECKS = {  # from, to, what; of top-1 the least favourable budget, in points
    "unbounded budget": (0, 1, "top-1 without a bound"),
    "larger budgets": (-100, 1, "rise with the budget"),
    "noise": (0, 100, "noise minus attack"),
    "twice the steps": (-3, 1, "change by twice the steps"),
    "transfer": (1, 100, "rival's minus own attack"),
    "slope": (0.95, 1.05, "slope over gradient"),
    "flat": (0, 1, "gradients that are 0 (%)"),
}
UNBOUNDED = 255  # grey levels: every picture is within reach
BATCH = 100  # pictures attacked at once


@dataclass(frozen=True)
class Protocol:
    """What is attacked and how.

    Args:
        severity: of the operator, at which A(x) is drawn before the attack.
        per_class: validation pictures per class that are attacked.
        budgets: how far each pixel may be moved, in grey levels of 255. 0 is no attack, and
            UNBOUNDED lets a pixel become anything.
        steps: of PGD; more find more, in proportionally more time.
        checked: the budget at which the costly checks are made (see `checks`).

    Raises ValueError where 0, UNBOUNDED or `checked` is not among the budgets.
    """

    severity: float = 0.9
    per_class: int = 2
    budgets: tuple[int, ...] = (0, 2, 4, 8, 16, UNBOUNDED)
    steps: int = 10
    checked: int = 8

    def __post_init__(self) -> None:
        for budget in (0, UNBOUNDED, self.checked):
            if budget not in self.budgets:
                raise ValueError(f"budgets {self.budgets}: expected {budget} too, for the checks")


def drawn(
    op: Operator, pictures: Pictures, seed: int, encoders: Sequence[Encoder]
) -> Float[Tensor, "N 3 H W"]:
    """A(x) of all these pictures, by the first draw of `evaluate`, on the encoders' device."""
    device, side = device_of(encoders), side_of(encoders)
    found = batches(repeated(op, 1), pictures, seed, "evaluation", 64, device, side)
    return torch.cat([x.clone() for *_, x in found])


def joined(encoder: Callable, head: Callable) -> Model:
    """An encoder and its head as one model of pictures."""
    return lambda x: head(encoder(x.contiguous(memory_format=hardware.layout(x.device))))


@dataclass(frozen=True)
class Target:
    """A model, what it is shown, where that may change, and the seed of the attack's chance."""

    model: Model
    x: Float[Tensor, "B 3 H W"]
    labels: Int64[Tensor, " B"]
    where: Bool[Tensor, "B 1 H W"]
    seed: int

    def attacked(self, budget: float, steps: int, stop: bool = True) -> Float[Tensor, "B 3 H W"]:
        """As `pgd` does it, from the same random directions whatever the model and the budget."""
        generator = torch.Generator().manual_seed(self.seed)
        parts = (part.split(BATCH) for part in (self.x, self.labels, self.where))
        return torch.cat(
            [
                pgd(self.model, x, labels, budget, generator, steps, where, stop)
                for x, labels, where in zip(*parts, strict=True)
            ]
        )

    @torch.no_grad()
    def top1(self, z: Float[Tensor, "B 3 H W"]) -> float:
        """Percent of the pictures z that are named rightly."""
        return top_k(torch.cat([self.model(part) for part in z.split(BATCH)]), self.labels, 1)

    def shaken(self, budget: float) -> float:
        """top1 under `noise` of the budget."""
        generator = torch.Generator().manual_seed(self.seed)
        return self.top1(noise(self.x, budget, generator, self.where))


def _rows(
    targets: Mapping[str, Target], budget: int, protocol: Protocol, pixels: str
) -> list[dict[str, object]]:
    share, steps = budget / 255, protocol.steps
    checked = RIVALS if pixels == "known" and budget == protocol.checked else {}
    found = {name: t.attacked(share, steps, name not in checked) for name, t in targets.items()}
    rows = []
    for name, target in targets.items():
        row = {"method": name, "pixels": pixels, "budget": budget, "top1": target.top1(found[name])}
        if budget == 0:
            few = target.x[:BATCH], target.labels[:BATCH]
            row["slope"], row["flat"] = slope(target.model, *few)
        else:
            row["noise"] = target.shaken(share)
        if name in checked:
            row["longer"] = target.top1(target.attacked(share, 2 * steps))
            row["transfer"] = target.top1(found[checked[name]])
        rows.append(row)
    return rows


def checks(scores: pd.DataFrame) -> pd.DataFrame:
    """Signs of a bad attack, in the mean over the seeds of `scores`, as `Adversarial` has them.

    Returns:
        Indexed by method and check: value; low and high, between which it should be; passes.
    """
    means = scores.groupby(["pixels", "method", "budget"]).mean(numeric_only=True).loc["known"]
    rows = {}
    for method in RIVALS:
        at = means.loc[method]
        bounded, checked = at[(at.index > 0) & (at.index < UNBOUNDED)], at[at.longer.notna()]
        values = {
            "unbounded budget": at.top1[UNBOUNDED],
            "larger budgets": at.top1.diff().max(),
            "noise": (bounded.noise - bounded.top1).min(),
            "twice the steps": (checked.longer - checked.top1).item(),
            "transfer": (checked.transfer - checked.top1).item(),
            "slope": at.slope[0],
            "flat": at.flat[0],
        }
        for name, value in values.items():
            low, high, sentence = CHECKS[name]
            found = {"value": value, "low": low, "high": high, "passes": low <= value <= high}
            rows[METHODS[method], sentence] = found
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["method", "check"])


def found(scores: pd.DataFrame, budget: int) -> str:
    """The sentence of lesson 14 on attacks at the known pixels: without one, and of a budget."""
    rows = scores[scores.pixels == "known"].assign(realisation=0)
    leads, trainings = statistics.leads(rows, "student", "baseline", "budget"), rows.seed.nunique()
    clauses = [
        f"{where} {lead('the student', 'the baseline', row.difference, row.half_width, trainings)}"
        for where, row in (
            ("without an attack", leads.loc[0]),
            (f"under an attack of {budget} grey levels", leads.loc[budget]),
        )
    ]
    return sentence(f"{clauses[0]},", *clauses[1:])


@dataclass(frozen=True, kw_only=True)
class Adversarial(AskedInWords):
    """Student and baseline of a range, and CLIP on clean pictures, under attack (lesson 14).

    Args:
        protocol: what is attacked and how.
    """

    protocol: Protocol
    name, lessons, apart = "adversarial", ("14",), True
    tables = MappingProxyType({"adversarial": "%.4f"})

    def measure(
        self,
        task: Task,
        teacher: Encoder,
        student: Encoder,
        probe: Probe,
        baseline: Classifier,
        val: Pictures,
    ) -> dict[str, pd.DataFrame]:
        """Attack each model at each budget: through the pixels that are known, and through all.

        CLIP sees the clean picture; the "known" pixels are the same as for the others. Attacked are
        `protocol.per_class` pictures per class, under the first draw of the operator.

        Returns:
            COLUMNS, a row for each method, pixels ("known", "all") and budget. top1, and in percent
            too: noise, under random signs of the budget; at the budget `protocol.checked` also
            longer, after twice the steps, and transfer, on pictures that were made against the
            rival. At budget 0, slope and flat as in `slope`. NaN where nothing was measured.
        """
        words = self.words(teacher, val).requires_grad_(False)
        groups = {
            "student": (student, probe),
            "baseline": (baseline.encoder, baseline.head),
            "clip_zero_shot": (teacher, words),
        }
        op, seed, budgets = parse(task.operator), task.seed, self.protocol.budgets
        encoders, val = [e for e, _ in groups.values()], val.per_class(self.protocol.per_class)
        clean = drawn(Identity(), val, seed, encoders)
        seen = drawn(op.at(self.protocol.severity), val, seed, encoders)
        right = val.labels.to(seen.device)
        shown = {name: clean if name == "clip_zero_shot" else seen for name in METHODS}
        everywhere = torch.ones_like(seen[:, :1], dtype=torch.bool)
        rows, bounded = [], [b for b in budgets if 0 < b < UNBOUNDED]
        asked = {"known": (known(seen), budgets), "all": (everywhere, bounded)}
        bar = tqdm(total=len(budgets) + len(bounded), desc=f"attacks, {op}", leave=False)
        whole = hardware.convolutions(exact=True)  # scores too
        with bar, whole, looking([part for pair in groups.values() for part in pair]):
            for pixels, (where, at) in asked.items():
                targets = {
                    name: Target(joined(*pair), shown[name], right, where, seed)
                    for name, pair in groups.items()
                }
                for budget in at:
                    rows += _rows(targets, budget, self.protocol, pixels)
                    bar.update()
        return {"adversarial": pd.DataFrame(rows).reindex(columns=COLUMNS)}
