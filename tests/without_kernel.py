"""`python -m papermill` for tests of the course's graph: cells run here, as no kernel has to start.

It takes the arguments that the Snakefile gives papermill, and leaves what papermill leaves: the
notebook with its parameters and outputs, the printed lines, and an exit code. It imports nothing
that takes time. `test_course_stops_and_goes_on` has papermill itself, and kernels.
"""

import argparse
import ast
import contextlib
import io
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any


def value(text: str) -> Any:
    """A parameter as papermill reads it: a number, True, False or None, else a text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("given")
    parser.add_argument("out")
    parser.add_argument("-p", dest="parameters", nargs=2, action="append", default=[])
    for name in ("--kernel", "--cwd", "--start-timeout", "--log-level"):
        parser.add_argument(name, required=name in ("--kernel", "--cwd"))
    for name in ("--no-progress-bar", "--log-output"):
        parser.add_argument(name, action="store_true")
    for name in ("--stdout-file", "--stderr-file"):
        parser.add_argument(name, type=Path)
    asked = parser.parse_args()
    given = sys.stdin.read() if asked.given == "-" else Path(asked.given).read_text()
    notebook, namespace = json.loads(given), {"__name__": "__main__"}
    cells, tags = notebook["cells"], {"tags": ["injected-parameters"]}
    (i,) = [i for i, cell in enumerate(cells) if "parameters" in cell["metadata"].get("tags", [])]
    lines = "\n".join(f"{name} = {value(text)!r}" for name, text in asked.parameters)
    injected = {"cell_type": "code", "id": "injected", "metadata": tags, "source": lines}
    cells.insert(i + 1, injected)
    out, printed, failed = Path(asked.out).absolute(), io.StringIO(), ""
    os.chdir(asked.cwd)
    for cell in cells:
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            try:
                exec("".join(cell["source"]), namespace)
            except Exception:
                failed = traceback.format_exc()
        stream = {"output_type": "stream", "name": "stdout", "text": text.getvalue()}
        cell["outputs"] = [stream] if stream["text"] else []
        printed.write(stream["text"])
        if failed:
            error = {"output_type": "error", "ename": "", "evalue": "", "traceback": [failed]}
            cell["outputs"].append(error)
            break
    out.write_text(json.dumps(notebook))
    if asked.stdout_file:
        asked.stdout_file.write_text(printed.getvalue())
    if asked.log_output:
        print(printed.getvalue(), end="")
    print(failed, end="", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
