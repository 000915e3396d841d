"""Unlabelled pictures in tar shards, local or at any URL: more of them than a disk holds.

They are read as they are trained on, and nothing is kept. The numbers of the pictures, and so the
order, the crops and the corruptions, are known before the first of them has come.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlparse

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from cinv_lib.data import decoding, tars
from cinv_lib.data.epoch import Loader, cut
from cinv_lib.data.preprocess import Preprocess
from cinv_lib.data.turns import BESIDE, STRIDE
from cinv_lib.data.views import generator_of

TOGETHER = 64  # pictures that a shard's reader fetches ahead


@dataclass(frozen=True)
class Shards:
    """A stream of pictures in tar shards, for `distill`: without labels, of any size and mode.

    A picture has the number (shard, place in the shard). Its crop, its flip and its corruption are
    functions of (seed, epoch, number). An epoch permutes the shards; of `ranks` processes, process
    r reads shards r, r + ranks, ... of the permutation, four side by side, and shuffles `window`
    pictures at a time. All processes take the same number of whole batches; what is over is left
    out of that epoch, and a warning counts it. Neither order nor draws depend on the number of
    workers, and a resumed training gives the weights of an unbroken one, for as many processes.

    Args:
        urls: one text with braces, "pics-{0000..0099}.tar", or a sequence of paths and URLs. Those
            of http, https, ftps, sftp, scp (by curl), hf and gs are opened by webdataset.
        pictures: how many there are: altogether, if all shards have as many, or of each shard.
            `counted` finds them. Of a shard that has more, the rest is not read.
        window: pictures that are shuffled together. Twice as many are in memory as files, 0.1 MB
            each, so write shards in a random order rather than raise it.
        preprocess: how whole pictures are seen; `distill` takes the teacher's.

    Raises ValueError for numbers that do not fit, two shards of one address or one that cannot be
    opened, as `pipe:`; FileNotFoundError for a file that is absent. While it trains, errors name
    the shard and the picture.
    """

    urls: str | Path | Sequence[str | Path]
    pictures: int | Sequence[int]
    window: int = 4096
    preprocess: Preprocess = field(default_factory=Preprocess)
    shards: tuple[str, ...] = field(init=False, repr=False)
    lengths: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self):
        shards = tuple(map(tars.address, _expanded(self.urls)))
        if twice := [shard for shard, n in Counter(shards).items() if n > 1]:
            raise ValueError(f"shard {twice[0]} comes twice; expected each once")
        if self.window < 1:
            raise ValueError(f"window {self.window}; expected 1 picture or more, as 4096")
        object.__setattr__(self, "shards", shards)
        object.__setattr__(self, "lengths", _lengths(self.pictures, len(shards)))

    @classmethod
    def counted(cls, urls: str | Path | Sequence[str | Path], window: int = 4096) -> "Shards":
        """The stream with the number of pictures that each shard has, which is counted now.

        Of files the heads are read, in a minute for a million pictures; URLs are fetched whole.
        Raises as `Shards` does, OSError or ValueError for a shard that cannot be read.
        """
        shards = [tars.address(url) for url in _expanded(urls)]
        with ThreadPoolExecutor(BESIDE) as pool:
            found = list(tqdm(pool.map(tars.count, shards), "counting", len(shards), leave=False))
        return cls(shards, found, window)

    def __len__(self) -> int:
        return sum(self.lengths)

    @property
    def name(self) -> str:
        """What errors and checkpoints call it: the first shard, and how many more there are."""
        first = os.path.basename(urlparse(self.shards[0]).path)
        return first if len(self.shards) == 1 else f"{first} and {len(self.shards) - 1} more"

    @property
    def fingerprint(self) -> str:
        """Names and lengths of the shards, wherever they lie: all that the order follows from."""
        names = [os.path.basename(urlparse(shard).path) for shard in self.shards]
        return hashlib.sha256(repr((names, self.lengths, self.window)).encode()).hexdigest()[:12]

    def expect_classes(self, purpose: str) -> None:
        """Raises ValueError: a stream has no labels."""
        raise ValueError(
            f"{self.name}: a stream of shards has no labels; expected ImageFiles or an ImageSet to "
            f"{purpose}"
        )

    def readable(self, preprocess: Preprocess | None = None, progress: bool = True) -> "Shards":
        """The stream as it is: what cannot be read is found when its turn comes."""
        return self

    def seen_as(self, preprocess: Preprocess | None) -> "Shards":
        """The pictures as an encoder's training saw such."""
        return self if preprocess is None else replace(self, preprocess=preprocess)

    def views(
        self,
        batches: Sequence[Int64[Tensor, "_"]],
        seed: int,
        epoch: int,
        size: int = 224,
        scale: tuple[float, float] = (0.08, 1.0),
        flip: bool = False,
        workers: int = 0,
        pin: bool = False,
    ) -> Loader:
        """Random resized crops of an epoch, uint8 (B, 3, size, size), batch by batch.

        Args:
            batches: numbers of pictures, `Turns.of` an epoch, or what is left of it.
            scale: share of the area that is kept; (1, 1) for the whole picture as evaluation sees
                it.
            flip: whether half of them are mirrored.
            workers: processes that decode; this one reads the shards, in threads.
        """
        seen = _Views(self, seed, epoch, size, scale, flip)
        return Loader(seen, _Read(self.shards, batches), workers, pin)


