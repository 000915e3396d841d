"""The pictographs of the embedded world: which ones there are, their names and their shapes.

A drawing is kept as a *signed distance field*: how far each point of a 64 x 64 grid lies inside
(positive) or outside (negative) the ink. Distances survive scaling, rotation and a change of
stroke weight; pixels would not.
"""

import unicodedata
from functools import cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import torch
from jaxtyping import Float, Int64
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import rotate
from torch import Tensor

SIDE = 64  # of a distance field, in its own pixels
MARGIN = 8  # empty border round the ink, so that strokes may grow
_FINE = 4 * SIDE  # drawn at four times the resolution, then averaged
FONTS = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono.ttf", "STIXGeneral.ttf")

_RANGES = (
    (0x2600, 0x26FF),
    (0x1F400, 0x1F64F),
    (0x2701, 0x27BF),
    (0x2B00, 0x2B1F),
    (0x25A0, 0x25FF),
)
_EXTRA = (
    0x2302,
    0x2318,
    0x2325,
    0x2328,
    0x232C,
    0x2394,
    0x23CE,
    0x23CF,
    0x21AF,
    0x21BA,
    0x21C4,
    0x21DD,
)
# Brackets, digits, trigrams, bars and quotation marks are letters more than pictures.
_LETTERS = (
    "digit", "number", "trigram", "digram", "monogram", "bracket", "parenthesis",
    "quotation", "vertical bar", "paragraph", "for type", "small", "medium", "large",
)  # fmt: skip
TURN = 20  # degrees, either way
SAME_SHAPE = 0.74  # two drawings whose inks overlap more than this are one class, not two


def plain_name(char: str) -> str:
    """The Unicode name in a reader's words: "BLACK STAR" is "solid star", "WHITE", "outline".

    Unicode's black and white say filled or not; left as they are they would contradict the
    colour word of a caption ("a red black star").
    """
    words = unicodedata.name(char).lower().replace("-", " ").split()
    swap = {"black": "solid", "white": "outline"}
    return " ".join(swap.get(w, w) for w in words if w not in ("sign", "symbol"))


def _draw(char: str, font: str) -> np.ndarray:
    """Ink of one character, boolean (_FINE, _FINE), centred, its longer side filling the box."""
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", font)
    face = ImageFont.truetype(str(path), 300)
    left, top, right, bottom = face.getbbox(char)
    image = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(image).text((1 - left, 1 - top), char, font=face, fill=255)
    box = image.getbbox()
    if box is None:
        raise ValueError(f"font {font} draws nothing for {char!r} (U+{ord(char):04X})")
    image = image.crop(box)
    inner = _FINE * (SIDE - 2 * MARGIN) // SIDE
    scale = inner / max(image.size)
    image = image.resize([max(1, round(s * scale)) for s in image.size], Image.Resampling.LANCZOS)
    canvas = Image.new("L", (_FINE, _FINE))
    canvas.paste(image, ((_FINE - image.width) // 2, (_FINE - image.height) // 2))
    return np.asarray(canvas) > 127


def _distance(inside: np.ndarray) -> np.ndarray:
    """How far each point is from the nearest one outside: to the bit what `scipy.ndimage` says, in
    a third of its time, as the square of a distance between two pixels is a whole number."""
    found = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.sqrt(np.rint(np.square(found, dtype=np.float64)))


def _signed_distance(ink: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE) float32, in pixels of the SIDE grid, positive inside the ink."""
    fine = _distance(ink) - _distance(~ink)
    k = _FINE // SIDE
    return (fine.reshape(SIDE, k, SIDE, k).mean((1, 3)) / k).astype(np.float32)


def _supported(font: str) -> set[int]:
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", font)
    return set(matplotlib.ft2font.FT2Font(str(path)).get_charmap())


def _candidates() -> list[str]:
    known = _supported(FONTS[0])
    points = [p for lo, hi in _RANGES for p in range(lo, hi + 1)] + list(_EXTRA)
    names, out = set(), []
    for char in (chr(p) for p in points if p in known):
        name = plain_name(char)
        if name not in names and not any(word in name for word in _LETTERS):
            names.add(name)
            out.append(char)
    return out


def _distinct(inks: np.ndarray) -> list[int]:
    """Indices of the drawings to keep: each that is not nearly a copy of an earlier one.

    Stickers are turned by up to TURN, so two drawings count as copies if they overlap at any turn.
    """
    small = inks.reshape(len(inks), SIDE // 2, 8, SIDE // 2, 8).mean((2, 4), dtype=np.float32)
    turns = [rotate(small, t, axes=(2, 1), reshape=False, order=1) for t in (-TURN, 0, TURN)]
    kept: list[int] = []
    for i in range(len(inks)):
        overlap = 0.0
        for turned in turns:
            both = np.minimum(small[kept], turned[i]).sum((1, 2))
            either = np.maximum(small[kept], turned[i]).sum((1, 2))
            overlap = max(overlap, (both / either).max(initial=0))
        if overlap < SAME_SHAPE:
            kept.append(i)
    return kept


class Glyphs:
    """All classes of the world and their drawings, one for each font that really differs."""

    names: tuple[str, ...]
    chars: tuple[str, ...]
    fields: Float[Tensor, "D 64 64"]
    first: Int64[Tensor, "K"]  # the drawings of class k are first[k] .. first[k] + count[k]
    count: Int64[Tensor, "K"]

    def __init__(self):
        chars = _candidates()
        inks = np.stack([_draw(c, FONTS[0]) for c in chars])
        keep = _distinct(inks)
        support = {font: _supported(font) for font in FONTS}
        fields, first, count = [], [], []
        for i in keep:
            drawings = [inks[i]]
            for font in FONTS[1:]:
                if ord(chars[i]) in support[font]:
                    ink = _draw(chars[i], font)
                    # A font that differs by under 1 % of the pixels is the same drawing again.
                    if all((ink != other).mean() > 0.01 for other in drawings):
                        drawings.append(ink)
            first.append(len(fields))
            count.append(len(drawings))
            fields += [_signed_distance(ink) for ink in drawings]
        self.chars = tuple(chars[i] for i in keep)
        self.names = tuple(plain_name(c) for c in self.chars)
        self.fields = torch.from_numpy(np.stack(fields))
        self.first, self.count = (torch.tensor(n, device="cpu") for n in (first, count))


@cache
def glyphs() -> Glyphs:
    """The world's pictographs, drawn once in each process (three seconds)."""
    return Glyphs()
