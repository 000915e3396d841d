"""Files are written whole or not at all; a full disk is said in one sentence."""

import errno
import os
import re
from pathlib import Path

# The last two are torch.save's only words for it.
FULL_DISK_WORDS = "no space left on device|disk quota exceeded|unexpected pos|failed writing file"


class DiskFull(OSError):
    """No space was left while an entry was built; everything finished is intact."""


def write_text(file: Path, text: str) -> None:
    """Writes the file whole or not at all: a temporary file beside it, then a rename."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def _existing(folder: Path) -> Path:
    return folder if folder.exists() else _existing(folder.parent)


def _is_disk_full(error: BaseException | None) -> bool:
    """True for ENOSPC and an exceeded quota, also where a library (safetensors, torch.save)
    reports them as an error of its own with only the text left, or raises while handling one."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if re.search(FULL_DISK_WORDS, str(error), re.IGNORECASE):
            return True
        error = error.__cause__ or error.__context__
    return False