class _Encoded(NamedTuple):
    """A picture as it is in its shard."""

    number: int
    name: str
    data: bytes


class _Views(Dataset):
    """From encoded pictures to their views: what a worker does."""

    def __init__(
        self, shards: Shards, seed: int, epoch: int, size: int, scale: tuple, flip: bool
    ) -> None:
        self.shards, self.preprocess = shards.shards, shards.preprocess.at(size)
        self.seed, self.epoch, self.size, self.scale, self.flip = seed, epoch, size, scale, flip

    def __getitem__(self, one: _Encoded) -> UInt8[Tensor, "3 S S"]:
        shard, place = divmod(one.number, STRIDE)
        try:
            picture = decoding.from_bytes(one.name, one.data)
        except ValueError as e:
            raise ValueError(
                f"shard {self.shards[shard]}, picture {place}: {e}. Put another picture in its "
                "place, and the training goes on from its checkpoint"
            ) from e
        generator = generator_of(self.seed, self.epoch, shard, place)
        (seen,) = cut([picture], generator, self.size, self.scale, self.preprocess)
        x = decoding.tensor(seen)
        mirrored = self.flip and bool(torch.rand((), generator=generator, device="cpu") < 0.5)
        return x.flip(-1) if mirrored else x


class _Read:
    """The encoded pictures of some batches, each shard read once and forwards.

    It stands where a loader expects its sampler: so this process alone reads, and hands the bytes
    to whichever worker is next.
    """

    def __init__(self, shards: tuple[str, ...], batches: Sequence[Int64[Tensor, "_"]]):
        self.shards, self.batches = shards, batches

    def __iter__(self) -> Iterator[list[_Encoded]]:
        if not self.batches:
            return
        wanted = torch.cat(list(self.batches)).sort().values
        held: dict[int, _Encoded] = {}
        opened: dict[int, Iterator[_Encoded]] = {}
        with ThreadPoolExecutor(2 * BESIDE, "shard") as pool:
            for batch in self.batches:
                for number in batch.tolist():
                    shard = number // STRIDE
                    if shard not in opened:
                        ends = torch.tensor([shard, shard + 1], device="cpu") * STRIDE
                        start, end = torch.searchsorted(wanted, ends).tolist()
                        encoded = self._encoded(shard, wanted[start:end].tolist())
                        opened[shard] = _ahead(encoded, pool)
                    while number not in held:
                        one = next(opened[shard])
                        held[one.number] = one
                yield [held.pop(number) for number in batch.tolist()]

    def _encoded(self, shard: int, numbers: list[int]) -> Iterator[_Encoded]:
        found = tars.pictures(self.shards[shard], [n % STRIDE for n in numbers])
        yield from (_Encoded(n, *one) for n, one in zip(numbers, found, strict=True))


def _ahead(items: Iterator[_Encoded], pool: ThreadPoolExecutor) -> Iterator[_Encoded]:
    """The same items, fetched by a thread while the ones before are worked on."""

    def some() -> list[_Encoded]:
        return list(islice(items, TOGETHER))

    coming = pool.submit(some)
    while found := coming.result():
        coming = pool.submit(some)
        yield from found


def _expanded(urls: str | Path | Sequence[str | Path]) -> list[str]:
    """Texts with braces as many texts; a sequence as it is."""
    if not isinstance(urls, str):
        return [os.fspath(url) for url in ([urls] if isinstance(urls, Path) else urls)]
    return tars.expanded(urls)


def _lengths(pictures: int | Sequence[int], shards: int) -> tuple[int, ...]:
    """The pictures of each shard. Raises ValueError where that is not what was said."""
    if isinstance(pictures, int):
        if not shards or pictures < shards or pictures % shards:
            raise ValueError(
                f"{pictures:,} pictures in {shards} shards; expected as many in each, one at "
                "least: give pictures= the number of each shard, which Shards.counted finds"
            )
        return (pictures // shards,) * shards
    lengths = tuple(int(n) for n in pictures)
    if len(lengths) != shards or min(lengths, default=0) < 0 or not sum(lengths):
        raise ValueError(
            f"{len(lengths)} numbers of pictures for {shards} shards, the smallest "
            f"{min(lengths, default=0)}; expected one for each, 0 or more, and some picture"
        )
    return lengths
