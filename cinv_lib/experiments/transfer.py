"""Transfer: a frozen encoder, and a new linear probe for every set of pictures it never saw.

The operator is the range that the encoder was trained on, for the fit and for the score, so that
what differs between methods is the representation alone (Sec. 4.3; Tables 2, 5 and 6).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd
from tqdm.auto import tqdm

from cinv_lib import data, evaluation
from cinv_lib.data.image_files import ImageFiles
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation.probe import ProbeRecipe, features, fit
from cinv_lib.experiments.base import Experiment, Task
from cinv_lib.operators.basic import parse
from cinv_lib.training.baseline import Classifier

STANDS_FOR = {  # our set -> the paper's; a set that is not here is ours alone
    "digits": "CIFAR-10",
    "stickers-scenes": "CIFAR-100",
    "stickers-kinds": "STL-10",
    "faces": "COVID X-ray",
    "stickers-100b": "ImageNet-100B",
}
THE_PAPERS = {  # the paper's sets themselves
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "stl10": "STL-10",
    "covid": "COVID X-ray",
    "imagenet100b": "ImageNet-100B",
}
PerClass = tuple[int | None, int | None]  # pictures; None for all
COLUMNS = ["dataset", "method", "realisation", "top1", "top5", "auc"]


@dataclass(frozen=True, kw_only=True)
class Transfer(Experiment):
    """Baseline, student and CLIP with new probes on sets that they never saw (Sec. 4.3; Tables 2, 5
    and 6; lesson 09).

    sets: a name of `data.load` -> pictures per class to fit on, and to score on; None for all.
    views: corruptions of a training picture that the new probe sees.
    """

    sets: Mapping[str, PerClass]
    views: int
    probe: ProbeRecipe
    realisations: int
    name, lessons = "transfer", ("09",)
    tables = MappingProxyType({"transfer": "%.4f"})

    def loads(self) -> Iterable[str]:
        return self.sets

    def measure(
        self, task: Task, teacher: Encoder, student: Encoder, baseline: Classifier
    ) -> dict[str, pd.DataFrame]:
        """Scores of a new probe on each encoder, for each set; of the baseline its encoder, without
        the old head. They are only looked at: no weight and no batch norm changes.

        Returns:
            COLUMNS, a row for each set, method and realisation: top1 and top5 in percent (top5 NaN
            for five classes or fewer), auc in [0, 1] (NaN for other than two classes). Every method
            sees the same draws.

        Raises:
            ValueError: a set that is not there, or with fewer pictures.
        """
        towers = {"baseline": baseline.encoder, "student": student, "clip": teacher}
        op, recipe, seed = parse(task.operator), self.probe, task.seed
        parts = []
        for name, (n_train, n_val) in tqdm(
            self.sets.items(), f"transfer, {op}", unit=" sets", leave=False
        ):
            train, val = data.to_train(name, n_train), data.load(name, "val", n_val)
            # Small pictures are resized and shown whole (App. D.1), files are cropped.
            crop = recipe.crop if isinstance(train, ImageFiles) else (1.0, 1.0)
            groups = []
            for method, encoder in towers.items():
                seen = features(encoder, train, op, self.views, seed, crop, recipe.flip)
                head = fit(seen, train.labels, len(train.class_names), recipe, seed)
                groups.append((encoder, {method: head}))
            scores = evaluation.evaluate_heads(
                groups, val, op, self.realisations, seed, progress=False
            )
            parts.append(scores.rename(columns={"model": "method"}).assign(dataset=name))
        frame = pd.concat([part.reindex(columns=COLUMNS) for part in parts], ignore_index=True)
        return {"transfer": frame}
