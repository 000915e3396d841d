"""The environment, `.venv`: the Python that makes it, what is installed, and where it belongs.

It runs before there is one (by `machine.shell`), so it needs the standard library alone.
"""

# ruff: noqa: UP006, UP035, UP045 (the names of types that Python 3.8 has)

import ast
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from cinv_lib.machine.folders import ROOT
from cinv_lib.machine.host import GIB, answer

VENV = ROOT / ".venv"
READY = VENV / ".ready"
LOCK = ROOT / "requirements.lock"

PYTHONS = ("python3", "python3.12", "python3.11", "python3.13", "python3.14")
NEEDED = """This course needs Python 3.11 or 3.12; {python} is {version}.
Install one (apt install python3.11 python3.11-venv, brew install python@3.12, pyenv),
or name one: make install PYTHON=/path/to/python3.12"""
# What Python is built without where a library was missing, and Debian's package with that library.
PARTS = {"lzma": "liblzma-dev", "bz2": "libbz2-dev", "zlib": "zlib1g-dev", "ssl": "libssl-dev"}
PARTS.update(sqlite3="libsqlite3-dev", ctypes="libffi-dev")
NO_VENV = "{} cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv"

# Of the lock, what comes from PyTorch's own index where TORCH names one.
TORCHS = re.compile(r"(nvidia-|cuda-|(triton|torch|torchvision)=)")
CHOICE = re.compile(r"|cpu|auto|xpu|cu[0-9]+|rocm[0-9.]+")

# What a reader's pip.conf or environment may ask of pip and would stop the course's only use of it.
# The index, the proxy and the certificates stay the reader's. An empty value takes one away.
PIP = {
    "PIP_USER": "0",
    "PIP_REQUIRE_VIRTUALENV": "0",
    "PIP_REQUIRE_HASHES": "0",
    "PIP_DRY_RUN": "0",
    "PIP_PYTHON": "",
    "PIP_CONSTRAINT": "",
    "PIP_REQUIREMENT": "",
}
# The same of uv: these are not handed on.
UV = [
    "UV_SYSTEM_PYTHON",
    "UV_BREAK_SYSTEM_PACKAGES",
    "UV_REQUIRE_HASHES",
    "UV_CONSTRAINT",
    "UV_OVERRIDE",
    "UV_EXCLUDE",
    "UV_BUILD_CONSTRAINT",
    "UV_EXCLUDE_NEWER",
    "UV_TORCH_BACKEND",
    "UV_RESOLUTION",
    "UV_PRERELEASE",
    "UV_PYTHON",
    "UV_PROJECT",
    "UV_WORKING_DIR",
    "UV_NO_BINARY",
    "UV_ONLY_BINARY",
    "UV_COMPILE_BYTECODE",
]
# uv does not read pip's settings: pip's name of one, and uv's.
MIRROR = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
}

# What every start of this Python does. It is the checkout's that `.venv` lies in, before any other
# library of that name; and kernels are its own, whichever Jupyter else is installed.
START = (
    "import os, sys; sys.path.insert(0, os.path.dirname(sys.prefix)); "
    "os.environ.pop('JUPYTER_PATH', None); os.environ['JUPYTER_PREFER_ENV_PATH'] = '1'\n"
)
# Scripts begin with the path of a Python: in a copied checkout it is the original's. This finds the
# one beside the script (sh and Python read the same lines).
HEAD = b"""#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")/python" "$0" "$@"
' '''
"""
KERNEL = '''"""The kernels' own messages: errors, and of those not the one that every end makes.

At each start ipykernel reminds that its sockets, on this machine alone, are not encrypted. At the
end the runner interrupts a kernel that has nothing left to do, which sometimes still says so.
"""


def counts(record):
    return not record.getMessage().startswith("KeyboardInterrupt caught in kernel")


c.IPKernelApp.log_level = 40
c.IPKernelApp.logging_config = {
    "filters": {"counts": {"()": lambda: counts}},
    "handlers": {"console": {"filters": ["counts"]}},
}
'''
# JupyterLab shows no pop-up that asks whether it may fetch news, and fetches none: it is offline.
LAB = """{
 "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}
}
"""


