"""Trials, and the run of them: one by one, or many short ones in one forked process."""

import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tests.campaign.forked import Running
from tests.campaign.judge import Outcome, lost, unclear
from tests.campaign.ledger import Ledger

AT_ONCE = 200  # short trials in a process
HANGS = 180.0  # seconds in which a short trial has to end


@dataclass(frozen=True)
class Trial:
    """One trial of a kind.

    run: called with an empty folder and the trial's own chance. short: it starts no process of
    its own, so that many can share a forked one; one that ends the process is lost.
    """

    kind: str
    name: str
    run: Callable[[Path, random.Random], Outcome]
    short: bool = False

    def outcome(self, seed: int) -> Outcome:
        """Make it, in a folder that is then removed."""
        folder = Path(tempfile.mkdtemp(prefix="trial-"))
        try:
            return self.run(folder, random.Random(f"{seed} {self.kind} {self.name}"))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Settings:
    """seed: of every draw. pause: seconds that a stopped group stays so. each: the most trials of a
    piece of a kind, for tests; None for all."""

    seed: int = 0
    pause: float = 2.0
    each: int | None = None

    def number(self, usual: int) -> range:
        """The numbers of the trials of one piece."""
        return range(usual if self.each is None else min(usual, self.each))


def run(trials: Iterator[Trial], ledger: Ledger, until: float, said: Callable[[str], None]) -> int:
    """Make every trial that the ledger does not have, as long as there is time; returns how many
    were left. `until`: a time of time.monotonic."""
    wanted = (trial for trial in trials if not ledger.has(trial.kind, trial.name))
    left = 0
    for group in _groups(wanted):
        waiting = list(group)
        if time.monotonic() > until:
            left += len(waiting)
            continue
        if not waiting[0].short:
            started = time.monotonic()
            outcome = waiting[0].outcome(ledger.seed)
            took = time.monotonic() - started
            ledger.add(waiting[0].kind, waiting[0].name, outcome, took)
            said(f"{waiting[0].kind}: {waiting[0].name}: {outcome.state}")
            continue
        while waiting:
            waiting = waiting[_short(waiting, ledger) :]
        said(f"{group[-1].kind}: up to {group[-1].name}")
    return left


def _groups(trials: Iterator[Trial]) -> Iterator[list[Trial]]:
    """Long trials alone; short ones of one kind, up to AT_ONCE."""
    pending: list[Trial] = []
    for trial in trials:
        if pending and (
            not trial.short or trial.kind != pending[0].kind or len(pending) == AT_ONCE
        ):
            yield pending
            pending = []
        if trial.short:
            pending.append(trial)
        else:
            yield [trial]
    if pending:
        yield pending


def _short(trials: list[Trial], ledger: Ledger) -> int:
    """Make short trials in one process until it ends; returns how many were made, at least one."""
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder, "lines")
        lines.touch()

        def make() -> None:
            with lines.open("a") as out:
                for trial in trials:
                    started = time.monotonic()
                    outcome = trial.outcome(ledger.seed)
                    out.write(json.dumps([*outcome, time.monotonic() - started]) + "\n")
                    out.flush()

        running = Running(make)
        done, last = 0, time.monotonic()
        while not running.ended_by_itself(0.5):
            now = lines.read_bytes().count(b"\n")
            if now > done:
                done, last = now, time.monotonic()
            if time.monotonic() - last > HANGS:
                break
        ended = running.wait(longest=0)
        made = [json.loads(line) for line in lines.read_text().splitlines()]
    for trial, (state, words, took) in zip(trials, made, strict=False):
        ledger.add(trial.kind, trial.name, Outcome(state, words), took)
    if len(made) < len(trials):
        trial = trials[len(made)]
        outcome = unclear(f"no end in {HANGS:g} s")
        if ended.error != "TimeoutError":
            how = f"signal {ended.killed} {ended.error} {ended.words}"
            outcome = lost(f"it ended the process: {how}")
        ledger.add(trial.kind, trial.name, outcome, HANGS)
        return len(made) + 1
    return len(made)


def first(trials: Iterator[Trial], settings: Settings) -> Iterator[Trial]:
    """All of them, or as many as the settings say."""
    return trials if settings.each is None else islice(trials, settings.each)


def kill_me() -> None:
    """What `kill -9` does."""
    os.kill(os.getpid(), 9)
