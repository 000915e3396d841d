"""Will it work here? What the doctor looks at before anything is installed, and after it too.

The standard library alone, as in all that `machine.shell` imports. A fix is true as it stands: a
command to type, or what to do.
"""

# ruff: noqa: UP006, UP035, UP045 (the names of types that Python 3.8 has)

import os
import platform
import re
import shutil
import socket
import sys
from pathlib import Path
from typing import Callable, List, Optional, Tuple

from cinv_lib.machine import folders, host, installation
from cinv_lib.machine.finding import REINSTALL, Finding
from cinv_lib.machine.host import GIB

CUDA_13 = 580  # the first NVIDIA driver that runs the CUDA of requirements.lock
REMOTE = re.compile(r"nfs|cifs|smb|afp|webdav|9p|drvfs|v9fs|fuse\.(sshfs|rclone|gvfs)|vboxsf|afs")
SYNCED = re.compile(
    r"OneDrive|Dropbox|Google ?Drive|GoogleDrive|Nextcloud|Mobile Documents|CloudStorage"
)
STRAY = ("PYTHONPATH", "PYTHONHOME", "JUPYTER_PATH")  # hidden by make from all that it starts


def system() -> Finding:
    """PyTorch has wheels for few systems."""
    kind, machine = sys.platform, platform.machine()
    name = f"{platform.system()} {platform.release()} on {machine}"
    if kind == "darwin":
        version = platform.mac_ver()[0]
        name = f"macOS {version} on {machine}"
        if machine != "arm64" or int(version.split(".")[0] or 0) < 14:
            fix = "another machine; on Apple silicon, macOS 14 and a Python for arm64"
            detail = f"{name}: PyTorch needs macOS 14 on Apple silicon (arm64)"
            return Finding("FAIL", "system", detail, fix)
    elif kind != "linux":
        detail = f"{name}: the course runs on Linux and macOS"
        return Finding("FAIL", "system", detail, "on Windows, type the command in WSL (Ubuntu)")
    elif machine not in ("x86_64", "aarch64"):
        return Finding("FAIL", "system", f"{name}: PyTorch has nothing for it", "another machine")
    elif Path("/etc/alpine-release").exists():
        detail = f"{name}: Alpine has another C library than PyTorch is built for"
        return Finding("FAIL", "system", detail, "an image of Debian, such as python:3.12")
    elif "microsoft" in platform.release().lower():
        name += " (WSL)"
    return Finding("OK", "system", name)


def python(given: str = "") -> Finding:
    """The Python that `.venv` is made with: 3.11 and 3.12 are tested, newer ones may well work."""
    found = installation.python(given)
    if found is None:
        detail, _, fix = installation.refused(given).replace("; ", ": ").partition("\n")
        return Finding("FAIL", "Python", detail, " ".join(fix.split()) or "see the line above")
    version = installation.built(found)[0]
    text = ".".join(map(str, version))
    if version > (3, 12):
        detail = f"{found}, {text}, is newer than the tested 3.11 and 3.12"
        return Finding("WARN", "Python", detail, "make install PYTHON=/path/to/python3.12")
    return Finding("OK", "Python", f"{found}, {text}")


def installed() -> Finding:
    """Whether `.venv` is there, whole enough to be examined, and this folder's."""
    binary = installation.VENV / "bin/python"
    if not installation.READY.exists():
        detail = "not there yet: it is made by installing requirements.lock"
        return Finding("WARN", ".venv", detail, "make install (make course does so too)")
    if not host.answer([str(binary), "-c", "print(1)"]):
        detail = f"{binary} does not start: the Python that made it is gone"
        return Finding("FAIL", ".venv", detail, REINSTALL)
    if not host.answer([str(binary), "-c", "import cinv_lib.course.doctor; print(1)"]):
        return Finding("FAIL", ".venv", "libraries are missing or do not load", REINSTALL)
    return Finding("OK", ".venv", f"{binary.parent.parent}")


def place() -> Finding:
    """A copied or moved checkout is still tied to the old folder."""
    try:
        known = installation.READY.read_text().split("\n")[0]
    except OSError:
        known = str(folders.ROOT)
    if known != str(folders.ROOT):
        detail = f".venv was made for {known}, and this is {folders.ROOT}"
        return Finding("WARN", "place", detail, "make install (make course does so too)")
    return Finding("OK", "place", str(folders.ROOT))


def variables() -> Finding:
    """What hides a library from this Python, or puts another before it."""
    stray = [f"{name}={os.environ[name]}" for name in STRAY if os.environ.get(name)]
    if stray:
        fix = f"unset {' '.join(name for name in STRAY if os.environ.get(name))}"
        detail = f"{', '.join(stray)} is for another Python"
        return Finding("WARN", "variables", detail, f"{fix}; what make starts does not see it")
    return Finding("OK", "variables", "none of another Python's")


