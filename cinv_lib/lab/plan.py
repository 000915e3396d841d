"""What the lessons have made, as tasks that `make course` runs side by side before them.

One training uses one core well and two badly, so many at once is how a course is fast. Trainings
have a process each, and so have measurements that several lessons read, or that take minutes. A
lesson measures the rest by itself: to start a process takes as long as many of these do.

    python -m cinv_lib.lab.plan stickers --seeds 3             the tasks of every lesson, as JSON
    python -m cinv_lib.lab.plan stickers --make student-mask_0.9-seed0
    torchrun --nproc-per-node 4 -m cinv_lib.lab.plan imagenet100 --make student-mask_0.9-seed0
"""

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cinv_lib.lab import made, several_gpus
from cinv_lib.lab import missing as absent
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles.record import Profile
from cinv_lib.lab.profiles.stickers import profile
from cinv_lib.machine.store import address

# Trainings that a lesson shows: `make course` makes each by running that lesson's `training` cells.
SHOWN = {"student": "05", "baseline": "07"}
APART = ("student", "baseline", "baseline100", "vit", "tuned", "anchored")  # trainings
APART += ("scores", "severity", "pixels")  # have a process each;
APART += ("tuning", "towers", "blind", "adversarial")  # else lesson 14 would end alone
# This lesson reads what the others have measured and waits for those that are asked for with it;
# it makes none of it, so that the shortest course does not train everything.
SUMS_UP = ("15",)


@dataclass(frozen=True)
class Task:
    """One thing that a `Lab` makes: `kind` is one of `made.BUILDS`."""

    kind: str
    operator: str
    seed: int = 0
    loss: str | None = None  # None: the profile's

    @property
    def name(self) -> str:
        """Also the name of a file: no colon and no bar, which Windows does not have."""
        loss = f"-{self.loss}" if self.loss else ""
        name = f"{self.kind}-{self.operator}{loss}-seed{self.seed}"
        return name.replace(":", "_").replace("|", "_or_")

    @property
    def after(self) -> tuple["Task", ...]:
        """What has to be there first."""
        if self.kind == "corruptions":  # its baseline has seen clean pictures
            clean = replace(self, kind="baseline", operator="identity")
            return (replace(self, kind="student"), clean)
        if self.kind == "blind":  # a probe for it, and for each specialist
            names = (self.operator, *self.operator.split("|"))
            return tuple(replace(self, kind="probe", operator=op) for op in names)
        needs = {"scores": ("student", "baseline"), "ablation": ("probe",)}
        needs |= dict.fromkeys(("transfer", "pixels"), ("student", "baseline"))
        needs |= dict.fromkeys(("severity", "shift", "adversarial"), ("baseline", "probe"))
        needs |= {"probe": ("student",), "starts": ("baseline100",)}
        needs |= {"fitted": ("baseline", "baseline100", "probe"), "bias": ("probe",)}
        needs |= {"tuning": ("student", "tuned", "anchored"), "towers": ("student", "vit")}
        return tuple(replace(self, kind=kind) for kind in needs.get(self.kind, ()))

    @property
    def beforehand(self) -> list["Task"]:
        """What `make course` makes before a lesson asks: this, or else what it comes after."""
        if self.kind in APART:
            return [self]
        return [task for before in self.after for task in before.beforehand]

    def shown(self, p: Profile) -> dict[str, Any]:
        """The lesson that shows this training, and its parameters beside the profile; else {}."""
        if self.kind not in SHOWN:
            return {}
        loss = {"loss": self.loss or p.loss} if self.kind == "student" else {}
        parameters = {"operator": self.operator} | loss | {"seed": self.seed}
        return {"lesson": SHOWN[self.kind], "parameters": parameters}

    def make(self, lab: Lab) -> Path:
        """Where it stands; made now if it is not there."""
        return lab.folder(self.kind, self.operator, self.seed, self.loss)

    def address(self, lab: Lab) -> str:
        """Where it would stand in the store: another one when anything that it depends on is."""
        return address(made.spec(lab.profile, self.kind, self.operator, self.seed, self.loss))