def built(python: str) -> Tuple[Tuple[int, ...], List[str]]:
    """Version of a Python, () if it does not start (a pyenv shim may not), and the parts of the
    standard library that it was built without."""
    tried = "".join(f"\ntry: import {part}\nexcept ImportError: print('{part}')" for part in PARTS)
    said = answer([python, "-I", "-c", f"import sys; print(*sys.version_info[:2]){tried}"]).split()
    if len(said) < 2 or not (said[0] + said[1]).isdigit():
        return (), []
    return (int(said[0]), int(said[1])), said[2:]


def suits(python: str, newest: Tuple[int, int] = (4, 0)) -> bool:
    """Whether this Python starts, is whole, and is from 3.11 to `newest`."""
    version, lacking = built(python)
    return (3, 11) <= version <= newest and not lacking


def python(given: str = "") -> Optional[str]:
    """The given Python if it suits; else the first on PATH that is 3.11 or 3.12, else a newer one.

    Those of `.venv` are left out, which is made with it.
    """
    if given:
        return given if suits(given) else None
    for newest in ((3, 12), (4, 0)):
        for path in _there():
            if suits(path, newest):
                return path
    return None


def _there() -> List[str]:
    folders = [f for f in os.get_exec_path() if f and Path(f).absolute() != VENV / "bin"]
    found = [shutil.which(name, path=folder) for name in PYTHONS for folder in folders]
    return [path for path in found if path]


def refused(given: str = "") -> str:
    """Why there is no Python that suits, and what to install."""
    for path in [given] if given else _there():
        version, lacking = built(path)
        if version >= (3, 11) and lacking:
            packages = " ".join(PARTS[part] for part in lacking)
            return (
                f"{path} was built without {', '.join(lacking)}: install what it lacks (on Debian "
                f"and Ubuntu: apt install {packages}), build it again (pyenv install), or name "
                "another: make install PYTHON=/path/to/python3.12"
            )
    name = given or "python3"
    version_text = answer([name, "--version"]) or "not one that starts"
    return NEEDED.format(python=name, version=version_text)


def mirror(listed: str) -> Dict[str, str]:
    """uv's variables for what `pip config list` says: the same index, proxy and certificates."""
    said: Dict[str, str] = {}
    for where in ("global", "install", ":env:"):  # the later wins
        for name, value in re.findall(rf"^{where}\.([\w-]+)=(.+)$", listed, re.M):
            said[name] = " ".join(str(ast.literal_eval(value)).split())
    found = {MIRROR[name]: value for name, value in said.items() if name in MIRROR and value}
    if "UV_INDEX" in found:  # as pip does: the locked version, wherever it is
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if {"UV_DEFAULT_INDEX", "ALL_PROXY"} & set(found) and "SSL_CERT_FILE" not in found:
        found["UV_SYSTEM_CERTS"] = "1"  # where a company keeps its certificate, and pip looks
    return {name: value for name, value in found.items() if not os.environ.get(name)}


def recorded() -> str:
    """TORCH of the environment that is there: "" for the lock's."""
    try:
        return READY.read_text().partition("torch=")[2].strip()
    except OSError:
        return ""


def room(cache: Path, needed: int) -> str:
    """A sentence where a disk that the installation writes to is too full; else "".

    Links between two disks are not possible: then both hold everything.
    """
    places: Dict[int, Path] = {}
    for place in (ROOT, cache):
        there = next(folder for folder in (place, *place.parents) if folder.exists())
        places.setdefault(there.stat().st_dev, there)
    for there in places.values():
        free = shutil.disk_usage(there).free / GIB
        if free < needed:
            other = "" if there == ROOT else " or name a folder on another: UV_CACHE_DIR=..."
            return (
                f"{there}: {free:.1f} GiB free, and the installation needs {needed}. Make room"
                f"{other}, or without CUDA's libraries it needs 2: make install TORCH=cpu"
            )
    return ""


