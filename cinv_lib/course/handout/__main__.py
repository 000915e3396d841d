"""Write a teacher's folder: `python -m cinv_lib.course.handout DIR`.

The key is executed, which takes about half a minute for each lesson. What is there already stays,
so the command may be stopped and started again.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from cinv_lib.course.handout import folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 1 where a key did not run to its end."""
    parser = argparse.ArgumentParser("python -m cinv_lib.course.handout", description=__doc__)
    parser.add_argument("folder", type=Path, help="what is written into; it is made")
    parser.add_argument("--lessons", nargs="+", default=(), metavar="NN", help="these only")
    parser.add_argument("--no-run", action="store_true", help="a key without outputs, in seconds")
    parser.add_argument(
        "--solutions", type=date.fromisoformat, metavar="2026-12-01", help="withheld until that day"
    )
    asked = parser.parse_args(arguments)
    try:
        wrong = folder.write(asked.folder, asked.lessons, not asked.no_run, asked.solutions)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    print(asked.folder / "README.md")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
