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

from cinv_lib.course import capacity
from cinv_lib.course.requested import Run, asked
from cinv_lib.lab import missing
from cinv_lib.lab.costs import RATES
from cinv_lib.machine import folders, gpus, hardware, host, preflight
from cinv_lib.machine.finding import Finding, report
from cinv_lib.machine.host import GIB

Check = tuple[str, Callable[[], Finding]]
DOWNLOADED = {"python -m data_prep stl10": 2.6, "python -m data_prep cifar": 0.34}  # GB


def checks(words: Sequence[str]) -> Iterator[Check]:
    """(name, check) of what a run needs of this machine."""
    try:
        run, named = asked(words)
    except Exception as error:  # a reader's own profile runs a reader's code
        said = f"{type(error).__name__}: {error}"
        yield "profile", lambda: Finding("FAIL", "profile", said, "name another, or mend this one")
        return
    if named and not run.slurm:  # of these alone, as the jobs
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(named.split())
    shared = (pictures, weights, room)
    for check in shared if run.slurm else (gpu, *shared, *capacity.CHECKS):
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
            detail += (
                f"; lesson{capacity.plural(len(lacking))} {', '.join(lacking)} cannot measure them"
            )
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
    found = gpus.computes()
    if gpus.available():
        return found
    if hardware.accelerator().device.type == "mps":
        said = f"a Mac's, as MPS=1 asks for it; nobody has trained {run.p.name} on one"
        return Finding("WARN", "GPU", said, f"first make rehearse PROFILE={run.p.name} REAL=1")
    if not missing.needs_gpu(run.p) or not run.tasks:
        why = "CPU=1 is said" if os.environ.get("CPU") == "1" else "what is asked for needs none"
        return found if found.status == "WARN" else Finding("OK", "GPU", f"none, and {why}")
    trouble = f"{found.detail}. " if found.detail != gpus.NONE else ""
    first = found.fix or "a machine with an NVIDIA GPU"
    if found.detail.startswith(gpus.HIDDEN):
        first = "unset CUDA_VISIBLE_DEVICES"
    fix = f"{first}; or to train all the same: make course PROFILE={run.p.name} CPU=1"
    return Finding("FAIL", "GPU", f"{trouble}{_cost(run)}", fix)


def _cost(run: Run) -> str:
    """What it would take: hours of a GPU, and years of this machine."""
    cores, (slow, usual) = host.cores(), (1.0, RATES["clip trained"][1])
    here = {what: rate[1] * slow * cores / usual for what, rate in RATES.items()}
    there, by_hand = run.billed(), run.billed(cores, here)
    if there is None or by_hand is None:
        return f"{run.p.name} trains {run.p.teacher}, and PyTorch finds no GPU here"
    years = float(by_hand.middle.sum()) / 24 / 365
    count = int(there[there.training].tasks.sum())
    return (
        f"{run.p.name} asks for {count} training{capacity.plural(count)} of networks at 224 "
        f"pixels: {float(there.middle.sum()):.0f} hours of an H100, or {_long(years)} of the "
        f"{cores} core{capacity.plural(cores)} here, and PyTorch finds no GPU"
    )


def _long(years: float) -> str:
    if years >= 1:
        return f"{years:.0f} year{capacity.plural(years)}"
    return f"{max(1, math.ceil(years * 365))} days"


def main(words: Sequence[str]) -> int:
    """Print the findings; 1 where one fails."""
    return report(checks(words), "it can start", "see README.md")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
