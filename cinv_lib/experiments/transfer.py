"""Transfer: a frozen encoder, and a new linear probe for every set of pictures it never saw.

The operator is the range that the encoder was trained on, for the fit and for the score, so that
what differs between methods is the representation alone (Sec. 4.3; Tables 2, 5 and 6).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pandas as pd
from tqdm.auto import tqdm

from cinv_lib import data, evaluation
from cinv_lib.data import catalogue
from cinv_lib.data.image_files import ImageFiles
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation.probe import ProbeRecipe, features_of, fit
from cinv_lib.evaluation.sentence import count, lead_by_place, listed
from cinv_lib.evaluation.sentence import sentence as joined
from cinv_lib.experiments import spoken
from cinv_lib.experiments.base import Experiment, Task
from cinv_lib.operators.basic import parse
from cinv_lib.training.baseline import Classifier

STANDS_FOR = {  # our set -> the paper's; a set that is not here is ours alone
    "digits": "CIFAR-10",
    "stickers-scenes": "CIFAR-100",
    "stickers-kinds": "STL-10",
    "faces": "COVID X-ray",
    "stickers-100b": "ImageNet-100B",
}
THE_PAPERS = {  # the paper's sets themselves
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "stl10": "STL-10",
    "covid": "COVID X-ray",
    "imagenet100b": "ImageNet-100B",
}
NAMES = {  # what is asked on each of our sets, in words
    "stickers-100b": "other pictographs",
    "stickers-kinds": "the kind of pictograph",
    "stickers-scenes": "kind and photograph",
    "stickers-places": "the photograph behind",
    "digits": "digits",
    "faces": "faces",
} | THE_PAPERS
HAS = {  # what a set has that no training has seen
    "stickers-100b": "a hundred other classes of the same world; none of its pictographs is in "
    "Stickers-100",
    "stickers-kinds": "ten coarse classes (arrow, face, star, ...) of pictures that look the same",
    "stickers-scenes": "a hundred classes, each of which joins two: an arrow on coffee",
    "stickers-places": "13 photographs; no label of Stickers-100 asks for them",
    "digits": "ten classes from elsewhere, in tiny real pictures of 8 pixels, enlarged",
    "faces": "two classes, in a few real grey pictures of 25 pixels, far from our world",
    "cifar10": "ten classes, in pictures of 32 pixels, enlarged",
    "cifar100": "a hundred classes, in pictures of 32 pixels, enlarged",
    "stl10": "ten classes, in pictures of 96 pixels that were cut from ImageNet",
    "covid": "two classes of X-rays of the chest",
    "imagenet100b": "a hundred other classes of ImageNet",
}
ASKED_BEHIND = "stickers-places"  # the set of what no label of the training asks for


def listing(sets: Iterable[str]) -> pd.DataFrame:
    """Sets to read: what is asked for, the name, the paper's set behind it, and what it has."""
    theirs = STANDS_FOR | THE_PAPERS
    rows = [(NAMES[s], s, theirs.get(s, "none: ours"), HAS[s]) for s in sets]
    columns = ["asked for", "set", "the paper's", "what it has"]
    return pd.DataFrame(rows, columns=columns).set_index("asked for")


PerClass = tuple[int | None, int | None]  # pictures; None for all
COLUMNS = ["dataset", "method", "realisation", "top1", "top5", "auc"]


def finding(leads: Mapping[str, pd.DataFrame], trainings: int) -> str:
    """What lesson 09 found, in a sentence: who leads where no label of the training asked, and on
    how many sets.

    Args:
        leads: student minus baseline by operator, rows by set: difference, half_width, verdict.
    """
    names = spoken.names(leads)
    sets = next(iter(leads.values())).index
    asked = ASKED_BEHIND if ASKED_BEHIND in sets else sets[0]
    rows = {f"under {names[op]}": table.loc[asked] for op, table in leads.items()}
    pairs = {place: (float(r.difference), float(r.half_width)) for place, r in rows.items()}
    clauses = lead_by_place("the student", "the baseline", pairs, trainings)
    where = "asked for" if asked == ASKED_BEHIND else "on"
    clauses[0] = f"{where} {NAMES.get(asked, asked)}, {clauses[0]}"
    won, lost = (
        {op: int((table.verdict == word).sum()) for op, table in leads.items()}
        for word in ("holds", "does not hold")
    )
    ahead = listed(f"{_none(n)} under {names[op]}" for op, n in won.items())
    behind = listed(f"{_none(n)} under {names[op]}" for op, n in lost.items())
    behind = behind if any(lost.values()) else "none"
    last = f"of {count(len(sets), 'set')} the student leads on {ahead}, and trails on {behind}"
    return joined(*clauses, last, long=True)


