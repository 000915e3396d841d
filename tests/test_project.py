"""The repository itself: notebooks are executed, folders import one way, documents are true."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cinv_lib.lab import own as own_run

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "notebooks").glob("*.md")]
LARGEST = 8 * 2**20

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code" and cell.source.strip()]


# -- notebooks ---------------------------------------------------------------------------------
def test_there_are_notebooks():
    assert NOTEBOOKS


@every_notebook
def test_notebook_was_executed_from_a_fresh_kernel(path):
    """nbval does not compare cells without an execution count, so they would pass unseen."""
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1))


@every_notebook
def test_notebook_has_no_error_outputs(path):
    for cell in code_cells(path):
        if "raises-exception" not in cell.metadata.get("tags", []):
            kinds = [output.output_type for output in cell.outputs]
            assert "error" not in kinds, cell.source


@every_notebook
def test_notebook_has_parameters(path):
    tagged = [c for c in code_cells(path) if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1
    assert re.search(r"^profile = ", tagged[0].source, re.M)


@every_notebook
def test_notebook_is_whole(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert re.match(rf"# {path.stem[:2]} · \S", notebook.cells[0].source), "the first heading"


@every_notebook
def test_notebook_outputs_name_no_folder_of_a_machine(path):
    for cell in code_cells(path):
        text = "".join(str(output) for output in cell.outputs)
        assert not re.search(r"(?<![\w.:/-])/(home|root|work|tmp|Users|mnt)/\w", text), cell.source


@every_notebook
def test_figures_have_alt_text(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                assert len(output.metadata.get("image/png", {}).get("alt", "")) > 10, cell.source


@every_notebook
def test_formulas_can_be_drawn(path, monkeypatch):
    """The pages have no MathJax, so every formula must be one that the converter knows."""
    from cinv_lib.course import site_html

    drawn, real = [], site_html.formula
    monkeypatch.setattr(site_html, "formula", lambda *a: drawn.append(real(*a)) or drawn[-1])
    notebook = read(path)
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    site_html.body(notebook)
    assert not [formula for formula in drawn if formula.startswith("<code>")]


# -- folders -----------------------------------------------------------------------------------
def folders() -> list[str]:
    """The folders in the README's table, lowest floor first."""
    section = (ROOT / "README.md").read_text().split("## How the folders fit")[1].split("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.M)


def imported(path: Path) -> set[str]:
    """What a file of cinv_lib imports of it, at whatever depth of the code, with dots and without
    "cinv_lib": "data.views" for `from cinv_lib.data import views`."""
    package = ["cinv_lib", *path.relative_to(ROOT / "cinv_lib").parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = [*above, *(node.module or "").split(".")]
            module = [part for part in module if part]
            names = [[*module, alias.name] for alias in node.names]
        else:
            continue
        found |= {".".join(name[1:]) for name in names if name[0] == "cinv_lib" and len(name) > 1}
    return found


def folder_of(path: Path) -> str:
    return path.relative_to(ROOT / "cinv_lib").parts[0]


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT / "cinv_lib").with_suffix("").parts)


SOURCES = sorted((ROOT / "cinv_lib").rglob("*.py"))
MODULES = {
    module_of(path): path
    for path in SOURCES
    if path.name != "__init__.py" and path.parent != ROOT / "cinv_lib"
}


def test_the_table_has_every_folder_once():
    there = {folder_of(path) for path in SOURCES if path.parent != ROOT / "cinv_lib"}
    table = folders()
    assert len(table) == len(set(table))
    assert there == set(table), "README.md, How the folders fit"


def test_every_module_is_in_a_folder_but_the_face_of_the_library():
    assert {p.name for p in (ROOT / "cinv_lib").glob("*.py")} <= {"__init__.py", "face.py"}


def test_no_module_imports_by_the_face():
    """The face imports every folder: a module that went by it would import those below its own."""
    wrong = {
        (name, target)
        for name, path in MODULES.items()
        for target in imported(path)
        if target.partition(".")[0] not in {*folders(), "__version__"}
    }
    assert not wrong


