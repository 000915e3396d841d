"""The recorded run stays valid: each of its tables is found by the task that made it, and every
byte of it is the one that was measured. Its numbers are in the lessons' committed outputs.
"""

import functools
import hashlib
import json
import sys
from pathlib import Path

import pytest

from cinv_lib.lab import plan
from cinv_lib.lab.lab import Lab

RUNS = {  # profile -> its seeds, and the pins of its tables
    "stickers": (3, "recorded_tables.json"),
    "evidence": ([11, 12, 13, 14, 15], "recorded_evidence.json"),
}


def pinned(profile):
    return json.loads(Path(__file__).with_name(RUNS[profile][1]).read_text())


@functools.cache
def found(profile):
    """TASK/FILE -> sha256 of what the archive has for the tasks of the profile."""
    lab = Lab(profile, recorded=True)
    hashes = {}
    for name, task in plan.every(lab.profile, RUNS[profile][0]).items():
        if lab.archive.finished(**lab.place(task)):
            for file in lab.archive.path(**lab.place(task)).glob("*.csv"):
                hashes[f"{name}/{file.name}"] = hashlib.sha256(file.read_bytes()).hexdigest()
    return hashes


@pytest.mark.parametrize("profile", RUNS)
def test_every_recorded_table_is_found_and_is_what_was_measured(profile):
    pins, there = pinned(profile), found(profile)
    lost, changed = set(pins) - set(there), {k for k in pins if pins[k] != there.get(k)}
    assert not lost, f"a change of a description or an address lost {sorted(lost)}"
    assert not changed, f"other numbers than those that were measured: {sorted(changed)}"


@pytest.mark.parametrize("profile", RUNS)
def test_no_recorded_table_is_without_a_pin(profile):
    """Else a table could be recorded that nobody would miss."""
    assert set(found(profile)) == set(pinned(profile))


if __name__ == "__main__":  # the pins of a profile, anew: python -m tests.test_recorded evidence
    pins = json.dumps(dict(sorted(found(sys.argv[1]).items())), indent=1)
    Path(__file__).with_name(RUNS[sys.argv[1]][1]).write_text(pins + "\n")
