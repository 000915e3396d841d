"""Missing pixels from their neighbours: a mean under a Gaussian window."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cinv_lib.operators.functional import float64_on
from cinv_lib.operators.inverse.nonlocal_means import psnr

Keep = Bool[Tensor, "B 1 H W"]
AT_ONCE = 256  # pictures: in float64 at 224 px these take a gigabyte, and 5,000 of them 18
WIDTHS = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8)  # of the Gaussian, in pixels, half an octave apart


def interpolated(y: Float[Tensor, "B 3 H W"], keep: Keep, width: float) -> Float[Tensor, "B 3 H W"]:
    """Each pixel a mean of the known ones, weighted by a Gaussian of their distance.

    Normalised convolution (Knutsson and Westin, 1993): the humblest way to fill holes. Where all
    pixels are known it is a Gaussian blur that knows of no pixel outside the picture.

    Args:
        width: standard deviation of the Gaussian, in pixels; above 0.
    """
    parts = zip(y.split(AT_ONCE), keep.split(AT_ONCE), strict=True)
    return torch.cat([_interpolated(*part, width) for part in parts])


def _interpolated(y: Tensor, keep: Tensor, width: float) -> Tensor:
    here = float64_on(y.device)
    known, keep, seen = keep.to(here).double(), keep.to(here), y.to(here)
    rows, columns = (_weights(n, width, here) for n in y.shape[-2:])
    weights = rows @ known @ columns
    # far from every known pixel the weights are too small for a float64: black
    tiny = torch.finfo(weights.dtype).tiny
    filled = rows @ (seen.where(keep, 0) * known) @ columns / weights.clamp(min=tiny)
    return filled.to(y.dtype).to(y.device)


def best_width(x: Float[Tensor, "B 3 H W"], y: Float[Tensor, "B 3 H W"], keep: Keep) -> float:
    """The one of WIDTHS whose interpolation of y is nearest to x (mean PSNR)."""
    return max(WIDTHS, key=lambda width: psnr(x, interpolated(y, keep, width)).mean().item())


def _weights(n: int, width: float, device: torch.device) -> Float[Tensor, "n n"]:
    place = torch.arange(n, dtype=torch.float64, device=device)
    return torch.exp(-0.5 * ((place[:, None] - place) / width) ** 2)
