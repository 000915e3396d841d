"""Publishing a lesson keeps what it says, and nothing that means something to one run only."""

import base64
import json
from io import BytesIO

import nbformat
import numpy as np
import papermill
import pytest
from PIL import Image

from cinv_lib.course import publish
from cinv_lib.machine import folders

PROGRAM = """
import os, sys
from IPython.display import display
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
view = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}}
print("to be kept")
print("a warning", file=sys.stderr)
display(view | {"image/png": PNG, "text/plain": "a panel"}, raw=True)
display(view | {"text/plain": "a bar"}, raw=True)
print("progress:", os.path.exists(os.environ["CINV_PROGRESS"]))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three lessons: 00 says much, 01 fails in its second cell, 07 is not run."""
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    mine = tmp_path / "progress.json"
    mine.write_text("{}")
    monkeypatch.setenv("CINV_PROGRESS", str(mine))
    programs = {"00_says": [PROGRAM, "1 + 1"], "01_fails": ["1 + 1", "1 / 0"], "07_rests": ["2"]}
    for name, cells in programs.items():
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source.strip()) for source in cells]
        )
        notebook.cells[0].metadata["tags"] = ["parameters"]
        notebook.metadata = {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python", "version": "2.7"},
            "course": {"about": "it", "run_seconds": -1},
        }
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    return tmp_path


def test_outputs_are_kept_and_traces_of_the_run_are_not(folder, capsys):
    publish.publish(["0"], folder)
    done = nbformat.read(folder / "00_says.ipynb", as_version=4)
    nbformat.validate(done)
    first, second = done.cells
    kinds = [(o.output_type, o.get("text") or sorted(o.data)) for o in first.outputs]
    assert kinds == [
        ("stream", "to be kept\n"),
        ("display_data", ["image/png", "text/plain"]),
        ("stream", "progress: False\n"),
    ]
    assert second.outputs[0].data["text/plain"] == "2"
    assert [cell.execution_count for cell in done.cells] == [1, 2]
    assert [dict(cell.metadata) for cell in done.cells] == [{"tags": ["parameters"]}, {}]
    assert sorted(done.metadata) == ["course", "kernelspec"]
    course = done.metadata.course
    assert course.about == "it" and 0 <= course.run_seconds < 300
    assert f"00_says: {course.run_seconds} s" in capsys.readouterr().out
    assert sorted(p.name for p in folder.glob("*.ipynb")) == [
        "00_says.ipynb",
        "01_fails.ipynb",
        "07_rests.ipynb",
    ]


def test_a_lesson_that_fails_stays_as_it_was(folder):
    before = (folder / "01_fails.ipynb").read_bytes()
    with pytest.raises(papermill.PapermillExecutionError, match="ZeroDivisionError"):
        publish.publish(["01"], folder)
    assert (folder / "01_fails.ipynb").read_bytes() == before


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        (["00", "99"], r"no lesson 99; there are 00, 01, 07"),
        (["*"], r"no lesson 0\*"),
        ([], "no lesson was named; there are 00, 01, 07"),
    ],
)
def test_an_unknown_number_names_the_known_ones_before_anything_runs(
    numbers, words, folder, monkeypatch
):
    monkeypatch.setattr(publish, "run", lambda path: pytest.fail(f"ran {path}"))
    with pytest.raises(ValueError, match=words):
        publish.publish(numbers, folder)


def test_no_run_of_the_reader_is_seen(tmp_path, monkeypatch):
    monkeypatch.setenv("CINV_RUNS", str(tmp_path))
    with publish.nothing_attempted():
        assert folders.all_runs() != tmp_path and not folders.all_runs().exists()
    assert folders.all_runs() == tmp_path


def test_the_readers_own_progress_is_not_touched(folder, monkeypatch):
    import os

    mine = os.environ["CINV_PROGRESS"]
    with publish.nothing_attempted():
        other = os.environ["CINV_PROGRESS"]
        assert other != mine and not os.path.exists(other)
    assert os.environ["CINV_PROGRESS"] == mine
    assert json.loads((folder / "progress.json").read_text()) == {}


def png(picture: Image.Image) -> str:
    buffer = BytesIO()
    picture.save(buffer, format="PNG", compress_level=0)
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize(("side", "error"), [(40, 0), (400, 12)])
def test_a_kept_picture_is_smaller_and_nearly_the_same(side, error):
    """A small one to the pixel. A large one has 256 colours, so it differs by a few grey levels."""
    y, x = np.mgrid[:side, :side] * 255 // side
    noise = np.random.default_rng(0).integers(0, 9, (side, side))
    drawn = np.stack([x, y, (x + noise) % 256], 2).astype(np.uint8)
    before = png(Image.fromarray(drawn))
    after = publish.smallest(before)
    assert len(after) < len(before) / 2
    shown = np.asarray(Image.open(BytesIO(base64.b64decode(after))).convert("RGB"))
    assert np.abs(shown.astype(int) - drawn).mean() <= error
    assert publish.smallest(after) == after
