"""The embedded world under other labels (lesson 09): the kind of pictograph, the photograph behind
it, or both.

Transfer asks what a representation knows beyond the labels of its training. These pictures show
pictographs *outside* Stickers-100, and are drawn for three questions:

- "stickers-kinds" has ten kinds ("arrow", "face"). They are coarse, and still about the shape.
- "stickers-places" has the thirteen photographs, which a label of Stickers-100 never names.
- "stickers-scenes" has a kind on a photograph ("arrow on coffee"), a hundred classes.
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
    """A set of pictures and its labels.

    Args:
        classes: each class as (kind, place), numbers in KINDS and PLACES, or ANY.
        series: the number of the series of pictures, for each split.
        per_class: how many pictures of each class, for each split.
    """

    classes: tuple[tuple[int, int], ...]
    series: dict[str, int]
    per_class: dict[str, int]

    @property
    def names(self) -> tuple[str, ...]:
        """ "arrow", "coffee", or "arrow on coffee"."""
        parts = [[KINDS[k]] * (k != ANY) + [PLACES[p]] * (p != ANY) for k, p in self.classes]
        return tuple(" on ".join(part) for part in parts)


# They have as many classes as the sets that they stand in for: STL-10 has ten, CIFAR-100 a hundred.
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
    """The glyphs of a kind, or with ANY of all kinds: those that have its word in their names, and
    no other kind's, and are not in Stickers-100."""
    seen, found = set(sets.classes("stickers-100")), []
    for glyph, name in enumerate(glyphs().names):
        kinds = [k for k, word in enumerate(KINDS) if word in name.split()]
        if len(kinds) == 1 and kind in (ANY, *kinds) and glyph not in seen:
            found.append(glyph)
    return tuple(found)


def image_set(
    name: str, split: str, per_class: int | None = None, draw: int = 0
) -> tuple[UInt8[Tensor, "N 3 64 64"], Int64[Tensor, " N"], tuple[str, ...], str]:
    """Images, labels, class names and provenance. They are drawn anew each time, in 1 to 2 ms per
    picture. draw: 0 has the pictures of `Task.series`, any other number has others.

    Picture i has class i mod K, so a larger set begins with a smaller one. Backgrounds come from
    the left of each photograph in "train" and from the right in "val". Raises KeyError for a name
    that is none of TASKS.
    """
    task = TASKS[name]
    labels = torch.arange(len(task.classes), device="cpu").repeat(
        per_class or task.per_class[split]
    )
    kind, place = torch.tensor(task.classes, device="cpu")[labels].T
    series, train = sets.series_of(task.series[split], draw), split == "train"
    indices = standing(series, place)
    chance = drawing.uniforms(series, indices, 32)[:, 31].tolist()
    of = [members(k) for k in kind.tolist()]
    drawn = [glyph[int(u * len(glyph))] for glyph, u in zip(of, chance, strict=True)]
    ids = torch.tensor(drawn, device="cpu")
    parts = zip(indices.split(512), ids.split(512), strict=True)
    images = torch.cat([drawing.render(series, i, g, train).images for i, g in parts])
    side = "left" if train else "right"
    made = f"drawn by coarse.py, series {series}, backgrounds from the {side} side"
    return images, labels, task.names, made


def standing(series: int, place: Int64[Tensor, " N"]) -> Int64[Tensor, " N"]:
    """The first indices of a series whose pictures are on the photographs asked for (or ANY), no
    index twice. Raises ValueError for a mixture of photographs and ANY."""
    wanted = place.unique().tolist()
    if wanted == [ANY]:
        return torch.arange(len(place), device="cpu")
    if ANY in wanted:
        raise ValueError(f"places {wanted}: expected photographs only, or {ANY} (any) only")
    # A photograph is the first number of an index, so a place is found without drawing. Each is
    # one in 13: four times as many indices as an even share of them needs, and some more.
    most = int(place.bincount().max())
    numbers = torch.arange(4 * len(PLACES) * most + 500, device="cpu")
    there = drawing.uniforms(series, numbers, 1)[:, 0]
    there = (there * len(PLACES)).long()
    out = torch.empty_like(place)
    for p in wanted:
        rows = place == p
        out[rows] = (there == p).nonzero()[: int(rows.sum()), 0]
    return out
