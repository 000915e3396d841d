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

from .claims import CLAIMS, decide
from .store import Store, provenance, write_text

PLACE = ("commit", "date", "machine", "python", "torch", "minutes")


def results(run: Path) -> list[Path]:
    """Write `run/results/*.json` from the scores in `run/store`; returns the files, sorted.

    Trains nothing. Of several scores for one operator and seed (the budgets were changed, say) the
    latest counts.
    """
    entries = Store(run / "store").listing() if (run / "store").is_dir() else pd.DataFrame()
    if entries.empty:
        return []
    latest = {}
    for entry in entries[(entries.kind == "scores") & (entries.state == "finished")].itertuples():
        latest[entry.spec["operator"], entry.spec["seed"]] = Path(entry.path)
    files, scores = [], {}
    for (operator, seed), folder in sorted(latest.items()):
        frame = pd.read_csv(folder / "scores.csv").assign(seed=seed)
        scores.setdefault(operator, []).append(frame)
        name = re.sub(r"[^\w.]+", "-", f"scores-{operator}-seed{seed}")
        files.append(_write(run / "results" / f"{name}.json", record(operator, seed, folder)))
    ledger = [
        decide(claim, frame, operator) | {"sentence": claim.sentence, "source": claim.source}
        for operator, frame in ((op, pd.concat(parts)) for op, parts in scores.items())
        for claim in CLAIMS
        if {claim.better, claim.worse} <= set(frame.method)
    ]
    if ledger:
        files.append(_write(run / "results" / "ledger.json", ledger))
    return sorted(files)


def record(operator: str, seed: int, folder: Path) -> dict[str, Any]:
    """One finished entry of scores: operator, seed, a row a method, the spec, the provenance."""
    frame, known = pd.read_csv(folder / "scores.csv"), provenance(folder)
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
