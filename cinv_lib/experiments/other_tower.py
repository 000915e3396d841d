"""Another teacher, whose image tower is a transformer, and its student (lesson 14)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from cinv_lib.data.image_files import Pictures
from cinv_lib.data.image_set import ImageSet
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation.probe import Probe, zero_shot
from cinv_lib.experiments.base import Task
from cinv_lib.experiments.loss_bias import Compared, Fit, Where, clean, keys_first, measure


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
    return keys_first(frames, ["tower", "model"])


@dataclass(frozen=True, kw_only=True)
class OtherTower(Compared):
    """Teachers with a ResNet and with a transformer, and their students (lesson 14)."""

    name = "other_tower"
    tables = MappingProxyType({"other_tower": "%.5f"})
    in_words = True

    def measure(
        self,
        task: Task,
        teacher: Encoder,
        student: Encoder,
        probe: Probe,
        vit: Encoder,
        vit_student: Encoder,
        train: Pictures,
        val: ImageSet,
    ) -> dict[str, pd.DataFrame]:
        """The columns of `towers`."""

        def words(of: Encoder) -> Probe:
            return zero_shot(of, train.class_names, (self.template,))

        pairs = {"resnet": (teacher, student), "vit": (vit, vit_student)}
        fit = self.fit(task, student, probe, train)
        return {"other_tower": towers(pairs, words, fit, self.where(task, val))}
