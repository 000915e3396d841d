"""Some cells of a lesson as a notebook of their own: those that have a tag.

`make course` runs the cells tagged `training` of lessons 05 and 07 once for every training:

    python -m cinv_lib.course.excerpt notebooks/05_distillation.ipynb training |
        papermill - out.ipynb
"""

import argparse
import json
from pathlib import Path
from typing import Any


def excerpt(notebook: dict[str, Any], tag: str) -> dict[str, Any]:
    """The notebook (format 4, as its JSON) with only the cells that have the tag, in their order.

    Raises:
        ValueError: no cell has it.
    """
    cells = [cell for cell in notebook["cells"] if tag in cell["metadata"].get("tags", [])]
    if not cells:
        raise ValueError(f"no cell has the tag {tag!r}; give it to those that belong together")
    return notebook | {"cells": cells}


def main() -> None:
    """Print the excerpt of a notebook file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("tag")
    given = parser.parse_args()
    try:
        made = excerpt(json.loads(given.notebook.read_text(encoding="utf-8")), given.tag)
    except ValueError as error:
        parser.error(f"{given.notebook}: {error}")
    print(json.dumps(made))


if __name__ == "__main__":
    main()
