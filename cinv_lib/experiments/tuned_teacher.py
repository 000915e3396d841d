"""Students whose teachers are tuned along with them, beside one of a frozen teacher (lesson 14)."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from cinv_lib.data.image_files import Pictures
from cinv_lib.data.image_set import ImageSet
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation.probe import Probe, zero_shot
from cinv_lib.experiments.base import Task
from cinv_lib.experiments.loss_bias import Compared, Fit, Where, clean, keys_first, measure
from cinv_lib.training.tuned_teacher import turn


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
        T, Q = clean(tuned, where.val), turn(clean(tuned, train), R_train)
        turned = Probe(words.weight.detach() @ Q.T, words.bias.detach(), normalise=True)
        for model, encoder, seen in (("student", student, where), ("teacher", tuned, intact)):
            heads = {"probe": fit(encoder, seen.op), "words": words, "turned": turned}
            frame = measure(encoder, heads, R, seen, own=T)
            frames.append(frame.assign(method=method, model=model))
    return keys_first(frames, ["method", "model"])


@dataclass(frozen=True, kw_only=True)
class TunedTeacher(Compared):
    """A student of a frozen teacher beside two whose teachers were tuned with them (lesson 14)."""

    name = "tuned_teacher"
    tables = MappingProxyType({"tuned_teacher": "%.5f"})
    in_words = True

    def measure(
        self,
        task: Task,
        teacher: Encoder,
        student: Encoder,
        probe: Probe,
        tuned: tuple[Encoder, Encoder],
        anchored: tuple[Encoder, Encoder],
        train: Pictures,
        val: ImageSet,
    ) -> dict[str, pd.DataFrame]:
        """The columns of `measure` (the function)."""
        words = zero_shot(teacher, train.class_names, (self.template,))
        arms = {"frozen": (student, teacher), "tuned": tuned, "anchored": anchored}
        fit = self.fit(task, student, probe, train)
        return {"tuned_teacher": tuning(teacher, arms, train, words, fit, self.where(task, val))}
