"""How many pictures a student of one's own names rightly, beside its teacher (lesson 18)."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import pandas as pd
import torch

from cinv_lib.data.image_files import Pictures
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation import probe as probes
from cinv_lib.evaluation.draws import realised
from cinv_lib.evaluation.probe import Probe, ProbeRecipe
from cinv_lib.evaluation.scores import evaluate_heads
from cinv_lib.experiments.base import AskedInWords, Task
from cinv_lib.experiments.methods import full
from cinv_lib.operators.base import Operator
from cinv_lib.operators.basic import parse

METHODS = full("clip", "clip_zero_shot", "student", "zero_shot")


@dataclass(frozen=True, kw_only=True)
class OwnScores(AskedInWords):
    """Teacher and student on corrupted pictures, by probes and, where the teacher reads words, by
    words (lesson 18).

    realisations: how often the corruption of each picture is drawn.
    probe: how probes are fitted, under the same operator.
    """

    realisations: int
    probe: ProbeRecipe
    in_words: ClassVar[bool] = False  # it goes on without them
    name, lessons = "own_scores", ("18",)
    tables = MappingProxyType({"own_scores": "%.4f", "own_answers": "%.4f"})

    def measure(
        self,
        task: Task,
        teacher: Encoder,
        student: Encoder,
        probe: Probe,
        train: Pictures,
        val: Pictures,
    ) -> dict[str, pd.DataFrame]:
        """own_scores: method, realisation, top1, top5 (percent), a row for each of METHODS that the
        teacher allows and each realisation: "clip" and "student" by a probe, the others by words.

        own_answers: picture, label, then of teacher and of student what they take the first draw
        for, and the probability they give it: clip, clip_sure, student, student_sure. They are
        asked in words, or by their probes where the teacher has none.
        """
        op = parse(task.operator)
        of_R = {"clip": probes.train(teacher, train, op, self.probe, task.seed)}
        of_S = {"student": probe}
        if teacher.clip is not None:
            words = self.words(teacher, train)
            of_R, of_S = of_R | {"clip_zero_shot": words}, of_S | {"zero_shot": words}
        groups = [(teacher, of_R), (student, of_S)]
        scores = evaluate_heads(groups, val, op, self.realisations, task.seed)
        columns = ["method", "realisation", "top1", "top5"]
        answers = {"picture": range(len(val)), "label": val.labels.tolist()}
        for name, (encoder, heads) in zip(("clip", "student"), groups, strict=True):
            answers |= self._answers(name, encoder, [*heads.values()][-1], val, op, task.seed)
        return {
            "own_scores": scores.rename(columns={"model": "method"})[columns],
            "own_answers": pd.DataFrame(answers),
        }

    @torch.no_grad()
    def _answers(
        self, name: str, encoder: Encoder, head: Probe, val: Pictures, op: Operator, seed: int
    ) -> dict[str, list]:
        (seen,) = realised(encoder, val, op, 1, seed)
        sure, guess = head.to(seen.device)(seen).softmax(dim=1).max(dim=1)
        return {name: guess.tolist(), f"{name}_sure": sure.tolist()}
