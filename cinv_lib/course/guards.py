"""Can this profile be trained here? Asked before its first training, and by `make doctor PROFILE=`.

    python -m cinv_lib.course.guards profile=imagenet100 seeds=1 lessons=all gpus="0 1"

`make course` asks for every profile but those that are embedded. A line a check, as `make doctor`
prints them; where one fails, nothing is begun. On a cluster (slurm=1) the machine that asks is not
the one that trains, so that only what both share is looked at.
"""

import functools
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from cinv_lib.course.excerpt import of_profile, wanted
from cinv_lib.experiments.base import Task
from cinv_lib.experiments.trainings import Trained
from cinv_lib.lab import bill, missing, plan
from cinv_lib.lab.profiles.names import profile
from cinv_lib.lab.profiles.record import Profile, side_of
from cinv_lib.machine import card, folders, hardware, host, preflight
from cinv_lib.machine.finding import Finding, report
from cinv_lib.machine.host import GIB

Check = tuple[str, Callable[[], Finding]]

# Megabytes that a step keeps of each picture of 224 pixels until the backward pass, in bfloat16, if
# it is plain and if it is light (see `training.light`); counted by saved_tensors_hooks.
CLIP, RESNET, VIT = (70.4, 32.6), (64.2, 29.6), (19.0, 2.9)
KEPT = {
    "student": CLIP, "baseline": RESNET, "vit_student": VIT,
    "tuned": (2 * CLIP[0], 2 * CLIP[1]), "anchored": (2 * CLIP[0], 2 * CLIP[1]),
}  # fmt: skip
# Assumed: what a step needs besides (gradients, what cuDNN works in, weights and Adam's averages);
# and GiB of the host for a training with its pictures, and for each process that decodes for it.
MARGIN, JOB, DECODER = 1.5, 4.0, 0.5
CORES = 8  # for each GPU; with fewer it waits for pictures
DOWNLOADED = {"python -m data_prep stl10": 2.6, "python -m data_prep cifar": 0.34}  # GB


@dataclass(frozen=True)
class Run:
    """What `make course` is asked for.

    Args:
        p: the profile.
        seeds: how many training seeds.
        lessons: their numbers.
        slurm: whether the jobs run on other machines.
    """

    p: Profile
    seeds: int = 1
    lessons: tuple[str, ...] = ()
    slurm: bool = False

    @functools.cached_property
    def tasks(self) -> list[Task]:
        """All that is trained and measured."""
        return list(plan.every(self.p, self.seeds, self.lessons).values())

    @functools.cached_property
    def trainings(self) -> list[Task]:
        return [task for task in self.tasks if isinstance(self.p[task.kind], Trained)]

    @property
    def jobs(self) -> int:
        """Trainings at once: one on each GPU."""
        return max(1, torch.cuda.device_count()) if card.available() else 1

    def billed(self, cores: int = CORES, rates: bill.Rates | None = None) -> pd.DataFrame | None:
        """What it costs; None for a profile that has no bill."""
        known = self.p.data in bill.SIZES and self.tasks
        return bill.bill(self.p, self.seeds, cores, rates, self.lessons) if known else None

    def batch(self, task: Task) -> int:
        """Pictures of a step of a training."""
        entry: Any = self.p[task.kind]
        return entry.recipe_at(task.operator).batch_size