def file_system(folder: Optional[Path] = None, root: Path = Path("/")) -> Finding:
    """Files of a network or of a synchronising program are slow, and locks may not hold there."""
    slow = []
    for place in {folder} if folder else {folders.ROOT, folders.home(), folders.all_runs()}:
        kind = host.file_system(place, root)
        if SYNCED.search(str(place)):
            slow.append(f"{place} is synchronised with a cloud")
        elif re.match(r"/mnt/[a-z](/|$)", str(place)) and kind in ("9p", "drvfs", "v9fs"):
            slow.append(f"{place} is on Windows' disk")
        elif REMOTE.match(kind):
            slow.append(f"{place} is on another machine's disk ({kind})")
    if slow:
        fix = (
            "put the course on a disk of this machine, in WSL under ~; or set CINV_HOME, CINV_RUNS"
        )
        detail = f"{'; '.join(sorted(slow))}: slow, and locks may not hold"
        return Finding("WARN", "file system", detail, fix)
    return Finding("OK", "file system", host.file_system(folder or folders.ROOT, root) or "unknown")


def where() -> Finding:
    """The four folders."""
    shown = ", ".join(" ".join(line.split(None, 1)) for line in folders.shown().splitlines())
    if set(str(folders.all_runs())) & set("{}\n"):
        detail = f"{str(folders.all_runs())!r}: snakemake reads {{ and }} in a path"
        return Finding("FAIL", "folders", detail, "export CINV_RUNS=/a/folder/without/braces")
    return Finding("OK", "folders", shown)


def memory() -> Finding:
    """The course peaks at about 2 GiB, and each further training at once takes 1.5 GiB more."""
    free, cores = host.memory(), host.cores()
    if free is None:
        return Finding("OK", "memory", "this system does not say")
    detail = f"{free / GIB:.1f} GiB are free for {cores} cores: {host.jobs([])} jobs at once"
    if free < 2.5 * GIB:
        fix = "close programs, or give the container more memory"
        return Finding("WARN", "memory", f"{detail}; expected 2.5 GiB or more", fix)
    return Finding("OK", "memory", detail)


def home(folder: Optional[Path] = None) -> Finding:
    """Programs keep caches in HOME; where they cannot, make gives them another folder."""
    folder = folder or Path(os.path.expanduser("~"))
    if not host.writable(folder):
        kept = f"make keeps caches in {host.stand_in()}"
        detail = f"HOME={str(folder)!r} cannot be written to; {kept}"
        fix = "none needed for make; else export HOME=/a/folder/of/yours"
        return Finding("WARN", "home", detail, fix)
    return Finding("OK", "home", f"{host.user()} can write to {folder}")


def disk(
    folder: Optional[Path] = None,
    needed: int = 3,
    name: str = "disk",
    other: str = "or set CINV_HOME and CINV_RUNS to another disk",
) -> Finding:
    """Data, students and executed notebooks take about 1 GiB; the installation some 7.

    needed: GiB. other: what helps besides space on that disk.
    """
    folder = folder or folders.home()
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free / GIB
    fix = f"free some space on the disk of {there}, {other}"
    if not host.writable(folder):
        return Finding("FAIL", name, f"{there} cannot be written to", fix)
    if free < needed:
        status = "FAIL" if free < needed / 6 else "WARN"
        return Finding(status, name, f"{free:.1f} GiB free at {there}: expected {needed}", fix)
    return Finding("OK", name, f"{free:.0f} GiB free at {there}")


def driver() -> Finding:
    """Whether an NVIDIA driver can run the CUDA that would be installed."""
    torch = os.environ.get("TORCH") or installation.recorded()
    if not shutil.which("nvidia-smi") or (
        host.gpus() in ([], ["-1"]) and "CUDA_VISIBLE_DEVICES" in os.environ
    ):
        return Finding("OK", "GPU", "none, and the stickers profile needs none")
    number = host.driver()
    if number is None:
        detail = "nvidia-smi is there, and lists no GPU that works"
        return Finding(
            "WARN", "GPU", detail, "run nvidia-smi; after an update of its driver, reboot"
        )
    if number < CUDA_13 and not torch:
        detail = f"driver {number}: the CUDA 13 of requirements.lock needs {CUDA_13}"
        return Finding("WARN", "GPU", detail, "make install TORCH=cu126, or a newer driver")
    return Finding("OK", "GPU", f"{len(host.gpus())} with driver {number}")


def port(number: int = 8888) -> Finding:
    """JupyterLab's port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError as error:
            detail = f"{number} is taken ({error.strerror})"
            fix = f"none needed, JupyterLab takes the next; or make lab PORT={number + 100}"
            return Finding("WARN", "port", detail, fix)
    return Finding("OK", "port", f"{number} is free for make lab")


def always() -> List[Tuple[str, Callable[[], Finding]]]:
    """(name, check) of what counts before and after the installation."""
    named = (system, place, variables, where, file_system, memory, home, disk)
    return [(check.__name__, check) for check in named]


def before(number: int, given: str = "") -> List[Tuple[str, Callable[[], Finding]]]:
    """(name, check) of all that can be said without an installation that works."""
    there = folders.ROOT
    needed = 2 if installation.recorded() == "cpu" else 8
    cpu = "or install PyTorch for the CPU alone, which needs 2: make install TORCH=cpu"
    return [
        ("Python", lambda: python(given)),
        (".venv", installed),
        *always(),
        ("installation", lambda: disk(there, needed, "installation", cpu)),
        ("GPU", driver),
        ("port", lambda: port(number)),
    ]
