"""What a training step looks at: pictures in memory, files that other processes decode ahead, or
shards.

A step asks once for a view of its pictures, and shows it to R and S both: so a picture is decoded
once an epoch. Which view a picture gives is a function of (seed, epoch, picture) and of the step's
generator, whichever process decodes it and wherever a resumed training begins.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from cinv_lib.data import reading
from cinv_lib.data.epoch import Loader
from cinv_lib.data.image_files import ImageFiles, Pictures
from cinv_lib.data.image_set import ImageSet, Labelled, to_float
from cinv_lib.data.pairs import Pairs
from cinv_lib.data.shards import Shards
from cinv_lib.data.turns import STRIDE, Turns
from cinv_lib.data.views import generator_of, random_crop, random_flip, resized
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.encoders.inference import preprocess_of
from cinv_lib.machine import hardware
from cinv_lib.operators.base import Operator, one_by_one
from cinv_lib.training.order import Order
from cinv_lib.training.recipe import Recipe

Views = Callable[[Sequence[Tensor], int, int, bool], Loader]


@runtime_checkable
class Ahead(Protocol):
    """What has to know which pictures come next, as it fetches them ahead of the steps."""

    def begin(self, epoch: int, batches: Sequence[Int64[Tensor, "_"]]) -> None:
        """These batches come, in this order: an epoch of this process, or what is left of one."""

    def waited(self) -> float:
        """Seconds since the last call in which there was nothing to compute with."""


class Feed:
    """What all feeds have in common. order: which pictures each step takes, where the feed says."""

    order: Order | None = None

    def ruined(
        self,
        op: Operator,
        x: Float[Tensor, "b 3 S S"],
        indices: Int64[Tensor, " b"],
        generator: torch.Generator,
    ) -> Float[Tensor, "b 3 S S"]:
        """What S sees of the view x of these pictures."""
        return op(x, generator)


class Resident(Feed):
    """Pictures or pairs in memory, on the device if they fit there: nothing is fetched ahead.

    side: pixels a side of the views; None for the pictures' own.
    """

    ahead = None

    def __init__(
        self, images: ImageSet | Pairs, side: int | None, recipe: Recipe, device: torch.device
    ):
        self.pool = hardware.resident(images.images, device)
        self.side, self.recipe = side, recipe

    def view(
        self, indices: Int64[Tensor, " b"], generator: torch.Generator
    ) -> Float[Tensor, "b C S S"]:
        """A random view of these pictures, in [0, 1], on the generator's device; of pairs in six
        channels, the clean picture and the ruined one."""
        batch = self.pool.index_select(0, indices.to(self.pool.device))
        x = to_float(batch.to(generator.device, non_blocking=True))
        if self.recipe.crop != (1.0, 1.0):
            x = random_crop(x, generator, scale=self.recipe.crop, size=self.side)
        else:
            x = resized(x, self.side)
        return random_flip(x, generator) if self.recipe.flip else x


class Decoded(Feed):
    """Pictures that `hardware.decoders` decode ahead: `loop.run` says which batches come.

    Their crops are cut from the whole picture, as RandomResizedCrop does (App. D.1); with the crop
    (1, 1) they are the centre that evaluation sees.

    views: the loader of some batches of an epoch; with how many workers, and whether pinned.
    flip: whether half of what it gives are to be mirrored.
    """

    def __init__(self, name: str, views: Views, flip: bool, device: torch.device):
        self.name, self.views, self.flip = name, views, flip
        self.device, self.clock = device, Idle(device)
        self.coming: Iterator[tuple[Tensor, Tensor]] = iter(())

    @property
    def ahead(self) -> "Decoded":
        return self

    def begin(self, epoch: int, batches: Sequence[Int64[Tensor, "_"]]) -> None:
        """Start to decode these batches, in this order."""
        workers, pin = hardware.decoders(self.device), self.device.type == "cuda"
        self.coming = zip(batches, self.views(batches, epoch, workers, pin), strict=True)

    def view(
        self, indices: Int64[Tensor, " b"], generator: torch.Generator
    ) -> Float[Tensor, "b C S S"]:
        """A random view of these pictures, which have to be the next that `begin` announced.

        Raises ValueError where they are not.
        """
        with self.clock:
            announced, batch = next(self.coming, (None, None))
        if announced is None or not torch.equal(announced, indices):
            raise ValueError(
                f"{self.name}: pictures {indices.tolist()[:4]}... asked for; expected the "
                f"next batch that `begin` was told of: pass this as `ahead` to loop.run"
            )
        x = to_float(batch.to(generator.device, non_blocking=True))
        return random_flip(x, generator) if self.flip else x

    def waited(self) -> float:
        """Seconds since the last call in which the device had nothing to do, for want of data."""
        return self.clock.read()


class Streamed(Decoded):
    """Pictures of shards, of which crop, flip and corruption are functions of (seed, epoch, number
    of the picture), whatever stands beside it in a batch. A warning says what is left out."""

    def __init__(
        self,
        shards: Shards,
        side: int,
        recipe: Recipe,
        seed: int,
        device: torch.device,
        rank: int = 0,
        ranks: int = 1,
    ):
        def views(batches: Sequence[Tensor], epoch: int, workers: int, pin: bool) -> Loader:
            return shards.views(batches, seed, epoch, side, recipe.crop, recipe.flip, workers, pin)

        super().__init__(shards.name, views, False, device)
        self.seed, self.epoch = seed, 0
        turns = Turns(
            shards.lengths, shards.window, recipe.batch_size, seed, recipe.epochs, rank, ranks
        )
        self.order = turns
        if rank == 0 and turns.left:
            reading.warn([turns.said(shards.name)])

    def begin(self, epoch: int, batches: Sequence[Int64[Tensor, "_"]]) -> None:
        """Start to read and decode these batches, in this order."""
        self.epoch = epoch
        super().begin(epoch, batches)

    def ruined(
        self,
        op: Operator,
        x: Float[Tensor, "b 3 S S"],
        indices: Int64[Tensor, " b"],
        generator: torch.Generator,
    ) -> Float[Tensor, "b 3 S S"]:
        """What S sees of the view x of these pictures, each by a generator of its own."""

        def own(number: int) -> torch.Generator:
            key = (self.seed, self.epoch, *divmod(number, STRIDE), 1)
            return generator.manual_seed(generator_of(*key).initial_seed())

        return one_by_one(op, x, map(own, indices.tolist()))


class Idle:
    """Adds up how long a device has nothing to do within `with` blocks.

    A GPU works on what was asked of it before: it idles only from the end of that to the end of the
    block. Two events in its own queue, before and after, are just so far apart.
    """

    def __init__(self, device: torch.device):
        self.cuda, self.seconds = device.type == "cuda", 0.0
        self.events: list[tuple] = []

    def __enter__(self) -> None:
        self.start = self._now()

    def __exit__(self, *_: object) -> None:
        if self.cuda:
            self.events.append((self.start, self._now()))
        else:
            self.seconds += self._now() - self.start

    def _now(self):
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def read(self) -> float:
        """Seconds since the last reading. What the GPU was asked before has to be done by now."""
        total = self.seconds + sum(a.elapsed_time(b) for a, b in self.events) / 1000
        self.seconds, self.events = 0.0, []
        return total


Shown = TypeVar("Shown", bound=Labelled | Shards)


def shown(images: Shown, encoder: Encoder) -> Shown:
    """Pictures as this encoder takes them: a reader's own files as its `preprocess_cfg` says, and
    without those that cannot be read. Others stay as they are."""
    preprocess = preprocess_of([encoder])
    return images.readable(preprocess).seen_as(preprocess)  # type: ignore[return-value]


def of(
    images: Pictures | Pairs | Shards, side: int, recipe: Recipe, seed: int, device: torch.device
) -> Resident | Decoded:
    """The feed of some pictures, `side` pixels a side, for a training with this recipe and seed.

    Raises ValueError for shards of which some process would have none, or too few pictures.
    """
    if isinstance(images, Shards):
        place = hardware.accelerator()
        rank, ranks = place.process_index, place.num_processes
        return Streamed(images, side, recipe, seed, device, rank, ranks)
    if isinstance(images.clean if isinstance(images, Pairs) else images, ImageSet):
        return Resident(images, side, recipe, device)  # type: ignore[arg-type]  # pairs of such too
    files: ImageFiles | Pairs = images  # type: ignore[assignment]

    def views(batches: Sequence[Tensor], epoch: int, workers: int, pin: bool) -> Loader:
        return files.views(batches, None, seed, epoch, side, recipe.crop, workers, pin)

    return Decoded(files.name, views, recipe.flip, device)
