"""One student of a range of severities: what its probe gets right at each, and where its embeddings
lie. The columns of Figures 6 and 10, and the geometry that lesson 04 predicts.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pandas as pd
import torch
from tqdm.auto import tqdm

from cinv_lib.data.image_files import Pictures
from cinv_lib.data.image_set import ImageSet
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.encoders.inference import embedded
from cinv_lib.evaluation import probe as probes
from cinv_lib.evaluation import statistics
from cinv_lib.evaluation.draws import realised
from cinv_lib.evaluation.metrics import geometry, top_k
from cinv_lib.evaluation.probe import Probe, ProbeRecipe
from cinv_lib.evaluation.sentence import lead, points, sentence
from cinv_lib.experiments.base import Experiment, Task, training_seeds
from cinv_lib.operators.basic import parse

LOSSES = {  # what each is called
    "mse": "alignment alone (MSE)",
    "raw_mse": "MSE of raw embeddings",
    "st:0.1,weight=0.5": "ST, half the push",
    "st:0.1,weight=0.75": "ST, three quarters of the push",
    "nt:0.1": "NT-Xent",
    "ss:0.1": "SS",
    "st:0.1": "ST, the paper's choice",
    "sb:0.1": "SB",
    "st:0.1,centred": "ST, teacher centred",
}


def against(
    scores: pd.DataFrame, severity: float, metric: str = "top1", reference: str = "st:0.1"
) -> pd.DataFrame:
    """Every loss against the reference at a severity, the best first.

    Returns:
        Indexed by the names of LOSSES: difference, half_width and verdict as in
        `statistics.compare`, and loss. The reference itself is a row of 0 without an interval.
    """
    rows = scores[scores.severity == severity].assign(method=lambda frame: frame.loss)
    found = {
        LOSSES[loss]: statistics.compare(rows, loss, reference, metric) | {"loss": loss}
        for loss in rows.loss.unique()
    }
    table = pd.DataFrame.from_dict(found, orient="index")
    return table.sort_values("difference", ascending=False, kind="stable")


def found(rows: pd.DataFrame, trainings: int, severity: float, paper: float) -> str:
    """The sentence of lesson 11, from the rows of `against` in top-1.

    paper: alignment alone minus ST in the paper, in points; it trained each once.
    """
    here = rows.set_index("loss").loc["mse"]
    first = lead("alignment alone", "ST", here.difference, here.half_width, trainings)
    theirs = f"alignment alone {'leads' if paper > 0 else 'trails'} ST by {points(paper)}"
    return sentence(f"at {100 * severity:g} % missing {first},", f"in the paper {theirs}")


@dataclass(frozen=True, kw_only=True)
class Ablation(Experiment):
    """Students of one range that differ in their loss (Figures 6 and 10, App. C; lesson 11).

    Args:
        taus: further temperatures of the paper's loss.
        severities: at which the students are scored; they lie within the range and beyond it.
        val_per_class: validation pictures per class that they are scored on.
        realisations: draws of the corruption at each severity.
    """

    taus: tuple[float, ...]
    severities: tuple[float, ...]
    val_per_class: int
    realisations: int
    name, lessons = "ablation", ("11",)
    tables = MappingProxyType({"ablation": "%.5f"})
    asks = Experiment.asks | {"taus"}

    def settings(self, task: Task) -> dict[str, Any]:
        """With what descriptions have said since each seed has draws of its own."""
        return super().settings(task) | {"redrawn": True}

    def asked_taus(self, seeds: int | list[int]) -> list[float]:
        """The further temperatures that a run with this number of seeds asks for."""
        out = self.several if seeds == 1 else ()
        return [tau for tau in self.taus if f"st:{tau:g}" not in out]

    def tasks(self, seeds: int | list[int]) -> list[Task]:
        more = [f"st:{tau:g}" for tau in self.asked_taus(seeds)]
        (op,) = self.operators
        which = training_seeds(seeds)
        return super().tasks(seeds) + [self.task(op, seed, tau) for seed in which for tau in more]

    def measure(
        self, task: Task, teacher: Encoder, student: Encoder, probe: Probe, val: ImageSet
    ) -> dict[str, pd.DataFrame]:
        """Look at each severity of the range under which the student's probe was fitted.

        Returns:
            A row for each severity and realisation: severity, realisation; top1 and top5 (percent);
            cosine, within, between, own_first as in `metrics.geometry`.
        """
        return {self.name: self._looked_at(task, teacher, student, probe, val)}

    @torch.no_grad()
    def _looked_at(
        self, task: Task, teacher: Encoder, student: Encoder, probe: Probe, val: ImageSet
    ) -> pd.DataFrame:
        op, val = parse(task.operator), val.per_class(self.val_per_class)
        R = embedded(teacher, val.images)
        labels = val.labels.to(R.device)
        same = labels[:, None] == labels
        rows = []
        for s in tqdm(self.severities, desc=f"evaluate, {op}", unit=" severities", leave=False):
            seen = realised(student, val, op.at(s), self.realisations, task.seed)
            for r, S in enumerate(seen):
                logits = probe(S)
                scores = {"top1": top_k(logits, labels, 1), "top5": top_k(logits, labels, 5)}
                rows.append({"severity": s, "realisation": r} | scores | geometry(S, R, same))
        return pd.DataFrame(rows)


@dataclass(frozen=True, kw_only=True)
class Batches(Ablation):
    """Students of batches of 256, looked at as those of `Ablation` are, on the same draws (lesson
    11).

    Args:
        probe: how their probes are trained: as those of the others are.
    """

    probe: ProbeRecipe
    taus: tuple[float, ...] = ()
    name, lessons, apart = "batches", ("11",), True
    tables = MappingProxyType({"batches": "%.5f"})

    def measure(
        self, task: Task, teacher: Encoder, student_256: Encoder, train: Pictures, val: ImageSet
    ) -> dict[str, pd.DataFrame]:
        """The columns of `Ablation.measure`."""
        head = probes.train(student_256, train, parse(task.operator), self.probe, task.seed)
        return {self.name: self._looked_at(task, teacher, student_256, head, val)}
