"""What is found when every picture of a reader's own is decoded once: which cannot be read, which
were converted, which are small, and which are in two classes.

Each file is decoded once in a process: a later look at the same file, unchanged, remembers it.
"""

import hashlib
import io
import os
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from PIL import Image
from tqdm.auto import tqdm

from cinv_lib.data import decoding
from cinv_lib.data.preprocess import Preprocess

SHOWN = 5  # unreadable files that one sentence says the reason of
KINDS = {  # of a mode -> what it is called, and what is done with it
    "1": "grey", "L": "grey", "LA": "grey", "P": "palette", "PA": "palette",
    "CMYK": "CMYK (converted to RGB)",
}  # fmt: skip


class Fact(NamedTuple):
    """One file. kinds: what it is besides plain RGB; content: a digest of its bytes."""

    changed: int
    fault: str | None
    kinds: tuple[str, ...] = ()
    size: tuple[int, int] = (0, 0)
    content: bytes = b""


KNOWN: dict[str, Fact] = {}
SAID: set[str] = set()  # warnings of this process: a set is used again and again


def facts(paths: Sequence[str], name: str, progress: bool = True) -> list[Fact]:
    """A fact for each file; those that are not known yet are decoded, with a progress bar."""

    def stamp(path: str) -> int:
        try:
            return os.stat(path).st_mtime_ns
        except OSError:
            return 0

    stamps = [stamp(path) for path in paths]
    new = [
        (path, now)
        for path, now in zip(paths, stamps, strict=True)
        if path not in KNOWN or KNOWN[path].changed != now
    ]
    with ThreadPoolExecutor() as pool:  # Pillow lets go of the interpreter while it decodes
        found = pool.map(lambda job: _fact(*job), new)
        bar = tqdm(found, f"reading {name}", len(new), leave=False, disable=not (progress and new))
        for (path, _), fact in zip(new, bar, strict=True):
            KNOWN[path] = fact
    return [KNOWN[path] for path in paths]


def _fact(path: str, changed: int) -> Fact:
    try:
        with open(path, "rb") as file:
            data = file.read()
        kinds, size = _decoded(path, data)
    except FileNotFoundError:
        return Fact(changed, f"no picture at {path}: it was moved or deleted")
    except (OSError, ValueError) as e:
        return Fact(changed, str(e))
    return Fact(changed, None, kinds, size, hashlib.blake2b(data, digest_size=8).digest())


def _decoded(path: str, data: bytes) -> tuple[tuple[str, ...], tuple[int, int]]:
    """What kinds a picture is of, and its width and height as they are seen. Raises ValueError as
    decoding.upright does."""
    with decoding.opened(path, io.BytesIO(data)) as picture:
        kinds = [KINDS[picture.mode]] if picture.mode in KINDS else []
        if picture.mode.startswith("I;16"):
            kinds.append("16-bit grey (divided by 257)")
        elif picture.mode.startswith(("I", "F")):
            kinds.append("grey of more than 8 bits (scaled by the range that it uses)")
        if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
            kinds.append("transparent (laid on white)")
        if getattr(picture, "n_frames", 1) > 1:
            kinds.append("animated (the first frame is taken)")
        size, mark = picture.size, orientation(picture)
        if mark > 1:
            kinds.append("turned (as the orientation mark says)")
        picture.draft("RGB", (1, 1))  # of a JPEG all is read, and fewer pixels are computed
        picture.load()
        if picture.mode.startswith(("I", "F")):
            decoding.to_rgb(picture)  # may not know what is white
    return tuple(kinds), size[::-1] if mark > 4 else size


def orientation(picture: Image.Image) -> int:
    """The orientation mark, 1 to 8: above 4 a picture lies on its side. 1 where it has none."""
    try:
        mark = picture.getexif().get(0x0112, 1)
    except Exception:  # a damaged mark comes out as a dozen kinds of error
        return 1
    return mark if isinstance(mark, int) and 1 <= mark <= 8 else 1


def size_of(path: str) -> tuple[int, int] | None:
    """Width and height as they are seen, from the head of the file; None where it has none."""
    try:
        with Image.open(path) as picture:
            return picture.size[::-1] if orientation(picture) > 4 else picture.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def unreadable(name: str, found: Sequence[Fact]) -> str:
    """One sentence on those that cannot be read: their number, and why, for the first few."""
    faults = [fact.fault for fact in found if fact.fault]
    more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return (
        f"{name}: {len(faults)} of {len(found):,} pictures cannot be read: "
        f"{'; '.join(faults[:SHOWN])}{more}"
    )


def said(
    name: str,
    found: Sequence[Fact],
    labels: Sequence[int],
    class_names: Sequence[str],
    preprocess: Preprocess | None,
) -> list[str]:
    """What a reader should know of these pictures, a sentence for each thing; with `preprocess`
    also which of them have fewer pixels than an encoder takes."""
    whole = [fact for fact in found if not fact.fault]
    kinds = Counter(kind for fact in whole for kind in fact.kinds)
    says = [f"{unreadable(name, found)}. They are left out"] if len(whole) < len(found) else []
    if kinds:
        listed = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
        says.append(f"{name}: among {len(whole)} pictures are {listed}")
    small = [f.size for f in whole if preprocess and preprocess.enlarges(min(f.size), max(f.size))]
    if preprocess and small:
        width, height = min(small, key=min)
        says.append(
            f"{name}: {len(small)} of {len(whole)} pictures are smaller than the {preprocess.size} "
            f"pixels a side that the encoder takes, down to {width} x {height}, and are enlarged"
        )
    twice: dict[bytes, set[int]] = {}
    for fact, label in zip(found, labels, strict=True):
        if not fact.fault:
            twice.setdefault(fact.content, set()).add(label)
    shared = [labels for labels in twice.values() if len(labels) > 1]
    if shared:
        one, two = (class_names[k] for k in sorted(shared[0])[:2])
        says.append(
            f"{name}: {len(shared)} pictures are in two classes, byte for byte, as in {one!r} and "
            f"{two!r}; expected each in one, since no classifier can tell them apart"
        )
    return says


def warn(says: Sequence[str]) -> None:
    """All of it in one warning, if there is any, and once."""
    text = ". ".join(says)
    if text and text not in SAID:
        SAID.add(text)
        warnings.warn(text, stacklevel=4)
