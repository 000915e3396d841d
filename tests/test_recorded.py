"""The recorded run stays valid: each of its tables is found by the task that made it, and every
byte of it is the one that was measured. Its numbers are in the lessons' committed outputs.
"""

import hashlib
import json
from pathlib import Path

import pytest

from cinv_lib.lab import plan
from cinv_lib.lab.lab import Lab

PINNED = json.loads(Path(__file__).with_name("recorded_tables.json").read_text())


@pytest.fixture(scope="module")
def found():
    """TASK/FILE -> sha256 of what the archive has for the tasks of the profile."""
    lab = Lab("stickers", recorded=True)
    hashes = {}
    for name, task in plan.every(lab.profile, 3).items():
        if lab.archive.finished(**lab.place(task)):
            for file in lab.archive.path(**lab.place(task)).glob("*.csv"):
                hashes[f"{name}/{file.name}"] = hashlib.sha256(file.read_bytes()).hexdigest()
    return hashes


def test_every_recorded_table_is_found_and_is_what_was_measured(found):
    lost, changed = set(PINNED) - set(found), {k for k in PINNED if PINNED[k] != found.get(k)}
    assert not lost, f"a change of a description or an address lost {sorted(lost)}"
    assert not changed, f"other numbers than those that were measured: {sorted(changed)}"


def test_no_recorded_table_is_without_a_pin(found):
    """Else a table could be recorded that nobody would miss."""
    assert set(found) == set(PINNED)
