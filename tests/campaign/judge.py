"""What is made of a trial: survived, lost, unclear, or skipped; and why, in a few words."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tests.campaign.forked import Ended

SURVIVED, LOST, UNCLEAR, SKIPPED = "survived", "lost", "unclear", "skipped"
TRACEBACK = "Traceback (most recent call last)"

# Errors that the library says on purpose. A SystemExit is how a command ends with its sentence.
MEANT = ("ValueError", "FileNotFoundError", "OSError", "DiskFull", "FloatingPointError",
         "TypeError", "SystemExit")  # fmt: skip
# What a sentence with a fix has: what was expected, or something to do.
FIX = re.compile(
    r"\b(expected|known are|there are|it has|run|copy|save|delete|move|give|choose|free|download|"
    r"unpack|set|pass|take|train|name|use|check|make|ask|built anew|begun anew|drawn anew|"
    r"starts again|goes on|resumes?)\b",
    re.IGNORECASE,
)


class Outcome(NamedTuple):
    """One of the four, and why."""

    state: str
    words: str = ""


def survived(words: str = "") -> Outcome:
    return Outcome(SURVIVED, words[:300])


def lost(words: str) -> Outcome:
    return Outcome(LOST, words[:600])


def unclear(words: str) -> Outcome:
    return Outcome(UNCLEAR, words[:600])


def skipped(words: str) -> Outcome:
    return Outcome(SKIPPED, words[:300])


def fault_of(error: str, words: str, names: Sequence[str]) -> str:
    """What is wrong with an error as a reader meets it; "" if nothing is.

    names: what it may call the thing by: a path, a file's name, a value.
    """
    said = f"{error}: {words}"
    if error not in MEANT:
        return f"an error that nobody meant, {said}"
    if not any(name in words for name in names if name):
        return f"does not name the thing ({names[0]}), {said}"
    if not FIX.search(words):
        return f"names no fix, {said}"
    return ""


def of_words(error: str, words: str, names: Sequence[str]) -> Outcome:
    """Survived where the words are clear, else unclear."""
    fault = fault_of(error, words, names)
    return unclear(fault) if fault else survived(words)


def of_error(ended: Ended, names: Sequence[str]) -> Outcome:
    """The same of a call that ended with an error, and of what it printed."""
    if ended.killed:
        return lost(f"the process ended by signal {ended.killed}")
    if TRACEBACK in ended.printed:
        return unclear("a traceback: " + ended.printed.strip().rpartition("\n")[2])
    return of_words(ended.error, ended.words, names)


def said(function: Callable[[], Any], names: Sequence[str]) -> tuple[Any, Outcome | None]:
    """What a call returns, and None; or None, and what its error is worth."""
    try:
        return function(), None
    except (KeyboardInterrupt, SystemError):
        raise
    except BaseException as error:
        return None, of_words(type(error).__name__, str(error), names)
