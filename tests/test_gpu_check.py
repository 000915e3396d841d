"""The GPU check goes on after an error, counts it, and says what is not installed."""

import importlib.util
from types import SimpleNamespace

import pytest
import torch

from tests.gpu import __main__ as check
from tests.gpu import roofline


@pytest.fixture
def sections(monkeypatch):
    from tests.gpu import sections

    def wrong(folder):
        yield "so far"
        raise RuntimeError("two devices")

    def right(folder):
        yield f"{folder.is_dir()}"

    monkeypatch.setattr(sections, "SECTIONS", {"wrong": (wrong, 5), "right": (right, 5)})
    monkeypatch.setattr(sections, "forget", lambda: None)
    monkeypatch.setattr(check, "faulthandler", SimpleNamespace(
        dump_traceback_later=lambda *_, **__: None, cancel_dump_traceback_later=lambda: None
    ))  # fmt: skip
    for name in ("CINV_HOME", "CINV_RUNS", "TQDM_DISABLE"):
        monkeypatch.setenv(name, "restored afterwards")
    return sections


def test_a_section_that_fails_is_counted_and_the_next_one_runs(sections, capsys):
    assert check.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "      wrong: so far"
    assert lines[1].startswith("FAIL  wrong: RuntimeError: two devices")
    assert lines[2:4] == ["      right: True", "OK    right (0 s)"]
    assert lines[-1] == "1 sections failed: wrong"
    assert check.main(["--only", "right"]) == 0
    assert capsys.readouterr().out.endswith("\n0 sections failed\n")


def test_what_no_longer_fits_is_skipped(sections, capsys, monkeypatch):
    monkeypatch.setattr(sections, "GPU", True)
    assert check.main(["--seconds", "1"]) == 0
    said = capsys.readouterr().out
    assert "skipped: wrong, right\n0 sections failed" in said


def test_what_is_not_installed_is_said_before_anything_runs(sections, capsys, monkeypatch):
    assert check.missing() == []
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "open_clip" else real(name)
    )
    assert check.main([]) == 1
    said = capsys.readouterr().out.splitlines()
    assert "--find-links WHEELS open_clip_torch" in said[0] and len(said) == 2


def test_the_costs_of_convolutions():
    tower = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(8, 4, 1))
    found = roofline.costs(tower, torch.rand(2, 3, 10, 10))
    assert found == [
        (2 * 27 * 8 * 200, 2 * (3 * 200 + 8 * 200 + 216)),
        (2 * 8 * 4 * 200, 2 * (8 * 200 + 4 * 200 + 32)),
    ]
