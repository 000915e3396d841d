"""A call in a process of its own, forked from this one, which has loaded torch: a start takes
milliseconds. It has its own group, so that all that it starts is killed or stopped with it."""

import contextlib
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST = 600.0  # seconds until a call counts as hanging


@dataclass(frozen=True)
class Ended:
    """How a call ended.

    value: what it returned, as JSON has it. error, words: the class and text of what it raised.
    printed: both of its streams. killed: the signal that ended it, or 0.
    """

    value: Any = None
    error: str = ""
    words: str = ""
    printed: str = ""
    killed: int = 0

    @property
    def well(self) -> bool:
        return not (self.error or self.killed)


class Running:
    """A call on its way."""

    def __init__(self, call: Callable[[], Any]):
        self.notes = Path(tempfile.mkdtemp(prefix="call-"))
        (self.notes / "printed.txt").touch()  # a call may be killed before it opens it
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _child(call, self.notes)
        with contextlib.suppress(OSError):  # the child does it too: whoever comes first
            os.setpgid(self.pid, self.pid)

    def signal(self, number: int) -> None:
        """Send a signal to the whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def ended_by_itself(self, seconds: float) -> bool:
        """Wait as long; whether it had ended by then."""
        until = time.monotonic() + seconds
        while not os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if time.monotonic() > until:
                return False
            time.sleep(0.002)
        return True

    def wait(self, longest: float = LONGEST) -> Ended:
        """Its end. What takes longer is killed, and is a TimeoutError."""
        in_time = self.ended_by_itself(longest)
        self.signal(signal.SIGKILL)  # what it may have left running, too
        _, status = os.waitpid(self.pid, 0)
        printed = (self.notes / "printed.txt").read_text(errors="replace")
        answer = self.notes / "answer.json"
        known = json.loads(answer.read_text()) if answer.is_file() else {}
        shutil.rmtree(self.notes, ignore_errors=True)
        if not in_time:
            return Ended(error="TimeoutError", words=f"no end in {longest:g} s", printed=printed)
        if known:
            return Ended(printed=printed, **known)
        return Ended(printed=printed, killed=os.WTERMSIG(status) or 1)


def call(function: Callable[[], Any], longest: float = LONGEST) -> Ended:
    """Call it in a process of its own, and wait for its end."""
    return Running(function).wait(longest)


def _child(function: Callable[[], Any], notes: Path) -> None:
    """The forked process: it never returns."""
    try:
        os.setpgid(0, 0)
        streams = os.open(notes / "printed.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number in (1, 2):
            os.dup2(streams, number)
        for name in ("stdout", "stderr"):
            raw = io.FileIO(streams, "w", closefd=False)
            setattr(sys, name, io.TextIOWrapper(raw, errors="backslashreplace", write_through=True))
        warnings.simplefilter("default")
        try:
            known = {"value": function()}
        except BaseException as error:
            known = {"error": type(error).__name__, "words": str(error)}
            if os.environ.get("CAMPAIGN_TRACE"):
                traceback.print_exc()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        (notes / "answer.part").write_text(json.dumps(known))
        os.replace(notes / "answer.part", notes / "answer.json")
    finally:
        os._exit(0)
