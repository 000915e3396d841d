"""What the tests of operators share."""

import copy

import pytest

from cinv_lib.operators import base


@pytest.fixture(autouse=True)
def known():
    """Each test begins with the library's own operators, whatever others have defined in this
    process, and what it defines is unknown to them."""
    before = copy.copy(base.OPERATORS)
    for name in set(before) - set(base.RESERVED):
        del base.OPERATORS[name]
    yield
    base.OPERATORS.clear()
    base.OPERATORS.update(before)
