"""A run as web pages: `python -m cinv_lib.course.site runs/stickers` writes its folder `site`.

The folder holds all that the pages need and nothing else, so that any web server can have it as it
is; a browser opens `site/index.html` without one. Executed lessons become plain pages: formulas are
MathML, which browsers draw and screen readers read, every figure keeps its alt text, and a panel
moves by the frames that its kernel drew.
"""

import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
from markupsafe import Markup

from cinv_lib.course import api, site_html, site_index
from cinv_lib.course.bare import bare
from cinv_lib.course.excerpt import fault, read_minutes
from cinv_lib.course.site_panels import TEMPLATES, Moving, Picture, placed, write
from cinv_lib.machine.folders import ROOT
from cinv_lib.paper.export import results

FOLDER = "site"
MOST = 40_000_000  # bytes that a site should have at most
TEXTS = ROOT / "notebooks"  # where the pages beside the lessons stand
COPIED = {"results": "*.json", "trainings": "*.ipynb", "logs": "*.failed.ipynb"}


@dataclass(frozen=True)
class Lesson:
    """An executed lesson as a page of the site.

    question: "" where it asks none; sentence: the answer that it shows, else "". minutes: to read,
    0 where it does not say.
    """

    name: str
    title: str
    minutes: int = 0
    question: str = ""
    sentence: str = ""
    pictures: tuple[Picture, ...] = ()
    panels: tuple[Moving, ...] = ()

    @property
    def page(self) -> str:
        """The page's file name."""
        return f"{self.name}.html"


def build(run: Path) -> Path:
    """Write the site of a run anew, and put it in the old one's place; returns its index.

    Raises:
        FileNotFoundError: the run has no executed notebook.
    """
    found = notebooks(run)
    new, site = run / f".{FOLDER}.new", run / FOLDER
    shutil.rmtree(new, ignore_errors=True)
    executed = {path.stem: nbformat.read(path, as_version=4) for path in found}
    texts = {p.stem: p for p in (*sorted(TEXTS.glob("*.md")), *TEXTS.glob("project.ipynb"))}
    pages = {f"notebooks/{name}.ipynb": f"{name}.html" for name in executed}
    pages |= {f"notebooks/{path.name}": f"{name}.html" for name, path in texts.items()}
    for name, notebook in executed.items():
        write(new / "notebooks" / f"{name}.ipynb", nbformat.writes(bare(notebook)))
    lessons = [lesson(run, new, name, notebook) for name, notebook in executed.items()]
    sheet = site_html.Sheet()
    for k, notebook in enumerate(executed.values()):
        near = lessons[k - 1] if k else None, (*lessons, None)[k + 1]
        write(new / lessons[k].page, lesson_page(lessons[k], notebook, *near, sheet, pages))
    for name, path in texts.items():
        write(new / f"{name}.html", text_page(path, sheet, pages))
    results(run)
    for folder, pattern in COPIED.items():
        for file in sorted((run / folder).glob(pattern)):
            (new / folder).mkdir(exist_ok=True)
            shutil.copyfile(file, new / folder / file.name)
    library(new)
    write(new / "index.html", site_index.page(run, new, lessons))
    own = Path(__file__).parent
    write(new / "site.css", (own / "site.css").read_text(encoding="utf-8") + str(sheet))
    shutil.copyfile(own / "panels.js", new / "panels.js")
    write(new / ".nojekyll", "")  # else GitHub's pages leave out some files
    shutil.rmtree(site, ignore_errors=True)
    new.rename(site)
    return site / "index.html"


def notebooks(run: Path) -> list[Path]:
    """The executed lessons of a run, in order. Raises FileNotFoundError where there is none."""
    found = sorted((run / "notebooks").glob("*.ipynb"))
    if not found:
        raise FileNotFoundError(f"no executed notebook in {run / 'notebooks'}; run `make course`")
    return found


def lesson(run: Path, site: Path, name: str, notebook: nbformat.NotebookNode) -> Lesson:
    """What the index says of a lesson; its figures and frames are written into the site."""
    pictures, panels = placed(notebook.cells, name, run / "frames" / name, site)
    return Lesson(
        name,
        title(notebook, name),
        read_minutes(notebook),
        question(notebook),
        sentence(notebook),
        tuple(pictures),
        tuple(panels),
    )


def title(notebook: nbformat.NotebookNode, name: str) -> str:
    """The first heading of a notebook, without its number and markup; else its file name."""
    for cell in notebook.cells:
        found = re.search(r"^#\s+(.+)$", cell.source, re.M)
        if found and cell.cell_type == "markdown":
            return re.sub(r"^\d+\s*[·:.–-]\s*|[*_`$]", "", found[1]).strip()
    return name.replace("_", " ")


