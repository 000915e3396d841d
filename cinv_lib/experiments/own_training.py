"""How the training of one's own student went, step by step (lesson 18)."""

from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from cinv_lib.experiments.base import Experiment, Task


@dataclass(frozen=True, kw_only=True)
class OwnTraining(Experiment):
    """The history of the student, kept also where its weights are not (lesson 18)."""

    name, lessons = "own_training", ("18",)
    tables = MappingProxyType({"own_training": "%.6g"})

    def measure(self, task: Task, student_history: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """own_training: epoch, step, loss, lr, images_per_s, a row for each step."""
        return {"own_training": student_history}
