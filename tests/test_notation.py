"""The notation table is true: every code name in it exists and is documented."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "notebooks" / "NOTATION.md"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "cinv_lib").rglob("*.py")
}
NAMES = sorted(set(re.findall(r"`(cinv_lib\.[\w.]+)`", PAGE.read_text(encoding="utf-8"))))


def test_the_table_is_not_empty():
    assert len(NAMES) > 20


@pytest.mark.parametrize("name", NAMES)
def test_a_code_name_leads_to_something_documented(name):
    module, _, last = name.rpartition(".")
    rest = [last]
    while module not in MODULES:  # a method's class is no module
        module, _, last = module.rpartition(".")
        rest = [last, *rest]
    found = importlib.import_module(module)
    for part in rest:
        found = inspect.getattr_static(found, part)
    if rest[-1] != "__call__":
        found = getattr(found, "func", found)  # a cached property keeps its function here
        assert inspect.getdoc(found)
