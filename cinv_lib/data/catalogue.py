"""Sets of labelled pictures, each by its name (lesson 00).

Pictures are kept as uint8 and become floats in [0,1] one batch at a time, on the device
(`to_float`). The random views that training takes of them are in `views`.
"""

from dataclasses import replace
from pathlib import Path

import torch

from cinv_lib.data import bundled, image_files, linked, prepared
from cinv_lib.data.image_files import ImageFiles, Pictures
from cinv_lib.data.image_set import ImageSet, to_float
from cinv_lib.data.preprocess import Preprocess
from cinv_lib.data.views import resized
from cinv_lib.machine.folders import home

OWN = "folder:"  # how the name of a folder of a reader's own begins: "folder:/home/me/pictures"
SHARE = 0.8  # of its pictures that train
LARGEST = 8  # GB of pictures that `load` decodes into memory


def load(name: str, split: str, n: int | None = None) -> ImageSet:
    """A set by its name, drawn or read from disk or an installed package: nothing is downloaded.

    Args:
        name: "stickers", "stickers-100", "stickers-100b", "stickers-shift" (the embedded world),
            "stickers-32", "stickers-32-shift" (a third of its classes, for tests),
            "stickers-kinds", "stickers-scenes", "stickers-places" (its pictures under coarse
            labels), "stickers-files" (written as files and read again, lesson 18), "digits"
            (scikit-learn), "faces" (scikit-image). Of the sets that data_prep makes: "cifar10",
            "cifar100", "stl10", "stl10-unlabelled" in their own size, and
            "imagenet100", "imagenet100b", "imagenet100-shift", "imagenet100c/CORRUPTION/SEVERITY",
            "covid", decoded to 224 pixels (short side 256, centre). Of the embedded world, digits
            and faces, "NAME@7" is the same set drawn once more: other pictures of the same classes
            (of digits and faces another of five folds).
        split: "train" or "val", always the same pictures.
        n: how many of each class; None takes all, or the set's own number.

    Raises ValueError for a set or split that is not there, too large an n, or more pictures than
    fit in memory (linked.load leaves them on disk); FileNotFoundError for a set that
    data_prep has not made, with the command that does.

    >>> load("digits", "val", n=2).images.shape
    torch.Size([20, 3, 64, 64])
    """
    if split not in ("train", "val"):
        raise ValueError(f"unknown split {split!r}: expected train or val")
    if n is not None and n < 1:
        raise ValueError(f"{n} pictures of each class asked for; expected at least 1")
    asked, (name, draw) = name, _drawn(name)
    if name in bundled.SETS or name in prepared.COMMAND:
        small = bundled.SETS.get(name)
        whole = replace(small(split, draw), name=asked) if small else prepared.read(name, split)
        return whole if n is None else whole.per_class(n)
    if name.partition("/")[0] in linked.COMMAND:
        return _decoded(linked.load(name, split), n)
    from cinv_lib.data.stickers import (  # with fonts and filters seconds to import: if needed
        coarse,
        files,
        sets,
    )

    if name == files.NAME:
        return _from_files(name, split, n)
    known = sorted({known for known, _ in sets.SERIES} | set(coarse.TASKS) | {files.NAME})
    if name not in known:
        names = ", ".join([*known, *bundled.SETS, *prepared.COMMAND, *linked.COMMAND])
        raise ValueError(f"unknown image set {name!r}: expected one of {names}")
    drawn = coarse.image_set if name in coarse.TASKS else sets.image_set
    images, labels, class_names, provenance = drawn(name, split, n, draw)
    return ImageSet(images, labels, tuple(class_names), name=asked, provenance=provenance)


def _drawn(name: str) -> tuple[str, int]:
    """The name of a set and the number of its draw, 0 where it says none."""
    base, at, number = name.partition("@")
    if not at:
        return name, 0
    elsewhere = base in prepared.COMMAND or base.partition("/")[0] in linked.COMMAND
    if elsewhere or base == "stickers-files" or not (number.isascii() and number.isdigit()):
        raise ValueError(
            f"image set {name!r}: expected a set of the embedded world, digits or faces, and the "
            'number of a draw, as "stickers-100@11"; other sets are what they are'
        )
    return base, int(number)


