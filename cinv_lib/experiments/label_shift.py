"""Label shift: pictures of classes that no training has seen, right if they get the label of their
near twin (Sec. 4.4; Table 3, Figures 5 and 9).

It asks how gracefully a model fails: the outline of a flag is no solid flag, but a model that calls
one the other has understood more than one that says "umbrella".
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from tqdm.auto import tqdm

from cinv_lib import evaluation
from cinv_lib.data.image_set import ImageSet
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation.probe import Probe
from cinv_lib.evaluation.sentence import lead_by_place, listed
from cinv_lib.evaluation.sentence import sentence as joined
from cinv_lib.evaluation.statistics import compare, estimate
from cinv_lib.experiments import spoken
from cinv_lib.experiments.base import AskedInWords, Task
from cinv_lib.experiments.methods import labels
from cinv_lib.operators.basic import parse
from cinv_lib.training.baseline import Classifier

COLUMNS = ["pictures", "label", "method", "severity", "realisation", "top1", "top5"]


def errors(scores: Float[Tensor, "pairs realisations"]) -> tuple[float, float]:
    """Standard errors of the mean of all scores: over realisations, and over pairs of classes.

    The first takes the pairs as given and asks for other corruptions of the same pictures, as the
    paper does; the second asks for other pairs. NaN where there is one only.
    """

    def error(means: Tensor) -> float:
        return means.std().item() / math.sqrt(len(means)) if len(means) > 1 else math.nan

    return error(scores.mean(dim=0)), error(scores.mean(dim=1))


def lead(scores: pd.DataFrame, better: str = "student", worse: str = "baseline") -> dict[str, Any]:
    """`better` minus `worse` on the twins in `scores`, as `statistics.compare` has it. All
    trainings share the few pairs, so the interval has the variance over pairs in it too.
    """
    twins = scores[scores.pictures == "twin"]
    by_pair = twins.pivot_table(index="label", columns="method", values="top1")
    ahead = by_pair[better] - by_pair[worse]
    return compare(twins, better, worse, choice=float(ahead.sem()), units=len(ahead))


def finding(scores: Mapping[str, pd.DataFrame], agrees: float) -> str:
    """What lesson 10 found, in a sentence: how often R itself, the student and the baseline give a
    twin its stand-in's label.

    Args:
        scores: the table by operator, at one severity of each.
        agrees: the share of clean twins, in percent, to which R gives that label.
    """
    names, leads, named = spoken.names(scores), {}, []
    for op, rows in scores.items():
        found = lead(rows)
        leads[f"under {names[op]}"] = found["difference"], found["half_width"]
        mine = rows[(rows.pictures == "twin") & (rows.method == "student")]
        named.append(f"{mine.top1.mean():.0f} % under {names[op]}")
    trainings = max(rows.seed.nunique() for rows in scores.values())
    return joined(
        f"R itself gives {agrees:.0f} % of the twins the label that people chose",
        f"the student gives it to {listed(named)}",
        *lead_by_place("the student", "the baseline", leads, trainings),
    )


SHOWN = labels("clip", "student", "baseline", clip="CLIP R, intact pictures")  # what dots show


def opinion(
    seen: Float[Tensor, "N d"],
    hit: Bool[Tensor, " N"],
    twins: ImageSet,
    pictures: Float[Tensor, "M d"],
    val: ImageSet,
) -> pd.DataFrame:
    """What the teacher itself says of each pair.

    Args:
        seen, hit: its embeddings of the clean `twins`, and whether its probe gives the label.
        pictures: its embeddings of `val`, where the known classes are.

    Returns:
        By the label's name, the first that the teacher agrees with first: `place`, where it ranks
        that class among all (1 is nearest), and `agrees`, in percent of the twins.
    """
    said = {}
    for label in twins.labels.unique().tolist():
        mine = twins.labels == label
        place = stand_in(seen[mine], pictures, val.labels).index(label) + 1
        said[val.class_names[label]] = place, 100 * hit[mine].double().mean().item()
    rows = pd.DataFrame.from_dict(said, orient="index", columns=["place", "agrees"])
    return rows.sort_values("place", kind="stable")


def panels(scores: Mapping[str, pd.DataFrame], of_R: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """By operator, what `plots.score_dots` draws of R, student and baseline on the twins.

    scores: the table by operator, at one severity of each; of_R: as `opinion` has it.
    """
    found = {}
    for op, table in scores.items():
        rows = []
        for label, place, agrees in of_R.itertuples():
            row = f"{label}\n(R's place: {place})"
            rows.append((row, "clip", SHOWN["clip"], agrees, math.nan))
            mine = table[(table.pictures == "twin") & (table.label == label)]
            for method in [*SHOWN][1:]:
                value = estimate(mine[mine.method == method])
                rows.append((row, method, SHOWN[method], *value))
        frame = pd.DataFrame(rows, columns=["row", "method", "label", "value", "error"])
        found[f"{spoken.kind(op)}, {spoken.at(op, table.severity.iloc[0])}"] = frame
    return found


def headline(scores: Mapping[str, pd.DataFrame], agrees: float) -> str:
    """The title of lesson 10's figure; as in `finding`."""
    said = []
    for op, table in scores.items():
        top1 = table[table.pictures == "twin"].groupby("method").top1.mean()
        said.append(f"{top1.student:.0f} and {top1.baseline:.0f} % under {spoken.kind(op)}")
    return (
        f"R itself takes {agrees:.0f} % of the unseen pictures for our twins; student and baseline "
        f"{listed(said)}"
    )


