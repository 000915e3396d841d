"""The recorded run stays valid: each of its tables is found by the task that made it, and every
byte of it is the one that was measured. Its numbers are in the lessons' committed outputs.
"""

import functools
import hashlib
import json
from pathlib import Path

from cinv_lib.lab import plan
from cinv_lib.lab.lab import Lab

PINS = Path(__file__).with_name("recorded_tables.json")


def pinned():
    return json.loads(PINS.read_text())


@functools.cache
def found():
    """TASK/FILE -> sha256 of what the archive has for the tasks of the profile."""
    lab = Lab("stickers", recorded=True)
    hashes = {}
    for name, task in plan.every(lab.profile.all_rows(), [0, *lab.profile.recorded]).items():
        if lab.archive.finished(**lab.place(task)):
            for file in lab.archive.path(**lab.place(task)).glob("*.csv"):
                hashes[f"{name}/{file.name}"] = hashlib.sha256(file.read_bytes()).hexdigest()
    return hashes


def test_every_recorded_table_is_found_and_is_what_was_measured():
    pins, there = pinned(), found()
    lost, changed = set(pins) - set(there), {k for k in pins if pins[k] != there.get(k)}
    assert not lost, f"a change of a description or an address lost {sorted(lost)}"
    assert not changed, f"other numbers than those that were measured: {sorted(changed)}"


def test_no_recorded_table_is_without_a_pin():
    """Else a table could be recorded that nobody would miss."""
    assert set(found()) == set(pinned())


if __name__ == "__main__":  # the pins anew: python -m tests.test_recorded
    PINS.write_text(json.dumps(dict(sorted(found().items())), indent=1) + "\n")
