"""Kernels that begin warm: forked from a process that has imported the library already.

To import it takes a kernel longer than most lessons take. For tests that execute lessons, for the
JupyterLab of the browser tests, and as a plugin of pytest for the replay:
`python -m pytest -p tests.warm --nbval notebooks/*.ipynb`.
"""

import multiprocessing
import os
import sys
import time
from multiprocessing import forkserver
from typing import Any

import pytest
from jupyter_client.provisioning import local_provisioner

# For kernels and for `processes`, as a process of tests has one server for both, whoever asks
# first. Nothing that reads MPLBACKEND when it is imported, or asks for IPython's shell, as
# `cinv_lib.course.ending` does: a kernel has its own.
IMPORTED = [
    "ipykernel.kernelapp",
    "scipy.stats",
    "cinv_lib.paper.verdicts",
    "cinv_lib.training.student",
    "cinv_lib.training.baseline",
]


class Forked:
    """A kernel's process, with what `subprocess.Popen` has and jupyter_client asks for."""

    stdin = stdout = stderr = None

    def __init__(self, connection: str, env: dict[str, str], cwd: str) -> None:
        server = multiprocessing.get_context("forkserver")
        server.set_forkserver_preload(IMPORTED)
        self.process = server.Process(target=served, args=(connection, env, cwd), daemon=True)
        self.process.start()
        self.pid = self.process.pid
        while self.process.is_alive() and os.getpgid(self.pid) != self.pid:
            time.sleep(0.01)  # what interrupts the kernel shall not interrupt the tests

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        self.process.join(timeout)
        return self.process.exitcode

    def send_signal(self, signum: int) -> None:
        os.kill(self.pid, signum)

    def kill(self) -> None:
        self.process.kill()

    def terminate(self) -> None:
        self.process.terminate()


def served(connection: str, env: dict[str, str], cwd: str) -> None:
    """In the new process: be the kernel, until it is told to end."""
    import pandas as pd
    from ipykernel.kernelapp import IPKernelApp

    pd.set_option("display.max_columns", 20)  # as in a kernel: pandas looks when it is imported
    os.setsid()
    # While a kernel holds this, the server goes on, even where the tests were killed.
    server = forkserver._forkserver
    os.close(server._forkserver_alive_fd)
    server.__init__()  # a server of the kernel's own, should a lesson ask for one
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    multiprocessing.current_process()._config.pop("daemon", None)  # a lesson may start processes
    sys.path[:0] = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]
    # The server ends with the tests, and the kernel with the server, which has forked it.
    parent = f"--IPKernelApp.parent_handle={os.getppid()}"
    IPKernelApp.launch_instance(["-f", connection, parent])


def launched(cmd: list[str], env: dict[str, str] | None = None, cwd: str | None = None, **_: Any):
    """In place of `jupyter_client.launcher.launch_kernel`."""
    connection = cmd[cmd.index("-f") + 1]
    return Forked(connection, dict(os.environ if env is None else env), cwd or os.getcwd())


def kernels(patch: pytest.MonkeyPatch) -> None:
    """All kernels that this process starts from now on are warm."""
    patch.setattr(local_provisioner, "launch_kernel", launched)


def pytest_configure() -> None:
    local_provisioner.launch_kernel = launched
