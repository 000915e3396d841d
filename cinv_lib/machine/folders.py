"""Where the course keeps things: data sets drawn or downloaded, runs, the reader's progress."""

import os
from pathlib import Path

import platformdirs

ROOT = Path(__file__).parents[2]


def in_checkout() -> bool:
    """Whether the library is used in its repository, and not where pip has put it alone."""
    return (ROOT / "notebooks").is_dir() and (ROOT / "Makefile").is_file()


def beside() -> Path:
    """The folder of data, runs and progress: the repository's, or else the user's own for programs,
    on Linux ~/.local/share/cinv."""
    return ROOT if in_checkout() else Path(platformdirs.user_data_dir("cinv", appauthor=False))


def home() -> Path:
    """Folder of data sets: $CINV_HOME, or `data/` (see `beside`)."""
    return Path(os.environ.get("CINV_HOME") or beside() / "data").expanduser()


def runs(profile: str) -> Path:
    """Folder of everything trained and measured under a profile: $CINV_RUNS or `runs/`/profile."""
    return Path(os.environ.get("CINV_RUNS") or beside() / "runs").expanduser() / profile


def progress_file() -> Path:
    """The reader's progress: $CINV_PROGRESS, or `progress.json` (see `beside`)."""
    return Path(os.environ.get("CINV_PROGRESS") or beside() / "progress.json").expanduser()
