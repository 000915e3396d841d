"""A run as web pages and as JSON: read back with a parser, as a browser and a program would."""

import base64
import functools
import json
import math
import shutil
from html.parser import HTMLParser
from urllib.parse import unquote

import nbformat
import pandas as pd
import pytest
from ledgers import BY_NUMBER, table
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from cinv_lib.course import api, site, site_html, site_panels
from cinv_lib.experiments import few_labels, known_operator
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles import STICKERS
from cinv_lib.machine import provenance, store
from cinv_lib.machine.folders import ROOT
from cinv_lib.machine.store import Store
from cinv_lib.paper import export
from cinv_lib.plots.panels.frames import MIME

PNG = base64.b64encode(b"\x89PNG not really").decode()
ALT = 'a "curve" <rises> & falls'
LEDGER = export.ledger


class Tags(HTMLParser):
    """(tag, attributes) of a page, in order, and its pieces of JSON."""

    def __init__(self, text):
        super().__init__()
        self.found, self.json = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        if (
            self.found
            and self.found[-1] == ("script", {"type": "application/json"})
            and data.strip()
        ):
            self.json.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def notebook(title, *cells, seconds=90.0):
    made = new_notebook(cells=[new_markdown_cell(title), *cells])
    made.metadata["papermill"] = {"duration": seconds}
    return made


def frame(folder, size):
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{size:016x}.webp"
    file.write_bytes(b"a frame " * size)
    return [file.name, 192, 192, f"</script><b>{size}</b> & more"]


def panel_output(folder):
    """A panel of a menu and a slider that counts at one choice only."""
    menu = {"label": "kind", "menu": True, "stops": ["a", "b"], "at": 0, "when": None}
    slider = {"label": "tau", "menu": False, "stops": ["0.1", "1"], "at": 1, "when": [0, 0]}
    fixed = {"label": "seed", "menu": False, "stops": ["7"], "at": 0, "when": None}
    frames = {key: frame(folder, k + 1) for k, key in enumerate(("0-0-0", "0-1-0", "1-0-0"))}
    film = {"controls": [menu, slider, fixed], "frames": frames}
    return {"image/png": PNG, "text/plain": "Panel()", site_panels.WIDGET: {}, MIME: film}


def quiz_output(folder):
    questions = [
        {
            "names": ["star", "moon"],
            "truth": "moon",
            "said": {"CLIP": "star", "student": "moon"},
            "before": frame(folder, 10 + k)[:3],
            "after": frame(folder, 20 + k)[:3],
        }
        for k in range(2)
    ]
    film = {"questions": questions, "black": 0.9}
    return {"image/png": PNG, "text/plain": "QuizPanel()", site_panels.WIDGET: {}, MIME: film}


@functools.cache
def recorded_ledger(seeds):
    return LEDGER(Lab("stickers", recorded=True), list(seeds))


