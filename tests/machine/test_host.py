"""What the machine gives: on made-up systems, drivers and shells. And the Makefile, which asks."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
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


# -- Python ------------------------------------------------------------------------------------
def interpreter(folder: Path, name: str, says: str) -> None:
    """A program with a Python's name, which prints its version or does something else."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{says}\n")
    (folder / name).chmod(0o755)


def test_the_first_python_that_suits(tmp_path, monkeypatch):
    first, second = tmp_path / "shims here", tmp_path / "second"
    interpreter(first, "python3", "echo 'pyenv: python3: command not found' >&2; exit 127")
    interpreter(first, "python3.13", "echo 3 13")
    interpreter(second, "python3", "echo 3 9")
    monkeypatch.setenv("PATH", f"{first}{os.pathsep}{second}")
    assert host.python() == str(first / "python3.13")  # newer than the tested ones
    interpreter(second, "python3.11", "echo 3 11")
    assert host.python() == str(second / "python3.11")
    interpreter(second, "python3", "echo 3 12")  # behind a shim of the same name
    assert host.python() == str(second / "python3")
    assert host.python(str(second / "python3.11")) == str(second / "python3.11")
    assert host.python(str(first / "python3")) is None


def test_no_python_that_suits_is_said_so(tmp_path, monkeypatch, capfd):
    interpreter(tmp_path, "python3", 'test "$1" = --version && echo Python 3.6.9 || echo 3 6')
    monkeypatch.setenv("PATH", str(tmp_path))
    assert host.main(["python"]) == 1
    said = capfd.readouterr()
    assert said.out == "" and "needs Python 3.11 or 3.12; python3 is Python 3.6.9" in said.err
    assert host.main(["python", "/no/python"]) == 1
    assert "/no/python is not one that starts" in capfd.readouterr().err


# -- the environment ---------------------------------------------------------------------------
@pytest.fixture
def own_home(tmp_path, monkeypatch):
    """A home of a reader, who set nothing."""
    for name in (*host.WRITTEN, *host.PIP, *host.USER_NAMES):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "reader").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "reader"))
    monkeypatch.setenv("USER", "ann")
    return tmp_path / "reader"


def test_a_home_that_can_be_written_to_stays(own_home):
    assert host.environment() == host.PIP
    assert list(own_home.iterdir()) == []  # nothing is made there to find out


def test_what_cannot_be_written_to_has_a_stand_in(own_home, monkeypatch, tmp_path):
    monkeypatch.setattr(host, "stand_in", lambda: tmp_path / "stand in")
    (own_home / ".cache").touch()  # no folder, which nobody can write to, root included
    changed = set(host.environment()) - set(host.PIP)
    assert changed == {"XDG_CACHE_HOME"}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # the reader's own answer
    assert set(host.environment()) == set(host.PIP)
    monkeypatch.setenv("HOME", str(own_home / ".cache"))
    monkeypatch.delenv("XDG_CACHE_HOME")
    found = host.environment()
    assert set(found) - set(host.PIP) == set(host.WRITTEN)
    assert all(found[name].startswith(str(tmp_path / "stand in")) for name in host.WRITTEN)
    assert len({found[name] for name in host.WRITTEN}) == len(host.WRITTEN)


