"""Keep the run of five seeds with the course: `python -m cinv_lib.course.record`.

Copies what the lessons show from the run's store to notebooks/recorded, so that a reader who opens
a lesson sees its numbers at once, and so that the tests can replay every lesson: all tables that
are finished, which the next part of the run does not make again, and of seed 0 the student of
lesson 05, the baseline of lesson 07, and the student and baseline of lesson 00.
"""

import os
import shutil
import sys
from pathlib import Path

from cinv_lib.experiments.base import Experiment
from cinv_lib.lab import lab as labs
from cinv_lib.lab.profiles.record import Profile


def make(profile: str = "stickers") -> list[Path]:
    """Copy what is finished of the recorded seeds, or of seed 0 where a profile has none, and say
    what is not; the models shown are made if they are missing.

    Returns the folders in the archive.
    """
    lab = labs.Lab(profile, recorded=True)  # what is kept and is still asked for, stays
    p, seeds = lab.profile, [*lab.profile.recorded] or [0]
    tables = [entry for entry in p.all_rows().entries if isinstance(entry, Experiment)]
    asked = dict.fromkeys(task for entry in tables for task in entry.tasks(seeds))
    finished = {task: lab.finished(task) for task in asked}
    for task in (task for task, done in finished.items() if not done):
        print(f"WARN  not finished, so not kept: {p.task_name(task)}")
    shown = [] if p.is_own else _shown(p)  # of a reader's own lesson 18 shows tables only
    models = [p[kind].task(op) for kind, op in shown]
    entries = [lab.folder(task) for task in [*(t for t, done in finished.items() if done), *models]]
    archive = labs.RECORDED / p.name
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


def _shown(p: Profile) -> list[tuple[str, str]]:
    """The kind and the operator of the models that the lessons show."""
    both = [(kind, op) for op in (p.operators[0], p.slider) for kind in ("student", "baseline")]
    return [*both, ("probe", p.slider)]


if __name__ == "__main__":
    print("\n".join(f"OK  {folder}" for folder in make(*sys.argv[1:])))
