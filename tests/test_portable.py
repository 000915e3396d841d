"""What Linux has and macOS has not: taken away here, and looked for in the sources."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_course import course, make, write  # noqa: F401

from cinv_lib.machine import hardware, host, preflight, provenance
from cinv_lib.machine.store import Store

ROOT = Path(__file__).parents[1]
CUDA = torch.device("cuda")
# Name -> what has to stand in the same file for it to be used; None: nothing makes up for it.
PYTHON = {
    r"os\.sched_\w+": r'hasattr\(os, "sched_getaffinity"\)',
    r"/proc/": r"except \(?OSError",
    r"SC_(AV)?PHYS_PAGES": r"except \(ValueError, OSError",
    r"ru_maxrss": r'sys\.platform == "darwin"',
    r"/dev/shm": r"not folder\.is_dir\(\)",
    r"/dev/full|/sys/|/etc/os-release": None,
    r"os\.(memfd_create|pidfd_open|eventfd|posix_fadvise|posix_fallocate|copy_file_range)": None,
    r"os\.(sendfile|splice|getrandom|O_DIRECT|O_TMPFILE|process_cpu_count|fdatasync)": None,
    r"F_SETPIPE_SZ|F_ADD_SEALS|SO_PEERCRED|PR_SET_|prctl|libc\.so|inotify|epoll": None,
    r"signal\.(sigtimedwait|sigwaitinfo|SIGRTMIN|SIGPWR)|clock_\w*BOOTTIME|\.prlimit\(": None,
}
COMMANDS = (  # not there on macOS, or with other options
    r"flock -", r"flock \d", r"realpath", r"readlink -f", r"nproc", r"setsid", r"setpriv", r"tac",
    r"taskset", r"timeout \d", r"stat -c", r"sed -i", r"date -d", r"date [^\n|;]*%N", r"ionice",
    r"grep -\w*P", r"xargs -r", r"cp --?t", r"sort -V", r"base64 -w", r"mktemp -\w*p", r"free -",
    r"du -\w*b", r"find -", r"ls --", r"declare -A", r"mapfile", r"ip addr",
)  # fmt: skip


@pytest.fixture
def elsewhere(monkeypatch):
    """A system without `os.sched_getaffinity` and without /proc, on a machine of 12 cores."""
    read = Path.read_text

    def read_text(path, *given, **named):
        if path.is_relative_to("/proc"):
            raise FileNotFoundError(path)
        return read(path, *given, **named)

    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    monkeypatch.setattr(Path, "read_text", read_text)


def test_cores_are_those_of_this_process_where_the_system_says_so(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 6}, raising=False)
    assert host.cores() == 3 and hardware.decoders(CUDA) == 3
    assert ", 3 cores" in provenance.machine()


def test_cores_are_those_of_the_machine_where_it_does_not(elsewhere, monkeypatch):
    assert host.cores() == 12 and hardware.decoders(CUDA) == 12
    for name in (*hardware.PLACE, "TORCHELASTIC_RUN_ID"):  # torchrun's four processes share them
        monkeypatch.setenv(name, "4")
    assert hardware.decoders(CUDA) == 3
    assert ", 12 cores" in provenance.machine()
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert host.cores() == 1


def test_a_result_is_built_once_and_kept_without_linux(elsewhere, tmp_path):
    built, store = [], Store(tmp_path)

    def build(folder):
        built.append(1)
        (folder / "answer.txt").write_text("42")

    for _ in range(2):
        assert (store.make("example", {"seed": 0}, build) / "answer.txt").read_text() == "42"
    assert built == [1]
    assert isinstance(hardware.bf16_pays(torch.device("cpu")), bool)


def test_the_doctor_says_that_a_system_does_not_tell_its_memory(elsewhere, monkeypatch):
    monkeypatch.delattr(os, "sysconf")
    assert preflight.memory().detail == "this system does not say"


def sources(*patterns: str) -> list[Path]:
    return [path for pattern in patterns for path in sorted(ROOT.glob(pattern))]


def test_no_name_of_linux_alone_is_used_without_a_way_around_it():
    found = sources(
        "cinv_lib/**/*.py", "data_prep/**/*.py", "tests/bench/*.py", "notebooks/*.ipynb"
    )
    assert len(found) > 100
    for path in [*found, ROOT / "Snakefile"]:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":  # not what a machine has printed
            text = re.sub(r'"image/png": ".*?"', "", text)
        for name, guard in PYTHON.items():
            used = re.search(name, text)
            assert not used or (guard and re.search(guard, text)), f"{path.name}: {used[0]}"


def test_no_command_of_linux_alone_is_run():
    for path in sources("Makefile", "Snakefile"):
        lines = path.read_text().splitlines()
        lines = [line for line in lines if not line.lstrip().startswith("#")]
        for command in COMMANDS:
            found = [line for line in lines if re.search(rf"(?<![\w.-]){command}(?!\w)", line)]
            assert not found, f"{path.name}: {found[0].strip()}"


def test_a_course_with_gpus_runs_without_the_commands_that_macos_lacks(
    course,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    lacking = tmp_path / "lacking"
    lacking.mkdir()
    for name in ("flock", "realpath", "nproc", "setsid", "timeout", "taskset"):
        (lacking / name).write_text(f"#!/bin/sh\necho {name}: command not found >&2; exit 127\n")
        (lacking / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{lacking}:{os.environ['PATH']}")
    note = 'import os; _ = open("../ran", "a").write(os.environ["CUDA_VISIBLE_DEVICES"] + "\\n")'
    write(course, "00_start", f"{note}\nprint('printed')")
    done, ran = make(course, gpus="7", lessons="00")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ran == ["data", "00 stickers 1", "7"]
    assert "printed" in (course / "runs/stickers/logs/00_start.log").read_text()


def test_a_gpu_is_free_again_when_its_job_was_killed(tmp_path):
    lock = re.search(r'^LOCK = "(.*)"$', (ROOT / "Snakefile").read_text(), re.MULTILINE)[1]
    take = f"exec 9>lock; {sys.executable} -c '{lock}' 2>/dev/null"

    def taken() -> bool:
        return subprocess.run(["bash", "-c", take], cwd=tmp_path).returncode != 0

    assert not taken()
    script = f"{take} && echo mine && sleep 60"
    job = subprocess.Popen(
        ["bash", "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, text=True, process_group=0
    )
    with job:
        assert job.stdout.readline() == "mine\n" and taken()
        os.killpg(job.pid, signal.SIGKILL)
    assert not taken()
