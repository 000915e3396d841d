"""A notebook that was handed in, reduced to what its grade needs.

That is every cell that calls `check`, whole, and of the other cells what only names things:
imports, functions, classes and constants. Nothing that trains or draws is left.
"""

import ast
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from IPython.core.inputtransformer2 import TransformerManager

from cinv_lib.course.workbook import exercise as book

NAMES = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
CHECK = re.compile(r"""^[^#\n]*\bcheck\(\s*["'](\d+\.\w+)["']""", re.M)


@dataclass(frozen=True)
class Cell:
    """Code to run, and the ids of the exercises that it has checked."""

    source: str
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Submission:
    """What one student handed in for one lesson.

    elsewhere: names that the notebook sets in what was left out; digest: of the file's bytes.
    """

    path: Path
    student: str
    lesson: str
    cells: tuple[Cell, ...]
    elsewhere: frozenset[str]
    digest: str

    @property
    def ids(self) -> tuple[str, ...]:
        """Every exercise of the lesson, and others that the notebook has checked, in that order."""
        own = [exercise.id for exercise in book.of_lesson(self.lesson)]
        return tuple(dict.fromkeys([*own, *(id for cell in self.cells for id in cell.ids)]))


def students(paths: Sequence[Path]) -> list[str]:
    """A name for each file: its own without .ipynb, and as many folders as tell it from the others.

    >>> students([Path("a/01.ipynb"), Path("b/01.ipynb"), Path("c/eve.ipynb")])
    ['a/01', 'b/01', 'eve']
    """
    parts = [path.absolute().with_suffix("").parts for path in paths]

    def ends(one: tuple[str, ...], depth: int) -> bool:
        return sum(other[-depth:] == one[-depth:] for other in parts) == 1

    longest = [range(1, len(one) + 1) for one in parts]
    depths = [
        next((depth for depth in depths if ends(one, depth)), len(one))
        for one, depths in zip(parts, longest, strict=True)
    ]
    return ["/".join(one[-depth:]) for one, depth in zip(parts, depths, strict=True)]


def read(path: Path, student: str) -> Submission:
    """The submission in a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no notebook, or no lesson of the course.
    """
    data = path.read_bytes()
    cells = list(_cells(path, data))
    kept, left_out = [], []
    for kind, source in cells:
        if kind == "code":
            some, rest = _reduced(source)
            kept += some
            left_out += rest
    lesson = _lesson(path, kept, [source for kind, source in cells if kind == "markdown"])
    stored = (node for one in left_out for node in ast.walk(one) if isinstance(node, ast.Name))
    elsewhere = frozenset(node.id for node in stored if isinstance(node.ctx, ast.Store))
    return Submission(
        path, student, lesson, tuple(kept), elsewhere, hashlib.sha256(data).hexdigest()
    )


def _cells(path: Path, data: bytes) -> Iterator[tuple[str, str]]:
    """Kind and source of each cell of a notebook of format 4."""
    try:
        notebook = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no notebook: it is not JSON ({error})") from None
    if not isinstance(notebook, dict) or "cells" not in notebook:
        raise ValueError(
            f"{path} is no notebook of format 4: it has no cells. Open it in JupyterLab, save it "
            "and hand it in again"
        )
    try:
        for cell in notebook["cells"]:
            yield str(cell["cell_type"]), "".join(cell["source"])
    except (LookupError, TypeError) as error:
        raise ValueError(f"{path} is no notebook: a cell of it is damaged ({error!r})") from None


def _reduced(source: str) -> tuple[list[Cell], list[ast.stmt]]:
    """What is left of a cell, and the statements that are left out. What only names things is a
    cell each: a function may have a default that nothing has made, and must not stop the next."""
    try:
        tree = ast.parse(TransformerManager().transform_cell(source))
    except (SyntaxError, ValueError, RecursionError):
        # Python will say at the cell what is wrong with it, if an exercise is in it
        ids = tuple(dict.fromkeys(CHECK.findall(source)))
        return [Cell(source, ids)] if ids else [], []
    calls = [node for node in ast.walk(tree) if _calls_check(node)]
    if calls:
        ids = tuple(dict.fromkeys(id for call in calls for id in _ids(call)))
        return [Cell(source, ids)], []
    kept = [node for node in tree.body if _only_names(node)]
    return [Cell(ast.unparse(node)) for node in kept], [n for n in tree.body if n not in kept]


def _calls_check(node: ast.AST) -> bool:
    name = getattr(node, "func", None)
    return isinstance(node, ast.Call) and "check" in (
        getattr(name, "id", None),
        getattr(name, "attr", None),
    )


def _ids(call: ast.AST) -> list[str]:
    """The id of a call of `check`, if it stands there as text."""
    given = [*call.args[:1], *(word.value for word in call.keywords if word.arg == "id")]
    return [one.value for one in given if isinstance(getattr(one, "value", None), str)]


def _only_names(node: ast.stmt) -> bool:
    """Whether a statement only gives a name to something."""
    if isinstance(node, ast.Try):
        parts = [*node.body, *node.orelse, *node.finalbody]
        parts += [one for handler in node.handlers for one in handler.body]
        return all(isinstance(part, ast.Import | ast.ImportFrom | ast.Pass) for part in parts)
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return isinstance(node.value, ast.Lambda) or _is_literal(node.value)
    return isinstance(node, NAMES)


def _is_literal(value: ast.expr | None) -> bool:
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _lesson(path: Path, cells: Sequence[Cell], texts: Sequence[str]) -> str:
    """The lesson that most checks are of; without any, that of the heading "# 05 · ..."."""
    known = book.lessons()
    checked = Counter(id.partition(".")[0].zfill(2) for cell in cells for id in cell.ids)
    headings = [found[1] for text in texts if (found := re.match(r"#\s+(\d\d)\b", text))]
    for lesson in [*(lesson for lesson, _ in checked.most_common()), *headings]:
        if lesson in known:
            return lesson
    raise ValueError(
        f'{path}: no lesson can be told. No cell calls check("N.M", ...) of a known exercise, and '
        'no heading begins as "# 05 · Distillation" does'
    )
