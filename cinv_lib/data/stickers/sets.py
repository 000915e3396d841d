"""The embedded world: pictographs on photographs, 64 x 64, and its splits.

The whole world is the "web" that the teacher has seen. Stickers-100 and Stickers-100B are disjoint
sets of 100 of its classes, as ImageNet-100 and ImageNet-100B are of ImageNet's. The label-shift
classes are near twins of five classes of Stickers-100 and belong to neither set (the paper's
Table 3). Stickers-32 has 32 of the 100, those of the twins among them, for the profile `smoke`.

Pictures are drawn by `drawing.render` from a series number and an index, so nothing is downloaded;
what has been drawn once is kept as uint8 under the data folder.
"""

import hashlib
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from cinv_lib.data.stickers import drawing, glyphs
from cinv_lib.machine.files import whole
from cinv_lib.machine.folders import home

SHIFT = {  # near twin outside Stickers-100 -> the class of Stickers-100 whose label it gets
    "umbrella with rain drops": "umbrella",
    "eighth note": "quarter note",
    "solid flag": "outline flag",
    "solid chess knight": "outline chess knight",
    "solid telephone": "outline telephone",
}
# (set, split) -> number of the series of pictures. The teacher's web is series 0.
SERIES = {
    ("stickers-100", "train"): 1,
    ("stickers-100", "val"): 2,
    ("stickers-100b", "train"): 3,
    ("stickers-100b", "val"): 4,
    ("stickers-shift", "val"): 5,
    ("stickers", "train"): 6,
    ("stickers", "val"): 7,
    ("stickers-32", "train"): 14,  # 8 to 13 are those of coarse.py
    ("stickers-32", "val"): 15,
    ("stickers-32-shift", "val"): 16,
}
# A set of twins, and the set whose labels they get.
LABELS = {"stickers-shift": "stickers-100", "stickers-32-shift": "stickers-32"}
SIZES = {"stickers-100": 100, "stickers-32": 32}
PER_CLASS = {"train": 20, "val": 20}
DRAW = 100  # series between one draw of all sets and the next
KEPT = 10_000  # pictures, at most, that are kept on disk: 120 MB, drawn in four seconds


def series_of(series: int, draw: int) -> int:
    """The number of a set's series in a draw of all sets anew; draw 0 is what readers see."""
    return series + DRAW * draw


@cache
def classes(name: str) -> tuple[int, ...]:
    """Glyph numbers of a set's classes, in the order of its labels.

    Raises ValueError for an unknown set. A set of twins has those of the set whose labels it gets.
    """
    name = LABELS.get(name, name)
    names = glyphs.glyphs().names
    if name == "stickers":
        return tuple(range(len(names)))
    number = {n: i for i, n in enumerate(names)}
    sources, targets = ([number[n] for n in side] for side in (SHIFT, SHIFT.values()))
    others = [i for i in range(len(names)) if i not in sources and i not in targets]
    one = torch.tensor(others, device="cpu")
    draw = drawing.uniforms(100, one, 1)[:, 0]  # one fixed random order
    shuffled = [others[i] for i in draw.argsort().tolist()]
    if name in SIZES:
        return tuple(sorted(targets + shuffled[: SIZES[name] - len(targets)]))
    if name == "stickers-100b":
        return tuple(sorted(shuffled[95:195]))
    known = sorted({n for n, _ in SERIES})
    raise ValueError(f"no set {name!r} in the embedded world; there are {', '.join(known)}")


def _labels(name: str, per_class: int) -> tuple[Tensor, Tensor]:
    """Label and glyph of each picture. Picture i has class i mod K: the first n*K pictures are
    the same whatever `per_class` is."""
    ids = torch.tensor(classes(name), device="cpu")
    if name not in LABELS:
        labels = torch.arange(len(ids), device="cpu").repeat(per_class)
        return labels, ids[labels]
    number = {n: i for i, n in enumerate(glyphs.glyphs().names)}
    sources = torch.tensor([number[n] for n in SHIFT], device="cpu").repeat(per_class)
    targets = torch.tensor([classes(name).index(number[n]) for n in SHIFT.values()], device="cpu")
    return targets.repeat(per_class), sources


def draw_all(series: int, ids: Int64[Tensor, "N"], train: bool) -> UInt8[Tensor, "N 3 64 64"]:
    """Pictures 0 .. N-1 of a series, showing the given glyphs."""
    out = torch.empty(len(ids), 3, drawing.SIZE, drawing.SIZE, dtype=torch.uint8, device="cpu")
    for rows in torch.arange(len(ids), device="cpu").split(512):
        out[rows] = drawing.render(series, rows, ids[rows], train).images
    return out


def _version() -> str:
    """Changes when the code that draws changes, so that no stale picture is ever read."""
    folder = Path(__file__).parent
    code = b"".join((folder / f).read_bytes() for f in ("glyphs.py", "drawing.py", "sets.py"))
    return hashlib.sha256(code).hexdigest()[:10]


def image_set(
    name: str, split: str, per_class: int | None = None, draw: int = 0
) -> tuple[UInt8[Tensor, "N 3 64 64"], Int64[Tensor, "N"], tuple[str, ...], str]:
    """Images, labels, class names and provenance of a set; drawn once, then read from disk.

    draw: 0 has the pictures of SERIES, any other number has others, of the same classes.

    Raises ValueError for a set or split that is not there, with those that are.
    """
    if (name, split) not in SERIES:
        known = ", ".join(f"{n}/{s}" for n, s in SERIES)
        raise ValueError(f"no split {name}/{split} in the embedded world; there are {known}")
    per_class = per_class or PER_CLASS[split]
    series, drawn = series_of(SERIES[name, split], draw), f"@{draw}" if draw else ""
    path = home() / "stickers" / f"{name}{drawn}-{split}-{per_class}-{_version()}.npz"
    kept = _kept(path)
    if kept is None:
        labels, ids = _labels(name, per_class)
        images = draw_all(series, ids, train=split == "train")
        names = tuple(glyphs.glyphs().names[i] for i in classes(name))
        kept = images, labels, names
        if len(images) <= KEPT:
            _keep(path, *kept)
    side = "left" if split == "train" else "right"
    made = f"drawn by stickers.py, series {series}, backgrounds from the {side} side"
    return *kept, made


def _keep(path: Path, images: Tensor, labels: Tensor, names: tuple[str, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as part, open(part, "wb") as file:
        np.savez(file, images=images.numpy(), labels=labels.numpy(), names=np.array(names))


def _kept(path: Path) -> tuple[Tensor, Tensor, tuple[str, ...]] | None:
    """What was drawn before; None where nothing was, or the file is damaged (warns)."""
    if not path.exists():
        return None
    try:
        with np.load(path) as saved:
            images, labels = torch.from_numpy(saved["images"]), torch.from_numpy(saved["labels"])
            return images, labels, tuple(str(n) for n in saved["names"])
    except Exception as error:  # damaged bytes come out of the readers as a dozen kinds of error
        warnings.warn(
            f"{path} is damaged ({type(error).__name__}: {error}); its pictures are drawn anew",
            stacklevel=3,
        )
        return None
