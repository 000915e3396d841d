"""Is there enough of everything for a run's trainings? Memory, /dev/shm and cores: see `guards`."""

import math
import os
from pathlib import Path

import torch

from cinv_lib.course.requested import CORES, Run
from cinv_lib.experiments.base import Task
from cinv_lib.lab.profiles.record import side_of
from cinv_lib.machine import gpus, hardware, host
from cinv_lib.machine.finding import Finding
from cinv_lib.machine.host import GIB
from cinv_lib.training.light import MARGIN, MEGABYTES

# Megabytes that a step keeps of each picture, if it is plain and if it is light.
CLIP, RESNET, VIT = (
    MEGABYTES[name] for name in ("RN101-quickgelu", "resnet101", "ViT-B-32-quickgelu")
)
KEPT = {
    "student": CLIP, "baseline": RESNET, "vit_student": VIT,
    "tuned": (2 * CLIP[0], 2 * CLIP[1]), "anchored": (2 * CLIP[0], 2 * CLIP[1]),
}  # fmt: skip
# Assumed: GiB of the host for a training with its pictures, and for each process that decodes.
JOB, DECODER = 4.0, 0.5


def memory_of_card(run: Run) -> Finding:
    """GPU memory for the largest step, plain or light."""
    known = [task for task in run.trainings if task.kind in KEPT and not run.p.is_own]
    if not gpus.available() or not known:
        return Finding("OK", "GPU memory", "nothing to compare it with here")
    wide = 1 if hardware.bf16_pays(torch.device("cuda")) else 2

    def needed(task: Task, light: bool) -> float:
        return wide * KEPT[task.kind][light] * run.batch(task) * 1e6

    plain, light = (max(needed(task, how) for task in known) for how in (False, True))
    free, task = min(gpus.free()), max(known, key=lambda task: needed(task, False))
    name = f"{task.kind} keeps {plain / GIB:.0f} GiB of {run.batch(task)} pictures"
    detail = f"{free / GIB:.0f} GiB free; {name}, and needs about {MARGIN * plain / GIB:.0f}"
    if free >= MARGIN * plain:
        return Finding("OK", "GPU memory", detail)
    if free >= MARGIN * light:
        detail += f"; in light steps about {MARGIN * light / GIB:.0f}, a quarter slower"
        return Finding("WARN", "GPU memory", detail, "none needed; or a GPU with more memory")
    status = "FAIL" if free < light else "WARN"
    detail += f"; in light steps about {MARGIN * light / GIB:.0f}"
    return Finding(status, "GPU memory", detail, f"a GPU with more free memory; {gpus.LOOK}")


def memory(run: Run) -> Finding:
    """Memory of the host for a training on each GPU, or where there is none, for its batch."""
    free, jobs = host.memory(), run.jobs
    if free is None:
        return Finding("OK", "memory", "this system does not say")
    each = (JOB + DECODER * _decoders()) * GIB
    if not gpus.available():
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
    if not gpus.available() or not run.trainings or not folder.is_dir():
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
    if not gpus.available():
        return Finding("OK", "cores", f"{there}, and no GPU that waits for them")
    detail = f"{there}, {busy:.0%} of them busy: {each} for each of {jobs} GPU{plural(jobs)}"
    slow, usual = run.billed(each), run.billed()
    if each >= CORES or slow is None or usual is None:
        return Finding("OK", "cores", detail)
    detail += f". {slow['M decodes'].sum():.0f} million files are decoded: GPUs are held for "
    detail += f"{slow.middle.sum():.0f} hours, and with {CORES} cores each {usual.middle.sum():.0f}"
    fewer = ", or fewer GPUs: GPUS=0" if jobs > 1 else ""
    return Finding("WARN", "cores", detail, f"a machine with {CORES} cores for each GPU{fewer}")


def plural(n: float | int) -> str:
    """What makes a noun fit a number."""
    return "" if round(n) == 1 else "s"


CHECKS = (memory_of_card, memory, shm, cores)
