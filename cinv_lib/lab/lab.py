"""The lab: ask it for a teacher, a student, a baseline or a score. What has been made before is
read from disk; what has not is made, with a progress bar, and kept.

>>> lab = Lab("stickers")                                       # doctest: +SKIP
>>> student = lab.student("mask:0.9")                           # doctest: +SKIP
>>> lab.scores("mask:0.9").groupby("method").top1.mean()        # doctest: +SKIP
"""

import copy
import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import pandas as pd
import torch

from cinv_lib import data, encoders
from cinv_lib.data import image_files
from cinv_lib.evaluation import probe
from cinv_lib.evaluation.probe import Probe
from cinv_lib.lab import made, missing
from cinv_lib.lab.profiles.record import Profile
from cinv_lib.lab.profiles.stickers import profile
from cinv_lib.machine import folders, hardware, store
from cinv_lib.training.baseline import Classifier

RECORDED = folders.ROOT / "notebooks" / "recorded"
# Tables that are measured along with another kind's; any other table has a kind of its own.
MADE_WITH = {"labels": "scores", "pictures": "fitted", "epochs": "fitted"}


class Lab:
    """Everything that the lessons of one profile need.

    recorded: also take results from the run that is kept with the course (its provenance says
        which machine, when, how long). False makes everything here. The default, None, means
        True unless the environment has CINV_RECORDED=0, as under `make course`.

    Raises missing.Absent where the profile needs data or weights that are not on this machine, with
    the commands that make them; in a notebook that is a quiet end, with the paper's numbers.
    """

    def __init__(self, name: str | Profile = "stickers", recorded: bool | None = None):
        self.profile = profile(name)
        missing.check(self.profile)
        self.device = torch.device("cpu")  # of the models that it hands out
        if recorded is None:
            recorded = os.environ.get("CINV_RECORDED", "1") != "0"
        self.store = store.Store(folders.runs(self.profile.name) / "store")
        self.archive = store.Store(RECORDED / self.profile.name) if recorded else None

    # -- what is given -------------------------------------------------------------------------
    @cached_property
    def train(self) -> image_files.Pictures:
        """The training pictures, `profile.train_per_class` a class; of ImageNet-100 as files."""
        return self._sized(data.to_train(self.profile.data, self.profile.train_per_class))

    @cached_property
    def unlabelled(self) -> image_files.Pictures:
        """What students learn from, who need no labels: `train`, unless the profile has more."""
        more = self.profile.unlabelled
        return self._sized(data.to_train(more)) if more else self.train

    @cached_property
    def val(self) -> data.ImageSet:
        """The validation pictures: other stickers, on parts of photographs not seen in training."""
        return self._sized(data.load(self.profile.data, "val", n=self.profile.val_per_class))

    @cached_property
    def twins(self) -> data.ImageSet:
        """Near twins of some classes, under those classes' labels; no training has seen them."""
        return self._sized(data.load(self.profile.shift, "val", n=self.profile.shift_per_class))

    @cached_property
    def teacher(self) -> encoders.Encoder:
        """R, frozen, in eval mode."""
        return self._still(encoders.load(self.profile.teacher))

    @cached_property
    def vit(self) -> encoders.Encoder:
        """Lesson 14's other teacher, whose image tower is a transformer; frozen, in eval mode."""
        return self._still(encoders.load(self.profile.vit))

    # -- what is trained -----------------------------------------------------------------------
    def student(self, op: str, seed: int = 0, loss: str | None = None) -> encoders.Encoder:
        """S for an operator: starts as R, learns R(x) from A(x), without labels (Sec. 3)."""
        return self.kept("student", op, seed, loss=loss)

    def kept(
        self, kind: str, op: str, seed: int = 0, which: str = "student", loss: str | None = None
    ) -> encoders.Encoder:
        """An encoder of a training: the "student" of "student", "vit" (which learns from `vit`),
        "tuned" and "anchored"; of these two also the "teacher", tuned along (lesson 14)."""
        return self._still(encoders.load(str(self.folder(kind, op, seed, loss) / which)))

    def baseline(self, op: str, seed: int = 0, init: str | None = None) -> Classifier:
        """The supervised baseline: fine-tuned end to end on corrupted pictures and labels.

        init: what it starts from, `profile.supervised` (None) or `profile.supervised_narrow`.
        Raises ValueError for another.
        """
        p = self.profile
        kinds = {None: "baseline", p.supervised: "baseline", p.supervised_narrow: "baseline100"}
        if init not in kinds:
            raise ValueError(
                f"no baseline from {init!r}; expected {p.supervised!r} or {p.supervised_narrow!r}"
            )
        folder = self.folder(kinds[init], op, seed)
        encoder = encoders.load(str(folder / "encoder"))
        classifier = Classifier(encoder, len(self.train.class_names), seed)
        head = torch.load(folder / "head.pt", weights_only=True)
        classifier.head.load_state_dict(head)
        return self._still(classifier)

    def probe(self, op: str, seed: int = 0, loss: str | None = None) -> Probe:
        """The linear probe of an operator's student: all labels, under the same operator."""
        file = self.folder("probe", op, seed, loss) / "probe.pt"
        head = Probe.from_state(torch.load(file, weights_only=True)).to(self.teacher.mean.device)
        return head.eval().requires_grad_(False)

    def words(self, teacher: encoders.Encoder | None = None) -> Probe:
        """The classes asked in words, of `teacher`'s text tower (None: R's), as a probe."""
        teacher = self.teacher if teacher is None else teacher
        return probe.zero_shot(teacher, self.train.class_names, (self.profile.template,))

    def history(self, kind: str, op: str, seed: int = 0, loss: str | None = None) -> pd.DataFrame:
        """How a "student", "baseline" or "baseline100" was trained: epoch, step, loss, lr,
        images_per_s."""
        return pd.read_csv(self.folder(kind, op, seed, loss) / "history.csv")

    # -- what is measured ----------------------------------------------------------------------
    def scores(self, op: str, seeds: int | Iterable[int] = 1) -> pd.DataFrame:
        """Every method of Tables 1, 4, 9 and 13 on one operator: a row a method, seed, realisation.

        Columns: method, seed, realisation, top1, top5 (percent). `seeds`: how many training
        seeds, from 0, or which.
        """
        return self._tables("scores", op, seeds)

    def labels(self, op: str, seeds: int | Iterable[int] = 1) -> pd.DataFrame:
        """Probes from few labels to all, and words (Figures 3, 7; Table 13): seed, and the columns
        of `few_labels.table`, on the draws of `scores`. `op` is one of `profile.few_labels`."""
        return self._tables("labels", op, seeds)

    def ablation(self, loss: str, seeds: int | Iterable[int] = 1) -> pd.DataFrame:
        """A student of the slider's range, trained with `loss`: a row a severity, seed,
        realisation. Columns: loss, seed, and those of `ablation.measure`."""
        return self._tables("ablation", self.profile.slider, seeds, loss).assign(loss=loss)

    def corruptions(self, seeds: int | Iterable[int] = 1) -> pd.DataFrame:
        """The student of the profile's mixture, a baseline of clean pictures and CLIP on the common
        corruptions (Table 14): seed, and the columns of `common_corruptions.score`."""
        return self._tables("corruptions", self.profile.mixture, seeds)

    def severity(self, op: str, seeds: int | Iterable[int] = 1) -> pd.DataFrame:
        """The models of a range of `profile.graded` at fixed severities (Figures 4, 8; Table 10):
        seed, and the columns of `unknown_severity.measure`."""
        return self._tables("severity", op, seeds)

    def starts(self, op: str, seeds: int | Iterable[int] = 1) -> pd.DataFrame:
        """The baseline from `profile.supervised_narrow` (Tables 11, 12): seed, and the columns of
        `baseline_starts.measure`, whose draws are those of `scores` and `severity`."""
        return self._tables("starts", op, seeds)

    def fitted(
        self, op: str, seeds: int | Iterable[int] = 1, table: str = "fitted"
    ) -> pd.DataFrame:
        """Both baselines and the student on training and validation pictures: seed, and the columns
        of the tables of `baseline_fit.measure`, "fitted" and "pictures". And "epochs": the
        baselines' training losses, in the mean of each epoch."""
        return self._tables(table, op, seeds)

    def shift(self, op: str, seeds: int | Iterable[int] = 1) -> pd.DataFrame:
        """The same models on near twins of classes (Figures 5, 9): seed, and the columns of
        `label_shift.measure`. `op` is one of `profile.shift_severities`."""
        return self._tables("shift", op, seeds)

    def transfer(self, op: str, seeds: int | Iterable[int] = 1) -> pd.DataFrame:
        """Baseline, student and CLIP with new probes on sets that they never saw (Tables 2, 5, 6):
        seed, and the columns of `transfer.measure`. `op` is one of the profile's ranges."""
        return self._tables("transfer", op, seeds)

    def pixels(self, op: str, seeds: int | Iterable[int] = 1) -> pd.DataFrame:
        """Student and baseline beside restoring the picture and a clean classifier (Tables 7, 8):
        seed, and the columns of `pixels.measure`. `op` is one of `profile.pixels`."""
        return self._tables("pixels", op, seeds)

    def bias(self, loss: str, seeds: int | Iterable[int] = 1) -> pd.DataFrame:
        """A student of the slider's range, trained with `loss`, by its probe and by words: loss,
        seed, and the columns of `loss_bias.measure`."""
        return self._tables("bias", self.profile.slider, seeds, loss).assign(loss=loss)

    def tuning(self, seeds: int | Iterable[int] = 1) -> pd.DataFrame:
        """The slider's student with a frozen and with tuned teachers: seed, and the columns of
        `loss_bias.tuning`."""
        return self._tables("tuning", self.profile.slider, seeds)

    def towers(self, seeds: int | Iterable[int] = 1) -> pd.DataFrame:
        """The slider's students of `teacher` and of `vit`: seed, and the columns of
        `loss_bias.towers`."""
        return self._tables("towers", self.profile.slider, seeds)

    def blind(self, seeds: int | Iterable[int] = 1) -> pd.DataFrame:
        """One student for the operators of `profile.blind` beside a specialist for each and a
        router: seed, and the columns of `blind.measure`."""
        return self._tables("blind", self.profile.blind, seeds)

    def adversarial(self, seeds: int | Iterable[int] = 1) -> pd.DataFrame:
        """Student and baseline of the slider's range, and CLIP on clean pictures, under attack:
        seed, and the columns of `adversarial.measure`."""
        return self._tables("adversarial", self.profile.slider, seeds)

    def provenance(self, kind: str, op: str, seed: int = 0, loss: str | None = None) -> dict:
        """Where and when a result was made: commit, date, machine, minutes. `kind` is one of
        `made.BUILDS`."""
        return store.provenance(self.folder(kind, op, seed, loss))

    # -- where it is ---------------------------------------------------------------------------
    def finished(self, kind: str, op: str, seed: int = 0, loss: str | None = None) -> bool:
        """Whether a result is there already, so that to ask for it trains nothing."""
        spec = made.spec(self.profile, kind, op, seed, loss)
        return any(s.finished(kind, spec) for s in (self.store, self.archive) if s)

    def so_far(
        self, table: str, op: str, seeds: int = 1, loss: str | None = None
    ) -> pd.DataFrame | None:
        """What is finished of a table, of those seeds; None where none is. Makes nothing."""
        kind = MADE_WITH.get(table, table)
        there = [seed for seed in range(seeds) if self.finished(kind, op, seed, loss)]
        return self._tables(table, op, there, loss) if there else None

    def folder(self, kind: str, op: str, seed: int = 0, loss: str | None = None) -> Path:
        """From this machine's store, else from the recorded run, else made now."""
        spec = made.spec(self.profile, kind, op, seed, loss)
        here = self.store.finished(kind, spec)
        if not here and self.archive and self.archive.finished(kind, spec):
            return self.archive.path(kind, spec)
        if kind in ("baseline100", "starts", "fitted") and not self.profile.supervised_narrow:
            missing.end(self.profile, [missing.NARROW])
        build, working = made.BUILDS[kind], self.working()
        return self.store.make(kind, spec, lambda folder: build(working, folder, op, seed, loss))

    def working(self) -> "Lab":
        """This lab with its models on the GPU, where there is one: to measure many pictures."""
        device = hardware.accelerator().device
        if device == self.device:
            return self
        other = copy.copy(self)
        kept = {name: v for name, v in vars(self).items() if not isinstance(v, torch.nn.Module)}
        other.__dict__ = kept | {"device": device}  # models of this lab are on its own device
        return other

    def _still(self, model: torch.nn.Module) -> torch.nn.Module:
        return model.to(self.device).eval().requires_grad_(False)

    def _sized(self, pictures: image_files.Pictures) -> image_files.Pictures:
        """At the size that the encoders take, if they are in memory and fit there so."""
        if isinstance(pictures, data.ImageSet):
            return data.at_side(pictures, self.profile.side)
        return pictures

    def _tables(
        self, table: str, op: str, seeds: int | Iterable[int], loss: str | None = None
    ) -> pd.DataFrame:
        seeds = range(seeds) if isinstance(seeds, int) else seeds
        kind, name = MADE_WITH.get(table, table), f"{table}.csv"
        files = {seed: self.folder(kind, op, seed, loss) / name for seed in seeds}
        parts = [pd.read_csv(file).assign(seed=seed) for seed, file in files.items()]
        return pd.concat(parts, ignore_index=True)
