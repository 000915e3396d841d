"""The run that lesson 18 shows where a reader has none of their own: a folder of drawn stickers,
and an operator that loses rows.
"""

from dataclasses import replace
from pathlib import Path

from cinv_lib.lab.profiles.own import DRAWN, EXAMPLE, Own
from cinv_lib.lab.profiles.record import Profile
from cinv_lib.operators.base import OPERATORS
from cinv_lib.operators.code import load_code

ROWS = Path(__file__).with_name("rows.py")


def example(name: str = EXAMPLE) -> Profile:
    """The example; a class Rows that a notebook has defined is taken as it is there."""
    return _own(epochs=15).profile(name)


def tiny(name: str) -> Profile:
    """The same in seconds, for tests. Its numbers mean nothing."""
    p = _own(epochs=1, probe_epochs=1, realisations=2).profile(name)
    return replace(p, train_per_class=4, val_per_class=2)


def _own(**settings: int) -> Own:
    if "rows" not in OPERATORS:
        load_code(ROWS)
    (pictures,) = DRAWN
    return Own(pictures, "rows:0.3..0.7", "stickers-clip", lr=3e-3, **settings)
