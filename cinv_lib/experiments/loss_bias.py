"""How an encoder stands at each severity: what its heads get right, and where its embeddings lie.

Lesson 14 asks this of students that differ in their loss, in their teacher, or in its tower. A
probe is fitted to an encoder and can make up for a shift or a turn of its embeddings; words cannot.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cinv_lib.data.image_files import Pictures
from cinv_lib.data.image_set import ImageSet
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation import probe
from cinv_lib.evaluation.draws import Draw, realised_each, repeated
from cinv_lib.evaluation.metrics import geometry, top_k
from cinv_lib.evaluation.probe import Probe, ProbeRecipe, train_each
from cinv_lib.evaluation.scores import Head
from cinv_lib.evaluation.sentence import lead, sentence
from cinv_lib.evaluation.statistics import compare
from cinv_lib.experiments.ablation import LOSSES
from cinv_lib.experiments.base import LOSS, AskedInWords, Task
from cinv_lib.operators.base import Operator
from cinv_lib.operators.basic import Identity, parse

# Probes, fitted to encoders that take the same pictures, under what these see.
Fit = Callable[[Sequence[Encoder], Operator], list[Probe]]


@dataclass(frozen=True)
class Where:
    """At which severities of a range an encoder is looked at, on which pictures and draws.

    Args:
        val: the pictures that it sees.
        op: the range under which its probe was fitted.
        severities: of that range.
        realisations: draws of the corruption at each severity.
        seed: of these draws.
    """

    val: Pictures
    op: Operator
    severities: Sequence[float]
    realisations: int
    seed: int


@torch.no_grad()
def measure(
    encoder: Encoder,
    heads: Mapping[str, Head],
    R: Float[Tensor, "N d"],
    where: Where,
    own: Float[Tensor, "N d"] | None = None,
) -> pd.DataFrame:
    """Look at the pictures at each severity, in the draws of `evaluate`.

    R: what the embeddings are compared with, one row for each picture; own: a second such tensor.

    Returns:
        A row for each severity and realisation: severity, realisation; for each head its top-1 in
        percent; cosine, within, between, own_first as in `metrics.geometry`, to R; and matched,
        the mean cosine to `own`, or to R where there is none.
    """
    labels = where.val.labels.to(R.device)
    same = labels[:, None] == labels
    asked: list[tuple[float, tuple[Draw, int]]] = []
    for severity in where.severities:
        A = where.op.at(severity)
        draws = where.realisations if A.is_random else 1
        asked += [(float(severity), one) for one in repeated(A, draws)]
    (seen,) = realised_each([encoder], where.val, [one for _, one in asked], where.seed)
    rows = []
    for (severity, (_, r)), S in zip(asked, seen, strict=True):
        row = {"severity": severity, "realisation": r}
        row |= {name: top_k(head(S), labels, 1) for name, head in heads.items()}
        matched = F.cosine_similarity(S, R if own is None else own).mean().item()
        rows.append(row | geometry(S, R, same) | {"matched": matched})
    return pd.DataFrame(rows)


def remedied(scores: pd.DataFrame, severity: float, column: str) -> pd.DataFrame:
    """Every other loss against ST at a severity, by the names of `ablation.LOSSES`: difference (of
    cosines times 100), half_width and verdict as in `statistics.compare`, and loss."""
    rows = scores[scores.severity == severity]
    rows = rows.assign(method=rows.loss, cosine=100 * rows.cosine)
    others = [loss for loss in LOSSES if loss in set(rows.loss) and loss != LOSS]
    each = {LOSSES[loss]: compare(rows, loss, LOSS, column) | {"loss": loss} for loss in others}
    return pd.DataFrame.from_dict(each, orient="index")


def found(scores: pd.DataFrame, severity: float) -> str:
    """The sentence of lesson 14 on remedies for the bias, in words."""
    rows, trainings = remedied(scores, severity, "words"), scores.seed.nunique()
    clauses = [
        lead(name, "ST", row.difference, row.half_width, trainings)
        for loss, name in (("mse", "alignment alone"), ("st:0.1,weight=0.5", "half the push"))
        for _, row in rows[rows.loss == loss].iterrows()
    ]
    comma = "," if clauses[1:] else ""
    first = f"asked in words at {100 * severity:g} % missing, {clauses[0]}{comma}"
    return sentence(first, *clauses[1:])


def clean(encoder: Encoder, images: Pictures) -> Float[Tensor, "N d"]:
    """Embeddings of the pictures as they are."""
    return clean_each([encoder], images)[0]


def clean_each(encoders: Sequence[Encoder], images: Pictures) -> list[Float[Tensor, "N d"]]:
    """The same of several encoders, which look at once: files are decoded once for all."""
    every = list({id(encoder): encoder for encoder in encoders}.values())
    made = probe.features_of(every, images, Identity(), views=1, seed=0)
    by_encoder = {id(encoder): seen[0] for encoder, seen in zip(every, made, strict=True)}
    return [by_encoder[id(encoder)] for encoder in encoders]


def keys_first(frames: list[pd.DataFrame], keys: list[str]) -> pd.DataFrame:
    frame = pd.concat(frames, ignore_index=True)
    return frame[[*keys, *frame.columns.drop(keys)]]


@dataclass(frozen=True, kw_only=True)
class AtSeverities(AskedInWords):
    """Encoders of one range, looked at by `measure` at some severities of it (lesson 14).

    Args:
        severities: of the range at which the encoders are looked at.
        val_per_class: validation pictures per class that they see.
        realisations: draws of the corruption at each severity.
    """

    severities: tuple[float, ...]
    val_per_class: int
    realisations: int
    lessons = ("14",)

    def where(self, task: Task, val: ImageSet) -> Where:
        """On which pictures and draws."""
        few = val.per_class(self.val_per_class)
        return Where(few, parse(task.operator), self.severities, self.realisations, task.seed)


@dataclass(frozen=True, kw_only=True)
class Compared(AtSeverities):
    """Several encoders, each by a probe fitted to it and by words.

    Args:
        recipe: of the probes that are fitted here; the probe of the profile's student is there
            already.
    """

    recipe: ProbeRecipe
    apart = True

    def fit(self, task: Task, student: Encoder, probe: Probe, train: Pictures) -> Fit:
        """What fits a probe to each of some encoders; that of `student` is `probe`."""

        def fit(encoders: Sequence[Encoder], seen: Operator) -> list[Probe]:
            others = [encoder for encoder in encoders if encoder is not student]
            fitted = train_each(others, train, seen, self.recipe, task.seed) if others else []
            left = iter(fitted)
            return [probe if encoder is student else next(left) for encoder in encoders]

        return fit


@dataclass(frozen=True, kw_only=True)
class LossBias(AtSeverities):
    """Students whose loss has a bias that is predicted, each by its probe and by words (lesson 14).

    Args:
        losses: the paper's, and the remedies.
    """

    name = "loss_bias"
    tables = MappingProxyType({"loss_bias": "%.5f"})

    def measure(
        self, task: Task, teacher: Encoder, student: Encoder, probe: Probe, val: ImageSet
    ) -> dict[str, pd.DataFrame]:
        """The columns of `measure`, the function, with the heads "probe" and "words"."""
        where = self.where(task, val)
        heads = {"probe": probe, "words": self.words(teacher, val)}
        return {"loss_bias": measure(student, heads, clean(teacher, where.val), where)}
