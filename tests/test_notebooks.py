"""Every lesson runs alone, headless, with other parameters than those it was committed with.

Here with the solution of each exercise in its cell. With nothing attempted they are replayed by
nbval, and the outputs that are committed come from such a run.
"""

import ast
import json
import sys
from pathlib import Path

import nbformat
import papermill
import pytest
import warm
from IPython.core.interactiveshell import InteractiveShell

from cinv_lib.course.excerpt import excerpt
from cinv_lib.course.workbook import exercise as book
from cinv_lib.lab import plan
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles.smoke import SMOKE
from cinv_lib.machine import folders

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
OTHER = {"profile": "smoke", "seed": 1, "seeds": 2, "operator": "noise:0.5", "loss": "nt:0.1"}
# Where much is trained: one seed, as `make course` has it. nbval replays all lessons with several.
OF_ONE_SEED = ("06", "07", "08", "09", "11", "12", "13", "14", "17")
SHOWN = [(e.name, path) for e in SMOKE.entries for path in NOTEBOOKS if path.stem[:2] == e.shown]


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """Kernels of this environment. Data and smoke runs are those of all tests: a lesson makes what
    it needs and nobody has made yet."""
    made_by_all, own = folders.runs("smoke"), tmp_path / "runs"
    made_by_all.mkdir(parents=True, exist_ok=True)
    own.mkdir()
    (own / "smoke").symlink_to(made_by_all, target_is_directory=True)
    monkeypatch.setenv("CINV_RUNS", str(own))
    monkeypatch.setenv("CINV_RECORDED", "0")
    monkeypatch.setenv("CINV_PROGRESS", str(tmp_path / "progress.json"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # as in JupyterLab: figures go inline
    warm.kernels(monkeypatch)


def parameters_of(path: Path) -> set[str]:
    """Names that a notebook's `parameters` cell sets."""
    cells = nbformat.read(path, as_version=4).cells
    (cell,) = [c for c in cells if "parameters" in c.metadata.get("tags", [])]
    assigned = [node for node in ast.parse(cell.source).body if isinstance(node, ast.Assign)]
    return {target.id for node in assigned for target in node.targets}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem[:2])
def test_another_kernel_is_told_which_to_choose(path, monkeypatch, capsys):
    """Its first cell fails, and says which Python it is and what to do."""
    cells = nbformat.read(path, as_version=4).cells
    first = next(cell.source for cell in cells if cell.cell_type == "code")
    monkeypatch.setitem(sys.modules, "cinv_lib", None)  # as if it were not installed
    InteractiveShell(colors="nocolor").run_cell(first)
    said = capsys.readouterr().out
    assert f"AssertionError: {sys.executable} has no cinv_lib" in said
    assert 'run `make kernel` once, then choose the kernel "Contrastive inversion"' in said


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem[:2])
def test_a_seed_that_is_none_is_refused_where_the_lesson_begins(path):
    if "seed" not in parameters_of(path):
        pytest.skip("has no seed")
    sources = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    *_, line = [line for line in sources[1].split("\n") if "(seed)" in line][:1]
    assert line == "seed = checked_seed(seed)", "something uses it before"


def execute(path: Path, out: Path, **parameters) -> nbformat.NotebookNode:
    return papermill.execute_notebook(
        path,
        out,
        parameters,
        kernel_name="python3",
        cwd=ROOT / "notebooks",
        progress_bar=False,
        execution_timeout=240,
    )


def solved(path: Path, out: Path) -> Path:
    """The notebook with each exercise's solution in place of its stub, written to `out`."""
    notebook = nbformat.read(path, as_version=4)
    for exercise in book.of_lesson(path.stem[:2]):
        (cell,) = [c for c in notebook.cells if c.source == exercise.cell()]
        cell.source = exercise.cell(exercise.solution_source)
    nbformat.write(notebook, out)
    return out


def said(notebook: nbformat.NotebookNode, id: str) -> str:
    """What the check of an exercise printed."""
    (cell,) = [c for c in notebook.cells if f'check("{id}"' in c.source]
    (output,) = [o for o in cell.outputs if o.output_type == "display_data"]
    return output.data["text/plain"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_lesson_runs_alone_with_other_parameters_and_every_solution(path, kernel, tmp_path):
    before = {p for p in (ROOT / "notebooks").rglob("*") if "checkpoint" not in p.name}
    known = parameters_of(path)
    changed = {name: value for name, value in OTHER.items() if name in known}
    if path.stem[:2] in OF_ONE_SEED:
        changed["seeds"] = 1
    done = execute(solved(path, tmp_path / "in.ipynb"), tmp_path / "out.ipynb", **changed)
    exercises = book.of_lesson(path.stem[:2])
    for exercise in exercises:
        assert f"{exercise.heading} right, " in said(done, exercise.id)
    progress = tmp_path / "progress.json"
    noted = json.loads(progress.read_text())["exercises"] if progress.exists() else {}
    assert {id for id, entry in noted.items() if "solved" in entry} == {e.id for e in exercises}
    injected = [c for c in done.cells if "injected-parameters" in c.metadata.get("tags", [])]
    assert len(injected) == 1 and "smoke" in injected[0].source
    code = [c for c in done.cells if c.cell_type == "code" and c.source.strip()]
    assert all(cell.execution_count for cell in code)
    assert any(cell.outputs for cell in code)
    assert {p.name for p in (tmp_path / "runs").iterdir()} == {"smoke"}
    after = {p for p in (ROOT / "notebooks").rglob("*") if "checkpoint" not in p.name}
    assert after == before, "a lesson writes into the notebooks' folder"


@pytest.mark.parametrize(("kind", "path"), SHOWN, ids=[kind for kind, _ in SHOWN])
def test_cells_of_a_training_train_alone_what_was_planned(
    kind, path, kernel, tmp_path, monkeypatch
):
    monkeypatch.setenv("CINV_RUNS", str(tmp_path / "nothing made"))
    lab = Lab("smoke")
    task = lab.task(kind, "noise:0.5", 1, "mse")  # a baseline has no loss, whatever is asked
    given = tmp_path / "in.ipynb"
    given.write_text(json.dumps(excerpt(json.loads(path.read_text()), "training")))
    parameters = plan.shown(SMOKE, task)["parameters"]
    assert set(parameters) < parameters_of(given)
    done = execute(given, tmp_path / "out.ipynb", profile="smoke", **parameters)
    assert list(lab.store.listing().kind) == [kind], "it trains something else too"
    assert lab.store.finished(**lab.place(task))
    outputs = [output for cell in done.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs), "no loss curve"
    assert any("minutes: " in output.get("text", "") for output in outputs), "no provenance"


def test_the_form_for_a_project_gives_a_verdict(kernel, tmp_path):
    path = ROOT / "notebooks" / "project.ipynb"
    for margin, expected in ((-1000.0, "verdict: holds"), (1000.0, "verdict: does not hold")):
        asked = {"profile": "smoke", "seeds": 2, "margin": margin}
        done = execute(path, tmp_path / "out.ipynb", **asked)
        texts = [
            output.get("text", "") for cell in done.cells for output in cell.get("outputs", [])
        ]
        assert any(expected in text for text in texts), texts


@pytest.mark.skipif(not NOTEBOOKS, reason="no notebooks yet")
def test_unknown_profile_is_said_so(kernel, tmp_path):
    with pytest.raises(papermill.PapermillExecutionError) as error:
        execute(NOTEBOOKS[-1], tmp_path / "out.ipynb", profile="nonsense")
    assert "nonsense" in error.value.evalue and "stickers" in error.value.evalue
