"""What was trained, on disk: content-addressed, atomic, locked, with provenance.

An entry is a folder `ROOT/KIND/LABEL-ADDRESS`: the label is to be read, the address is a hash of
the *spec*, the plain description of everything that the result depends on. Asking twice for the
same spec builds once:

>>> import tempfile
>>> store = Store(tempfile.mkdtemp())
>>> def build(folder):
...     _ = (folder / "answer.txt").write_text("42")
>>> folder = store.make("example", {"question": "life", "seed": 0}, build)
>>> (folder / "answer.txt").read_text()
'42'
>>> store.make("example", {"seed": 0, "question": "life"}, build) == folder
True
"""

import errno
import hashlib
import itertools
import json
import os
import re
import shutil
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cinv_lib.machine.files import LEFT_OVER, DiskFull, is_disk_full, read_json, write_text
from cinv_lib.machine.locks import locked
from cinv_lib.machine.provenance import cpu_seconds, describe

NAME = re.compile(r"(.*?)(?:\.(partial|damaged)(?:-\d+)?)?")  # of a folder: address and state
ADDRESS_DIGITS = 8  # of sha256: to be read aloud; beside it in the folder stands the whole spec


def canonical(value: Any, where: str = "spec") -> Any:
    """`value` as plain JSON data, equal for values that mean the same.

    Mappings keep their (string) keys, tuples become lists, whole floats become integers (1.0 and 1
    are equal in Python, so they share an address), paths and NumPy scalars become plain values. A
    dataclass with a `__str__` of its own (an operator, a loss) becomes that string, so that
    `RandomMask(0.9)` and `"mask:0.9"` are one spec; any other dataclass becomes its fields, all of
    them: were fields at their default left out, changing a default later would silently return old
    results. Its class may be renamed.

    Args:
        where: what an error calls the value.

    Raises:
        TypeError: for anything else (a tensor, a function, a set), naming where it stands.
        ValueError: for NaN and infinities, which JSON does not have.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not np.isfinite(value):
            raise ValueError(f"{where} is {value}; a spec holds finite numbers only")
        return int(value) if value.is_integer() else value
    if isinstance(value, Path):
        return value.as_posix()
    if is_dataclass(value) and not isinstance(value, type):
        if type(value).__str__ is not object.__str__:
            return str(value)
        names = [f.name for f in fields(value)]
        return {name: canonical(getattr(value, name), f"{where}.{name}") for name in names}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {key!r}; keys must be strings")
        return {key: canonical(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item, f"{where}[{i}]") for i, item in enumerate(value)]
    raise TypeError(
        f"{where} is a {type(value).__name__}, which has no canonical text; put what identifies it "
        "in the spec instead (a name, a seed, a recipe, the address of another entry)"
    )


def address(spec: Mapping[str, Any]) -> str:
    """The first hex digits of the sha256 of the spec's canonical JSON."""
    text = json.dumps(canonical(spec), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:ADDRESS_DIGITS]


PROVENANCE = "provenance.json"
ATTEMPTS = "attempts.json"
LONGEST_ATTEMPT = 30 * 24 * 3600  # seconds


class Store:
    """A folder of finished results. Safe for several processes at once, and to kill at any time."""

    def __init__(self, root: str | os.PathLike):
        self.root = Path(root)

    def path(self, kind: str, spec: Mapping[str, Any], label: str = "") -> Path:
        """Where the entry stands, or would stand. label: what a reader calls it, for the folder's
        name; as its spec decides it, too, two labels are two entries."""
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", kind):
            raise ValueError(f"kind {kind!r}: use lower-case letters, digits, '-' and '_' only")
        readable = re.sub(r"[^\w.,=@+-]+", "_", f"{label}-" if label else "")
        return self.root / kind / f"{readable}{address(spec)}"

    def finished(self, kind: str, spec: Mapping[str, Any], label: str = "") -> bool:
        """Whether the entry is there: its provenance is readable, is of this spec, and every file
        that it lists has its recorded size. Quick, whatever the files hold."""
        return flaw(self.path(kind, spec, label), canonical(spec), digests=False) is None

    def intact(self, kind: str, spec: Mapping[str, Any], label: str = "") -> bool:
        """The same, and every file has its recorded digest. To be asked before a file is read: it
        takes about as long as to read them all."""
        return flaw(self.path(kind, spec, label), canonical(spec)) is None

    def make(
        self,
        kind: str,
        spec: Mapping[str, Any],
        build: Callable[[Path], None],
        label: str = "",
    ) -> Path:
        """The folder of the intact entry, built first if it is not there.

        `build(folder)` is called under a lock (another process that asks for the same entry waits
        and then finds it), in a folder beside the final one that *stays when the process is
        killed or `build` raises*: the next call gets it again with what was left in it, so
        checkpoints in it resume. When `build` returns, `provenance.json` is added and the folder
        is renamed to its final name in one step.

        Raises:
            DiskFull: no space was left. What is finished is intact, the partial folder is kept.
        """
        final, plain = self.path(kind, spec, label), canonical(spec)
        if flaw(final, plain) is None:
            return final
        partial = final.with_name(final.name + ".partial")
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            with locked(final.with_name(f".{final.name}.lock"), f"{kind} {final.name}"):
                wrong = flaw(final, plain)
                if wrong is None:  # another process has built it while this one waited
                    return final
                if final.exists():
                    _set_aside(final, wrong)
                partial.mkdir(exist_ok=True)
                attempts = _open_attempt(partial)
                build(partial)
                _finish(partial, kind, plain, final.name, attempts)
                os.replace(partial, final)
        except Exception as error:
            if not is_disk_full(error):
                raise
            there = next(folder for folder in final.parents if folder.exists())
            raise DiskFull(
                errno.ENOSPC,
                f"the disk is full ({shutil.disk_usage(there).free / 2**20:.0f} MB free "
                f"at {self.root}) while building {kind} {final.name}. Nothing finished is damaged; "
                f"what was built so far is kept in {partial} and the next call goes on from there. "
                "Free some space, or move the store to another disk",
            ) from error
        return final

    def listing(self) -> pd.DataFrame:
        """Every entry, oldest first: kind, address, state ("finished", "partial", "damaged"; by
        names and sizes, as in `finished`), date, minutes, mb, spec, path."""
        rows = []
        for folder in sorted(folder for folder in self.root.glob("*/*") if folder.is_dir()):
            name, left = NAME.fullmatch(folder.name).groups()
            state = left or ("damaged" if flaw(folder, digests=False) else "finished")
            megabytes = sum(_sizes(folder).values()) / 1e6
            here = {"kind": folder.parent.name, "address": name, "state": state}
            here |= {"mb": round(megabytes, 2), "path": str(folder)}
            rows.append({"date": "", "minutes": np.nan, "spec": {}} | _provenance(folder) | here)
        columns = ["kind", "address", "state", "date", "minutes", "mb", "spec", "path"]
        return pd.DataFrame(rows, columns=columns).sort_values("date", ignore_index=True)


