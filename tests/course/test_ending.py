"""Where data or weights are absent a lesson says so, quotes the paper, and ends well."""

import re

import nbformat
import processes
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from test_notebooks import NOTEBOOKS, execute, kernel  # noqa: F401

from cinv_lib.course import ending
from cinv_lib.lab import plan
from cinv_lib.lab.profiles.paper import IMAGENET100
from cinv_lib.paper import numbers


@pytest.mark.parametrize("source", sorted({s for shows in ending.SHOWS.values() for s in shows}))
def test_the_papers_numbers_are_all_there(source):
    kind, number = source.split()
    rows = getattr(numbers, kind)(int(number))
    cells = ending.quoted(source).to_numpy().ravel()
    assert sum(cell != "" for cell in cells) == (rows.metric != "top5").sum()
    assert ending.quoted("table 1").loc["mask:0.9", "Ours"] == "83.0 ± 0.1"
    assert ending.quoted("table 6").iloc[0, 0] == "0.918 ± 0.001"
    assert ending.quoted("figure 3").loc[("mask:0.9", 0.1), "Ours"] == "42.1 ± 0.1"


def test_every_lesson_that_measures_has_numbers_to_quote():
    assert set(plan.tasks(IMAGENET100, 1)) - set(ending.SHOWS) <= {"00", "02", "03", "05", "14"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_lesson_can_end_so_before_it_asks_a_lab(path):
    """It imports `check`, whose module has a notebook show what is absent."""
    cells = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    before = "\n".join(cells).partition(" Lab(")[0]
    assert re.search(r"from cinv_lib\.course\.workbook import \(?[^)]*?TODO,\s+check", before)


def test_what_kernels_are_forked_from_leaves_the_end_of_a_lesson_to_them():
    """Else a lesson's end is an error in them, where the trainings in processes had come first."""
    assert processes.run(processes.asked_for_no_notebook) == [0]


def test_a_lesson_without_data_ends_so(kernel, tmp_path, monkeypatch):  # noqa: F811
    (path,) = [path for path in NOTEBOOKS if path.stem.startswith("11")]
    monkeypatch.setenv("CINV_LESSON", path.stem)
    monkeypatch.setenv("CINV_HOME", str(tmp_path / "empty"))
    done = execute(path, tmp_path / "out.ipynb", profile="imagenet100")
    run = [c for c in done.cells if c.cell_type == "code" and c.execution_count]
    assert "The lesson ends here" in run[-1].outputs[-1].traceback[0]


def test_a_notebook_ends_well_with_the_papers_numbers(kernel, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("CINV_LESSON", "11_ablations")
    monkeypatch.setenv("CINV_HOME", str(tmp_path / "empty"))
    imports = "from cinv_lib.course.workbook import check\nfrom cinv_lib.lab import Lab"
    cells = [imports, 'lab = Lab("imagenet100")', "1 / 0"]
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    nbformat.write(notebook, tmp_path / "in.ipynb")
    done = execute(tmp_path / "in.ipynb", tmp_path / "out.ipynb")
    _, lab, after = done.cells
    assert after.execution_count is None and after.outputs == []
    *shown, end = lab.outputs
    text = "\n".join(str(output.data) for output in shown)
    assert "data_prep imagenet100 --imagenet DIR" in text
    assert "Figure 6, quoted" in text and "NT-Xent" in text and "Table" not in text
    assert end.traceback == [
        "The lesson ends here, as what it needs is absent. The cells below were not run."
    ]
