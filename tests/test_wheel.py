"""The wheel, installed elsewhere: it does offline what the README promises of it, and writes
nothing into its own folder."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import awkward
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from test_face import FOLDERS

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]

# Ends with the folders of what it imported, and of what a Lab would keep.
STRANGER = """
import sys
import torch
import cinv_lib as ci

# the lines of the README
class Rows(ci.Operator):
    name, limits = "rows", (0.0, 1.0)
    def apply(self, x, severities, generator=None):
        keep = torch.rand(len(x), 1, x.shape[2], 1, generator=generator, device=x.device)
        return x * (keep >= severities.to(x).view(-1, 1, 1, 1))

train, val = ci.ImageFiles.from_folder("my_pictures").split(0.8, seed=0)
teacher = ci.load_encoder("stickers-clip")
recipe = ci.Recipe(epochs=1, batch_size=100, lr=1e-3)
student, history = ci.distill(teacher, train, Rows((0.3, 0.7)), "st:0.1", recipe, seed=0)
head = ci.fit_probe(student, train, Rows((0.3, 0.7)), ci.ProbeRecipe(epochs=1))
print(ci.summary(ci.evaluate({"student": (student, head)}, val, Rows(0.5), realisations=2)))
folder = ci.save_encoder(student, "my_student")
again = ci.load_encoder(folder)
x = torch.rand(2, 3, 64, 64)
with torch.no_grad():
    assert torch.allclose(again(x), student.cpu()(x), atol=1e-5)

ci.embed(student, "my_pictures", "my_embeddings")
assert len(history) == 1 and len(train) + len(val) == 25 and len(ci.paper.table(1))
lab = ci.Lab("smoke")
for _ in range(2):
    lab.student("rows:0.3..0.7")
    lab.student("mask:0.9")
print(ci.__file__, ci.machine.folders.runs("smoke"), ci.__version__, sep="\\n")
"""

# Finds nothing that the extras bring, and imports every module but the course's and the panels,
# which are for notebooks.
CORE = """
import importlib.util, pkgutil, sys
from importlib.machinery import PathFinder

class Core(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] not in REFUSED:
            return super().find_spec(name, path, target)

sys.meta_path[:] = [Core if finder is PathFinder else finder for finder in sys.meta_path]
assert importlib.util.find_spec("pytest") is None
import cinv_lib
for module in pkgutil.walk_packages(cinv_lib.__path__, "cinv_lib."):
    if not module.name.startswith(("cinv_lib.course", "cinv_lib.plots.panels")):
        importlib.import_module(module.name)
