"""A restoration that is learned, as a control for Tables 7 and 8 (ours; lesson 12).

The student learns from pairs of a picture and its ruin. Here a U-Net learns from the same pairs to
restore the picture, and R looks at what it restored: by a probe of clean pictures, and in words.
"""

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from cinv_lib.data.image_files import Pictures
from cinv_lib.data.image_set import ImageSet, to_float
from cinv_lib.encoders import weight_files
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.encoders.inference import device_of, embedded
from cinv_lib.evaluation.probe import Probe
from cinv_lib.experiments.base import AskedInWords, Task
from cinv_lib.experiments.methods import full
from cinv_lib.experiments.pixels import drawn, scored, width_for
from cinv_lib.experiments.trainings import CHECKPOINT, Trained, keep_training
from cinv_lib.machine import hardware
from cinv_lib.operators.basic import parse
from cinv_lib.operators.inverse.interpolation import interpolated
from cinv_lib.operators.inverse.nonlocal_means import psnr
from cinv_lib.training.restoration import UNet, restore

BATCH = 256  # pictures restored at once
WAYS = {  # what R is shown -> the method by its clean probe, and in its words
    "seen": ("clip_clean", "clip_zero_shot"),
    "gaussian": ("gaussian", "gaussian_words"),
    "restored": ("restored", "restored_words"),
    "intact": ("intact", "intact_words"),
}
METHODS = full("student", "zero_shot") | {
    "clip_clean": "The corrupted picture as it is",
    "clip_zero_shot": "The corrupted picture as it is, in words",
    "gaussian": "A Gaussian mean of the known pixels",
    "gaussian_words": "A Gaussian mean of the known pixels, in words",
    "restored": "A U-Net that learned to restore",
    "restored_words": "A U-Net that learned to restore, in words",
    "intact": "The intact picture",
    "intact_words": "The intact picture, in words",
}


@dataclass(frozen=True, kw_only=True)
class Restoration(Trained):
    """A U-Net that learns x from A(x), without labels and without R (lesson 12)."""

    losses: tuple[str, ...] = ()
    name: ClassVar[str] = "restoration"

    def build(self, folder: Path, task: Task, train: Pictures) -> None:
        op, device = parse(task.operator), hardware.accelerator().device
        width = width_for(op, train, task.seed, device)
        recipe, checkpoint = self.recipe_at(task.operator), folder / CHECKPOINT
        unet, history = restore(train, op, recipe, task.seed, width, checkpoint)
        weight_files.write(unet.state_dict(), folder / "unet.safetensors", torch.float32)
        keep_training(folder, history)

    def load(self, folder: Path) -> UNet:
        return UNet.from_state(weight_files.read(folder / "unet.safetensors")).eval()


@dataclass(frozen=True, kw_only=True)
class Restored(AskedInWords):
    """The student beside a U-Net whose pictures R looks at (lesson 12).

    Args:
        realisations: draws of the corruption of all validation pictures, the first that `evaluate`
            scores.
    """

    realisations: int
    name, lessons, apart = "restored", ("12",), True
    tables = MappingProxyType({"restored": "%.4f"})

    @torch.no_grad()
    def measure(
        self,
        task: Task,
        restoration: UNet,
        student: Encoder,
        probe: Probe,
        clean_probe: Probe,
        teacher: Encoder,
        train: Pictures,
        val: ImageSet,
    ) -> dict[str, pd.DataFrame]:
        """Every way from A(x) to a class, with and without words.

        Student and its heads look at A(x). R looks at A(x), at its Gaussian mean, at what the U-Net
        makes of it and at the intact picture, by its probe of clean pictures and by its words.

        Returns:
            restored: a row for each of METHODS and each realisation: pictures (how many), method,
            realisation, top1, top5 (percent), psnr (dB, the mean over pictures, of what R is shown;
            infinite for the intact one, NaN for the student's methods).
        """
        op, device = parse(task.operator), device_of([teacher])
        labels, x = val.labels.to(device), to_float(val.images.to(device))
        width, words = width_for(op, train, task.seed, device), self.words(teacher, val)
        rows, intact = [], embedded(teacher, x)  # which no draw changes
        for r in range(self.realisations):
            y, keep = drawn(op, x, task.seed, r)
            shown = {"seen": y, "gaussian": interpolated(y, keep, width)}
            shown |= {"restored": restored(restoration, y), "intact": x}
            seen_by_S = embedded(student, y)
            logits, near = {"student": probe(seen_by_S), "zero_shot": words(seen_by_S)}, {}
            for way, methods in WAYS.items():
                seen_by_R = intact if way == "intact" else embedded(teacher, shown[way])
                logits |= zip(methods, (clean_probe(seen_by_R), words(seen_by_R)), strict=True)
                near |= dict.fromkeys(methods, psnr(x, shown[way]))
            rows += scored(r, logits, near, labels)
        return {"restored": pd.DataFrame(rows)}


@torch.no_grad()
def restored(unet: UNet, y: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N 3 H W"]:
    """What a U-Net makes of any number of pictures, in float32."""
    how = hardware.layout(y.device)
    with hardware.convolutions(exact=True):
        parts = [unet(part.contiguous(memory_format=how)) for part in y.split(BATCH)]
    return torch.cat(parts)
