"""What the lessons have made, as tasks that `make course` runs side by side before them.

One training uses one core well and two badly, so many at once is how a course is fast. Trainings
have a process each, and so have measurements that several lessons read, or that take minutes. A
lesson measures the rest by itself: to start a process takes as long as many of these do.

    python -m cinv_lib.lab.plan stickers --seeds 3             the tasks of every lesson, as JSON
    python -m cinv_lib.lab.plan stickers --tables all          with all rows of the paper's tables
    python -m cinv_lib.lab.plan stickers --make student-mask_0.9-seed0
    torchrun --nproc-per-node 4 -m cinv_lib.lab.plan imagenet100 --make student-mask_0.9-seed0
"""

import argparse
import json
from collections.abc import Collection, Iterable
from dataclasses import asdict
from typing import Any

from cinv_lib.experiments.base import Task
from cinv_lib.experiments.rate_search import SEED
from cinv_lib.lab import missing, several_gpus
from cinv_lib.lab.lab import RECORDED, Lab
from cinv_lib.lab.profiles.names import profile
from cinv_lib.lab.profiles.record import Profile

# This lesson reads what the others have measured and waits for those that are asked for with it;
# it makes none of it, so that the shortest course does not train everything.
SUMS_UP = ("15",)


def tasks(p: Profile, seeds: int | list[int]) -> dict[str, list[Task]]:
    """What each lesson, by its number, asks its lab for."""
    asked: dict[str, list[Task]] = {}
    if "student" in p and not (RECORDED / p.name).is_dir():  # else 00 looks at a recorded one
        asked["00"] = [p["student"].task(p.slider)]
    for entry in p.entries:
        for lesson in entry.lessons:
            asked.setdefault(lesson, []).extend(entry.tasks(seeds))
    return dict(sorted(asked.items()))


def beforehand(p: Profile, task: Task) -> list[Task]:
    """What `make course` makes before a lesson asks: this, or else what it comes after."""
    if p[task.kind].apart:
        return [task]
    return [one for before in p.after(task) for one in beforehand(p, before)]


def every(
    p: Profile, seeds: int | list[int], lessons: Collection[str] | None = None
) -> dict[str, Task]:
    """All tasks of a profile's entries, or those that these lessons ask for, and what comes before
    them, by name."""
    asked = tasks(p, seeds).items()
    wanted = {task for lesson, group in asked if lessons is None or lesson in lessons
              for task in group}  # fmt: skip
    if lessons is None:  # and what no lesson asks for
        wanted |= {task for entry in p.entries for task in entry.tasks(seeds)}
    while more := {before for task in wanted for before in p.after(task)} - wanted:
        wanted |= more
    named = {p.task_name(task): task for task in wanted}
    return dict(sorted(named.items(), key=lambda item: (item[1].seed, item[0])))


def shown(p: Profile, task: Task) -> dict[str, Any]:
    """The lesson that shows this training, and its parameters beside the profile; else {}."""
    lesson = p[task.kind].shown
    loss = {"loss": task.loss} if task.loss else {}
    parameters = {"operator": task.operator} | loss | {"seed": task.seed}
    return {"lesson": lesson, "parameters": parameters} if lesson else {}


def as_json(p: Profile, seeds: int | list[int]) -> str:
    """What is made before each lesson, by name; and each of these tasks with its address in the
    store, what comes before it and, of a training, the lesson that shows it. Where data or weights
    are absent there is nothing to make, and `absent` says what they are."""
    if lines := missing.missing(p):
        return json.dumps({"lessons": {}, "tasks": {}, "sums_up": SUMS_UP, "absent": lines})

    asked = tasks(p, seeds)

    def named(group: Iterable[Task]) -> list[str]:
        made = (one for task in group for one in beforehand(p, task))
        return list(dict.fromkeys(p.task_name(one) for one in made))

    described = {
        name: asdict(task)
        | {"address": p.address(task), "after": named(p.after(task))}
        | shown(p, task)
        for name, task in every(p, seeds, asked.keys()).items()
        if p[task.kind].apart
    }
    lessons = {lesson: named(group) for lesson, group in asked.items()}
    return json.dumps({"lessons": lessons, "tasks": described, "sums_up": SUMS_UP})


def main() -> None:
    """Print the tasks of a profile's lessons, or make one."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("profile")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--tables", choices=("some", "all"), default="some", help="which rows")
    parser.add_argument("--make", metavar="TASK", help="the name of the task to make")
    given = parser.parse_args()
    if given.seeds < 1:
        parser.error(f"--seeds {given.seeds}: expected how many training seeds, 1 or more")
    try:
        p = profile(given.profile)
    except ValueError as error:
        parser.error(str(error))
    if p.recorded and given.seeds > (most := min(SEED, *p.recorded)):
        parser.error(
            f"--seeds {given.seeds}: expected at most {most}, your seeds 0 to {most - 1}, as seed "
            f"{SEED} chose the learning rates and {', '.join(map(str, p.recorded))} are recorded"
        )
    if given.make is None:
        print(as_json(p.all_rows() if given.tables == "all" else p, given.seeds))
        return
    known = every(p.all_rows(), given.seeds)
    if given.make not in known:
        parser.error(f"no task {given.make!r}; there are: {', '.join(known)}")
    several_gpus.make(Lab(p), known[given.make])


if __name__ == "__main__":
    main()
