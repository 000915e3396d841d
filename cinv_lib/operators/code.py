"""Operators of a reader's own in a file, for processes that run no cell of a notebook."""

import hashlib
import sys
from pathlib import Path
from types import ModuleType

from cinv_lib.operators.base import CLASS, OPERATORS


def load_code(path: str | Path) -> str:
    """Run a Python file that defines operators, whose texts ("rows:0.3") are known from then on.

    What the file imports may lie beside it. Run again, it defines its operators anew.

    Returns:
        a fingerprint of its text, another one for each version of the file.

    Raises FileNotFoundError for a path that is no file, ValueError for a file that is not Python's
    or defines no operator; what the file itself raises, with its path.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} is no file; expected a Python file with operators, my_ops.py"
        )
    if file.suffix != ".py":
        raise ValueError(
            f"{file} is not called *.py; expected a Python file: copy the class out of the "
            "notebook into one, with its imports"
        )
    text = file.read_bytes()
    module = ModuleType(f"own_operators_{file.stem}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module  # a dataclass looks for its module there
    if (folder := str(file.resolve().parent)) not in sys.path:
        sys.path.append(folder)  # last, so that it hides nothing
    before = set(OPERATORS.values())
    try:
        exec(compile(text, str(file), "exec"), vars(module))
    except Exception as error:
        error.add_note(f"while the operators of {file} were loaded")
        raise
    if set(OPERATORS.values()) <= before:
        raise ValueError(f"{file} defines no operator; expected a class such as{CLASS}")
    return hashlib.sha256(text).hexdigest()[:16]
