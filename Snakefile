"""The course as a graph: data, trainings, tables, every lesson through papermill, the pages.

Run by `make course`; `make graph` shows what it would do. A lesson is run again when its own cells,
the library, the profile, the number of seeds or TABLES changed. A training is the cells tagged `training`
of the lesson that shows it: run again when they or its description changed.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from cinv_lib.course.excerpt import arguments, fingerprint, library, of_profile, tagged, wanted
from cinv_lib.machine import folders, host, locks


def setting(name: str, default: str = "") -> str:
    """A --config as text: snakemake has read "0" as a number, and nothing as None."""
    value = config.get(name, default)
    return "" if value is None else str(value)


PROFILE = setting("profile", "stickers")
SEEDS, TABLES = int(config.get("seeds", 1)), setting("tables", "some")
GPUS = host.gpu_names(setting("gpus"))
SLURM = bool(config.get("slurm"))  # jobs are elsewhere: SLURM gives them their cores and GPUs
# A job's cores, MB and minutes there. Beside a GPU 8 cores decode 224-px pictures; the stickers'
# trainings take minutes and 2 GB. What is cut off goes on when it is asked for again.
CORES, MB, MINUTES = (4, 8_000, 240) if PROFILE in ("stickers", "smoke") else (8, 64_000, 720)
os.environ.update(folders.exported())  # jobs and lessons start in other folders
RUN = folders.run_folder(PROFILE)
if set(RUN) & set("{}\n"):
    raise ValueError(f"{RUN!r}: a run cannot be kept there, as snakemake reads {{ and }} in a path")
# Of two courses of one run each would remove the notebooks that the other has made: one waits.
if workflow.is_main_process and "--dry-run" not in sys.argv:
    HELD = locks.locked(Path(RUN, ".course.lock"), f"the course in {RUN}")
LOGS = os.path.abspath(f"{RUN}/logs")  # a lesson runs in another folder, notebooks
NAMES = {path.stem[:2]: path.stem for path in sorted(Path("notebooks").glob("[0-9][0-9]_*.ipynb"))}


def parameters(name: str, **values) -> str:
    """papermill's arguments for a lesson: of the profile and these values, those that it has."""
    return arguments(f"notebooks/{name}.ipynb", {"profile": PROFILE} | values)


def plan() -> dict:
    """What the lessons need made, from `cinv_lib.lab.plan`; kept, as to ask takes ten seconds."""
    kept = Path(RUN, ".plan", f"{LIBRARY}-{SEEDS}-{TABLES}.json")
    if not kept.exists():
        asked = ["-m", "cinv_lib.lab.plan", PROFILE, "--seeds", str(SEEDS), "--tables", TABLES]
        done = subprocess.run([sys.executable, *asked], stdout=subprocess.PIPE, text=True)
        if done.returncode:  # it has said why
            sys.exit(done.returncode)
        if json.loads(done.stdout).get("absent"):  # what is absent now may be there the next time
            return json.loads(done.stdout)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(done.stdout)
    return json.loads(kept.read_text())


LIBRARY = library("cinv_lib", "data_prep")
# lessons that show a training; without its notebook a training is made as other tasks are
TRAINING = {number for number, name in NAMES.items() if tagged(f"notebooks/{name}.ipynb", "training")}
LESSONS = wanted(setting("lessons", "all"), of_profile(PROFILE, NAMES))
PLAN = plan()
if PROFILE in ("imagenet100", "stl10") and workflow.is_main_process and "CINV_REHEARSAL" not in os.environ:
    asked = f"{PROFILE} --seeds {SEEDS} --gpus {len(GPUS.split()) or 1} --lessons".split()
    subprocess.run([sys.executable, "-m", "cinv_lib.lab.bill", *asked, *(n[:2] for n in LESSONS)])


