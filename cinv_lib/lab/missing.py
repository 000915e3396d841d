"""What a profile needs and this machine does not have.

A `Lab` asks once, when it is made. In a notebook the lesson then ends (`course.ending`).
"""

import functools
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from cinv_lib.data.catalogue import command as command
from cinv_lib.encoders import config as encoder_config
from cinv_lib.encoders import folder, published
from cinv_lib.experiments.base import Entry
from cinv_lib.lab.profiles.record import Profile
from cinv_lib.machine import hardware
from cinv_lib.machine.folders import runs

NARROW = "a ResNet-101 trained on the labelled classes alone, which nobody has published"
# what needs it
OF_NARROW = ("baseline100", "baseline_starts", "baseline_fit", "fit_by_picture", "fit_by_epoch")


class Absent(FileNotFoundError):
    """Data or weights that a profile needs are not on this machine; it says how to get them."""


def sets(p: Profile, lesson: str = "") -> list[str]:
    """Sets of pictures that the profile needs: always, and for a lesson ("09")."""
    named = [p.data, p.unlabelled, *(name for e in _of(p, lesson) for name in e.loads())]
    return [name for name in (*named, p.twins if _asked(p, lesson, "twins") else "") if name]


def missing(p: Profile, lesson: str = "") -> list[str]:
    """What the profile needs, for a lesson ("09") or for any, and is not there: a line each, with
    the command that makes it. Published weights are fetched, if the data are there."""
    spared = left_out(p, lesson)
    lines = [line for line in absent(sets(p, lesson)) if line not in spared]
    if _asked(p, lesson, "twins") and not p.twins:
        lines.append("a set of near twins, which this profile does not have")
    return lines or [why for name in towers(p, lesson) if (why := unfetched(name))]


def towers(p: Profile, lesson: str = "") -> list[str]:
    """The encoders that the profile needs: always, and for a lesson."""
    names = (p.teacher, p.supervised, p.vit if _asked(p, lesson, "vit") else "")
    return [name for name in names if name]


def fetchable(name: str) -> bool:
    """Whether an encoder's published weights are not here, but could be downloaded now."""
    if name in encoder_config.EMBEDDED or name.startswith(folder.HUB) or folder.files(name):
        return False
    shape, _, tag = name.partition("/")
    if not tag:
        return False
    record = encoder_config.published(shape, tag, encoder_config.named(shape))
    return published.here(name, record) is None and published.fetchable(record)


def absent(names: Sequence[str]) -> list[str]:
    """Of sets of pictures those that are not there: a line each, with the command that makes it."""
    return [f"the pictures {name}: `{how}`" for name in names if (how := command(name))]


def left_out(p: Profile, lesson: str) -> list[str]:
    """Sets that a lesson does without, since others that its entry loads are there: as `absent`."""
    loaded = [[*entry.loads()] for entry in _of(p, lesson)]
    return [line for names in loaded if len(lines := absent(names)) < len(names) for line in lines]


def _of(p: Profile, lesson: str) -> list[Entry]:
    return [entry for entry in p.entries if lesson in entry.lessons]


def _asked(p: Profile, lesson: str, given: str) -> bool:
    """Whether an entry of the lesson names this among what a lab gives it."""
    return any(given in entry.parameters() for entry in _of(p, lesson))


def second_start(p: Profile) -> list[str]:
    """What lesson 07 lacks to compare two starts of the baseline, as in `missing`."""
    if "baseline_starts" not in p:
        return [NARROW]
    on = (p.operators[0], p.slider)
    if set(on) <= set(p["baseline_starts"].operators):
        return []
    return [f"a second start on {' and '.join(on)}, which this profile does not have"]


def unfetched(name: str) -> str | None:
    """Why an encoder's weights cannot be had, with what to do; None once they are here."""
    if name in encoder_config.EMBEDDED:
        return None
    try:
        if found := folder.files(name):
            return _wrapped(name, found[0])
        if Path(name.removeprefix(folder.LOCAL)).exists():
            return None
        shape, _, tag = name.partition("/")
        record = encoder_config.published(shape, tag, encoder_config.named(shape))
        published.open_clip_weights(name, record, None)
    except (FileNotFoundError, ImportError) as e:
        return str(e)
    return None


def _wrapped(name: str, shape: Path) -> str | None:
    """Why a lab cannot make a module of a reader's own again."""
    if not shape.is_file() or encoder_config.read(shape).get("kind") != encoder_config.WRAPPED:
        return None
    return (
        f"the module whose weights are in {name}: a lab makes its encoders again from their names, "
        f"and only you can make yours. `ci.distill`, `ci.fit_probe` and `ci.evaluate` take it: "
        f"`ci.load_encoder({name!r}, tower=module)`"
    )


def check(p: Profile) -> None:
    """Raises Absent where something is missing; in a notebook, ends the lesson."""
    if lines := missing(p, this_lesson()):
        end(p, lines)


def end(p: Profile, lines: Sequence[str]) -> None:
    """Raises Absent for these lines; `course.ending` shows it as the end of a lesson."""
    needs = "\n".join(f"- {line}" for line in lines)
    raise Absent(f"The profile {p.name!r} needs what is not on this machine:\n\n{needs}")


def refuse_narrow(p: Profile, name: str) -> None:
    """Ends as `end` where an entry or a table needs the second start, and the profile has none."""
    if name in OF_NARROW and "baseline100" not in p:
        end(p, [NARROW])


def refuse_without_gpu(p: Profile) -> None:
    """Raises Absent where published towers would be trained without a GPU, at about a picture a
    second and core. CPU=1 in the environment has it so: to try with little, or with much time."""
    if not needs_gpu(p) or hardware.accelerator().device.type != "cpu":
        return
    raise Absent(
        f"The profile {p.name!r} trains {p.teacher}, and PyTorch finds no GPU here: a training "
        "that takes a GPU an hour would take this machine weeks. `make doctor` says what is wrong "
        f"with a GPU that is there; `make course PROFILE={p.name} CPU=1` trains all the same"
    )


def needs_gpu(p: Profile) -> bool:
    """Whether what the profile trains would take a CPU weeks, and nobody has said CPU=1."""
    own = p.is_own  # its bill has said how long it takes here
    own = own or p.teacher in encoder_config.EMBEDDED or Path(p.teacher).exists()
    return not own and os.environ.get("CPU") != "1"


def say_cost(p: Profile) -> None:
    """Says once, for a lab outside the repository, that recorded results are not installed, and
    what a training costs. No picture is read for that."""
    few = None if p.unlabelled else p.train_per_class
    pictures = (
        f"all pictures of {p.unlabelled or p.data}" if few is None else f"{few} pictures per class"
    )
    minutes = " (stickers: 2.5 minutes on two cores)" if p.name == "stickers" else ""
    _say(
        f"The recorded results of {p.name!r} are not installed with the package: what you ask this "
        f"lab for is trained and measured here, a student in {p['student'].recipe.epochs} epochs "
        f"of {pictures}{minutes}, and kept in {runs(p.name)}."
    )


@functools.cache
def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def this_lesson() -> str:
    """The number of the lesson that this kernel runs, where `make course` or JupyterLab says it."""
    names = (os.environ.get("CINV_LESSON", ""), os.environ.get("JPY_SESSION_NAME", ""))
    found = (re.search(r"(\d\d)_\w+(\.ipynb)?$", name) for name in names)
    return next((match[1] for match in found if match), "")
