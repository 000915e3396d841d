"""Run lessons with the parameters that they stand with, and keep their outputs in `notebooks/`.

What differs between two runs, or means nothing outside its kernel, is taken out: stderr,
papermill's notes, live views of widgets (the picture beside each stays).
"""

import argparse
import base64
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from unittest import mock

import nbformat
import papermill
from PIL import Image

from cinv_lib.machine.files import write_text
from cinv_lib.machine.folders import ROOT
from cinv_lib.plots.panels.panel import keep_pictures

NOTEBOOKS = ROOT / "notebooks"
LARGE = 60_000  # letters of a picture in a notebook, base64


def publish(numbers: Iterable[str], folder: Path = NOTEBOOKS) -> None:
    """Execute the lessons of these numbers, in place. A lesson that fails is left as it was.

    Raises:
        ValueError: there is no lesson of a number, or no number. Then nothing is run.
        papermill.PapermillExecutionError: a cell raised.
    """
    there = {path.stem[:2]: path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    wanted = [number.zfill(2) for number in numbers]
    unknown = [number for number in wanted if number not in there]
    if unknown or not wanted:
        asked = f"no lesson {', '.join(unknown)}" if unknown else "no lesson was named"
        raise ValueError(f"{asked}; there are {', '.join(there)} (--lessons NN)")
    for number in wanted:
        run(there[number])


def run(path: Path) -> None:
    """Execute one notebook and write it with its outputs and the seconds that it took."""
    before = nbformat.read(path, as_version=4)
    start = time.perf_counter()
    with nothing_attempted():
        done = papermill.execute_notebook(
            str(path), None, {}, kernel_name="python3", cwd=str(path.parent), log_output=False
        )
    seconds = time.perf_counter() - start
    cleaned(done)
    course = dict(before.metadata.get("course", {})) | {"run_seconds": round(seconds)}
    kept = {k: v for k, v in before.metadata.items() if k == "kernelspec"}
    done.metadata = nbformat.from_dict(kept | {"course": course})
    write_text(path, nbformat.writes(done) + "\n")
    print(f"{path.stem}: {seconds:.0f} s")


@contextmanager
def nothing_attempted() -> Iterator[None]:
    """Kernels started meanwhile know nothing of what this reader has done: no answer and no run, or
    lesson 15 would compare the recorded run with itself."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ):
        os.environ |= {"CINV_PROGRESS": f"{folder}/progress.json", "CINV_RUNS": f"{folder}/runs"}
        yield


def cleaned(notebook: nbformat.NotebookNode) -> None:
    """Take out of an executed notebook what should not be kept, in place."""
    for cell in notebook.cells:
        for key in ("papermill", "execution", "widgets"):
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags"):
            cell.metadata.pop("tags", None)
        if cell.cell_type == "code":
            kept = [o for o in cell.outputs if getattr(o, "name", "") != "stderr"]
            cell.outputs = [o for o in kept if not _is_bar(o)]
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    output.data["image/png"] = smallest(output.data["image/png"])
    keep_pictures(notebook)


def smallest(picture: str) -> str:
    """A PNG file, in base64, in fewer bytes: everybody who clones the course loads all of them.

    A small file keeps its pixels. A large one, of photographs or noise, is kept in the 256
    colours that fit it best, which differ from its own by a few grey levels.
    """
    drawn, buffer = Image.open(BytesIO(base64.b64decode(picture))), BytesIO()
    if len(picture) > LARGE and drawn.mode != "P":
        drawn = drawn.convert("RGB").quantize(256, kmeans=3, dither=Image.Dither.NONE)
    drawn.save(buffer, format="PNG", optimize=True)
    return min(picture, base64.b64encode(buffer.getvalue()).decode(), key=len)


def _is_bar(output: nbformat.NotebookNode) -> bool:
    """Whether an output is a progress bar: a widget without a picture."""
    data = output.get("data", {})
    return "application/vnd.jupyter.widget-view+json" in data and "image/png" not in data


def main() -> None:
    """Entry point of `python -m cinv_lib.course.publish --lessons NN ...`."""
    parser = argparse.ArgumentParser("python -m cinv_lib.course.publish", description=__doc__)
    parser.add_argument("--lessons", nargs="+", metavar="NN", default=[], help="to publish")
    publish(parser.parse_args().lessons)


if __name__ == "__main__":
    main()
