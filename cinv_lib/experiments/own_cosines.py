"""How near a student of one's own comes to what its teacher says of the clean picture (lesson 18).

No label is needed: it is what the alignment of Equation 1 asks for, on pictures not trained on.
"""

from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd
import torch
import torch.nn.functional as F

from cinv_lib.data.image_files import Pictures
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation.draws import realised, realised_by
from cinv_lib.experiments.base import Experiment, Task
from cinv_lib.operators.basic import Identity, parse


@dataclass(frozen=True, kw_only=True)
class OwnCosines(Experiment):
    """Cosines with R(x), of the teacher and of the student on A(x) (lesson 18).

    realisations: how often the corruption of each picture is drawn.
    """

    realisations: int
    name, lessons = "own_cosines", ("18",)
    tables = MappingProxyType({"own_cosines": "%.5f"})

    @torch.no_grad()
    def measure(
        self, task: Task, teacher: Encoder, student: Encoder, val: Pictures
    ) -> dict[str, pd.DataFrame]:
        """own_cosines: picture, clip, student: of each validation picture the mean over the
        realisations of cos(R(A(x)), R(x)) and of cos(S(A(x)), R(x)), in [-1, 1]."""
        op = parse(task.operator)
        (R,) = realised(teacher, val, Identity(), 1, task.seed)
        draws = self.realisations if op.is_random else 1
        both = realised_by([teacher, student], val, op, draws, task.seed)
        found = {
            name: F.cosine_similarity(seen, R[None], dim=-1).mean(0).tolist()
            for name, seen in zip(("clip", "student"), both, strict=True)
        }
        return {"own_cosines": pd.DataFrame({"picture": range(len(val)), **found})}
