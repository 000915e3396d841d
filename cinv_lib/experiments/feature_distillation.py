"""Students that learn more of a transformer than its embedding: patch tokens, attention maps.

Alexis, Giannopoulos and Gunopulos (2026, arXiv 2604.22529) train such a student. Their abstract
reports "consistently outperforming existing alternatives for the same amount of human supervision".
What is measured here is another thing, in a small world and with losses of this course's own
(`training.feature_distillation`): whether each further term helps a student of the embedding, in as
many steps (lesson 14).
"""

from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from cinv_lib.data.image_files import Pictures
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation.probe import ProbeRecipe, train_each
from cinv_lib.evaluation.scores import evaluate_heads
from cinv_lib.evaluation.sentence import lead, sentence
from cinv_lib.evaluation.statistics import compare
from cinv_lib.experiments.base import AskedInWords, Task
from cinv_lib.operators.basic import parse

STUDENTS = {
    "vit_global": "embedding alone",
    "vit_patches": "with patch tokens",
    "vit_attention": "with attention maps too",
}


def against_embedding(scores: pd.DataFrame, head: str) -> pd.DataFrame:
    """The students of more features against that of the embedding alone, by the names of STUDENTS:
    difference in points of top-1, half_width and verdict as in `statistics.compare`."""
    rows = scores[scores["head"] == head].assign(method=lambda frame: frame.model)
    alone, *more = STUDENTS
    each = {STUDENTS[name]: compare(rows, name, alone) for name in more}
    return pd.DataFrame.from_dict(each, orient="index")


def found(scores: pd.DataFrame, head: str = "probe") -> str:
    """The sentence of lesson 14 on feature distillation. head: "probe" or "words"."""
    trainings, whom = scores.seed.nunique(), f"that of the {STUDENTS['vit_global']}"
    clauses = [
        lead(f"the student {name}", whom, row.difference, row.half_width, trainings)
        for name, row in against_embedding(scores, head).iterrows()
    ]
    asked = {"probe": "by a probe", "words": "asked in words"}[head]
    return sentence(f"{asked}, {clauses[0]},", *clauses[1:])


@dataclass(frozen=True, kw_only=True)
class FeatureDistillation(AskedInWords):
    """Students of the embedding alone, with patch tokens, and with attention maps too, beside the
    transformer that they learn from (lesson 14).

    Args:
        recipe: of the probes.
        realisations: draws of the corruption.
    """

    recipe: ProbeRecipe
    realisations: int
    losses: tuple[str, ...] = ()
    name, lessons, apart = "feature_distillation", ("14",), True
    tables = MappingProxyType({"feature_distillation": "%.4f"})

    def measure(
        self,
        task: Task,
        vit: Encoder,
        vit_global: Encoder,
        vit_patches: Encoder,
        vit_attention: Encoder,
        train: Pictures,
        val: Pictures,
    ) -> dict[str, pd.DataFrame]:
        """Scores of all on the same draws, each by a probe on all labels, fitted under the
        operator, and by the words of `vit`.

        Returns:
            model, "vit" or one of STUDENTS; head, "probe" or "words"; realisation; top1, top5 in
            percent.
        """
        op, words = parse(task.operator), self.words(vit, train)
        towers = dict(vit=vit, vit_global=vit_global, vit_patches=vit_patches)
        towers |= {"vit_attention": vit_attention}
        probes = train_each([*towers.values()], train, op, self.recipe, task.seed)
        groups = [
            (tower, {f"{name} probe": probe, f"{name} words": words})
            for (name, tower), probe in zip(towers.items(), probes, strict=True)
        ]
        scores = evaluate_heads(groups, val, op, self.realisations, task.seed)
        scores[["model", "head"]] = scores.model.str.split(" ", expand=True)
        columns = ["model", "head", "realisation", "top1", "top5"]
        return {"feature_distillation": scores[columns]}
