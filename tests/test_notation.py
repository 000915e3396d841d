"""The notation table is true: every code name in it exists and is documented."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "notebooks" / "NOTATION.md"
NAMES = sorted(set(re.findall(r"`(cinv_lib\.[\w.]+)`", PAGE.read_text(encoding="utf-8"))))


def test_the_table_is_not_empty():
    assert len(NAMES) > 20


@pytest.mark.parametrize("name", NAMES)
def test_a_code_name_leads_to_something_documented(name):
    _, room, *rest = name.split(".")
    found = importlib.import_module(f"cinv_lib.{room}")
    for part in rest:
        found = inspect.getattr_static(found, part)
    if rest[-1] != "__call__":
        found = getattr(found, "func", found)  # a cached property keeps its function here
        assert inspect.getdoc(found)
