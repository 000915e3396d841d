"""What the Makefile asks and is answered, and what it then runs."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cinv_lib.machine import folders, host, shell

ROOT = Path(__file__).parents[2]
OLD = next(
    (
        path
        for name in ("python3.8", "python3.9", "python3.10")
        for path in [shutil.which(name)]
        if path and not subprocess.run([path, "-c", ""], capture_output=True).returncode
    ),
    None,
)


def interpreter(folder: Path, name: str, says: str) -> None:
    """A program with a Python's name, which prints its version or does something else."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{says}\n")
    (folder / name).chmod(0o755)


def test_settings_that_are_no_whole_numbers_are_named(capsys):
    assert shell.main(["check", "SEEDS=3", "JOBS=1", "PORT=8888"]) == 0
    for wrong in ("SEEDS=0", "SEEDS=-1", "SEEDS=1.5", "SEEDS=", "JOBS=max", "PORT=70000", "JOBS=²"):
        assert shell.main(["check", "SEEDS=3", wrong]) == 1
        name, _, value = wrong.partition("=")
        assert f"{name}={value!r}: expected a whole number" in capsys.readouterr().err


def test_the_environment_is_lines_for_a_shell(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(host, "stand_in", lambda: tmp_path / "it's $(touch x)")
    monkeypatch.setenv("HOME", "/proc/none")
    shell.main(["environment"])
    script = f'{capsys.readouterr().out}printf %s "$XDG_CACHE_HOME"'
    command = ["bash", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.PIPE, text=True)
    assert done.stdout == str(tmp_path / "it's $(touch x)" / "xdg_cache_home")
    assert not (tmp_path / "x").exists()


needs_make = pytest.mark.skipif(not shutil.which("make"), reason="there is no make")


def shown(folder: Path, *arguments: str, **environment: str) -> str:
    """What `make -n` would run, in a folder with the Makefile and no environment of its own."""
    (folder / "cinv_lib/machine").mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "Makefile", folder / "Makefile")
    for name in ("finding", "folders", "host", "installation", "preflight", "shell"):
        shutil.copy(ROOT / f"cinv_lib/machine/{name}.py", folder / "cinv_lib/machine")
    (folder / "notebooks").mkdir(exist_ok=True)
    if not (folder / "requirements.lock").exists():
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
    (folder / ".venv" / ".ready").write_text(f"{folder.resolve()}\ntorch=\n")
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
        assert target == "site" or f"{tmp_path / text}/{text}/site/index.html" in done.stdout
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
def test_a_copy_notices_that_its_environment_was_made_elsewhere(tmp_path):
    shown(tmp_path, "help")
    ready = tmp_path / ".venv/.ready"
    ready.parent.mkdir()
    os.utime(tmp_path / "requirements.lock", (0, 0))
    for first, again in ((tmp_path.resolve(), False), ("/another", True)):
        ready.write_text(f"{first}\ntorch=cpu\n")
        assert ("shell.py install" in shown(tmp_path, "course", "GPUS=", "JOBS=1")) == again
    ready.write_text(f"{tmp_path.resolve()}\ntorch=cpu\n")
    asked = shown(tmp_path, "install", "TORCH=cu126")
    assert re.search(r'shell.py install "" "cu126"', asked)
    assert "shell.py install" in shown(tmp_path, "install", "TORCH=")  # back to the lock's


@needs_make
def test_the_doctor_looks_before_the_installation_and_does_not_install(tmp_path):
    shown(tmp_path, "help")
    kept = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "USER": "ann"}
    command = ["make", "doctor", "PORT=65001"]
    done = subprocess.run(command, cwd=tmp_path, env=kept, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARN .venv: not there yet" in done.stdout and "fix: make install" in done.stdout
    assert "FAIL" not in done.stdout.replace("0 FAIL", "")
    assert not (tmp_path / ".venv").exists()


@needs_make
def test_all_that_make_starts_has_the_same_absolute_folders(tmp_path):
    text = (ROOT / "Makefile").read_text() + "\nseen:\n\t@$(PREPARED) env\n"
    shown(tmp_path, "help")
    (tmp_path / "Makefile").write_text(text)
    kept = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "JUPYTER_PATH": "/other"}
    kept |= {"CINV_RUNS": "my runs", "CINV_HOME": "~/d", "CINV_PROGRESS": "./p.json"}
    command = ["make", "seen"]
    done = subprocess.run(
        command, cwd=tmp_path, env=kept, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert {f"CINV_RUNS={tmp_path}/my runs", f"CINV_HOME={tmp_path}/d"} <= set(lines)
    assert f"CINV_PROGRESS={tmp_path}/p.json" in lines
    assert not [line for line in lines if line.startswith("JUPYTER_PATH")]


@needs_make
def test_a_browser_is_given_an_address_and_no_file(tmp_path):
    assert "--ServerApp.use_redirect_file=False" in shown(tmp_path, "lab")


def test_the_makefile_and_the_snakefile_stay_short():
    """What they decide belongs into files that have tests."""
    lines = [
        line for n in ("Makefile", "Snakefile") for line in (ROOT / n).read_text().splitlines()
    ]
    assert len(lines) < 397


@pytest.mark.skipif(not OLD, reason="there is no Python older than the course's here")
def test_an_old_python_can_answer(tmp_path):
    command = [OLD, "-I", str(ROOT / "cinv_lib/machine/shell.py")]
    for question, expected in (("cores", str(host.cores())), ("folders", folders.shown())):
        done = subprocess.run([*command, question], cwd=tmp_path, capture_output=True, text=True)
        assert done.stdout.strip() == expected, done.stderr
