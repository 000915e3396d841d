"""The trials that were made: a JSON line each, so that a campaign goes on where it was stopped."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.campaign.judge import LOST, SKIPPED, SURVIVED, UNCLEAR, Outcome


class Ledger:
    """A file of lines {"seed", "kind", "trial", "outcome", "words", "seconds"}.

    A last line that a kill has cut short is left out, and its trial made again.
    """

    def __init__(self, file: Path, seed: int):
        self.file, self.seed, self.lines = file, seed, []
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        whole, _, cut = text.rpartition("\n")
        for line in whole.splitlines():
            known = json.loads(line)
            if known["seed"] == seed:
                self.lines.append(known)
        if cut:
            part = file.with_name(file.name + ".part")
            part.write_text(f"{whole}\n" if whole else "", encoding="utf-8")
            os.replace(part, file)
        self.known = {(line["kind"], line["trial"]) for line in self.lines}

    def has(self, kind: str, name: str) -> bool:
        """Whether a trial was made already."""
        return (kind, name) in self.known

    def add(self, kind: str, name: str, outcome: Outcome, seconds: float) -> None:
        """Note a trial."""
        line = {"seed": self.seed, "kind": kind, "trial": name, "outcome": outcome.state}
        line |= {"words": outcome.words, "seconds": round(seconds, 3)}
        with self.file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")
        self.lines.append(line)
        self.known.add((kind, name))

    def count(self, outcome: str) -> int:
        """How many trials ended so."""
        return sum(line["outcome"] == outcome for line in self.lines)

    def table(self, kinds: Iterable[str]) -> str:
        """kind, tried, survived, lost, unclear, skipped: a row a kind, and their sums."""
        counts = Counter((line["kind"], line["outcome"]) for line in self.lines)
        states = (SURVIVED, LOST, UNCLEAR, SKIPPED)
        rows = [(kind, *(counts[kind, state] for state in states)) for kind in kinds]
        rows.append(("all", *(sum(row[i] for row in rows) for i in range(1, 5))))
        lines = [f"{'kind':<12}{'tried':>8}{'survived':>10}{'lost':>8}{'unclear':>9}{'skipped':>9}"]
        for kind, well, gone, dim, left in rows:
            lines.append(f"{kind:<12}{well + gone + dim:>8}{well:>10}{gone:>8}{dim:>9}{left:>9}")
        return "\n".join(lines)

    def troubles(self) -> list[str]:
        """A line for each reason of those lost and unclear, with how often it came."""
        bad = [line for line in self.lines if line["outcome"] in (LOST, UNCLEAR)]

        def alike(line: dict) -> tuple[str, str, str]:  # but for numbers and temporary folders
            reason = re.sub(r"/tmp/[\w-]+|0x[0-9a-f]+|[\d.]+", "..", line["words"])
            return line["kind"], line["outcome"], reason[:70]

        same, first = Counter(map(alike, bad)), {alike(line): line for line in reversed(bad)}
        return [
            f"{line['kind']}: {line['outcome']} {n} times, first {line['trial']}: {line['words']}"
            for n, line in ((n, first[reason]) for reason, n in same.most_common())
        ]