def the_recorded_one(lab, seeds):
    """It takes seconds, and is the same on every page."""
    assert tuple(seeds) == STICKERS.recorded
    return recorded_ledger(tuple(seeds))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of two lessons; the first has a figure, formulas, panels and a progress bar."""
    monkeypatch.setattr(api, "FACE", "cinv_lib.losses")  # all of the library takes seconds
    monkeypatch.setattr(export, "ledger", the_recorded_one)
    folder = tmp_path / "stickers"
    (folder / "notebooks").mkdir(parents=True)
    frames = folder / "frames" / "00_start_here"
    view = {"model_id": "1", "version_major": 2}
    figure = new_output("display_data", {"image/png": PNG, "text/plain": "Figure"})
    figure.metadata["image/png"] = {"alt": ALT, "width": 640, "height": 320}
    dead = {site_panels.WIDGET: view, "image/png": PNG, "text/plain": "Panel()"}
    dead = new_output("display_data", dead)
    dead.metadata["image/png"] = {"alt": ALT}
    bar = new_output("display_data", {site_panels.WIDGET: view, "text/plain": "HBox(children=())"})
    table = (
        "<style scoped>td { color: red }</style><td style='text-align: right;' class=\"a\">1</td>"
    )
    table += "<script>alert(1)</script><p onclick='x()' style=\"text-align: right\">2</p>"
    told = '<p class="result"><b>It leads by 5.</b></p>'
    outputs = [figure, new_output("display_data", panel_output(frames)), dead, bar]
    outputs += [new_output("display_data", quiz_output(frames))]
    outputs += [new_output("display_data", {"text/html": table, "text/plain": ""})]
    outputs += [new_output("display_data", {"text/html": told, "text/plain": "It leads by 5."})]
    first = notebook(
        "# 00 · Start *here*\n\n**How good is it?** The loss $\\frac{1}{N}\\sum_i x_i < 1$ and\n\n"
        "$$w = \\tau$$\n\n[next](05_distillation.ipynb#a) [words](NOTATION.md) [no](99_no.ipynb) "
        "[up](../README.md) [far](https://example.org/x)",
        new_code_cell("x = '<b>'", execution_count=1, outputs=outputs),
    )
    first.metadata["course"] = {"read_minutes": 12}
    nbformat.write(first, folder / "notebooks" / "00_start_here.ipynb")
    nbformat.write(notebook("no heading"), folder / "notebooks" / "05_distillation.ipynb")
    return folder


def pages(run):
    return sorted((run / "site").rglob("*.html"))


def text_of(run, name):
    return (run / "site" / name).read_text()


def test_the_folder_holds_all_that_its_pages_name_and_nothing_else(run, monkeypatch):
    monkeypatch.setattr(api, "FACE", "cinv_lib")
    (run / "store").mkdir()
    (run / "site").mkdir()
    (run / "site" / "old.html").touch()
    assert site.build(run) == run / "site" / "index.html"
    named = set()
    for file in pages(run):
        page = Tags(file.read_text())
        for _, attributes in page.found:
            for target in (attributes[key] for key in ("href", "src") if key in attributes):
                target = unquote(target.partition("#")[0])
                if target and not target.startswith(("https://", "data:")):
                    assert (file.parent / target).is_file(), (file.name, target)
                    named.add((file.parent / target).resolve())
        for script in page.json:
            known = json.loads(script)
            rows = [q[k] for q in known.get("questions", ()) for k in ("before", "after")]
            rows += known.get("frames", {}).values()
            named |= {(run / "site" / "frames" / row[0]).resolve() for row in rows}
    there = {file for file in (run / "site").resolve().rglob("*") if file.is_file()}
    api_pages = {file for file in there if "api" in file.parts}
    assert there - named - api_pages == {run.resolve() / "site" / ".nojekyll"}
    assert there >= named
    assert not [path for path in run.iterdir() if path.name.startswith(".")]


def test_a_page_has_no_script_style_or_handler_in_it(run):
    site.build(run)
    assert len(pages(run)) >= 6
    for file in pages(run):
        page = Tags(file.read_text())
        assert not page.all("style")
        assert not [a for _, a in page.found for key in a if key == "style" or key.startswith("on")]
        for script in page.all("script"):
            assert script.get("src") == "panels.js" or script["type"] == "application/json"
    css = text_of(run, "site.css")
    assert css.count("text-align: right }") == 1  # with and without its semicolon, one class
    (cell,) = [a for a in Tags(text_of(run, "00_start_here.html")).all("td") if "a" in a["class"]]
    assert f".{cell['class'].split()[1]} {{ text-align: right }}" in css
    assert "alert" not in text_of(run, "00_start_here.html")
    assert "pdoc" in (run / "site/api/pdoc.css").read_text()


def test_pages_are_accessible_and_need_no_network(run):
    site.build(run)
    for file in (run / "site").glob("*.html"):
        page = Tags(file.read_text())
        assert page.all("html") == [{"lang": "en"}]
        assert len(page.all("title")) == len(page.all("main")) == 1
        assert all(image["alt"] for image in page.all("img"))
        for tag, attributes in page.found:
            assert tag == "a" or "//" not in attributes.get("href", "") + attributes.get("src", "")
    (figure,) = [i for i in Tags(text_of(run, "00_start_here.html")).all("img") if "width" in i][:1]
    assert (figure["alt"], figure["width"], figure["height"]) == (ALT, "640", "320")
    assert (run / "site" / figure["src"]).read_bytes() == base64.b64decode(PNG)


def test_links_lead_to_pages_of_the_site_or_nowhere(run):
    site.build(run)
    links = [a.get("href") for a in Tags(text_of(run, "00_start_here.html")).all("a")]
    assert {"05_distillation.html#a", "NOTATION.html", "https://example.org/x"} <= set(links)
    assert links.count(None) == 2  # a lesson that was not run, and a file of the repository
    assert "project.html" in text_of(run, "PROJECTS.html")


def test_formulas_are_mathml(run):
    site.build(run)
    page = text_of(run, "00_start_here.html")
    assert [m["display"] for m in Tags(page).all("math")] == ["inline", "block"]
    assert "$" not in page and "\\frac" not in page


def test_unknown_tex_stays_readable():
    assert site_html.formula(r"x_a_b<", "inline") == r"<code>x_a_b&lt;</code>"


def test_without_a_script_a_panel_is_its_picture_and_more_of_them_folded(run):
    site.build(run)
    text = text_of(run, "00_start_here.html")
    panel = text[text.index("id='panel-00-1'") :].partition("</figure>")[0]
    assert panel.index("controls' hidden") < panel.index("<img") < panel.index("<details>")
    images = Tags(panel).all("img")
    assert images[0]["src"] == f"frames/{2:016x}.webp"  # where its controls stand first
    assert len(images) == 1 + 3 and {i["width"] for i in images} == {"192"}
    assert "aria-live='polite'" in panel and "aria-valuetext='1'" in panel
    assert "Here seed is 7" in panel
    assert len(Tags(panel).all("select")) == len(Tags(panel).all("input")) == 1


def test_text_of_a_frame_ends_no_script_and_no_attribute(run):
    site.build(run)
    page = Tags(text_of(run, "00_start_here.html"))
    rows = json.loads(page.json[0])["frames"]
    assert rows["0-1-0"][3] == "</script><b>2</b> & more"
    assert page.all("img")[1]["alt"] == "</script><b>2</b> & more"
    assert not page.all("b")[0] and "<b>2</b>" not in text_of(run, "00_start_here.html")


def test_a_panel_without_frames_keeps_its_picture_and_says_where_it_moves(run):
    shutil.rmtree(run / "frames")
    site.build(run)
    text = text_of(run, "00_start_here.html")
    assert text.count("This panel moves in JupyterLab only") == 3
    assert "Panel()" not in text and "HBox" not in text and "model_id" not in text
    assert not (run / "site/frames").exists()
    assert "<h1>Contrastive inversion, a course</h1>" in text_of(run, "index.html")


def test_the_landing_page_begins_with_the_quiz_and_goes_on_to_the_lessons(run):
    site.build(run)
    text = text_of(run, "index.html")
    order = ["90\u00a0% of its pixels missing. What is it?", "'panel-00-2'", "CLIP <b>0</b>"]
    order += ["student <b>2</b>", "figures/method.png", "'panel-00-1'", "Two roads", "12 min"]
    order += ["00 · Start here", "How good is it?", "figures/00-1.png", "<b>It leads by 5.</b>"]
    order += ["05 · 05 distillation", "import cinv_lib as ci", "For teachers", "<footer>"]
    places = [text.find(part) for part in order]
    assert -1 not in places and places == sorted(places), dict(zip(order, places, strict=True))
    assert "data-score='panel-00-2'" in text


def test_code_is_escaped(run):
    site.build(run)
    text = text_of(run, "00_start_here.html")
    assert "&lt;b&gt;" in text and "'<b>'" not in text


def test_a_notebook_to_take_home_has_no_outputs(run):
    site.build(run)
    taken = nbformat.read(run / "site/notebooks/00_start_here.ipynb", as_version=4)
    assert taken.cells[1].outputs == [] and taken.cells[1].source == "x = '<b>'"


def test_what_stopped_and_what_was_trained_is_listed(run):
    for name in ("logs/06_probes.failed.ipynb", "trainings/05-student-mask_0.9-seed0.ipynb"):
        (run / name).parent.mkdir()
        (run / name).write_text("{}")
    site.build(run)
    links = Tags(text_of(run, "index.html")).all("a")
    for name in ("logs/06_probes.failed.ipynb", "trainings/05-student-mask_0.9-seed0.ipynb"):
        assert {"href": name} in links and (run / "site" / name).is_file()


@pytest.mark.parametrize("whose", ["this run", "the recorded run"])
def test_the_page_says_whose_verdicts_it_shows(run, monkeypatch, whose):
    kept = {"verdict": "holds", "seeds": 5, "unit": "points", "half_width": 0.5, "claim": 1}
    kept |= {"operator": "mask:0.9", "difference": -3.25, "sentence": "It leads.", "where": ""}
    monkeypatch.setattr(export, "judged", lambda run: (whose, None, []))
    monkeypatch.setattr(export, "ledger", lambda lab, seeds: [kept])
    site.build(run)
    text = text_of(run, "index.html")
    assert f"Of 1 statements that {whose} has measured, 1 hold." in text
    assert "decided by 5 trainings" in text and "−3.2 ± 0.5" in text
    assert "<td>90 % missing</td>" in text, "a name, not a key"


def test_the_quiz_that_the_landing_page_opens_with_has_ten_pictures():
    """As lesson 00 shows it: the page plays what the lesson's kernel drew."""
    (path,) = site.TEXTS.glob("00_*.ipynb")
    cells = nbformat.read(path, as_version=4).cells
    alts = [
        output.metadata.get("image/png", {}).get("alt", "")
        for cell in cells
        for output in cell.get("outputs", [])
        if "metadata" in output
    ]
    assert sum(alt.startswith("Question 1 of 10: ") for alt in alts) == 1


