"""Where the course keeps things: data sets drawn or downloaded, runs, the reader's progress."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]


def home() -> Path:
    """Folder of data sets: $CINV_HOME, or `data/` beside the library."""
    return Path(os.environ.get("CINV_HOME") or ROOT / "data").expanduser()


def runs(profile: str) -> Path:
    """Folder of everything trained and measured under a profile: $CINV_RUNS or `runs/`/profile."""
    return Path(os.environ.get("CINV_RUNS") or ROOT / "runs").expanduser() / profile


def progress_file() -> Path:
    """The reader's progress: $CINV_PROGRESS, or `progress.json` beside the library."""
    return Path(os.environ.get("CINV_PROGRESS") or ROOT / "progress.json").expanduser()
