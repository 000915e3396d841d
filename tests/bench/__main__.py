"""`python -m tests.bench [NAME ...]`: time the library against the usual way of writing it.

Every other file here has `rows()`, which yields one mapping a measurement, with the same keys in
every file: what is measured, the library's time, the other's, their ratio, and the goal. One bench
named alone takes whole numbers for the arguments of its `rows`: `bench_imagenet100 --steps 50`.
"""

import importlib
import os
import platform
import sys
from pathlib import Path

import pandas as pd

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def main(arguments: list[str]) -> int:
    """Print the table of the named benches, or of all."""
    flags = next((i for i, word in enumerate(arguments) if word.startswith("--")), len(arguments))
    names, given = arguments[:flags], arguments[flags:]
    try:
        options = {k[2:]: int(v) for k, v in zip(given[::2], given[1::2], strict=True)}
    except ValueError:
        print(f"{' '.join(given)}: expected --NAME NUMBER, in pairs", file=sys.stderr)
        return 2
    if options and len(names) != 1:
        print("options are those of one bench: name it, and no other", file=sys.stderr)
        return 2
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"no bench {unknown[0]!r}; there are: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    rows = []
    for name in names or NAMES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        found = importlib.import_module(f"tests.bench.{name}").rows(**options)
        rows += [{"bench": name, **row} for row in found]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print(pd.DataFrame(rows).to_string(index=False, na_rep="", float_format=lambda x: f"{x:.3g}"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
