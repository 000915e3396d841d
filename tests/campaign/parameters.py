"""Parameters of the notebooks as a reader may give them to papermill: a lesson begins, or it says
what is wrong with which of them."""

import functools
import json
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from papermill.cli import _resolve_type

from cinv_lib import plots
from cinv_lib.experiments.base import training_seeds
from cinv_lib.lab import Lab
from cinv_lib.machine.folders import ROOT
from tests.campaign import texts
from tests.campaign.judge import Outcome, said, survived, unclear
from tests.campaign.trials import Settings, Trial

NUMBER = 25  # of each lesson
ODD = ("", "0", "-1", "1.5", "1e3", "1e400", "nan", "True", "None", "3 4", "0,1", "stickers ", "x",
       "STICKERS", "../smoke", "smoke", "stickers", "mask:0.9", "mask", "mse", "st:0", "[0]",
       "99999999999999999999", "é", "$(id)", "'", '"', "\\", "\n")  # fmt: skip


def parameters(settings: Settings) -> Iterator[Trial]:
    """Each lesson up to the cell that makes its lab, and what it asks that lab for."""
    assert Lab and plots.show  # what lessons import is there before the trials are forked
    for file in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        for i in settings.number(NUMBER):
            yield Trial("parameters", f"{file.stem} {i:02}", partial(begun, file), short=True)


@functools.cache
def cells(file: Path) -> tuple[str, str]:
    """The cell of parameters, and all up to the cell that makes the lab."""
    notebook = json.loads(file.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    sources = ["".join(cell["source"]) for cell in code]
    tags = [cell["metadata"].get("tags", []) for cell in code]
    at = next(i for i, some in enumerate(tags) if "parameters" in some)
    labs = [i for i, source in enumerate(sources) if "Lab(" in source]
    last = labs[0] if labs else at
    return sources[at], "\n".join(sources[at + 1 : last + 1])


def said_as(value: object) -> tuple[str, ...]:
    """How an error may write a value; of spaces alone it may show that nothing is left of them."""
    bare = str(value).strip()
    return repr(value), bare, repr(bare)


def begun(file: Path, folder: Path, chance: random.Random) -> Outcome:
    defaults: dict[str, Any] = {}
    own, beginning = cells(file)
    exec(own, defaults)
    names = [name for name, value in defaults.items() if type(value) in (str, int, float, bool)]
    given = {}
    for name in chance.sample(names, chance.randint(1, min(2, len(names)))):
        text = chance.choice(ODD)
        if name in ("operator", "loss") and chance.random() < 0.5:
            text = str(getattr(texts, name)(chance))
        given[name] = _resolve_type(text)
    room = {name: defaults[name] for name in names} | given

    def begin() -> None:
        exec(beginning, room)
        if "seeds" in room:  # which the tables check that a lesson asks for
            training_seeds(room["seeds"])

    values = [part for value in given.values() for part in said_as(value)]
    pieces = [p for value in given.values() for p in texts._pieces(str(value)) if p]
    usual = torch.get_default_dtype()  # lesson 16 sets another one, as in a kernel of its own
    try:
        _, wrong = said(begin, [*values, *pieces])
    finally:
        torch.set_default_dtype(usual)
    if wrong and wrong.state != "survived":
        return unclear(f"{given}: {wrong.words}")
    return survived(f"{given}: {wrong.words if wrong else 'it begins'}")
