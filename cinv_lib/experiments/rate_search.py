"""Learning rates, chosen with the same care for every method (lessons 06 and 07).

Each method has three rates, of which the best lies between two others: it tries a middle and a
higher one, and then the next on the side of the better. Of rates within a point the smallest is
taken. All is trained and scored with seed 10, on pictures that no result of the course has; the
student's score is that of its probe on all labels.

    python -m cinv_lib.lab.plan stickers --make rate_search-mask_0.9-seed10
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
from cinv_lib.experiments.base import LOSS, Experiment, Task
from cinv_lib.experiments.controls import Pool, named
from cinv_lib.losses.equations import parse as parse_loss
from cinv_lib.machine.files import write_text
from cinv_lib.operators.basic import parse
from cinv_lib.training.baseline import finetune
from cinv_lib.training.recipe import Recipe
from cinv_lib.training.student import distill

SEED = 10  # of no other result
WITHIN = 1.0  # points: of rates that are this near to the best the smallest is taken
COLUMNS = ["method", "lr", "top1"]
METHODS = {  # name of the training -> (its start, its target, whether it has the pool)
    "student": ("teacher", "embeddings", False),
    "baseline": ("supervised", "labels", False),
    "baseline_r": ("teacher", "labels", False),
    "baseline100": ("supervised_narrow", "labels", False),
    "tower_student": ("supervised", "embeddings", False),
    "tower100_student": ("supervised_narrow", "embeddings", False),
    "words_of_r": ("teacher", "words", False),
    "student_60000": ("teacher", "embeddings", True),
    "words_of_r_60000": ("teacher", "words", True),
}


def chosen(rows: pd.DataFrame) -> pd.Series:
    """The rate of each method, from the rows of one operator.

    >>> rows = pd.DataFrame({"method": "student", "lr": [1e-3, 3e-3, 1e-2], "top1": [70, 70.5, 5]})
    >>> chosen(rows)["student"]
    0.001
    """
    best = rows.groupby("method").top1.transform("max")
    return rows[rows.top1 >= best - WITHIN].groupby("method", sort=False).lr.min()


def next_rate(rows: pd.DataFrame, rates: tuple[float, ...]) -> float | None:
    """What one method tries after these rows: the last but two and the last but one of `rates`, and
    then on, until a rate on either side of the chosen one has been tried. None where that is so;
    beyond the first and the last of `rates` there is nothing to try."""
    tried = set(rows.lr)
    if untried := [rate for rate in rates[-3:-1] if rate not in tried]:
        return untried[0]
    best = rates.index(chosen(rows.assign(method="one"))["one"])
    beside = [rates[i] for i in (best - 1, best + 1) if 0 <= i < len(rates)]
    return next((rate for rate in beside if rate not in tried), None)


@dataclass(frozen=True, kw_only=True)
class RateSearch(Experiment):
    """method, lr, top1 (percent): a row for each training of the search.

    Args:
        operators: the methods that are searched there, of METHODS.
        recipe: of every method, whose learning rate is replaced.
        pool: the recipe and the pictures of those that have the pool.
        probe: how the probe is trained that scores a student.
        rates: from which each method's are taken, in order.
        realisations: draws of the corruption in a score.
        val_per_class: validation pictures per class in a score.
    """

    recipe: Recipe
    pool: Pool
    pool_recipe: Recipe
    probe: ProbeRecipe
    rates: tuple[float, ...]
    realisations: int
    val_per_class: int
    losses: tuple[str, ...] = ()
    name, only_seed, in_words = "rate_search", SEED, True
    tables = MappingProxyType({"rate_search": "%.6g"})

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
        rows = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=COLUMNS)
        starts = {
            "teacher": teacher,
            "supervised": supervised,
            "supervised_narrow": supervised_narrow,
        }
        for method in self.operators[task.operator]:
            start, target, has_pool = METHODS[method]
            while (lr := next_rate(rows[rows.method == method], self.rates)) is not None:
                recipe = replace(self.pool_recipe if has_pool else self.recipe, lr=lr)
                images = self.pool.pool(task.seed) if has_pool else train
                if target == "embeddings":
                    S, _ = distill(teacher, images, op, parse_loss(LOSS), recipe, task.seed,
                                   start=starts[start])  # fmt: skip
                    group = (S, {method: probes.train(S, train, op, self.probe, task.seed)})
                else:
                    images = named(teacher, images) if target == "words" else images
                    classifier, _ = finetune(starts[start], images, op, recipe, task.seed)
                    group = (classifier.encoder, {method: classifier.head})
                top1 = evaluate_heads([group], val, op, self.realisations, 0).top1.mean()
                rows.loc[len(rows)] = [method, lr, top1]
                write_text(file, rows.to_csv(index=False, float_format="%.6g"))
        file.unlink(missing_ok=True)
        return {self.name: rows}


class OtherRates(RateSearch):
    """The same for methods that were added later, as a search that is recorded stays as it is."""

    name = "other_rates"
    tables = MappingProxyType({"other_rates": "%.6g"})
