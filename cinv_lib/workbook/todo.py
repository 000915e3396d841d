"""The sentinel that stands where an answer is missing.

It swallows what is done to it, so that half an answer stays "not attempted" and raises nothing:

>>> import torch
>>> (torch.ones(3) * TODO).sum() / 2
TODO
"""

from typing import Any


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
    __truediv__ = __rtruediv__ = __matmul__ = __rmatmul__ = __pow__ = __rpow__ = _swallow
    __neg__ = __abs__ = __lt__ = __le__ = __gt__ = __ge__ = _swallow
    __array_ufunc__ = _swallow

    @classmethod
    def __torch_function__(cls, *_: Any, **__: Any) -> "Todo":
        return TODO


TODO = Todo()


def has_todo(value: Any) -> bool:
    """Whether an answer is `TODO`, or a collection with one in it."""
    if isinstance(value, tuple | list):
        return any(map(has_todo, value))
    if isinstance(value, dict):
        return any(map(has_todo, value.values()))
    return value is TODO
