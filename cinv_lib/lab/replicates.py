"""Everything that a profile measures, for given training seeds, by several processes: how the
recorded run is made. It may be stopped at any time, and goes on where it was.

    python -m cinv_lib.lab.replicates stickers 11 12 13 14 15 --jobs 2 --minutes 120
    python -m cinv_lib.lab.replicates stickers 11 12 13 14 15 --only "pools-*" "*-mask_0.9-*"

A training of these takes one core; so set OMP_NUM_THREADS=1, and as many jobs as there are cores. A
table that is finished, here or in the recorded run, is not made again, nor what only that needs.
"""

import argparse
import fnmatch
import heapq
import multiprocessing
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from graphlib import TopologicalSorter

from tqdm.auto import tqdm

from cinv_lib.experiments.base import Experiment, Task
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles.names import profile
from cinv_lib.lab.profiles.record import Profile
from cinv_lib.machine.parent import end_with_parent


def measured(p: Profile, seeds: Iterable[int], only: Sequence[str] = ("*",)) -> list[Task]:
    """The tables of these seeds, all rows of them, seed by seed, in the order of the entries.

    only: patterns of the names of those to make, as "pools-*".

    Raises:
        ValueError: a pattern fits no table.
    """
    experiments = [entry for entry in p.all_rows().entries if isinstance(entry, Experiment)]
    tasks = (task for seed in seeds for entry in experiments for task in entry.tasks([seed]))
    names = {task: p.task_name(task) for task in tasks}
    for pattern in only:
        if not fnmatch.filter(names.values(), pattern):
            some = next(iter(names.values()), "none")
            raise ValueError(f"{pattern!r} fits no table of {p.name!r}; a name is {some}")
    return [t for t, name in names.items() if any(fnmatch.fnmatch(name, o) for o in only)]


def graph(lab: Lab, tables: Iterable[Task]) -> dict[Task, list[Task]]:
    """What is to be made -> what has to be there before: the tables that are not finished, and of
    what these come after that which is not."""
    wanted: dict[Task, list[Task]] = {}
    left = [task for task in tables if not lab.finished(task)]
    while left:
        task = left.pop()
        if task in wanted:
            continue
        wanted[task] = [one for one in lab.profile.after(task) if not lab.finished(one)]
        left += wanted[task]
    return wanted


def make(lab: Lab, tables: list[Task], jobs: int, minutes: float) -> list[str]:
    """Make these tables with so many processes; begin nothing after so many minutes.

    Returns what failed and what was not begun, as names of tasks.
    """
    wanted, until = graph(lab, tables), time.monotonic() + 60 * minutes
    # What a table waits for is made just before it, so that a stop leaves few trainings unused.
    turn: dict[Task, int] = {}
    for place, table in enumerate(tables):
        for task in [table, *_before(wanted, table)]:
            turn.setdefault(task, place)
    order, ready, running = TopologicalSorter(wanted), [], {}
    order.prepare()
    left = {lab.profile.task_name(task) for task in wanted}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _begin, (lab.profile.name,)) as pool:
        while order.is_active():
            for task in order.get_ready():
                heapq.heappush(ready, (turn[task], str(task), task))
            while ready and len(running) < jobs and time.monotonic() < until:
                *_, task = heapq.heappop(ready)
                running[pool.submit(_make, task)] = task
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task = running.pop(future)
                name = lab.profile.task_name(task)
                if said := _failure(future):
                    print(f"{name} stopped: {said}", flush=True)
                    continue
                left.discard(name)
                order.done(task)
                print(f"{name}: done; {len(left)} left", flush=True)
    return sorted(left)


def _before(wanted: dict[Task, list[Task]], task: Task) -> list[Task]:
    found = wanted.get(task, [])
    return [*found, *(one for other in found for one in _before(wanted, other))]


def _failure(future: Future) -> str:
    error = future.exception()
    return "" if error is None else f"{type(error).__name__}: {error}"


_lab: Lab | None = None  # of a worker process: its encoders are read once


def _begin(name: str) -> None:
    global _lab
    end_with_parent()
    shown = tqdm.__init__
    tqdm.__init__ = lambda bar, *given, **named: shown(bar, *given, **named | {"disable": True})
    _lab = Lab(name)  # no bars: those of several processes would share a terminal


def _make(task: Task) -> None:
    assert _lab is not None
    _lab.folder(task)


def main() -> None:
    """Make what is asked for; exits with 1 where something is left."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("profile")
    parser.add_argument("seeds", type=int, nargs="+", help="which training seeds")
    parser.add_argument("--only", nargs="+", default=["*"], metavar="NAME", help="which tables")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin nothing later")
    given = parser.parse_args()
    try:
        lab = Lab(profile(given.profile))
        tables = measured(lab.profile, given.seeds, given.only)
    except ValueError as error:
        parser.error(str(error))
    left = make(lab, tables, given.jobs, given.minutes)
    if left:
        print(f"left: {', '.join(left)}")
        raise SystemExit(1)


if __name__ == "__main__":
    main()
