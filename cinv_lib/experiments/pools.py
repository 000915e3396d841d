"""Students of more unlabelled pictures in as many steps: what the pictures are worth, and how many
labels such a student still needs (Figure 3 again; lesson 06).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd
import torch
import torch.nn.functional as F

from cinv_lib.data.image_set import ImageSet
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation.draws import realised, realised_by
from cinv_lib.evaluation.sentence import lead_by_place, listed
from cinv_lib.evaluation.sentence import sentence as joined
from cinv_lib.evaluation.statistics import compare, estimate
from cinv_lib.experiments import spoken
from cinv_lib.experiments.base import Experiment, Needs, Task, alongside
from cinv_lib.experiments.start_and_target import WORDS, Controlled, of_method
from cinv_lib.operators.basic import Identity, parse

PICTURES = {"student": 2_000, "student_7500": 7_500, "student_60000": 60_000}  # without labels
NAMES = {
    "student": "student S, probe",
    "zero_shot": "student S, in words",
    "baseline_r": "baseline from R",
}
# To those who have 2,000 pictures, 20 per class, as the training set has.
LABELLED = {"student_60000": "probe, 60,000 pictures", "student": "probe, 2,000 pictures"} | {
    "baseline_r": "baseline from R, all labels"
}


class Pools(Controlled):
    """The student of 60,000 unlabelled pictures."""

    name, lessons = "pools", ("06",)
    tables = MappingProxyType({"pools": "%.4f"})


class OtherPools(Controlled):
    """What is compared with it: fewer pictures, pictures of the whole world, and R's words as
    labels for as many."""

    name, lessons = "other_pools", ("06",)
    tables = MappingProxyType({"other_pools": "%.4f"})


@dataclass(frozen=True, kw_only=True)
class PoolCosines(Experiment):
    """How near students of more pictures come to R(x): no student's mean cosine is above E|m|, so
    the best of them bounds from above what the corruption has destroyed (lesson 16).

    Args:
        operators: the names of the students there, of PICTURES.
        realisations: draws of the corruption of the validation pictures.
    """

    realisations: int
    name, lessons = "pool_cosines", ("16",)
    tables = MappingProxyType({"pool_cosines": "%.5f"})

    def needs(self, task: Task) -> Needs:
        names = self.operators.get(task.operator) or ()
        return {**super().needs(task), "students": alongside(task, names)}

    @torch.no_grad()
    def measure(
        self, task: Task, teacher: Encoder, students: Mapping[str, Encoder], val: ImageSet
    ) -> dict[str, pd.DataFrame]:
        """pool_cosines: method (the student, or "clip", R itself on A(x)), pictures (0 for R),
        realisation, and cosine, the mean of cos(S(A(x)), R(x)) over the validation pictures."""
        towers = {"clip": teacher} | dict(students)
        (R,) = realised(teacher, val, Identity(), 1, task.seed)
        seen = realised_by(
            [*towers.values()], val, parse(task.operator), self.realisations, task.seed
        )
        rows = [
            (name, PICTURES.get(name, 0), r, F.cosine_similarity(draw, R, dim=-1).mean().item())
            for name, draws in zip(towers, seen, strict=True)
            for r, draw in enumerate(draws)
        ]
        columns = ["method", "pictures", "realisation", "cosine"]
        return {"pool_cosines": pd.DataFrame(rows, columns=columns)}


def over_pictures(known: pd.DataFrame, pools: pd.DataFrame, controls: pd.DataFrame) -> pd.DataFrame:
    """Top-1 by the number of unlabelled pictures, as `plots.label_curves` takes it: method (of
    NAMES), pictures, value and error (the half-width of its 95 % interval over trainings).

    Args:
        known, pools, controls: tables `known_operator`, `pools` (and `other_pools` below it, where
            that is measured) and `teacher_start` of one operator. The student answers by its probe
            on all labels and in words; the baseline that starts from R has its 2,000 labelled
            pictures alone.
    """
    rows = []
    for name, pictures in PICTURES.items():
        scores, words = (known, "zero_shot") if name == "student" else (pools, name + WORDS)
        for method, key in (("student", name), ("zero_shot", words)):
            if len(mine := of_method(scores, key)):
                rows.append((method, pictures, *estimate(mine)))
    rows.append(("baseline_r", PICTURES["student"], *estimate(of_method(controls, "baseline_r"))))
    return pd.DataFrame(rows, columns=["method", "pictures", "value", "error"])


def over_labels(few: pd.DataFrame, pools: pd.DataFrame, controls: pd.DataFrame) -> pd.DataFrame:
    """Top-1 by the number of labelled pictures per class: method (of LABELLED), per_class, value
    and error. few: the table `few_labels`; the others as in `over_pictures`."""
    every = pools.per_class.max()
    parts = [
        few[few.method == "student"],
        pools[pools.method == "student_60000"],
        controls[controls.method == "baseline_r"].assign(per_class=every),
    ]
    rows = [
        (*place, *estimate(mine))
        for place, mine in pd.concat(parts).groupby(["method", "per_class"])
    ]
    found = pd.DataFrame(rows, columns=["method", "per_class", "value", "error"])
    return found.sort_values("method", key=lambda names: names.map([*LABELLED].index))


def headline(curves: Mapping[str, pd.DataFrame]) -> str:
    """The title of lesson 06's figure over unlabelled pictures. curves: `over_pictures` by
    operator."""
    said = []
    for op, curve in curves.items():
        mine = curve[curve.method == "student"].sort_values("pictures").value
        said.append(f"{mine.iloc[0]:.0f} to {mine.iloc[-1]:.0f} % under {spoken.kind(op)}")
    pictures = "60,000 unlabelled pictures instead of 2,000"
    return f"With {pictures} the student's probe goes from {listed(said)}"


def headline_of_labels(curves: Mapping[str, pd.DataFrame]) -> str:
    """The title of the figure over labels: the student of 60,000 pictures with half of the labels,
    or the nearest number below all of them, and the baseline with all. curves: `over_labels`."""
    half, every, counts = [], [], set()
    for op, curve in curves.items():
        mine = curve[curve.method == "student_60000"].sort_values("per_class")
        counts.add(f"{mine.per_class.iloc[-2]:g}")
        half.append(f"{mine.value.iloc[-2]:.0f} % under {spoken.kind(op)}")
        every.append(f"{curve[curve.method == 'baseline_r'].value.item():.0f} %")
    return (
        f"With {listed(sorted(counts))} labelled pictures per class the student of 60,000 names "
        f"{listed(half)}; with all labels the baseline from R names {listed(every)}"
    )


def finding(
    known: Mapping[str, pd.DataFrame],
    pools: Mapping[str, pd.DataFrame],
    controls: Mapping[str, pd.DataFrame],
) -> str:
    """What more unlabelled pictures do, in a sentence: to the probe, and to the words against all
    labels. Tables by operator, as in `over_pictures`."""
    more, words = {}, {}
    for op, table in pools.items():
        place = f"under {spoken.kind(op)}"
        both = pd.concat([of_method(table, "student_60000"), of_method(known[op], "student")])
        found = compare(both, "student_60000", "student")
        more[place] = found["difference"], found["half_width"]
        both = pd.concat([table, controls[op]])
        found = compare(both, "student_60000" + WORDS, "baseline_r")
        words[place] = found["difference"], found["half_width"]
    trainings = max(table.seed.nunique() for table in pools.values())
    return joined(
        *lead_by_place("the student of 60,000 pictures", "that of 2,000", more, trainings),
        *lead_by_place(
            "in words, without any label, that student", "the baseline from R", words, trainings
        ),
        long=True,
    )
