"""Kinds that disturb a piece of work in its course, and let it go on: kill -9, two runners, a clock
that is replaced, a group that is stopped."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.campaign import clocks, operations, results, works
from tests.campaign.forked import Ended, Running, call
from tests.campaign.judge import TRACEBACK, Outcome, lost, survived, unclear
from tests.campaign.trials import Settings, Trial, kill_me

MOMENTS = 30  # at which trainings are killed; scores, writes of the store, and data_prep too


def each(
    kind: str, pieces: tuple[works.Work, ...], usual: int, settings: Settings, run: Callable
) -> Iterator[Trial]:
    """`usual` trials of each piece of work."""
    for work in pieces:
        for i in settings.number(usual):
            yield Trial(kind, f"{work.name} {i:02}", partial(run, work))


def kill(settings: Settings) -> Iterator[Trial]:
    """kill -9 up to three times, by the clock or before an operation on a file; then once more
    undisturbed."""
    for pieces in (works.TRAININGS, works.STORED[2:3], works.STORED[3:], works.PREPARED):
        yield from each("kill", pieces, -(-MOMENTS // max(1, len(pieces))), settings, killed)


def killed(work: works.Work, folder: Path, chance: random.Random) -> Outcome:
    whole, moments = results.undisturbed(work), []
    for _ in range(chance.randint(1, 3)):
        if chance.random() < 0.5:
            moment = chance.uniform(0, whole.seconds * 1.05)
            running = Running(lambda: work.run(folder))
            running.ended_by_itself(moment)
            running.signal(signal.SIGKILL)
            running.wait()
            moments.append(f"{moment:.2f} s")
        else:
            at = chance.randint(1, whole.operations)
            call(lambda at=at: _until(work, folder, at))
            moments.append(f"operation {at}")
        if fault := results.damaged(folder, work):
            return lost(f"killed at {', '.join(moments)}: {fault}")
    return ending(work, folder, call(lambda: work.run(folder)), f"killed at {', '.join(moments)}")


def _until(work: works.Work, folder: Path, at: int) -> None:
    operations.watch(folder, lambda number: kill_me() if number == at else None)
    work.run(folder)


def ending(work: works.Work, folder: Path, ended: Ended, what: str) -> Outcome:
    """Whether the work went on to the undisturbed result."""
    if TRACEBACK in ended.printed:
        return unclear(f"{what}: a traceback, {ended.printed.strip().rpartition(chr(10))[2]}")
    if not ended.well:
        return lost(f"{what}: it does not go on, {ended.error} {ended.words} {ended.killed}")
    if fault := results.differs(results.finished(folder), results.undisturbed(work).files):
        return lost(f"{what}: {fault}")
    return survived(what)


def runners(settings: Settings) -> Iterator[Trial]:
    """Two or three runners on one store or data folder, of which one may be killed."""
    return each("runners", works.EVERY, 4, settings, together)


def together(work: works.Work, folder: Path, chance: random.Random) -> Outcome:
    whole, running = results.undisturbed(work), []
    for _ in range(chance.randint(2, 3)):
        running.append(Running(lambda: work.run(folder)))
        time.sleep(chance.choice([0, 0, chance.uniform(0, whole.seconds)]))
    one_dies = chance.random() < 0.5
    what = f"{len(running)} runners" + (", one killed" if one_dies else "")
    if one_dies:
        time.sleep(chance.uniform(0, whole.seconds))
        victim = running.pop(0)
        victim.signal(signal.SIGKILL)
        victim.wait()
    for runner in running:
        outcome = _alone(runner.wait(), what)
        if outcome:
            return outcome
    if not one_dies and (twice := _twice(folder)):
        return lost(f"{what}: {twice}")
    return ending(work, folder, Ended(), what)


def _alone(ended: Ended, what: str) -> Outcome | None:
    if TRACEBACK in ended.printed:
        return unclear(f"{what}: a traceback, {ended.printed.strip().rpartition(chr(10))[2]}")
    return None if ended.well else lost(f"{what}: {ended.error} {ended.words} {ended.killed}")


def _twice(folder: Path) -> str:
    log = folder / works.BUILT
    lines = log.read_text().split() if log.is_file() else []
    more = sorted({kind for kind in lines if lines.count(kind) > 1})
    return f"{', '.join(more)} built {len(lines)} times" if more else ""


def stop(settings: Settings) -> Iterator[Trial]:
    """The whole group is stopped, as by the lid of a laptop, while another runner waits."""
    return each("stop", works.EVERY, 3, settings, partial(stopped, settings.pause))


def stopped(pause: float, work: works.Work, folder: Path, chance: random.Random) -> Outcome:
    moment = chance.uniform(0, results.undisturbed(work).seconds)
    first = Running(lambda: work.run(folder))
    asleep = not first.ended_by_itself(moment)
    first.signal(signal.SIGSTOP)
    second = Running(lambda: work.run(folder)) if work.in_store else None
    time.sleep(pause)
    first.signal(signal.SIGCONT)
    what = f"stopped at {moment:.2f} s for {pause:g} s" if asleep else "it had ended"
    for runner in filter(None, (first, second)):
        outcome = _alone(runner.wait(), what)
        if outcome:
            return outcome
    if twice := _twice(folder):
        return lost(f"{what}: {twice}")
    return ending(work, folder, Ended(), what)


def clock(settings: Settings) -> Iterator[Trial]:
    """The clock goes back a day, or on a year, at an operation; the process dies some time later;
    the next one sees another time again."""
    return each("clock", works.EVERY, 3, settings, replaced)


def replaced(work: works.Work, folder: Path, chance: random.Random) -> Outcome:
    whole, by = results.undisturbed(work), chance.choice([-clocks.DAY, clocks.YEAR])
    jump = chance.randint(0, whole.operations)
    death = chance.choice([0, chance.randint(jump, whole.operations + 1)])

    def first() -> None:
        def then(number: int) -> None:
            if number == jump:
                clocks.shift(by)
            if number == death:
                kill_me()

        if jump == 0:
            clocks.shift(by)
        operations.watch(folder, then)
        work.run(folder)

    ended = call(first)
    clocks.shift_files(folder, by)
    what = f"the clock moved by {by / clocks.DAY:g} days at operation {jump}"
    if not (ended.well or ended.killed == signal.SIGKILL):
        return lost(f"{what}: {ended.error} {ended.words} {ended.killed}")
    if fault := results.damaged(folder, work):
        return lost(f"{what}: {fault}")
    outcome = ending(work, folder, call(lambda: work.run(folder)), what)
    wrong = clocks.wrong_minutes(folder)
    return lost(f"{what}: {wrong}") if wrong else outcome
