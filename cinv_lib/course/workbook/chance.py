"""Does an answer take its chance from the generator that it is given, and from nowhere else?"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from cinv_lib.course.workbook.compare import difference

HOW = "Give the generator to every draw, as in `torch.rand(n, generator=generator)`."
ELSEWHERE = (
    "called twice with equal generators, your answer gives two results, so some of its chance "
    f"comes from elsewhere. {HOW}"
)
UNUSED = f"with another generator your answer gives the same, so it does not use it. {HOW}"


def fresh(value: Any, advanced: bool = False) -> Any:
    """A copy that an answer may spoil. advanced: its generators have drawn some numbers since."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, torch.Generator):
        copy = value.clone_state()
        if advanced:  # an answer that only asks for the seed would not notice
            torch.rand(100, generator=copy, device=copy.device)
        return copy
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, tuple | list):
        return type(value)(fresh(one, advanced) for one in value)
    if isinstance(value, dict):
        return {key: fresh(one, advanced) for key, one in value.items()}
    return value


def fault(
    call: Callable[[tuple], tuple[Any, str]],
    arguments: Sequence[tuple],
    results: Sequence[Any],
    tolerance: float,
) -> str:
    """What is wrong with where an answer's chance comes from, or "" where it is the generator.

    call: gives the answer's value, and what stopped it in words. arguments: of its first calls;
    those without a generator are passed over. results: what these calls gave.
    """
    tried = [
        (given, got)
        for given, got in zip(arguments, results, strict=True)
        if any(isinstance(one, torch.Generator) for one in given)
    ]
    moved = False
    with torch.random.fork_rng(devices=[]):
        for number, (given, got) in enumerate(tried):
            torch.manual_seed(number)  # the first call has met another state
            again, stopped = call(fresh(given))
            if stopped:
                return f"called a second time your answer stops: {stopped}"
            if _differ(again, got, tolerance):
                return ELSEWHERE
            other, stopped = call(fresh(given, advanced=True))
            moved = moved or bool(stopped) or _differ(other, got, tolerance)
    return "" if moved or not tried else UNUSED


def _differ(one: Any, other: Any, tolerance: float) -> bool:
    try:
        return difference(one, other, tolerance) is not None
    except (TypeError, ValueError):  # of a kind that cannot be compared, which its judge says
        return False