def install(given: str = "", torch: str = "") -> None:
    """Make `.venv`, or bring it up to date: what is in it already is kept.

    Args:
        given: the Python to make it with; "": see `python`.
        torch: which of PyTorch's builds, such as "cpu" or "cu126"; "": the lock's.

    Raises:
        ValueError: with a sentence for the reader.
    """
    if not CHOICE.fullmatch(torch):
        raise ValueError(f"TORCH={torch!r}: expected cpu, auto, or a CUDA as in cu126")
    binary = VENV / "bin/python"
    environment = {name: value for name, value in os.environ.items() if name not in UV}
    environment.update(PIP)

    def run(*command: str) -> None:
        subprocess.run([str(binary), "-m", *command], cwd=str(ROOT), env=environment, check=True)

    if not answer([str(binary), "-m", "uv", "--version"]):
        _make(given)
        uv = re.search(r"^uv==\S+", LOCK.read_text(), re.M)
        where = ["--no-user", "--target=", "--root=/", f"--prefix={VENV}"]
        run("pip", "install", "--quiet", *where, uv[0] if uv else "uv")
    elif READY.exists() and READY.read_text().split("\n")[0] != str(ROOT):
        run("venv", "--without-pip", str(VENV))  # its `activate` names the folder
    environment.update(mirror(answer([str(binary), "-m", "pip", "config", "list"])))
    todo = ["uv", "pip", "sync", "--compile-bytecode", "--python", str(binary), str(LOCK)]
    if torch:
        kept = [line for line in LOCK.read_text().splitlines() if not TORCHS.match(line)]
        (VENV / "others.txt").write_text("\n".join(kept) + "\n")
        todo[2:] = ["install", "--exact", "--compile-bytecode", "--torch-backend", torch]
        todo += ["--python", str(binary), "-r", "requirements.txt", "-c", str(VENV / "others.txt")]
    if not READY.exists():  # else little is written
        asked = [str(binary), "-m", *todo, "--offline", "--dry-run", "--quiet"]
        cached = subprocess.run(asked, cwd=str(ROOT), env=environment, stderr=subprocess.DEVNULL)
        cache = Path(answer([str(binary), "-m", "uv", "cache", "dir"]) or VENV)
        full = room(cache, 2 if torch == "cpu" else 8) if cached.returncode else ""
        if full:
            raise ValueError(full)
    print("installing", "requirements.lock" if not torch else f"PyTorch for {torch}", end=" ")
    print(
        "(PyTorch makes it some 6 GB on Linux: minutes, once)" if torch != "cpu" else "", flush=True
    )
    run(*todo)
    settle(torch)


def _make(given: str) -> None:
    """An empty `.venv` in place of one that does not start."""
    found = python(given)
    if found is None:
        raise ValueError(refused(given))
    shutil.rmtree(VENV, ignore_errors=True)
    print(f"making .venv with {found} ({answer([found, '--version'])})", flush=True)
    if subprocess.run([found, "-m", "venv", str(VENV)]).returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        raise ValueError(NO_VENV.format(found))


def settle(torch: str = "") -> None:
    """Tie what is in `.venv` to the folder that it is in, so that a copy is its own folder's."""
    for script in (VENV / "bin").iterdir():
        if script.is_file() and not script.is_symlink():
            first, _, rest = script.read_bytes().partition(b"\n")
            if re.match(rb"#!.*/\.venv/bin/python[0-9.]*$", first):
                written = script.with_name(f".{script.name}.new")
                written.write_bytes(HEAD + rest)
                written.chmod(script.stat().st_mode)
                os.replace(str(written), str(script))
    for site in VENV.glob("lib/python*/site-packages"):
        (site / "cinv.pth").write_text(START)
    settings = VENV / "share/jupyter/lab/settings"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "overrides.json").write_text(LAB)
    (VENV / "etc/ipython").mkdir(parents=True, exist_ok=True)
    (VENV / "etc/ipython/ipython_kernel_config.py").write_text(KERNEL)
    READY.write_text(f"{ROOT}\ntorch={torch}\n")
