"""How an encoder stands at each severity: what its heads get right, and where its embeddings lie.

Lesson 14 asks this of students that differ in their loss, in their teacher, or in its tower. A
probe is fitted to an encoder and can make up for a shift or a turn of its embeddings; words cannot.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cinv_lib.data.image_files import Pictures
from cinv_lib.data.image_set import ImageSet
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation import probe
from cinv_lib.evaluation.draws import realised
from cinv_lib.evaluation.metrics import geometry, top_k
from cinv_lib.evaluation.probe import Probe
from cinv_lib.evaluation.scores import Head
from cinv_lib.operators.base import Operator
from cinv_lib.operators.basic import Identity
from cinv_lib.training import tuned_teacher

Fit = Callable[[Encoder, Operator], Probe]  # a probe, fitted to an encoder under what it sees


@dataclass(frozen=True)
class Where:
    """At which severities of a range an encoder is looked at, on which pictures and draws."""

    val: ImageSet
    op: Operator  # the range under which its probe was fitted
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

    R: what the embeddings are compared with, a row a picture; own: something else as well.

    Returns:
        A row for each severity and realisation: severity, realisation; for each head its top-1 in
        percent; cosine, within, between, own_first as in `metrics.geometry`, to R; and matched,
        the mean cosine to `own`, or to R where there is none.
    """
    labels = where.val.labels.to(R.device)
    same = labels[:, None] == labels
    rows = []
    for severity in where.severities:
        A = where.op.at(severity)
        draws = where.realisations if A.is_random else 1
        for r, S in enumerate(realised(encoder, where.val, A, draws, where.seed)):
            row = {"severity": float(severity), "realisation": r}
            row |= {name: top_k(head(S), labels, 1) for name, head in heads.items()}
            matched = F.cosine_similarity(S, R if own is None else own).mean().item()
            rows.append(row | geometry(S, R, same) | {"matched": matched})
    return pd.DataFrame(rows)


def clean(encoder: Encoder, images: Pictures) -> Float[Tensor, "N d"]:
    """Embeddings of the pictures as they are."""
    return probe.features(encoder, images, Identity(), views=1, seed=0)[0]


def towers(
    pairs: Mapping[str, tuple[Encoder, Encoder]],
    words: Callable[[Encoder], Probe],
    fit: Fit,
    where: Where,
) -> pd.DataFrame:
    """Teachers and their students, each by a probe fitted under the range and by words.

    pairs: by the name of the tower, (teacher, student). words: of a teacher.

    Returns:
        tower; model, "clip" or "student"; and the columns of `measure`, with the heads "probe" and
        "words" (the teacher's), compared with the teacher's embeddings of the clean pictures.
    """
    frames = []
    for tower, (teacher, student) in pairs.items():
        R = clean(teacher, where.val)
        asked = words(teacher)
        for model, encoder in (("clip", teacher), ("student", student)):
            heads = {"probe": fit(encoder, where.op), "words": asked}
            frame = measure(encoder, heads, R, where)
            frames.append(frame.assign(tower=tower, model=model))
    return _keys_first(frames, ["tower", "model"])


def tuning(
    teacher: Encoder,
    arms: Mapping[str, tuple[Encoder, Encoder]],
    train: Pictures,
    words: Probe,
    fit: Fit,
    where: Where,
) -> pd.DataFrame:
    """Students, and the teachers T that were tuned with them, which are shown clean pictures.

    arms: by the name of the method, (student, T). teacher: R, which they all come from.

    Returns:
        method; model, "student" or "teacher" (at severity 0); and the columns of `measure`,
        compared with R; matched is the cosine to the arm's own T. The heads: "probe", fitted to
        this encoder under what it sees; "words", R's; "turned", R's words turned to where T has
        them (`tuned_teacher.turn`, from the clean training pictures, without labels).
    """
    R, R_train = clean(teacher, where.val), clean(teacher, train)
    intact = Where(where.val, where.op.at(0.0), (0.0,), 1, where.seed)
    frames = []
    for method, (student, tuned) in arms.items():
        T, Q = clean(tuned, where.val), tuned_teacher.turn(clean(tuned, train), R_train)
        turned = Probe(words.weight.detach() @ Q.T, words.bias.detach(), normalise=True)
        for model, encoder, seen in (("student", student, where), ("teacher", tuned, intact)):
            heads = {"probe": fit(encoder, seen.op), "words": words, "turned": turned}
            frame = measure(encoder, heads, R, seen, own=T)
            frames.append(frame.assign(method=method, model=model))
    return _keys_first(frames, ["method", "model"])


def _keys_first(frames: list[pd.DataFrame], keys: list[str]) -> pd.DataFrame:
    frame = pd.concat(frames, ignore_index=True)
    return frame[[*keys, *frame.columns.drop(keys)]]
