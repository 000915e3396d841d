"""Which pictures each step of a training looks at."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

from jaxtyping import Int64
from torch import Tensor

from cinv_lib.data.views import epoch_order
from cinv_lib.training.recipe import Recipe


@runtime_checkable
class Order(Protocol):
    """The pictures of a training, for one process of several; `data.turns.Turns` is another."""

    @property
    def steps(self) -> int:
        """Steps in an epoch: every process takes as many."""

    @property
    def taken(self) -> int:
        """Pictures that all processes together take in an epoch."""

    def of(self, epoch: int) -> Sequence[Int64[Tensor, "_"]]:
        """The pictures of this process in each step of an epoch."""


@dataclass(frozen=True)
class Shuffled:
    """Each picture once an epoch, in a new order that the seed decides, in batches that differ by
    one picture at most.

    Raises ValueError for fewer pictures than a batch or a process has to have; see `loop.run`.
    """

    taken: int
    recipe: Recipe
    seed: int
    rank: int
    ranks: int
    least: int

    def __post_init__(self):
        n, size = self.taken, self.recipe.batch_size
        if self.least > 1 and min(n, size) < self.least:
            raise ValueError(
                f"{n} images in batches of at most {size} have fewer than {self.least} in a batch, "
                "and this loss compares the images of a batch with each other: give more images, "
                f"or a Recipe.batch_size of {self.least} or more"
            )
        if n < max(1, self.steps) * self.ranks:
            raise ValueError(
                f"{n} images in {self.steps} batches leave some of the {self.ranks} processes "
                "without an image. Give more images, fewer processes, or a Recipe.batch_size over "
                f"{size}."
            )

    @cached_property
    def steps(self) -> int:
        """The number of batches in an epoch, each with `least` images."""
        return min(math.ceil(self.taken / self.recipe.batch_size), self.taken // self.least)

    def of(self, epoch: int) -> Sequence[Int64[Tensor, "_"]]:
        """This process's share of each batch; every process takes equally many of it."""
        batches = epoch_order(self.taken, self.seed, epoch).tensor_split(self.steps)
        rank, ranks = self.rank, self.ranks
        return [batch[: len(batch) // ranks * ranks][rank::ranks] for batch in batches]
