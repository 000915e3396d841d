"""What a profile of the course consists of: data, teacher, and the entries that lessons ask for.

The profiles themselves are in `stickers` and `paper`.
"""

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cinv_lib.data.catalogue import OWN
from cinv_lib.data.image_files import ImageFiles
from cinv_lib.encoders import config, folder
from cinv_lib.experiments.base import LOSS, Entry, Task
from cinv_lib.machine.store import address
from cinv_lib.operators.base import described as operator_described
from cinv_lib.operators.basic import parse

HISTORY = "_history"  # a need called `baseline_history` is how the `baseline` was trained


@dataclass(frozen=True)
class Profile:
    """One profile of the course.

    Args:
        teacher: an encoder's name, see `encoders.load`.
        supervised: the encoder that the baseline starts from.
        supervised_narrow: another start in lesson 07, which knows the labelled classes only; ""
            where there is none.
        vit: another teacher, whose image tower is a transformer (lesson 14).
        data: a set's name, see `data.load`.
        train_per_class, val_per_class: its pictures of each class, None for all.
        twins: the set of near twins of lesson 10; "" for none.
        twins_per_class: its pictures of each class.
        slider: the range that the model of the slider (lesson 00) is trained on.
        entries: trainings and experiments. `profile["pixels"]` finds one by its name.
        unlabelled: what students learn from, where it is not `data`.
        redrawn: whether each seed has pictures of its own, to train on and to be scored on: then a
            seed is a replicate of all that can be drawn again.
        recorded: the training seeds of the run that is kept with the course, () where none is.
    """

    name: str
    teacher: str
    supervised: str
    supervised_narrow: str
    vit: str
    data: str
    train_per_class: int | None
    val_per_class: int | None
    twins: str
    twins_per_class: int
    slider: str
    entries: tuple[Entry, ...]
    unlabelled: str = ""
    redrawn: bool = False
    recorded: tuple[int, ...] = ()

    def __getitem__(self, name: str) -> Entry:
        """The entry of that name. Raises KeyError for another, with those there are."""
        found = self.by_name().get(name)
        if found is None:
            raise KeyError(f"no entry {name!r} in profile {self.name}; there are {self._names()}")
        return found

    def __contains__(self, name: str) -> bool:
        return name in self.by_name()

    def by_name(self) -> dict[str, Entry]:
        """The entries by their names."""
        return {entry.name: entry for entry in self.entries}

    def making(self, table: str) -> Entry:
        """The experiment that makes a table. Raises ValueError for an unknown one, with those there
        are."""
        tables = {name: e for e in self.entries for name in getattr(e, "tables", ())}
        if table not in tables:
            known = ", ".join(tables)
            raise ValueError(f"no table {table!r} in profile {self.name}; there are {known}")
        return tables[table]

    def changed(self, entries: Mapping[str, Mapping[str, Any]], **fields: Any) -> "Profile":
        """The same with other fields, and with other settings of the entries named.

        Raises KeyError where one of them is no entry, with those there are.
        """
        for name in entries:
            _ = self[name]
        new = tuple(replace(e, **entries.get(e.name, {})) for e in self.entries)
        return replace(self, entries=new, **fields)

    def all_rows(self) -> "Profile":
        """The same, with the rows of the paper's tables that only `make course TABLES=all` asks for
        (`Entry.rows`)."""
        return replace(self, entries=tuple(replace(e, rows=()) for e in self.entries))

    @property
    def operators(self) -> tuple[str, ...]:
        """Those of Table 1 that lesson 06 scores every method on."""
        known = self["known_operator"]
        return tuple(op for op in known.operators if op not in known.rows)

    @property
    def is_own(self) -> bool:
        """Whether it is a reader's own run (lesson 18), which is called own/NAME."""
        return self.name.startswith("own/")

    @property
    def loss(self) -> str:
        """The paper's, of every student that nobody asks another of."""
        return LOSS

    # -- what an entry needs, and what describes it ---------------------------------------------
    def needs(self, task: Task) -> dict[str, Any]:
        """What has to be there for a task, by the name under which it is handed over: a Task, or
        the name of what a lab gives, or several of these by their names."""
        return {name: self._need(need, task) for name, need in self[task.kind].needs(task).items()}

    def _need(self, need: Any, task: Task) -> Any:
        if isinstance(need, Mapping):
            return {name: self._need(one, task) for name, one in need.items()}
        if isinstance(need, Task):
            return self[need.kind].task(need.operator, need.seed, need.loss or None)
        kind = need.removesuffix(HISTORY)
        if kind not in self:
            return need
        made = self[kind].task(task.operator, task.seed, task.loss or None)
        return made if kind == need else History(made)

    def after(self, task: Task) -> list[Task]:
        """The tasks that have to be done before this one."""
        return list(dict.fromkeys(_tasks(self.needs(task))))

    def describe(self, task: Task) -> dict[str, Any]:
        """All that a result depends on: what the store finds it by."""
        entry = self[task.kind]
        described = {"kind": entry.name, "version": entry.version, "seed": task.seed}
        described |= {"operator": operator_described(parse(task.operator))}
        described |= {"loss": task.loss} if task.loss else {}
        needs = self._described(self.needs(task), self.drawn(task.seed))
        return described | entry.settings(task) | {"needs": needs}

    def drawn(self, seed: int) -> str:
        """What follows the name of a set of pictures that a task of this seed sees."""
        return f"@{seed}" if self.redrawn and seed else ""

    def _described(self, need: Any, drawn: str) -> Any:
        if isinstance(need, Mapping):
            return {name: self._described(one, drawn) for name, one in need.items()}
        if isinstance(need, History):
            return {"history": self.describe(need.of)}
        return self.describe(need) if isinstance(need, Task) else self._given(need, drawn)

    def _given(self, name: str, drawn: str) -> Any:
        if name in ENCODERS:
            return encoder_described(getattr(self, name))
        train = [self._set + drawn, "train", self.train_per_class]
        more = [self.unlabelled + drawn, "train", None] if self.unlabelled else train
        pictures = {
            "train": train,
            "unlabelled": more,
            "val": [self._set + drawn, "val", self.val_per_class],
            "twins": [self.twins + drawn, "val", self.twins_per_class],
        }
        return pictures[name] + self._resized

    @functools.cached_property  # descriptions are asked for often, and a folder may be large
    def _set(self) -> str:
        """`data` in a description, as its folder was when it was first asked for."""
        return described_set(self.data)

    @functools.cached_property
    def _resized(self) -> list[int]:
        """A lab has pictures at the teacher's size. Where another tower takes another size, what it
        sees has been resized twice, and depends on a teacher that its entry may not need."""
        sides = {side_of(getattr(self, tower)) for tower in ENCODERS if getattr(self, tower)}
        return [side_of(self.teacher)] if len(sides) > 1 else []

    def address(self, task: Task) -> str:
        """Its folder in the store, beside others of its kind: to be read, and another one when
        anything that it depends on is."""
        return f"{self[task.kind].label(task)}-{address(self.describe(task))}"

    def task_name(self, task: Task) -> str:
        """The name of a task in the plan, and of its files."""
        return f"{task.kind}-{self[task.kind].label(task)}"

    def _names(self) -> str:
        return ", ".join(self.by_name())


