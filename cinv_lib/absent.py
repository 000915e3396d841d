"""What a profile needs and this machine does not have; and how a lesson then ends.

A `Lab` asks once, when it is made. In a notebook the reader gets the sentence, the command that
makes what is absent and the paper's numbers for the lesson, labelled as quoted; no further cell is
run, and papermill takes it for a lesson that has ended well.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from IPython import get_ipython
from IPython.display import Markdown, display

from . import encoder_config, hub, image_files, paper, stored_sets
from .home import home
from .tier import Profile

SHOWS = {  # lesson -> the paper's tables and figures that it stands beside; others: table 1
    "06": ("table 1", "table 9", "figure 3"),
    "07": ("table 1", "table 11", "table 12"),
    "08": ("figure 4", "table 10"),
    "09": ("table 2", "table 6"),
    "10": ("figure 5",),
    "11": ("figure 6",),
    "12": ("table 7", "table 8"),
    "13": ("table 14",),
    "15": ("table 1", "table 9", "table 13"),
}
NARROW = "a ResNet-101 trained on the labelled classes alone, which nobody has published"


class Absent(FileNotFoundError):
    """Data or weights that a profile needs are not on this machine; it says how to get them."""


def sets(p: Profile, lesson: str = "") -> list[str]:
    """Sets of pictures that the profile needs: always, and for a lesson ("09")."""
    named = [p.data, *([p.unlabelled] if p.unlabelled else [])]
    named += [*p.transfer] if lesson == "09" else []
    return named + ([p.shift] if lesson == "10" and p.shift else [])


def missing(p: Profile, lesson: str = "") -> list[str]:
    """What the profile needs, for a lesson ("09") or for any, and is not there: a line each, with
    the command that makes it. Published weights are fetched, if the data are there."""
    lines = [f"the pictures {name}: `{how}`" for name in sets(p, lesson) if (how := command(name))]
    if lesson == "10" and not p.shift:
        lines.append("a set of near twins, which this profile does not have")
    if not lines:
        names = (p.teacher, p.supervised, *([p.vit] if lesson == "14" else []))
        lines = [why for name in names if (why := _unfetched(name))]
    return lines


def second_start(p: Profile) -> list[str]:
    """What lesson 07 lacks to compare two starts of the baseline, as in `missing`."""
    if not p.supervised_narrow:
        return [NARROW]
    on = (next(iter(p.operators)), p.slider)
    if set(on) <= set(p.starts):
        return []
    return [f"a second start on {' and '.join(on)}, which this profile does not have"]


def command(name: str) -> str | None:
    """The command that makes a set of pictures; None where it is there, or drawn when asked for."""
    if name in stored_sets.COMMAND:
        files = [stored_sets.file_of(name, split) for split in stored_sets.SPLITS[name]]
        return None if all(file.is_file() for file in files) else stored_sets.COMMAND[name]
    if name.partition("/")[0] in image_files.COMMAND:
        there = (home() / name / image_files.MANIFEST).is_file()
        return None if there else image_files.command(name)
    return None


def _unfetched(name: str) -> str | None:
    """Why an encoder's weights cannot be had, with what to do; None once they are here."""
    if name in encoder_config.EMBEDDED or Path(name).exists():
        return None
    shape, _, tag = name.partition("/")
    try:
        if shape == "resnet101":
            hub.from_url(encoder_config.RESNET101.url, name, None)
        else:
            config = encoder_config.named(shape)
            hub.open_clip_weights(name, encoder_config.published(shape, tag, config), None)
    except FileNotFoundError as e:
        return str(e)


def check(p: Profile) -> None:
    """Raises Absent where something is missing; in a notebook, ends the lesson."""
    if lines := missing(p, this_lesson()):
        end(p, lines)


def end(p: Profile, lines: Sequence[str]) -> None:
    """Raises Absent for these lines, and has a notebook show it as the end of the lesson."""
    shell = get_ipython()
    if shell is not None:
        shell.set_custom_exc((Absent,), _shown)
    needs = "\n".join(f"- {line}" for line in lines)
    raise Absent(f"The profile {p.name!r} needs what is not on this machine:\n\n{needs}")


def _shown(shell, kind, absent, trace, tb_offset=None) -> None:
    """In place of a traceback: the sentence, the paper's numbers, and an end that is no error."""
    text = f"{absent}\n\nUntil then, here is what the paper reports. Nothing of it is measured."
    display(Markdown(text))
    for source in SHOWS.get(this_lesson(), ("table 1",)):
        display(Markdown(f"**{source.capitalize()}, quoted** (percent; AUC between 0 and 1)"))
        display(quoted(source))
    end = "The lesson ends here, as what it needs is absent. The cells below were not run."
    # papermill takes this name and value, and no other, for an end without an error
    shell._showtraceback(SystemExit, SystemExit(0), [end])


def quoted(source: str) -> pd.DataFrame:
    """A table or figure of the paper to read, as "table 1" or "figure 6": what differs from row to
    row, and a column a method; top-1 or AUC with its standard error."""
    kind, number = source.split()
    rows = {"table": paper.table, "figure": paper.figure}[kind](int(number))
    rows = rows[rows.metric != "top5"]
    keys = [key for key in ("dataset", "operator") if key in rows and rows[key].nunique() > 1]
    if rows.duplicated([*keys, "method"]).any():  # a curve over the labels used, in percent
        keys.append("fraction")
    cells = rows.assign(text=[_cell(*row) for row in rows[["value", "se", "metric"]].values])
    wide = cells.pivot_table(
        index=keys, columns="method", values="text", aggfunc="first", sort=False
    )
    return wide.rename(columns=paper.METHODS).fillna("").rename_axis(columns=f"{source}, quoted")


def _cell(value: float, error: float, metric: str) -> str:
    digits = 3 if metric == "auc" else 1
    return f"{value:.{digits}f}" + ("" if pd.isna(error) else f" ± {error:.{digits}f}")


def this_lesson() -> str:
    """The number of the lesson that this kernel runs, where `make course` or JupyterLab says it."""
    names = (os.environ.get("CINV_LESSON", ""), os.environ.get("JPY_SESSION_NAME", ""))
    found = (re.search(r"(\d\d)_\w+(\.ipynb)?$", name) for name in names)
    return next((match[1] for match in found if match), "")
