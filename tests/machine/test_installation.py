"""The environment: which Python makes it, what is installed, and that it is its folder's."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from cinv_lib.machine import installation


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
    assert installation.python() == str(first / "python3.13")  # newer than the tested ones
    interpreter(second, "python3.11", "echo 3 11")
    assert installation.python() == str(second / "python3.11")
    interpreter(second, "python3", "echo 3 12")  # behind a shim of the same name
    assert installation.python() == str(second / "python3")
    assert installation.python(str(second / "python3.11")) == str(second / "python3.11")
    assert installation.python(str(first / "python3")) is None


def test_no_python_that_suits_is_said_so(tmp_path, monkeypatch, capfd):
    interpreter(tmp_path, "python3", 'test "$1" = --version && echo Python 3.6.9 || echo 3 6')
    monkeypatch.setenv("PATH", str(tmp_path))
    assert installation.python() is None
    assert "needs Python 3.11 or 3.12; python3 is Python 3.6.9" in installation.refused()
    assert "/no/python is not one that starts" in installation.refused("/no/python")


def test_a_python_that_was_built_without_a_part_is_passed_by_or_named(tmp_path, monkeypatch):
    """It would pass the test of its version and fail at `import torchvision`, 6 GB later."""
    first, second = tmp_path / "first", tmp_path / "second"
    interpreter(first, "python3", "echo 3 12; echo lzma; echo sqlite3")
    monkeypatch.setenv("PATH", str(first))
    assert installation.python() is None
    said = installation.refused()
    assert "built without lzma, sqlite3" in said and "liblzma-dev libsqlite3-dev" in said
    interpreter(second, "python3.11", "echo 3 11")
    monkeypatch.setenv("PATH", f"{first}{os.pathsep}{second}")
    assert installation.python() == str(second / "python3.11")
    assert installation.built(sys.executable) == (sys.version_info[:2], [])


# -- the reader's mirror -----------------------------------------------------------------------
def test_uv_is_told_what_pip_knows_of_mirrors(monkeypatch):
    for name in (*installation.MIRROR.values(), "UV_SYSTEM_CERTS"):
        monkeypatch.delenv(name, raising=False)
    assert installation.mirror("install.trusted-host='a'\nglobal.timeout='60'") == {
        "UV_INSECURE_HOST": "a"
    }
    listed = "global.index-url='https://a/simple'\n:env:.index-url='https://b/simple'\n"
    listed += "global.extra-index-url='https://c\\nhttps://d'\nglobal.proxy='http://p:1'\n"
    found = installation.mirror(listed)
    assert found["UV_DEFAULT_INDEX"] == "https://b/simple" and found["ALL_PROXY"] == "http://p:1"
    assert found["UV_INDEX"] == "https://c https://d" and found["UV_INDEX_STRATEGY"]
    assert found["UV_SYSTEM_CERTS"] == "1"
    assert (
        installation.mirror(f"{listed}global.cert='/etc/me.pem'")["SSL_CERT_FILE"] == "/etc/me.pem"
    )
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://mine")
    assert "UV_DEFAULT_INDEX" not in installation.mirror(listed)


def test_pip_lists_its_settings_as_they_are_read(tmp_path):
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://me.example/simple\n")
    command = [sys.executable, "-m", "pip", "config", "list"]
    environment = os.environ | {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if "No module named pip" in done.stderr:
        pytest.skip("there is no pip here")
    assert installation.mirror(done.stdout)["UV_DEFAULT_INDEX"] == "https://me.example/simple"


# -- the disks ---------------------------------------------------------------------------------
def test_free_space_is_looked_at_on_both_disks(monkeypatch, tmp_path):
    free = {installation.ROOT: 50, tmp_path: 1}
    monkeypatch.setattr(shutil, "disk_usage", lambda at: SimpleNamespace(free=free[at] * 2**30))
    real = Path.stat
    other = SimpleNamespace(st_dev=-1)
    monkeypatch.setattr(Path, "stat", lambda p, **k: other if p == tmp_path else real(p, **k))
    monkeypatch.setattr(Path, "exists", lambda p: p in free)
    said = installation.room(tmp_path / "cache/uv", 8)
    assert f"{tmp_path}: 1.0 GiB free" in said and "UV_CACHE_DIR" in said and "TORCH=cpu" in said
    free[tmp_path] = 9
    assert installation.room(tmp_path / "cache/uv", 8) == ""
    free[installation.ROOT] = 3
    assert installation.room(tmp_path / "cache/uv", 8).startswith(f"{installation.ROOT}: 3.0")


# -- the installation --------------------------------------------------------------------------
@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A checkout with an environment of nothing, and a note of what would be started."""
    root = tmp_path / "a course"
    root.mkdir()
    (root / "requirements.lock").write_text("uv==1.0\nnumpy==2.0\ntorch==2.9\nnvidia-nccl==1.0\n")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root / ".venv")], check=True)
    for name, value in {
        "ROOT": root,
        "VENV": root / ".venv",
        "READY": root / ".venv/.ready",
        "LOCK": root / "requirements.lock",
    }.items():
        monkeypatch.setattr(installation, name, value)
    monkeypatch.setattr(installation, "answer", lambda command: "uv 1.0" if "uv" in command else "")
    started, real = [], subprocess.run

    def run(command, **k):
        if "uv" in command or "venv" in command:
            started.append(command[2:])
            installation.subprocess.environment = k.get("env")
            return SimpleNamespace(returncode=0)
        return real(command, **k)

    monkeypatch.setattr(subprocess, "run", run)
    return SimpleNamespace(root=root, started=started)


