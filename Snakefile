"""The course as a graph: data, then every lesson through papermill, then the index page.

Run by `make course`. A lesson is run again when its own cells, the library, the profile or the
number of seeds changed; what its trainings left in the store is used again.
"""

import hashlib
import json
import os
import re
import sys
from pathlib import Path

PROFILE = str(config.get("profile", "stickers"))
SEEDS = int(config.get("seeds", 1))
GPUS = str(config.get("gpus") or "")
RUN = os.path.join(os.environ.get("CINV_RUNS") or "runs", PROFILE)
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


def parameters(name: str) -> str:
    """papermill's arguments: `profile`, and `seeds` where the notebook has it."""
    notebook = json.loads(Path("notebooks", f"{name}.ipynb").read_text(encoding="utf-8"))
    tagged = [c for c in notebook["cells"] if "parameters" in c["metadata"].get("tags", [])]
    has = {line.partition("=")[0].strip() for c in tagged for line in "".join(c["source"]).split("\n")}
    values = {"profile": PROFILE, "seeds": SEEDS}
    return " ".join(f"--parameters {key} {values[key]}" for key in values if key in has)


LIBRARY = library()
# Snakemake would give a lesson one thread; each may use its share of the machine.
THREADS = max(1, (os.cpu_count() or 1) // workflow.cores)
LESSONS = wanted(str(config.get("lessons", "all")))


rule course:
    input:
        f"{RUN}/index.html",


rule data:
    output:
        touch(f"{RUN}/.data-ready"),
    params:
        name="stickers" if PROFILE == "smoke" else PROFILE,
    shell:
        "echo 'data'; python -m data_prep {params.name}"


rule lesson:
    input:
        data=ancient(f"{RUN}/.data-ready"),
        # ancient: its outputs are rewritten when a run is committed; `cells` says what changed
        notebook=ancient("notebooks/{name}.ipynb"),
    output:
        f"{RUN}/notebooks/{{name}}.ipynb",
    log:
        printed=f"{RUN}/logs/{{name}}.log",
        errors=f"{RUN}/logs/{{name}}.err",
    params:
        cells=lambda wildcards: cells(wildcards.name),
        library=LIBRARY,
        parameters=lambda wildcards: parameters(wildcards.name),
        failed=f"{RUN}/logs/{{name}}.failed.ipynb",
    shell:
        # Nothing is taken from the recorded run: a course that was run has trained its students.
        # It runs under another name: a lesson that stops keeps its notebook, with the error, in logs/.
        """
        echo "lesson {wildcards.name}"
        export CINV_RECORDED=0 OMP_NUM_THREADS={THREADS} MKL_NUM_THREADS={THREADS}
        gpus=({GPUS}); number={wildcards.name}; number=$((10#${{number:0:2}}))
        [ ${{#gpus[@]}} -eq 0 ] || export CUDA_VISIBLE_DEVICES=${{gpus[$((number % ${{#gpus[@]}}))]}}
        rm -f {params.failed}; : >{log.printed}; : >{log.errors}
        papermill {input.notebook} {params.failed} --kernel python3 --cwd notebooks {BAR} --log-level WARNING \
            {params.parameters} \
            --stdout-file "$(realpath {log.printed})" --stderr-file "$(realpath {log.errors})" || {{
            echo "lesson {wildcards.name} stopped: see {params.failed}" >&2; exit 1; }}
        mv {params.failed} {output}
        echo "lesson {wildcards.name}: done in $((SECONDS / 60)) min $((SECONDS % 60)) s"
        """


rule site:
    input:
        expand(f"{RUN}/notebooks/{{name}}.ipynb", name=LESSONS),
    output:
        f"{RUN}/index.html",
    shell:
        "python -m cinv_lib.site {RUN} >/dev/null"
