"""Inverting pixels instead (Tables 7 and 8): restore the picture, then ask a clean classifier.

The student never sees a clean picture and restores none. Here the detour by way of pixels is taken
on the very same corrupted pictures, and the classifier at its end is a probe of R that was fitted
on clean pictures, so that nothing but the restoration differs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from cinv_lib.data.image_files import Pictures
from cinv_lib.data.image_set import ImageSet, to_float
from cinv_lib.data.views import generator_of
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.encoders.inference import device_of, embedded
from cinv_lib.evaluation import statistics
from cinv_lib.evaluation.draws import BLOCK, reseed
from cinv_lib.evaluation.metrics import top_k
from cinv_lib.evaluation.probe import Probe
from cinv_lib.evaluation.sentence import lead, sentence
from cinv_lib.experiments.base import AskedInWords, Task
from cinv_lib.experiments.methods import full
from cinv_lib.operators.base import Operator
from cinv_lib.operators.basic import GaussianNoise, RandomMask, parse
from cinv_lib.operators.functional import float64_on
from cinv_lib.operators.inverse import deep_decoder
from cinv_lib.operators.inverse.deep_decoder import DecoderRecipe
from cinv_lib.operators.inverse.interpolation import Keep, best_width, interpolated
from cinv_lib.operators.inverse.nonlocal_means import non_local_means, psnr
from cinv_lib.training.baseline import Classifier

Restore = Callable[[Float[Tensor, "B 3 H W"], Keep, Generator], Float[Tensor, "B 3 H W"]]
METHODS = full("student", "baseline") | {
    "clip_clean": "The corrupted picture as it is",
    "gaussian": "A Gaussian mean of the known pixels",
    "denoising": "Non-local means, σ estimated",
    "denoising_known": "Non-local means, σ known",
    "inpainting": "Deep Decoder",
    "inpainting_new_mask": "Deep Decoder, told a mask drawn anew",
    "intact": "The intact picture",
}

SHORT = {  # the same, for figures
    "student": "student S",
    "baseline": "baseline",
    "clip_clean": "nothing restored",
    "gaussian": "Gaussian mean",
    "denoising": "non-local means",
    "denoising_known": "NLM, σ known",
    "inpainting": "Deep Decoder",
    "inpainting_new_mask": "DD, wrong mask",
    "intact": "intact picture",
}


def compare(scores: pd.DataFrame, better: str, worse: str, shared: bool) -> dict[str, Any]:
    """Two methods on the most pictures that both have, of one operator's table: pictures, and what
    `statistics.compare` gives.

    shared: whether all trainings are scored on the same pictures. These are few, so the variance of
        their choice is then added to the interval.
    """
    rows = scores[scores.method.isin([better, worse])]
    n = int(rows.groupby("method").pictures.max().min())
    rows = rows[rows.pictures == n]
    choice = statistics.choice_of_pictures(rows, better, worse, n) if shared else 0.0
    units = n if shared else math.inf
    return {"pictures": n} | statistics.compare(rows, better, worse, choice=choice, units=units)


def found(noise: pd.DataFrame, masks: pd.DataFrame, shared: bool) -> str:
    """The sentence of lesson 12, from the tables of both operators. shared: as in `compare`."""
    clauses = []
    for where, rows, way in (("masks", masks, "inpainting"), ("noise", noise, "denoising")):
        two = compare(rows, "student", way, shared)
        name = {"inpainting": "Deep Decoder", "denoising": "non-local means"}[way]
        said = lead("the student", name, two["difference"], two["half_width"], rows.seed.nunique())
        clauses.append(f"on {where} {said}")
    return sentence(f"{clauses[0]},", *clauses[1:])


def subset(scores: pd.DataFrame) -> pd.DataFrame:
    """On the pictures that every method has: value, the mean top-1, and error, the half-width of
    its 95 % interval over trainings, indexed by method."""
    rows = scores[scores.pictures == scores.pictures.min()]
    return statistics.estimates(rows, rows.method.unique())


def scored(r: int, logits: dict, near: dict, labels: Tensor) -> list[dict[str, object]]:
    """Rows of a table, one for each method of `logits`: their number of pictures, method,
    realisation r, top1, top5 (percent), and psnr, the mean of `near` (NaN where it has none)."""
    return [
        {
            "pictures": len(labels),
            "method": name,
            "realisation": r,
            "top1": top_k(z, labels, 1),
            "top5": top_k(z, labels, 5),
            "psnr": near[name].mean().item() if name in near else math.nan,
        }
        for name, z in logits.items()
    ]


def restorations(op: Operator, decoder: DecoderRecipe) -> dict[str, Restore]:
    """The paper's ways to restore a picture that `op` has corrupted, by the names of METHODS.

    "denoising" is given no σ, as in Table 7. "inpainting_new_mask" is what the authors' code does
    for Table 8: it fits under a mask drawn anew, and so takes holes for black pixels.

    Raises:
        ValueError: `op` is neither a mask nor noise, or its severity is a range.
    """
    if not isinstance(op, RandomMask | GaussianNoise) or isinstance(op.severity, tuple):
        raise ValueError(f"{op} has no restoration here; expected one as mask:0.9 or noise:0.5")
    if isinstance(op, GaussianNoise):
        return {
            "denoising": lambda y, keep, generator: non_local_means(y),
            "denoising_known": lambda y, keep, generator: non_local_means(y, op.severity),
        }

    def inpaint(y: Tensor, keep: Tensor, generator: Generator) -> Tensor:
        return deep_decoder.fit(y, keep, decoder, generator, precision="auto")[0]

    def inpaint_anew(y: Tensor, keep: Tensor, generator: Generator) -> Tensor:
        other = deep_decoder.masked(op, torch.ones_like(y).cpu(), generator)[1]
        return inpaint(y, other.to(keep.device), generator)

    return {"inpainting": inpaint, "inpainting_new_mask": inpaint_anew}


def drawn(
    op: Operator,
    x: Float[Tensor, "N 3 H W"],
    seed: int,
    realisation: int,
    stream: str = "evaluation",
) -> tuple[Float[Tensor, "N 3 H W"], Bool[Tensor, "N 1 H W"]]:
    """One realisation of a whole set, as `evaluation.batches` draws it, and which of its pixels
    are known: True where a mask kept them, and everywhere under another operator."""
    generator = Generator(float64_on(x.device))
    parts = []
    for number, block in enumerate(x.split(BLOCK)):
        reseed(generator, stream, seed, realisation, number)
        if isinstance(op, RandomMask):
            parts.append(deep_decoder.masked(op, block, generator))
        else:
            every = torch.ones_like(block[:, :1], dtype=torch.bool)
            parts.append((op(block, generator), every))
    y, keep = (torch.cat(part) for part in zip(*parts, strict=True))
    return y, keep


def width_for(op: Operator, train: Pictures, seed: int, device: torch.device) -> float:
    """The width of the Gaussian mean that is best on a training picture of each class."""
    x = to_float(train.per_class(1).images.to(device))
    return best_width(x, *drawn(op, x, seed, 0, "views"))


@dataclass(frozen=True, kw_only=True)
class Pixels(AskedInWords):
    """Restoring the picture first, then a clean classifier (Tables 7 and 8; lesson 12); or R's
    words, which need no labels.

    Args:
        operators: (pictures per class that are restored there, realisations). Restoring is slow: a
            Deep Decoder is fitted to each picture anew.
        decoder: the network that fills the holes of a mask, and how it is fitted.
    """

    decoder: DecoderRecipe
    name, lessons, apart = "pixels", ("12",), True
    tables = MappingProxyType({"pixels": "%.4f", "pixels_words": "%.4f"})

    @torch.no_grad()
    def measure(
        self,
        task: Task,
        teacher: Encoder,
        student: Encoder,
        probe: Probe,
        baseline: Classifier,
        clean_probe: Probe,
        train: Pictures,
        val: ImageSet,
    ) -> dict[str, pd.DataFrame]:
        """Every way from A(x) to a class, on the draws that `evaluate` scores under this seed.

        What is slow, the restorations, is done for the first pictures of each class only; all else
        is scored on all pictures, and on these once more. Student and baseline look at A(x), the
        teacher and its probe of clean pictures at everything else.

        Returns:
            pixels: a row for each method that the operator has, each realisation and either set of
            pictures: pictures (how many), method, realisation, top1, top5 (percent), psnr (dB, the
            mean over pictures; infinite for "intact", NaN without a picture).
            pixels_words: the same with R's words in the place of each probe; not the baseline.

        Raises:
            ValueError: the operator has no restoration.
        """
        op, (per_class, realisations) = parse(task.operator), self.operators[task.operator]
        ways, device = restorations(op, self.decoder), device_of([teacher])
        labels, x = val.labels.to(device), to_float(val.images.to(device))
        before = (labels[:, None] == labels).tril(-1).sum(dim=1)  # pictures of its class before it
        first = before < per_class
        width = width_for(op, train, task.seed, device)
        words, intact, rows, named = self.words(teacher, val), embedded(teacher, x), [], []
        for r in range(realisations):
            y, keep = drawn(op, x, task.seed, r)
            pictures = {"clip_clean": y, "gaussian": interpolated(y, keep, width)}
            near = {name: psnr(x, picture) for name, picture in pictures.items()}
            near["intact"] = psnr(x, x)
            of_student, of_baseline = embedded(student, y), embedded(baseline.encoder, y)
            seen = {name: embedded(teacher, z) for name, z in pictures.items()}
            seen["intact"] = intact
            logits = {"student": probe(of_student), "baseline": baseline.head(of_baseline)}
            logits |= {name: clean_probe(z) for name, z in seen.items()}
            spoken = {"student": words(of_student)} | {n: words(z) for n, z in seen.items()}
            if not first.all():
                rows += scored(r, logits, near, labels)
                named += scored(r, spoken, near, labels)
            logits, spoken, near = (
                {name: of[first] for name, of in d.items()} for d in (logits, spoken, near)
            )
            for name, way in ways.items():
                picture = way(y[first], keep[first], generator_of(task.seed, r))
                near[name], z = psnr(x[first], picture), embedded(teacher, picture)
                logits[name], spoken[name] = clean_probe(z), words(z)
            rows += scored(r, logits, near, labels[first])
            named += scored(r, spoken, near, labels[first])
        return {"pixels": pd.DataFrame(rows), "pixels_words": pd.DataFrame(named)}
