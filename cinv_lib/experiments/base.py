"""What trainings and experiments have in common: an entry, one object that says what it needs, what
its result depends on, and how it is made.

The parameters of the method that makes an entry name what it needs: other entries (`student`), or
what a lab gives (`teacher`, `val`). From these names follow what is handed to the method, what
comes before it in the plan, and its description, by which the store finds it. So nothing that is
used can be missing from the description.
"""

import inspect
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from cinv_lib.data.image_files import Pictures
from cinv_lib.encoders.captions import TEMPLATE
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation.probe import Probe, zero_shot
from cinv_lib.evaluation.scores import Group
from cinv_lib.losses import equations
from cinv_lib.operators import basic
from cinv_lib.training.baseline import Classifier

MOST_SEEDS = 10_000  # a number beyond is a slip, and its list would fill the memory
LOSS = "st:0.1"  # the paper's, Eq. 3 at its temperature


@dataclass(frozen=True)
class Task:
    """One thing that a lab makes: the entry `kind` at an operator, for a seed and a loss.

    The texts are brought to one form, so that "mask:.9" and "mask:0.90" are one task. loss: "" for
    an entry without a student in it.

    Raises ValueError where a text names no operator or loss, or the seed is none.
    """

    kind: str
    operator: str
    seed: Any = 0  # an int, whatever whole number was given
    loss: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", checked_seed(self.seed))
        object.__setattr__(self, "operator", str(basic.parse(self.operator)))
        object.__setattr__(self, "loss", self.loss and str(equations.parse(self.loss)))


def checked_seed(seed: Any) -> int:
    """A seed, of a training or of a lesson's draws, that every generator takes.

    Raises ValueError for anything but a whole number from 0; those of torch end at 2**63.

    >>> checked_seed(3)
    3
    """
    if not isinstance(seed, Integral) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise ValueError(f"seed {seed!r}: expected a whole number, 0 or more and below 2**63")
    return int(seed)


def training_seeds(seeds: Any) -> list[int]:
    """The training seeds, from how many there are, or which.

    Raises ValueError for anything but a whole number from 1, or at least one seed.

    >>> training_seeds(2), training_seeds([3])
    ([0, 1], [3])
    """
    if isinstance(seeds, Integral) and not isinstance(seeds, bool):
        which = list(range(int(seeds))) if seeds <= MOST_SEEDS else []
    else:
        which = list(seeds) if isinstance(seeds, Iterable) and not isinstance(seeds, str) else []
    if not which:
        raise ValueError(f"seeds {seeds!r}: expected how many, 1 or more, or which, as [0, 1]")
    return which


Needs = Mapping[str, Any]  # name -> a Task, a name of what a lab gives, or a mapping of these


