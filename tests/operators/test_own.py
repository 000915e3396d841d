"""Operators of a reader's own: what they return is looked at once, and files of them are loaded."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cinv_lib.lab import profiles
from cinv_lib.operators import base
from cinv_lib.operators.base import Operator
from cinv_lib.operators.basic import parse
from cinv_lib.operators.code import load_code

ROOT = Path(__file__).parents[2]
FILE = """
import torch
import cinv_lib as ci

class Rows(ci.Operator):
    name, limits = "rows", (0.0, 1.0)

    def apply(self, x, severities, generator=None):
        keep = torch.rand(len(x), 1, x.shape[2], 1, generator=generator, device=x.device)
        return x * (keep >= severities.to(x).view(-1, 1, 1, 1))
"""


@pytest.fixture(autouse=True)
def modules():
    """Modules of these tests are unknown to others."""
    modules, path = set(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("own_operators_"):
            del sys.modules[name]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def own(does) -> type[Operator]:
    """A class whose `apply` is `does`."""
    body = {"name": "mine", "limits": (0.0, 9.0), "apply": does, "__module__": "__main__"}
    return type("Mine", (Operator,), body)


@pytest.mark.parametrize(("returned", "says"), [
    (lambda x, g: x / x.amin(dim=(1, 2, 3), keepdim=True), r"returns (nan|inf) in \d+ of 1152 "),
    (lambda x, g: x.log(), r"returns -inf in 1 of 1152 numbers; expected finite ones"),
    (lambda x, g: x[:, :1], r"returns shape \(2, 1, 16, 12\) for pictures \(2, 3, 16, 12\); expec"),
    (lambda x, g: x.double(), r"returns torch\.float64 for pictures of torch\.float32; exp"),
    (lambda x, g: x + 0j, r"returns torch\.complex64 for pictures of torch\.float32; exp"),
    (lambda x, g: x.to("meta"), "returns a tensor on meta for pictures on cpu; expected the"),
    (lambda x, g: 255 * x, r"returns values from 0 to 255 for .* expected the same scale"),
    (lambda x, g: 255 * x + torch.randn(x.shape, generator=g), r"returns values from -.*grey"),
    (lambda x, g: x.numpy(), r"returns a ndarray; expected a tensor of shape \(2, 3, 16, 12\)"),
    (lambda x, g: x + torch.rand(x.shape), "returns two results for equal generators; expected"),
    (lambda x, g: x.mul_(0.5), r"changes the pictures that it is given; expected a new tensor"),
])  # fmt: skip
def test_what_an_operator_may_not_return(returned, says, pictures):
    op = own(lambda self, x, severities, generator=None: returned(x, generator))(0.5)
    for _ in range(2):  # it is not let through the second time either
        with pytest.raises(ValueError, match=r"mine:0\.5 \(Mine\.apply\) " + says):
            op.__call__.__wrapped__(op, pictures, seeded())  # without the type checks of the tests
    with pytest.raises((ValueError, TypeError)):
        parse("mine:0.5@0.5+blur:1")(pictures, seeded())


def test_strong_noise_is_no_grey_level(pictures):
    def noisy(self, x, severities, generator=None):
        return x + 30 * torch.randn(x.shape, generator=generator).to(x)

    assert own(noisy)(0.5)(pictures, seeded()).max() > 64


def test_it_is_looked_at_once(pictures):
    calls = []

    def doubled(self, x, severities, generator=None):
        calls.append(len(x))
        return 2 * x

    op = own(doubled)(0.5)
    for _ in range(3):
        op(pictures, seeded())
    assert calls == [2, 2, 4, 4, 4]  # twice on two pictures, then on what is there
    op.at(0.7)(pictures), parse("mine:0.1@1+blur:1")(pictures, seeded())
    assert calls[5:] == [4, 4]
    own(doubled)(0.5)(pictures)  # a cell that is run again is another class
    assert calls[7:] == [2, 2, 4]


def test_trying_it_changes_no_corruption(tmp_path, pictures):
    (tmp_path / "rows.py").write_text(FILE)
    load_code(tmp_path / "rows.py")
    op, generator, again = parse("rows:0.2..0.8"), seeded(), seeded()
    first = op(pictures, generator)
    severities = op.draw(4, again)
    assert torch.equal(first, op.apply(pictures, severities, again))


def test_an_edit_that_one_severity_does_not_show_is_seen_in_a_range():
    def above(threshold):
        def brighter(self, x, severities, generator=None):
            return x * (1 + (severities > threshold).to(x).view(-1, 1, 1, 1))

        return base.described(own(brighter)((0.0, 1.0)))

    assert len({above(t)[1] for t in (0.2, 0.5, 0.8)}) == 3


# ---------------------------------------------------------------- a file


def test_a_file_makes_its_operators_known_in_a_process_of_its_own(tmp_path):
    """The address, too: a restarted notebook finds its results, and an edited class others."""
    file = tmp_path / "my_ops.py"
    file.write_text("from beside import LOUD\n" + FILE)
    (tmp_path / "beside.py").write_text("LOUD = 1\n")
    program = (
        "from cinv_lib.lab import profiles\nfrom cinv_lib.operators import load_code\n"
        f"print(load_code({str(file)!r}))\n"
        "print(profiles.SMOKE.address(profiles.SMOKE['student'].task('rows:0.3..0.7')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    printed, address = done.stdout.split()

    def here() -> str:
        return profiles.SMOKE.address(profiles.SMOKE["student"].task("rows:0.3..0.7"))

    assert load_code(file) == printed and here() == address
    file.write_text(FILE.replace("x.shape[2], 1,", "1, x.shape[3],"))  # columns; as many letters
    assert load_code(file) != printed and here() != address
    assert not (tmp_path / "__pycache__" / "my_ops.cpython-311.pyc").exists()


def test_files_that_define_no_operator(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"ops\.py is no file; expected a Python file with"):
        load_code(tmp_path / "ops.py")
    with pytest.raises(FileNotFoundError, match="is no file"):
        load_code(tmp_path)
    notebook = tmp_path / "mine.ipynb"
    notebook.write_text("{}")
    with pytest.raises(
        ValueError, match=r"mine\.ipynb is not called \*\.py; expected a Python fil"
    ):
        load_code(notebook)
    empty = tmp_path / "empty.py"
    empty.write_text("x = 1\n")
    with pytest.raises(
        ValueError, match=r"empty\.py defines no operator; expected a class such as"
    ):
        load_code(empty)
    empty.write_text("import no_such_module\n")
    with pytest.raises(ModuleNotFoundError) as error:
        load_code(empty)
    assert f"while the operators of {empty} were loaded" in error.value.__notes__


def test_an_unknown_name_says_where_ones_own_are_known():
    with pytest.raises(
        ValueError, match=r"unknown operator 'rows:0\.3'.*load_code\('my_ops\.py'\)"
    ):
        parse("rows:0.3")
