"""The type checker finds nothing in the library, and sees what it should elsewhere."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def mypy(*more: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "mypy", *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_library_has_no_type_error():
    """With the settings of pyproject.toml. It is a test, as it takes one core half a minute."""
    done = mypy()
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_call_of_what_a_package_offers_lazily_is_seen(tmp_path):
    """Through the .pyi beside the package, as an editor sees it."""
    code = tmp_path / "wrong.py"
    code.write_text(
        "from cinv_lib import losses\n"
        "losses.parse('mse').tau\n"
        "losses.alignment('S')\n"
        "losses.parse('mse').tua\n"
    )
    done = mypy(str(code))
    assert 'wrong.py:3: error: Missing positional argument "R"' in done.stdout, done.stderr
    assert 'wrong.py:4: error: "Loss" has no attribute "tua"' in done.stdout
    assert "wrong.py:2" not in done.stdout and done.returncode == 1


def test_the_library_says_that_it_has_types():
    assert (ROOT / "cinv_lib" / "py.typed").is_file()
