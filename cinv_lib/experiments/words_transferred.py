"""What only the embedding keeps: a network that learned R's words, and a student that learned R's
embeddings, with new probes on sets that neither has seen (lesson 09).

Both learned from the same pictures without labels. Words are about the classes of the training; an
embedding also holds what no class of the training asks for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from cinv_lib.encoders.encoder import Encoder
from cinv_lib.experiments.base import Needs, Task, alongside
from cinv_lib.experiments.methods import labels
from cinv_lib.experiments.transfer import Transfer
from cinv_lib.training.baseline import Classifier

METHODS = labels(
    "student",
    "words_of_r",
    "student_60000",
    "words_of_r_60000",
    words_of_r="R's words as labels",
    student_60000="student S of 60,000 pictures",
    words_of_r_60000="R's words as labels, 60,000 pictures",
)
# the network of words -> the student of the same pictures
PAIRS = {"words_of_r": "student", "words_of_r_60000": "student_60000"}


@dataclass(frozen=True, kw_only=True)
class WordsTransferred(Transfer):
    """Networks of R's words and students, trained under one operator, with new probes under it.

    operators: the names of the trainings (of METHODS) that are compared there.
    """

    name = "words_transferred"
    tables = MappingProxyType({"words_transferred": "%.4f"})

    def needs(self, task: Task) -> Needs:
        names = self.operators.get(task.operator) or ()
        return {**super().needs(task), "models": alongside(task, names, PAIRS)}

    def measure(
        self, task: Task, models: Mapping[str, Encoder | Classifier]
    ) -> dict[str, pd.DataFrame]:
        """`Transfer.scored` of each; of a network that learned words it is the encoder, without its
        head."""
        towers = {
            name: model.encoder if isinstance(model, Classifier) else model
            for name, model in models.items()
        }
        return {"words_transferred": self.scored(task, towers)}
