"""What the runner reads of notebooks: which are asked for, their cells, what has changed.

Some cells of a lesson are a notebook of their own: those that have a tag.

`make course` runs the cells tagged `training` of lessons 05 and 07 once for every training:

    python -m cinv_lib.course.excerpt notebooks/05_distillation.ipynb training |
        papermill - out.ipynb
"""

import argparse
import hashlib
import json
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

CORE = "00 01 05 06 15"  # the shortest way from a picture to a verdict
OWN = "18"  # the page of a run of a reader's own
# modules of the library that no result comes from
NOTHING = {
    "api",
    "requested",
    "capacity",
    "gpus",
    "doctor",
    "excerpt",
    "finding",
    "guards",
    "host",
    "installation",
    "monitor",
    "preflight",
    "rehearsal",
    "shell",
    "site",
    "trial",
}


def read_minutes(notebook: Mapping[str, Any]) -> int:
    """Minutes to read a lesson, as its metadata have them; 0 where they have none."""
    return notebook["metadata"].get("course", {}).get("read_minutes", 0)


def wanted(lessons: str, names: Mapping[str, str]) -> list[str]:
    """Names of the notebooks of "all", of "core", or of numbers: "00 05", "0,5".

    Raises:
        ValueError: there is no lesson of a number, or no number.
    """
    if lessons == "all":
        return list(names.values())
    lessons = CORE if lessons == "core" else lessons
    numbers = [number.zfill(2) for number in re.split(r"[\s,]+", lessons.strip()) if number]
    for number in numbers or [lessons]:
        if number not in names:
            raise ValueError(f"no lesson {number!r}; there are: {' '.join(names)} (or: core, all)")
    return [names[number] for number in numbers]


def of_profile(profile: str, names: Mapping[str, str]) -> Mapping[str, str]:
    """The notebooks that a profile has, by number: all, or of a reader's own run, its page."""
    if not profile.startswith("own/"):
        return names
    return {number: name for number, name in names.items() if number == OWN}


def library(*folders: str) -> str:
    """A hash of what the lessons compute with: the texts in these folders."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(Path(folder).rglob("*")):
            if path.suffix in {".py", ".json", ".md", ".txt"} and path.stem not in NOTHING:
                digest.update(path.as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def tagged(path: str, tag: str | None = None) -> list[tuple[str, str]]:
    """Type and source of a notebook's cells: of all, or of those with a tag."""
    notebook = json.loads(Path(path).read_text(encoding="utf-8"))
    chosen = [c for c in notebook["cells"] if tag in (None, *c["metadata"].get("tags", []))]
    return [(cell["cell_type"], "".join(cell["source"])) for cell in chosen]


def fault(cells: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The first error among the outputs of a notebook's cells, None where there is none. One that
    is called SystemExit is the end of a lesson that lacks something: see `ending`."""
    outputs = (output for cell in cells for output in cell.get("outputs", []))
    return next((one for one in outputs if one["output_type"] == "error"), None)


def fingerprint(path: str, tag: str | None = None) -> str:
    """A hash of a notebook's sources, not of its outputs, which are committed too."""
    return hashlib.sha256(json.dumps(tagged(path, tag)).encode()).hexdigest()[:16]


def arguments(path: str, given: Mapping[str, Any]) -> str:
    """papermill's arguments, for a shell: of the given values those that the notebook has."""
    lines = [line for _, source in tagged(path, "parameters") for line in source.split("\n")]
    has = {line.partition("=")[0].strip() for line in lines}
    return " ".join(f"-p {key} {shlex.quote(str(given[key]))}" for key in given if key in has)


def excerpt(notebook: dict[str, Any], tag: str) -> dict[str, Any]:
    """The notebook (format 4, as its JSON) with only the cells that have the tag, in their order.

    Raises:
        ValueError: no cell has it.
    """
    cells = [cell for cell in notebook["cells"] if tag in cell["metadata"].get("tags", [])]
    if not cells:
        raise ValueError(f"no cell has the tag {tag!r}; give it to those that belong together")
    return notebook | {"cells": cells}


def main() -> None:
    """Print the excerpt of a notebook file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("tag")
    given = parser.parse_args()
    try:
        made = excerpt(json.loads(given.notebook.read_text(encoding="utf-8")), given.tag)
    except ValueError as error:
        parser.error(f"{given.notebook}: {error}")
    print(json.dumps(made))


if __name__ == "__main__":
    main()
