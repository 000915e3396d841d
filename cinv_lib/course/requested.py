"""What `make course` is asked for, as the checks before it see it: see `guards`."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch

from cinv_lib.course.excerpt import of_profile, wanted
from cinv_lib.experiments.base import Task
from cinv_lib.experiments.trainings import Trained
from cinv_lib.lab import bill, costs, plan
from cinv_lib.lab.profiles.names import profile
from cinv_lib.lab.profiles.record import Profile
from cinv_lib.machine import folders, gpus, host

CORES = 8  # for each GPU; with fewer it waits for pictures


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
        return max(1, torch.cuda.device_count()) if gpus.available() else 1

    def billed(self, cores: int = CORES, rates: costs.Rates | None = None) -> pd.DataFrame | None:
        """What it costs; None for a profile that has no bill."""
        known = self.p.data in costs.SIZES and self.tasks
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
