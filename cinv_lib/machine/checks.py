"""What settings are expected to be, and how numbers are written in texts."""

from numbers import Real
from typing import Any

import numpy as np


def expect(record: Any, **rules: tuple[bool, str]) -> None:
    """Raise ValueError for the first setting of a record that is not as expected.

    Args:
        rules: by the name of the field, whether it is good, and what is expected of it.

    >>> from types import SimpleNamespace
    >>> expect(SimpleNamespace(epochs=0), epochs=(0 >= 1, "at least 1"))
    Traceback (most recent call last):
    ValueError: SimpleNamespace.epochs is 0; expected at least 1
    """
    for name, (good, expected) in rules.items():
        if not good:
            value = getattr(record, name)
            raise ValueError(f"{type(record).__name__}.{name} is {value!r}; expected {expected}")


def number(given: Any) -> float | None:
    """A number of Python's, numpy's or torch's as Python's; None for what is none, as True is.

    One of single precision becomes the shortest decimal that it stands for.

    >>> import numpy as np
    >>> number(np.float32(0.9)), number(1), number("0.9"), number(True)
    (0.9, 1.0, None, None)
    """
    if getattr(given, "shape", None) == () and hasattr(given, "tolist"):  # numpy's and torch's
        plain, given = given, given.tolist()
        if str(plain.dtype).endswith("float32") and np.isfinite(given):
            return float(str(np.float32(given)))
    if isinstance(given, bool) or not isinstance(given, Real):
        return None
    return float(given)


def read_number(text: str, whole: str, forms: str) -> float:
    """The number that is written in a part of a text.

    Args:
        whole: what the text names, and the text, for the error: "loss 'st:x'".
        forms: how such a text is expected to be written.

    Raises ValueError where the part is no number.
    """
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} in {whole} is not a number; expected {forms}") from None


def number_text(number: float) -> str:
    """The shortest text of a number that reads back as the same: 0.9, 9, 1e300.

    >>> number_text(0.9), number_text(9.0), number_text(1e300)
    ('0.9', '9', '1e300')
    """
    return repr(float(number)).removesuffix(".0").replace("e+", "e")
