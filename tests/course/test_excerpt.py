"""A notebook of the cells with one tag."""

import json
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from cinv_lib.course import excerpt


def lesson(folder):
    """Three cells, of which the first and the last are tagged."""
    first = new_code_cell("seed = 0", metadata={"tags": ["parameters", "training"]})
    last = new_markdown_cell("## Training", metadata={"tags": ["training"]})
    notebook = new_notebook(cells=[first, new_code_cell("1 / 0"), last], metadata={"course": {}})
    nbformat.write(notebook, folder / "lesson.ipynb")
    return folder / "lesson.ipynb"


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["excerpt", *map(str, arguments)])
    excerpt.main()


def test_tagged_cells_stay_in_their_order_in_a_valid_notebook(tmp_path, monkeypatch, capsys):
    file = lesson(tmp_path)
    before = file.read_text()
    run(monkeypatch, file, "training")
    made = nbformat.reads(capsys.readouterr().out, as_version=4)
    nbformat.validate(made)
    assert [cell.source for cell in made.cells] == ["seed = 0", "## Training"]
    rest = {key: value for key, value in made.items() if key != "cells"}
    assert rest == {k: v for k, v in json.loads(before).items() if k != "cells"}
    assert file.read_text() == before


def test_a_tag_that_no_cell_has_is_said_so(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, lesson(tmp_path), "scoring")
    said = capsys.readouterr().err
    assert "lesson.ipynb: no cell has the tag 'scoring'" in said
