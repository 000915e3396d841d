"""A lesson's figures and panels on its page: files beside it, a panel by the frames of its kernel.

Without its script a panel is the picture that it began with, and five more, folded.
"""

import base64
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from cinv_lib.machine.files import whole
from cinv_lib.plots.panels.frames import MIME

_FOLDER = FileSystemLoader(Path(__file__).parent)
_TIDY = {"keep_trailing_newline": True, "trim_blocks": True, "lstrip_blocks": True}
TEMPLATES = Environment(loader=_FOLDER, autoescape=True, **_TIDY)
WIDGET = "application/vnd.jupyter.widget-view+json"
NO_ALT = "figure without a description"
SHOWN = 5  # pictures of a panel where no script runs


@dataclass(frozen=True)
class Picture:
    """A figure of a lesson: its file on the site, its alt text, its size on a page in pixels."""

    file: str
    alt: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True)
class Moving:
    """A panel that moves on a page: its id and its HTML.

    missing, scores, asked: of a quiz, the share of black pixels in its pictures, and how many of
    how many questions each machine answers right.
    """

    name: str
    html: str
    missing: float = 0.0
    scores: tuple[tuple[str, int], ...] = ()
    asked: int = 0


def placed(
    cells: Sequence[Any], name: str, frames: Path, site: Path
) -> tuple[list[Picture], list[Moving]]:
    """Write the figures and frames of a lesson's cells into the site; outputs then refer to them.

    Args:
        frames: the folder that the lesson's kernel drew into.
    """
    pictures: list[Picture] = []
    panels: list[Moving] = []
    for cell in cells:
        for output in list(cell.get("outputs", [])):
            data = output.get("data", {})
            panel = _panel(data, f"panel-{name[:2]}-{len(panels) + 1}", frames, site)
            if panel is not None:
                panels.append(panel)
                output["data"] = nbformat.from_dict({"text/html": panel.html})
            elif "image/png" in data:
                pictures.append(_picture(output, f"figures/{name[:2]}-{len(pictures) + 1}", site))
                if WIDGET in data:  # a panel that could not be drawn beforehand
                    output["data"] = _still(pictures.pop())
            elif WIDGET in data:  # finished progress bars say nothing
                cell.outputs.remove(output)
    return pictures, panels


def _picture(output: Any, stem: str, site: Path) -> Picture:
    of_png = output.metadata.get("image/png", {})
    alt = of_png.get("alt") or output.metadata.get("alt") or NO_ALT
    size = of_png.get("width"), of_png.get("height")
    picture = Picture(f"{stem}.png", " ".join(alt.split()), *size)
    write(site / picture.file, base64.b64decode(output.data["image/png"]))
    known = {"width": picture.width, "height": picture.height}
    output.metadata["filenames"] = {"image/png": picture.file}
    kept = {key: value for key, value in known.items() if value}
    output.metadata["image/png"] = {"alt": picture.alt} | kept
    return picture


def _still(picture: Picture) -> Any:
    page = TEMPLATES.get_template("site_panel.html").render(picture=picture, data={})
    return nbformat.from_dict({"text/html": page})


def _panel(data: Any, name: str, frames: Path, site: Path) -> Moving | None:
    """The moving panel of an output; None where it has none, or its frames are not there."""
    film = data.get(MIME)
    if not film:
        return None
    asked = film.get("questions", [])
    rows = [q[key] for q in asked for key in ("before", "after")] or [*film["frames"].values()]
    files = sorted({row[0] for row in rows})
    if not all((frames / file).is_file() for file in files):
        return None
    (site / "frames").mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copyfile(frames / file, site / "frames" / file)
    if asked:
        stills = [[*q["after"], f"It was: {q['truth']}."] for q in asked[:SHOWN]]
        first = [*asked[0]["before"], f"Question 1 of {len(asked)}: what is in this picture?"]
    else:
        stills = rows[:: max(1, len(rows) // SHOWN)][:SHOWN]
        first = film["frames"][_first(film["controls"])]
    page = TEMPLATES.get_template("site_panel.html").render(
        name=name, data=film, first=first, stills=stills, json=Markup(script_json(film))
    )
    players = list(asked[0]["said"]) if asked else []
    scores = [(who, sum(q["said"][who] == q["truth"] for q in asked)) for who in players]
    return Moving(name, page, film.get("black", 0.0), tuple(scores), len(asked))


def _first(controls: Sequence[Any]) -> str:
    """The key of the frame that a panel begins with."""
    chosen: list[int] = []
    for control in controls:
        when = control["when"]
        counts = not when or chosen[when[0]] == when[1]
        chosen.append(control["at"] if counts else 0)
    return "-".join(map(str, chosen))


def script_json(data: Any) -> str:
    """JSON that may stand in a script element: no text in it ends that element."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def write(path: Path, content: str | bytes) -> Path:
    """Write a file whole or not at all; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
