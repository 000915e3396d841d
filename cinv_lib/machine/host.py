"""What this machine gives the course: cores, memory, GPUs, folders that can be written to.

The Makefile asks before there is an environment (by `machine.shell`), so this file needs the
standard library alone, of Python 3.8 or newer.
"""

# ruff: noqa: UP006, UP035, UP045 (the names of types that Python 3.8 has)

import os
import pwd
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Dict, List, Optional

from cinv_lib.machine.folders import ROOT

GIB = 2**30
JOB = 1.5 * GIB  # what a training, or an executed notebook, holds in memory
SPARE = 1 * GIB  # for everything else on the machine

# A name of a GPU as CUDA_VISIBLE_DEVICES has it: its number, or "GPU-..." or "MIG-...".
GPU = re.compile(r"\d+|(GPU|MIG)-[\w/-]+", re.ASCII)

# Folders that programs of the course write to without asking: a variable and where it points by
# default. In containers HOME is often missing, or is somebody else's.
WRITTEN = {
    "XDG_CACHE_HOME": "~/.cache",
    "IPYTHONDIR": "~/.ipython",
    "JUPYTER_CONFIG_DIR": "~/.jupyter",
    "JUPYTER_DATA_DIR": "~/.local/share/jupyter",
    "JUPYTER_RUNTIME_DIR": "~/.local/share/jupyter/runtime",
    "MPLCONFIGDIR": "~/.config/matplotlib",
}
USER_NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")  # the order of getpass.getuser


def _read(path: Path) -> str:
    """A small file of the system; "" where there is none."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _groups(controller: str, root: Path) -> List[Path]:
    """Folders of this process's control groups for a controller, from its own to the outermost.

    Version 2 has one tree, version 1 one for each controller. In a container the path that
    /proc/self/cgroup names is often the host's and absent; then the outermost is its own.
    """
    found = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / (controller if controllers else "")
        parts = [part for part in path.strip().split("/") if part not in ("", "..")]
        found += [top.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]
    return found


def cores(root: Path = Path("/")) -> int:
    """Cores that this process may use: those it may run on, at most a container's quota."""
    affinity = getattr(os, "sched_getaffinity", None)  # macOS has none
    may = len(affinity(0)) if affinity else os.cpu_count() or 1
    for group in _groups("cpu", root):
        quota, _, period = _read(group / "cpu.max").strip().partition(" ")
        quota = quota or _read(group / "cpu.cfs_quota_us").strip()
        period = period or _read(group / "cpu.cfs_period_us").strip()
        if quota.isdigit() and period.isdigit() and int(period) > 0:  # else "max", or -1
            may = min(may, int(quota) // int(period))
    return max(1, may)


def memory(root: Path = Path("/")) -> Optional[int]:
    """Bytes that are free for new processes, of the machine or of the container; None: unknown."""
    free = []
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _read(root / "proc/meminfo"), re.M)
    if found:
        free.append(int(found[1]) * 1024)
    for group in _groups("memory", root):
        limit = _read(group / "memory.max").strip()
        limit = limit or _read(group / "memory.limit_in_bytes").strip()
        used = _read(group / "memory.current").strip()
        used = used or _read(group / "memory.usage_in_bytes").strip()
        if limit.isdigit() and used.isdigit():  # else "max"
            stat = _read(group / "memory.stat")
            cached = re.search(r"^(?:total_)?inactive_file (\d+)", stat, re.M)  # can be given back
            free.append(int(limit) - int(used) + (int(cached[1]) if cached else 0))
    if not free and root == Path("/"):  # no Linux
        try:
            free.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        except (ValueError, OSError, AttributeError):
            return None
    return max(0, min(free)) if free else None


