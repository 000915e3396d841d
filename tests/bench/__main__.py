"""`python -m tests.bench [NAME ...]`: time the library against the usual way of writing it.

Every other file here has `rows()`, which yields one mapping a measurement, with the same keys in
every file: what is measured, the library's time, the other's, their ratio, and the goal.
"""

import importlib
import os
import platform
import sys
from pathlib import Path

import pandas as pd

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def main(names: list[str]) -> int:
    """Print the table of the named benches, or of all."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"no bench {unknown[0]!r}; there are: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    rows = []
    for name in names or NAMES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        found = importlib.import_module(f"tests.bench.{name}").rows()
        rows += [{"bench": name, **row} for row in found]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print(pd.DataFrame(rows).to_string(index=False, na_rep="", float_format=lambda x: f"{x:.3g}"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
