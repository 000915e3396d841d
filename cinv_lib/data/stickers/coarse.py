"""The embedded world under other labels: what kind of pictograph it is, where it stands, both.

Transfer asks what a representation knows beyond the labels it was trained beside. These are
pictographs *outside* Stickers-100, in pictures of series of their own, and three questions:

- "stickers-kinds": ten kinds ("arrow", "face"). Coarse, and still about the shape.
- "stickers-places": the thirteen photographs behind it, which a label of Stickers-100 never names.
- "stickers-scenes": a kind on a photograph ("arrow on coffee"), a hundred classes.
"""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from cinv_lib.data.stickers import drawing, sets
from cinv_lib.data.stickers.glyphs import glyphs

KINDS = (
    "arrow", "asterisk", "chess", "circle", "cross", "face", "square", "star", "suit", "triangle",
)  # fmt: skip
PLACES = tuple(drawing.PHOTOGRAPHS)
ANY = -1  # in place of a kind or a place: no matter which


@dataclass(frozen=True)
class Task:
    """Each class as (kind, place), numbers in KINDS and PLACES or ANY; the series of each split."""

    classes: tuple[tuple[int, int], ...]
    series: dict[str, int]
    per_class: dict[str, int]

    @property
    def names(self) -> tuple[str, ...]:
        """ "arrow", "coffee", or "arrow on coffee"."""
        parts = [[KINDS[k]] * (k != ANY) + [PLACES[p]] * (p != ANY) for k, p in self.classes]
        return tuple(" on ".join(part) for part in parts)


# As many classes as the sets that they stand in for: ten as STL-10, a hundred as CIFAR-100.
TASKS = {
    "stickers-kinds": Task(
        tuple((k, ANY) for k in range(len(KINDS))),
        {"train": 8, "val": 9},
        {"train": 50, "val": 30},
    ),
    "stickers-scenes": Task(
        tuple((k, p) for k in range(len(KINDS)) for p in range(10)),
        {"train": 10, "val": 11},
        {"train": 10, "val": 5},
    ),
    "stickers-places": Task(
        tuple((ANY, p) for p in range(len(PLACES))),
        {"train": 12, "val": 13},
        {"train": 40, "val": 20},
    ),
}


@cache
def members(kind: int) -> tuple[int, ...]:
    """The glyphs of a kind (of all kinds: ANY): its word is in their names, no other kind's is, and
    Stickers-100 has none of them."""
    seen, found = set(sets.classes("stickers-100")), []
    for glyph, name in enumerate(glyphs().names):
        kinds = [k for k, word in enumerate(KINDS) if word in name.split()]
        if len(kinds) == 1 and kind in (ANY, *kinds) and glyph not in seen:
            found.append(glyph)
    return tuple(found)


def image_set(
    name: str, split: str, per_class: int | None = None
) -> tuple[UInt8[Tensor, "N 3 64 64"], Int64[Tensor, " N"], tuple[str, ...], str]:
    """Images, labels, class names and provenance; drawn anew each time, 1 to 2 ms a picture.

    Picture i has class i mod K, so a larger set begins with a smaller one. Backgrounds come from
    the left of each photograph in "train" and from the right in "val". Raises KeyError for a name
    that is none of TASKS.
    """
    task = TASKS[name]
    labels = torch.arange(len(task.classes)).repeat(per_class or task.per_class[split])
    kind, place = torch.tensor(task.classes)[labels].T
    series, train = task.series[split], split == "train"
    indices = standing(series, place)
    draw = drawing.uniforms(series, indices, 32)[:, 31].tolist()
    of = [members(k) for k in kind.tolist()]
    ids = torch.tensor([glyph[int(u * len(glyph))] for glyph, u in zip(of, draw, strict=True)])
    parts = zip(indices.split(512), ids.split(512), strict=True)
    images = torch.cat([drawing.render(series, i, g, train).images for i, g in parts])
    side = "left" if train else "right"
    made = f"drawn by coarse.py, series {series}, backgrounds from the {side} side"
    return images, labels, task.names, made


def standing(series: int, place: Int64[Tensor, " N"]) -> Int64[Tensor, " N"]:
    """Different indices of a series whose pictures stand on the photographs asked for (or ANY), the
    first that do. Raises ValueError for a mixture of photographs and ANY."""
    wanted = place.unique().tolist()
    if wanted == [ANY]:
        return torch.arange(len(place))
    if ANY in wanted:
        raise ValueError(f"places {wanted}: expected photographs only, or {ANY} (any) only")
    # A photograph is the first number of an index, so a place is found without drawing. Each is
    # one in 13: four times as many indices as an even share of them needs, and some more.
    most = int(place.bincount().max())
    there = drawing.uniforms(series, torch.arange(4 * len(PLACES) * most + 500), 1)[:, 0]
    there = (there * len(PLACES)).long()
    out = torch.empty_like(place)
    for p in wanted:
        rows = place == p
        out[rows] = (there == p).nonzero()[: int(rows.sum()), 0]
    return out
