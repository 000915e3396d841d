"""A reader's own run (lesson 18): their pictures, operator and teacher, as a profile.

`python -m cinv_lib.lab.own` writes it, once, to `runs/own/NAME/profile.json`; from then on every
process reads it there, so that blanks, bars and names of the hub are quoted by nobody.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from cinv_lib.evaluation.probe import ProbeRecipe
from cinv_lib.experiments.own_cosines import OwnCosines
from cinv_lib.experiments.own_looks import OwnFewer, OwnLooks
from cinv_lib.experiments.own_scores import OwnScores
from cinv_lib.experiments.own_training import OwnTraining
from cinv_lib.experiments.trainings import Student, StudentProbe
from cinv_lib.lab.profiles.record import Profile
from cinv_lib.losses import equations
from cinv_lib.machine import folders
from cinv_lib.machine.checks import expect
from cinv_lib.machine.files import read_json, write_text
from cinv_lib.operators import basic
from cinv_lib.operators.code import load_code
from cinv_lib.training.recipe import Recipe

NAME = re.compile(r"own/[A-Za-z0-9][A-Za-z0-9_-]*")
FILE = "profile.json"
DRAWN = ("stickers-files",)  # sets by a name, which is the same on every machine
EXAMPLE = "own/example"  # what lesson 18 shows, see `own_example`


@dataclass(frozen=True)
class Own:
    """What a reader gives for a run of their own.

    Args:
        pictures: a folder; its subfolders are the classes, or it has none. Or one of DRAWN.
        operator: its text, as "mask:0.9"; an operator of one's own is defined in `code`.
        teacher: an encoder's name or folder, see `encoders.load`.
        code: a Python file of operators, imported by every process; "" for none.
        labelled: whether the pictures have classes, so that there is something to score.
        loss, epochs, batch_size, lr: of the student. The paper's are "st:0.1", 25, 256 and 3e-4.
        crop: the smallest share of a picture's area that a random crop keeps; 1 for no crops.
        realisations: how often the corruption of the validation pictures is drawn.
        probe_epochs: of the probes, one draw of the corruption each.
        looks: whether three more students are trained, to see what else one might have done.

    Raises ValueError where a value is none, with what was expected.
    """

    pictures: str
    operator: str
    teacher: str
    code: str = ""
    labelled: bool = True
    loss: str = "st:0.1"
    epochs: int = 25
    batch_size: int = 64
    lr: float = 1e-3
    crop: float = 1.0
    realisations: int = 5
    probe_epochs: int = 10
    looks: bool = True

    def __post_init__(self) -> None:
        expect(
            self,
            pictures=(bool(self.pictures), "a folder"),
            teacher=(bool(self.teacher), "an encoder's name or folder"),
            realisations=(self.realisations >= 1, "at least 1"),
        )
        if self.code:
            load_code(self.code)
        basic.parse(self.operator)
        equations.parse(self.loss)
        self.recipe  # checks its own values  # noqa: B018

    @property
    def recipe(self) -> Recipe:
        """How the student is trained."""
        crop = (self.crop, 1.0)
        return Recipe(self.epochs, self.batch_size, self.lr, crop=crop, flip=self.crop < 1)

    def profile(self, name: str) -> Profile:
        """The profile of that name, "own/NAME"."""
        where = {str(basic.parse(self.operator)): None}
        probe = ProbeRecipe(epochs=self.probe_epochs, batch_size=128)
        asked: Any = {"operators": where, "losses": (self.loss,)}
        student: Any = asked | {"recipe": self.recipe, "full": tuple(where)}
        student |= {"side_epochs": self.epochs}
        drawn: Any = asked | {"realisations": self.realisations}
        return Profile(
            name=name,
            teacher=self.teacher,
            supervised="",
            supervised_narrow="",
            vit="",
            data=self.pictures if self.pictures in DRAWN else f"folder:{self.pictures}",
            train_per_class=None,
            val_per_class=None,
            twins="",
            twins_per_class=0,
            slider=self.operator,
            entries=(
                Student(**student),
                StudentProbe(losses=(self.loss,), recipe=probe),
                OwnTraining(**asked),
                OwnCosines(**drawn),
                *((OwnScores(**drawn, probe=probe),) if self.labelled else ()),
                *((OwnFewer(**student, one_in=4), OwnLooks(**drawn)) if self.looks else ()),
            ),
        )


def file_of(name: str) -> Path:
    """Where the profile "own/NAME" is kept. Raises ValueError for another form of name."""
    if not NAME.fullmatch(name):
        raise ValueError(
            f"profile {name!r}: expected own/NAME, of letters, digits, '-' and '_', as own/rows"
        )
    return folders.runs(name) / FILE


def read(name: str) -> Own:
    """What the run of that name is made from.

    Raises ValueError where there is no such run, or its file says something else than `Own` has;
    with what to do.
    """
    path = file_of(name)
    make = f"make own NAME={name.partition('/')[2]} PICTURES=DIR OPERATOR=TEXT TEACHER=NAME"
    if not path.is_file():
        raise ValueError(f"no profile {name!r}: {path} is absent; `{make}` writes it")
    try:
        known = read_json(path)
        _check(known)
        return Own(**known)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; mend it, or delete it and run `{make}`") from error


def _check(known: Any) -> None:
    names = {field.name for field in fields(Own)}
    if not isinstance(known, Mapping) or not set(known) <= names:
        other = sorted(set(known) - names) if isinstance(known, Mapping) else known
        raise ValueError(f"{other!r}: expected values of {', '.join(sorted(names))}")
    if absent := {"pictures", "operator", "teacher"} - set(known):
        raise ValueError(f"it has no {', '.join(sorted(absent))}")


def write(name: str, own: Own) -> Path:
    """Keep what a run is made from. A run that is there stays as it is.

    Raises ValueError where the run of that name was made from something else.
    """
    path = file_of(name)
    if name == EXAMPLE:
        raise ValueError(f"{name!r} is the run that lesson 18 shows; take another NAME")
    if path.is_file() and (there := read(name)) != own:
        old, new = asdict(there), asdict(own)
        changed = ", ".join(f"{k} {old[k]!r} (now {new[k]!r})" for k in old if old[k] != new[k])
        raise ValueError(
            f"the run {name!r} was made with {changed}; take another NAME, or delete {path}: what "
            "it has trained stays, and is found again under the same values"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(asdict(own), indent=1) + "\n")
    return path
