"""The landing page of a run's site: the quiz, the method, two roads, the lessons, what holds."""

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from cinv_lib.course import api
from cinv_lib.course.excerpt import CORE
from cinv_lib.course.site_panels import TEMPLATES, Picture, write
from cinv_lib.machine.folders import ROOT
from cinv_lib.machine.provenance import commit
from cinv_lib.paper import reading

HEADLINES = 6  # rows of the ledger
TEXTS = {
    "NOTATION.html": "symbols and words",
    "REFERENCES.html": "what came before and after",
    "PROJECTS.html": "open projects",
}


def page(run: Path, site: Path, lessons: Sequence[Any]) -> str:
    """The landing page; the diagram of the method is written into the site.

    Args:
        lessons: `site.Lesson`, in order.
    """
    panels = [panel for lesson in lessons for panel in lesson.panels]
    listed = {
        "Stopped with an error": sorted((site / "logs").glob("*")),
        "Results": sorted((site / "results").glob("*.json")),
        "Trainings": sorted((site / "trainings").glob("*.ipynb")),
        "The library's public names": sorted((site / api.FOLDER).glob("*.html")),
    }
    return TEMPLATES.get_template("site_index.html").render(
        title="Contrastive inversion, a course",
        run=run,
        lessons=lessons,
        quiz=next((panel for panel in panels if panel.asked), None),
        panel=next((panel for panel in panels if not panel.asked), None),
        diagram=diagram(site),
        roads=roads(lessons),
        ledger=ledger(run),
        code=code(),
        texts=[(name, words) for name, words in TEXTS.items() if (site / name).is_file()],
        sections=[
            (heading, [(file.relative_to(site).as_posix(), summary(file)) for file in files])
            for heading, files in listed.items()
        ],
        commit=commit().partition("+")[0][:12],
        date=f"{datetime.now(UTC):%d %B %Y}".lstrip("0"),
        html=Markup,
    )


def diagram(site: Path) -> Picture:
    """The method in one picture."""
    from cinv_lib import plots
    from cinv_lib.plots import style

    figure = plots.method_diagram()
    write(site / "figures/method.png", style.png(figure))
    width, height = (round(inches * figure.dpi) for inches in figure.get_size_inches())
    alt = (
        "The method: a picture x goes through the frozen teacher R to R(x); the ruined picture "
        "A(x) goes through the student S, which starts as a copy of R and learns, to S(A(x)); "
        "training pulls the two together."
    )
    return Picture("figures/method.png", alt, width, height)


def roads(lessons: Sequence[Any]) -> list[tuple[str, list[Any], int]]:
    """The short and the long way through the lessons: a name, its lessons, minutes of reading."""
    short = [lesson for lesson in lessons if lesson.name[:2] in CORE.split()]
    ways = [("An evening", short), ("Everything", list(lessons))]
    return [(name, way, sum(one.minutes for one in way)) for name, way in ways if way]


def ledger(run: Path) -> dict[str, Any]:
    """What the ledger says: whose it is, counts of verdicts, the rows of the first claims. {} where
    nothing was measured."""
    from cinv_lib.paper import export

    whose, lab, seeds = export.judged(run)
    rows = export.ledger(lab, seeds)
    if not rows:
        return {}
    # One row for each claim, under masks where there is one, whatever its verdict. A claim that
    # begins with the number of another one cannot be read alone.
    shown = [row for row in rows if row["unit"] == "points" and not _absent(row["half_width"])]
    shown = [row for row in shown if not row["sentence"].startswith("Claim ")]
    shown = sorted(shown, key=lambda row: (row["claim"], not row["operator"].startswith("mask")))
    first = {row["claim"]: row for row in reversed(shown)}
    counts = Counter(re.sub(r" \(.*", "", row["verdict"]) for row in rows)
    return {
        "whose": whose,
        "counts": sorted(counts.items(), key=lambda pair: -pair[1]),
        "rows": [
            row | {"place": reading.place(row["operator"], row["where"])}
            for _, row in sorted(first.items())[:HEADLINES]
        ],
        "total": len(rows),
        "trainings": max(row["seeds"] for row in rows),
    }


def _absent(number: float | None) -> bool:
    return number is None or math.isnan(number)


def code() -> str:
    """The lines with which README.md shows the library, or ""."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    found = re.search(r"^    import cinv_lib as ci\n(?:(?:    .*)?\n)+?(?=\S)", text, re.M)
    return re.sub(r"^    ", "", found[0], flags=re.M).strip() if found else ""


def summary(file: Path) -> str:
    """A few words on a JSON file: how many records or which keys; else nothing."""
    try:
        content = json.loads(file.read_text(encoding="utf-8")) if file.suffix == ".json" else None
    except ValueError:
        return "(not readable as JSON)"
    if isinstance(content, list):
        return f"({len(content)} records)"
    if isinstance(content, dict):
        return f"({', '.join(list(content)[:6])})"
    return ""