def test_a_user_without_a_name_gets_one(own_home, monkeypatch):
    def unknown(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(host.pwd, "getpwuid", unknown)
    assert "USER" not in host.environment()  # the container's own answer
    monkeypatch.delenv("USER")
    assert re.fullmatch(r"user\d+", host.environment()["USER"])


def test_the_environment_is_lines_for_a_shell(own_home, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(host, "stand_in", lambda: tmp_path / "it's $(touch x)")
    monkeypatch.setenv("HOME", "/proc/none")
    host.main(["environment"])
    script = f'{capsys.readouterr().out}printf %s "$XDG_CACHE_HOME"'
    shell = ["bash", "-c", script]
    done = subprocess.run(shell, cwd=tmp_path, check=True, stdout=subprocess.PIPE, text=True)
    assert done.stdout == str(tmp_path / "it's $(touch x)" / "xdg_cache_home")
    assert not (tmp_path / "x").exists()


def test_settings_that_are_no_whole_numbers_are_named(capsys):
    assert host.main(["check", "SEEDS=3", "JOBS=1", "PORT=8888"]) == 0
    for wrong in ("SEEDS=0", "SEEDS=-1", "SEEDS=1.5", "SEEDS=", "JOBS=max", "PORT=70000", "JOBS=²"):
        assert host.main(["check", "SEEDS=3", wrong]) == 1
        name, _, value = wrong.partition("=")
        assert f"{name}={value!r}: expected a whole number" in capsys.readouterr().err


# -- the Makefile ------------------------------------------------------------------------------
needs_make = pytest.mark.skipif(not shutil.which("make"), reason="there is no make")


def shown(folder: Path, *arguments: str, **environment: str) -> str:
    """What `make -n` would run, in a folder with the Makefile and no environment of its own."""
    (folder / "cinv_lib/machine").mkdir(parents=True, exist_ok=True)
    for name in ("Makefile", "cinv_lib/machine/host.py"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "requirements.lock").touch()
    kept = {"PATH": os.environ["PATH"], "HOME": str(folder)} | environment
    command = ["make", "-n", *arguments]
    done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, check=True)
    return done.stdout


def snakemake(text: str) -> tuple[int, str]:
    """Jobs and GPUs of the line that starts snakemake."""
    line = next(line for line in text.splitlines() if "snakemake " in line)
    return int(re.search(r"--cores (\d+)", line)[1]), re.search(r'gpus="([^"]*)"', line)[1]


@needs_make
def test_make_asks_before_there_is_an_environment(tmp_path):
    shim = tmp_path / "shims"  # a pyenv without a version chosen
    interpreter(shim, "python3", "echo 'pyenv: no version is set' >&2; exit 127")
    interpreter(shim, "nvidia-smi", "echo NVIDIA-SMI has failed, 22 words; exit 9")
    path = f"{shim}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}/usr/bin{os.pathsep}/bin"
    assert snakemake(shown(tmp_path, "course", PATH=path)) == (host.jobs([]), "")
    interpreter(shim, "nvidia-smi", "echo 0; echo 1")
    assert snakemake(shown(tmp_path, "course", PATH=path)) == (2, "0 1")
    assert snakemake(shown(tmp_path, "course", PATH=path, CUDA_VISIBLE_DEVICES=""))[1] == ""
    assert snakemake(shown(tmp_path, "course", "CUDA_VISIBLE_DEVICES=1", PATH=path)) == (1, "1")


@needs_make
def test_what_is_said_on_the_command_line_wins(tmp_path):
    assert snakemake(shown(tmp_path, "course", "GPUS=2,3,5", CUDA_VISIBLE_DEVICES="0")) == (
        3,
        "2 3 5",
    )
    assert snakemake(shown(tmp_path, "course", "JOBS=7", "GPUS=0")) == (7, "0")


@needs_make
@pytest.mark.skipif(not shutil.which("taskset"), reason="there is no taskset")
def test_make_counts_the_cores_of_its_process(tmp_path):
    shown(tmp_path, "help")
    command = ["taskset", "-c", str(min(os.sched_getaffinity(0))), "make", "-n", "course", "GPUS="]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert snakemake(done.stdout)[0] == 1


HOSTILE = [
    "a b",
    "it's",
    'say "x"',
    "$(touch x)",
    "`touch x`",
    "x;touch x",
    "*",
    "a\\",
    "$HOME & y",
]


@needs_make
@pytest.mark.parametrize("text", HOSTILE)
def test_texts_and_folders_reach_programs_as_they_are(tmp_path, text):
    """The recipes are run, with a program in place of python that notes its arguments."""
    folder = tmp_path / f"checkout {text}"
    folder.mkdir()
    shown(folder, "help")
    bin = folder / ".venv" / "bin"
    bin.mkdir(parents=True)
    (folder / ".venv" / ".ready").touch()
    os.utime(folder / "requirements.lock", (0, 0))
    real, seen = shlex.quote(sys.executable), shlex.quote(str(tmp_path / "seen"))
    told = f'case "$1" in -I) exec {real} "$@";; esac; printf "%s\\n" "$@" >>{seen}'
    interpreter(bin, "python", told)
    kept = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "USER": "ann"}
    kept |= {"CINV_RUNS": str(tmp_path / text), "PROFILE": text.replace("$", "$$"), "GPUS": ""}
    for target, *more in (("course", "JOBS=1"), ("site",), ("help",)):
        command = ["make", target, *more]
        done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert target == "site" or f"{tmp_path / text}/{text}/index.html" in done.stdout
    told = (tmp_path / "seen").read_text().splitlines()
    assert f"profile={text}" in told
    assert f"{tmp_path / text}/{text}" in told
    assert not list(tmp_path.rglob("x"))


@needs_make
def test_a_readers_settings_for_python_do_not_reach_it(tmp_path):
    """PYTHONHOME stops every Python but its own; make asks one before anything else."""
    names = ("PYTHONHOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONOPTIMIZE")
    stray = {name: "/no/such" for name in names}
    assert snakemake(shown(tmp_path, "course", "GPUS=", **stray))[0] == host.jobs([])
    text = (ROOT / "Makefile").read_text() + "\nseen:\n\t@env\n"
    (tmp_path / "Makefile").write_text(text)
    kept = {"PATH": os.environ["PATH"]} | stray
    command = ["make", "seen"]
    done = subprocess.run(
        command, cwd=tmp_path, env=kept, capture_output=True, text=True, check=True
    )
    assert not [line for line in done.stdout.splitlines() if line.startswith(names)]


@needs_make
def test_the_installation_is_compiled_once(tmp_path):
    assert re.search(r"uv pip sync .*--compile-bytecode", shown(tmp_path, "doctor"))


@needs_make
def test_a_readers_pip_installs_into_the_environment(tmp_path):
    """Whatever a pip.conf says of where: the Makefile's command, for a package of one module."""
    text = shown(tmp_path, "doctor")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / ".venv")], check=True)
    wheel, info = tmp_path / "tiny-1.0-py3-none-any.whl", "tiny-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("tiny.py", "")
        file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any"
        )
        file.writestr(f"{info}/RECORD", "")
    command = re.search(r'\S+ -m pip install [^(]*(?= "\$\(grep)', text)[0]
    lines = [f"export {name}={shlex.quote(value)}" for name, value in host.PIP.items()]
    stray = {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "PIP_CONSTRAINT": "/no/constraints"}
    stray |= {"PIP_DRY_RUN": "1", "PIP_REQUIRE_VIRTUALENV": "1", "PIP_NO_INDEX": "1"}
    shell = ["bash", "-c", "\n".join([*lines, f"{command} {shlex.quote(str(wheel))}"])]
    site = tmp_path / f".venv/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    for where in ("user = true", "target = {0}", "prefix = {0}\nroot = {0}"):
        settings = f"[global]\n{where.format(tmp_path / 'elsewhere')}\nrequire-hashes = 1\n"
        (tmp_path / "pip.conf").write_text(settings)
        subprocess.run(shell, cwd=tmp_path, env=os.environ | stray, check=True)
        assert list(tmp_path.rglob("tiny.py")) == [site / "tiny.py"], where
        (site / "tiny.py").unlink()
        shutil.rmtree(site / info)
