"""Every lesson runs alone, headless, with other parameters than those it was committed with."""

import ast
from pathlib import Path

import nbformat
import papermill
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
OTHER = {"profile": "smoke", "seed": 1, "seeds": 2, "operator": "noise:0.5"}


@pytest.fixture
def kernel(home, tmp_path, monkeypatch, tmp_path_factory):
    """Kernels of this environment; drawn data is shared among the tests, trained things are not."""
    shared = tmp_path_factory.getbasetemp() / "drawn"
    monkeypatch.setenv("CINV_HOME", str(shared))
    monkeypatch.setenv("CINV_RECORDED", "0")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # as in JupyterLab: figures go inline


def parameters_of(path: Path) -> set[str]:
    """Names that a notebook's `parameters` cell sets."""
    cells = nbformat.read(path, as_version=4).cells
    (cell,) = [c for c in cells if "parameters" in c.metadata.get("tags", [])]
    assigned = [node for node in ast.parse(cell.source).body if isinstance(node, ast.Assign)]
    return {target.id for node in assigned for target in node.targets}


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


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_lesson_runs_alone_with_other_parameters(path, kernel, tmp_path):
    before = {p for p in (ROOT / "notebooks").rglob("*") if "checkpoint" not in p.name}
    known = parameters_of(path)
    done = execute(path, tmp_path / "out.ipynb", **{k: v for k, v in OTHER.items() if k in known})
    injected = [c for c in done.cells if "injected-parameters" in c.metadata.get("tags", [])]
    assert len(injected) == 1 and "smoke" in injected[0].source
    code = [c for c in done.cells if c.cell_type == "code" and c.source.strip()]
    assert all(cell.execution_count for cell in code)
    assert any(cell.outputs for cell in code)
    runs = tmp_path / "runs"
    assert not runs.exists() or {p.name for p in runs.iterdir()} == {"smoke"}
    after = {p for p in (ROOT / "notebooks").rglob("*") if "checkpoint" not in p.name}
    assert after == before, "a lesson writes into the notebooks' folder"


@pytest.mark.skipif(not NOTEBOOKS, reason="no notebooks yet")
def test_unknown_profile_is_said_so(kernel, tmp_path):
    with pytest.raises(papermill.PapermillExecutionError) as error:
        execute(NOTEBOOKS[-1], tmp_path / "out.ipynb", profile="nonsense")
    assert "nonsense" in error.value.evalue and "stickers" in error.value.evalue
