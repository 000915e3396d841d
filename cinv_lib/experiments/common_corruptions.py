"""The common corruptions, measured (paper, App. D.8 and Table 14): a student that was taught blur
and noise against a baseline that has seen clean pictures only, on 19 types shown to neither.

As in ImageNet-C, a picture is corrupted once for each type and severity. The draws belong to the
seed, as the training does, so an error over seeds has both kinds of chance in it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import pandas as pd
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from cinv_lib import evaluation, operators
from cinv_lib.data.image_set import ImageSet
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.encoders.inference import device_of
from cinv_lib.evaluation import statistics
from cinv_lib.evaluation.probe import Probe
from cinv_lib.evaluation.sentence import count, points, sentence
from cinv_lib.experiments.base import AskedInWords, Needs, Task
from cinv_lib.experiments.methods import full
from cinv_lib.machine import hardware
from cinv_lib.operators.basic import Identity
from cinv_lib.operators.corruptions.imagenet_c import FAMILIES, corrupt_set
from cinv_lib.training.baseline import Classifier

CLEAN = "none"  # the corruption of the rows for clean pictures: family "clean", severity 0
METHODS = full(
    "student",
    "zero_shot",
    "baseline",
    "clip_clean",
    student="Student S of the mixture, its probe too",
    zero_shot="Student S of the mixture, asked in words",
    baseline="Baseline, trained on clean pictures",
)


def score(
    groups: Sequence[evaluation.Group], val: ImageSet, severities: Sequence[int], seed: int
) -> pd.DataFrame:
    """Heads on encoders, each encoder forwarded once a corrupted picture for all its heads.

    Lesson 13 names them as METHODS does.

    Returns:
        A row for each head on clean pictures, and for each head, type and severity: method,
        corruption, family, severity, top1, top5 (percent).

    Raises:
        ValueError: a severity other than 1 to 5; or what `evaluation.evaluate_heads` refuses.
    """

    def row(images: ImageSet, corruption: str, family: str, severity: int) -> pd.DataFrame:
        found = evaluation.evaluate_heads(groups, images, operators.Identity(), progress=False)
        where = {"corruption": corruption, "family": family, "severity": severity}
        return found.rename(columns={"model": "method"}).assign(**where)

    # Beside a GPU the drawing would take most of the time, on one core.
    workers = hardware.decoders(device_of([encoder for encoder, _ in groups]))
    frames = [row(val, CLEAN, "clean", 0)]
    types = [(family, name) for family, names in FAMILIES.items() for name in names]
    for family, name in tqdm(types, desc="common corruptions", unit=" types", leave=False):
        for severity in severities:
            images = corrupt_set(val.images, name, severity, seed, workers=workers)
            frames.append(row(replace(val, images=images), name, family, severity))
    columns = ["method", "corruption", "family", "severity", "top1", "top5"]
    return pd.concat(frames, ignore_index=True)[columns]


def by_type(scores: pd.DataFrame, metric: str = "top1") -> pd.DataFrame:
    """What Table 14 prints: the mean over severities, then over seeds.

    A row for each type, indexed by (family, corruption) in the order of FAMILIES; a column a
    method, in percent. Clean pictures are left out.
    """
    corrupted = scores[scores.corruption != CLEAN]
    keys = ["family", "corruption", "method"]
    means = corrupted.groupby([*keys, "seed"], sort=False)[metric].mean()
    return means.groupby(keys, sort=False).mean().unstack("method")


def compare(
    scores: pd.DataFrame, better: str, worse: str, by: str = "corruption", metric: str = "top1"
) -> pd.DataFrame:
    """`better` minus `worse` on the same pictures, in points, for each value of the column `by`.

    The mean of all that share the value and the seed is one measurement: so a family counts
    its types alike, and a type its severities.

    Returns:
        Indexed by `by`: difference, half_width and verdict as in `statistics.compare`; seeds.

    Raises:
        ValueError: a method that the scores do not have, with those that they have.
    """
    # a draw belongs to the seed, so there is one realisation of it
    found = statistics.leads(scores.assign(realisation=0), better, worse, by, metric)
    return found.loc[[*dict.fromkeys(scores[by])]].assign(seeds=scores.seed.nunique())


def words(corruption: str) -> str:
    """The name of a type, to read.

    >>> words("gaussian_blur"), words("jpeg_compression")
    ('Gaussian blur', 'JPEG compression')
    """
    name = corruption.replace("_", " ")
    return name.replace("gaussian", "Gaussian").replace("jpeg", "JPEG")


def found(types: pd.DataFrame) -> str:
    """The sentence of lesson 13, from the rows of `compare` of the student and the clean baseline,
    one for each type."""
    said, trainings = types.verdict.tolist(), int(types.seeds.iloc[0])
    won, lost = said.count("holds"), said.count("does not hold")
    left = len(said) - won - lost
    open_ = f"{count(trainings, 'training')} {'does' if trainings == 1 else 'do'} not decide"
    if left == len(said):
        two = "between the student and the clean baseline"
        return sentence(f"{open_} {two} on any of {count(left, 'type')}")
    some, none = (count(n) if n else "none" for n in (won, lost))
    first = f"the student leads the clean baseline on {some} of {count(len(said), 'type')}"
    clauses = [first, f"it trails on {none}"]
    return sentence(*clauses, *([f"{open_} the other {count(left)}"] if left else []))


def near_or_far(value: float, half_width: float, trainings: int) -> str:
    """Whether the student's lead is larger on types near its mixture than on types far from it, as
    a sentence. value: near minus far, in points; half_width: of its interval, NaN for none.

    >>> near_or_far(17.1, 3.0, 3)
    "On near types the student's lead is larger than on far types, by 17.1 points."
    """
    if abs(value) > half_width:
        size = "larger" if value > 0 else "smaller"
        by = points(value)
        return sentence(f"on near types the student's lead is {size} than on far types, by {by}")
    width = "" if math.isnan(half_width) else f" ± {half_width:.1f}"
    verb = "does" if trainings == 1 else "do"
    return sentence(
        f"{count(trainings, 'training')} {verb} not decide whether the student's lead is larger on "
        f"near types or on far types ({value:.1f}{width} points)"
    )


def mean_corruption_error(
    errors: Float[Tensor, "types severities"], baseline: Float[Tensor, "types severities"]
) -> float:
    """mCE in percent: for each type, the errors summed over severities divided by those of the
    baseline, then the mean over types (Hendrycks and Dietterich). Below 100: it errs less.

    The published mCE is normalised by AlexNet on ImageNet; which baseline this is, say with it.
    Raises ValueError where the baseline makes no error on a type, which leaves no ratio.
    """
    below = baseline.sum(dim=1)
    if not bool((below > 0).all()):
        raise ValueError(f"the baseline's errors sum to {below.tolist()}; expected each above 0")
    return 100 * (errors.sum(dim=1) / below).mean().item()


@dataclass(frozen=True, kw_only=True)
class CommonCorruptions(AskedInWords):
    """The student of a mixture, a baseline of clean pictures and CLIP on the common corruptions
    (Table 14, App. D.8; lesson 13).

    Args:
        operators: the mixture that the student was taught; the baseline has seen clean pictures.
        severities: of the common corruptions, from 1 to 5.
        val_per_class: validation pictures per class, each corrupted once by type and severity.
    """

    severities: tuple[int, ...]
    val_per_class: int
    name, lessons, apart = "common_corruptions", ("13",), True
    tables = MappingProxyType({"common_corruptions": "%.4f"})

    def needs(self, task: Task) -> Needs:
        clean = Task("baseline", str(Identity()), task.seed)  # it has seen clean pictures only
        return {**super().needs(task), "baseline": clean}

    def measure(
        self,
        task: Task,
        teacher: Encoder,
        student: Encoder,
        probe: Probe,
        baseline: Classifier,
        clean_probe: Probe,
        val: ImageSet,
    ) -> dict[str, pd.DataFrame]:
        """The columns of `score`."""
        groups = [
            (student, {"student": probe, "zero_shot": self.words(teacher, val)}),
            (baseline.encoder, {"baseline": baseline.head}),
            (teacher, {"clip_clean": clean_probe}),
        ]
        val = val.per_class(self.val_per_class)
        return {"common_corruptions": score(groups, val, self.severities, task.seed)}
