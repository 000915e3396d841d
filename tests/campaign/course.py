"""`make course` killed: a whole course on the profile `smoke`, that is killed at random moments,
started again each time, and ends with the tables of a course that nothing happened to."""

import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cinv_lib.machine.folders import ROOT
from tests.campaign import results
from tests.campaign.judge import TRACEBACK, Outcome, lost, skipped, survived, unclear
from tests.campaign.trials import Settings, Trial

COURSES = 5  # and the undisturbed one: six at most
KILLS = 3  # of each
LONGEST = 45 * 60
WHOLE: dict[str, str] = {}  # files of the undisturbed course, and their digests


def course(settings: Settings) -> Iterator[Trial]:
    """The undisturbed course first."""
    yield Trial("course", "undisturbed", undisturbed)
    for i in settings.number(COURSES):
        yield Trial("course", f"killed {i}", killed)


class Course:
    """A `make course` on its way, in a session of its own."""

    def __init__(self, folder: Path, lessons: str = "all"):
        names = {"CINV_RUNS": "runs", "CINV_HOME": "home", "CINV_PROGRESS": "progress.json"}
        env = os.environ | {name: str(folder / place) for name, place in names.items()}
        command = ["make", "course", "PROFILE=smoke", f"LESSONS={lessons}"]
        self.log = folder / "course.log"
        with self.log.open("ab") as out:
            self.make = subprocess.Popen(
                command, cwd=ROOT, env=env, stdout=out, stderr=out, start_new_session=True
            )

    def wait(self, seconds: float) -> bool:
        """Whether it ended within so many seconds."""
        try:
            self.make.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """kill -9, of all that it has started and is still in its session."""
        session = self.make.pid
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if os.getsid(int(process.name)) == session:
                    os.kill(int(process.name), signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        self.make.wait()


def ended(folder: Path, running: Course) -> Outcome | None:
    """What is wrong with a course that should have gone well; None if nothing is."""
    if not running.wait(LONGEST):
        running.kill()
        return lost(f"the course does not end in {LONGEST / 60:g} minutes")
    said = running.log.read_text(errors="replace")
    if running.make.returncode:
        return lost(f"make course ends with {running.make.returncode}: {said[-300:]}")
    if TRACEBACK in said:
        return unclear("a traceback in what make course says")
    index = folder / "runs/smoke/site/index.html"
    return None if index.is_file() else lost("there is no index.html")


def undisturbed(folder: Path, chance: random.Random) -> Outcome:
    """The course that the others are compared with."""
    if not shutil.which("make") or not Path("/proc/self").exists():
        return skipped("needs make and /proc")
    outcome = ended(folder, Course(folder))
    WHOLE.update(tables(folder))
    logs = folder.glob("runs/smoke/logs/*")
    ill = [
        log.name for log in logs if re.search("Traceback|ERROR", log.read_text(errors="replace"))
    ]
    if outcome is None and ill:
        return unclear(f"it went well, and its logs {', '.join(ill)} have an error")
    return outcome or survived(f"{len(WHOLE)} files")


def tables(folder: Path) -> dict[str, str]:
    """What is trained and measured, without clocks."""
    return results.finished(folder / "runs" / "smoke" / "store")


def killed(folder: Path, chance: random.Random) -> Outcome:
    """A course that is killed several times, then left alone."""
    if not WHOLE:
        other = Path(tempfile.mkdtemp(prefix="course-"))
        outcome = undisturbed(other, chance)
        shutil.rmtree(other, ignore_errors=True)
        if outcome.state != "survived":
            return outcome
    moments = []
    for _ in range(KILLS):
        running, moment = Course(folder), chance.uniform(5, 150)
        if running.wait(moment):
            break
        running.kill()
        moments.append(f"{moment:.0f} s")
        time.sleep(1)
        if fault := results.differs(tables(folder), {n: WHOLE.get(n, "") for n in tables(folder)}):
            return lost(f"killed after {', '.join(moments)}: {fault}")
    (folder / "course.log").unlink()
    outcome = ended(folder, Course(folder))
    if outcome is None and (fault := results.differs(tables(folder), WHOLE)):
        outcome = lost(fault)
    what = f"killed after {', '.join(moments)}"
    return outcome._replace(words=f"{what}: {outcome.words}") if outcome else survived(what)
