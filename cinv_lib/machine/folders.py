"""Where the course keeps things: data sets drawn or downloaded, runs, the reader's progress.

Everybody asks here: the Makefile (by `machine.shell`, before anything is installed), the Snakefile,
the lessons' kernels, the pages, the doctor. `python -m cinv_lib.machine.folders` prints them.
"""

# ruff: noqa: UP006, UP035 (the names of types that Python 3.8 has, under which make may ask)

import os
from pathlib import Path
from typing import Dict

ROOT = Path(__file__).resolve().parents[2]


def in_checkout() -> bool:
    """Whether the library is used in its repository, and not where pip has put it alone."""
    return (ROOT / "notebooks").is_dir() and (ROOT / "Makefile").is_file()


def own() -> Path:
    """The user's own folder for the data of programs, on Linux ~/.local/share/cinv."""
    try:
        import platformdirs
    except ImportError:  # before the installation
        return Path("~/.local/share/cinv").expanduser()
    return Path(platformdirs.user_data_dir("cinv", appauthor=False))


def beside() -> Path:
    """The folder of data, runs and progress: the repository's, or else the user's own."""
    return ROOT if in_checkout() else own()


def home() -> Path:
    """Folder of data sets: $CINV_HOME, or `data/` (see `beside`)."""
    return _place("CINV_HOME") or beside() / "data"


def all_runs() -> Path:
    """Folder of the runs of all profiles: $CINV_RUNS, or `runs/` (see `beside`)."""
    return _place("CINV_RUNS") or beside() / "runs"


def runs(profile: str) -> Path:
    """Folder of everything trained and measured under a profile."""
    return all_runs() / profile


def run_folder(profile: str) -> str:
    """The same as the runner names it: from the repository on, if it is there, so that a copied or
    moved repository knows what it has run."""
    folder = runs(profile)
    return os.path.relpath(folder, ROOT) if ROOT in folder.parents else str(folder)


def progress_file() -> Path:
    """The reader's progress: $CINV_PROGRESS, or `progress.json` in a repository of the reader's, or
    in the user's own folder: one repository may serve a class."""
    user = getattr(os, "geteuid", lambda: 0)  # Windows has none
    mine = in_checkout() and user() in (0, ROOT.stat().st_uid)
    return _place("CINV_PROGRESS") or (ROOT if mine else own()) / "progress.json"


def _place(variable: str) -> "Path | None":
    """The absolute path that a variable names, if it is set.

    A relative one means the same to all, wherever they are started: it begins in the repository, in
    which `make` is typed and a lesson's kernel, in `notebooks`, is not.
    """
    given = os.environ.get(variable)
    if not given:
        return None
    start = ROOT if in_checkout() else Path.cwd()
    return Path(os.path.normpath(start / os.path.expanduser(given)))


def exported() -> Dict[str, str]:
    """What the reader has said of these folders, as absolute paths for all that is started."""
    said = {name: _place(name) for name in ("CINV_HOME", "CINV_RUNS", "CINV_PROGRESS")}
    return {name: str(place) for name, place in said.items() if place}


def shown() -> str:
    """The four folders, a line each: the library's, and those of data, runs and progress."""
    places = {"course": ROOT, "data": home(), "runs": all_runs(), "progress": progress_file()}
    return "\n".join(f"{name:<9}{place}" for name, place in places.items())


if __name__ == "__main__":
    print(shown())