def test_too_large_a_site_is_said(run, monkeypatch, capsys):
    monkeypatch.setattr(site, "MOST", 1000)
    assert site.main([str(run)]) == 0
    assert "MB; expected 0" in capsys.readouterr().err


def test_a_page_has_what_its_package_offers_lazily(run, monkeypatch):
    monkeypatch.setattr(api, "FACE", "cinv_lib.losses")
    page = api.write(run).read_text()
    assert 'id="contrastive"' in page and 'id="Loss.tau"' in page
    assert "alignment / τ + weight · uniformity" in page  # its docstring


def test_an_error_in_the_librarys_pages_loses_no_index(run, capsys, monkeypatch):
    monkeypatch.setattr(api, "FACE", "cinv_lib.nowhere")
    assert site.main([str(run)]) == 0
    assert "cinv_lib.nowhere" in capsys.readouterr().err
    index = text_of(run, "index.html")
    assert "00_start_here.html" in index and "api/" not in index


def test_no_run_is_said_so(tmp_path, capsys):
    assert site.main([str(tmp_path)]) == 1
    assert "make course" in capsys.readouterr().err
    assert site.main([]) == 2


def test_the_runner_asks_for_frames_and_is_no_longer_than_it_was():
    snakefile, makefile = ((ROOT / name).read_text() for name in ("Snakefile", "Makefile"))
    assert len((snakefile + makefile).splitlines()) <= 396
    assert "CINV_FRAMES={LOGS:q}/../frames/{wildcards.name:q}" in snakefile


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
    ]
    record = json.loads(files[0].read_text())
    student = record["methods"][0]
    assert (student["method"], student["realisations"]) == ("student", 2)
    assert student["top1"] == 71.0
    assert student["top1_se"] == pytest.approx(math.sqrt(2) / math.sqrt(2))
    assert record["provenance"]["commit"] and record["spec"]["operator"] == "mask:0.9"


