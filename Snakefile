"""The course as a graph: data, then every lesson through papermill, then the index page.

Run by `make course`. A lesson is run again when its own cells, the library, the profile or the
number of seeds changed; what its trainings left in the store is used again.
"""

import hashlib
import json
import re
import sys
from pathlib import Path

PROFILE = str(config.get("profile", "stickers"))
SEEDS = int(config.get("seeds", 1))
GPUS = str(config.get("gpus", ""))
RUN = f"runs/{PROFILE}"
NAMES = {path.stem[:2]: path.stem for path in sorted(Path("notebooks").glob("[0-9][0-9]_*.ipynb"))}
# a progress bar of cells for people, silence for log files
BAR = "--progress-bar" if sys.stderr.isatty() else "--no-progress-bar"


def wanted(lessons: str) -> list[str]:
    """Names of the notebooks of "all", or of numbers: "00 05", "0,5"."""
    if lessons == "all":
        return list(NAMES.values())
    numbers = [number.zfill(2) for number in re.split(r"[\s,]+", lessons.strip()) if number]
    for number in numbers:
        if number not in NAMES:
            raise ValueError(f"no lesson {number!r}; there are: {' '.join(NAMES)} (or: all)")
    return [NAMES[number] for number in numbers]


def library() -> str:
    """A hash of what the lessons compute with."""
    digest = hashlib.sha256()
    for folder in ("cinv_lib", "data_prep"):
        for path in sorted(Path(folder).rglob("*")):
            if path.suffix in {".py", ".json", ".md", ".txt"} and path.stem not in {"doctor", "site"}:
                digest.update(path.as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def cells(name: str) -> str:
    """A hash of a notebook's sources, not of its outputs, which are committed too."""
    notebook = json.loads(Path("notebooks", f"{name}.ipynb").read_text(encoding="utf-8"))
    sources = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()[:16]


LIBRARY = library()
LESSONS = wanted(str(config.get("lessons", "all")))


rule course:
    input:
        f"{RUN}/index.html",


rule data:
    output:
        touch(f"{RUN}/.data-ready"),
    message:
        f"data of the profile {PROFILE}"
    shell:
        "python -m data_prep {PROFILE}"


rule lesson:
    input:
        data=ancient(f"{RUN}/.data-ready"),
        # ancient: its outputs are rewritten when a run is committed; `cells` says what changed
        notebook=ancient("notebooks/{name}.ipynb"),
    output:
        f"{RUN}/notebooks/{{name}}.ipynb",
    log:
        f"{RUN}/logs/{{name}}.log",
    params:
        cells=lambda wildcards: cells(wildcards.name),
        library=LIBRARY,
        seeds=SEEDS,
        failed=f"{RUN}/logs/{{name}}.failed.ipynb",
    message:
        "lesson {wildcards.name}"
    shell:
        # Run under another name: a lesson that stops keeps its notebook, with the error, in logs/.
        """
        gpus=({GPUS}); number={wildcards.name}; number=$((10#${{number:0:2}}))
        [ ${{#gpus[@]}} -eq 0 ] || export CUDA_VISIBLE_DEVICES=${{gpus[$((number % ${{#gpus[@]}}))]}}
        rm -f {params.failed}
        papermill {input.notebook} {params.failed} --kernel python3 --cwd notebooks {BAR} \
            --parameters profile {PROFILE} --parameters seeds {SEEDS} \
            --stdout-file {log} --stderr-file {log} || {{
            echo "lesson {wildcards.name} stopped: see {params.failed} and {log}" >&2; exit 1; }}
        mv {params.failed} {output}
        """


rule site:
    input:
        expand(f"{RUN}/notebooks/{{name}}.ipynb", name=LESSONS),
    output:
        f"{RUN}/index.html",
    message:
        "index page"
    shell:
        "python -m cinv_lib.site {RUN}"
