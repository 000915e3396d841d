"""Realisations: draws of a corruption that can be drawn again.

Realisation number r of a set is a function of (stream, seed, r) and of the images' places in the
set. It is drawn in blocks of 64 images, each from a generator of its own, so it is the same, bit
for bit, whatever the batches in which a model then looks at it, and any block can be drawn alone.
A CPU and a GPU draw different numbers.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from cinv_lib.data.image_files import ImageFiles, Pictures
from cinv_lib.data.image_set import ImageSet, to_float
from cinv_lib.data.views import generator_of, resized
from cinv_lib.encoders import inference
from cinv_lib.encoders.inference import device_of, preprocess_of, side_of
from cinv_lib.machine.hardware import decoders, resident
from cinv_lib.operators.base import Operator
from cinv_lib.operators.functional import float64_on

BLOCK = 64  # images drawn from one generator; another number means other draws
# The same seed must not give a probe's training views the draws that it is later scored on.
STREAMS = {"evaluation": 0, "views": 1}
Chunks = Iterator[tuple[int, UInt8[Tensor, "b 3 H W"]]]  # number of the first image, images
Draw = Callable[[Float[Tensor, "b 3 H W"], torch.Generator], Float[Tensor, "b 3 H W"]]
Asked = Sequence[tuple[Draw, int]]  # what is drawn, and the number of the realisation


def reseed(generator: torch.Generator, stream: str, seed: int, realisation: int, block: int):
    """Sets the generator to the start of one block's own sequence, and returns it."""
    if min(seed, realisation, block) < 0:
        raise ValueError(f"seed {seed}, realisation {realisation}: expected 0 or more")
    start = generator_of(STREAMS[stream], seed, realisation, block)
    return generator.manual_seed(start.initial_seed())


