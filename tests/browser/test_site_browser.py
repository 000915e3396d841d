"""The course's pages in a real browser: as files, and from a server with a strict policy.

Nothing but the site's own files may be asked for, and no console may say a word.
"""

import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from cinv_lib import operators
from cinv_lib.course import api, site
from cinv_lib.data.image_set import ImageSet
from cinv_lib.plots import panels
from cinv_lib.plots.panels import frames

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:"
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 700}


def quiz():
    labels = torch.arange(10)
    shades = (labels * 24 + 9).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 64, 64).contiguous()
    images = ImageSet(shades, labels, tuple(f"shade {k}" for k in range(10)), "shades", "made here")
    models = {"CLIP": lambda a: -(a.mean((1, 2, 3))[:, None] - labels / 10).abs()}
    return panels.Quiz.ask(images, operators.parse("mask:0.9"), models, choices=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The site of a run with one lesson, whose quiz and operator panel move."""
    run = tmp_path_factory.mktemp("runs") / "stickers"
    drawn = run / "frames" / "00_start_here"
    x = torch.linspace(0.1, 0.9, 64).expand(1, 3, 64, 64).clone()
    outputs = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(frames.FOLDER, str(drawn))
        patch.setattr(api, "FACE", "cinv_lib.losses")
        for panel in (panels.beat_the_encoder(quiz()), panels.operator_panel(x)):
            data, metadata = panel._repr_mimebundle_()
            outputs.append(new_output("display_data", data, metadata=metadata))
        code = new_code_cell(f"{'x' * 99}\n", outputs=outputs)
        first = new_markdown_cell("# 00 · Start\n\n$x^2$ and a [list](NOTATION.md)")
        (run / "notebooks").mkdir(parents=True)
        notebook = new_notebook(cells=[first, code])
        nbformat.write(notebook, run / "notebooks" / "00_start_here.ipynb")
        built = site.build(run).parent
    moved = run.parent / "anywhere else"  # it needs nothing outside itself
    shutil.move(built, moved)
    return moved


class Strict(SimpleHTTPRequestHandler):
    """A server that forbids what is not in the site's own files."""

    def end_headers(self):
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def log_message(self, *said):
        pass


@pytest.fixture(scope="module")
def server(folder):
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Strict, directory=folder)) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.fixture(params=["file", "http"])
def root(request, folder):
    """The site's address, as files and from the server."""
    return folder.as_uri() if request.param == "file" else request.getfixturevalue("server")


@pytest.fixture
def opened(browser, folder, server):
    """Call with an address: its page, in a browser that reaches nothing but that site."""
    said, contexts = [], {}

    def guard(route):
        url = route.request.url
        inside = url.startswith((folder.as_uri(), server, "data:")) or url.endswith("/favicon.ico")
        return route.continue_() if inside else (said.append(url), route.abort())

    def open_it(address, **options):
        kind = tuple(options.items())
        if kind not in contexts:  # one for all pages of a test, as a reader has it
            contexts[kind] = browser.new_context(viewport=WIDE, **options)
            contexts[kind].route("**/*", guard)
        page = contexts[kind].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address)
        return page

    yield open_it
    for context in contexts.values():
        context.close()
    assert [line for line in said if "favicon" not in line and "404" not in line] == []


def shown(figure):
    """File and alt text of what a panel shows, once the picture is there."""
    image = figure.locator(".picture img").first
    image.evaluate("e => e.decode()")
    assert image.evaluate("e => e.naturalWidth") == int(image.get_attribute("width"))
    return Path(image.get_attribute("src")).name, image.get_attribute("alt")


