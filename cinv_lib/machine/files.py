"""Files are written whole or not at all; a full disk is said in one sentence."""

import errno
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LEFT_OVER = ".tmp"  # how what a killed process was writing ends
# The last two are torch.save's only words for it.
FULL_DISK_WORDS = "no space left on device|disk quota exceeded|unexpected pos|failed writing file"


class DiskFull(OSError):
    """No space was left while an entry was built; everything finished is intact."""


@contextmanager
def whole(file: Path) -> Iterator[Path]:
    """A path to write to, beside `file`, in whose place it is put when the block ends well.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "answer.txt"
    >>> with whole(file) as part:
    ...     _ = part.write_text("42")
    >>> file.read_text(), len(list(file.parent.iterdir()))
    ('42', 1)
    """
    part = file.with_name(f".{file.name}.{os.getpid()}{LEFT_OVER}")
    try:
        yield part
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


def write_text(file: Path, text: str) -> None:
    """Writes the file whole or not at all."""
    with whole(file) as part:
        part.write_text(text, encoding="utf-8")


def read_json(file: Path) -> Any:
    """What a JSON file says. Raises OSError, or ValueError where it is no JSON."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def is_disk_full(error: BaseException | None) -> bool:
    """True for ENOSPC and an exceeded quota, also where a library (safetensors, torch.save)
    reports them as an error of its own with only the text left, or raises while handling one."""
    while error is not None:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or re.search(FULL_DISK_WORDS, str(error), re.IGNORECASE):
            return True
        error = error.__cause__ or error.__context__
    return False
