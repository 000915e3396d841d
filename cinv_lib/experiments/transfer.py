"""Transfer: a frozen encoder, and a new linear probe for every set of pictures it never saw.

The operator is the range that the encoder was trained on, for the fit and for the score, so that
what differs between methods is the representation alone (Sec. 4.3; Tables 2, 5 and 6).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd
from tqdm.auto import tqdm

from cinv_lib import data, evaluation
from cinv_lib.data import image_files
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation import probe
from cinv_lib.evaluation.probe import ProbeRecipe
from cinv_lib.experiments.base import Experiment, Task
from cinv_lib.operators.base import Operator
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


def measure(
    encoders: Mapping[str, Callable],
    sets: Mapping[str, tuple[int | None, int | None]],
    op: Operator,
    views: int,
    recipe: probe.ProbeRecipe,
    realisations: int,
    seed: int,
) -> pd.DataFrame:
    """Scores of a new probe on each encoder, for each set.

    Args:
        encoders: by method, pictures to embeddings (B, d); of a trained classifier its encoder,
            without the old head. They are only looked at: no weight and no batch norm changes.
        sets: a name of `data.load` -> pictures per class to fit on, and to score on; None for all.
        op: what corrupts both; each training picture is embedded under `views` draws of it.

    Returns:
        COLUMNS, a row for each set, method and realisation: top1 and top5 in percent (top5 NaN for
        five classes or fewer), auc in [0, 1] (NaN for other than two classes). Every method sees
        the same draws.

    Raises:
        ValueError: a set that is not there, or with fewer pictures.
    """
    parts = []
    for name, (n_train, n_val) in tqdm(sets.items(), f"transfer, {op}", unit=" sets", leave=False):
        train, val = data.to_train(name, n_train), data.load(name, "val", n_val)
        # Small pictures are resized and shown whole (App. D.1), files are cropped.
        crop = recipe.crop if isinstance(train, image_files.ImageFiles) else (1.0, 1.0)
        groups = []
        for method, encoder in encoders.items():
            seen = probe.features(encoder, train, op, views, seed, crop, recipe.flip)
            head = probe.fit(seen, train.labels, len(train.class_names), recipe, seed)
            groups.append((encoder, {method: head}))
        scores = evaluation.evaluate_heads(groups, val, op, realisations, seed, progress=False)
        parts.append(scores.rename(columns={"model": "method"}).assign(dataset=name))
    return pd.concat([part.reindex(columns=COLUMNS) for part in parts], ignore_index=True)


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

    def measure(
        self, task: Task, teacher: Encoder, student: Encoder, baseline: Classifier
    ) -> dict[str, pd.DataFrame]:
        """COLUMNS, a row for each set, method and realisation."""
        towers = {"baseline": baseline.encoder, "student": student, "clip": teacher}
        frame = measure(
            towers, self.sets, parse(task.operator), self.views, self.probe, self.realisations,
            task.seed,
        )  # fmt: skip
        return {"transfer": frame}