def asked(words: Sequence[str]) -> tuple[Run, str]:
    """The run that make's words ask for, and its GPUs. Raises ValueError for words that ask for
    none."""
    given = dict(word.split("=", 1) for word in words if "=" in word)
    p = profile(given.get("profile", "stickers"))
    notebooks = sorted((folders.ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    names = of_profile(p.name, {path.stem[:2]: path.stem for path in notebooks})
    numbers = tuple(name[:2] for name in wanted(given.get("lessons", "all"), names))
    seeds = given.get("seeds", "1")
    if not seeds.isdecimal() or int(seeds) < 1:
        raise ValueError(f"SEEDS={seeds!r}: expected a whole number from 1 on")
    run = Run(p, int(seeds), numbers, given.get("slurm") == "1")
    return run, host.gpu_names(given.get("gpus", ""))


def checks(words: Sequence[str]) -> Iterator[Check]:
    """(name, check) of what a run needs of this machine."""
    try:
        run, gpus = asked(words)
    except Exception as error:  # a reader's own profile runs a reader's code
        said = f"{type(error).__name__}: {error}"
        yield "profile", lambda: Finding("FAIL", "profile", said, "name another, or mend this one")
        return
    if gpus and not run.slurm:  # of these alone, as the jobs
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus.split())
    shared = (pictures, weights, room)
    for check in shared if run.slurm else (gpu, *shared, memory_of_card, memory, shm, cores):
        yield check.__name__, functools.partial(check, run)


# -- what every machine of a run needs -----------------------------------------------------------
def pictures(run: Run) -> Finding:
    """Sets that are there, that `make course` downloads first, and that somebody has to bring."""
    always = {name: how for name in missing.sets(run.p) if (how := missing.command(name))}
    asked_for = {name for lesson in run.lessons for name in missing.sets(run.p, lesson)}
    further = {n: how for n in sorted(asked_for - {*always}) if (how := missing.command(n))}
    brought = {n: how for n, how in always.items() if how not in DOWNLOADED}
    if absent := brought or always or further:
        commands = ", then ".join(dict.fromkeys(_typed(how) for how in absent.values()))
        detail = f"absent: {', '.join(absent)}"
        if brought:
            detail += "; without them nothing is trained"
            return Finding("FAIL", "pictures", detail, commands)
        size = sum(DOWNLOADED.get(how, 0.0) for how in {*absent.values()})
        if absent is further:
            lacking = [n for n in run.lessons if {*absent} & {*missing.sets(run.p, n)}]
            detail += f"; lesson{_plural(len(lacking))} {', '.join(lacking)} cannot measure them"
        fix = f"{commands}{f' (make course fetches what it can, {size:.1f} GB)' if size else ''}"
        return Finding("WARN", "pictures", detail, fix)
    return Finding("OK", "pictures", f"{', '.join([*missing.sets(run.p)])} and what lessons ask")


def _typed(how: str) -> str:
    return how.replace("python ", ".venv/bin/python ", 1) if how.startswith("python ") else how


def weights(run: Run) -> Finding:
    """The encoders' weights. Nothing is downloaded to answer this."""
    always = missing.towers(run.p)
    further = {name for lesson in run.lessons for name in missing.towers(run.p, lesson)}
    names = [*always, *sorted(further - {*always})]
    later = [name for name in names if missing.fetchable(name)]
    absent = {n: why for n in names if n not in later and (why := missing.unfetched(n))}
    if absent:
        detail, _, fix = next(iter(absent.values())).partition(". On a machine")
        more = f" (nor are those of {', '.join([*absent][1:])})" if len(absent) > 1 else ""
        fix = f"on a machine{fix}" if fix else "make own, with a TEACHER that is here"
        status = "FAIL" if {*absent} & {*always} else "WARN"  # else a lesson ends and says so
        return Finding(status, "weights", detail + more, fix)
    if later:
        fix = "none needed, make course downloads them before it trains"
        return Finding("WARN", "weights", f"not here yet: {', '.join(later)}", fix)
    return Finding("OK", "weights", ", ".join(names))


def room(run: Run) -> Finding:
    """Disk for what the run still has to write, by the bill."""
    billed, folder = run.billed(), folders.runs(run.p.name)
    if billed is None:
        return preflight.disk(folders.all_runs())
    there = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    gigabytes = max(3.0, float(billed.GB.sum()) - there / 1e9)
    needed = math.ceil(gigabytes * 1e9 / GIB)
    found = preflight.disk(folder, needed, "disk", "or set CINV_RUNS to a folder on another")
    status = "FAIL" if found.status == "WARN" else found.status
    return Finding(status, "disk", f"{found.detail}, {needed} GiB to be written", found.fix)


# -- what the machine needs that trains ----------------------------------------------------------
def gpu(run: Run) -> Finding:
    """Every GPU computes; without one, a sentence says what the run would take here."""
    found = card.computes()
    if card.available():
        return found
    if not missing.needs_gpu(run.p) or not run.tasks:
        why = "CPU=1 is said" if os.environ.get("CPU") == "1" else "what is asked for needs none"
        return found if found.status == "WARN" else Finding("OK", "GPU", f"none, and {why}")
    trouble = f"{found.detail}. " if found.detail != card.NONE else ""
    first = found.fix or "a machine with an NVIDIA GPU"
    if found.detail.startswith(card.HIDDEN):
        first = "unset CUDA_VISIBLE_DEVICES"
    fix = f"{first}; or to train all the same: make course PROFILE={run.p.name} CPU=1"
    return Finding("FAIL", "GPU", f"{trouble}{_cost(run)}", fix)


def _cost(run: Run) -> str:
    """What it would take: hours of a GPU, and years of this machine."""
    cores, (slow, usual) = host.cores(), (1.0, bill.RATES["clip trained"][1])
    here = {what: rate[1] * slow * cores / usual for what, rate in bill.RATES.items()}
    there, by_hand = run.billed(), run.billed(cores, here)
    if there is None or by_hand is None:
        return f"{run.p.name} trains {run.p.teacher}, and PyTorch finds no GPU here"
    years = float(by_hand.middle.sum()) / 24 / 365
    count = int(there[there.training].tasks.sum())
    return (
        f"{run.p.name} asks for {count} training{_plural(count)} of networks at 224 "
        f"pixels: {float(there.middle.sum()):.0f} hours of an H100, or {_long(years)} of the "
        f"{cores} core{_plural(cores)} here, and PyTorch finds no GPU"
    )


def _long(years: float) -> str:
    if years >= 1:
        return f"{years:.0f} year{_plural(years)}"
    return f"{max(1, math.ceil(years * 365))} days"


def memory_of_card(run: Run) -> Finding:
    """GPU memory for the largest step, plain or light."""
    known = [task for task in run.trainings if task.kind in KEPT and not run.p.is_own]
    if not card.available() or not known:
        return Finding("OK", "GPU memory", "nothing to compare it with here")
    wide = 1 if hardware.bf16_pays(torch.device("cuda")) else 2

    def needed(task: Task, light: bool) -> float:
        return wide * KEPT[task.kind][light] * run.batch(task) * 1e6

    plain, light = (max(needed(task, how) for task in known) for how in (False, True))
    free, task = min(card.free()), max(known, key=lambda task: needed(task, False))
    name = f"{task.kind} keeps {plain / GIB:.0f} GiB of {run.batch(task)} pictures"
    detail = f"{free / GIB:.0f} GiB free; {name}, and needs about {MARGIN * plain / GIB:.0f}"
    if free >= MARGIN * plain:
        return Finding("OK", "GPU memory", detail)
    if free >= MARGIN * light:
        detail += f"; in light steps about {MARGIN * light / GIB:.0f}, a quarter slower"
        return Finding("WARN", "GPU memory", detail, "none needed; or a GPU with more memory")
    status = "FAIL" if free < light else "WARN"
    detail += f"; in light steps about {MARGIN * light / GIB:.0f}"
    return Finding(status, "GPU memory", detail, f"a GPU with more free memory; {card.LOOK}")


def memory(run: Run) -> Finding:
    """Memory of the host for a training on each GPU, or for the batch itself where there is none."""
    free, jobs = host.memory(), run.jobs
    if free is None:
        return Finding("OK", "memory", "this system does not say")
    each = (JOB + DECODER * _decoders()) * GIB
    if not card.available():
        kept = [KEPT[t.kind][0] * 2e6 * run.batch(t) for t in run.trainings if t.kind in KEPT]
        each = JOB * GIB + (0 if run.p.is_own else max(kept, default=0))
    detail = f"{free / GIB:.0f} GiB free; {jobs} at once need about {jobs * each / GIB:.0f}"
    if free >= jobs * each:
        return Finding("OK", "memory", detail)
    fit = int(free // each)
    fix = f"make course JOBS={fit}" if fit else "close programs, or a machine with more memory"
    return Finding("WARN", "memory", detail, fix)


def _decoders() -> int:
    return hardware.decoders(torch.device("cuda"))


def shm(run: Run, folder: Path = Path("/dev/shm")) -> Finding:
    """Room in /dev/shm, through which decoded pictures come: two batches from each process."""
    if not card.available() or not run.trainings or not folder.is_dir():
        return Finding("OK", "/dev/shm", "no other process decodes here")
    of = os.statvfs(folder)
    free, side = of.f_bavail * of.f_frsize, side_of(run.p.teacher)
    batch = max(run.batch(task) for task in run.trainings) * 3 * side**2
    needed = 2 * batch * _decoders() * run.jobs
    detail = f"{free / GIB:.2f} GiB free; {run.jobs} x {_decoders()} processes that decode fill "
    detail += f"{needed / GIB:.1f} GiB"
    if free >= needed:
        return Finding("OK", "/dev/shm", detail)
    size = 2 ** math.ceil(math.log2(needed / GIB + 1))
    fix = f"docker run --shm-size={size}g (or --ipc=host); elsewhere mount -o remount,size={size}g"
    status = "FAIL" if free < needed / 2 else "WARN"
    return Finding(status, "/dev/shm", detail, f"{fix} /dev/shm")


def cores(run: Run) -> Finding:
    """Cores that are free to decode pictures, while a GPU works on those before."""
    there, jobs = host.cores(), run.jobs
    busy = min(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    each = max(1, round(there * (1 - busy)) // jobs)
    if not card.available():
        return Finding("OK", "cores", f"{there}, and no GPU that waits for them")
    detail = f"{there}, {busy:.0%} of them busy: {each} for each of {jobs} GPU{_plural(jobs)}"
    slow, usual = run.billed(each), run.billed()
    if each >= CORES or slow is None or usual is None:
        return Finding("OK", "cores", detail)
    detail += f". {slow['M decodes'].sum():.0f} million files are decoded: GPUs are held for "
    detail += f"{slow.middle.sum():.0f} hours, and with {CORES} cores each {usual.middle.sum():.0f}"
    fewer = ", or fewer GPUs: GPUS=0" if jobs > 1 else ""
    return Finding("WARN", "cores", detail, f"a machine with {CORES} cores for each GPU{fewer}")


def _plural(n: float) -> str:
    return "" if round(n) == 1 else "s"


def main(words: Sequence[str]) -> int:
    """Print the findings; 1 where one fails."""
    return report(checks(words), "it can start", "see README.md")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
