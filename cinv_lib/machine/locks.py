"""A lock between processes, and what is said to somebody who waits for it."""

from contextlib import AbstractContextManager
from pathlib import Path

import filelock


def locked(file: Path, what: str) -> AbstractContextManager:
    """Holds an inter-process lock that the system frees when its holder dies, and says why the
    reader waits for it.

    what: that the holder of the lock builds.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(file)
    try:
        return lock.acquire(timeout=0)
    except filelock.Timeout:
        print(f"another process is building {what}; waiting for it", flush=True)
        return lock.acquire()
