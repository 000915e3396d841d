"""A run as web pages: `python -m cinv_lib.course.site runs/stickers` writes `index.html` into it.

Executed lessons become plain pages that need no network and no script: formulas are MathML, which
browsers draw and screen readers read, and every figure keeps its alt text. The index links them,
the results, the trainings, the figures and the pages of the library's public names.
"""

import base64
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import nbformat
from jinja2 import Environment, FileSystemLoader, pass_context
from latex2mathml.converter import convert as mathml
from markupsafe import Markup
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from cinv_lib.course import api
from cinv_lib.machine.files import whole
from cinv_lib.paper.export import results

_FOLDER = FileSystemLoader(Path(__file__).parent)
TEMPLATES = Environment(loader=_FOLDER, autoescape=True, keep_trailing_newline=True)
WIDGET = "application/vnd.jupyter.widget-view+json"
NO_ALT = "figure without a description"


@dataclass(frozen=True)
class Picture:
    """A figure of a lesson: its file, relative to the run's folder, and its alt text."""

    file: str
    alt: str


@dataclass(frozen=True)
class Lesson:
    """An executed lesson as a page of the site."""

    name: str
    title: str
    minutes: float | None
    pictures: tuple[Picture, ...]

    @property
    def page(self) -> str:
        """The page's file name."""
        return f"{self.name}.html"


class _Renderer(IPythonRenderer):
    """Markdown cells to HTML, formulas to MathML."""

    def inline_math(self, body: str) -> str:
        return formula(body, "inline")

    def block_math(self, body: str) -> str:
        return formula(body, "block")

    def latex_environment(self, name: str, body: str) -> str:
        return formula(rf"\begin{{{name}}}{body}\end{{{name}}}", "block")


class _Exporter(HTMLExporter):
    """nbconvert's bare template: the body of a page, without scripts or styles."""

    template_name = "basic"

    @pass_context
    def markdown2html(self, context, source):
        attachments = context.get("cell", {}).get("attachments", {})
        renderer = _Renderer(escape=False, attachments=attachments, exclude_anchor_links=True)
        return MarkdownWithMath(renderer=renderer).render(source)


def formula(tex: str, display: str) -> str:
    """TeX as MathML; TeX that the converter does not know stays readable as code."""
    try:
        # it knows align* and not aligned, which is the same within a formula
        made = mathml(re.sub(r"\b(align|gather)ed\b", r"\1*", tex.strip()), display=display)
    except Exception:  # its errors have no common class
        made = "\\"
    # what it does not know it passes on: commands with their backslash, column marks bare
    return f"<code>{escape(tex)}</code>" if "\\" in made or ">&<" in made else made


def build(run: Path) -> Path:
    """Write the pages, the figures, the results and the index of a run; returns the index.

    Raises:
        FileNotFoundError: the run has no executed notebook.
    """
    executed = [(path.stem, nbformat.read(path, as_version=4)) for path in notebooks(run)]
    lessons = [lesson(run, name, notebook) for name, notebook in executed]
    for i, (_, notebook) in enumerate(executed):
        before, after = lessons[i - 1] if i else None, (*lessons, None)[i + 1]
        write(run / lessons[i].page, lesson_page(lessons[i], notebook, before, after))
    results(run)
    return write(run / "index.html", index_page(run, lessons))


def notebooks(run: Path) -> list[Path]:
    """The executed lessons of a run, in order. Raises FileNotFoundError where there is none."""
    found = sorted((run / "notebooks").glob("*.ipynb"))
    if not found:
        raise FileNotFoundError(f"no executed notebook in {run / 'notebooks'}; run `make course`")
    return found


