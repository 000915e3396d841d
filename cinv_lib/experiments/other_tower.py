"""Another teacher, whose image tower is a transformer, and its student (lesson 14)."""

from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from cinv_lib.data.image_files import Pictures
from cinv_lib.data.image_set import ImageSet
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.encoders.inference import preprocess_of
from cinv_lib.evaluation import statistics
from cinv_lib.evaluation.probe import Probe
from cinv_lib.evaluation.sentence import lead, sentence
from cinv_lib.experiments.base import Task
from cinv_lib.experiments.loss_bias import Compared, clean, keys_first, measure

TOWERS = {"resnet": "ResNet", "vit": "transformer"}


def gains(scores: pd.DataFrame, tower: str, column: str = "words") -> pd.DataFrame:
    """The student of a tower against its own teacher, by severity, as `statistics.leads` has it."""
    rows = scores[scores.tower == tower].assign(method=lambda frame: frame.model)
    return statistics.leads(rows, "student", "clip", metric=column)


def found(scores: pd.DataFrame, severity: float) -> str:
    """The sentence of lesson 14 on transformers, in words."""
    vit, trainings = gains(scores, "vit").loc[severity], scores.seed.nunique()
    first = lead("its student", "its teacher", vit.difference, vit.half_width, trainings)
    rows = scores[scores.severity == severity]
    wide = rows.pivot_table(index=["tower", "seed", "realisation"], columns="model", values="words")
    gain = (wide["student"] - wide["clip"]).rename("gain").reset_index()
    two = statistics.compare(gain.assign(method=gain.tower), "vit", "resnet", "gain")
    second = lead("its gain", "that of the ResNet", two["difference"], two["half_width"], trainings)
    return sentence(f"with a transformer, at {100 * severity:g} % missing, {first},", second)


@dataclass(frozen=True, kw_only=True)
class OtherTower(Compared):
    """Teachers with a ResNet and with a transformer, and their students (lesson 14)."""

    name = "other_tower"
    tables = MappingProxyType({"other_tower": "%.5f"})

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
        """Teachers and their students, each by a probe fitted under the range and by words.

        Returns:
            tower; model, "clip" or "student"; and the columns of `loss_bias.measure`, with the
            heads "probe" and "words" (the teacher's), compared with the teacher's embeddings of the
            clean pictures.
        """
        fit, where = self.fit(task, student, probe, train), self.where(task, val)
        pairs = {"resnet": [teacher, student], "vit": [vit, vit_student]}
        # both see the same pictures, decoded once
        alike = preprocess_of([teacher]) == preprocess_of([vit])
        groups = [pairs["resnet"] + pairs["vit"]] if alike else [*pairs.values()]
        fitted = iter([head for group in groups for head in fit(group, where.op)])
        frames = []
        for tower, (R, S) in pairs.items():
            seen_by_R, words = clean(R, where.val), self.words(R, train)
            for model, encoder in (("clip", R), ("student", S)):
                head = next(fitted)
                heads = {"probe": head, "words": words}
                frame = measure(encoder, heads, seen_by_R, where)
                frames.append(frame.assign(tower=tower, model=model))
        return {"other_tower": keys_first(frames, ["tower", "model"])}
