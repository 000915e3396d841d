"""The doctor: each check sees what is broken, and says what to do."""

import hashlib
import importlib
import importlib.metadata
import shutil
import sys
from collections import namedtuple
from types import SimpleNamespace

import pytest
import torch

from cinv_lib.course import doctor
from cinv_lib.machine import finding as findings

Version = namedtuple("Version", "major minor micro releaselevel serial")


@pytest.mark.parametrize(
    ("version", "status"),
    [((3, 10, 9), "FAIL"), ((3, 11, 0), "OK"), ((3, 12, 9), "OK"), ((3, 13, 0), "WARN")],
)
def test_python_version(monkeypatch, version, status):
    monkeypatch.setattr(sys, "version_info", Version(*version, "final", 0))
    finding = doctor.python()
    assert finding.status == status
    assert ".".join(map(str, version)) in finding.detail
    assert ("PYTHON=" in finding.fix) == (status != "OK")


def test_packages_that_differ_from_the_lock_are_named(tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        f"# a comment\npytest=={pytest.__version__}\n    # via -r requirements.txt\n"
        "torch==1.0.0\nno-such-package==2.0\nappnope==1.0 ; sys_platform == 'nowhere'\n"
    )
    finding = doctor.packages(lock)
    assert finding.status == "WARN"
    assert finding.detail.startswith("2 differ")
    assert "torch" in finding.detail and "expected 1.0.0" in finding.detail
    assert "no-such-package absent" in finding.detail
    assert "appnope" not in finding.detail


def test_packages_as_in_the_lock(tmp_path):
    """A build tag ("+cpu") is the same version."""
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"pytest=={pytest.__version__}\n")
    assert doctor.packages(lock).status == "OK"
    lock.write_text(f"torch=={importlib.metadata.version('torch').partition('+')[0]}\n")
    assert doctor.packages(lock).status == "OK"


def test_libraries_of_this_environment_work():
    for check in (doctor.torch, doctor.torchvision, doctor.open_clip, doctor.widgets, doctor.bf16):
        assert findings.examine(check.__name__, check).status == "OK", check.__name__


def test_operators_of_torchvision_that_are_missing(monkeypatch):
    """The trap of a torch from elsewhere: the import fails with a RuntimeError."""
    real = importlib.import_module

    def broken(name):
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms does not exist\nand more")
        return real(name)

    monkeypatch.setattr(importlib, "import_module", broken)
    finding = findings.examine("torchvision", doctor.torchvision)
    assert finding.status == "FAIL"
    assert finding.detail == "RuntimeError: operator torchvision::nms does not exist"
    assert "rm -rf .venv" in finding.fix


def test_operators_of_torchvision_that_compute_nonsense(monkeypatch):
    ops = SimpleNamespace(nms=lambda boxes, scores, threshold: torch.tensor([0, 1, 2]))
    fake = {"torch": torch, "torchvision": SimpleNamespace(ops=ops, __version__="0")}
    monkeypatch.setattr(importlib, "import_module", fake.__getitem__)
    assert doctor.torchvision().status == "FAIL"


@pytest.mark.parametrize("visible", ["", "-1"])
def test_gpus_that_the_reader_hid_are_no_fault_of_the_driver(monkeypatch, visible):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    finding = doctor.gpu()
    assert finding.status == "OK" and f"CUDA_VISIBLE_DEVICES={visible!r}" in finding.detail
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert doctor.gpu().status == "WARN"


def test_data(tmp_path):
    absent = doctor.data(tmp_path / "absent")
    assert absent.status == "WARN" and "data_prep" in absent.fix
    (tmp_path / "set.npy").write_bytes(b"0" * 2**20)
    assert doctor.data(tmp_path).detail.startswith("1 files, 1 MiB")


@pytest.fixture
def shipped(tmp_path):
    folder = tmp_path / "stickers-clip"
    folder.mkdir()
    (folder / "open_clip_model.safetensors").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    (folder / "MODEL_CARD.md").write_text(f"sha256 | `{digest}` |\n")
    return folder


def test_weights_of_the_card(shipped):
    assert doctor.weights(shipped, load=False).status == "OK"


def test_weights_that_are_truncated(shipped):
    (shipped / "open_clip_model.safetensors").write_bytes(b"weigh")
    finding = doctor.weights(shipped, load=False)
    assert finding.status == "FAIL"
    assert "5 bytes" in finding.detail and "git checkout" in finding.fix


@pytest.mark.parametrize("name", ["open_clip_model.safetensors", "MODEL_CARD.md"])
def test_weights_that_are_absent(shipped, name):
    (shipped / name).unlink()
    finding = doctor.weights(shipped, load=False)
    assert finding.status == "FAIL" and "absent" in finding.detail


def test_report_is_a_line_a_check_and_the_fix_below(capsys):
    def fails():
        raise OSError("no such thing")

    named = [("good", lambda: findings.Finding("OK", "good", "very")), ("bad", fails)]
    assert findings.report(named) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "OK   good: very"
    assert lines[1] == "FAIL bad: OSError: no such thing"
    assert lines[2].strip().startswith("fix: ")
    assert lines[-1] == "1 OK, 0 WARN, 1 FAIL: something must be fixed"
    assert findings.report(named[:1]) == 0


def test_this_repository_is_healthy(capsys, home):
    """Nothing fails here; the embedded weights are those of their cards and load."""
    assert doctor.main(["--port", "0"]) == 0, capsys.readouterr().out
    names = [name for name, _ in doctor.checks()]
    assert {"weights stickers-clip", "weights stickers-supervised", "disk", "data"} <= {*names}
