"""Lessons on the pretended GPU: what a cell trains or measures is made there, and what it embeds
borrows it, whatever the size of the pictures.

A lesson takes a minute or more of a core so, and all take twenty. By default none is run:

    PRETENDED_LESSONS="05 07" python -m pytest tests/pretended/test_lessons.py
    PRETENDED_LESSONS=all python -m pytest -n 2 tests/pretended/test_lessons.py
"""

import os
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell
from test_notebooks import NOTEBOOKS, OTHER, execute, kernel, parameters_of  # noqa: F401

WANTED = os.environ.get("PRETENDED_LESSONS", "")
CHOSEN = [p for p in NOTEBOOKS if WANTED == "all" or p.stem[:2] in WANTED.split()]
ENTER = f"""import os, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
os.environ["CUDA_VISIBLE_DEVICES"] = "0"
from cinv_lib.machine import hardware
hardware.LARGE = 1
from pretended import device
entered = device.entered()
entered.__enter__()"""


@pytest.mark.skipif(not WANTED, reason="PRETENDED_LESSONS names none")
@pytest.mark.parametrize("path", CHOSEN, ids=lambda path: path.stem)
def test_a_lesson_runs_there(path, kernel, tmp_path):  # noqa: F811
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, new_code_cell(ENTER))
    nbformat.write(notebook, tmp_path / "in.ipynb")
    given = {name: value for name, value in OTHER.items() if name in parameters_of(path)}
    execute(tmp_path / "in.ipynb", tmp_path / "out.ipynb", **given)
