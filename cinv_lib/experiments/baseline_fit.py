"""What classifiers get right on the pictures that they were fitted to and on others, clean and
corrupted. It shows where one classifier loses the accuracy that another one keeps.
"""

from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Num
from torch import Tensor

from cinv_lib.data.image_files import Pictures
from cinv_lib.data.image_set import ImageSet
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation.draws import realised_by
from cinv_lib.evaluation.metrics import top_k
from cinv_lib.evaluation.probe import Probe
from cinv_lib.experiments.base import Experiment, Task
from cinv_lib.operators.basic import Identity, parse
from cinv_lib.training.baseline import Classifier


def exchange(a: Num[Tensor, " N"], b: Num[Tensor, " N"], draws: int) -> tuple[float, float]:
    """(gained, lost): from a to b, in points of top-1; b's top-1 less a's is gained - lost.

    a, b: in how many of the draws each picture is recognised. A picture counts on one side only,
    so two models that know different pictures exchange much, whatever the difference of their
    accuracies.

    >>> exchange(torch.tensor([3, 0]), torch.tensor([1, 3]), draws=4)
    (37.5, 25.0)
    """
    more = 100 * (b - a).double() / draws
    return more.clamp(min=0).mean().item(), (-more).clamp(min=0).mean().item()


@dataclass(frozen=True, kw_only=True)
class BaselineFit(Experiment):
    """Both baselines and the student on the pictures that they were trained on, and on others
    (lesson 07). fit_by_epoch: the baselines' training losses, in the mean of each epoch.

    Args:
        realisations: draws of the corruption, of the training pictures and of the others.
    """

    realisations: int
    name, lessons = "baseline_fit", ("07",)
    tables = MappingProxyType(
        {"baseline_fit": "%.4f", "fit_by_picture": "%.4f", "fit_by_epoch": "%.4f"}
    )

    @torch.no_grad()
    def measure(
        self,
        task: Task,
        student: Encoder,
        probe: Probe,
        baseline: Classifier,
        baseline100: Classifier,
        baseline_history: pd.DataFrame,
        baseline100_history: pd.DataFrame,
        train: Pictures,
        val: ImageSet,
    ) -> dict[str, pd.DataFrame]:
        """Look at both sets of pictures, corrupted (the draws of `evaluate`) and clean.

        Returns:
            baseline_fit: a row for each method, set ("pictures"), "corrupted" or "clean" ("seen")
            and realisation: top1 in percent, loss (mean cross-entropy). Clean pictures are drawn
            once. fit_by_picture: a row for each validation picture, corrupted: label, draws, and
            for each method in how many of the draws it is right. fit_by_epoch: epoch, baseline,
            baseline100.
        """
        models = {
            "baseline": (baseline.encoder, baseline.head),
            "baseline100": (baseline100.encoder, baseline100.head),
            "student": (student, probe),
        }
        rows, right = [], {}
        for name, images in {"training": train, "validation": val}.items():
            labels = images.labels.cpu()
            for seen, A in (("clean", Identity()), ("corrupted", parse(task.operator))):
                draws = self.realisations if A.is_random else 1
                towers = [encoder for encoder, _ in models.values()]
                every = realised_by(towers, images, A, draws, task.seed)
                for (method, (_, head)), embedded in zip(models.items(), every, strict=True):
                    logits = torch.stack([head(of_draw).cpu() for of_draw in embedded])
                    where = {"method": method, "pictures": name, "seen": seen}
                    for r, of_draw in enumerate(logits):
                        loss = F.cross_entropy(of_draw, labels).item()
                        top1 = top_k(of_draw, labels, 1)
                        rows.append(where | {"realisation": r, "top1": top1, "loss": loss})
                    right[method] = (logits.argmax(2) == labels).sum(0).tolist()
        histories = {"baseline": baseline_history, "baseline100": baseline100_history}
        losses = {name: history.groupby("epoch").loss.mean() for name, history in histories.items()}
        epochs = pd.DataFrame(losses).reset_index()
        return {
            "baseline_fit": pd.DataFrame(rows),
            "fit_by_picture": pd.DataFrame({"label": labels.tolist(), "draws": draws} | right),
            "fit_by_epoch": epochs,
        }
