"""Learning rates of student and baseline, chosen with the same care (lessons 06 and 07).

Each rate trains one student and one baseline for the profile's budget (a seed that no result of the
course uses) and scores them on half of the validation pictures. The student's score is that of its
probe on all labels. No lesson asks for it: it is made by

    python -m cinv_lib.lab.plan stickers --make learning_rates-mask_0.9-seed10
"""

from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from cinv_lib.data.image_files import Pictures
from cinv_lib.data.image_set import ImageSet
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation import probe as probes
from cinv_lib.evaluation.probe import ProbeRecipe
from cinv_lib.evaluation.scores import evaluate_heads
from cinv_lib.experiments.base import Experiment, Task
from cinv_lib.losses.equations import parse as parse_loss
from cinv_lib.machine.files import write_text
from cinv_lib.operators.basic import parse
from cinv_lib.training.baseline import finetune
from cinv_lib.training.recipe import Recipe
from cinv_lib.training.student import distill

SEED = 10  # of no result of the course


@dataclass(frozen=True, kw_only=True)
class LearningRates(Experiment):
    """method, lr, top1 (percent), start: one training each.

    Args:
        student, baseline: their recipes, whose learning rate is replaced by each of `rates`.
        probe: how the probe is trained that scores a student.
        rates: that student and baseline try.
        narrow_rates: that the baseline from the narrow start tries.
        realisations: draws of the corruption in a score.
        val_per_class: validation pictures per class in a score. Fewer than the lessons score on:
            the rate that wins is not chosen on all of these.
    """

    student: Recipe
    baseline: Recipe
    probe: ProbeRecipe
    rates: tuple[float, ...]
    narrow_rates: tuple[float, ...]
    realisations: int
    val_per_class: int
    name = "learning_rates"
    tables = MappingProxyType({"learning_rates": "%.6g"})

    def tasks(self, seeds: int) -> list[Task]:
        return [self.task(op, SEED) for op in self.operators]

    def measure(
        self,
        folder: Path,
        task: Task,
        teacher: Encoder,
        supervised: Encoder,
        supervised_narrow: Encoder,
        train: Pictures,
        val: ImageSet,
    ) -> dict[str, pd.DataFrame]:
        """A rate whose row a killed run left in the folder is not trained again."""
        file, op, val = folder / "rows.csv", parse(task.operator), val.per_class(self.val_per_class)
        columns = ["method", "lr", "top1", "start"]
        rows = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=columns)
        wanted = [("student", teacher, lr) for lr in self.rates]
        wanted += [("baseline", supervised, lr) for lr in self.rates]
        wanted += [("baseline", supervised_narrow, lr) for lr in self.narrow_rates]
        for method, start, lr in wanted:
            if ((rows.method == method) & (rows.start == start.name) & (rows.lr == lr)).any():
                continue
            if method == "student":
                recipe = replace(self.student, lr=lr)
                S, _ = distill(start, train, op, parse_loss(task.loss), recipe, task.seed)
                group = (S, {method: probes.train(S, train, op, self.probe, task.seed)})
            else:
                recipe = replace(self.baseline, lr=lr)
                classifier, _ = finetune(start, train, op, recipe, task.seed)
                group = (classifier.encoder, {method: classifier.head})
            top1 = evaluate_heads([group], val, op, self.realisations, 0).top1.mean()
            rows.loc[len(rows)] = [method, lr, top1, start.name]
            write_text(file, rows.to_csv(index=False, float_format="%.6g"))
        file.unlink()
        return {"learning_rates": rows}