def draw_blocks(
    draw: Draw,
    x: Float[Tensor, "B 3 H W"],
    first: int,
    seed: int,
    realisation: int,
    stream: str = "evaluation",
    generator: torch.Generator | None = None,
) -> Iterator[Float[Tensor, "b 3 H W"]]:
    """`draw(block, generator)` for each block of `x`, whose first image is number `first`.

    Raises:
        ValueError: `first` is not the first image of a block.
    """
    if first % BLOCK:
        raise ValueError(f"first image {first}: expected a multiple of {BLOCK}, a block's start")
    generator = torch.Generator(float64_on(x.device)) if generator is None else generator
    for number, block in enumerate(x.split(BLOCK), start=first // BLOCK):
        yield draw(block, reseed(generator, stream, seed, realisation, number))


def repeated(draw: Draw, realisations: int) -> Asked:
    """So many realisations of one. Raises ValueError for less than one."""
    if realisations < 1:
        raise ValueError(f"realisations {realisations}: expected 1 or more")
    return [(draw, r) for r in range(realisations)]


def batches(
    asked: Asked,
    images: Pictures,
    seed: int,
    stream: str,
    batch_size: int,
    device: torch.device,
    side: int | None = None,
    crop: tuple[float, float] = (1.0, 1.0),
) -> Iterator[tuple[int, int, Float[Tensor, "b 3 H W"]]]:
    """(place in `asked`, number of the first image, batch) for all that is asked of every image.

    Images are decoded once for all of it. A batch is overwritten by a later one: the
    system need not find new memory for each, which would take longer than the copy.

    Args:
        side: pixels a side of what `draw` gets; None for the images' own.
        crop: of files, the share of the area that a random crop keeps. It is another one in each
            realisation, so they are then decoded for each number, and these come one by one.
    """
    here = float64_on(device)  # pictures of a Mac's GPU are drawn on the CPU
    generator, chunk = torch.Generator(here), BLOCK * max(1, batch_size // BLOCK)
    rounds: Iterable[tuple[Iterable[int], Chunks]] = [
        (range(len(asked)), _chunks(images, chunk, here))
    ]
    if isinstance(images, ImageFiles) and crop != (1.0, 1.0):
        numbers = [r for _, r in asked]
        rounds = (
            (
                [k for k, number in enumerate(numbers) if number == r],
                _cropped(images, chunk, seed, r, side, crop, here),
            )
            for r in dict.fromkeys(numbers)
        )
    for places, chunks in rounds:
        for first, pixels in chunks:
            clean = resized(to_float(pixels.to(here, non_blocking=True)), side)
            joined = torch.empty_like(clean)
            for k in places:
                draw, r = asked[k]
                blocks = list(draw_blocks(draw, clean, first, seed, r, stream, generator))
                x = blocks[0] if len(blocks) == 1 else torch.cat(blocks, out=joined)
                for at, batch in enumerate(x.split(batch_size)):
                    yield k, first + at * batch_size, batch.to(device)


def _chunks(images: Pictures, size: int, device: torch.device) -> Chunks:
    """(number of the first image, images), `size` at a time; of files the next are decoded while
    these are looked at."""
    starts = range(0, len(images), size)
    if not isinstance(images, ImageFiles):
        pool = resident(images.images, device)
        yield from ((first, pool[first : first + size]) for first in starts)
        return
    with ThreadPoolExecutor(1) as ahead:
        rows = torch.arange(len(images), device="cpu").split(size)
        coming = ahead.submit(images.decode, rows[0])
        for k, first in enumerate(starts):
            pixels = coming.result()
            if k + 1 < len(rows):
                coming = ahead.submit(images.decode, rows[k + 1])
            yield first, pixels


def _cropped(
    files: ImageFiles,
    size: int,
    seed: int,
    realisation: int,
    side: int | None,
    crop: tuple[float, float],
    device: torch.device,
) -> Chunks:
    """The same of a random crop of each picture, as training sees it."""
    rows, workers = torch.arange(len(files), device="cpu").split(size), decoders(device)
    loader = files.views(rows, None, seed, realisation, side or 224, crop, workers)
    yield from zip(range(0, len(files), size), loader, strict=True)


def corrupted(
    op: Operator,
    images: ImageSet,
    seed: int,
    realisation: int,
    device: torch.device | str | None = None,
) -> Iterator[Float[Tensor, "b 3 H W"]]:
    """One realisation of a whole set: blocks of up to 64 corrupted images, float, in order.

    device: where to draw; None for where the images are.

    >>> from cinv_lib.data.catalogue import load
    >>> from cinv_lib.operators import parse
    >>> first, *_ = corrupted(parse("mask:0.9"), load("digits", "val", 7), seed=0, realisation=3)
    >>> first.shape
    torch.Size([64, 3, 64, 64])
    """
    device = images.images.device if device is None else torch.device(device)
    for first in range(0, len(images), BLOCK):
        x = to_float(images.images[first : first + BLOCK].to(device))
        yield from draw_blocks(op, x, first, seed, realisation)


def embeddings(
    encoders: Sequence[Callable],
    images: Pictures,
    asked: Asked,
    seed: int = 0,
    stream: str = "evaluation",
    crop: tuple[float, float] = (1.0, 1.0),
    batch_size: int = 256,
    precision: str = "auto",
    device: torch.device | str | None = None,
) -> Generator[tuple[int, int, list[Float[Tensor, "b d"]]], None, None]:
    """(place in `asked`, number of the first image, embeddings by each encoder) for every batch.

    Scores, probes and ablations all get their embeddings here: on the first encoder's device (or on
    `device`), of pictures of the size that the encoder takes (own files as its `preprocess_cfg`
    says), from encoders in eval mode. Under the same stream and seed they all see the same draws.
    See `batches` and `inference.forward`.

    Raises:
        ValueError: no images, nothing asked, `batch_size` below 1, an unknown precision.
    """
    if len(images) == 0:
        raise ValueError(f"{images.name} is empty: it has no picture to embed")
    if not asked or batch_size < 1:
        raise ValueError(f"{len(asked)} draws, batch_size {batch_size}: expected 1 or more")
    if precision not in ("auto", "bf16", "fp32"):
        raise ValueError(f"precision {precision!r}: expected auto, bf16 or fp32")
    device = device_of(encoders) if device is None else torch.device(device)
    side, images = side_of(encoders), images.seen_as(preprocess_of(encoders))
    drawn = batches(asked, images, seed, stream, batch_size, device, side, crop)
    return inference.forward(encoders, drawn, device, precision)


def realised(
    encoder: Callable, images: Pictures, draw: Draw, realisations: int, seed: int = 0, **settings
) -> Float[Tensor, "R N d"]:
    """The `embeddings` of one encoder, under the same settings, in one tensor."""
    return realised_by([encoder], images, draw, realisations, seed, **settings)[0]


def realised_by(
    encoders: Sequence[Callable],
    images: Pictures,
    draw: Draw,
    realisations: int,
    seed: int = 0,
    **settings,
) -> list[Float[Tensor, "R N _"]]:
    """`realised` of several encoders that take the same pictures, decoded and drawn once for all:
    the same numbers. All are in memory together."""
    return realised_each(encoders, images, repeated(draw, realisations), seed, **settings)


def realised_each(
    encoders: Sequence[Callable], images: Pictures, asked: Asked, seed: int = 0, **settings
) -> list[Float[Tensor, "A N _"]]:
    """The same of whatever is asked, in its order: of several operators, pictures are decoded once
    for all."""
    made: list[Tensor] = []  # until the first batch shows how long embeddings are
    with closing(embeddings(encoders, images, asked, seed, **settings)) as found:
        for k, first, by_encoder in found:
            made = made or [
                rows.new_empty(len(asked), len(images), rows.shape[1]) for rows in by_encoder
            ]
            for whole, rows in zip(made, by_encoder, strict=True):
                whole[k, first : first + len(rows)] = rows
    return made
