"""What the machine gives: on made-up systems and drivers."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from cinv_lib.machine import host

ROOT = Path(__file__).parents[2]
GIB = 2**30
FREE = "MemTotal: 99000000 kB\nMemAvailable:   {} kB\n"


@pytest.fixture
def system(tmp_path):
    """A function that writes a system's files, as {path: text}, and returns its root."""

    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / "root" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / "root"

    return write


@pytest.fixture
def eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def test_the_checkout_is_the_folder_of_the_makefile():
    assert host.ROOT == ROOT and (host.ROOT / "Makefile").is_file()


# -- cores and memory --------------------------------------------------------------------------
def test_cores_are_those_that_the_process_may_run_on(system, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    assert host.cores(system({})) == 2
    monkeypatch.delattr(os, "sched_getaffinity")  # macOS
    assert host.cores(system({})) == 64


QUOTAS = {
    "version 2": ({"cpu.max": "250000 100000\n"}, 2),
    "version 2, half a core": ({"cpu.max": "50000 100000\n"}, 1),
    "version 2, none": ({"cpu.max": "max 100000\n"}, 8),
    "version 1": ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
    "version 1, none": ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
    "more than there are": ({"cpu.max": "9900000 100000\n"}, 8),
    "nonsense": ({"cpu.max": "many\n"}, 8),
}


@pytest.mark.parametrize("name", QUOTAS)
def test_a_containers_quota_counts(system, eight_cores, name):
    files, expected = QUOTAS[name]
    group = "3:cpu,cpuacct:/docker/77\n" if "version 1" in name else "0::/\n"
    files = {f"sys/fs/cgroup/{path}": text for path, text in files.items()}
    assert host.cores(system({"proc/self/cgroup": group} | files)) == expected


def test_the_quota_of_an_outer_group_counts(system, eight_cores):
    files = {"proc/self/cgroup": "0::/user.slice/mine\n"}
    files |= {"sys/fs/cgroup/user.slice/cpu.max": "200000 100000"}
    files |= {"sys/fs/cgroup/user.slice/mine/cpu.max": "max 100000"}
    assert host.cores(system(files)) == 2


def test_memory_is_what_is_free_in_the_container(system):
    files = {"proc/meminfo": FREE.format(20 * 2**20), "proc/self/cgroup": "0::/\n"}
    assert host.memory(system(files)) == 20 * GIB
    files |= {
        "sys/fs/cgroup/memory.max": f"{6 * GIB}",
        "sys/fs/cgroup/memory.current": f"{5 * GIB}",
    }
    files |= {"sys/fs/cgroup/memory.stat": f"anon 1\ninactive_file {3 * GIB}\n"}
    assert host.memory(system(files)) == 4 * GIB  # files that are cached can be given back
    assert host.memory(system({"sys/fs/cgroup/memory.max": "max"})) == 20 * GIB


def test_memory_of_a_container_of_version_1(system):
    files = {"proc/meminfo": FREE.format(20 * 2**20), "proc/self/cgroup": "4:memory:/docker/77\n"}
    files |= {"sys/fs/cgroup/memory/memory.limit_in_bytes": f"{4 * GIB}"}
    files |= {"sys/fs/cgroup/memory/memory.usage_in_bytes": f"{1 * GIB}"}
    assert host.memory(system(files)) == 3 * GIB


@pytest.mark.parametrize(("gib", "expected"), [(64, 8), (8, 4), (4, 2), (1, 1), (0, 1)])
def test_jobs_are_as_many_as_cores_and_memory_allow(system, eight_cores, gib, expected):
    root = system({"proc/meminfo": FREE.format(gib * 2**20)})
    assert host.jobs([], root) == expected
    assert host.jobs(["-1"], root) == expected  # every GPU is hidden
    assert host.jobs(["0", "3", "5"], root) == 3


# -- GPUs --------------------------------------------------------------------------------------
@pytest.fixture
def driver(tmp_path, monkeypatch):
    """A function that puts an nvidia-smi on PATH, which prints a text and exits."""
    folder = tmp_path / "driver"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def says(text: str, code: int = 0) -> None:
        script = folder / "nvidia-smi"
        script.write_text(f"#!/bin/sh\nprintf %s {shlex.quote(text)}\nexit {code}\n")
        script.chmod(0o755)

    return says


def test_gpus_are_the_numbers_that_a_working_driver_lists(driver):
    driver("0\n1\n10\n")
    assert host.gpus() == ["0", "1", "10"]
    driver("1 GPU is asleep; try 0\n2\n")
    assert host.gpus() == ["2"]
    for text, code in (("No devices were found", 6), ("0\n1\nUnable to determine 1", 15)):
        driver(text, code)
        assert host.gpus() == []
    driver("Failed to initialize NVML: version 535", 0)
    assert host.gpus() == []


def test_a_driver_that_hangs_or_cannot_start_has_no_gpus(driver, monkeypatch):
    real = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: real(*a, **(k | {"timeout": 0.2})))
    driver("")
    script = Path(os.environ["PATH"].split(os.pathsep)[0], "nvidia-smi")
    script.write_text("#!/bin/sh\nexec sleep 20\n")
    assert host.gpus() == []
    script.write_text("#!/no/such/interpreter\n")
    assert host.gpus() == []


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("", []),
        (" ", []),
        ("-1", ["-1"]),
        ("NoDevFiles", ["-1"]),
        ("2,3", ["2", "3"]),
        ("2, 3", ["2", "3"]),
        ("1,-1,2", ["1"]),
        ("GPU-8932f937-d72c,MIG-GPU-8932/1/0", ["GPU-8932f937-d72c", "MIG-GPU-8932/1/0"]),
        ("0;touch x", ["-1"]),
    ],
)
def test_gpus_that_the_reader_hid_or_named(driver, monkeypatch, visible, expected):
    driver("0\n1\n2\n3\n")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert host.gpus() == expected


# -- the environment ---------------------------------------------------------------------------
@pytest.fixture
def own_home(tmp_path, monkeypatch):
    """A home of a reader, who set nothing."""
    for name in (*host.WRITTEN, *host.USER_NAMES):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "reader").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "reader"))
    monkeypatch.setenv("USER", "ann")
    return tmp_path / "reader"


def test_a_home_that_can_be_written_to_stays(own_home):
    assert host.environment() == {}
    assert list(own_home.iterdir()) == []  # nothing is made there to find out


def test_what_cannot_be_written_to_has_a_stand_in(own_home, monkeypatch, tmp_path):
    monkeypatch.setattr(host, "stand_in", lambda: tmp_path / "stand in")
    (own_home / ".cache").touch()  # no folder, which nobody can write to, root included
    changed = set(host.environment())
    assert changed == {"XDG_CACHE_HOME"}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # the reader's own answer
    assert host.environment() == {}
    monkeypatch.setenv("HOME", str(own_home / ".cache"))
    monkeypatch.delenv("XDG_CACHE_HOME")
    found = host.environment()
    assert set(found) == set(host.WRITTEN)
    assert all(found[name].startswith(str(tmp_path / "stand in")) for name in host.WRITTEN)
    assert len({found[name] for name in host.WRITTEN}) == len(host.WRITTEN)


def test_a_user_without_a_name_gets_one(own_home, monkeypatch):
    def unknown(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(host.pwd, "getpwuid", unknown)
    assert "USER" not in host.environment()  # the container's own answer
    monkeypatch.delenv("USER")
    assert re.fullmatch(r"user\d+", host.environment()["USER"])
