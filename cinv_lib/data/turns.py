"""Whose turn it is in a stream of shards: which process takes which picture in which step.

Everything follows from the lengths of the shards, the seed and the epoch, before a shard is opened.
So the order is the same for any number of workers, and a training that was stopped goes on in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Int64
from torch import Tensor

from cinv_lib.data.views import generator_of

BESIDE = 4  # shards that a process reads side by side, a picture of each in turn
STRIDE = 2**32  # picture `place` of shard `shard` has the number shard * STRIDE + place


@dataclass(frozen=True)
class Turns:
    """The steps of each epoch of one process among `ranks`.

    An epoch permutes the shards; process r takes shards r, r + ranks, ... of the permutation, four
    side by side, a picture of each in turn. Of this sequence each `window` of pictures is shuffled,
    and cut into batches. All processes take equally many steps, in all epochs: as many whole
    batches as the one with the fewest pictures has in any epoch. What is over is left out of that
    epoch.

    Args:
        lengths: pictures of each shard.
        batch_size: pictures of a step, of all processes together; each takes an equal share.
        epochs: of the whole training.

    Raises ValueError for fewer shards than processes, or fewer pictures than a step takes.
    """

    lengths: tuple[int, ...]
    window: int
    batch_size: int
    seed: int
    epochs: int
    rank: int = 0
    ranks: int = 1

    def __post_init__(self):
        shards, each = len(self.lengths), self.batch_size // self.ranks
        if shards < self.ranks or each < 1:
            raise ValueError(
                f"{shards} shards and batches of {self.batch_size} for {self.ranks} processes; "
                "expected a shard and a picture of each batch for every process: write more, "
                "smaller shards, or start fewer processes"
            )
        if self.steps < 1:
            raise ValueError(
                f"a process has {self._fewest} pictures in some epoch; expected {each} or more, a "
                f"batch's share: write shards of equal length, or lower Recipe.batch_size "
                f"({self.batch_size})"
            )

    @cached_property
    def _fewest(self) -> int:
        """Pictures of the process that has the fewest in the epoch in which it has the fewest."""
        lengths = torch.tensor(self.lengths, dtype=torch.int64, device="cpu")
        return min(
            int(lengths[self._shards(epoch, rank)].sum())
            for epoch in range(self.epochs)
            for rank in range(self.ranks)
        )

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        return self._fewest // (self.batch_size // self.ranks)

    @property
    def taken(self) -> int:
        """Pictures that all processes together take in an epoch."""
        return self.steps * (self.batch_size // self.ranks) * self.ranks

    def of(self, epoch: int) -> Sequence[Int64[Tensor, "_"]]:
        """The numbers of the pictures of this process, a row for each step of an epoch."""
        each = self.batch_size // self.ranks
        return self.order(epoch)[: self.steps * each].split(each)

    @property
    def left(self) -> int:
        """Pictures that no process takes in an epoch."""
        return sum(self.lengths) - self.taken

    def said(self, name: str) -> str:
        """One sentence on the pictures that are left out."""
        return (
            f"{name}: each epoch takes {self.taken:,} of {sum(self.lengths):,} pictures, in "
            f"{self.steps:,} steps of {self.taken // self.steps}. The other {self.left:,} are left "
            "out, other ones in each epoch, so that all batches are whole and every process takes "
            "as many steps"
        )

    def order(self, epoch: int) -> Int64[Tensor, " n"]:
        """The numbers of all pictures of this process's shards, in the order of an epoch."""
        found = []
        for some in self._shards(epoch, self.rank).split(BESIDE):
            places = [torch.arange(self.lengths[s], device="cpu") for s in some.tolist()]
            numbers = [s * STRIDE + p for s, p in zip(some.tolist(), places, strict=True)]
            found.append(torch.cat(numbers)[torch.cat(places).argsort(stable=True)])
        generator = generator_of(self.seed, epoch, self.rank + 1)

        def shuffled(part: Tensor) -> Tensor:
            return part[torch.randperm(len(part), generator=generator, device="cpu")]

        return torch.cat([shuffled(part) for part in torch.cat(found).split(self.window)])

    def _shards(self, epoch: int, rank: int) -> Int64[Tensor, " s"]:
        generator = generator_of(self.seed, epoch)
        order = torch.randperm(len(self.lengths), generator=generator, device="cpu")
        return order[rank :: self.ranks]
