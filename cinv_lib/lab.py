"""The lab: ask it for a teacher, a student, a baseline or a score. What has been made before is
read from disk; what has not is made, with a progress bar, and kept.

>>> lab = Lab("stickers")                                       # doctest: +SKIP
>>> student = lab.student("mask:0.9")                           # doctest: +SKIP
>>> lab.scores("mask:0.9").groupby("method").top1.mean()        # doctest: +SKIP
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import pandas as pd
import torch

from . import distill, encoders, home, images, losses, operators, scoring, store, supervised
from .profiles import Profile, profile
from .supervised import Classifier

RECORDED = home.ROOT / "notebooks" / "recorded"
WORLD = (
    1  # raise it when the embedded world changes, so that no older result is taken for a new one
)


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
    def teacher(self) -> encoders.Encoder:
        """R, frozen, in eval mode."""
        return encoders.load(self.profile.teacher).eval().requires_grad_(False)

    # -- what is trained -----------------------------------------------------------------------
    def student(self, op: str, seed: int = 0, loss: str | None = None) -> encoders.Encoder:
        """S for an operator: starts as R, learns R(x) from A(x), without labels (Sec. 3)."""
        folder = self._student(op, seed, loss)
        return encoders.load(str(folder / "student")).eval().requires_grad_(False)

    def baseline(self, op: str, seed: int = 0) -> Classifier:
        """The supervised baseline: fine-tuned end to end on corrupted pictures and labels."""
        folder = self._baseline(op, seed)
        encoder = encoders.load(str(folder / "encoder"))
        classifier = Classifier(encoder, len(self.train.class_names), seed)
        head = torch.load(folder / "head.pt", weights_only=True)
        classifier.head.load_state_dict(head)
        return classifier.eval().requires_grad_(False)

    def history(self, kind: str, op: str, seed: int = 0) -> pd.DataFrame:
        """How a "student" or "baseline" was trained: epoch, step, loss, lr, images_per_s."""
        folder = {"student": self._student, "baseline": self._baseline}[kind](op, seed)
        return pd.read_csv(folder / "history.csv")

    # -- what is measured ----------------------------------------------------------------------
    def scores(self, op: str, seeds: int | Iterable[int] = 1) -> pd.DataFrame:
        """Every method of Tables 1, 4, 9 and 13 on one operator: a row a method, seed, realisation.

        Columns: method, seed, realisation, top1, top5 (percent). `seeds`: how many training
        seeds, from 0, or which.
        """
        seeds = range(seeds) if isinstance(seeds, int) else seeds
        parts = [pd.read_csv(self._scores(op, s) / "scores.csv").assign(seed=s) for s in seeds]
        return pd.concat(parts, ignore_index=True)

    def provenance(self, kind: str, op: str, seed: int = 0) -> dict:
        """Where and when "scores", a "student" or a "baseline" were made: commit, date, machine,
        minutes."""
        make = {"scores": self._scores, "student": self._student, "baseline": self._baseline}
        return store.provenance(make[kind](op, seed))

    # -- specs and builds ----------------------------------------------------------------------
    def spec(self, kind: str, op: str, seed: int = 0, loss: str | None = None) -> dict:
        """All that a "student", a "baseline" or "scores" depend on: what the store finds them by.

        Raises ValueError where op or loss is none, KeyError where there is no such kind.
        """
        p = self.profile
        spec = {"world": WORLD, "data": [p.data, p.train_per_class], "seed": seed}
        spec["operator"] = str(operators.parse(op))
        student = {"teacher": p.teacher, "loss": str(losses.parse(loss or p.loss))}
        baseline = {"init": p.supervised, "recipe": asdict(p.baseline)}
        what = {"loss": p.loss, "student": asdict(p.student), "baseline": asdict(p.baseline)}
        how = {"probe": asdict(p.probe), "fractions": p.fractions, "val": p.val_per_class}
        scores = what | how | {"realisations": p.realisations, "models": [p.teacher, p.supervised]}
        kinds = {"student": student | {"recipe": asdict(p.student)}, "baseline": baseline}
        return spec | (kinds | {"scores": scores})[kind]

    def _student(self, op: str, seed: int, loss: str | None = None) -> Path:
        def build(folder: Path) -> None:
            checkpoint = folder / "checkpoint.pt"
            chosen, recipe = losses.parse(loss or self.profile.loss), self.profile.student
            student, history = distill.distill(
                self.teacher, self.train, operators.parse(op), chosen, recipe, seed, checkpoint
            )
            encoders.save(student.cpu(), folder / "student", dtype=torch.float16)
            history.to_csv(folder / "history.csv", index=False, float_format="%.6g")
            checkpoint.unlink()

        return self._get("student", self.spec("student", op, seed, loss), build)

    def _baseline(self, op: str, seed: int) -> Path:
        def build(folder: Path) -> None:
            checkpoint = folder / "checkpoint.pt"
            init, recipe = encoders.load(self.profile.supervised), self.profile.baseline
            classifier, history = supervised.finetune(
                init, self.train, operators.parse(op), recipe, seed, checkpoint
            )
            encoders.save(classifier.cpu().encoder, folder / "encoder", dtype=torch.float16)
            torch.save(classifier.head.state_dict(), folder / "head.pt")
            history.to_csv(folder / "history.csv", index=False, float_format="%.6g")
            checkpoint.unlink()

        return self._get("baseline", self.spec("baseline", op, seed), build)

    def _scores(self, op: str, seed: int) -> Path:
        def build(folder: Path) -> None:
            frame = scoring.table(
                self.profile, operators.parse(op), seed, self.train, self.val,
                self.teacher, self.student(op, seed), self.baseline(op, seed),
            )  # fmt: skip
            frame.to_csv(folder / "scores.csv", index=False, float_format="%.4f")

        return self._get("scores", self.spec("scores", op, seed), build)

    def _get(self, kind: str, spec: dict, build: Callable[[Path], None]) -> Path:
        """From this machine's store, else from the recorded run, else made now."""
        here = self.store.finished(kind, spec)
        if not here and self.archive and self.archive.finished(kind, spec):
            return self.archive.path(kind, spec)
        return self.store.make(kind, spec, build)
