"""How far R comes without a training: the floor that a student has to pass (lesson 06).

Either R is adapted to the corrupted pictures, or they to R. Both take a minute, and no gradient.
"""

from dataclasses import dataclass, field
from types import MappingProxyType

import pandas as pd

from cinv_lib.data.image_files import Pictures
from cinv_lib.data.image_set import ImageSet
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.encoders.inference import preprocess_of
from cinv_lib.evaluation import probe as probes
from cinv_lib.evaluation.beforehand import batch_norms_again
from cinv_lib.evaluation.probe import ProbeRecipe
from cinv_lib.evaluation.scores import evaluate_heads
from cinv_lib.experiments.base import AskedInWords, Task
from cinv_lib.operators.base import Device, Images, Operator, Rng, Severities
from cinv_lib.operators.basic import RandomMask, parse

METHODS = {
    "norms_again": "CLIP R, batch norms estimated again, probe",
    "norms_again_words": "CLIP R, batch norms estimated again, in words",
    "rescaled": "CLIP R on A(x) / (1 - p), probe",
    "rescaled_words": "CLIP R on A(x) / (1 - p), in words",
}
COLUMNS = ["method", "realisation", "top1", "top5"]


@dataclass(frozen=True)
class Rescaled(Operator):
    """A(x) / (1 - p), of a mask A: each picture as bright in the mean as it was, by its own p. The
    masks are those of A, from the same generator.

    It is not clipped, so pixels may be as large as 1 / (1 - p): at p = 0.9 white is 10. Clipped to
    [0,1], most of what is left would be white, and the mean again too dark.

    Raises ValueError where A may take every pixel.
    """

    severity: None = field(init=False, default=None, repr=False)
    mask: RandomMask
    limits = None

    def __post_init__(self) -> None:
        if self.mask.bounds[1] == 1:
            raise ValueError(f"{self.mask} leaves no pixel to rescale; expected severities below 1")

    @property
    def parts(self) -> tuple[Operator, ...]:
        """The mask, as of other operators that are made of some."""
        return (self.mask,)

    @property
    def is_random(self) -> bool:
        return self.mask.is_random

    def draw(self, n: int, generator: Rng = None, device: Device = "cpu") -> Severities:
        return self.mask.draw(n, generator, device)

    def apply(self, x: Images, severities: Severities, generator: Rng = None) -> Images:
        y = self.mask.apply(x, severities, generator)
        return y / (1 - severities).to(y).view(-1, 1, 1, 1)

    def __str__(self) -> str:
        return f"{self.mask}, rescaled"


@dataclass(frozen=True, kw_only=True)
class Adaptation(AskedInWords):
    """R under A without a training: its batch norms estimated again, or, under a mask, pictures
    made as bright as they were (lesson 06).

    Args:
        operators: of one part or several; "rescaled" is there for masks alone.
        probe: how the probes are fitted, under the same operator and on all labels.
        realisations: draws of the corruption of the validation pictures.
    """

    probe: ProbeRecipe
    realisations: int
    losses: tuple[str, ...] = ()
    name, lessons, apart = "adaptation", ("06",), True
    tables = MappingProxyType({"adaptation": "%.4f"})

    def measure(
        self, task: Task, teacher: Encoder, train: Pictures, val: ImageSet
    ) -> dict[str, pd.DataFrame]:
        """Scores on the draws that `known_operator` has for the same pictures, seed and operator:
        there are "clip" and "clip_zero_shot", which are R as it is.

        The batch norms are estimated in one pass over the training pictures, as in
        `beforehand.batch_norms_again`. The rescaled pictures are seen by R as it is, and each is
        divided by its own 1 - p: a reader could count it, as what is missing is black.

        Returns:
            COLUMNS, a row for each of METHODS and each realisation: top1 and top5 in percent.
        """
        op, words = parse(task.operator), self.words(teacher, train)
        pictures = train.seen_as(preprocess_of([teacher]))
        again = batch_norms_again(teacher, pictures, op, task.seed, most=len(train))
        seen = {"norms_again": (again, op)}
        if isinstance(op, RandomMask):
            seen["rescaled"] = (teacher, Rescaled(op))
        frames = []
        for method, (encoder, A) in seen.items():
            head = probes.train(encoder, train, A, self.probe, task.seed)
            groups = [(encoder, {method: head, f"{method}_words": words})]
            frames.append(evaluate_heads(groups, val, A, self.realisations, task.seed))
        scores = pd.concat(frames, ignore_index=True)
        return {"adaptation": scores.rename(columns={"model": "method"})[COLUMNS]}
