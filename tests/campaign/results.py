"""What a piece of work ends with if nothing happens, and what is not so in a folder."""

import functools
import hashlib
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tests.campaign import operations
from tests.campaign.forked import call
from tests.campaign.works import BUILT, Work, pictures

# On its way, or said at every run: no finished result.
PASSING = (".lock", ".tmp", ".partial", ".part", ".making", ".old", "provenance.json", BUILT)


@dataclass(frozen=True)
class Undisturbed:
    """files: what the work ends with, and their digests. seconds: how long it took; operations:
    how many on files; size: bytes that it holds."""

    files: dict[str, str]
    seconds: float
    operations: int
    size: int


def finished(folder: Path) -> dict[str, str]:
    """Digest of every finished file in a folder; of a link, where it leads."""
    found = {}
    for at, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if not f.endswith(PASSING) and ".damaged" not in f]
        for name in (*names, *(f for f in folders if Path(at, f).is_symlink())):
            path = Path(at, name)
            if name.endswith(PASSING) or ".damaged" in name:
                continue
            data = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
            if name.endswith(".csv") and b"images_per_s" in data.partition(b"\n")[0]:
                data = _without_speed(path)  # a history, or a table that holds one
            key = path.relative_to(folder).as_posix()
            found[key] = hashlib.sha256(data).hexdigest()[:16]
    return found


def _without_speed(file: Path) -> bytes:
    """A training's history without its clocks."""
    try:
        table = pd.read_csv(file)
    except ValueError:
        return file.read_bytes()
    return table.drop(columns=["images_per_s", "waiting"], errors="ignore").to_csv().encode()


@functools.cache
def undisturbed(work: Work) -> Undisturbed:
    """What the work does if nothing happens, from a run of it in a process of its own."""
    folder = Path(tempfile.mkdtemp(prefix="whole-"))
    pictures()  # here, so that every forked process finds the same
    try:
        call(lambda: work.run(Path(tempfile.mkdtemp(dir=folder))))  # what is lazy is now warm
        whole = folder / "whole"
        whole.mkdir()
        started = time.monotonic()
        ended = call(lambda: operations.counted(lambda: work.run(whole), whole))
        seconds = time.monotonic() - started
        if not ended.well:
            raise RuntimeError(f"{work.name} fails undisturbed: {ended}")
        size = sum(f.lstat().st_size for f in whole.rglob("*"))
        return Undisturbed(finished(whole), seconds, ended.value, size)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def differs(found: dict[str, str], whole: dict[str, str]) -> str:
    """What is not as it is undisturbed; "" if all is."""
    other = [name for name in whole if found.get(name) != whole[name]]
    more = [name for name in found if name not in whole]
    words = [f"{name} is {'another' if name in found else 'absent'}" for name in other]
    return "; ".join([*words, *(f"{name} is there too" for name in more)][:4])


def damaged(folder: Path, work: Work) -> str:
    """What stands at a finished place and is not as it is undisturbed; "" if nothing."""
    found, whole = finished(folder), undisturbed(work).files
    return differs(found, {name: whole[name] for name in found if name in whole})
