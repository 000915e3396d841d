"""A run as web pages and as JSON: read back with a parser, as a browser and a program would."""

import base64
import json
import math
from html.parser import HTMLParser
from urllib.parse import unquote

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from cinv_lib.course import api, site
from cinv_lib.machine import provenance, store
from cinv_lib.machine.store import Store
from cinv_lib.paper import export

PNG = base64.b64encode(b"\x89PNG not really").decode()
ALT = 'a "curve" <rises> & falls'


class Tags(HTMLParser):
    """(tag, attributes) of a page, in order."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def notebook(title, *cells, seconds=90.0):
    made = new_notebook(cells=[new_markdown_cell(title), *cells])
    made.metadata["papermill"] = {"duration": seconds}
    return made


@pytest.fixture
def run(tmp_path):
    """A run of two lessons; the first has a figure, a formula, a panel and a progress bar."""
    folder = tmp_path / "stickers"
    (folder / "notebooks").mkdir(parents=True)
    view = {"model_id": "1", "version_major": 2}
    figure = new_output("display_data", {"image/png": PNG, "text/plain": "Figure"})
    figure.metadata["image/png"] = {"alt": ALT}
    panel = new_output("display_data", {site.WIDGET: view, "text/plain": "Panel()"})
    bar = new_output("display_data", {site.WIDGET: view, "text/plain": "HBox(children=())"})
    first = notebook(
        "# 00 · Start *here*\n\nThe loss $\\frac{1}{N}\\sum_i x_i < 1$ and\n\n$$w = \\tau$$",
        new_code_cell("x = '<b>'", execution_count=1, outputs=[figure, panel, bar]),
    )
    nbformat.write(first, folder / "notebooks" / "00_start_here.ipynb")
    nbformat.write(notebook("no heading"), folder / "notebooks" / "05_distillation.ipynb")
    return folder


def test_index_links_what_is_there(run):
    assert site.build(run) == run / "index.html"
    page = Tags((run / "index.html").read_text())
    targets = [a["href"] for a in page.all("a") if not a["href"].startswith("#")]
    assert targets and all((run / unquote(target)).is_file() for target in targets)
    assert {"00_start_here.html", "notebooks/05_distillation.ipynb"} <= set(targets)
    text = (run / "index.html").read_text()
    assert ">Start here<" in text and ">05 distillation<" in text
    assert "<td>1.5</td>" in text


def test_pages_are_accessible_and_need_no_network(run):
    site.build(run)
    for file in run.glob("*.html"):
        page = Tags(file.read_text())
        assert page.all("html") == [{"lang": "en"}]
        assert len(page.all("title")) == len(page.all("main")) == 1
        assert not page.all("script") and not page.all("link")
        for image in page.all("img"):
            assert image["alt"] == ALT
            assert (run / image["src"]).read_bytes() == base64.b64decode(PNG)
        sources = [a[key] for _, a in page.found for key in ("src", "href") if key in a]
        assert not [s for s in sources if "//" in s]
    assert len(Tags((run / "00_start_here.html").read_text()).all("img")) == 1


def test_formulas_are_mathml(run):
    site.build(run)
    page = (run / "00_start_here.html").read_text()
    assert [m["display"] for m in Tags(page).all("math")] == ["inline", "block"]
    assert "$" not in page and "\\frac" not in page


def test_unknown_tex_stays_readable():
    assert site.formula(r"x_a_b<", "inline") == r"<code>x_a_b&lt;</code>"


def test_dead_widgets_are_replaced(run):
    site.build(run)
    page = (run / "00_start_here.html").read_text()
    assert "make lab" in page
    assert "Panel()" not in page and "HBox" not in page and "model_id" not in page


def test_code_is_escaped(run):
    site.build(run)
    assert "<b>" not in (run / "00_start_here.html").read_text()


def test_a_lesson_that_stopped_is_listed(run):
    (run / "logs").mkdir()
    (run / "logs" / "06_probes.failed.ipynb").write_text("{}")
    site.build(run)
    assert "logs/06_probes.failed.ipynb" in (run / "index.html").read_text()


def test_trainings_are_listed(run):
    (run / "trainings").mkdir()
    (run / "trainings" / "05-student-mask_0.9-seed0.ipynb").write_text("{}")
    site.build(run)
    links = Tags((run / "index.html").read_text()).all("a")
    assert {"href": "trainings/05-student-mask_0.9-seed0.ipynb"} in links


def test_the_librarys_names_have_pages_that_need_no_network(run, capsys):
    assert site.main([str(run)]) == 0
    assert capsys.readouterr().err == ""
    assert {"href": "api/cinv_lib.html"} in Tags((run / "index.html").read_text()).all("a")
    for file in (run / "api").rglob("*.html"):
        page = Tags(file.read_text())
        assert not page.all("script") and not page.all("link")
        assert not [image for image in page.all("img") if "//" in image["src"].partition(",")[0]]


def test_a_page_has_what_its_package_offers_lazily(run, monkeypatch):
    monkeypatch.setattr(api, "FACE", "cinv_lib.losses")
    page = api.write(run).read_text()
    assert 'id="contrastive"' in page and 'id="Loss.tau"' in page
    assert "alignment / τ + weight · uniformity" in page  # its docstring


def test_an_error_in_the_librarys_pages_loses_no_index(run, capsys, monkeypatch):
    monkeypatch.setattr(api, "FACE", "cinv_lib.nowhere")
    assert site.main([str(run)]) == 0
    assert "cinv_lib.nowhere" in capsys.readouterr().err
    index = (run / "index.html").read_text()
    assert "00_start_here.html" in index and "api/" not in index


def test_no_run_is_said_so(tmp_path, capsys):
    assert site.main([str(tmp_path)]) == 1
    assert "make course" in capsys.readouterr().err
    assert site.main([]) == 2


SCORES = pd.DataFrame(
    [("student", 0, 70.0, 90.0), ("student", 1, 72.0, 92.0), ("baseline", 0, 60.0, 80.0),
     ("baseline", 1, 60.5, 81.0)],
    columns=["method", "realisation", "top1", "top5"],
)  # fmt: skip


def add_scores(run, operator, seed, shift=0.0, **more):
    def build(folder):
        moved = SCORES.assign(top1=SCORES.top1 + shift * (SCORES.method == "student"))
        moved.to_csv(folder / "known_operator.csv", index=False)

    spec = {"operator": operator, "seed": seed, **more}
    label = f"{operator}-seed{seed}"
    return Store(run / "store").make("known_operator", spec, build, label)


def test_results_are_means_with_errors_and_provenance(run):
    for seed in (0, 1):
        add_scores(run, "mask:0.9", seed, shift=seed)
    files = export.results(run)
    assert [file.name for file in files] == [
        "known_operator-mask-0.9-seed0.json",
        "known_operator-mask-0.9-seed1.json",
        "ledger.json",
    ]
    record = json.loads(files[0].read_text())
    student = record["methods"][0]
    assert (student["method"], student["realisations"]) == ("student", 2)
    assert student["top1"] == 71.0
    assert student["top1_se"] == pytest.approx(math.sqrt(2) / math.sqrt(2))
    assert record["provenance"]["commit"] and record["spec"]["operator"] == "mask:0.9"


def test_ledger_decides_what_the_scores_decide(run):
    for seed, shift in ((0, 0.0), (1, 1.0), (2, 2.0)):
        add_scores(run, "mask:0.9", seed, shift)
    export.results(run)
    ledger = json.loads((run / "results" / "ledger.json").read_text())
    # only those about these two methods can be decided, and what is computed
    assert [row["claim"] for row in ledger] == [1, 7, 27, 28, 29, 30]
    assert ledger[0]["verdict"] == "holds"
    assert ledger[0]["seeds"] == 3
    assert ledger[0]["difference"] == pytest.approx(10.75 + 1.0)


def test_the_latest_scores_count(run, monkeypatch):
    dates = iter(["2026-01-01T00:00:00", "2026-01-02T00:00:00"])
    real = provenance.describe
    monkeypatch.setattr(store, "describe", lambda: real() | {"date": next(dates)})
    add_scores(run, "mask:0.9", 0, epochs=1)
    add_scores(run, "mask:0.9", 0, shift=5.0, epochs=2)
    (file,) = [f for f in export.results(run) if "seed" in f.name]
    assert json.loads(file.read_text())["methods"][0]["top1"] == 76.0


def test_an_operator_from_outside_the_library_goes_by_its_text(run):
    """Its description has a fingerprint too; of two definitions the latest counts."""
    add_scores(run, ["rows:0.5", "0123456789abcdef"], 0)
    ledger = export.results(run)[1]
    rows = json.loads(ledger.read_text())
    assert {row["operator"] for row in rows} == {"rows:0.5", ""}
    assert json.loads(export.results(run)[0].read_text())["operator"] == "rows:0.5"


def test_one_realisation_has_no_error(run):
    def build(folder):
        SCORES[SCORES.realisation == 0].to_csv(folder / "known_operator.csv", index=False)

    Store(run / "store").make("known_operator", {"operator": "blur:2.57", "seed": 0}, build)
    file, ledger = export.results(run)
    assert json.loads(file.read_text())["methods"][0]["top1_se"] is None
    assert json.loads(ledger.read_text())[0]["half_width"] is None


def test_nothing_measured_gives_nothing(run):
    assert export.results(run) == []
    assert not (run / "results").exists()