def test_ledger_decides_what_the_scores_decide(home):
    lab = Lab("smoke", recorded=False)
    run = lab.store.root.parent
    whose, there, seeds = export.judged(run)
    assert (whose, seeds, export.ledger(there, seeds)) == ("this run", [], [])
    kept = table({m: 50.0 for m in known_operator.METHODS} | {"student": 60.0})
    labels = table({(m, n): 50.0 for m in few_labels.METHODS for n in (1.0, 20.0)})
    labels = labels.rename(columns={"a": "per_class"})
    for seed in range(3):

        def scored(folder, seed=seed):
            for name, rows in {"known_operator": kept, "few_labels": labels}.items():
                mine = rows[rows.seed == seed].drop(columns=["seed", "operator", "shared"])
                mine.to_csv(folder / f"{name}.csv", index=False)

        task = lab.task("known_operator", "mask:0.9", seed)
        lab.store.make(**lab.place(task), build=scored)
    assert "ledger.json" in [file.name for file in export.results(run)]
    ledger = json.loads((run / "results" / "ledger.json").read_text())
    assert not [row for row in ledger if row["verdict"].startswith("not measured")]
    first = next(row for row in ledger if row["claim"] == 1)
    assert first["verdict"] == "holds" and first["seeds"] == 3
    assert first["difference"] == pytest.approx(10.0, abs=0.5)
    assert first["sentence"] == BY_NUMBER[1].sentence


