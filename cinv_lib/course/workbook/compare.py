"""Is a value the expected one? If not: by how much, and what might have happened, in words.

Plain numbers, NumPy arrays and tensors of one shape may stand for each other.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

NONE = "it gave None: is a `return` missing?"
NUMBERS = (bool, int, float, np.ndarray, np.generic, torch.Tensor)
PLAIN = "biufc"  # kinds of dtype that are numbers: truth values, integers, floats, complex
SHOWN = 4  # entries of an array that a message shows


def difference(got: Any, expected: Any, tolerance: float) -> str | None:
    """What is wrong with `got`, or None where it is `expected` within `tolerance`.

    The tolerance is relative to the largest entry of `expected`, and absolute below 1.

    >>> difference(0.5, 0.25, 1e-4)
    'you gave 0.5, expected 0.25'
    >>> difference(torch.ones(2, 3), torch.ones(3), 1e-4)
    'its shape is (2, 3), expected (3,)'
    """
    if got is None:
        return NONE
    if isinstance(expected, str):
        same = isinstance(got, str) and got == expected
        return None if same else f"you gave {_short(got)}, expected {expected!r}"
    if isinstance(expected, Mapping):
        if not isinstance(got, Mapping) or set(got) != set(expected):
            return f"you gave {_short(got)}, expected a dict with the keys {sorted(expected)}"
        return _parts({key: (got[key], expected[key]) for key in expected}, tolerance)
    if isinstance(expected, Sequence):
        got = list(got) if isinstance(got, np.ndarray | torch.Tensor) and got.ndim else got
        if not isinstance(got, Sequence) or isinstance(got, str) or len(got) != len(expected):
            return f"you gave {_short(got)}, expected {len(expected)} values"
        pairs = zip(got, expected, strict=True)
        return _parts({f"part {k + 1}": pair for k, pair in enumerate(pairs)}, tolerance)
    array = _array(got) if isinstance(got, NUMBERS) else None
    if array is None or array.dtype.kind not in PLAIN:
        return f"it gave {_kind(got)}, expected {_kind(expected)}"
    return _numbers(array, _array(expected), tolerance)


def _parts(pairs: Mapping[str, tuple[Any, Any]], tolerance: float) -> str | None:
    for name, (got, expected) in pairs.items():
        wrong = difference(got, expected, tolerance)
        if wrong:
            return f"{name}: {wrong}"
    return None


def _numbers(got: np.ndarray, expected: np.ndarray, tolerance: float) -> str | None:
    if got.shape != expected.shape:
        return f"its shape is {got.shape}, expected {expected.shape}"
    if expected.dtype == bool or got.dtype == bool:
        if np.array_equal(got, expected):
            return None
        return f"you gave {_entries(got)}, expected {_entries(expected)}"
    bad = int((~np.isfinite(got) & np.isfinite(expected)).sum())
    if bad:
        return f"{bad} of its {got.size} numbers are NaN or infinite"
    if _same(got, expected, tolerance):
        return None
    words = f"you gave {_entries(got)}, expected {_entries(expected)}"
    if got.size > 1:
        there = np.isfinite(got) & np.isfinite(expected)
        gap = np.abs(got[there] - expected[there]).max(initial=0.0)
        words += f"; the largest difference is {gap:.3g}"
    return words


def relation(pairs: Sequence[tuple[Any, Any]], tolerance: float) -> str | None:
    """A simple rule that takes every expected value to the one that was given, or None.

    >>> relation([(2.0, -2.0), (-3.0, 3.0)], 1e-4)
    'your answer has the opposite sign in every case'
    """
    if not all(isinstance(one, NUMBERS) for pair in pairs for one in pair):
        return None
    got, expected = ([_array(pair[k]) for pair in pairs] for k in (0, 1))
    if any(array.dtype.kind not in "iuf" for array in (*got, *expected)):
        return None

    def fits(rule: Callable[[np.ndarray], np.ndarray]) -> bool:
        pairs = zip(got, expected, strict=True)
        return all(_same(g, np.asarray(rule(e)), tolerance) for g, e in pairs)

    if all(e.ndim == 2 for e in expected) and fits(np.transpose):
        return "your answer is the transpose of the right one: rows and columns are exchanged"
    if any(g.shape != e.shape for g, e in zip(got, expected, strict=True)):
        return None
    g, e = (np.concatenate([a.ravel() for a in arrays]).astype(float) for arrays in (got, expected))
    if len(g) < 2 or not (np.isfinite(g).all() and np.isfinite(e).all()):
        return None
    if fits(np.negative):
        return "your answer has the opposite sign in every case"
    factor = float(g @ e / (e @ e)) if e.any() else 0.0
    if abs(factor) > tolerance and fits(lambda right: factor * right):
        return f"your answer is {factor:.4g} times the right one in every case"
    shift = float((g - e).mean())
    if fits(lambda right: right + shift):
        sign = "plus" if shift > 0 else "minus"
        return f"your answer is the right one {sign} {abs(shift):.4g} in every case"
    return None


def _same(got: np.ndarray, expected: np.ndarray, tolerance: float) -> bool:
    scale = np.abs(expected[np.isfinite(expected)]).max(initial=1.0)
    return got.shape == expected.shape and np.allclose(
        got, expected, rtol=0, atol=tolerance * scale, equal_nan=True
    )


def _array(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().to_dense().resolve_conj().resolve_neg()
        value = value.float() if value.dtype == torch.bfloat16 else value
    return np.asarray(value)


def _entries(array: np.ndarray) -> str:
    flat = array.ravel()
    exact = array.dtype.kind in "biu"
    words = [str(v) if exact else f"{v:.6g}" for v in flat[:SHOWN].tolist()]
    if array.ndim == 0:
        return words[0]
    return f"[{', '.join(words)}{', ...' if flat.size > SHOWN else ''}]"


def _kind(value: Any) -> str:
    if not isinstance(value, NUMBERS):
        return f"a {type(value).__name__}"
    array = _array(value)
    kind = "number" if array.dtype.kind in PLAIN else array.dtype.name
    return f"a {kind}" if array.ndim == 0 else f"an array of {kind}s, shape {array.shape}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:57]}..."