def test_the_installation_is_compiled_once_and_says_what_is_fetched(empty, capfd):
    installation.install()
    sync = empty.started[-1]
    assert sync[:3] == ["uv", "pip", "sync"] and "--compile-bytecode" in sync
    assert "--quiet" not in sync  # 6 GB in silence
    assert "installing requirements.lock" in capfd.readouterr().out
    assert installation.READY.read_text() == f"{empty.root}\ntorch=\n"


def test_settings_of_uv_for_other_projects_are_not_handed_on(empty, monkeypatch):
    monkeypatch.setenv("UV_CONSTRAINT", "/no/constraints")
    monkeypatch.setenv("UV_CACHE_DIR", "/a/cache")
    installation.install()
    seen = installation.subprocess.environment
    assert "UV_CONSTRAINT" not in seen and seen["UV_CACHE_DIR"] == "/a/cache"
    assert seen["PIP_USER"] == "0"


def test_another_build_of_torch_keeps_all_else_as_locked(empty):
    installation.install(torch="cpu")
    sync = empty.started[-1]
    assert sync[:4] == ["uv", "pip", "install", "--exact"]
    assert sync[sync.index("--torch-backend") + 1] == "cpu"
    assert (empty.root / ".venv/others.txt").read_text() == "uv==1.0\nnumpy==2.0\n"
    assert installation.recorded() == "cpu"
    installation.install()
    assert installation.recorded() == ""
    with pytest.raises(ValueError, match="TORCH='cuda'"):
        installation.install(torch="cuda")


def test_a_full_disk_is_said_before_anything_is_fetched(empty, monkeypatch):
    monkeypatch.setattr(installation, "room", lambda cache, needed: f"{needed} GiB")
    installation.install()  # all is in the cache
    installation.READY.unlink()
    real = subprocess.run
    absent = SimpleNamespace(returncode=1)
    run = lambda command, **k: absent if "--offline" in command else real(command, **k)  # noqa: E731
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(ValueError, match=r"^8 GiB"):
        installation.install()
    assert not installation.READY.exists()


# -- a copy ------------------------------------------------------------------------------------
def test_a_copied_checkout_has_its_own_python_library_and_scripts(empty, tmp_path):
    bin = empty.root / ".venv/bin"
    (empty.root / "cinv_lib").mkdir()
    (empty.root / "cinv_lib/__init__.py").touch()
    script = bin / "which"
    code = "import cinv_lib, os, sys; print(cinv_lib.__file__, sys.prefix, sep='|')"
    code += "; print(os.environ.get('JUPYTER_PATH'))"
    script.write_text(f"#!{bin}/python3.11\n# -*- coding: utf-8 -*-\n{code}\n")
    script.chmod(0o755)
    installation.install()
    copy, old = tmp_path / "my copy", tmp_path / "old"
    shutil.copytree(empty.root, copy, symlinks=True)
    (old / "cinv_lib").mkdir(parents=True)
    (old / "cinv_lib/__init__.py").touch()
    stray = {"PYTHONPATH": str(old), "JUPYTER_PATH": str(old)}
    for root in (empty.root, copy):
        for command in ([root / ".venv/bin/which"], [root / ".venv/bin/python", "-c", code]):
            said = subprocess.check_output(command, cwd=tmp_path, text=True, env=os.environ | stray)
            assert said == f"{root}/cinv_lib/__init__.py|{root}/.venv\nNone\n"


def test_a_moved_checkout_repairs_what_names_the_folder(empty, monkeypatch):
    installation.install()
    assert not [command for command in empty.started if command[0] == "venv"]
    installation.READY.write_text("/another/folder\ntorch=\n")
    installation.install()
    assert [command for command in empty.started if command[0] == "venv"]
    assert installation.READY.read_text().startswith(str(empty.root))


def test_jupyterlab_asks_nothing_about_news(empty):
    """Of a setting's overrides JupyterLab takes those that its own schema knows."""
    installation.install()
    file = installation.VENV / "share/jupyter/lab/settings/overrides.json"
    ((plugin, values),) = json.loads(file.read_text()).items()
    package, _, name = plugin.partition(":")
    schemas = Path(sys.prefix, "share/jupyter/lab/schemas", package, f"{name}.json")
    known = json.loads(schemas.read_text())["properties"]
    assert values == {"fetchNews": "false", "checkForUpdates": False} and set(values) <= set(known)
    assert "false" in [one["const"] for one in known["fetchNews"]["oneOf"]]


# -- kernels -----------------------------------------------------------------------------------
def test_a_kernel_says_its_errors_and_not_that_its_end_interrupted_it(tmp_path, monkeypatch, capfd):
    from traitlets.config import Application
    from traitlets.config.loader import PyFileConfigLoader

    (tmp_path / "ipython_kernel_config.py").write_text(installation.KERNEL)
    config = PyFileConfigLoader("ipython_kernel_config.py", str(tmp_path)).load_config()

    class IPKernelApp(Application):
        pass

    app = IPKernelApp(config=config)
    app.log.error("KeyboardInterrupt caught in kernel.")
    app.log.warning("sockets are not encrypted")
    app.log.error("Exception in message handler:")
    said = capfd.readouterr().err
    assert "Exception in message handler" in said
    assert "KeyboardInterrupt" not in said and "encrypted" not in said
