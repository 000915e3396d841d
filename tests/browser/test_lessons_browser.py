"""The lessons with a panel in a real page, run up to it: press an arrow key, text and picture
change."""

import json
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
WITH_PANELS = {
    "00": "see_what_the_student_sees",
    "03": "weights_panel",
    "04": "sphere_panel",
    "08": "three_best",
}


@pytest.mark.parametrize("number", WITH_PANELS, ids=lambda number: WITH_PANELS[number])
def test_a_slider_of_the_lesson_moves(open_notebook, number):
    (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
    notebook = json.loads(path.read_text())
    shows = [f"panels.{WITH_PANELS[number]}(" in "".join(c["source"]) for c in notebook["cells"]]
    del notebook["cells"][shows.index(True) + 1 :]  # the kernel answers once all cells have run
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":  # nothing of what is shown may come from an earlier run
            cell["outputs"], cell["execution_count"] = [], None
    page = open_notebook(notebook, path.name)
    panel = page.locator(".jp-OutputArea-output .widget-vbox:has(.noUi-handle):has(img)").first
    handle = panel.locator(".noUi-handle:visible").first
    handle.focus()
    text = panel.locator(".widget-html-content").last
    before, picture = text.inner_text(), panel.locator("img").get_attribute("src")
    assert len(before) > 10
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("([e, t]) => e.innerText != t", arg=[text.element_handle(), before])
    assert panel.locator("img").get_attribute("src") != picture
    assert panel.locator("img").get_attribute("alt") == text.inner_text()