module = type(sys)
print(*[name for name in cinv_lib.__all__ if isinstance(getattr(cinv_lib, name), module)])
"""


def run(command: list[str], **settings) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **settings
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Made from a copy of the sources, as a build leaves folders beside them."""
    sources, made = (tmp_path_factory.mktemp(name) for name in ("sources", "wheel"))
    skip = shutil.ignore_patterns("__pycache__", ".*")
    for folder in ("cinv_lib", "data_prep"):
        shutil.copytree(ROOT / folder, sources / folder, ignore=skip)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, sources)
    command = [sys.executable, "-m", "uv", "build", "--wheel", "--offline", "--no-build-isolation"]
    done = run([*command, "--out-dir", made, sources])
    if "No module named" in done.stderr and "setuptools" in done.stderr:
        pytest.skip("setuptools, which builds the wheel, is not in this environment")
    assert done.returncode == 0, done.stderr
    (file,) = made.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps"]
    done = run([*command, "--python", sys.executable, "--target", folder, wheel])
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def stranger(installed, tmp_path):
    """Runs a text with the installed library, in another folder and as another user's, where
    `my_pictures` is a folder of files as readers have them."""
    awkward.folder(tmp_path / "work" / "my_pictures")

    def runs(text: str) -> subprocess.CompletedProcess:
        mine = ("CINV_HOME", "CINV_RUNS", "CINV_PROGRESS", "CINV_RECORDED", "PYTHONPATH")
        environment = {name: value for name, value in os.environ.items() if name not in mine}
        environment |= {
            "PYTHONPATH": str(installed),
            "HOME": str(tmp_path),
            "XDG_DATA_HOME": str(tmp_path / "share"),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        text = f"import sys; sys.path.insert(0, {str(installed)!r})\n{text}"
        return run([sys.executable, "-c", text], cwd=tmp_path / "work", env=environment)

    return runs


def files(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in sorted(folder.rglob("*"))}


def test_a_stranger_distils_with_the_wheel_alone(stranger, installed, tmp_path):
    before = files(installed)
    done = stranger(STRANGER)
    assert done.returncode == 0, done.stderr
    *_, library, runs, version = done.stdout.strip().split("\n")
    assert "student" in done.stdout and "top1" in done.stdout
    assert Path(library).is_relative_to(installed)
    assert files(installed) == before
    assert Path(runs).is_relative_to(tmp_path) and (Path(runs) / "store" / "student").is_dir()
    assert (tmp_path / "work" / "my_student" / "open_clip_config.json").is_file()
    names = (tmp_path / "work" / "my_embeddings" / "names.csv").read_text().splitlines()
    assert len(names) == 1 + 24 and names[0] == "name,label"
    assert "1 of 25 pictures cannot be read" in done.stderr and "broken.jpg" in done.stderr
    assert version == __import__("cinv_lib").__version__
    # what a training costs, before the first one, and once
    said = [line for line in done.stderr.split("\n") if "are not installed" in line]
    assert len(said) == 1 and "1 epochs of 2 pictures per class" in said[0] and runs in said[0]


def test_the_core_needs_no_extra(stranger):
    """Every module of the library, and every public name, without what only the extras bring. And
    `import cinv_lib.evaluation.probe` and its like, which put modules into packages, take no
    function's place."""
    import importlib.metadata

    names = {
        canonicalize_name(Requirement(line).name) for group in EXTRAS.values() for line in group
    }
    providers = importlib.metadata.packages_distributions()
    refused = {
        top
        for top, owners in providers.items()
        if {canonicalize_name(owner) for owner in owners} <= names
    } | {"IPython", "jinja2", "nbclient"}
    assert {"ipywidgets", "nbformat", "snakemake", "pytest", "beartype"} <= refused
    done = stranger(f"REFUSED = {refused!r}\n{CORE}")
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == FOLDERS


def test_the_wheel_has_every_file_of_the_library(wheel):
    packed = set(zipfile.ZipFile(wheel).namelist())
    there = {
        path.relative_to(ROOT).as_posix()
        for folder in ("cinv_lib", "data_prep")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and not any(p.startswith((".", "__pycache__")) for p in path.parts)
        if not path.name.endswith(".pyc")
    }
    assert there - packed == set()
    assert {"cinv_lib/py.typed", "cinv_lib/__init__.pyi", "cinv_lib/paper/tables.csv"} <= packed


def test_the_version_is_written_once(wheel):
    import cinv_lib

    assert wheel.name.startswith(f"cinv_lib-{cinv_lib.__version__}-")
    assert "version" not in PROJECT and PROJECT["dynamic"] == ["version"]


def test_core_and_extras_are_what_make_installs():
    def ranges(lines: list[str]) -> dict[str, str]:
        kept = [Requirement(text) for line in lines if (text := line.split("#")[0].strip())]
        named = {canonicalize_name(one.name): str(one.specifier) for one in kept}
        assert len(named) == len(kept), "a package comes twice"
        return named

    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    parts = [PROJECT["dependencies"], EXTRAS["course"], EXTRAS["test"]]
    assert ranges([line for part in parts for line in part]) == ranges(lines)
    assert set(EXTRAS) == {"course", "test", "deepinv"}  # the last only where it is asked for
    assert len(PROJECT["dependencies"]) < 20
