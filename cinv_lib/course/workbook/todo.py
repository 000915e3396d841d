"""The sentinel that stands where an answer is missing.

It swallows what is done to it, so that half an answer stays "not attempted" and raises nothing:

>>> import torch
>>> (torch.ones(3) * TODO).sum() / 2
TODO
"""

from typing import Any

import torch


class Todo:
    """Its one instance is `TODO`; arithmetic, calls, items and attributes of it give it again."""

    _only: "Todo | None" = None

    def __new__(cls) -> "Todo":
        if cls._only is None:
            cls._only = super().__new__(cls)
        return cls._only

    def __repr__(self) -> str:
        return "TODO"

    def __bool__(self) -> bool:
        return False

    def __getattr__(self, name: str) -> "Todo":
        if name.startswith("_"):  # IPython and copy ask for many, and must be told no
            raise AttributeError(name)
        return self

    def _swallow(self, *_: Any, **__: Any) -> "Todo":
        return self

    __call__ = __getitem__ = _swallow
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _swallow
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _swallow
    __matmul__ = __rmatmul__ = __pow__ = __rpow__ = _swallow
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = __invert__ = _swallow
    __neg__ = __pos__ = __abs__ = __round__ = __lt__ = __le__ = __gt__ = __ge__ = _swallow
    __array_ufunc__ = __array_function__ = _swallow
    # Python would iterate by items, and there is always a next one.
    __iter__ = __contains__ = None

    @classmethod
    def __torch_function__(cls, function: Any, *_: Any, **__: Any) -> "Todo":
        if function is torch.Tensor.__setitem__:  # swallowed, it would leave no trace
            raise TypeError("an item cannot be set to a Todo")
        return TODO


TODO = Todo()


def is_about_todo(error: BaseException) -> bool:
    """Whether an error was raised because `TODO` cannot be what was asked of it, as a length."""
    causes = (error, error.__cause__)  # NumPy has a ValueError because of a TypeError
    return any(isinstance(one, TypeError) and Todo.__name__ in str(one) for one in causes)


def has_todo(value: Any) -> bool:
    """Whether an answer is `TODO`, or a collection with one in it."""
    if isinstance(value, tuple | list):
        return any(map(has_todo, value))
    if isinstance(value, dict):
        return any(map(has_todo, value.values()))
    return value is TODO
