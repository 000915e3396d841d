"""How to train: the settings of one training, checked when they are written down."""

import math
from dataclasses import dataclass

from cinv_lib.machine.checks import expect


@dataclass(frozen=True)
class Recipe:
    """How to train. An epoch is cut into equal batches of at most `batch_size` images; where
    batches of two leave one image over that a loss could not compare, one batch has three.

    Args:
        epochs: how often each picture is seen.
        lr: Adam's learning rate at the first step; it falls along a cosine to 0.
        weight_decay: L2 on all weights; the authors' code has none.
        crop: the range of the area that a RandomResizedCrop keeps, (1, 1) for no crop.
        flip: whether half of the views are mirror images.
        precision: of the networks: "fp32", "bf16" or "auto", bf16 where the hardware computes in it
            (see `hardware`).
    """

    epochs: int
    batch_size: int
    lr: float
    weight_decay: float = 0.0
    crop: tuple[float, float] = (1.0, 1.0)
    flip: bool = False
    precision: str = "auto"

    def __post_init__(self) -> None:
        low, high = self.crop
        expect(
            self,
            epochs=(self.epochs >= 1, "at least 1"),
            batch_size=(self.batch_size >= 1, "at least 1"),
            lr=(0 < self.lr < math.inf, "a positive number"),
            weight_decay=(0 <= self.weight_decay < math.inf, "0 or a positive number"),
            crop=(0 < low <= high <= 1, "(low, high) with 0 < low <= high <= 1"),
            precision=(self.precision in ("auto", "bf16", "fp32"), "auto, bf16 or fp32"),
        )
        object.__setattr__(self, "crop", (float(low), float(high)))  # equal ranges compare equal


def cosine(lr: float, step: int, steps: int) -> float:
    """The learning rate of `step` (from 0): lr at the first step, 0 after the last of `steps`."""
    return lr * 0.5 * (1.0 + math.cos(math.pi * step / steps))