def question(notebook: nbformat.NotebookNode) -> str:
    """The question in bold with which a paragraph of the first cell begins, or ""."""
    found = re.search(r"^\*\*([^*]+\?)\*\*", notebook.cells[0].source, re.M)
    return " ".join(found[1].split()) if found else ""


def sentence(notebook: nbformat.NotebookNode) -> str:
    """The first sentence that a lesson shows as its result (`workbook.result`), or ""; of one that
    did not reach its end, what stopped it."""
    if error := fault(notebook.cells):
        if error["ename"] == "SystemExit":
            return "This lesson ended early, and says what it lacks."
        return f"This lesson stopped with an error: {error['ename']}: {error['evalue']}"
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    shown = (output.get("data", {}) for output in outputs)
    found = (data["text/plain"] for data in shown if 'class="result"' in data.get("text/html", ""))
    return next(found, "")


def lesson_page(
    lesson: Lesson,
    notebook: nbformat.NotebookNode,
    before: Lesson | None,
    after: Lesson | None,
    sheet: site_html.Sheet,
    pages: Mapping[str, str],
) -> str:
    """A lesson's page, with links to the lessons beside it."""
    panels = {f"<!--{k}-->": panel.html for k, panel in enumerate(lesson.panels)}
    for cell in notebook.cells:  # the pages' own script elements are not taken out
        for output in cell.get("outputs", []):
            for mark, html in panels.items():
                if output.get("data", {}).get("text/html") == html:
                    output.data["text/html"] = mark
    body = site_html.settled(site_html.body(notebook), sheet, pages, "notebooks")
    for mark, html in panels.items():
        body = body.replace(mark, html)
    links = [("index.html", "All lessons")]
    links += [(before.page, f"← {before.title}")] if before else []
    links += [(after.page, f"{after.title} →")] if after else []
    links += [(f"notebooks/{lesson.name}.ipynb", "This notebook")]
    return rendered(lesson.title, body, links)


def text_page(path: Path, sheet: site_html.Sheet, pages: Mapping[str, str]) -> str:
    """A page for a Markdown file, or for a notebook as it stands."""
    if path.suffix == ".ipynb":
        notebook = nbformat.read(path, as_version=4)
        name, body = title(notebook, path.stem), site_html.body(notebook)
    else:
        source = path.read_text(encoding="utf-8")
        found = re.search(r"^#\s+(.+)$", source, re.M)
        name, body = found[1] if found else path.stem, site_html.markdown(source)
    body = site_html.settled(body, sheet, pages, "notebooks")
    return rendered(name, body, [("index.html", "All lessons")])


def rendered(title: str, body: str, links: Sequence[tuple[str, str]]) -> str:
    """A page of the site."""
    page = TEMPLATES.get_template("site_page.html")
    return page.render(title=title, body=Markup(body), links=links)


def library(site: Path) -> None:
    """The pages of the library's public names, with their styles in a file of their own."""
    try:
        api.write(site)
    except Exception as error:  # of any kind: the lessons' pages are worth more
        print(f"no pages of the library: {type(error).__name__}: {error}", file=sys.stderr)
        shutil.rmtree(site / api.FOLDER, ignore_errors=True)
        return
    rules, sheet = "", site_html.Sheet()
    for file in sorted((site / api.FOLDER).rglob("*.html")):
        html = file.read_text(encoding="utf-8")
        rules = site_html.styles(html)  # the same on all pages
        up = "../" * (len(file.relative_to(site).parts) - 2)
        linked = f"<link rel='stylesheet' href='{up}pdoc.css'>\n</head>"
        write(file, site_html.settled(html, sheet).replace("</head>", linked, 1))
    write(site / api.FOLDER / "pdoc.css", f"{rules}\n{sheet}")


def main(arguments: Sequence[str]) -> int:
    """Entry point of `python -m cinv_lib.course.site RUN`."""
    if len(arguments) != 1:
        print("usage: python -m cinv_lib.course.site runs/PROFILE", file=sys.stderr)
        return 2
    try:
        index = build(Path(arguments[0]))
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    size = sum(file.stat().st_size for file in index.parent.rglob("*") if file.is_file())
    if size > MOST:
        print(f"the site has {size / 1e6:.0f} MB; expected {MOST / 1e6:.0f}", file=sys.stderr)
    print(index)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