def tasks(name: str | Profile, seeds: int) -> dict[str, list[Task]]:
    """What each lesson, by its number, asks its lab for."""
    p = profile(name).for_seeds(seeds)
    first = next(iter(p.operators))
    scores = [Task("scores", op, seed) for seed in range(seeds) for op in p.operators]
    named = [None if loss == p.loss else loss for loss in p.ablation]  # once, whoever asks for it
    losses = [(loss, seed) for seed in range(seeds) for loss in named]
    losses += [(f"st:{tau:g}", 0) for tau in p.taus]
    ablation = [Task("ablation", p.slider, seed, loss) for loss, seed in losses]
    corruptions = [Task("corruptions", p.mixture, seed) for seed in range(seeds)]
    transfer = [Task("transfer", op, seed) for seed in range(seeds) for op in p.ranges]
    pixels = [Task("pixels", op, seed) for seed in range(seeds) for op in p.pixels]
    severity = [Task("severity", op, seed) for seed in range(seeds) for op in p.graded]
    shift = [Task("shift", op, seed) for seed in range(seeds) for op in p.shift_severities]
    both = range(0 if absent.second_start(p) else seeds)  # else lesson 07 ends before it asks
    starts = [Task("starts", op, seed) for seed in both for op in p.starts]
    fitted = [Task("fitted", p.slider, seed) for seed in both]
    remedies = [None if loss == p.loss else loss for loss in p.remedies]
    open_ = [Task("bias", p.slider, seed, loss) for seed in range(seeds) for loss in remedies]
    open_ += [Task(kind, p.slider, s) for s in range(seeds) for kind in ("tuning", "towers")]
    open_ += [Task("blind", p.blind, seed) for seed in range(seeds)]
    open_ += [Task("adversarial", p.slider, seed) for seed in range(seeds)]
    student = [Task("student", first)]
    shown = dict.fromkeys(("02", "03", "05"), student)
    return shown | {
        "06": scores,
        "07": scores + starts + fitted + severity,
        "08": severity,
        "09": transfer,
        "10": shift,
        "11": ablation,
        "12": pixels,
        "13": corruptions,
        "14": open_,
        "15": scores,  # and what other lessons have finished: see SUMS_UP
    }


def every(name: str | Profile, seeds: int) -> dict[str, Task]:
    """All tasks of a profile's lessons, and what comes before them, by name."""
    wanted = {task for group in tasks(name, seeds).values() for task in group}
    while missing := {before for task in wanted for before in task.after} - wanted:
        wanted |= missing
    return {task.name: task for task in sorted(wanted, key=lambda task: (task.seed, task.name))}


def as_json(name: str, seeds: int) -> str:
    """What is made before each lesson, by name; and each of these tasks with its address in the
    store, what comes before it and, of a training, the lesson that shows it. Where data or weights
    are absent there is nothing to make, and `missing` says what they are."""
    if lines := absent.missing(profile(name)):
        return json.dumps({"lessons": {}, "tasks": {}, "sums_up": SUMS_UP, "absent": lines})
    lab = Lab(name)

    def named(group: Iterable[Task]) -> list[str]:
        return list(dict.fromkeys(made.name for task in group for made in task.beforehand))

    described = {
        task.name: asdict(task)
        | {"address": task.address(lab), "after": named(task.after)}
        | task.shown(lab.profile)
        for task in every(name, seeds).values()
        if task.kind in APART
    }
    lessons = {lesson: named(group) for lesson, group in tasks(name, seeds).items()}
    return json.dumps({"lessons": lessons, "tasks": described, "sums_up": SUMS_UP})


def main() -> None:
    """Print the tasks of a profile's lessons, or make one."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("profile")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--make", metavar="TASK", help="the name of the task to make")
    given = parser.parse_args()
    if given.make is None:
        print(as_json(given.profile, given.seeds))
        return
    lab, known = Lab(given.profile), every(given.profile, given.seeds)
    if given.make not in known:
        parser.error(f"no task {given.make!r}; there are: {', '.join(known)}")
    task = known[given.make]
    several_gpus.make(lab, task.kind, task.operator, task.seed, task.loss)


if __name__ == "__main__":
    main()
