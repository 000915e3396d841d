"""The reader's own library: `check` keeps every right answer in my_course.py, `mine` uses it.

The file lies beside the reader's progress. Each answer is a section that stands alone, with the
imports, constants and helpers that it uses, so a later lesson can run it in another notebook.
"""

import ast
import contextlib
import importlib
import inspect
import io
import linecache
import os
import re
import textwrap
import types
import warnings
from pathlib import Path
from typing import Any

import filelock

from cinv_lib.course.workbook import exercise as book
from cinv_lib.course.workbook.exercise import Exercise
from cinv_lib.course.workbook.grade import grade
from cinv_lib.machine.files import write_text
from cinv_lib.machine.folders import progress_file

HEAD = '''"""My own answers to the exercises of the course.

`check` keeps each right answer here; `mine("1.1")` in a later lesson uses it. Every section stands
alone and is tried again before it is used, so you may change or delete one.
"""
'''
MADE = ("def ", "@")  # how what is no import and no constant begins
SECTION = re.compile(r"^# ==== (\S+): .*$", re.M)

_unkept: dict[tuple[Path, str], Any] = {}  # right answers that the file could not take


class NoSource(ValueError):
    """The source of an answer cannot be had, or does not stand alone."""


def place() -> Path:
    """The reader's file, beside the reader's progress."""
    return progress_file().with_name("my_course.py")


def keep(exercise: Exercise, answer: Any) -> str:
    """Keep a right answer, in place of an earlier one; "" or why the file does not have it.

    What the file cannot take is known to `mine` until the kernel ends.
    """
    file = place()
    try:
        source = _alone(exercise, answer)
        file.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(progress_file().with_suffix(".lock"), timeout=10):
            head, sections = _read(file)
            if sections.get(exercise.id) != source:
                write_text(file, _text(head, sections | {exercise.id: source}))
    except NoSource as error:
        said = str(error)
    except (OSError, filelock.Timeout) as error:
        said = f"it cannot be written: {error}"
    else:
        _unkept.pop((file, exercise.id), None)
        return ""
    _unkept[file, exercise.id] = answer
    return f"Not kept in {file.name}, as {said}. Later lessons use the library's own."


def own_answers() -> dict[str, str]:
    """The reader's right answers: the id of each exercise, and the name that its cell defines."""
    file = place()
    ids = {*_sections(file), *(id for other, id in _unkept if other == file)}
    return {id: book.find(id).name for id in sorted(ids, key=_order) if _known(id)}


def mine(id: str) -> Any:
    """The reader's own right answer to an exercise, else the library's; it says whose it is.

    Raises KeyError: there is no such exercise.
    """
    exercise, file = book.find(id), place()
    whence = f", from {file.name}"
    if (file, id) in _unkept:
        answer, fault, whence = _unkept[file, id], "", ""
    elif id in (sections := _sections(file)):
        answer, fault = _tried(exercise, sections[id])
    else:
        answer, fault = None, f'you have none yet; `check("{id}")` keeps it once it is right'
    if not fault:
        print(f"{exercise.name} ({id}): your own{whence}")
        return answer
    print(f"{exercise.name} ({id}): the library's own ({fault})")
    return exercise.reference if exercise.is_function else exercise.reference()


# -- the source of an answer -------------------------------------------------------------------
def _alone(exercise: Exercise, answer: Any) -> str:
    """The source of an answer with all that it uses. Raises NoSource."""
    if exercise.is_function:
        parts: dict[str, str] = {}
        _collect(answer, exercise.name, parts)
        made = [part for part in parts.values() if part.startswith(MADE)]
        plain = sorted(set(parts.values()) - set(made))
        source = "\n\n\n".join(["\n".join(plain), *made]).strip()
    else:
        source = f"{exercise.name} = {_literal(answer)}"
    if SECTION.search(source):
        raise NoSource("one of its lines begins as a section of that file does")
    _, fault = _tried(exercise, source)
    if fault:
        raise NoSource(f"its source does not stand alone ({fault})")
    return source


