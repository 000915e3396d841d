"""The lab: ask it for a teacher, a student, a baseline or a table. What has been made before is
read from disk; what has not is made, with a progress bar, and kept.

>>> lab = Lab("stickers")                                                   # doctest: +SKIP
>>> student = lab.student("mask:0.9")                                       # doctest: +SKIP
>>> lab.table("known_operator", "mask:0.9").groupby("method").top1.mean()   # doctest: +SKIP
"""

import copy
import os
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from cinv_lib.data import catalogue
from cinv_lib.data.image_files import Pictures
from cinv_lib.data.image_set import ImageSet
from cinv_lib.encoders import encoder as encoders
from cinv_lib.encoders.captions import need_words
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.encoders.inference import preprocess_of
from cinv_lib.evaluation.probe import Probe, zero_shot
from cinv_lib.experiments.base import Experiment, Task, training_seeds
from cinv_lib.lab import missing
from cinv_lib.lab.profiles.names import profile
from cinv_lib.lab.profiles.record import History, Profile
from cinv_lib.machine import folders, hardware, store
from cinv_lib.training.baseline import Classifier

RECORDED = folders.ROOT / "notebooks" / "recorded"


class Lab:
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
        self.device = torch.device("cpu")  # of the models that it hands out
        self.drawn = ""  # what follows the names of its sets of pictures, see `_of_seed`
        if recorded is None:
            recorded = os.environ.get("CINV_RECORDED", "1") != "0"
        self.store = store.Store(folders.runs(self.profile.name) / "store")
        self.archive = store.Store(RECORDED / self.profile.name) if recorded else None

    # -- what is given -------------------------------------------------------------------------
    @cached_property
    def train(self) -> Pictures:
        """The training pictures, `profile.train_per_class` per class; of ImageNet-100 as files."""
        p = self.profile
        return self._sized(catalogue.to_train(p.data + self.drawn, p.train_per_class))

    @cached_property
    def unlabelled(self) -> Pictures:
        """What students learn from, who need no labels: `train`, unless the profile has more."""
        more = self.profile.unlabelled
        return self._sized(catalogue.to_train(more + self.drawn)) if more else self.train

    @cached_property
    def val(self) -> Pictures:
        """The validation pictures: other stickers, on parts of photographs not seen in training. Of
        a reader's own as files."""
        p = self.profile
        return self._sized(catalogue.to_look_at(p.data + self.drawn, p.val_per_class))

    @cached_property
    def twins(self) -> ImageSet:
        """Near twins of some classes, under those classes' labels; no training has seen them."""
        p = self.profile
        return self._sized(catalogue.load(p.twins + self.drawn, "val", n=p.twins_per_class))

    @cached_property
    def teacher(self) -> Encoder:
        """R, frozen, in eval mode."""
        return self._still(encoders.load(self.profile.teacher))

    @cached_property
    def vit(self) -> Encoder:
        """Lesson 14's other teacher, whose image tower is a transformer; frozen, in eval mode."""
        return self._still(encoders.load(self.profile.vit))

    @cached_property
    def supervised(self) -> Encoder:
        """The tower that the baseline starts from; frozen, in eval mode."""
        return self._still(encoders.load(self.profile.supervised))

    @cached_property
    def supervised_narrow(self) -> Encoder:
        """Another start, which knows the labelled classes only (lesson 07)."""
        return self._still(encoders.load(self.profile.supervised_narrow))

    def words(self, teacher: Encoder | None = None) -> Probe:
        """The classes asked in words, of `teacher`'s text tower (None: R's), as a probe."""
        return zero_shot(self.teacher if teacher is None else teacher, self.train.class_names)

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
        return [*self.profile.recorded, *which][: len(which)]

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
        seeds = self.seeds(seeds)
        tasks = {seed: entry.task(op, seed, loss) for seed in seeds}
        parts = [
            pd.read_csv(self.folder(task) / f"{name}.csv").assign(seed=seed)
            for seed, task in tasks.items()
        ]
        rows = entry.read(pd.concat(parts, ignore_index=True), tasks[seeds[0]].operator)
        return rows.assign(loss=loss or entry.losses[0]) if len(entry.losses) > 1 else rows

    def so_far(
        self, name: str, op: str, seeds: int = 1, loss: str | None = None
    ) -> pd.DataFrame | None:
        """What is finished of a table, of those seeds; None where none is. Makes nothing."""
        entry = self._making(name)
        there = [seed for seed in self.seeds(seeds) if self._kept(entry.task(op, seed, loss))]
        return self.table(name, op, there, loss) if there else None

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
        lab = self.working()._of_seed(task.seed)
        if self.profile[task.kind].in_words:
            need_words(lab.teacher)  # before anything is trained for it
        if not folders.in_checkout():
            missing.say_cost(lab.profile)
        needed = {name: lab._get(need) for name, need in self.profile.needs(task).items()}
        self.profile[task.kind].make(folder, task, **needed)

    def working(self) -> "Lab":
        """This lab with its models on the GPU, where there is one: to measure many pictures."""
        device = hardware.accelerator().device
        if device == self.device:
            return self
        # models of this lab are on its own device
        models = {name for name, v in vars(self).items() if isinstance(v, torch.nn.Module)}
        return self._without(models, device=device)

    def _of_seed(self, seed: int) -> "Lab":
        """This lab with the pictures of a seed: its own where the profile draws them again."""
        if self.drawn == self.profile.drawn(seed):
            return self
        pictures = {"train", "unlabelled", "val", "twins"}
        return self._without(pictures, drawn=self.profile.drawn(seed))

    def _without(self, read: Collection[str], **changed: Any) -> "Lab":
        """This lab with other settings, and without what it has read by the old ones."""
        other = copy.copy(self)
        kept = {name: value for name, value in vars(self).items() if name not in read}
        other.__dict__ = kept | changed
        return other

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

    def _still(self, model: torch.nn.Module) -> torch.nn.Module:
        return model.to(self.device).eval().requires_grad_(False)

    def _sized(self, pictures: Pictures) -> Pictures:
        """At the size that the teacher takes, if they are in memory and fit there so; of a reader's
        own files those that can be read."""
        if isinstance(pictures, ImageSet):
            return catalogue.at_side(pictures, self.teacher.image_size)
        return pictures.readable(preprocess_of([self.teacher]))
