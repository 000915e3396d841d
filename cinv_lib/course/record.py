"""Keep a run with the course: `python -m cinv_lib.course.record` after `make course SEEDS=3`.

Copies what the lessons show from the run's store to notebooks/recorded, so that a reader who opens
a lesson sees its numbers at once, and so that the tests can replay every lesson: all that was
measured, the student of lesson 05, the baseline of lesson 07, and the student and baseline of
lesson 00.
"""

import os
import shutil
from pathlib import Path

from cinv_lib.lab import lab as labs
from cinv_lib.lab import plan


def make(profile: str = "stickers", seeds: int = 3) -> list[Path]:
    """Copy what is finished, and say what is not; the models shown are made if they are missing.

    Returns the folders in the archive.
    """
    lab = labs.Lab(profile, recorded=True)  # what is kept and is still asked for, stays
    first, slider = next(iter(lab.profile.operators)), lab.profile.slider
    tasks = dict.fromkeys(t for tasks in plan.tasks(profile, seeds).values() for t in tasks)
    tasks = [task for task in tasks if task.kind not in ("student", "baseline")]
    finished = [lab.finished(t.kind, t.operator, t.seed, t.loss) for t in tasks]
    for task in (t for t, done in zip(tasks, finished, strict=True) if not done):
        print(f"WARN  not finished, so not kept: {task.name}")
    entries = [t.make(lab) for t, done in zip(tasks, finished, strict=True) if done]
    shown = [(kind, op) for op in (first, slider) for kind in ("student", "baseline")]
    entries += [lab.folder(kind, op) for kind, op in [*shown, ("probe", slider)]]
    archive = labs.RECORDED / lab.profile.name
    kept = [archive / entry.parent.name / entry.name for entry in entries]
    for entry, copy in zip(entries, kept, strict=True):
        if not copy.exists():
            part = copy.with_name(copy.name + ".copy")
            shutil.copytree(entry, part, dirs_exist_ok=True)
            os.replace(part, copy)
    for folder in archive.glob("*/*"):
        if folder not in kept:
            shutil.rmtree(folder)  # of an earlier profile: nothing would find it any more
    return kept


if __name__ == "__main__":
    print("\n".join(f"OK  {folder}" for folder in make()))
