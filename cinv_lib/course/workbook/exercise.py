"""What an exercise and a prediction are. The exercises themselves are in `lessons`."""

import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

Judge = Callable[..., str | None]


@dataclass(frozen=True)
class Case:
    """Arguments on which an answer is tried, and words for them, as "N = 4, tau = 0.1"."""

    label: str
    args: tuple = ()


@dataclass(frozen=True)
class Wrong:
    """A plausible wrong answer, and the sentence that its author needs to read."""

    answer: Callable
    because: str


@dataclass(frozen=True)
class Exercise:
    """One exercise. Its cell is `stub` and a call of `check`; `TODO` in it is "not attempted".

    id: "2.3" is the third of lesson 02; minutes: how long it should take; difficulty: 1 to 3.
    reference: what is right, wherever possible the library's own function. It is also what the
        rest of the notebook uses while the reader has no right answer.
    cases: from a generator to cases; the same seed gives the same cases.
    judge: where many answers are right (a random mask, say): from the answer's value and the
        case's arguments to what is wrong with it, or None.
    wrong: at least three, each with a reason of its own; alternative: another right answer.
    hints: three, each giving away more; solution: a function, shown by its source; why: what
        makes it right, and the common wrong turn.
    """

    id: str
    title: str
    minutes: int
    difficulty: int
    stub: str
    reference: Callable
    cases: Callable[[torch.Generator], Iterable[Case]]
    wrong: tuple[Wrong, ...]
    alternative: Callable
    hints: tuple[str, str, str]
    solution: Callable | str
    why: str
    judge: Judge | None = None
    tolerance: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "stub", textwrap.dedent(self.stub).strip())

    @property
    def heading(self) -> str:
        """Its number and title before what is said of it; a question keeps its mark."""
        name = f"Exercise {self.id}, {self.title}"
        return name if name.endswith("?") else f"{name}:"

    @property
    def lesson(self) -> str:
        """The number of its lesson: "02"."""
        return self.id.partition(".")[0].zfill(2)

    @property
    def name(self) -> str:
        """The name that the reader's cell defines."""
        found = re.search(r"^(?:def\s+(\w+)|(\w+)\s*=)", self.stub, re.M)
        return found.group(1) or found.group(2)

    @property
    def is_function(self) -> bool:
        """Whether the answer is a function, and not a value."""
        return re.search(r"^def ", self.stub, re.M) is not None

    @property
    def solution_source(self) -> str:
        """The solution as the text of a cell that defines `name`."""
        if isinstance(self.solution, str):
            return textwrap.dedent(self.solution).strip()
        return textwrap.dedent(inspect.getsource(self.solution)).strip()

    def cell(self, answer: str | None = None) -> str:
        """The exercise's cell, with an answer's source in place of the stub."""
        source = self.stub if answer is None else answer
        gap = "\n\n\n" if self.is_function else "\n"
        return f'{source}{gap}{self.name} = check("{self.id}", {self.name})'

    def drawn(self, seed: int | None = None) -> list[Case]:
        """The cases of a seed, by default those that the reader meets."""
        seed = self.seed if seed is None else seed
        return list(self.cases(torch.Generator().manual_seed(seed)))


@dataclass(frozen=True)
class Prediction:
    """A guess that the reader makes before the result is shown.

    id: "2.A" is the first of lesson 02. options: what there is to choose from; None for a number,
    which scores 1 within `tolerance` of the truth and a half within three times that.
    """

    id: str
    question: str
    options: tuple[str, ...] | None = None
    tolerance: float = 0.0
    digits: int = 2

    @property
    def lesson(self) -> str:
        """The number of its lesson: "02"."""
        return self.id.partition(".")[0].zfill(2)


def lessons() -> list[str]:
    """Numbers of the lessons that have exercises: "00", "01", ..."""
    from cinv_lib.course import lessons as package

    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    return sorted(n.removeprefix("lesson_") for n in names if n.startswith("lesson_"))


def _module(lesson: str) -> Any:
    return importlib.import_module(f"cinv_lib.course.lessons.lesson_{lesson}")


def of_lesson(lesson: str) -> tuple[Exercise, ...]:
    """The exercises of a lesson, in their order."""
    return tuple(_module(lesson).EXERCISES) if lesson in lessons() else ()


def predictions_of_lesson(lesson: str) -> tuple[Prediction, ...]:
    """The predictions of a lesson, in their order."""
    return tuple(getattr(_module(lesson), "PREDICTIONS", ())) if lesson in lessons() else ()


def find(id: str | float) -> Exercise:
    """The exercise of that id. Raises KeyError, with those that its lesson has."""
    return _find(id, of_lesson, "exercise", "2.3")


def find_prediction(id: str) -> Prediction:
    """The prediction of that id. Raises KeyError, with those that its lesson has."""
    return _find(id, predictions_of_lesson, "prediction", "2.A")


def _find(id: str | float, listed: Callable, what: str, example: str) -> Any:
    id = str(id)  # hint(0.1) is as good as hint("0.1")
    there = {one.id: one for one in listed(id.partition(".")[0].zfill(2))}
    if id not in there:
        known = f"its lesson has {', '.join(there)}" if there else f"an id is for example {example}"
        raise KeyError(f"no {what} {id!r}; {known}")
    return there[id]
