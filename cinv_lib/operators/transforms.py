"""The cosine transform of pictures, and what is made of it: compressed sensing and JPEG."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

# Quantisation at quality 50 (JPEG standard, Annex K): of brightness, and of the two colours.
BRIGHTNESS = """
    16 11 10 16  24  40  51  61   12 12 14 19  26  58  60  55
    14 13 16 24  40  57  69  56   14 17 22 29  51  87  80  62
    18 22 37 56  68 109 103  77   24 35 55 64  81 104 113  92
    49 64 78 87 103 121 120 101   72 92 95 98 112 100 103  99
"""
COLOUR = """
    17 18 24 47 99 99 99 99   18 21 26 66 99 99 99 99
    24 26 56 99 99 99 99 99   47 66 99 99 99 99 99 99
    99 99 99 99 99 99 99 99   99 99 99 99 99 99 99 99
    99 99 99 99 99 99 99 99   99 99 99 99 99 99 99 99
"""


def cosines(n: int) -> Float[Tensor, "n n"]:
    """The orthonormal cosine transform (DCT-II) of n numbers as a matrix; its transpose goes back.

    >>> cosines(2)
    tensor([[ 0.7071,  0.7071],
            [ 0.7071, -0.7071]], dtype=torch.float64)
    """
    k, i = (torch.arange(n, dtype=torch.float64, device="cpu") for _ in range(2))
    waves = torch.cos(math.pi / n * k[:, None] * (i + 0.5)) * math.sqrt(2 / n)
    waves[0] /= math.sqrt(2)
    return waves


def sense(
    x: Float[Tensor, "B C H W"], keep: Bool[Tensor, "B 1 H W"], signs: Float[Tensor, "B 1 H W"]
) -> Float[Tensor, "B C H W"]:
    """Measure the coefficients `keep` of an image whose pixels have these signs, and go back.

        A⁺A x = s ⊙ Dᵀ k ⊙ D (s ⊙ x)

    with D the orthonormal cosine transform of an image. The rows of k ⊙ D s are orthonormal, so the
    adjoint goes back, and is the pseudo-inverse: the result is a projection of x.
    """
    signs, rows, columns = (t.to(x) for t in (signs, *map(cosines, x.shape[-2:])))
    with torch.autocast(x.device.type, enabled=False):  # bf16 would be off by a grey level
        measured = keep * (rows @ (signs * x) @ columns.T)
        return signs * (rows.T @ measured @ columns)


def quantisation(qualities: Float[Tensor, " B"]) -> Float[Tensor, "B 3 64"]:
    """The steps to which JPEG rounds the 64 coefficients of a block, as libjpeg has them for whole
    qualities from 1 to 100: of Y, Cb and Cr.

    >>> quantisation(torch.tensor([50, 100]).double())[:, 1, :3]
    tensor([[17., 18., 24.],
            [ 1.,  1.,  1.]], dtype=torch.float64)
    """
    tables = [[float(step) for step in text.split()] for text in (BRIGHTNESS, COLOUR, COLOUR)]
    at_50 = torch.tensor(tables, dtype=torch.float64, device=qualities.device)
    scale = torch.where(qualities < 50, (5000 / qualities).floor(), 200 - 2 * qualities)
    return ((at_50 * scale.double().view(-1, 1, 1) + 50) / 100).floor().clamp(1, 255)


def jpeg(x: Float[Tensor, "B 3 H W"], qualities: Float[Tensor, " B"]) -> Float[Tensor, "B 3 H W"]:
    """Images in [0,1] as a JPEG file of these whole qualities gives them back (1 to 100), without
    subsampling of colours: within a grey level of libjpeg's, which rounds more often.

    Values are clipped to [0,1] and rounded to 8 bits, as files have them. Gradients pass all
    roundings as if there were none: theirs would be 0.
    """
    height, width = x.shape[-2:]
    waves = cosines(8)
    waves = torch.kron(waves, waves).to(x)  # of the 64 pixels of a block
    steps = quantisation(qualities).to(x)[:, :, None]
    with torch.autocast(x.device.type, enabled=False):  # bf16 has not even 8 bits
        levels = _rounded(255 * x.clamp(0, 1))
        levels = F.pad(levels, (0, -width % 8, 0, -height % 8), mode="replicate")
        r, g, b = levels.unbind(dim=1)
        y = 0.299 * r + 0.587 * g + 0.114 * b
        ycc = torch.stack([y - 128, (b - y) / 1.772, (r - y) / 1.402], dim=1)
        blocks = _rounded(ycc).clamp(-128, 127).unflatten(3, (-1, 8)).unflatten(2, (-1, 8))
        blocks = blocks.transpose(3, 4)  # B 3 rows columns 8 8
        coefficients = blocks.flatten(4).flatten(2, 3) @ waves.T
        pixels = (steps * _rounded(coefficients / steps)) @ waves
        ycc = pixels.view(blocks.shape).transpose(3, 4).reshape(levels.shape)
        y, blue, red = _rounded(ycc).clamp(-128, 127).unbind(dim=1)
        r, b = y + 1.402 * red, y + 1.772 * blue
        g = y - (0.299 * 1.402 / 0.587) * red - (0.114 * 1.772 / 0.587) * blue
        levels = _rounded(torch.stack([r, g, b], dim=1) + 128).clamp(0, 255)
    return levels[..., :height, :width] / 255


def _rounded(x: Tensor) -> Tensor:
    return x + (x.round() - x).detach() if x.requires_grad else x.round()
