"""What all tests share: shapes are checked, folders are temporary, nothing asks the network.

The progress of whoever runs the tests changes none of them, and stays as it is.
"""

import atexit
import gc
import os
from pathlib import Path

import pytest
import torch
from jaxtyping import install_import_hook

# The library and the collected tests are a million objects that all stay. To look through them for
# rubbish, again and again, is a quarter of the time that it takes to collect.
gc.disable()
atexit.register(gc.unfreeze)

# Before anything imports the libraries that read them.
os.environ.setdefault("MPLBACKEND", "agg")
os.environ["HF_HUB_OFFLINE"] = "1"

# Every annotation of a module that says shapes becomes a check, which must come before the
# library's first import. Other modules have none of these checks, as each makes a call 30
# microseconds longer, and the tests with them took half as long again.
ROOT = Path(__file__).parents[1]
SHAPED = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "cinv_lib").rglob("*.py"))
    if "from jaxtyping import" in path.read_text(encoding="utf-8")
]
install_import_hook(SHAPED, "beartype.beartype")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each worker of pytest-xdist, which gets a stretch of this list, begins with tests of the
    whole project: one that takes half a minute and is begun last runs while the others wait."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    of_all = [item for item in items if item.path.parent == Path(__file__).parent]
    others = [item for item in items if item.path.parent != Path(__file__).parent]
    items.clear()
    for k in range(workers):
        for part in (of_all, others):
            items += part[len(part) * k // workers : len(part) * (k + 1) // workers]


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def folders(tmp_path_factory):
    """Data and runs of the tests: in a temporary folder, one for all workers of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CINV_HOME", str(shared / "home"))
        patch.setenv("CINV_RUNS", str(shared / "runs"))
        patch.setenv("CINV_PROGRESS", str(base / "progress.json"))
        yield


def _state() -> tuple[object, ...]:
    torch.autocast_increment_nesting()
    return (
        torch.autocast_decrement_nesting(),
        torch.is_autocast_enabled("cpu"),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.get_num_threads(),
    )


@pytest.fixture(autouse=True)
def torch_as_it_was():
    """No test leaves PyTorch in another state: one that entered autocast for good had trainings
    after it use the weights of their first step."""
    before = _state()
    yield
    assert _state() == before


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty folder of data, and one of runs, for a test of its own."""
    monkeypatch.setenv("CINV_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CINV_RUNS", str(tmp_path / "runs"))
    return tmp_path / "home"


@pytest.fixture
def generator() -> torch.Generator:
    """A generator with a known seed."""
    return torch.Generator().manual_seed(0)


@pytest.fixture
def pictures(generator) -> torch.Tensor:
    """Four random pictures (4, 3, 16, 12) in [0,1]; the sides differ, so none mixes them up."""
    return torch.rand(4, 3, 16, 12, generator=generator)


@pytest.fixture
def image_set():
    """12 pictures of 64 px in 3 classes that differ in colour: class k is bright in channel k."""
    from cinv_lib.data.image_set import ImageSet

    labels = torch.arange(12) % 3
    noise = torch.randint(0, 60, (12, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    bright = torch.nn.functional.one_hot(labels, 3)[:, :, None, None] * 180
    names = ("red", "green", "blue")
    return ImageSet((noise + bright).to(torch.uint8), labels, names, "test", "made by conftest.py")
