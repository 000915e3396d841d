"""What a check of the installation finds, and how findings are printed: see `preflight`."""

# ruff: noqa: UP006, UP035 (the names of types that Python 3.8 has)

from dataclasses import dataclass
from typing import Callable, Iterable, Tuple

REINSTALL = "rm -rf .venv && make install"


@dataclass(frozen=True)
class Finding:
    """What a check saw. `fix` is a command or a sentence; a finding that is "OK" has none."""

    status: str  # "OK", "WARN": the course runs, but ..., "FAIL": it does not run
    name: str
    detail: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.status:<5}{self.name}: {self.detail}" + (
            f"\n     fix: {self.fix}" if self.fix else ""
        )


def examine(name: str, check: Callable[[], Finding], fix: str = REINSTALL) -> Finding:
    """The check's finding; whatever it raises is a FAIL that says what."""
    try:
        return check()
    except Exception as error:
        first = (str(error).strip().splitlines() or ["no message"])[0]
        return Finding("FAIL", name, f"{type(error).__name__}: {first[:200]}", fix)


def report(
    named: Iterable[Tuple[str, Callable[[], Finding]]],
    good: str = "the course can run",
    fix: str = REINSTALL,
) -> int:
    """Print every finding as it comes and a last line; 1 if anything failed, else 0.

    Args:
        good: the last line's words where nothing failed.
        fix: what helps where a check itself cannot run.
    """
    counts = {"OK": 0, "WARN": 0, "FAIL": 0}
    for name, check in named:
        finding = examine(name, check, fix)
        counts[finding.status] += 1
        print(finding, flush=True)
    verdict = "something must be fixed" if counts["FAIL"] else good
    print(f"\n{counts['OK']} OK, {counts['WARN']} WARN, {counts['FAIL']} FAIL: {verdict}")
    return int(counts["FAIL"] > 0)
