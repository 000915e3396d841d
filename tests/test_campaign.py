"""The campaign of faults tells a loss when there is one: a few trials of each kind, and some of a
store and a parser that are broken on purpose."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# One process, as to load torch takes longest. The whole store fails, then a sabotaged one.
SCRIPT = """
import sys
from tests.campaign import results, works
from tests.campaign.__main__ import main

works.EVERY = works.STORED[3:]
works.TRAININGS, works.PREPARED = (), works.PREPARED[3:]
out = sys.argv[1]
kinds = ["texts", "pictures", "archives", "manifests", "parameters", "bytes", "kill", "disk",
         "runners", "clock", "stop"]
arguments = ["--each", "1", "--pause", "0.2"] + [a for k in kinds for a in ("--only", k)]
print("whole:", main([*arguments, "--out", f"{out}/whole.jsonl"]))
print("again:", main([*arguments, "--out", f"{out}/whole.jsonl"]))

from cinv_lib.machine.store import Store


def make(self, kind, spec, build, label=""):
    folder = self.path(kind, spec, label)
    if not folder.exists():
        folder.mkdir(parents=True)
        build(folder)
    return folder


Store.make = make
results.undisturbed.cache_clear()
sabotaged = ["--only", "kill", "--each", "6", "--out", f"{out}/sabotaged.jsonl"]
print("sabotaged:", main(sabotaged))
"""


@pytest.fixture(scope="module")
def campaigns(tmp_path_factory) -> tuple[str, Path]:
    """What two campaigns print, and the folder of their lines."""
    if not hasattr(os, "fork") or not hasattr(os, "waitid"):
        pytest.skip("trials are forked, which this system cannot do")
    folder = tmp_path_factory.mktemp("campaign")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)], cwd=ROOT, env=environment, text=True,
        capture_output=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, folder


def lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_a_few_trials_of_every_kind_survive(campaigns):
    printed, folder = campaigns
    found = lines(folder / "whole.jsonl")
    bad = [line for line in found if line["outcome"] in ("lost", "unclear")]
    assert not bad, bad
    assert "whole: 0" in printed
    assert {line["kind"] for line in found} >= {"kill", "runners", "clock", "stop", "bytes"}


def test_what_was_tried_is_not_tried_again(campaigns):
    printed, folder = campaigns
    names = [(line["kind"], line["trial"]) for line in lines(folder / "whole.jsonl")]
    assert len(names) == len(set(names))
    assert "again: 0" in printed


def test_a_sabotaged_store_loses(campaigns):
    printed, folder = campaigns
    outcomes = [line["outcome"] for line in lines(folder / "sabotaged.jsonl")]
    assert outcomes.count("lost") > 0
    assert "sabotaged: 1" in printed


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="trials are forked")
def test_a_call_that_is_killed_at_once_has_printed_nothing():
    """The kill may come before the call has opened its streams."""
    from tests.campaign.forked import Running

    for _ in range(20):
        running = Running(lambda: time.sleep(60))
        running.signal(signal.SIGKILL)
        ended = running.wait(longest=10)
        assert (ended.killed, ended.printed, ended.error) == (signal.SIGKILL, "", "")


def test_words_are_clear_only_with_the_thing_and_the_fix():
    from tests.campaign.judge import fault_of

    good = "/a/b.pt is truncated; copy or download it again"
    assert fault_of("ValueError", good, ["/a/b.pt"]) == ""
    assert "nobody meant" in fault_of("KeyError", good, ["/a/b.pt"])
    assert "name the thing" in fault_of("ValueError", "bad file; copy it again", ["/a/b.pt"])
    assert "no fix" in fault_of("ValueError", "/a/b.pt: bad magic number", ["/a/b.pt"])


def test_a_line_that_a_kill_cut_short_is_tried_again(tmp_path):
    from tests.campaign.judge import survived
    from tests.campaign.ledger import Ledger

    file = tmp_path / "lines"
    Ledger(file, 0).add("kill", "a", survived(), 1.0)
    Ledger(file, 0).add("kill", "b", survived(), 1.0)
    file.write_text(file.read_text()[:-9])
    ledger = Ledger(file, 0)
    assert ledger.has("kill", "a") and not ledger.has("kill", "b")
    assert not Ledger(file, 1).has("kill", "a")
    assert len(file.read_text().splitlines()) == 1


def test_clocks_alone_make_no_other_result(tmp_path):
    """Whichever table holds a training's history: another speed is the same result, another loss
    is not."""
    from tests.campaign import results

    for name in ("history.csv", "own_training.csv"):
        found = []
        for loss, speed in ((1.5, 100), (1.5, 90), (1.6, 90)):
            (tmp_path / name).write_text(f"step,loss,images_per_s\n0,{loss},{speed}\n")
            found.append(results.finished(tmp_path)[name])
        assert found[0] == found[1] != found[2]
        (tmp_path / name).unlink()
