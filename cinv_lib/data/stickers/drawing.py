"""How a sticker is drawn: a picture is a function of (seed, index), whatever else is drawn.

A sticker is a pictograph in one of twelve colours, scaled, turned, sheared and shaded, on a piece
of a photograph. `render` draws any list of indices of any seed, in any order, always the same
pictures. Training pictures take their backgrounds from the left of each photograph, validation
pictures from the right, so that no background pixel is in both.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import skimage.data
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from PIL import Image
from torch import Tensor

from cinv_lib.data.stickers.glyphs import MARGIN, SIDE, TURN, glyphs

SIZE = 64  # pixels of a picture's side
PHOTOGRAPHS = {  # words of the caption -> scikit-image's bundled photograph
    "an astronaut": "astronaut",
    "bricks": "brick",
    "a cameraman": "camera",
    "a cat": "chelsea",
    "coffee": "coffee",
    "coins": "coins",
    "galaxies": "hubble_deep_field",
    "grass": "grass",
    "gravel": "gravel",
    "the moon": "moon",
    "a retina": "retina",
    "a rocket": "rocket",
    "tissue": "immunohistochemistry",
}
COLOURS = {
    "red": (0.87, 0.12, 0.15),
    "orange": (0.98, 0.55, 0.08),
    "yellow": (0.98, 0.90, 0.15),
    "green": (0.10, 0.60, 0.20),
    "lime": (0.60, 0.95, 0.25),
    "cyan": (0.15, 0.85, 0.90),
    "blue": (0.12, 0.25, 0.85),
    "purple": (0.50, 0.15, 0.65),
    "pink": (0.98, 0.50, 0.75),
    "brown": (0.45, 0.25, 0.10),
    "white": (0.98, 0.98, 0.98),
    "black": (0.03, 0.03, 0.03),
}
CONTRAST = 0.5  # smallest RGB distance between a sticker's colour and the photograph under it
_SHORT_SIDE, _CROP = 256, (64, 100)  # of a photograph, and of the piece that becomes a background
_LEFT = 0.6  # share of a photograph's width that belongs to training


@dataclass(frozen=True)
class Drawn:
    """A batch of stickers and what there is to say of each."""

    images: UInt8[Tensor, "B 3 64 64"]
    labels: Int64[Tensor, "B"]
    colours: tuple[str, ...]
    photographs: tuple[str, ...]
    scales: Float[Tensor, "B"]

    def captions(self) -> list[str]:
        """One for each picture, as "a photo of a big red umbrella on coffee"."""
        names, out = glyphs().names, []
        labels, scales = self.labels.tolist(), self.scales.tolist()
        rows = zip(labels, scales, self.colours, self.photographs, strict=True)
        for label, scale, colour, photograph in rows:
            size = "big " if scale > 0.88 else "small " if scale < 0.77 else ""
            out.append(f"a photo of a {size}{colour} {names[label]} on {photograph}")
        return out


@cache
def _photographs(train: bool) -> tuple[Tensor, ...]:
    """The left (train) or right (validation) part of every photograph, (3, 256, W) in [0,1]."""
    parts = []
    for name in PHOTOGRAPHS.values():
        image = Image.fromarray(getattr(skimage.data, name)()).convert("RGB")
        scale = _SHORT_SIDE / min(image.size)
        image = image.resize([round(s * scale) for s in image.size], Image.Resampling.LANCZOS)
        cut = round(image.width * _LEFT)
        box = (0, 0, cut, image.height) if train else (cut, 0, image.width, image.height)
        parts.append(torch.from_numpy(np.array(image.crop(box))).permute(2, 0, 1).float() / 255)
    return tuple(parts)


def uniforms(seed: int, indices: Int64[Tensor, "B"], count: int) -> Float[Tensor, "B count"]:
    """Numbers in [0,1) that depend on (seed, index, column) alone: SplitMix64 of a counter.

    A generator's stream would depend on which pictures were drawn before; a hash does not.
    """
    index = indices.numpy().astype(np.uint64)[:, None]
    column = np.arange(count, dtype=np.uint64)[None]
    with np.errstate(over="ignore"):
        z = (index * np.uint64(1 << 20) + column) + np.uint64(seed) * np.uint64(0xD1342543DE82EF95)
        z = z * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return torch.from_numpy((z >> np.uint64(40)).astype(np.float32) / 2**24)


def _grid(matrix: Float[Tensor, "B 2 3"]) -> Float[Tensor, "B 64 64 2"]:
    return F.affine_grid(matrix, [len(matrix), 1, SIZE, SIZE], align_corners=False)


def _backgrounds(u: Float[Tensor, "B 4"], train: bool) -> tuple[Tensor, Int64[Tensor, "B"]]:
    photographs = _photographs(train)
    which = (u[:, 0] * len(photographs)).long()
    out = torch.empty(len(u), 3, SIZE, SIZE, dtype=torch.float32, device="cpu")
    for p, photograph in enumerate(photographs):  # a dozen calls, no photograph copied per picture
        rows = (which == p).nonzero()[:, 0]
        if not len(rows):
            continue
        _, height, width = photograph.shape
        lo, hi = _CROP
        side = lo + (min(hi, width) - lo) * u[rows, 1]
        zero = torch.zeros_like(side)
        x = ((width - side) * u[rows, 2] + side / 2) * 2 / width - 1
        y = ((height - side) * u[rows, 3] + side / 2) * 2 / height - 1
        matrix = torch.stack([side / width, zero, x, zero, side / height, y], 1).view(-1, 2, 3)
        batch = photograph.expand(len(rows), -1, -1, -1)
        out[rows] = F.grid_sample(batch, _grid(matrix), align_corners=False, padding_mode="border")
    return out, which


def _coverage(labels: Tensor, scale: Tensor, u: Float[Tensor, "B 8"]) -> Float[Tensor, "B 1 64 64"]:
    """How much of each pixel the ink covers: the distance field after a random affine map."""
    world = glyphs()
    drawing = world.first[labels] + (u[:, 0] * world.count[labels]).long()
    angle = (2 * u[:, 1] - 1) * math.radians(TURN)
    shear = (2 * u[:, 2] - 1) * 0.15
    aspect = torch.exp((2 * u[:, 3] - 1) * 0.12)
    stroke = 1.4 * u[:, 4]  # pixels of the picture added all round
    # Frame (-1..1) -> ink box (-1..1): undo the shift, the turn, the shear and the scale.
    ink = SIDE / (SIDE - 2 * MARGIN)
    room = 1 - 0.95 * scale
    shift = torch.stack([(2 * u[:, 5] - 1) * room, (2 * u[:, 6] - 1) * room], 1)
    cos, sin = angle.cos(), angle.sin()
    turn = torch.stack([cos, sin, -sin, cos], 1).view(-1, 2, 2)
    one, zero = torch.ones_like(shear), torch.zeros_like(shear)
    slant = torch.stack([one, shear, zero, one], 1).view(-1, 2, 2)
    stretch = torch.diag_embed(torch.stack([aspect, 1 / aspect], 1) / (scale[:, None] * ink))
    linear = stretch @ slant @ turn
    matrix = torch.cat([linear, -linear @ shift[:, :, None]], 2)
    field = world.fields[drawing][:, None]
    distance = F.grid_sample(field, _grid(matrix), align_corners=False, padding_mode="border")
    # A field pixel is `scale * ink` picture pixels wide, so distances grow by the same factor.
    return (distance * (scale * ink).view(-1, 1, 1, 1) + stroke.view(-1, 1, 1, 1) + 0.5).clamp(0, 1)


def render(
    seed: int, indices: Int64[Tensor, "B"], labels: Int64[Tensor, "B"] | None = None, train=True
) -> Drawn:
    """Draw the stickers of these indices of a series.

    Args:
        seed: the number of the series.
        indices: which of its pictures.
        labels: the class of each picture, 0 .. len(glyphs().names) - 1; None draws classes too.
        train: whether backgrounds come from the left part of the photographs, or the right.
    """
    u = uniforms(seed, indices, 32)
    if labels is None:
        labels = (u[:, 31] * len(glyphs().names)).long()
    image, which = _backgrounds(u[:, :4], train)
    scale = 0.65 + 0.35 * u[:, 4]
    cover = _coverage(labels, scale, u[:, 5:13])
    under = (image * cover).sum((2, 3)) / cover.sum((2, 3)).clamp_min(1)
    palette = torch.tensor(list(COLOURS.values()), dtype=torch.float32, device="cpu")
    distance = torch.cdist(under, palette)
    # Every colour that stands out enough is equally likely; the one that stands out most always is.
    allowed = (distance >= CONTRAST) | (distance == distance.amax(1, keepdim=True))
    colour = torch.where(allowed, u[:, 13:25], -1.0).argmax(1)
    down = torch.linspace(-1, 1, SIZE, dtype=torch.float32, device="cpu")  # top to bottom
    shade = 1 + (u[:, 25:26] - 0.5) * 0.5 * down
    paint = palette[colour][:, :, None, None] * shade[:, None, :, None]
    picture = torch.lerp(image, paint.expand_as(image), cover.expand_as(image))
    words, places = list(COLOURS), list(PHOTOGRAPHS)
    return Drawn(
        (picture.clamp(0, 1) * 255 + 0.5).to(torch.uint8),
        labels,
        tuple(words[c] for c in colour.tolist()),
        tuple(places[p] for p in which.tolist()),
        scale,
    )
