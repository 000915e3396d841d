"""Where student and baseline start, with new probes on sets that they never saw: whether labels
make a network forget what its start knew (lesson 09).

A baseline that trails CLIP on another set has either forgotten, or started from less. Its start,
the supervised tower, tells the two apart.
"""

from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from cinv_lib.encoders.encoder import Encoder
from cinv_lib.experiments.base import Task
from cinv_lib.experiments.transfer import Transfer


@dataclass(frozen=True, kw_only=True)
class StartsTransferred(Transfer):
    """R and the supervised tower with new probes on the sets of lesson 09, as they were before any
    training of ours. With the settings of `Transfer` its rows are paired with that table's.

    operators: those of `Transfer`, where a trained tower gains from having seen the corruption.
    """

    losses: tuple[str, ...] = ()
    name = "starts_transferred"
    tables = MappingProxyType({"starts_transferred": "%.4f"})

    def measure(self, task: Task, teacher: Encoder, supervised: Encoder) -> dict[str, pd.DataFrame]:
        """`Transfer.scored` of both: the method is "clip" or "resnet", the supervised tower."""
        towers = {"clip": teacher, "resnet": supervised}
        return {"starts_transferred": self.scored(task, towers)}