def gpus() -> List[str]:
    """Names of the GPUs that a job may be given: those of CUDA_VISIBLE_DEVICES, else all.

    A name that CUDA does not know hides all from there on: "-1" is what people write for that.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return _driver()
    names = [name for name in re.split(r"[\s,]+", visible) if name]
    known = next((i for i, name in enumerate(names) if not GPU.fullmatch(name)), len(names))
    return names[:known] or (["-1"] if names else [])


def _driver() -> List[str]:
    """Numbers of the GPUs that nvidia-smi lists. Without a usable driver it prints sentences."""
    lines = answer(["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]).split("\n")
    return [line.strip() for line in lines if re.fullmatch(r"[0-9]+", line.strip())]


def gpu_names(text: str) -> str:
    """Names of GPUs as a reader types them, checked: they go into the shell of jobs.

    Raises:
        ValueError: one is none.
    """
    names = text.replace(",", " ").split()
    wrong = [name for name in names if name != "-1" and not GPU.fullmatch(name)]
    if wrong:
        expected = "expected numbers, as in GPUS='0 1'"
        raise ValueError(f"GPUS={text!r}: {wrong[0]!r} is no GPU; {expected}")
    return " ".join(names)


def driver() -> Optional[int]:
    """The NVIDIA driver's first number, such as 580; None: there is none that works."""
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    found = re.match(r"([0-9]+)\.[0-9.]+$", answer(asked), re.M)
    return int(found[1]) if found else None


def answer(command: List[str]) -> str:
    """What a command prints; "" if it cannot start, fails or does not end (a driver hangs)."""
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace").strip()


def jobs(names: List[str], root: Path = Path("/")) -> int:
    """Trainings at once: one a GPU, else one a core, as far as there is memory for them."""
    real = [name for name in names if name != "-1"]
    if real:
        return len(real)
    free = memory(root)
    return max(1, cores(root) if free is None else min(cores(root), int((free - SPARE) // JOB)))


def writable(folder: Path) -> bool:
    """Whether a file can be made in this folder, or in the nearest above it that is there.

    It is tried. Permissions do not tell: root passes them all, and a disk may be read-only.
    """
    there = next(f for f in (folder, *folder.parents) if os.path.lexists(str(f)))
    try:
        with tempfile.TemporaryFile(dir=str(there)):
            return folder.is_absolute()  # "~" stays where there is no home at all
    except OSError:
        return False


def stand_in() -> Path:
    """Folder for what programs would write to HOME, if they could."""
    beside = ROOT / ".cache"
    if writable(beside):
        return beside
    return Path(tempfile.gettempdir()).absolute() / f"cinv-{os.getuid()}"


def environment() -> Dict[str, str]:
    """Variables that the course's programs need here. Most machines need none."""
    needed = {}
    for variable, default in WRITTEN.items():
        folder = os.environ.get(variable) or os.path.expanduser(default)
        if not writable(Path(folder)):
            needed[variable] = str(stand_in() / variable.lower())
    if not any(os.environ.get(name) for name in USER_NAMES):
        needed["USER"] = needed["LOGNAME"] = user()  # many ask for a name, and none is for some ids
    return needed


def file_system(folder: Path, root: Path = Path("/")) -> str:
    """The kind of file system that a folder is on, such as "ext4" or "nfs4"; "": unknown."""
    lines = [line.split() for line in _read(root / "proc/self/mountinfo").splitlines()]
    mounts = [(line[4], line[line.index("-") + 1]) for line in lines if "-" in line]
    if not mounts and root == Path("/"):  # no Linux: "DEVICE on FOLDER (KIND, ...)"
        mounts = re.findall(r" on (.+) \(([^,)]+)", answer(["mount"]))
    mounts = [
        (re.sub(r"\\([0-7]{3})", lambda o: chr(int(o[1], 8)), at), kind) for at, kind in mounts
    ]
    above = [str(parent) for parent in (folder, *folder.parents)]
    over = [(len(at), i, kind) for i, (at, kind) in enumerate(mounts) if at in above]
    return max(over)[2] if over else ""


def user() -> str:
    """This process's user, or a made-up name where the id has none (docker run -u 1234)."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user{os.getuid()}"


def check(settings: List[str]) -> List[str]:
    """What is wrong with these "NAME=VALUE", a sentence each: whole numbers from 1."""
    wrong = []
    for name, _, value in (setting.partition("=") for setting in settings):
        most = 65535 if name == "PORT" else 10**6
        if not re.fullmatch(r"[0-9]{1,7}", value) or not 1 <= int(value) <= most:
            wrong.append(f"{name}={value!r}: expected a whole number from 1 to {most}")
    return wrong
