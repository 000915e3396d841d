"""Specs: plain descriptions of what a result depends on, and their addresses.

>>> address({"seed": 0, "op": "mask:0.9"}) == address({"op": "mask:0.9", "seed": 0.0})
True
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

ADDRESS_DIGITS = 20  # 80 bits of sha256: short enough for a path, and no two specs will ever meet


def canonical(value: Any) -> Any:
    """`value` as plain JSON data, equal for values that mean the same.

    Mappings keep their (string) keys, tuples become lists, whole floats become integers (1.0 and 1
    are equal in Python, so they share an address), paths and NumPy scalars become plain values. A
    dataclass with a `__str__` of its own (an operator, a loss) becomes that string, so that
    `RandomMask(0.9)` and `"mask:0.9"` are one spec; any other dataclass becomes its fields, all of
    them, and its class name: were fields at their default left out, changing a default later would
    silently return old results.

    Raises:
        TypeError: for anything else (a tensor, a function, a set), naming where it stands.
        ValueError: for NaN and infinities, which JSON does not have.
    """
    return _canonical(value, "spec")


def _canonical(value: Any, where: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not np.isfinite(value):
            raise ValueError(f"{where} is {value}; a spec holds finite numbers only")
        return int(value) if value.is_integer() else value
    if isinstance(value, Path):
        return value.as_posix()
    if is_dataclass(value) and not isinstance(value, type):
        if type(value).__str__ is not object.__str__:
            return str(value)
        named = {f.name: getattr(value, f.name) for f in fields(value)}
        return {"class": type(value).__name__} | {
            name: _canonical(item, f"{where}.{name}") for name, item in named.items()
        }
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {key!r}; keys must be strings")
        return {key: _canonical(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item, f"{where}[{i}]") for i, item in enumerate(value)]
    raise TypeError(
        f"{where} is a {type(value).__name__}, which has no canonical text; put what identifies it "
        "in the spec instead (a name, a seed, a recipe, the address of another entry)"
    )


def address(spec: Mapping[str, Any]) -> str:
    """The first 20 hex digits of the sha256 of the spec's canonical JSON."""
    text = json.dumps(canonical(spec), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:ADDRESS_DIGITS]
