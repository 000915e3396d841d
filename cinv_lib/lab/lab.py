"""The lab: ask it for a teacher, a student, a baseline or a table. What has been made before is
read from disk; what has not is made, with a progress bar, and kept.

>>> lab = Lab("stickers")                                                   # doctest: +SKIP
>>> student = lab.student("mask:0.9")                                       # doctest: +SKIP
>>> lab.table("known_operator", "mask:0.9").groupby("method").top1.mean()   # doctest: +SKIP
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cinv_lib.encoders.captions import need_words
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation.probe import Probe
from cinv_lib.experiments.base import Experiment, Task, training_seeds
from cinv_lib.lab import missing
from cinv_lib.lab.given import Given
from cinv_lib.lab.profiles.names import profile
from cinv_lib.lab.profiles.record import History, Profile
from cinv_lib.machine import folders, store
from cinv_lib.training.baseline import Classifier

RECORDED = folders.ROOT / "notebooks" / "recorded"


class Lab(Given):
    """Everything that the lessons of one profile need.

    recorded: also take results from the run that is kept with the course (its provenance says
        which machine, when, how long). False makes everything here. The default, None, means
        True unless the environment has CINV_RECORDED=0, as under `make course`.

    An encoder that is a folder of your own is read once: after other weights have been saved there,
    make another Lab.

    Raises missing.Absent where the profile needs data or weights that are not on this machine, with
    the commands that make them; in a notebook that is a quiet end, with the paper's numbers.
    """

    def __init__(self, name: str | Profile = "stickers", recorded: bool | None = None):
        self.profile = profile(name)
        missing.check(self.profile)
        if recorded is None:
            recorded = os.environ.get("CINV_RECORDED", "1") != "0"
        self.store = store.Store(folders.runs(self.profile.name) / "store")
        self.archive = store.Store(RECORDED / self.profile.name) if recorded else None

    # -- what is trained -----------------------------------------------------------------------
    def student(self, op: str, seed: int = 0, loss: str | None = None) -> Encoder:
        """S for an operator: starts as R, learns R(x) from A(x), without labels (Sec. 3)."""
        return self.made("student", op, seed, loss)

    def baseline(self, op: str, seed: int = 0) -> Classifier:
        """The supervised baseline: fine-tuned end to end on corrupted pictures and labels."""
        return self.made("baseline", op, seed)

    def probe(self, op: str, seed: int = 0, loss: str | None = None) -> Probe:
        """The linear probe of an operator's student: all labels, under the same operator."""
        return self.made("probe", op, seed, loss)

    def made(self, kind: str, op: str, seed: int = 0, loss: str | None = None) -> Any:
        """The model of any training of the profile, frozen, in eval mode: "student", "baseline100",
        "vit_student", ...; of "tuned" and "anchored" (lesson 14) the student and its teacher."""
        return self._get(self.task(kind, op, seed, loss))

    def history(self, kind: str, op: str, seed: int = 0, loss: str | None = None) -> pd.DataFrame:
        """How a student or a baseline was trained: epoch, step, loss, lr, images_per_s."""
        return self._get(History(self.task(kind, op, seed, loss)))

    # -- what is measured ----------------------------------------------------------------------
    def seeds(self, seeds: int | Iterable[int]) -> list[int]:
        """The training seeds, from how many there are, or which. The first so many are those of the
        recorded run, where this lab reads it, and then 0, 1, ...

        Raises ValueError for anything but a whole number from 1, or at least one seed.
        """
        which = training_seeds(seeds)
        if self.archive is None or isinstance(seeds, Iterable):
            return which
        recorded, n = self.profile.recorded, len(which)
        return [*recorded, *(seed for seed in range(n + len(recorded)) if seed not in recorded)][:n]

    def table(
        self,
        name: str,
        op: str | None = None,
        seeds: int | Iterable[int] = 1,
        loss: str | None = None,
    ) -> pd.DataFrame:
        """A table of an experiment; the class of that name in `experiments` says its columns.

        op: None where the experiment has one operator. seeds: how many training seeds, or which, as
        `seeds` has them; their number is a column. loss: of the students (None: the profile's); a
        column too where the experiment compares losses.

        Raises ValueError for a table, or an operator, that the profile does not measure, or for no
        seeds.
        """
        entry = self._making(name)
        if op is None:
            if len(entry.operators) != 1:
                known = ", ".join(entry.operators)
                raise ValueError(f"{name} is measured at several operators; name one of {known}")
            (op,) = entry.operators
        tasks = [entry.task(op, seed, loss) for seed in self.seeds(seeds)]
        return self._read(name, loss, {task: self.folder(task) for task in tasks})

    def so_far(
        self, name: str, op: str, seeds: int | Iterable[int] = 1, loss: str | None = None
    ) -> pd.DataFrame | None:
        """What is finished of a table, of those seeds; None where none is. Makes nothing."""
        entry = self._making(name)
        tasks = [entry.task(op, seed, loss) for seed in self.seeds(seeds)]
        kept = {task: there for task in tasks if (there := self._kept(task))}
        return self._read(name, loss, kept) if kept else None

    def _read(self, name: str, loss: str | None, made: dict[Task, Path]) -> pd.DataFrame:
        """A table of tasks that differ in their seeds alone, from the folders that they are in."""
        entry = self._making(name)
        parts = [pd.read_csv(at / f"{name}.csv").assign(seed=t.seed) for t, at in made.items()]
        rows = entry.read(pd.concat(parts, ignore_index=True), next(iter(made)).operator)
        return rows.assign(loss=loss or entry.losses[0]) if len(entry.losses) > 1 else rows

    # -- where it is ---------------------------------------------------------------------------
    def task(self, kind: str, op: str, seed: int = 0, loss: str | None = None) -> Task:
        """One thing that this lab makes: the entry `kind` of its profile, at an operator."""
        missing.refuse_narrow(self.profile, kind)
        return self.profile[kind].task(op, seed, loss)

    def finished(self, task: Task) -> bool:
        """Whether a result is there already, so that to ask for it trains nothing."""
        return any(s.finished(**self.place(task)) for s in (self.store, self.archive) if s)

    def provenance(self, kind: str, op: str, seed: int = 0, loss: str | None = None) -> dict:
        """Where and when a result was made: commit, date, machine, minutes."""
        return store.provenance(self.folder(self.task(kind, op, seed, loss)))

    def place(self, task: Task) -> dict[str, Any]:
        """What a store finds a task by: its kind, its description, and how its folder begins."""
        label = self.profile[task.kind].label(task)
        return {"kind": task.kind, "spec": self.profile.describe(task), "label": label}

    def folder(self, task: Task) -> Path:
        """From this machine's store, else from the recorded run, else made now."""
        made = self._kept(task)
        return made or self.store.make(**self.place(task), build=lambda at: self.build(task, at))

    def _kept(self, task: Task) -> Path | None:
        """The folder of a result that is there, intact: it is about to be read."""
        place = self.place(task)
        there = (s for s in (self.store, self.archive) if s and s.intact(**place))
        return next((s.path(**place) for s in there), None)

    def build(self, task: Task, folder: Path) -> None:
        """Make a task in a folder. Its entry is handed what it names, and nothing else."""
        missing.refuse_without_gpu(self.profile)
        lab = self.working().of_seed(task.seed)
        if self.profile[task.kind].in_words:
            need_words(lab.teacher)  # before anything is trained for it
        if not folders.in_checkout():
            missing.say_cost(lab.profile)
        needed = {name: lab._get(need) for name, need in self.profile.needs(task).items()}
        self.profile[task.kind].make(folder, task, **needed)

    def _making(self, table: str) -> Experiment:
        missing.refuse_narrow(self.profile, table)
        return self.profile.making(table)

    def _get(self, need: Any) -> Any:
        """What a need stands for: a model, a history, what the lab gives, or several of these."""
        if isinstance(need, Mapping):
            return {name: self._get(one) for name, one in need.items()}
        if isinstance(need, History):
            return pd.read_csv(self.folder(need.of) / "history.csv")
        if isinstance(need, Task):
            model = self.profile[need.kind].load(self.folder(need))
            return (
                tuple(map(self._still, model)) if isinstance(model, tuple) else self._still(model)
            )
        return getattr(self, need)
