"""What the doctor looks at before anything is installed: each check sees what is broken."""

import os
import platform
import shutil
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from cinv_lib.machine import finding, folders, host, installation, preflight


@pytest.mark.parametrize(("gib", "status"), [(0.1, "FAIL"), (1.0, "WARN"), (50.0, "OK")])
def test_disk(tmp_path, monkeypatch, gib, status):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=gib * 2**30))
    finding = preflight.disk(tmp_path / "not" / "there" / "yet")
    assert finding.status == status
    assert str(tmp_path) in finding.detail
    assert ("CINV_HOME" in finding.fix) == (status != "OK")


@pytest.mark.parametrize(("gib", "status"), [(1, "WARN"), (9, "OK")])
def test_memory_says_how_many_jobs_there_will_be(monkeypatch, gib, status):
    monkeypatch.setattr(host, "memory", lambda *_: gib * host.GIB)
    monkeypatch.setattr(host, "cores", lambda *_: 64)
    finding = preflight.memory()
    assert finding.status == status
    assert f"{gib}.0 GiB are free for 64 cores: {5 if gib == 9 else 1} jobs" in finding.detail


def test_a_home_that_cannot_be_written_to_is_said_so(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert preflight.home().status == "OK"
    monkeypatch.setenv("HOME", "/proc/none")
    finding = preflight.home()
    assert finding.status == "WARN" and "'/proc/none' cannot be written to" in finding.detail


def test_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        finding = preflight.port(number)
        assert finding.status == "WARN" and str(number) in finding.detail
    assert preflight.port(number).status == "OK"


@pytest.mark.parametrize(
    ("kind", "machine", "version", "status"),
    [
        ("darwin", "arm64", "14.2", "OK"),
        ("darwin", "arm64", "13.6", "FAIL"),
        ("darwin", "x86_64", "15.0", "FAIL"),
        ("linux", "x86_64", "", "OK"),
        ("linux", "armv7l", "", "FAIL"),
        ("cygwin", "x86_64", "", "FAIL"),
    ],
)
def test_systems_that_pytorch_has_nothing_for(monkeypatch, kind, machine, version, status):
    monkeypatch.setattr(sys, "platform", kind)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "mac_ver", lambda: (version, (), ""))
    found = preflight.system()
    assert found.status == status and bool(found.fix) == (status == "FAIL")


def test_a_python_that_does_not_suit_fails_with_what_to_install(monkeypatch):
    monkeypatch.setattr(installation, "python", lambda given="": None)
    monkeypatch.setattr(installation, "_there", list)
    found = preflight.python()
    assert found.status == "FAIL" and "needs Python 3.11" in found.detail and "apt" in found.fix


MOUNTS = """22 1 8:1 / / rw - ext4 /dev/sda rw
30 22 0:5 / /home rw shared:1 - nfs4 server:/home rw
31 22 0:6 / /mnt/c rw - 9p C: rw
32 22 0:7 / /home/ann/my\\040disk rw - xfs /dev/sdb rw
"""


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("/srv/course", ""),
        ("/home/ann/course", "another machine's disk (nfs4)"),
        ("/home/ann/my disk/course", ""),
        ("/mnt/c/Users/ann/course", "Windows' disk"),
        ("/Users/ann/Library/Mobile Documents/com~apple~CloudDocs/course", "a cloud"),
        ("/srv/ann/OneDrive - School/course", "a cloud"),
    ],
)
def test_file_systems_on_which_locks_may_not_hold_are_named(tmp_path, folder, said):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text(MOUNTS)
    found = preflight.file_system(Path(folder), tmp_path)
    assert (found.status == "WARN") == bool(said)
    assert said in found.detail


def test_file_systems_where_there_is_no_proc(monkeypatch):
    monkeypatch.setattr(host, "_read", lambda path: "")
    said = "/dev/disk1 on / (apfs, local)\n//ann@nas/x on /Volumes/My X (smbfs, nodev)"
    monkeypatch.setattr(host, "answer", lambda command: said)
    assert host.file_system(Path("/Volumes/My X/course")) == "smbfs"
    assert host.file_system(Path("/Users/ann")) == "apfs"


def test_variables_of_another_python_are_said(monkeypatch):
    for name in preflight.STRAY:
        monkeypatch.delenv(name, raising=False)
    assert preflight.variables().status == "OK"
    monkeypatch.setenv("PYTHONPATH", "/cluster/numpy")
    found = preflight.variables()
    assert found.status == "WARN" and "/cluster/numpy" in found.detail
    assert found.fix.startswith("unset PYTHONPATH;")


def test_a_run_folder_that_snakemake_cannot_name_fails(monkeypatch):
    monkeypatch.setenv("CINV_RUNS", "/tmp/a{b}")
    assert preflight.where().status == "FAIL"
    monkeypatch.setenv("CINV_RUNS", "/tmp/a")
    found = preflight.where()
    assert found.status == "OK" and "runs /tmp/a" in found.detail


@pytest.mark.parametrize(
    ("number", "status", "fix"),
    [(None, "WARN", "reboot"), (535, "WARN", "TORCH=cu126"), (580, "OK", "")],
)
def test_a_driver_that_is_too_old_for_the_locked_cuda(monkeypatch, number, status, fix):
    monkeypatch.delenv("TORCH", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(host, "driver", lambda: number)
    monkeypatch.setattr(host, "gpus", lambda: ["0"])
    found = preflight.driver()
    assert found.status == status and fix in found.fix


def test_an_environment_that_does_not_start_is_to_be_made_again(monkeypatch, tmp_path):
    monkeypatch.setattr(installation, "VENV", tmp_path)
    monkeypatch.setattr(installation, "READY", tmp_path / ".ready")
    found = preflight.installed()
    assert found.status == "WARN" and "installing requirements.lock" in found.detail
    (tmp_path / ".ready").write_text("/old\ntorch=\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to("/no/python")
    found = preflight.installed()
    assert found.status == "FAIL" and found.fix == finding.REINSTALL
    found = preflight.place()
    assert (
        found.status == "WARN" and "made for /old" in found.detail and "make install" in found.fix
    )


def test_relative_folders_are_one_for_all_wherever_they_are_asked_for(monkeypatch, tmp_path):
    seen = set()
    monkeypatch.setenv("CINV_RUNS", "my runs")
    monkeypatch.setenv("CINV_HOME", "./data2")
    monkeypatch.setenv("CINV_PROGRESS", "~/p.json")
    monkeypatch.setenv("HOME", str(tmp_path))
    for at in (folders.ROOT, folders.ROOT / "notebooks", tmp_path):
        monkeypatch.chdir(at)
        seen.add(folders.shown())
    assert len(seen) == 1
    assert folders.runs("smoke") == folders.ROOT / "my runs" / "smoke"
    assert folders.run_folder("smoke") == "my runs/smoke"
    assert folders.home() == folders.ROOT / "data2"
    assert folders.progress_file() == tmp_path / "p.json"
    monkeypatch.setenv("CINV_RUNS", str(tmp_path))
    assert folders.run_folder("smoke") == str(tmp_path / "smoke")


def test_progress_is_the_readers_own_where_the_checkout_is_another_users(monkeypatch, tmp_path):
    monkeypatch.delenv("CINV_PROGRESS", raising=False)
    monkeypatch.setattr(folders, "own", lambda: tmp_path / "me")
    owner = folders.ROOT.stat().st_uid
    for user, file in (
        (owner, folders.ROOT / "progress.json"),
        (0, folders.ROOT / "progress.json"),
        (owner + 7, tmp_path / "me/progress.json"),
    ):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        assert folders.progress_file() == file