def test_folders_import_from_lower_floors_only():
    floor = {folder: i for i, folder in enumerate(folders())}
    wrong = {
        (name, other)
        for name, path in MODULES.items()
        for other in {target.partition(".")[0] for target in imported(path)} & set(floor)
        if floor[other] > floor[folder_of(path)]
    }
    assert not wrong, "these import from a folder that stands below theirs in README.md's table"


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Names that lead back to themselves, if there are any."""
    left = dict(graph)
    while free := [name for name, others in left.items() if not others & set(left)]:
        for name in free:
            del left[name]
    return sorted(left)


def test_no_modules_of_a_folder_import_each_other_in_a_circle():
    graph = {
        name: {
            other
            for target in imported(path)
            for other in (target, target.rpartition(".")[0])
            if other in MODULES and other.partition(".")[0] == folder_of(path)
        }
        for name, path in MODULES.items()
    }
    assert not circle(graph)
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]


def test_no_module_has_the_name_of_a_public_function():
    """After `losses.contrastive(...)`, a module of that name would take the function's place."""
    for stub in (ROOT / "cinv_lib").rglob("__init__.pyi"):
        listed = [n for n in ast.walk(ast.parse(stub.read_text())) if isinstance(n, ast.ImportFrom)]
        public = {alias.name for node in listed if node.module for alias in node.names}
        beside = {p.stem for p in stub.parent.iterdir() if p.suffix == ".py" or p.is_dir()}
        assert not public & beside, stub


@pytest.mark.parametrize("package", sorted({path.parent for path in SOURCES}), ids=lambda p: p.name)
def test_what_a_package_lists_is_there(package):
    name = ".".join(package.relative_to(ROOT).parts)
    found = importlib.import_module(name)
    for public in getattr(found, "__all__", []):
        assert getattr(found, public) is not None


def test_the_training_loop_knows_neither_of_its_users():
    used = imported(ROOT / "cinv_lib" / "training" / "loop.py")
    users = ("training.student", "training.baseline", "encoders")
    assert not [name for name in used if name.startswith(users)]


def test_the_reader_of_imports_sees_them_all(monkeypatch, tmp_path):
    """The tests above are worth what `imported` sees."""
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / "cinv_lib" / "panels" / "quiz.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "import cinv_lib.a\nimport torch\nfrom cinv_lib import b\nfrom cinv_lib.c import x\n"
        "from .. import d\nfrom ..e import y\nfrom . import panel\n"
        "def f():\n    from cinv_lib.g.h import z\n"
    )
    assert imported(path) == {"a", "b", "c.x", "d", "e.y", "panels.panel", "g.h.z"}


def test_types_are_seen_by_the_import_hook():
    """Annotations that are strings would not be checked."""
    lazy = [p.name for p in SOURCES if "from __future__ import annotations" in p.read_text()]
    assert not lazy


def test_shapes_are_checked_here(pictures):
    from jaxtyping import TypeCheckError

    from cinv_lib import plots

    with pytest.raises(TypeCheckError):
        plots.pixels(pictures)  # (B, C, H, W), and it takes (C, H, W)


# -- files and documents -----------------------------------------------------------------------
def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_no_large_file_is_tracked():
    large = [p.name for p in tracked() if p.is_file() and p.stat().st_size > LARGEST]
    assert not large


def test_nothing_that_is_made_is_tracked():
    made = {".venv", "runs", "data", ".snakemake", "__pycache__", ".ipynb_checkpoints"}
    top = [p.relative_to(ROOT) for p in tracked()]
    assert not [p for p in top if p.parts[0] in made or "__pycache__" in p.parts]