def provenance(folder: str | os.PathLike) -> dict[str, Any]:
    """The provenance of a finished entry: kind, address, spec, commit, date, machine, versions,
    minutes (all attempts together), cpu_minutes (of the last one, which no other work on the
    machine makes longer), threads, attempts, files with their sizes.

    Raises:
        FileNotFoundError: the folder is not a finished entry.
    """
    known = _provenance(Path(folder))
    if not known:
        raise FileNotFoundError(f"{folder} has no readable {PROVENANCE}: not a finished entry")
    return known


def _provenance(folder: Path) -> dict[str, Any]:
    try:
        known = read_json(folder / PROVENANCE)
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def flaw(folder: Path, plain: Any = None, digests: bool = True) -> str | None:
    """Why the folder is not a finished entry, or None. `plain`: the canonical spec to expect.
    digests: read all files, too, for what a disk has changed by itself; entries from before digests
    were kept have none.

    This also stands in for fsync: after a power cut a renamed folder may hold empty files, and is
    then found out here by their sizes."""
    if not folder.is_dir():
        return "it is not there"
    known = _provenance(folder)
    kept = [known.get("files"), known.get("sha256", {})]
    if not all(isinstance(part, dict) for part in kept) or "spec" not in known:
        return f"its {PROVENANCE} is absent or unreadable"
    if plain is not None and known["spec"] != plain:
        return f"its {PROVENANCE} is of another spec, {known['spec']}"
    there = _sizes(folder)
    for name in {**kept[0], **kept[1]}:
        if name not in there:
            return f"its file {name} is missing"
    for name, size in kept[0].items():
        if there[name] != size:
            return f"its file {name} has {there[name]} bytes, not {size}"
    for name, digest in kept[1].items() if digests else ():
        if _digest(folder / name) != digest:
            return f"its file {name} has other bytes than when it was written"
    return None


def _sizes(folder: Path) -> dict[str, int]:
    """Every file in a folder, those in folders of it too, by its name there; and its bytes."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.stat().st_size for file in files}


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _set_aside(folder: Path, flaw: str) -> None:
    """Renamed, not deleted: it may be somebody's only copy."""
    names = (folder.with_name(f"{folder.name}.damaged-{n}") for n in itertools.count(1))
    aside = next(name for name in names if not name.exists())
    os.replace(folder, aside)
    warnings.warn(f"{folder} is damaged ({flaw}); kept as {aside.name}, built anew", stacklevel=3)


def _open_attempt(partial: Path) -> list[dict[str, float]]:
    """Notes the start of this attempt. An earlier one that was killed could not note its end: the
    newest file that it left tells it, to within a checkpoint's interval."""
    try:
        left = [(partial / name).stat().st_mtime for name in _sizes(partial)]
        known = read_json(partial / ATTEMPTS)
        times = [(float(a["start"]), float(a.get("end", max(left)))) for a in known]
        attempts = [{"start": start, "end": end} for start, end in times]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError):
        attempts = []
    for part in partial.rglob(f".*{LEFT_OVER}"):
        part.unlink()  # else it would be among the files of the finished entry
    attempts.append({"start": time.time()})
    write_text(partial / ATTEMPTS, json.dumps(attempts))
    attempts[-1] |= {"began": time.monotonic(), "computed": cpu_seconds()}
    return attempts


def _finish(partial: Path, kind: str, plain: Any, name: str, attempts: list[dict]) -> None:
    # This attempt by a clock that nobody sets. An earlier one that seems to have taken a month, or
    # less than nothing, has seen the clock set.
    earlier = [a["end"] - a["start"] for a in attempts[:-1]]
    seconds = sum(s for s in earlier if 0 <= s < LONGEST_ATTEMPT)
    seconds += time.monotonic() - attempts[-1]["began"]
    computed = cpu_seconds() - attempts[-1]["computed"]
    for own in (ATTEMPTS, PROVENANCE):
        (partial / own).unlink(missing_ok=True)
    files = _sizes(partial)
    entry = {"kind": kind, "address": name, "spec": plain} | describe()
    entry |= {"minutes": round(seconds / 60, 3), "cpu_minutes": round(computed / 60, 3)}
    entry |= {"attempts": len(attempts), "files": files}
    entry["sha256"] = {name: _digest(partial / name) for name in files}
    write_text(partial / PROVENANCE, json.dumps(entry, indent=2, sort_keys=True) + "\n")