def to_train(name: str, n: int | None = None) -> Pictures:
    """The training pictures of a set, n of each class or all of them. Unlike `load` it leaves files
    on disk: a random crop is cut from the whole picture, and a hundred thousand pictures do not fit
    in memory."""
    if name.startswith(OWN):
        return own(name, "train")
    if name.partition("/")[0] not in linked.COMMAND:
        return load(name, "train", n)
    files = linked.load(name, "train")
    return files if n is None else files.per_class(n)


def to_look_at(name: str, n: int | None = None) -> Pictures:
    """The validation pictures of a set, n of each class or all: in memory, or of a reader's own as
    files, which every encoder sees in its own way."""
    return own(name, "val") if name.startswith(OWN) else load(name, "val", n)


def own(name: str, split: str) -> ImageFiles:
    """Of the pictures of a folder, "folder:PATH", those that train ("train", 80 % of each class),
    or the others ("val").

    Raises FileNotFoundError for no such folder, ValueError for one without two pictures.
    """
    files = ImageFiles.from_folder(name.removeprefix(OWN))
    return files.split(SHARE, seed=0)[("train", "val").index(split)]


def command(name: str) -> str | None:
    """The command that makes a set of pictures; None where it is there, or drawn when asked for."""
    if name.startswith(OWN):
        folder = name.removeprefix(OWN)
        return None if Path(folder).is_dir() else f"put the folder back: {folder}"
    if name in prepared.COMMAND:
        files = [prepared.file_of(name, split) for split in prepared.SPLITS[name]]
        return None if all(file.is_file() for file in files) else prepared.COMMAND[name]
    if name.partition("/")[0] in linked.COMMAND:
        there = (home() / name / linked.MANIFEST).is_file()
        return None if there else linked.command(name)
    return None


def at_side(images: ImageSet, side: int) -> ImageSet:
    """The pictures at another size, bilinear, rounded to uint8. The set stays as it is where it has
    this size, or would be too large for memory (`LARGEST`): evaluation then resizes each batch."""
    if images.images.shape[-1] == side or image_files.gigabytes(len(images), side) > LARGEST:
        return images
    parts = [resized(to_float(x), side).mul_(255).round_() for x in images.images.split(256)]
    return replace(images, images=torch.cat([x.clamp_(0, 255).to(torch.uint8) for x in parts]))


def _from_files(name: str, split: str, n: int | None) -> ImageSet:
    """The drawn folder of lesson 18 as the embedded encoders see pictures, of which each is decoded
    once. Nothing is said of files that cannot be read: it has one on purpose."""
    from cinv_lib.data.stickers import drawing, files

    found = ImageFiles.from_folder(files.folder())
    whole = found.subset(
        torch.tensor([i for i, p in enumerate(found.paths) if files.CUT not in p], device="cpu")
    )
    share, seed = files.SPLIT
    chosen = whole.split(share, seed)[("train", "val").index(split)]
    chosen = chosen if n is None else chosen.per_class(n)
    seen = chosen.seen_as(Preprocess(drawing.SIZE, "squash", "bilinear"))
    made = f"written as files by stickers/files.py, series {files.SERIES}"
    return ImageSet(seen.decode(), chosen.labels, chosen.class_names, name, made)


def _decoded(files: image_files.ImageFiles, n: int | None) -> ImageSet:
    """Files as pictures in memory, as evaluation sees them."""
    files = files if n is None else files.per_class(n)
    if image_files.gigabytes(len(files)) > LARGEST:
        raise ValueError(
            f"{files.name}: {len(files):,} pictures are {image_files.gigabytes(len(files))} GB "
            f"decoded, expected at most {LARGEST}. Take some of each class (n=...), or leave them "
            f'on disk: linked.load("{files.name}", split).views(...)'
        )
    pictures = files.decode(progress=len(files) > 1000)
    return ImageSet(pictures, files.labels, files.class_names, files.name, files.provenance)
