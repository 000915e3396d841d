"""Archives that mean harm, or are broken: nothing is run, nothing lands outside, and what is there
stays."""

import io
import os
import pickle
import random
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from cinv_lib.data.stickers import sets as sticker_sets
from cinv_lib.encoders import weight_files
from cinv_lib.training import checkpoint
from data_prep import download, official
from tests.campaign.judge import Outcome, lost, said, survived, unclear
from tests.campaign.trials import Settings, Trial

NUMBER = 100  # archives that are broken at random
NAMES = ("../outside", "/tmp/campaign-outside", "a/../../outside", "..", "a/b/../../../outside")
KINDS = (tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)


class Runs:
    """What a pickle runs as it is read."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def archives(settings: Settings) -> Iterator[Trial]:
    """Tar files, pickles in four kinds of file, zip files."""
    for kind in KINDS:
        for name in NAMES:
            run = partial(tar, kind, name)
            yield Trial("archives", f"tar {kind.decode()} {name}", run, short=True)
    for i in settings.number(NUMBER):
        yield Trial("archives", f"broken tar {i:03}", broken_tar, short=True)
    for how, make in PICKLES.items():
        for reader in READERS:
            run = partial(pickled, make, reader)
            yield Trial("archives", f"{how} as {reader}", run, short=True)
    for i in settings.number(NUMBER):
        yield Trial("archives", f"drawn pictures {i:03}", broken_drawing, short=True)


def tar(kind: bytes, name: str, folder: Path, chance: random.Random) -> Outcome:
    """A member of this kind and name, or a link that leads there."""
    archive = folder / "box" / "some.tar"
    archive.parent.mkdir()
    with tarfile.open(archive, "w") as packed:
        one = tarfile.TarInfo(name if kind == tarfile.REGTYPE else "inside")
        one.type, one.linkname, one.size = kind, name, 3 if kind == tarfile.REGTYPE else 0
        packed.addfile(one, io.BytesIO(b"out") if one.size else None)
        more = tarfile.TarInfo("inside/more")
        more.size = 4
        packed.addfile(more, io.BytesIO(b"more"))
    return _unpacked(archive, folder)


def _unpacked(archive: Path, folder: Path) -> Outcome:
    there = archive.parent / "there"
    there.mkdir()
    (there / "whole.txt").write_text("whole")
    outside = {p for p in folder.rglob("*") if there not in p.parents}
    _, wrong = said(lambda: download.unpack(archive, there), [str(archive)])
    more = {
        p for p in folder.rglob("*") if there not in p.parents and p.suffix != ".lock"
    } - outside
    if more or os.path.lexists("/tmp/campaign-outside"):
        return lost(f"it was unpacked to {more or '/tmp/campaign-outside'}")
    if wrong and (there / "whole.txt").read_text() != "whole":
        return lost("what was there is gone")
    return wrong or survived("unpacked, all inside")


def broken_tar(folder: Path, chance: random.Random) -> Outcome:
    """Bytes of an archive are others, or its end is missing."""
    archive, mode = folder / "box" / "some.tar", chance.choice(["w", "w:gz", "w:xz", "w:bz2"])
    archive.parent.mkdir()
    with tarfile.open(archive, mode) as packed:
        for i in range(5):
            one = tarfile.TarInfo(f"folder/{i}")
            one.size = 700
            packed.addfile(one, io.BytesIO(random.Random(i).randbytes(700)))
    data = bytearray(archive.read_bytes())
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    archive.write_bytes(data[: chance.choice([len(data), chance.randrange(len(data))])])
    return _unpacked(archive, folder)


def plain(file: Path, thing: Runs) -> None:
    """A pickle alone."""
    file.write_bytes(pickle.dumps({"state_dict": thing}))


def torch_zip(file: Path, thing: Runs) -> None:
    """A file of torch's, with more than tensors."""
    torch.save({"state_dict": {"w": torch.ones(2)}, "beside": thing}, file)


def script(file: Path, thing: Runs) -> None:
    """A zip that says of itself that it is TorchScript."""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x/constants.pkl", pickle.dumps(thing))
        archive.writestr("x/data.pkl", pickle.dumps(thing))


def empty_zip(file: Path, thing: Runs) -> None:
    """A zip of nothing."""
    with zipfile.ZipFile(file, "w"):
        pass


def other_things(file: Path, thing: Runs) -> None:
    """A file of torch's that holds no weights."""
    torch.save([1, {"a": {"b": None}}, "text"], file)


PICKLES: dict[str, Callable[[Path, Runs], None]] = {
    "pickle": plain,
    "torch zip": torch_zip,
    "script": script,
    "empty zip": empty_zip,
    "other things": other_things,
}
READERS = ("weights", "checkpoint", "official")


def pickled(
    make: Callable[[Path, Runs], None], reader: str, folder: Path, chance: random.Random
) -> Outcome:
    """Read what would run a command: it must not run."""
    mark, file = folder / "it-ran", folder / "weights.pt"
    make(file, Runs(mark))
    read = {
        "weights": lambda: weight_files.read(file),
        "checkpoint": lambda: checkpoint.load(file, {}),
        "official": lambda: official.read(file),
    }[reader]
    found, wrong = said(read, [str(file)])
    if mark.exists():
        return lost("reading it ran what was in it")
    if wrong is None and reader == "weights":
        return unclear(f"{found!r} is given out as weights")
    return wrong or survived("refused, or ignored with a warning")


def broken_drawing(folder: Path, chance: random.Random) -> Outcome:
    """The file of drawn pictures is damaged: they are drawn again, or it is said."""
    os.environ["CINV_HOME"] = str(folder)
    drawn, kept = sticker_sets.image_set, {}
    sticker_sets.draw_all = lambda series, ids, train: torch.zeros(len(ids), 3, 64, 64).byte()
    for split in ("val",):
        kept[split] = drawn("stickers-shift", split, 1)
    file = next((folder / "stickers").glob("*.npz"))
    data = bytearray(file.read_bytes())
    for _ in range(chance.randint(1, 4)):
        data[chance.randrange(len(data))] ^= chance.randint(1, 255)
    file.write_bytes(data[: chance.choice([len(data), chance.randrange(len(data))])])
    again, wrong = said(lambda: drawn("stickers-shift", "val", 1), [str(file), file.name])
    if wrong:
        return wrong
    same = all(np.array_equal(a, b) for a, b in zip(again[:3], kept["val"][:3], strict=True))
    return survived("they are what they were") if same else lost("other pictures were read")