def headline(leads: Mapping[str, pd.DataFrame]) -> str:
    """The title of lesson 09's figure: the student's largest and smallest lead."""
    said = []
    for op, table in leads.items():
        ordered = table.difference.astype(float).sort_values()
        ends = [NAMES.get(name, name) for name in (ordered.index[-1], ordered.index[0])]
        high, low = (f"{v:+.0f}".replace("-", "−") for v in (ordered.iloc[-1], ordered.iloc[0]))
        said.append(f"{high} ({ends[0]}) to {low} ({ends[1]}) under {spoken.kind(op)}")
    return f"Student minus baseline goes from {listed(said)}"


def _none(n: int) -> str:
    return count(n) if n else "none"


@dataclass(frozen=True, kw_only=True)
class Transfer(Experiment):
    """Baseline, student and CLIP with new probes on sets that they never saw (Sec. 4.3; Tables 2, 5
    and 6; lesson 09).

    Args:
        sets: a name of `data.load` -> (pictures per class to fit on, to score on); None for all.
        views: corruptions of a training picture that the new probe sees.
        probe: how the new probes are trained. Its crops are of files only: small pictures are shown
            whole.
        realisations: draws of the corruption that the probes are scored on.
        redrawn: whether each seed has pictures of its own, as `Profile.redrawn` says.
    """

    sets: Mapping[str, PerClass]
    views: int
    probe: ProbeRecipe
    realisations: int
    redrawn: bool = False
    name, lessons, apart = "transfer", ("09",), True
    tables = MappingProxyType({"transfer": "%.4f"})

    def loads(self) -> Iterable[str]:
        return self.sets

    def here(self) -> Mapping[str, PerClass]:
        """Those of the sets that are on this machine; all of them where none is."""
        there = {s: n for s, n in self.sets.items() if catalogue.command(s) is None}
        return there or self.sets

    def settings(self, task: Task) -> dict[str, Any]:
        """Of other sets it is another table."""
        return super().settings(task) | {"sets": self.here()}

    def measure(
        self, task: Task, teacher: Encoder, student: Encoder, baseline: Classifier
    ) -> dict[str, pd.DataFrame]:
        """`scored` of the three. Of the baseline it is the encoder, without the old head."""
        towers = {"baseline": baseline.encoder, "student": student, "clip": teacher}
        return {"transfer": self.scored(task, towers)}

    def scored(self, task: Task, towers: Mapping[str, Encoder]) -> pd.DataFrame:
        """Scores of a new probe on each encoder, for each set that is here. They are only looked
        at: no weight and no batch norm changes.

        Returns:
            COLUMNS, a row for each set, method and realisation: top1 and top5 in percent (top5 NaN
            for five classes or fewer), auc in [0, 1] (NaN for other than two classes). Every method
            sees the same draws. Clean pictures (`identity`) are realised once.

        Raises:
            ValueError: a set that is not there, or with fewer pictures.
        """
        op, recipe, seed = parse(task.operator), self.probe, task.seed
        parts = []
        for name, (n_train, n_val) in tqdm(
            self.here().items(), f"transfer, {op}", unit=" sets", leave=False
        ):
            drawn = f"{name}@{seed}" if self.redrawn and seed else name
            train, val = data.to_train(drawn, n_train), data.load(drawn, "val", n_val)
            # Small pictures are resized and shown whole (App. D.1), files are cropped.
            crop = recipe.crop if isinstance(train, ImageFiles) else (1.0, 1.0)
            every = features_of([*towers.values()], train, op, self.views, seed, crop, recipe.flip)
            groups = []
            for (method, encoder), seen in zip(towers.items(), every, strict=True):
                head = fit(seen, train.labels, len(train.class_names), recipe, seed)
                groups.append((encoder, {method: head}))
            scores = evaluation.evaluate_heads(
                groups, val, op, self.realisations, seed, progress=False
            )
            parts.append(scores.rename(columns={"model": "method"}).assign(dataset=name))
        return pd.concat([part.reindex(columns=COLUMNS) for part in parts], ignore_index=True)
