"""What a run measured, as JSON for other programs: `results/` beside the run's store.

A file for each operator and training seed (every method: mean and standard error over the
realisations, and where the numbers come from), and one for the ledger.
"""

import json
import math
import re
from pathlib import Path
from typing import Any

import pandas as pd

from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles.names import PROFILES
from cinv_lib.machine.files import write_text
from cinv_lib.machine.store import Store, flaw, provenance
from cinv_lib.paper import replication, verdicts

PLACE = ("commit", "date", "machine", "python", "torch", "threads", "minutes", "cpu_minutes")


def results(run: Path) -> list[Path]:
    """Write `run/results/*.json` from what `run/store` holds; returns the files, sorted.

    Trains nothing. Of several results for one operator and seed (the budgets were changed, say) the
    latest counts. A run beside which there is a recorded one has no ledger of its own.
    """
    entries = Store(run / "store").listing() if (run / "store").is_dir() else pd.DataFrame()
    if entries.empty:
        return []
    latest = {}
    scored = (entries.state == "finished") & (entries.kind == "known_operator")
    for entry in entries[scored].itertuples():
        operator = entry.spec["operator"]
        if isinstance(operator, list):  # one from outside the library: its text and a fingerprint
            operator = operator[0]
        folder = Path(entry.path)
        # weights are not read here, nor their digests made
        if (folder / "known_operator.csv").exists() and not flaw(folder):
            latest[operator, entry.spec["seed"]] = folder
    files = []
    for (operator, seed), folder in sorted(latest.items(), key=str):
        name = re.sub(r"[^\w.]+", "-", f"known_operator-{operator}-seed{seed}")
        files.append(_write(run / "results" / f"{name}.json", record(operator, seed, folder)))
    whose, lab, seeds = judged(run)
    if whose == "this run" and (rows := ledger(lab, seeds)):
        files.append(_write(run / "results" / "ledger.json", rows))
    return sorted(files)


def judged(run: Path) -> tuple[str, Lab | None, list[int]]:
    """Which trainings decide the claims on a run's page: those of the recorded run, where its
    profile has one, as others decide nothing beside them, and else its own. No seeds for a run of
    one's own pictures, about which nothing is claimed.

    Returns "this run" or "the recorded run"; a lab that reads it; its seeds.
    """
    if run.name not in PROFILES:
        return "this run", None, []
    record, seeds = replication.recorded(lab := Lab(run.name))
    if seeds:
        return "the recorded run", record, seeds
    lab.store = Store(run / "store")
    return "this run", *replication.own(lab)


def ledger(lab: Lab | None, seeds: list[int]) -> list[dict[str, Any]]:
    """What these seeds decide, each row with its claim's sentence and source."""
    if lab is None or not seeds:
        return []
    found = verdicts.ledger(lab, seeds)
    found = found[~found.verdict.str.startswith("not measured")]
    said = {c.number: {"sentence": c.sentence, "source": c.source} for c in verdicts.CLAIMS}
    return [row | said[row["claim"]] for row in found.to_dict("records")]


def record(operator: str, seed: int, folder: Path) -> dict[str, Any]:
    """A finished table known_operator: operator, seed, a row a method, the spec, the provenance."""
    frame, known = pd.read_csv(folder / "known_operator.csv"), provenance(folder)
    columns = [name for name in ("top1", "top5", "auc") if name in frame]
    methods = []
    for method, rows in frame.groupby("method", sort=False):
        row: dict[str, Any] = {"method": method, "realisations": len(rows)}
        for name in columns:
            row[name] = rows[name].mean()
            row[f"{name}_se"] = rows[name].std(ddof=1) / math.sqrt(len(rows))
        methods.append(row)
    return {
        "operator": operator,
        "seed": seed,
        "unit": "percent",
        "methods": methods,
        "spec": known["spec"],
        "provenance": {key: known.get(key) for key in PLACE},
    }


def _write(file: Path, content: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(_plain(content), indent=1, ensure_ascii=False) + "\n")
    return file


def _plain(value: Any) -> Any:
    """Floats rounded to 1e-4, NaN (no standard error of one realisation) as null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value