def alongside(
    task: Task, names: Iterable[str], without_student: Container[str] = ()
) -> dict[str, Task]:
    """The trainings of these names at the operator and the seed of `task`, and with its loss but
    for those that have no student in them."""
    return {
        name: Task(name, task.operator, task.seed, "" if name in without_student else task.loss)
        for name in names
    }


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A training or an experiment, with its settings.

    Args:
        operators: where lessons ask for it -> what is particular there (draws, severities), or
            None.
        losses: of the students that lessons ask for; the first is the profile's. () without
            students.
        several: operators or losses of these that a run of one seed leaves out: side issues, of
            which one training each decides nothing. Lessons show them from the recorded run.
        rows: operators of these that are asked for with all rows of the paper's tables alone, see
            `Profile.all_rows`.
    """

    operators: Mapping[str, Any] = field(default_factory=dict)
    losses: tuple[str, ...] = (LOSS,)
    several: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()

    name: ClassVar[str]  # also that of its folder in the store, and of its (first) table
    version: ClassVar[int] = 1  # raised when the code changes the results, with a line in CHANGELOG
    lessons: ClassVar[tuple[str, ...]] = ()  # that ask for it
    apart: ClassVar[bool] = False  # `make course` gives it a process of its own
    in_words: ClassVar[bool] = False  # it asks the teacher in words, and needs its text tower
    shown: ClassVar[str] = ""  # the lesson whose cells `make course` runs to make it
    only_at: ClassVar[str] = ""  # the one operator it is made at, whatever is asked for
    only_seed: ClassVar[int | None] = None  # and the one seed
    # These fields only choose what is made; on every other one, a setting, its results depend.
    asks: ClassVar[frozenset[str]] = frozenset({"operators", "losses", "several", "rows"})

    def __post_init__(self) -> None:
        kept = {str(basic.parse(op)): here for op, here in self.operators.items()}
        object.__setattr__(self, "operators", kept)

    def asked(self, seeds: int | list[int]) -> tuple[list[str], list[str]]:
        """The operators and the losses that a run of so many seeds, or of these, asks for."""
        out = self.several if seeds == 1 else ()
        return (
            [op for op in self.operators if op not in (*out, *self.rows)],
            [loss for loss in self.losses or ("",) if loss not in out],
        )

    def tasks(self, seeds: int | list[int]) -> list[Task]:
        """What lessons ask for in a run of so many training seeds, from 0, or of these."""
        operators, losses = self.asked(seeds)
        which = training_seeds(seeds) if self.only_seed is None else [self.only_seed]
        return [
            Task(self.name, op, seed, loss) for seed in which for op in operators for loss in losses
        ]

    def task(self, operator: str, seed: int = 0, loss: str | None = None) -> Task:
        """The task of this entry; loss None is the profile's, and an entry without students has
        none whatever is asked."""
        loss = "" if not self.losses else loss or self.losses[0]
        seed = seed if self.only_seed is None else self.only_seed
        return Task(self.name, self.only_at or operator, seed, loss)

    def label(self, task: Task) -> str:
        """The task in a file's name: no colon and no bar, which Windows does not have."""
        loss = f"-{task.loss}" if task.loss and task.loss != self.losses[0] else ""
        text = f"{task.operator}{loss}-seed{task.seed}"
        return text.replace(":", "_").replace("|", "_or_")

    def needs(self, task: Task) -> Needs:
        """What has to be there: the names of the parameters of the method that makes it."""
        return {name: name for name in self.parameters() if name not in ("folder", "task")}

    def loads(self) -> Iterable[str]:
        """Sets of pictures, by name, that it loads itself beside those that a lab gives it."""
        return ()

    def settings(self, task: Task) -> dict[str, Any]:
        """What its result depends on besides its operator, seed, loss and needs."""
        kept = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in self.asks}
        if kept.get("redrawn") is False:  # descriptions that are older than it say nothing of it
            del kept["redrawn"]
        here = self.operators.get(task.operator)
        return kept if here is None else kept | {"here": here}

    def make(self, folder: Path, task: Task, **needed: Any) -> None:
        """Make it in a folder of the store, from what it `needs`."""
        given = {"folder": folder, "task": task} | needed
        self.keep(folder, self.maker()(**{name: given[name] for name in self.parameters()}))

    def maker(self) -> Callable[..., Any]:
        """The method that makes it; `folder` and `task` are handed to it if it names them."""
        raise NotImplementedError

    def keep(self, folder: Path, made: Any) -> None:
        """Write what the maker returned."""

    def parameters(self) -> list[str]:
        """The names of what its maker is handed."""
        return list(inspect.signature(self.maker()).parameters)


class Training(Entry):
    """An entry that is a model: `build(folder, task, ...)` trains it there, and goes on with a
    checkpoint that it finds."""

    apart: ClassVar[bool] = True

    def maker(self) -> Callable[..., None]:
        return self.build

    def load(self, folder: Path) -> Any:
        """The model, or several, of a finished folder."""
        raise NotImplementedError


class Experiment(Entry):
    """An entry that is a table, or several: `measure(task, ...)` returns them by name."""

    tables: ClassVar[Mapping[str, str]]  # their names -> how their numbers are written

    def task(self, operator: str, seed: int = 0, loss: str | None = None) -> Task:
        """As for every entry. Raises ValueError at an operator where it is not measured."""
        task = super().task(operator, seed, loss)
        if task.operator not in self.operators:
            known = ", ".join(self.operators)
            raise ValueError(
                f"{self.name} is not measured at {operator!r}; expected one of {known}"
            )
        return task

    def maker(self) -> Callable[..., Mapping[str, pd.DataFrame]]:
        return self.measure

    def read(self, rows: pd.DataFrame, operator: str) -> pd.DataFrame:
        """A table of all seeds as lessons and claims read it: with what the settings say of it."""
        return rows

    def keep(self, folder: Path, made: Mapping[str, pd.DataFrame]) -> None:
        for name, digits in self.tables.items():
            made[name].to_csv(folder / f"{name}.csv", index=False, float_format=digits)


@dataclass(frozen=True, kw_only=True)
class AskedInWords(Experiment):
    """An experiment that also asks for the classes in words.

    Args:
        template: the sentence in which a class is asked for; {} stands for its name.
    """

    template: str = TEMPLATE
    in_words: ClassVar[bool] = True

    def words(self, teacher: Encoder, pictures: Pictures) -> Probe:
        """The classes of these pictures in the words of `teacher`, as a probe."""
        return zero_shot(teacher, pictures.class_names, (self.template,))

    def contestants(
        self,
        teacher: Encoder,
        baseline: Classifier,
        student: Encoder,
        probe: Probe,
        pictures: Pictures,
    ) -> list[Group]:
        """`unknown_severity.METHODS` as groups for `evaluate`: CLIP first, each encoder with its
        heads. probe: the student's, fitted within the range."""
        words = self.words(teacher, pictures)
        return [
            (teacher, {"clip_zero_shot": words}),
            (baseline.encoder, {"baseline": baseline.head}),
            (student, {"student": probe, "zero_shot": words}),
        ]
