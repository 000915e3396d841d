"""A run of your own, from one command: `make own NAME=rows PICTURES=DIR OPERATOR=mask:0.9`.

It checks what it is given, says what the run will cost on this machine, and writes
`runs/own/NAME/profile.json`, once. From then on it is `make course PROFILE=own/NAME`: the student,
its probe, its scores and lesson 18 with them, in processes that can be killed and started again.

    python -m cinv_lib.lab.own NAME=rows PICTURES=photos OPERATOR=rows:0.3..0.7 CODE=rows.py

The words are make's. CODE is a Python file that defines operators; TEACHER (stickers-clip), LOSS
(st:0.1), EPOCHS (25), BATCH (64), LR (1e-3), CROP (1: none), DRAWS (5) and LOOKS (1; 0 leaves out
three more trainings that only look at what else one might have done) have these defaults.
"""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cinv_lib.data import catalogue
from cinv_lib.data.image_files import ImageFiles
from cinv_lib.encoders import encoder as encoders
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation.beforehand import few_steps
from cinv_lib.lab.profiles import own
from cinv_lib.lab.profiles.own import Own
from cinv_lib.losses.equations import parse as parse_loss
from cinv_lib.machine import folders, hardware
from cinv_lib.operators.basic import parse
from cinv_lib.training.student import distill

NEEDED = ("NAME", "PICTURES", "OPERATOR")
WORDS: Mapping[str, tuple[str, Callable[[str], Any]]] = {  # make's word -> field of Own, its type
    "PICTURES": ("pictures", lambda text: str(Path(text).expanduser().resolve())),
    "OPERATOR": ("operator", str),
    "TEACHER": ("teacher", str),
    "CODE": ("code", lambda text: str(Path(text).expanduser().resolve())),
    "LOSS": ("loss", str),
    "EPOCHS": ("epochs", int),
    "BATCH": ("batch_size", int),
    "LR": ("lr", float),
    "CROP": ("crop", float),
    "DRAWS": ("realisations", int),
    "LOOKS": ("looks", lambda text: bool(int(text))),
}
TRIED = 8  # steps that the bill is measured on


def given(words: list[str]) -> dict[str, str]:
    """The words of a command line. Raises ValueError for one that is not KEY=value, for an unknown
    key, and where one of NEEDED is absent."""
    pairs = [word.partition("=") for word in words]
    found = {key: value for key, _, value in pairs if value}
    known = ("NAME", *WORDS)
    for word, (key, equals, _) in zip(words, pairs, strict=True):
        if not equals or key not in known:
            raise ValueError(f"{word!r}: expected one of {', '.join(f'{k}=...' for k in known)}")
    if absent := [key for key in NEEDED if key not in found]:
        raise ValueError(
            f"not given: {', '.join(absent)}. Example: make own NAME=rows PICTURES=photos "
            "OPERATOR=rows:0.3..0.7 CODE=rows.py"
        )
    return found


def made(found: Mapping[str, str]) -> Own:
    """What a run is made from. Raises ValueError for a value that is none, with its word."""
    fields: dict[str, Any] = {"teacher": "stickers-clip"}
    for word, (field, kind) in WORDS.items():
        if word in found:
            try:
                fields[field] = kind(found[word])
            except ValueError as error:
                raise ValueError(f"{word}={found[word]!r}: expected a number") from error
    return Own(**fields)


def bill(teacher: Encoder, train: ImageFiles, run: Own) -> list[str]:
    """What the run will cost here, from some steps that are trained and thrown away."""
    few, once = few_steps(train, run.recipe, TRIED)
    op, loss = parse(run.operator), parse_loss(run.loss)
    _, history = distill(teacher, few, op, loss, once, seed=0, progress=False)
    rate = history.images_per_s.iloc[-1]
    steps, pictures = (run.epochs * n for n in (math.ceil(len(train) / run.batch_size), len(train)))
    device = hardware.accelerator().device.type
    weights = sum(p.numel() for p in teacher.parameters()) * 2 / 1e6
    minutes, trainings = pictures / rate / 60, 4 if run.looks else 1
    return [
        f"a training: {run.epochs} epochs of {len(train):,} pictures, {steps:,} steps; "
        f"{pictures:,} pictures, of which this machine ({device}) trains {rate:.0f} a second: "
        f"{minutes:.1f} min",
        f"trainings: {trainings}, at most {trainings * minutes:.1f} min"
        + (" (LOOKS=0 leaves out three that only look around)" if run.looks else ""),
        f"disk: {2 * weights:.0f} MB for the student and its export",
    ]


def main(words: list[str]) -> int:
    """Check, say the bill, write the profile. 1 and a sentence where something is wrong."""
    if not words:
        print(__doc__)
        return 2
    try:
        found = given(words)
        name = f"own/{found['NAME']}"
        own.file_of(name)
        run = made(found)
        teacher = encoders.load(run.teacher)
        train = catalogue.own(f"{catalogue.OWN}{run.pictures}", "train")
        run = replace(run, labelled=len(train.class_names) > 1)
        path = own.write(name, run)
        print(*bill(teacher, train, run), sep="\n")
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    page = f"{folders.run_folder(name)}/site/index.html"
    print(f"written: {path}", f"the page will be {page}", sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
