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

from cinv_lib.machine.files import write_text
from cinv_lib.machine.store import Store, flaw, provenance
from cinv_lib.paper.verdict import measured
from cinv_lib.paper.verdicts import CLAIMS, Tables, decided, named, places

READ = sorted({table for claim in CLAIMS for table in claim.reads})
PLACE = ("commit", "date", "machine", "python", "torch", "threads", "minutes", "cpu_minutes")


def results(run: Path) -> list[Path]:
    """Write `run/results/*.json` from what `run/store` holds; returns the files, sorted.

    Trains nothing. Of several results for one operator and seed (the budgets were changed, say) the
    latest counts.
    """
    entries = Store(run / "store").listing() if (run / "store").is_dir() else pd.DataFrame()
    if entries.empty:
        return []
    latest = {}
    for entry in entries[entries.state == "finished"].itertuples():
        operator = entry.spec["operator"]
        if isinstance(operator, list):  # one from outside the library: its text and a fingerprint
            operator = operator[0]
        folder = Path(entry.path)
        measured = any((folder / f"{table}.csv").exists() for table in READ)
        if measured and not flaw(folder):  # weights are not read here, nor their digests made
            seed = entry.spec["seed"]
            own = f'@{seed}"' in json.dumps(entry.spec)  # its pictures, as `Profile.drawn` has them
            latest[entry.kind, operator, entry.spec.get("loss"), seed] = folder, not own
    files, tables = [], {}
    for (kind, operator, loss, seed), (folder, shared) in sorted(latest.items(), key=str):
        for table in (table for table in READ if (folder / f"{table}.csv").exists()):
            frame = pd.read_csv(folder / f"{table}.csv").assign(seed=seed)
            tables.setdefault((table, operator), []).append(named(frame, operator, loss, shared))
        if kind == "known_operator":
            name = re.sub(r"[^\w.]+", "-", f"known_operator-{operator}-seed{seed}")
            files.append(_write(run / "results" / f"{name}.json", record(operator, seed, folder)))
    rows = ledger({key: pd.concat(parts, ignore_index=True) for key, parts in tables.items()})
    if tables:
        files.append(_write(run / "results" / "ledger.json", rows))
    return sorted(files)


def ledger(tables: Tables) -> list[dict[str, Any]]:
    """The claims that these tables decide, each with its sentence and source; the computed ones
    too. A table without a method that a claim names (of an older library, say) decides it not."""
    rows = []
    for claim in CLAIMS:
        there = {kind: tuple(op for k, op in tables if k == kind) for kind in claim.reads}
        for op in places(claim, there):
            try:
                rows += measured(claim, {kind: tables[kind, op] for kind in claim.reads}, op)
            except ValueError:
                continue
    said = {claim.number: {"sentence": claim.sentence, "source": claim.source} for claim in CLAIMS}
    return [row | said[row["claim"]] for row in decided(rows).to_dict("records")]


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