def _collect(value: Any, name: str, parts: dict[str, str]) -> None:
    """Add the source that makes `value` known as `name`, after that of what it uses."""
    if name in parts:
        return
    parts[name] = ""  # before its helpers, which may call it
    try:
        source = textwrap.dedent(inspect.getsource(value)).strip()
        (node,) = ast.parse(source).body
    except (OSError, TypeError, ValueError, SyntaxError) as error:
        raise NoSource(f"the source of {name} cannot be had") from error
    if not isinstance(node, ast.FunctionDef):
        raise NoSource(f"{name} is not made by `def`")
    known = inspect.unwrap(value).__globals__
    used = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)} & set(known)
    for other in sorted(used - {name, node.name}):
        _depend(known[other], other, value.__module__, parts)
    del parts[name]  # now it comes after what it uses
    parts[name] = source if node.name == name else f"{source}\n\n{name} = {node.name}"


def _depend(value: Any, name: str, module: str, parts: dict[str, str]) -> None:
    """Add what makes a name known that an answer uses: an import, a constant, a helper."""
    home = getattr(value, "__module__", None)
    if isinstance(value, types.ModuleType):
        plain = value.__name__ == name
        parts[name] = f"import {name}" if plain else f"import {value.__name__} as {name}"
    elif inspect.isroutine(value) or inspect.isclass(value):
        if home == module and inspect.isfunction(value):
            _collect(value, name, parts)
        elif home and getattr(importlib.import_module(home), value.__name__, None) is value:
            parts[name] = f"from {home} import {value.__name__} as {name}"
        else:
            raise NoSource(f"it uses {name}, which cannot be imported")
    else:
        parts[name] = f"{name} = {_literal(value)}"


def _literal(value: Any) -> str:
    """The text of a plain value: a number, a text, a list of such. Raises NoSource for another."""
    try:
        if ast.literal_eval(repr(value)) == value:
            return repr(value)
    except (ValueError, SyntaxError, TypeError, RecursionError):
        pass
    raise NoSource(f"it needs a {type(value).__name__} that has no short text")


def _tried(exercise: Exercise, source: str) -> tuple[Any, str]:
    """The answer that a section makes, and what is wrong with it ("" where it is right)."""
    name = f"<my_course.py, {exercise.id}>"
    space: dict[str, Any] = {"__name__": "my_course"}
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    with contextlib.redirect_stdout(io.StringIO()):  # an answer may print
        try:
            exec(compile(source, name, "exec"), space)
            graded = grade(exercise, space[exercise.name])
        except Exception as error:
            return None, f"{type(error).__name__}: {error}"
    if graded.state == "right" and graded.usable:
        return space[exercise.name], ""
    first = next((one.detail for one in graded.outcomes if one.state != "right"), "")
    return None, first or "it is right, but gives no tensor"


# -- the file ----------------------------------------------------------------------------------
def _read(file: Path) -> tuple[str, dict[str, str]]:
    """What stands before the first section, and the sections by id. A file that is no text is set
    aside, with a warning."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return HEAD, {}
    except UnicodeDecodeError as error:
        aside = file.with_suffix(".damaged.py")
        os.replace(file, aside)
        warnings.warn(f"{file} cannot be read: {error}; kept as {aside.name}", stacklevel=4)
        return HEAD, {}
    head, *rest = SECTION.split(text)
    return head, dict(zip(rest[::2], map(str.strip, rest[1::2]), strict=True))


def _sections(file: Path) -> dict[str, str]:
    try:
        return _read(file)[1]
    except OSError as error:
        warnings.warn(f"your answers in {file} cannot be read: {error}", stacklevel=3)
        return {}


def _text(head: str, sections: dict[str, str]) -> str:
    parts = [head.rstrip()]
    for id in sorted(sections, key=_order):
        title = book.find(id).title if _known(id) else "of an exercise that is no more"
        parts.append(f"# ==== {id}: {title} ====\n{sections[id]}")
    return "\n\n\n".join(parts) + "\n"


def _order(id: str) -> tuple[int, ...]:
    """A section's place: that of its exercise in the course. What is no id comes last."""
    parts = id.split(".")
    return tuple(map(int, parts)) if all(map(str.isdecimal, parts)) else (10**6,)


def _known(id: str) -> bool:
    try:
        return bool(book.find(id))
    except KeyError:
        return False
