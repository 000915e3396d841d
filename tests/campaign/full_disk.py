"""A disk that fills in the course of a piece of work: a small tmpfs, where mounting is allowed."""

import random
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.campaign import disturbed, results, works
from tests.campaign.forked import call
from tests.campaign.judge import Outcome, lost, of_error, skipped
from tests.campaign.trials import Settings, Trial

LARGE = "64m"
LEAST = 16  # KiB: the folders themselves need some


def disk(settings: Settings) -> Iterator[Trial]:
    """A disk of some size between next to nothing and what the work needs; then a larger one."""
    pieces = [work for work in works.EVERY if work.name != "links"]  # which writes next to nothing
    for i in settings.number(20):
        work = pieces[i % len(pieces)]
        yield Trial("disk", f"{work.name} {i:02}", partial(full, work))


def full(work: works.Work, folder: Path, chance: random.Random) -> Outcome:
    needed = results.undisturbed(work).size // 1024 * 2 + LEAST
    size = f"{chance.randint(LEAST, needed)}k"
    mounted = _root("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    if mounted:
        return skipped(f"no disk could be made here: {mounted}")
    try:
        ended = call(lambda: work.run(folder))
        what = f"a disk of {size}"
        if fault := results.damaged(folder, work):
            return lost(f"{what}: {fault}")
        outcome = of_error(ended, [str(folder), folder.name]) if not ended.well else None
        if outcome and outcome.state != "survived":
            return outcome._replace(words=f"{what}: {outcome.words}")
        _root("mount", "-o", f"remount,size={LARGE}", str(folder))
        told = f"{what}: {outcome.words}" if outcome else f"{what} was enough"
        return disturbed.ending(work, folder, call(lambda: work.run(folder)), told)
    finally:
        _root("umount", str(folder)) and _root("umount", "-l", str(folder))


def _root(*command: str) -> str:
    """Run it; what it said if it failed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except OSError as error:
        return str(error)
    return done.stderr.strip() or "it failed" if done.returncode else ""
