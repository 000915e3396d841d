"""A clock that is replaced: in this process, and in the dates of files."""

import datetime
import json
import os
import time
from pathlib import Path

from cinv_lib.machine import provenance

DAY = 24 * 3600.0
YEAR = 365 * DAY
LONG = 60  # minutes that no piece of work here takes


def shift(by: float) -> None:
    """From here on this process sees another time; seconds that are counted are as long as ever."""
    real, real_ns = time.time, time.time_ns
    time.time = lambda: real() + by
    time.time_ns = lambda: real_ns() + int(by * 1e9)

    class Moved(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.datetime.fromtimestamp(time.time(), tz)

    provenance.datetime = Moved


def shift_files(folder: Path, by: float) -> None:
    """Date all files as if that clock had dated them."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            then = path.stat().st_mtime + by
            os.utime(path, (then, then))


def wrong_minutes(folder: Path) -> str:
    """What no work here can have taken; "" if all is well."""
    for file in folder.rglob("provenance.json"):
        minutes = json.loads(file.read_text())["minutes"]
        if not 0 <= minutes <= LONG:
            return f"{file.parent.name} took {minutes} minutes, it says"
    return ""
