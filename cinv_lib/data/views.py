"""Random views of pictures, in batches on the device, and the order of an epoch.

Randomness comes from an explicit generator, or from a key of whole numbers such as (seed, epoch).
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor


def random_crop(
    x: Float[Tensor, "B C H W"],
    generator: torch.Generator,
    scale: tuple[float, float],
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    size: int | None = None,
) -> Float[Tensor, "B C S T"]:
    """RandomResizedCrop for a whole batch: a box of each picture, resized to `size` x `size`
    pixels, or to the picture's own size.

    Boxes are those of torchvision: a share of the area drawn from `scale`, an aspect ratio drawn
    log-uniformly from `ratio`, and whole pixels. The first of ten attempts that fits is taken, or
    else the largest centred box. Resizing is bilinear, in one call for the batch. The scale (1, 1)
    takes the pictures whole.
    Raises ValueError unless 0 < scale[0] <= scale[1] <= 1 and 0 < ratio[0] <= ratio[1].
    """
    if not (0 < scale[0] <= scale[1] <= 1 and 0 < ratio[0] <= ratio[1]):
        raise ValueError(
            f"crop scale {scale}, ratio {ratio} out of range; expected 0 < low <= high, scale at "
            f"most 1, as (0.35, 1.0)"
        )
    if scale == (1.0, 1.0):
        return resized(x, size)
    height, width = x.shape[-2:]
    sides = (width, height) if size is None else (size, size)
    left, top, w, h = crop_boxes(len(x), height, width, generator, scale, ratio).unbind(1)
    # Output pixel -> place in the input, both in grid_sample's frame of -1 .. 1. Boxes are upright,
    # so rows and columns are found on their own: affine_grid takes longer than the sampling.
    across, down = ((2 * torch.arange(side, device="cpu") + 1) / side for side in sides)
    columns = (w[:, None] * across + 2 * left[:, None]) / width - 1
    rows = (h[:, None] * down + 2 * top[:, None]) / height - 1
    pairs = torch.broadcast_tensors(columns.to(x)[:, None, :], rows.to(x)[:, :, None])
    grid = torch.stack(pairs, dim=-1)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def resized(x: Float[Tensor, "B C H W"], size: int | None) -> Float[Tensor, "B C S T"]:
    """Square pictures at `size` x `size` pixels, bilinear and antialiased as PIL does it. None or
    their own size leaves them as they are. Raises ValueError for pictures that are not square."""
    if size is None or x.shape[-2:] == (size, size):
        return x
    if x.shape[-2] != x.shape[-1]:
        raise ValueError(
            f"pictures are {x.shape[-2]} x {x.shape[-1]} pixels; expected square ones to resize to "
            f"{size} x {size}: cut them first"
        )
    return F.interpolate(x, [size, size], mode="bilinear", antialias=True, align_corners=False)


def crop_boxes(
    n: int,
    height: int,
    width: int,
    generator: torch.Generator,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Float[Tensor, "n 4"]:
    """n boxes (left, top, width, height) in whole pixels, on the CPU; see random_crop."""
    u = torch.rand(n, 22, generator=generator, device=generator.device).cpu().double()
    area = height * width * (scale[0] + (scale[1] - scale[0]) * u[:, :10])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = torch.exp(low + (high - low) * u[:, 10:20])
    w, h = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    fits = (w >= 1) & (w <= width) & (h >= 1) & (h <= height)
    first = fits.int().argmax(dim=1, keepdim=True)
    w, h, found = (t.gather(1, first)[:, 0] for t in (w, h, fits))
    left = (u[:, 20] * (width - w + 1)).floor()
    top = (u[:, 21] * (height - h + 1)).floor()
    wide, tall = min(width, round(height * ratio[1])), min(height, round(width / ratio[0]))
    centred = torch.tensor(
        [(width - wide) // 2, (height - tall) // 2, wide, tall], device="cpu"
    ).double()
    return torch.where(found[:, None], torch.stack([left, top, w, h], 1), centred).float()


def random_flip(
    x: Float[Tensor, "B C H W"], generator: torch.Generator
) -> Float[Tensor, "B C H W"]:
    """Mirror each picture left to right with probability one half."""
    flip = torch.rand(len(x), generator=generator, device=generator.device) < 0.5
    return torch.where(flip.to(x.device)[:, None, None, None], x.flip(-1), x)


def epoch_order(n: int, seed: int, epoch: int) -> Int64[Tensor, " n"]:
    """The order in which epoch `epoch` takes n pictures: a permutation, a function of all three."""
    return torch.randperm(n, generator=generator_of(seed, epoch), device="cpu")


def generator_of(*key: int) -> torch.Generator:
    """A CPU generator from a key of whole numbers; different keys give unrelated streams."""
    word = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(word >> np.uint64(1)))