def lesson(run: Path, name: str, notebook: nbformat.NotebookNode) -> Lesson:
    """Write a notebook's figures under `figures/`; its outputs then refer to the files."""
    pictures = []
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        for output in outputs:
            if "image/png" in output.get("data", {}):
                alt = " ".join(alt_text(output).split())
                picture = Picture(f"figures/{name[:2]}-{len(pictures) + 1}.png", alt)
                write(run / picture.file, base64.b64decode(output.data["image/png"]))
                output.metadata["filenames"] = {"image/png": picture.file}
                output.metadata["image/png"] = {"alt": alt}
                pictures.append(picture)
        still_outputs(outputs)
    seconds = notebook.metadata.get("papermill", {}).get("duration")
    minutes = seconds / 60 if isinstance(seconds, int | float) else None
    return Lesson(name, title(notebook, name), minutes, tuple(pictures))


def alt_text(output: nbformat.NotebookNode) -> str:
    """The alt text that `plots.show` stored with a figure."""
    of_png = output.metadata.get("image/png", {})
    return of_png.get("alt") or output.metadata.get("alt") or NO_ALT


def still_outputs(outputs: list) -> None:
    """Sliders do not move on a page, and finished progress bars say nothing: replace, drop."""
    for output in [one for one in outputs if WIDGET in one.get("data", {})]:
        if "Panel" in output.data.get("text/plain", ""):
            text = "<p class='panel'>An interactive panel stands here: see it with make lab.</p>"
            output["data"] = nbformat.from_dict({"text/html": text})
        else:
            outputs.remove(output)


def title(notebook: nbformat.NotebookNode, name: str) -> str:
    """The first heading of a notebook, without its number and markup; else its file name."""
    for cell in notebook.cells:
        found = re.search(r"^#\s+(.+)$", cell.source, re.M)
        if found and cell.cell_type == "markdown":
            return re.sub(r"^\d+\s*[·:.–-]\s*|[*_`$]", "", found[1]).strip()
    return name.replace("_", " ")


def lesson_page(
    lesson: Lesson, notebook: nbformat.NotebookNode, before: Lesson | None, after: Lesson | None
) -> str:
    """A lesson's page, with links to the lessons beside it."""
    body, _ = _Exporter().from_notebook_node(notebook)
    links = [("index.html", "All lessons")]
    links += [(before.page, f"← {before.title}")] if before else []
    links += [(after.page, f"{after.title} →")] if after else []
    return TEMPLATES.get_template("site_page.html").render(
        title=lesson.title, body=Markup(body), links=links
    )


def index_page(run: Path, lessons: Sequence[Lesson]) -> str:
    """The table of lessons, what stopped, the results, the trainings and the figures."""
    listed = {
        "Stopped with an error": stopped(run),
        "Results": sorted((run / "results").rglob("*.json")),
        "Trainings": sorted((run / "trainings").glob("*.ipynb")),
        "The library's public names": sorted((run / api.FOLDER).glob("*.html")),
    }
    return TEMPLATES.get_template("site_index.html").render(
        title=f"Course: {run.name}",
        run=run,
        lessons=lessons,
        total=sum(lesson.minutes or 0 for lesson in lessons),
        sections=[
            (heading, [(file.relative_to(run).as_posix(), summary(file)) for file in files])
            for heading, files in listed.items()
        ],
    )


def stopped(run: Path) -> list[Path]:
    """Notebooks that ended in an error, as the Snakefile leaves them, and their logs."""
    failed = sorted((run / "logs").glob("*.failed.ipynb"))
    logs = [path.with_name(path.name.replace(".failed.ipynb", ".log")) for path in failed]
    return [*failed, *(log for log in logs if log.is_file())]


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


def write(path: Path, content: str | bytes) -> Path:
    """Write a file whole or not at all; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def main(arguments: Sequence[str]) -> int:
    """Entry point of `python -m cinv_lib.course.site RUN`."""
    if len(arguments) != 1:
        print("usage: python -m cinv_lib.course.site runs/PROFILE", file=sys.stderr)
        return 2
    run = Path(arguments[0])
    try:
        notebooks(run)
        try:
            api.write(run)  # first, as the index links what is there
        except Exception as error:  # of any kind: the lessons' pages are worth more
            print(f"no pages of the library: {type(error).__name__}: {error}", file=sys.stderr)
        print(build(run))
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
