"""One reduced notebook in a kernel of its own, which is killed where it does not end.

The kernel is this Python's. It has a temporary HOME and folder, one thread, and what it starts is
in its process group.
"""

import json
import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError

from cinv_lib.course.grade.submission import Cell
from cinv_lib.machine.folders import ROOT

START = 600  # seconds to start and to import: the machine may be busy
ENDED = (
    "its process ended: it was killed, as for too much computing time or memory, or it ended itself"
)
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
QUIET = logging.Logger("grading", level=logging.CRITICAL + 1)

_groups: set[int] = set()  # process groups of the kernels that run now


@dataclass(frozen=True)
class Limits:
    """cell, total: seconds of waiting for a cell, and for all; cpu: seconds of computing; file,
    memory: bytes."""

    cell: float = 30.0
    total: float = 120.0
    cpu: int = 120
    file: int = 50_000_000
    memory: int = 8 << 30


LIMITS = Limits()


@dataclass
class Ran:
    """What came of a run.

    verdicts: as `check` wrote them; errors: what a cell raised, by its index; stopped: the index of
    the cell at which the kernel was lost, and why; None where all were run.
    """

    verdicts: list[dict[str, Any]] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)
    stopped: tuple[int, str] | None = None


class _Kernel(AsyncKernelManager):
    """Of the Python that runs this, whatever kernels are installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="grading", language="python")


def run(cells: Sequence[Cell], seed: int, limits: Limits = LIMITS) -> Ran:
    """Run cells in a kernel until they end or the kernel is lost.

    Raises:
        RuntimeError: the kernel did not start, so that nothing can be said of the cells.
    """
    ran, at, group = Ran(), -1, 0
    clock = threading.Timer(limits.total, lambda: _kill(group))
    clock.daemon = True

    def begins(cell: Any, cell_index: int) -> None:
        nonlocal at, group
        at = cell_index - 1
        if cell_index == 0:
            group = client.km.provisioner.pgid
            _groups.add(group)
        elif cell_index == 1:
            clock.start()

    def ended(cell: Any, cell_index: int, execute_reply: dict) -> None:
        if execute_reply["content"]["status"] == "ok":
            return
        error = "{ename}: {evalue}".format(**execute_reply["content"])
        if cell_index == 0:
            raise RuntimeError(f"the kernel could not be made ready: {error}")
        ran.errors[cell_index - 1] = error

    with tempfile.TemporaryDirectory(prefix="cinv-grade-", ignore_cleanup_errors=True) as base:
        places = {name: Path(base, name) for name in ("home", "work")}
        for place in places.values():
            place.mkdir()
        verdicts = Path(base, "verdicts.jsonl")
        told = asdict(limits) | {"verdicts": str(verdicts), "seed": seed}
        del told["total"]
        words = ", ".join(f"{key}={value!r}" for key, value in told.items())
        first = f"import cinv_lib.course.grade.inside as _grading\n_grading.begin({words})"
        sources = [first, *(cell.source for cell in cells)]
        client = NotebookClient(
            nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in sources]),
            kernel_manager_class=_Kernel,
            timeout_func=lambda cell: START if cell.source == first else limits.cell,
            startup_timeout=START,
            shutdown_kernel="immediate",
            allow_errors=True,
            on_cell_execute=begins,
            on_cell_executed=ended,
            log=QUIET,
        )
        try:
            client.execute(cwd=str(places["work"]), env=_environment(places["home"]))
        except (CellTimeoutError, DeadKernelError) as error:
            if at < 0:
                raise RuntimeError(f"the kernel could not be made ready: {error}") from None
            late = isinstance(error, CellTimeoutError)
            cause = f"the cell ran for more than {limits.cell:g} s" if late else ENDED
            if clock.finished.is_set() and not late:
                cause = f"the notebook ran for more than {limits.total:g} s"
            ran.stopped = at, cause
        finally:
            clock.cancel()
            _kill(group)
            _groups.discard(group)
        ran.verdicts = _read(verdicts)
    return ran


def stop_all() -> None:
    """Kill every kernel that runs now."""
    for group in list(_groups):
        _kill(group)


def _kill(group: int) -> None:
    """End a kernel and all that it has started."""
    if group and group != os.getpgrp():
        with suppress(ProcessLookupError, PermissionError):  # it has ended
            os.killpg(group, signal.SIGKILL)


def _environment(home: Path) -> dict[str, str]:
    """Of this process, but for folders: none of the teacher's is named."""
    folders = {"HOME": home, "IPYTHONDIR": home / "ipython", "MPLCONFIGDIR": home / "matplotlib"}
    folders |= {"CINV_HOME": home / "data", "CINV_RUNS": home / "runs"}
    folders |= {"CINV_PROGRESS": home / "progress.json"}
    texts = {name: str(place) for name, place in folders.items()}
    texts |= {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", "CUDA_VISIBLE_DEVICES": ""}
    return {**os.environ, **ONE_THREAD, **texts, "HF_HUB_OFFLINE": "1"}


def _read(file: Path) -> list[dict[str, Any]]:
    """The verdicts that were written whole."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:  # the kernel was killed while it wrote
            continue
    return [one for one in found if isinstance(one, dict) and isinstance(one.get("id"), str)]
