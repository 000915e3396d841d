"""The folder itself: lessons without outputs, the key, notes, plans and the test."""

import os
import shutil
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

import nbformat
import papermill
from tqdm.auto import tqdm

from cinv_lib.course.bare import bare
from cinv_lib.course.handout import notes, plans
from cinv_lib.course.publish import NOTEBOOKS, cleaned, nothing_attempted
from cinv_lib.course.workbook import exercise as book
from cinv_lib.course.workbook import withheld
from cinv_lib.machine.files import whole, write_text
from cinv_lib.machine.folders import ROOT

BESIDE = ("NOTATION.md", "PROJECTS.md", "REFERENCES.md", "project.ipynb")  # what lessons link to
README = """# For a class

| | |
|---|---|
| `lessons/` | for the class: the lessons without outputs |
| `key/` | for you: the same with solutions{executed}, and the key of the test |
| `notes.md` | for each lesson its aim, minutes by section, misconceptions, a demo of five minutes |
| `plans.md` | two sessions of 90 minutes, a day, six weeks |
| `test.md` | six questions for before and after |

Lessons run where the course is installed. Copy `lessons/` there, or give each student the
repository.

A file `class.toml` beside the lessons, with the line `{date_key} = 2026-12-01`, withholds
`solution()` until that day. This is a courtesy and no lock. `--solutions 2026-12-01` writes the
file.

Notebooks that were handed in are graded by
`python -m cinv_lib.course.grade HANDED_IN/*.ipynb --seed N`.

Text and figures: CC BY 4.0, code: MIT; see LICENSE.
"""


def wanted(numbers: Sequence[str]) -> dict[str, Path]:
    """The files of these lessons, by number; of all lessons, if none is named.

    Raises:
        ValueError: there is no lesson of a number.
        FileNotFoundError: there are no lessons, since the library stands outside its repository.
    """
    there = {path.name[:2]: path for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))}
    if not there:
        raise FileNotFoundError(
            f"no lessons in {NOTEBOOKS}; run this in the repository of the course"
        )
    unknown = [number for number in numbers if number.zfill(2) not in there]
    if unknown:
        raise ValueError(f"no lesson {', '.join(unknown)}; there are {', '.join(there)}")
    return {number.zfill(2): there[number.zfill(2)] for number in numbers} or there


def write(
    folder: Path, numbers: Sequence[str] = (), run: bool = True, solutions: date | None = None
) -> list[str]:
    """Write the folder; returns what went wrong in the key, a sentence for each lesson.

    run: whether the key is executed, about half a minute for each lesson. A key that is there
    already, executed and of the same cells, stays.
    """
    paths = wanted(numbers)
    lessons = {number: nbformat.read(path, as_version=4) for number, path in paths.items()}
    for name in ("lessons", "key"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, path in paths.items():
        write_text(folder / "lessons" / path.name, nbformat.writes(bare(lessons[number])) + "\n")
    for name in BESIDE:
        _copy(NOTEBOOKS / name, folder / "lessons" / name)
    _copy(ROOT / "LICENSE", folder / "LICENSE")
    executed = ", executed" if run else ""
    texts = {
        "README.md": README.format(executed=executed, date_key=withheld.KEY),
        "notes.md": notes.notes(lessons),
        "plans.md": plans.plans({n: nbformat.read(p, 4) for n, p in wanted(()).items()}),
        "test.md": plans.test(key=False),
        "key/test.md": plans.test(key=True),
    }
    if solutions:
        texts[f"lessons/{withheld.FILE}"] = f"{withheld.KEY} = {solutions.isoformat()}\n"
    for name, text in texts.items():
        write_text(folder / name, text)
    keys = [(number, folder / "key" / path.name) for number, path in paths.items()]
    return list(_keys(keys, lessons, run))


def _keys(
    keys: Sequence[tuple[str, Path]], lessons: dict[str, nbformat.NotebookNode], run: bool
) -> Iterable[str]:
    """Write the key of each lesson; gives a sentence where one did not run to its end."""
    for number, path in tqdm(keys, desc="key", unit="lesson", disable=not run):
        notebook = solved(number, lessons[number])
        if run and _is_executed(path, notebook):
            continue
        write_text(path, nbformat.writes(notebook) + "\n")
        if run:
            try:
                execute(path)
            except Exception as error:  # of any kind: the other lessons have a key all the same
                yield f"lesson {number}: its key stands without outputs ({_line(error)})"


def solved(number: str, notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A copy without outputs, with the solution of each exercise in place of its stub."""
    found = bare(notebook)
    answers = {e.cell(): e.cell(e.solution_source) for e in book.of_lesson(number)}
    for cell in found.cells:
        cell.source = answers.get(cell.source, cell.source)
    return found


def execute(path: Path) -> None:
    """Run a notebook and put its executed form in its place, whole or not at all."""
    with whole(path) as part, nothing_attempted():
        os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")
        done = papermill.execute_notebook(
            str(path), None, {}, kernel_name="python3", cwd=str(NOTEBOOKS), progress_bar=False
        )
        cleaned(done)
        part.write_text(nbformat.writes(done) + "\n", encoding="utf-8")


def _is_executed(path: Path, notebook: nbformat.NotebookNode) -> bool:
    """Whether the file is this notebook with its outputs."""
    if not path.exists():
        return False
    there = nbformat.read(path, as_version=4)
    same = [cell.source for cell in there.cells] == [cell.source for cell in notebook.cells]
    return same and any(cell.get("outputs") for cell in there.cells)


def _copy(source: Path, target: Path) -> None:
    with whole(target) as part:
        shutil.copyfile(source, part)


def _line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else 'no message'}"
