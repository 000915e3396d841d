"""What the reader has done, on disk: exercises, hints, predictions. Written whole or not at all."""

import json
import os
import warnings
from collections.abc import Callable
from datetime import datetime
from typing import Any

import filelock

from cinv_lib.home import progress_file
from cinv_lib.store import write_text

Record = dict[str, dict[str, dict[str, Any]]]


def load() -> Record:
    """{"exercises": {id: {attempts, hints, solution, solved}}, "predictions": {id: {...}}}.

    A file that cannot be read is set aside under another name, with a warning, and begun anew.
    """
    file = progress_file()
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        return {key: dict(known[key]) for key in ("exercises", "predictions")}
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        aside = file.with_suffix(".damaged.json")
        try:
            os.replace(file, aside)
        except OSError:
            aside = file
        warnings.warn(
            f"your progress in {file} cannot be read ({error}); kept as {aside.name}, begun anew",
            stacklevel=2,
        )
    return {"exercises": {}, "predictions": {}}


def change(kind: str, id: str, how: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Apply `how` to one entry and write the file. Two notebooks at once lose nothing.

    Where the disk cannot be written, the entry is changed for this call only, with a warning.
    """
    file = progress_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(file.with_suffix(".lock"), timeout=10):
            record = load()
            entry = record[kind].setdefault(id, {})
            how(entry)
            write_text(file, json.dumps(record, indent=1, sort_keys=True))
    except (OSError, filelock.Timeout) as error:
        warnings.warn(f"your progress cannot be kept in {file}: {error}", stacklevel=2)
        entry = load()[kind].get(id, {})
        how(entry)
    return entry


def now() -> str:
    """The time, to the second."""
    return datetime.now().astimezone().isoformat(timespec="seconds")
