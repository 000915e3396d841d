"""The panels in a real page: keys move sliders, buttons play the quiz, a file is uploaded.

Also what a reader sees of a saved notebook before running it: the picture, not an error.
"""

import io

import nbformat
import numpy as np
import pytest
from PIL import Image

from cinv_lib.plots.panels.panel import VIEW, keep_pictures

CELLS = (
    """\
import torch
from cinv_lib import operators
from cinv_lib.data.image_set import ImageSet
from cinv_lib.plots import panels

torch.set_num_threads(1)
x = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
panels.operator_panel(x)""",
    """\
class Mean(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.adaptive_avg_pool2d(x, 4).flatten(1) - 0.4

from cinv_lib.evaluation import Gallery

encoders = {"CLIP R": Mean().eval(), "student S": Mean().eval()}
grey = (torch.rand(12, 3, 64, 64) * 255).to(torch.uint8)
set_of_3 = ImageSet(grey, torch.arange(12) % 3, ("cat", "dog", "owl"), "noise", "made here")
gallery, names = Gallery.of(set_of_3, encoders["CLIP R"]), ["cat", "dog", "owl"]
panels.see_what_the_student_sees(x, names, encoders, gallery, operators.parse("mask:0.5"))""",
    "panels.upload_panel(x[0], side=64)",
    """\
labels = torch.arange(8)
shades = (labels * 30).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 64, 64).contiguous()
images = ImageSet(shades, labels, tuple(f"shade {k}" for k in range(8)), "shades", "made here")
models = {"CLIP probe": lambda a: -(a.mean((1, 2, 3))[:, None] * 8.5 - labels).abs()}
quiz = panels.Quiz.ask(images, operators.parse("noise:0.1"), models, questions=2, choices=4)
panels.beat_the_encoder(quiz)""",
    """\
def render(size):
    if size > 10:
        raise ValueError("too large: take 10 or less")
    return panels.render_operator(x, "mask", size / 20)

panels.Panel(render, {"size": panels.slider("size", 0, 20, 10, 1)})""",
    'panels.map_panel(set_of_3, encoders, operators.parse("mask:0.5"), (0.0, 0.5, 0.9))',
)


@pytest.fixture
def notebook():
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=kernel)


def until(page, panel, words):
    """Wait until the text of a panel holds `words`; return the text."""
    text = panel.locator(".widget-html-content").last
    page.wait_for_function(
        "([e, w]) => e.innerText.includes(w)", arg=[text.element_handle(), words]
    )
    return text.inner_text()


def shown(panel):
    """The address of the panel's picture, another one after each redraw."""
    return panel.locator("img").get_attribute("src")


def test_panels_by_keyboard(open_notebook, notebook):
    page = open_notebook(notebook, "panels.ipynb")
    outputs = page.locator(".jp-CodeCell .jp-OutputArea-output .widget-vbox")
    page.wait_for_function("document.querySelectorAll('.jp-OutputArea-output img').length == 6")
    operators, student, upload, quiz, failing, plane = (outputs.nth(k) for k in range(6))

    until(page, operators, "mask:0.9: 90.0 %")
    before = shown(operators)
    operators.locator(".noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    until(page, operators, "mask:0.91: 91.0 %")
    assert shown(operators) != before
    operators.locator("select").select_option("Gaussian blur")
    until(page, operators, "blur:2.6:")
    page.keyboard.press("Tab")  # from the menu to the slider of the chosen operator
    page.keyboard.press("ArrowLeft")
    until(page, operators, "blur:2.5:")

    first = until(page, student, "50 % missing. Right (cat) among the 5 nearest")
    handle = student.locator(".noUi-handle").first
    assert handle.get_attribute("role") == "slider"
    handle.focus()
    page.keyboard.press("ArrowRight")
    assert until(page, student, "51 % missing. Right (cat)") != first
    # What a reader without sight hears of the picture is its text.
    assert student.locator("img").get_attribute("alt").startswith("51 % missing. Right")

    mine = np.zeros((70, 64, 3), np.uint8)
    mine[:, 32:] = 255
    file = io.BytesIO()
    Image.fromarray(mine).save(file, "JPEG")
    with page.expect_file_chooser() as chooser:
        upload.locator("button").first.click()
    chooser.value.set_files(
        [{"name": "mine.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()}]
    )
    # Half of the picture is black by itself, and nine tenths of the rest.
    until(page, upload, "mask:0.9: 95.")

    until(page, quiz, "Question 1 of 2")
    quiz.locator("button").first.focus()
    page.keyboard.press("Space")
    until(page, quiz, "It was: shade")
    # The focus has moved to "Next picture", so that Space alone goes on.
    page.wait_for_function("document.activeElement.innerText == 'Next picture'")
    page.keyboard.press("Space")
    until(page, quiz, "Question 2 of 2")
    page.wait_for_function("document.activeElement.innerText.startsWith('shade')")
    page.keyboard.press("Space")
    until(page, quiz, "Right after 2 of 2 questions: you ")

    until(page, plane, "50 % missing: ")
    before = shown(plane)
    plane.locator(".noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    until(page, plane, "90 % missing: ")
    assert shown(plane) != before

    failing.locator(".noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    until(page, failing, "ValueError: too large: take 10 or less")
    page.keyboard.press("ArrowLeft")
    until(page, failing, "mask:0.5:")


def test_a_saved_notebook_shows_pictures_before_it_runs(open_notebook, notebook):
    page = open_notebook(notebook, "running.ipynb")
    page.wait_for_function("document.querySelectorAll('.jp-OutputArea-output img').length == 6")
    page.evaluate("async () => window.jupyterapp.commands.execute('docmanager:save')")
    saved = open_notebook.saved("running.ipynb")
    outputs = [output for cell in saved["cells"] for output in cell["outputs"]]
    names = ["Panel()"] * 3 + ["QuizPanel()", "Panel()", "Panel()"]
    assert ["".join(output["data"]["text/plain"]) for output in outputs] == names
    assert all(VIEW in output["data"] for output in outputs)
    assert keep_pictures(saved) == 6
    page = open_notebook(saved, "saved.ipynb", run=False)
    page.wait_for_function("document.querySelectorAll('.jp-OutputArea-output img').length == 6")
    assert "Error displaying widget" not in page.inner_text(".jp-Notebook")
    assert page.locator(".jp-OutputArea-output img").first.bounding_box()["width"] > 400
