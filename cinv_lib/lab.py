"""The lab: ask it for a teacher, a student, a baseline or a score. What has been made before is
read from disk; what has not is made, with a progress bar, and kept.

>>> lab = Lab("stickers")                                       # doctest: +SKIP
>>> student = lab.student("mask:0.9")                           # doctest: +SKIP
>>> lab.scores("mask:0.9").groupby("method").top1.mean()        # doctest: +SKIP
"""

import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import pandas as pd
import torch

from . import encoders, home, images, made, store
from .probe import Probe
from .profiles import Profile, profile
from .supervised import Classifier

RECORDED = home.ROOT / "notebooks" / "recorded"


class Lab:
    """Everything that the lessons of one profile need.

    recorded: also take results from the run that is kept with the course (its provenance says
        which machine, when, how long). False makes everything here. The default, None, means
        True unless the environment has CINV_RECORDED=0, as under `make course`.
    """

    def __init__(self, name: str | Profile = "stickers", recorded: bool | None = None):
        self.profile = profile(name)
        if recorded is None:
            recorded = os.environ.get("CINV_RECORDED", "1") != "0"
        self.store = store.Store(home.runs(self.profile.name) / "store")
        self.archive = store.Store(RECORDED / self.profile.name) if recorded else None

    # -- what is given -------------------------------------------------------------------------
    @cached_property
    def train(self) -> images.ImageSet:
        """The training pictures, `profile.train_per_class` a class."""
        return images.load(self.profile.data, "train", n=self.profile.train_per_class)

    @cached_property
    def val(self) -> images.ImageSet:
        """The validation pictures: other stickers, on parts of photographs not seen in training."""
        return images.load(self.profile.data, "val", n=self.profile.val_per_class)

    @cached_property
    def twins(self) -> images.ImageSet:
        """Near twins of some classes, under those classes' labels; no training has seen them."""
        return images.load(self.profile.shift, "val", n=self.profile.shift_per_class)

    @cached_property
    def teacher(self) -> encoders.Encoder:
        """R, frozen, in eval mode."""
        return encoders.load(self.profile.teacher).eval().requires_grad_(False)

    # -- what is trained -----------------------------------------------------------------------
    def student(self, op: str, seed: int = 0, loss: str | None = None) -> encoders.Encoder:
        """S for an operator: starts as R, learns R(x) from A(x), without labels (Sec. 3)."""
        folder = self.folder("student", op, seed, loss)
        return encoders.load(str(folder / "student")).eval().requires_grad_(False)

    def baseline(self, op: str, seed: int = 0) -> Classifier:
        """The supervised baseline: fine-tuned end to end on corrupted pictures and labels."""
        folder = self.folder("baseline", op, seed)
        encoder = encoders.load(str(folder / "encoder"))
        classifier = Classifier(encoder, len(self.train.class_names), seed)
        head = torch.load(folder / "head.pt", weights_only=True)
        classifier.head.load_state_dict(head)
        return classifier.eval().requires_grad_(False)

    def probe(self, op: str, seed: int = 0, loss: str | None = None) -> Probe:
        """The linear probe of an operator's student: all labels, under the same operator."""
        file = self.folder("probe", op, seed, loss) / "probe.pt"
        head = Probe.from_state(torch.load(file, weights_only=True)).to(self.teacher.mean.device)
        return head.eval().requires_grad_(False)

    def history(self, kind: str, op: str, seed: int = 0) -> pd.DataFrame:
        """How a "student" or "baseline" was trained: epoch, step, loss, lr, images_per_s."""
        return pd.read_csv(self.folder(kind, op, seed) / "history.csv")

    # -- what is measured ----------------------------------------------------------------------
    def scores(self, op: str, seeds: int | Iterable[int] = 1) -> pd.DataFrame:
        """Every method of Tables 1, 4, 9 and 13 on one operator: a row a method, seed, realisation.

        Columns: method, seed, realisation, top1, top5 (percent). `seeds`: how many training
        seeds, from 0, or which.
        """
        return self._tables("scores", op, seeds)

    def ablation(self, loss: str, seeds: int | Iterable[int] = 1) -> pd.DataFrame:
        """A student of the slider's range, trained with `loss`: a row a severity, seed,
        realisation. Columns: loss, seed, and those of `ablation.measure`."""
        return self._tables("ablation", self.profile.slider, seeds, loss).assign(loss=loss)

    def corruptions(self, seeds: int | Iterable[int] = 1) -> pd.DataFrame:
        """The student of the profile's mixture, a baseline of clean pictures and CLIP on the common
        corruptions (Table 14): seed, and the columns of `robustness.score`."""
        return self._tables("corruptions", self.profile.mixture, seeds)

    def severity(self, op: str, seeds: int | Iterable[int] = 1) -> pd.DataFrame:
        """The models of a range of `profile.graded` at fixed severities (Figures 4, 8; Table 10):
        seed, and the columns of `severity.measure`."""
        return self._tables("severity", op, seeds)

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
        seed, and the columns of `pixel_space.measure`. `op` is one of `profile.pixels`."""
        return self._tables("pixels", op, seeds)

    def provenance(self, kind: str, op: str, seed: int = 0, loss: str | None = None) -> dict:
        """Where and when a result was made: commit, date, machine, minutes. `kind` is one of
        `made.BUILDS`."""
        return store.provenance(self.folder(kind, op, seed, loss))

    # -- where it is ---------------------------------------------------------------------------
    def folder(self, kind: str, op: str, seed: int = 0, loss: str | None = None) -> Path:
        """From this machine's store, else from the recorded run, else made now."""
        spec = made.spec(self.profile, kind, op, seed, loss)
        here = self.store.finished(kind, spec)
        if not here and self.archive and self.archive.finished(kind, spec):
            return self.archive.path(kind, spec)
        build = made.BUILDS[kind]
        return self.store.make(kind, spec, lambda folder: build(self, folder, op, seed, loss))

    def _tables(
        self, kind: str, op: str, seeds: int | Iterable[int], loss: str | None = None
    ) -> pd.DataFrame:
        seeds = range(seeds) if isinstance(seeds, int) else seeds
        files = {seed: self.folder(kind, op, seed, loss) / f"{kind}.csv" for seed in seeds}
        parts = [pd.read_csv(file).assign(seed=seed) for seed, file in files.items()]
        return pd.concat(parts, ignore_index=True)
