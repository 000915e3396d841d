"""CHANGELOG.md and CITATION.cff say what is so."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_modules_that_the_changelog_names_are_there():
    table = (ROOT / "CHANGELOG.md").read_text().split("### Modules, ")[1].split("\n### ")[0]
    rows = [row.strip("| ").split(" | ") for row in table.splitlines() if row.startswith("| `")]
    assert len(rows) > 50
    for _, now in rows:
        last = ""
        for name in re.findall(r"`([\w.]+)`", now):
            # `.glyphs` stands in the folder of the name before it
            last = f"{last.rpartition('.')[0]}{name}" if name.startswith(".") else name
            path = ROOT / "cinv_lib" / last.replace(".", "/")
            assert path.is_dir() or path.with_suffix(".py").is_file(), last


def test_changelog_and_citation_are_of_this_version():
    import cinv_lib

    latest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)[1]
    cited = re.search(r"^version: (\S+)", (ROOT / "CITATION.cff").read_text(), re.M)[1]
    assert latest == cited == cinv_lib.__version__
