"""Operations on files of a process, counted; and a call at one of them.

A moment by the clock rarely falls between two renames, the n-th operation does.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

WATCHED = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.listdir",
           "os.scandir", "os.truncate", "shutil.rmtree", "fcntl.flock"}  # fmt: skip


def watch(folder: Path, then: Callable[[int], None]) -> None:
    """From here on, before each operation of this process below `folder`, call `then(number)`.
    Locks count wherever they are. A hook stays until its process ends."""
    count, begin, mine = 0, str(folder), os.getpid()

    def hook(event: str, arguments: tuple) -> None:
        nonlocal count
        if event not in WATCHED or os.getpid() != mine:
            return
        named = [str(a) for a in arguments if isinstance(a, str | os.PathLike)]
        if event == "fcntl.flock" or any(name.startswith(begin) for name in named):
            count += 1
            then(count)

    sys.addaudithook(hook)


def counted(work: Callable[[], Any], folder: Path) -> int:
    """Do it; how many operations it took."""
    total = 0

    def note(number: int) -> None:
        nonlocal total
        total = number

    watch(folder, note)
    work()
    return total