ENCODERS = ("teacher", "supervised", "supervised_narrow", "vit")


def described_set(name: str) -> str:
    """A set in a description: its name; of a reader's own folder what its files' names, sizes and
    times say, wherever it lies."""
    if not name.startswith(OWN):
        return name
    return f"{OWN} {ImageFiles.from_folder(name.removeprefix(OWN)).fingerprint}"


def encoder_described(name: str) -> str | list[str]:
    """An encoder in a description: its name. Of a reader's own, whose weights may be exchanged
    under that name, also a fingerprint of its files."""
    stats = [(file, file.stat()) for file in _own_files(name)]
    seen = [(file, stat.st_mtime_ns, stat.st_size, stat.st_ino) for file, stat in stats]
    return [name, _fingerprint(*seen)] if seen else name


def side_of(name: str) -> int:
    """The side S of the pictures that an encoder takes, in pixels. Its weights are not read."""
    own = _own_files(name)
    shape = config.read(own[0]) if own else config.named(name.partition("/")[0])
    return shape["preprocess_cfg"]["size"]


def _own_files(name: str) -> list[Path]:
    """Of an encoder that was saved by a reader, or is on the hub: its configuration and its
    weights; else nothing."""
    files = folder.files(name) or ()
    # where one is absent, `encoders.load` says what is not there
    return list(files) if all(file.is_file() for file in files) else []


@functools.cache  # a description is asked for often, and a file of weights may be of half a GB
def _fingerprint(*files: tuple[Path, int, int, int]) -> str:
    whole = hashlib.sha256()
    for file, *_ in files:
        whole.update(file.read_bytes())
    return whole.hexdigest()[:16]


@dataclass(frozen=True)
class History:
    """How a training went: a need beside, or in place of, the model itself."""

    of: Task


def _tasks(need: Any) -> list[Task]:
    if isinstance(need, Mapping):
        return [task for one in need.values() for task in _tasks(one)]
    if isinstance(need, History):
        return [need.of]
    return [need] if isinstance(need, Task) else []
