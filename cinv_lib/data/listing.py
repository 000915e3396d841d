"""Which pictures a folder or a CSV file of a reader's own holds, and of which class each is.

Files are listed and not opened: a hundred thousand take a second.
"""

import csv
import hashlib
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from cinv_lib.data.decoding import FOREIGN

# What systems put beside pictures; also everything whose name begins with a point.
JUNK = {"__MACOSX", "Thumbs.db", "ehthumbs.db", "desktop.ini", "@eaDir", "$RECYCLE.BIN"}
# Pillow knows these by name, and needs another program, or finds no raster picture in them.
NO_RASTER = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}
PATHS, LABELS = {"path", "file", "filename", "image", "name"}, {"label", "class", ""}


def pictures_under(folder: str | Path) -> list[str]:
    """Names of all pictures in a folder, at any depth, sorted, as "cats/2020/a.jpg".

    A name says what is a picture: an ending that Pillow opens, or one of decoding.FOREIGN, which
    is then named when it cannot be read. Hidden files and what systems leave are passed over;
    links to folders are followed, each folder once.
    Raises FileNotFoundError or NotADirectoryError, or ValueError where there is none.
    """
    root = os.fspath(folder)
    if not os.path.isdir(root):
        there = os.path.exists(root)
        kind = NotADirectoryError if there else FileNotFoundError
        raise kind(f"{root} is {'a file' if there else 'absent'}; expected a folder of pictures")
    endings = tuple(known_endings())
    found: list[str] = []
    others: list[str] = []
    seen: set[str] = set()
    for place, folders, files in os.walk(root, followlinks=True):
        if (real := os.path.realpath(place)) in seen:  # a link to a folder above would never end
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not junk(name))
        inner = os.path.relpath(place, root).replace(os.sep, "/")
        inside = "" if inner == "." else f"{inner}/"
        for name in files:
            if not junk(name):
                (found if name.lower().endswith(endings) else others).append(inside + name)
    if not found:
        rest = f"{len(others)} other files, as {min(others)}" if others else "no file at all"
        raise ValueError(
            f"{root} holds no picture: found {rest}; expected files that end as pictures do "
            "(.jpg, .png, .tif, .webp, ...), in it or in its subfolders"
        )
    return sorted(found)


def known_endings() -> set[str]:
    """Ends of the names of pictures: what Pillow opens now, with what a reader has registered."""
    from PIL import Image

    _init()
    own = Image.registered_extensions().items()
    opened = {end for end, kind in own if kind in Image.OPEN and kind not in NO_RASTER}
    return opened | {end for ends in FOREIGN for end in ends}


@cache
def _init() -> None:
    from PIL import Image

    Image.init()


def junk(name: str) -> bool:
    """Whether a file is hidden, or one that systems put beside pictures."""
    return name.startswith(".") or name in JUNK


def classes_of(
    folder: str | Path, names: Sequence[str], labelled: bool | None
) -> tuple[list[int], tuple[str, ...]]:
    """A label for each picture and the class names: its first subfolder; () for no classes.

    labelled: whether subfolders are classes; None for so if every picture is in one.
    Raises ValueError where some pictures are in subfolders and some are not, unless it is said.
    """
    firsts = [name.partition("/")[0] if "/" in name else "" for name in names]
    apart = firsts.count("")
    if labelled is False or (labelled is None and apart == len(names)):
        return [0] * len(names), ()
    if apart:
        other = next((first for first in firsts if first), None)
        within = f"{len(names) - apart} in subfolders, as {other!r}" if other else "none elsewhere"
        raise ValueError(
            f"{folder} has {apart} pictures that are in no subfolder, as {names[firsts.index('')]},"
            f" and {within}; expected each in the subfolder of its class, or labelled=False for "
            "pictures without classes"
        )
    class_names = tuple(sorted(set(firsts)))
    number = {name: k for k, name in enumerate(class_names)}
    return [number[first] for first in firsts], class_names


def rows_of(file: str | Path) -> tuple[list[str], list[int], tuple[str, ...]]:
    """Paths, labels and class names of a CSV file: a path in each row and a label, or no labels.

    Paths are relative to the file's folder. A first row such as "path,label" is passed over.
    Numbers as labels are in the order of numbers.
    Raises FileNotFoundError (the file, or pictures in it) or ValueError, each with what was found.
    """
    file = Path(file)
    if not file.is_file():
        raise FileNotFoundError(f"{file} is absent; expected a CSV file of paths and labels")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as e:
        raise ValueError(f"{file} is not in UTF-8 ({e}); save it as CSV in UTF-8") from e
    separator = max(",;\t", key=text.partition("\n")[0].count)
    rows = [[c.strip() for c in row] for row in csv.reader(text.splitlines(), delimiter=separator)]
    rows = [[*row, ""] for row in rows if any(row)]  # a label is empty where there is none
    if rows and rows[0][0].lower() in PATHS and {cell.lower() for cell in rows[0][1:]} <= LABELS:
        rows = rows[1:]
    if not rows:
        raise ValueError(f"{file} has no row; expected a path and a label in each")
    bare = sum(not row[1] for row in rows)
    for row in rows:
        if not row[0] or any(row[2:]) or (0 < bare < len(rows) and not row[1]):
            raise ValueError(
                f"{file} has the row {separator.join(row[:-1])!r}; expected a path and a label in "
                "each row, or a path alone in each"
            )
    paths = [os.path.join(file.parent, row[0]) for row in rows]
    if absent := [path for path in paths if not os.path.isfile(path)]:
        raise FileNotFoundError(
            f"{file}: {len(absent)} of {len(paths)} pictures are absent, as {absent[0]}; expected "
            f"paths relative to {file.parent}"
        )
    if bare:
        return paths, [0] * len(paths), ()
    given = [row[1] for row in rows]
    whole = all(label.isdecimal() for label in given)
    class_names = tuple(sorted(set(given), key=int if whole else str))
    return paths, [class_names.index(label) for label in given], class_names


def names_within(paths: Sequence[str]) -> list[str]:
    """The paths without the folder that they have in common."""
    parts = [os.path.split(path) for path in paths]
    inner = {folder: os.path.abspath(folder) for folder in {folder for folder, _ in parts}}
    above = os.path.commonpath(inner.values()) if inner else ""
    for folder, place in inner.items():
        within = os.path.relpath(place, above).replace(os.sep, "/")
        inner[folder] = "" if within == "." else f"{within}/"
    return [inner[folder] + name for folder, name in parts]


def fingerprint(paths: Sequence[str], labels: Sequence[int]) -> str:
    """Twelve hexadecimal digits of names, sizes, times and labels. What is absent has no time."""
    lines = []
    for path, name, label in zip(paths, names_within(paths), labels, strict=True):
        try:
            facts = os.stat(path)
            lines.append(f"{name}\n{facts.st_size} {facts.st_mtime_ns} {label}\n")
        except OSError:
            lines.append(f"{name}\nabsent {label}\n")
    return hashlib.sha256(os.fsencode("".join(lines))).hexdigest()[:12]
