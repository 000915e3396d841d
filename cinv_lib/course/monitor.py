"""`make course` as one line: what is done, what runs where and how fast, how long it will take.

    snakemake ... 2>&1 | python -m cinv_lib.course.monitor RUN

All that Snakemake says is kept in RUN/logs/snakemake.log. Shown are the ends of jobs
and what goes wrong, and on a terminal below them the line. Standard library alone: it starts at
once, and is there as long as the course runs.
"""

import contextlib
import queue
import re
import shutil
import signal
import sys
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TextIO

BEGUN = re.compile(r"begun (?P<name>.+?)(?: on GPU (?P<gpu>\S+))?\n")
DONE = re.compile(r"(?P<name>.+): done in (?P<minutes>\d+) min (?P<seconds>\d+) s\n")
STOPPED = re.compile(r"(?P<name>.+) stopped: see .+\n")
STEPS = re.compile(r"(?P<done>\d+) of (?P<all>\d+) steps \(.*\) done\n")
NOISE = re.compile(  # what Snakemake says of itself
    r"Assuming unrestricted|Building DAG|Using shell|Select jobs|Execute \d|Nothing to be done|"
    r"Rules claiming|Finished jobid|Trying to restart|Touching output|Complete log|"
    r"Provided cores|Job stats|\[.*\d\d:\d\d:\d\d \d{4}\]|\s*\n"
)
TABLE = re.compile(r"(job +count|-+ +-+|\w+ +\d+)\n")  # Snakemake's own sums of jobs
EVERY_S = 2.0  # between two lines on a terminal


@dataclass
class Course:
    """What is known of a course that runs.

    speeds: the folder where trainings note how fast they are, as NAME.speed (`training.history`).
    """

    speeds: Path
    running: dict[str, tuple[str, float]] = field(default_factory=dict)  # name -> GPU, since
    took: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # s, by kind
    done: int = 0
    all: int = 0
    at_once: int = 1  # the most jobs that were seen to run together
    began: float = field(default_factory=time.monotonic)

    def hear(self, line: str) -> bool:
        """Take in a line of Snakemake's; whether it is to be shown."""
        if match := BEGUN.fullmatch(line):
            self.running[match["name"]] = (match["gpu"] or "", time.monotonic())
            self.at_once = max(self.at_once, len(self.running))
            return False
        if match := STEPS.fullmatch(line):
            self.done, self.all = int(match["done"]), int(match["all"])
            return False
        if match := DONE.fullmatch(line):
            seconds = 60 * int(match["minutes"]) + int(match["seconds"])
            self.took[kind(match["name"])].append(seconds)
        if match := match or STOPPED.fullmatch(line):
            self.running.pop(match["name"], None)
            return True
        return not (NOISE.match(line) or TABLE.fullmatch(line))

    def left(self) -> float | None:
        """Seconds to come: as many jobs as are left, each as long as the median of its kind where
        that is running, and else of all, shared by as many as have run at once. None before three
        jobs have ended, which says too little."""
        known = [seconds for times in self.took.values() for seconds in times]
        if len(known) < 3 or not self.all:
            return None
        now = time.monotonic()
        under_way = [
            max(0.0, median(self.took.get(kind(name)) or known) - (now - since))
            for name, (_, since) in self.running.items()
        ]
        waiting = max(0, self.all - self.done - len(self.running))
        # Where a job has just ended, and the next has not begun, fewer run than soon will.
        return (sum(under_way) + waiting * sum(known) / len(known)) / self.at_once

    def line(self) -> str:
        """What is done, what runs, and how long it will take, in a line."""
        parts = [f"{self.done} of {self.all} done" if self.all else "beginning"]
        if running := [self.described(name, gpu) for name, (gpu, _) in self.running.items()]:
            parts.append(f"running: {', '.join(running)}")
        if (left := self.left()) is not None:
            parts.append(f"about {duration(left)} left")
        return "; ".join(parts)

    def described(self, name: str, gpu: str) -> str:
        """A job, its GPU and its speed, where it has them."""
        more = [f"GPU {gpu}"] if gpu else []
        with contextlib.suppress(OSError):  # it trains nothing, or has not begun to
            more.append((self.speeds / f"{name}.speed").read_text())
        return f"{name} ({', '.join(more)})" if more else name


def kind(name: str) -> str:
    """Jobs of a kind take alike: "student" of "student-mask_0.9-seed0"; "lesson"."""
    return re.split(r"[- ]", name, maxsplit=1)[0]


def duration(seconds: float | int) -> str:
    """Minutes, or hours and minutes.

    >>> duration(50), duration(4000)
    ('1 min', '1 h 7 min')
    """
    hours, minutes = divmod(max(1, round(seconds / 60)), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def follow(run: Path, runner: TextIO) -> None:
    """Show the course that a runner's words tell of, to their end."""
    logs = run / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    course, terminal, shown_at = Course(logs), sys.stdout.isatty(), 0.0
    # A key pressed to stop reaches the runner too, which ends its jobs and says so.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=read, args=(runner, lines), daemon=True).start()
    with (logs / "snakemake.log").open("a", encoding="utf-8") as log:
        while (line := said(lines)) is not None:
            log.write(line)
            log.flush()
            if line and course.hear(line):
                end = f"  [{course.line()}]" if DONE.fullmatch(line) and not terminal else ""
                print(clear(terminal) + line.rstrip("\n") + end, flush=True)
            if terminal and time.monotonic() - shown_at > EVERY_S:
                width = shutil.get_terminal_size().columns - 1
                print(clear(True) + course.line()[:width], end="", flush=True)
                shown_at = time.monotonic()
    print(clear(terminal), end="", flush=True)


def read(runner: TextIO, lines: "queue.Queue[str | None]") -> None:
    """Put what a runner says into a queue, a line at a time, and None at its end."""
    for line in runner:
        lines.put(line)
    lines.put(None)


def said(lines: "queue.Queue[str | None]") -> str | None:
    """The next line; "" where none comes for a while, None at the end."""
    try:
        return lines.get(timeout=EVERY_S)
    except queue.Empty:
        return ""


def clear(terminal: bool) -> str:
    """What takes the line below away."""
    return "\r\033[K" if terminal else ""


if __name__ == "__main__":
    with open(0, encoding="utf-8", errors="replace") as piped:  # whatever the locale is
        follow(Path(sys.argv[1]), piped)
