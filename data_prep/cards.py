"""Model cards of the embedded weights: what they were trained on, how well they do, how to remake
them. Written by the code that trained them, so that no number in them is typed by hand."""

import hashlib
from pathlib import Path

from cinv_lib.machine import files, provenance

PICTURES = "Pictures: [their sources and licences](../SOURCES.md)."


def write(folder: Path, title: str, weights: str, rows: dict[str, object], text: str) -> None:
    """folder/MODEL_CARD.md: a title, a paragraph, and a table of facts with the file's SHA-256."""
    digest = hashlib.sha256((folder / weights).read_bytes()).hexdigest()
    facts = {**rows, "file": f"`{weights}`", "sha256": f"`{digest}`"}
    facts |= {k: v for k, v in provenance.describe().items() if k in ("commit", "date", "machine")}
    table = "\n".join(f"| {k} | {v} |" for k, v in facts.items())
    card = f"# {title}\n\n{text.strip()}\n\n| | |\n|---|---|\n{table}\n\n{PICTURES}\n"
    files.write_text(folder / "MODEL_CARD.md", card)