def test_commands_of_the_documents_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    for document in DOCUMENTS:
        code = re.findall(r"`([^`\n]+)`|^ {4}(.+)$", document.read_text(), re.M)
        for piece in ("".join(found) for found in code):
            for command in re.findall(r"(?:^|&& )make ([a-z]+)", piece.strip()):
                assert command in targets, f"{document.name}: make {command}"
    variables = set(re.findall(r"^([A-Z]+) *\?=", (ROOT / "Makefile").read_text(), re.M))
    own = re.search(r"^OWN = (.+)$", (ROOT / "Makefile").read_text(), re.M)[1].split()
    assert set(own) == {"NAME", *own_run.WORDS}
    variables |= set(own)
    given = re.findall(r"\b([A-Z]+)=[\w\"/.]", (ROOT / "README.md").read_text())
    assert given and set(given) <= variables


def test_help_names_every_command():
    makefile = (ROOT / "Makefile").read_text()
    phony = set(re.search(r"^\.PHONY: (.+)$", makefile, re.M)[1].split())
    phony -= {"help", "again"}  # `again` is never called for: it makes the environment old
    assert phony == set(re.findall(r"@echo 'make ([a-z]+)", makefile))


def test_links_of_the_documents_lead_somewhere():
    texts = {path: path.read_text() for path in DOCUMENTS}
    for path in NOTEBOOKS:
        markdown = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
        texts[path] = "\n".join(markdown)
    for path, text in texts.items():
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{path.name}: {target}"


# -- requirements ------------------------------------------------------------------------------
def requirements(name: str) -> list[Requirement]:
    lines = [line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    return [Requirement(line) for line in lines if line]


def test_the_lock_satisfies_the_requirements():
    locked = {}
    for line in requirements("requirements.lock"):
        locked.setdefault(canonicalize_name(line.name), []).append(line)
    for wanted in requirements("requirements.txt"):
        found = locked.get(canonicalize_name(wanted.name))
        assert found, f"{wanted.name} is not in requirements.lock: make lock"
        for line in found:
            (pin,) = line.specifier
            assert pin.operator == "=="
            assert wanted.specifier.contains(pin.version), f"{line}: {wanted} (make lock)"


def test_requirements_are_ranges():
    for wanted in requirements("requirements.txt"):
        operators = {specifier.operator for specifier in wanted.specifier}
        assert ">=" in operators and "<" in operators and "==" not in operators, wanted
    (torch,) = [r for r in requirements("requirements.txt") if r.name == "torch"]
    assert not torch.specifier.contains("2.13.0")


def test_every_requirement_has_a_reason():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    for before, line in zip(["", *lines], lines, strict=False):
        if line and not line.startswith("#"):
            assert "#" in line or before.startswith("# "), line


def test_what_is_imported_is_required():
    """No import lives on another package's requirement."""
    import importlib.metadata

    names = {canonicalize_name(r.name) for r in requirements("requirements.txt")}
    providers = importlib.metadata.packages_distributions()
    here = {"cinv_lib", "data_prep"}
    # With these come: jinja2, markupsafe and traitlets with nbconvert, nbclient with papermill,
    # IPython and jupyter_client with ipykernel, the hub's client with open_clip, packaging with
    # nearly everything.
    along = {
        "jinja2",
        "markupsafe",
        "ipython",
        "huggingface-hub",
        "packaging",
        "jupyter-client",
        "nbclient",
        "traitlets",
    }
    missing = set()
    for path in [*SOURCES, *sorted((ROOT / "data_prep").glob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                tops = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                tops = {node.module.split(".")[0]}
            else:
                continue
            for top in tops - here - set(sys.stdlib_module_names):
                owners = {canonicalize_name(owner) for owner in providers.get(top, [])}
                if not owners & (names | along):
                    missing.add(f"{path.name}: {top}")
    assert not missing


# -- style -------------------------------------------------------------------------------------
@pytest.mark.parametrize("arguments", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff_passes_on_code_and_notebooks(arguments):
    command = [sys.executable, "-m", "ruff", *arguments, "--no-cache", str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_looks_at_notebooks(tmp_path):
    config = tmp_path / "pyproject.toml"
    config.write_text((ROOT / "pyproject.toml").read_text())
    cell = nbformat.v4.new_code_cell("import os\nx=1")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "00_bad.ipynb")
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1 and "F401" in done.stdout
