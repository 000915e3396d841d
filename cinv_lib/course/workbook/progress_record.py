"""What the reader has done, on disk: exercises, hints, predictions. Written whole or not at all."""

import json
import os
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import filelock

from cinv_lib.machine.files import read_json, write_text
from cinv_lib.machine.folders import progress_file

Entry = dict[str, Any]
Record = dict[str, dict[str, Entry]]
KINDS = ("exercises", "predictions")
COUNTS = ("attempts", "hints", "solution", "points")

_unsaved: dict[tuple[Path, str, str], Entry] = {}  # entries that could not be written


def load() -> Record:
    """{"exercises": {id: {attempts, hints, solution, solved}}, "predictions": {id: {...}}}.

    A file that cannot be read counts as empty, with a warning.
    """
    file = progress_file()
    try:
        known = _read(file)
    except (OSError, ValueError) as error:
        warnings.warn(f"your progress in {file} cannot be read: {error}", stacklevel=2)
        known = {kind: {} for kind in KINDS}
    return _with_unsaved(known, file)


def change(kind: str, id: str, how: Callable[[Entry], None]) -> Entry:
    """Apply `how` to one entry and write the file. Two notebooks at once lose nothing.

    A damaged file is kept under another name and begun anew. Where the disk cannot be written,
    the entry is kept by this process until it can. Both with a warning.
    """
    file = progress_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(file.with_suffix(".lock"), timeout=10):
            try:
                known = _read(file)
            except ValueError as error:
                known = _set_aside(file, error)
            entry = _with_unsaved(known, file)[kind].setdefault(id, {})
            how(entry)
            write_text(file, json.dumps(known, indent=1, sort_keys=True))
        for key in [key for key in _unsaved if key[0] == file]:
            del _unsaved[key]
    except (OSError, filelock.Timeout) as error:
        warnings.warn(f"your progress cannot be kept in {file}: {error}", stacklevel=2)
        entry = load()[kind].get(id, {})
        how(entry)
        _unsaved[file, kind, id] = entry
    return entry


def now() -> str:
    """The time, to the second."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _read(file: Path) -> Record:
    """The file's record, empty where there is no file. ValueError: it holds something else."""
    try:
        known = read_json(file)
    except FileNotFoundError:
        return {kind: {} for kind in KINDS}
    try:
        entries = [entry for kind in KINDS for entry in known[kind].values()]
        sound = all(isinstance(e.get(key, 0), int | float) for e in entries for key in COUNTS)
    except (LookupError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise ValueError("it is no record of progress")
    return known


def _set_aside(file: Path, error: ValueError) -> Record:
    aside = file.with_suffix(".damaged.json")
    os.replace(file, aside)
    warnings.warn(
        f"your progress in {file} cannot be read: {error}; kept as {aside.name}, begun anew",
        stacklevel=3,
    )
    return {kind: {} for kind in KINDS}


def _with_unsaved(known: Record, file: Path) -> Record:
    for (other, kind, id), entry in _unsaved.items():
        if other == file:
            known[kind][id] = dict(entry)
    return known
