"""python -m tests.campaign: see the package."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

KINDS = ("texts", "pictures", "archives", "manifests", "parameters", "bytes", "kill", "disk",
         "runners", "clock", "stop", "course")  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser("python -m tests.campaign", description=__doc__)
    top.add_argument("--seed", type=int, default=0, help="of every draw")
    top.add_argument("--minutes", type=float, default=20, help="no trial begins later")
    top.add_argument("--only", action="append", choices=KINDS, metavar="KIND", help="or several")
    top.add_argument("--out", type=Path, help="file of a line a trial; what it has is not repeated")
    top.add_argument("--pause", type=float, default=2, help="seconds that a group stays stopped")
    top.add_argument("--each", type=int, help="the most trials of each piece of a kind")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Make the trials, print the table; 1 where something was lost or unclear."""
    given = parser().parse_args(arguments)
    out = given.out or Path(tempfile.mkdtemp(prefix="campaign-"), "trials.jsonl")
    until = time.monotonic() + 60 * given.minutes
    print(f"a line a trial: {out}", flush=True)

    from tests.campaign import kinds  # torch and the library: seconds
    from tests.campaign.ledger import Ledger
    from tests.campaign.trials import Settings, run

    os.environ["CINV_PROGRESS"] = str(Path(tempfile.mkdtemp(prefix="campaign-"), "progress.json"))
    settings = Settings(given.seed, given.pause, given.each)
    ledger, left = Ledger(out, given.seed), {}
    chosen = [kind for kind in kinds.KINDS if not given.only or kind in given.only]
    for kind in chosen:
        said = (lambda words: print(words, flush=True)) if sys.stdout.isatty() else (lambda _: None)
        started = time.monotonic()
        left[kind] = run(kinds.KINDS[kind](settings), ledger, until, said)
        print(f"{kind}: {time.monotonic() - started:.0f} s", flush=True)
    print("\n" + ledger.table(chosen))
    for line in ledger.troubles():
        print(line)
    if any(left.values()):
        words = ", ".join(f"{kind} {n}" for kind, n in left.items() if n)
        print(f"no time was left for: {words}. The same command with --out {out} goes on")
    return int(ledger.count("lost") + ledger.count("unclear") > 0)


if __name__ == "__main__":
    sys.exit(main())