def test_a_run_beside_a_recorded_one_shows_the_recorded_verdicts(run):
    """Its own trainings decide nothing."""
    for seed in range(3):
        add_scores(run, "mask:0.9", seed, shift=-20.0)
    assert "ledger.json" not in [file.name for file in export.results(run)]
    whose, lab, seeds = export.judged(run)
    assert whose == "the recorded run" and seeds == [*STICKERS.recorded]
    rows = export.ledger(lab, seeds)
    first = next(row for row in rows if (row["claim"], row["operator"]) == (1, "mask:0.9"))
    assert first["seeds"] == len(STICKERS.recorded) and first["difference"] > 0


def test_a_run_of_ones_own_pictures_has_no_ledger(run):
    assert export.judged(run.with_name("mine")) == ("this run", None, [])


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
    (file,) = export.results(run)
    assert json.loads(file.read_text())["operator"] == "rows:0.5"


def test_one_realisation_has_no_error(run):
    def build(folder):
        SCORES[SCORES.realisation == 0].to_csv(folder / "known_operator.csv", index=False)

    Store(run / "store").make("known_operator", {"operator": "blur:2.57", "seed": 0}, build)
    (file,) = export.results(run)
    assert json.loads(file.read_text())["methods"][0]["top1_se"] is None


def test_nothing_measured_gives_nothing(run):
    assert export.results(run) == []
    assert not (run / "results").exists()


def test_a_lesson_that_did_not_reach_its_end_says_so_on_its_card():
    def ended(name, value):
        error = new_output("error", ename=name, evalue=value, traceback=[])
        shown = new_output(
            "display_data", {"text/html": 'class="result"', "text/plain": "It leads."}
        )
        return notebook(
            "# T", new_code_cell("", outputs=[shown]), new_code_cell("", outputs=[error])
        )

    assert site.sentence(ended("KeyError", "'fog'")) == (
        "This lesson stopped with an error: KeyError: 'fog'"
    )
    assert "says what it lacks" in site.sentence(ended("SystemExit", "0"))
    whole = ended("SystemExit", "0")
    del whole.cells[-1]
    assert site.sentence(whole) == "It leads."
