"""Where a result comes from: commit, date, machine, versions."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from cinv_lib import __version__
from cinv_lib.machine import host

HERE = Path(__file__).resolve().parents[1]  # the whole library, not this folder alone


def describe() -> dict[str, str | int]:
    """commit, date (UTC, ISO 8601), machine, python, torch and cinv_lib versions, and threads (of
    one operation of torch's) of this process.

    What cannot be found out is "unknown": no git, no repository, no package metadata.

    >>> sorted(describe())
    ['cinv_lib', 'commit', 'date', 'machine', 'python', 'threads', 'torch']
    """
    try:
        torch = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        torch = "unknown"
    return {
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "python": platform.python_version(),
        "torch": torch,
        "cinv_lib": __version__,
        "threads": threads(),
    }


def threads() -> int:
    """On how many cores one operation of torch's may compute; 1 where nobody has imported it."""
    torch = sys.modules.get("torch")
    return 1 if torch is None else torch.get_num_threads()


def cpu_seconds() -> float:
    """What this process and its children that have ended have computed: unlike the time by a clock
    it does not grow with what else the machine has to do."""
    return sum(os.times()[:4])


def commit(folder: Path = HERE) -> str:
    """The commit of the repository around the folder; "+changes" when files in it differ."""
    head = _git(folder, "rev-parse", "HEAD")
    if not head:
        return "unknown"
    return head + ("+changes" if _git(folder, "status", "--porcelain", "--", ".") else "")


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def machine() -> str:
    """Processor, usable cores and GPU, e.g. "Intel(R) Xeon(R) ..., 2 cores"; not its name."""
    processor = cpuinfo("model name") or platform.processor() or platform.machine() or "unknown"
    parts = [processor, f"{host.cores()} cores"]
    torch = sys.modules.get("torch")  # a process that did not import it trained nothing on a GPU
    if torch is not None and torch.cuda.is_available():
        parts.append(f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}")
    return ", ".join(parts)


def cpuinfo(field: str) -> str:
    """A field of /proc/cpuinfo, of the first core; "" where the system has no such file or field.

    >>> cpuinfo("no such field")
    ''
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")