def test_the_quiz_of_the_landing_page_is_played_by_keys(opened, root):
    page = opened(f"{root}/index.html")
    assert page.inner_text("h1") == "A picture with 90\u00a0% of its pixels missing. What is it?"
    figure, truth = page.locator("figure.quiz"), quiz()
    assert figure.locator("details").count() == 0
    assert page.inner_text("[data-score]") == "?"
    right = 0
    for k in range(10):
        before = shown(figure)
        page.locator("figure.quiz .names button").nth(1).focus()
        page.keyboard.press("Enter")
        answer = truth.guess(truth.names[k][1])
        right += answer.right("you")
        text = figure.locator(".said").inner_text()
        assert text.startswith(f"It was: {answer.truth}. you: {truth.names[k][1]} (")
        assert f"Right after {k + 1} of 10: you {right}, CLIP " in text
        assert shown(figure) != before and shown(figure)[1] == text
        assert page.evaluate("document.activeElement.className") == "next"
        if k < 9:
            page.keyboard.press("Enter")
            assert f"Question {k + 2} of 10" in figure.locator(".said").inner_text()
    assert page.inner_text("[data-score]") == str(right)
    assert page.evaluate("document.activeElement.innerText") == "Play again"
    page.keyboard.press("Enter")
    assert "Question 1 of 10" in figure.locator(".said").inner_text()


def test_arrow_keys_move_a_panel_of_a_lesson(opened, root):
    page = opened(f"{root}/00_start_here.html")
    figure = page.locator("figure.panel:not(.quiz)")
    slider, menu = figure.locator("input:visible").first, figure.locator("select")
    assert slider.get_attribute("aria-valuetext") == "90 % missing"
    assert figure.locator("input:visible").count() == 2  # the chosen operator's, and the draw
    first = shown(figure)
    assert "mask:0.9" in first[1]
    slider.focus()
    page.keyboard.press("ArrowLeft")
    second = shown(figure)
    assert second != first and slider.get_attribute("aria-valuetext") != "90 % missing"
    assert figure.locator(".said").inner_text() == second[1]
    assert figure.locator("label:visible output").first.inner_text().endswith("% missing")
    menu.focus()
    page.keyboard.press("ArrowDown")
    assert "noise:0.5" in shown(figure)[1]
    figure.locator("input:visible").first.focus()
    page.keyboard.press("Home")
    assert "noise:0:" in shown(figure)[1]
    page.keyboard.press("End")
    assert "noise:1:" in shown(figure)[1]


def test_after_going_back_picture_and_slider_agree(opened, server):
    page = opened(f"{server}/00_start_here.html")
    page.locator("figure.panel:not(.quiz) input:visible").first.focus()
    page.keyboard.press("Home")
    page.get_by_role("link", name="All lessons").first.click()
    page.wait_for_url("**/index.html")
    page.go_back()
    page.wait_for_url("**/00_start_here.html")
    figure = page.locator("figure.panel:not(.quiz)")
    words = figure.locator("input:visible").first.get_attribute("aria-valuetext")
    share = 100 * float(shown(figure)[1].split(":")[1])
    assert words == f"{share:.0f} % missing"


def test_without_a_script_there_are_pictures(opened, root):
    page = opened(f"{root}/00_start_here.html", java_script_enabled=False)
    assert page.locator("figure.panel .picture img:visible").count() == 2
    assert page.locator("button:visible, input:visible, select:visible").count() == 0
    for summary in page.locator("figure.panel summary").all():
        summary.click()
    assert page.locator("figure.panel details img:visible").count() == 5 + 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_no_page_is_wider_than_its_window(opened, folder, scheme, size):
    for file in sorted(folder.glob("*.html")):
        page = opened(file.as_uri(), color_scheme=scheme)
        page.set_viewport_size(size)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= size["width"], file.name
        dark = (
            page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
        )
        assert dark == (scheme == "dark")
    page = opened((folder / "00_start_here.html").as_uri())
    code = page.locator(".input pre").first  # 99 characters
    assert code.evaluate("e => e.scrollWidth <= e.clientWidth")


def test_every_page_keeps_to_the_policy(opened, server, folder):
    for file in sorted(folder.rglob("*.html")):
        page = opened(f"{server}/{file.relative_to(folder)}")
        assert page.evaluate("getComputedStyle(document.body).margin") == "0px"  # it has its style


def test_print_shows_pictures_and_no_controls(opened, folder):
    page = opened((folder / "00_start_here.html").as_uri())
    page.emulate_media(media="print")
    assert page.locator("button:visible, input:visible, select:visible, nav:visible").count() == 0
    assert page.locator("figure.panel .picture img:visible").count() == 2