def before(name: str) -> list[str]:
    """Files that a lesson waits for: those of its tasks; if it sums up others, of all that is asked
    for with it, and the lessons themselves, which have measured something."""
    sums_up, asked = PLAN.get("sums_up", []), PLAN["lessons"]
    others = [o for o in LESSONS if o[:2] in asked and o[:2] not in sums_up and name[:2] in sums_up]
    tasks = [task for lesson in (name, *others) for task in asked.get(lesson[:2], [])]
    return made(list(dict.fromkeys(tasks))) + [f"{RUN}/notebooks/{other}.ipynb" for other in others]


def made(names: list[str]) -> list[str]:
    """Files that show that these tasks are done: of a training, its executed notebook."""
    lessons = {name: PLAN["tasks"][name].get("lesson") for name in names}
    shown = {name: lesson for name, lesson in lessons.items() if lesson in TRAINING}
    return [
        f"{RUN}/trainings/{shown[name]}-{name}.ipynb" if name in shown else f"{RUN}/.made/{name}"
        for name in names
    ]


def share(wildcards, threads):
    """Cores of a job that was given some of snakemake's: its share of those that it may use."""
    return threads if SLURM else max(1, host.cores() * threads // workflow.cores)


# Nothing is taken from the recorded run. A kernel has ten minutes to start, as the machine may be
# busy. Large pages that are kept save a training on a CPU an eighth of its time (glibc reads this).
# A job takes the first of the GPUs that no other job has locked; jobs beyond their number share them.
MALLOC = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=8589934592"
# It is free once the job and all that it started have ended, even killed. (macOS has no `flock`.)
LOCK = "import fcntl; fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)"
SET_UP = """
        export GLIBC_TUNABLES=${{GLIBC_TUNABLES:-{MALLOC}}}
        export CINV_RECORDED=0 OMP_NUM_THREADS={params.cores} MKL_NUM_THREADS={params.cores}
        for turn in {{1..99}}; do for gpu in {GPUS}; do
            exec 9>{RUN:q}/.gpu-${{gpu//\\//-}}.$turn.lock
            if python -c '{LOCK}' 2>/dev/null; then export CUDA_VISIBLE_DEVICES=$gpu; break 2; fi
        done; done
        stopped() {{ echo "$1 stopped: see $2" >&2; [ "${{CINV_REHEARSAL:-}}" ] && echo "$3" >"$2.stopped"; }}
        export CINV_SPEED={LOGS:q}/$name.speed
        echo "begun $name${{CUDA_VISIBLE_DEVICES:+ on GPU $CUDA_VISIBLE_DEVICES}}"
"""


localrules: course, data, site  # a cluster's nodes often have no network


rule course:
    input:
        f"{RUN}/site/index.html",
    message:
        "the course: {input}"


rule data:
    output:
        touch(f"{RUN}/.data-ready"),
    params:
        profile=PROFILE,
    message:
        "python -m data_prep profile {params.profile}"
    shell:
        "echo 'data'; python -m data_prep profile {params.profile:q}"


rule training:
    input:
        data=ancient(f"{RUN}/.data-ready"),
        notebook=lambda wildcards: ancient(f"notebooks/{NAMES[wildcards.lesson]}.ipynb"),
    output:
        f"{RUN}/trainings/{{lesson}}-{{task}}.ipynb",
    wildcard_constraints:
        lesson=r"\d\d",
    log:
        f"{RUN}/logs/{{lesson}}-{{task}}.log",
    threads: CORES if SLURM else 1
    resources: mem_mb=MB, runtime=MINUTES
    params:
        address=lambda wildcards: PLAN["tasks"][wildcards.task]["address"],
        cells=lambda wildcards: fingerprint(f"notebooks/{NAMES[wildcards.lesson]}.ipynb", "training"),
        parameters=lambda wildcards: parameters(
            NAMES[wildcards.lesson], **PLAN["tasks"][wildcards.task]["parameters"]
        ),
        failed=f"{RUN}/logs/{{lesson}}-{{task}}.failed.ipynb",
        cores=share,
    message:
        "papermill {input.notebook} {params.parameters}"
    shell:
        "name={wildcards.task:q}"
        + SET_UP
        + """
        python -m cinv_lib.course.excerpt {input.notebook:q} training | \
            python -m papermill - {params.failed:q} --kernel python3 --cwd notebooks \
            --start-timeout 600 --no-progress-bar --log-output {params.parameters} \
            >{log:q} 2>&1 || {{ tail -n 3 {log:q} >&2
            stopped "$name" {params.failed:q} {output:q} || exit 1; }}
        mv {params.failed:q} {output:q}
        echo "$name: done in $((SECONDS / 60)) min $((SECONDS % 60)) s"
        """


rule task:
    input:
        data=ancient(f"{RUN}/.data-ready"),
        after=lambda wildcards: made(PLAN["tasks"][wildcards.task]["after"]),
    output:
        touch(f"{RUN}/.made/{{task}}"),
    log:
        f"{RUN}/logs/{{task}}.log",
    threads: CORES if SLURM else 1
    resources: mem_mb=MB, runtime=MINUTES
    params:
        address=lambda wildcards: PLAN["tasks"][wildcards.task]["address"],
        cores=share,
    message:
        "python -m cinv_lib.lab.plan {PROFILE} --make {wildcards.task}"
    shell:
        "name={wildcards.task:q}"
        + SET_UP
        + """
        python -m cinv_lib.lab.plan {PROFILE:q} --seeds {SEEDS} --make {wildcards.task:q} \
            >{log:q} 2>&1 || {{
            tail -n 3 {log:q} >&2; stopped "$name" {log:q} {output:q} || exit 1; }}
        echo "$name: done in $((SECONDS / 60)) min $((SECONDS % 60)) s"
        """


rule lesson:
    input:
        data=ancient(f"{RUN}/.data-ready"),
        made=lambda wildcards: before(wildcards.name),
        # ancient: its outputs are rewritten when a run is committed; `cells` says what changed
        notebook=ancient("notebooks/{name}.ipynb"),
    output:
        f"{RUN}/notebooks/{{name}}.ipynb",
    log:
        printed=f"{RUN}/logs/{{name}}.log",
        errors=f"{RUN}/logs/{{name}}.err",
    threads: CORES if SLURM else 1
    resources: mem_mb=MB, runtime=MINUTES
    params:
        cells=lambda wildcards: fingerprint(f"notebooks/{wildcards.name}.ipynb"),
        library=LIBRARY,
        parameters=lambda wildcards: parameters(wildcards.name, seeds=SEEDS),
        absent=PLAN.get("absent", []),  # run again once it is there
        failed=f"{RUN}/logs/{{name}}.failed.ipynb",
        cores=share,
    message:
        "papermill {input.notebook} {params.parameters}"
    shell:
        # It runs under another name: a lesson that stops keeps its notebook and error in logs
        "name='lesson '{wildcards.name:q}"
        + SET_UP
        + """
        export CINV_LESSON={wildcards.name:q} CINV_FRAMES={LOGS:q}/../frames/{wildcards.name:q}
        rm -rf {params.failed:q} "$CINV_FRAMES"; : >{log.printed:q}; : >{log.errors:q}
        python -m papermill {input.notebook:q} {params.failed:q} --kernel python3 \
            --cwd notebooks --start-timeout 600 --no-progress-bar --log-level WARNING {params.parameters} \
            --stdout-file {LOGS:q}/{wildcards.name:q}.log \
            --stderr-file {LOGS:q}/{wildcards.name:q}.err || {{
            stopped "$name" {params.failed:q} {output:q} || exit 1; }}
        mv {params.failed:q} {output:q}
        echo "$name: done in $((SECONDS / 60)) min $((SECONDS % 60)) s"
        """


rule site:
    input:
        expand(f"{RUN}/notebooks/{{name}}.ipynb", name=LESSONS),
    output:
        f"{RUN}/site/index.html",
    message:
        "python -m cinv_lib.course.site {RUN}"
    shell:
        "python -m cinv_lib.course.site {RUN:q} >/dev/null"
