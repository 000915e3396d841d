"""What settings are expected to be, and how numbers are written in texts."""

from typing import Any


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


def number_text(number: float) -> str:
    """The shortest text of a number that reads back as the same: 0.9, 9, 1e300.

    >>> number_text(0.9), number_text(9.0), number_text(1e300)
    ('0.9', '9', '1e300')
    """
    return repr(float(number)).removesuffix(".0").replace("e+", "e")