def stand_in(
    twins: Float[Tensor, "N d"], pictures: Float[Tensor, "M d"], labels: Int64[Tensor, " M"]
) -> list[int]:
    """The classes by how near their mean direction is to the twins', the nearest first.

    twins: embeddings of one unseen class; pictures, labels: those of the classes that are known.
    """
    unit = F.normalize(pictures, dim=1)
    known = labels.unique()
    centres = torch.stack([unit[labels == label].mean(dim=0) for label in known])
    twin = F.normalize(twins, dim=1).mean(dim=0)
    order = torch.cosine_similarity(centres, twin[None], dim=1).argsort(descending=True)
    return known[order].tolist()


@dataclass(frozen=True, kw_only=True)
class LabelShift(AskedInWords):
    """The models of a range on near twins of classes (Sec. 4.4; Figures 5 and 9; lesson 10).

    Args:
        operators: the severities at which the models of that range see the twins.
        realisations: draws of the corruption at each severity.
    """

    realisations: int
    name, lessons = "label_shift", ("10",)
    tables = MappingProxyType({"label_shift": "%.4f"})

    def measure(
        self,
        task: Task,
        teacher: Encoder,
        student: Encoder,
        probe: Probe,
        baseline: Classifier,
        twins: ImageSet,
        val: ImageSet,
    ) -> dict[str, pd.DataFrame]:
        """Scores under the stand-in labels of `twins`, a pair of classes at a time; beside them
        those of the same labels' own pictures, which are in `val`: what there is to lose.

        Returns:
            COLUMNS: pictures is "twin" or "own", label the name that counts as right; top1 and top5
            in percent. A row for each of these, method, severity and realisation; realisation r is
            the same draw for every pair.

        Raises:
            ValueError: the two sets do not have the same class names.
        """
        if twins.class_names != val.class_names:
            raise ValueError(f"{twins.name} and {val.name} number their classes differently")
        op, severities = parse(task.operator), self.operators[task.operator]
        draws = {"realisations": self.realisations, "seed": task.seed, "progress": False}
        groups = self.contestants(teacher, baseline, student, probe, val)
        parts = []
        for label in tqdm(twins.labels.unique().tolist(), f"label shift, {op}", leave=False):
            for pictures, images in (("twin", twins), ("own", val)):
                shown = images.subset((images.labels == label).nonzero()[:, 0])
                scores = evaluation.sweep(groups, shown, op, severities, **draws)
                parts.append(scores.assign(pictures=pictures, label=val.class_names[label]))
        frame = pd.concat(parts, ignore_index=True).rename(columns={"model": "method"})
        return {"label_shift": frame[COLUMNS]}
