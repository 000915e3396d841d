"""The course as a graph: data, trainings and scores, every lesson through papermill, the index page.

Run by `make course`; `make graph` shows what it would do. A lesson is run again when its own cells,
the library, the profile or the number of seeds changed; a training when its description did.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

PROFILE = str(config.get("profile", "stickers"))
SEEDS = int(config.get("seeds", 1))
GPUS = str(config.get("gpus") or "")
RUN = os.path.join(os.environ.get("CINV_RUNS") or "runs", PROFILE)
NAMES = {path.stem[:2]: path.stem for path in sorted(Path("notebooks").glob("[0-9][0-9]_*.ipynb"))}
CORE = "00 01 05 06 15"  # the shortest way from a picture to a verdict
# a progress bar of cells for people, silence for log files
BAR = "--progress-bar" if sys.stderr.isatty() else "--no-progress-bar"


def wanted(lessons: str) -> list[str]:
    """Names of the notebooks of "all", of "core", or of numbers: "00 05", "0,5"."""
    if lessons == "all":
        return list(NAMES.values())
    lessons = CORE if lessons == "core" else lessons
    numbers = [number.zfill(2) for number in re.split(r"[\s,]+", lessons.strip()) if number]
    for number in numbers:
        if number not in NAMES:
            raise ValueError(f"no lesson {number!r}; there are: {' '.join(NAMES)} (or: core, all)")
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


def plan() -> dict:
    """What the lessons need made, from `cinv_lib.plan`; kept, since to ask takes ten seconds."""
    kept = Path(RUN, ".plan", f"{LIBRARY}-{SEEDS}.json")
    if not kept.exists():
        asked = [sys.executable, "-m", "cinv_lib.plan", PROFILE, "--seeds", str(SEEDS)]
        text = subprocess.run(asked, check=True, stdout=subprocess.PIPE, text=True).stdout
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(text)
    return json.loads(kept.read_text())


LIBRARY = library()
LESSONS = wanted(str(config.get("lessons", "all")))
PLAN = plan()


def made(names: list[str]) -> list[str]:
    """The marks of these tasks."""
    return [f"{RUN}/.made/{name}" for name in names]


def threads(rule_threads: int) -> int:
    """Cores of a job that was given some of snakemake's: its share of the machine's."""
    return max(1, (os.cpu_count() or 1) * rule_threads // workflow.cores)


# Its own GPU for each job, where several are named: the first that no other job has locked.
SLOT = f"""
for gpu in {GPUS}; do
    exec 9>{RUN}/.gpu-$gpu.lock
    if flock --nonblock 9; then export CUDA_VISIBLE_DEVICES=$gpu; break; fi
done
"""


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


rule task:
    input:
        data=ancient(f"{RUN}/.data-ready"),
        after=lambda wildcards: made(PLAN["tasks"][wildcards.task]["after"]),
    output:
        touch(f"{RUN}/.made/{{task}}"),
    log:
        f"{RUN}/logs/{{task}}.log",
    params:
        address=lambda wildcards: PLAN["tasks"][wildcards.task]["address"],
        cores=threads(1),
        slot=SLOT,
    shell:
        # Nothing is taken from the recorded run: a course that was run has trained its students.
        """
        echo "{wildcards.task}"
        export CINV_RECORDED=0 OMP_NUM_THREADS={params.cores} MKL_NUM_THREADS={params.cores}
        {params.slot}
        python -m cinv_lib.plan {PROFILE} --seeds {SEEDS} --make "{wildcards.task}" >{log} 2>&1 || {{
            tail -n 3 {log} >&2; echo "{wildcards.task} stopped: see {log}" >&2; exit 1; }}
        echo "{wildcards.task}: done in $((SECONDS / 60)) min $((SECONDS % 60)) s"
        """


rule lesson:
    input:
        data=ancient(f"{RUN}/.data-ready"),
        made=lambda wildcards: made(PLAN["lessons"].get(wildcards.name[:2], [])),
        # ancient: its outputs are rewritten when a run is committed; `cells` says what changed
        notebook=ancient("notebooks/{name}.ipynb"),
    output:
        f"{RUN}/notebooks/{{name}}.ipynb",
    log:
        printed=f"{RUN}/logs/{{name}}.log",
        errors=f"{RUN}/logs/{{name}}.err",
    threads: workflow.cores if not GPUS else 1
    params:
        cells=lambda wildcards: cells(wildcards.name),
        library=LIBRARY,
        parameters=lambda wildcards: parameters(wildcards.name),
        failed=f"{RUN}/logs/{{name}}.failed.ipynb",
        cores=threads(workflow.cores if not GPUS else 1),
        slot=SLOT,
    shell:
        # It runs under another name: a lesson that stops keeps its notebook, with the error, in logs/.
        """
        echo "lesson {wildcards.name}"
        export CINV_RECORDED=0 OMP_NUM_THREADS={params.cores} MKL_NUM_THREADS={params.cores}
        {params.slot}
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
