"""A run of a profile before it costs anything: all of it, with little of everything.

    make rehearse PROFILE=imagenet100            every task, every lesson, the pages: some minutes
    make rehearse PROFILE=stl10 LESSONS="05 06"
    make rehearse PROFILE=imagenet100 REAL=1     the real towers for some steps: see `trial`

The data are linked where they are there and made up where they are not, both by `data_prep`; towers
are tiny and random; trainings have two steps (`profiles.rehearsed`). What is published is loaded
too where its weights are here. A lesson that stops is named at the end, and so is one that says
what it lacks. Nothing of it is in the run itself: it is in `runs/rehearsal`, to look at and delete.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from cinv_lib.course.excerpt import fault
from cinv_lib.data import catalogue, prepared
from cinv_lib.data.image_files import ImageFiles
from cinv_lib.encoders import encoder as encoders
from cinv_lib.lab import missing, trial
from cinv_lib.lab.profiles import own, rehearsed
from cinv_lib.lab.profiles.names import PROFILES, profile
from cinv_lib.lab.profiles.record import ENCODERS, Profile
from cinv_lib.machine import folders
from cinv_lib.plots.panels import frames

OFFERED = ("imagenet100", "stl10")
NAME, PAGE = "rehearsal", "site/index.html"


def environment(out: Path) -> dict[str, str]:
    """What makes a process part of the rehearsal that is kept in `out`."""
    kept = {"CINV_HOME": out / "data", "CINV_RUNS": out, "CINV_PROGRESS": out / "progress.json"}
    flags = {rehearsed.VARIABLE: "1", "CPU": "1", "HF_HUB_OFFLINE": "1", frames.FEWER: "4"}
    return {**os.environ, **{name: str(path) for name, path in kept.items()}, **flags}


def data(p: Profile, out: Path) -> Iterator[str]:
    """Put all sets of a profile into the rehearsal's data: a line each."""
    lessons = {lesson for entry in p.entries for lesson in entry.lessons}
    names = {name for lesson in ("", *lessons) for name in missing.sets(p, lesson)}
    yours = {name: folders.home() / name for name in names if missing.command(name) is None}
    made = environment(out)
    os.environ |= {name: made[name] for name in ("CINV_HOME", "CINV_RUNS")}
    earlier = set(filter(there, names - {*yours}))
    absent = sorted(names - {*yours} - earlier)
    if absent:
        command = [sys.executable, "-m", "data_prep", "made-up", *absent]
        subprocess.run([*command, "--source", out / "made-up"], env=made, check=True)
    for name in sorted(names):
        if name in yours:
            real(name, p, yours[name])
            yield f"pictures {name}: yours, in {yours[name]}"
        else:
            why = "in an earlier rehearsal" if name in earlier else "as there are none"
            yield f"pictures {name}: made up, {why}"


def there(name: str) -> bool:
    """Whether a set is whole in the rehearsal's data."""
    try:
        return missing.command(name) is None and bool(catalogue.to_train(name))
    except (ValueError, OSError):
        return False


def real(name: str, p: Profile, yours: Path) -> None:
    """A set of the reader's: linked; of unlabelled pictures a few, as a training sees them all."""
    place = folders.home() / name
    if place.exists() or place.is_symlink():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(yours, target_is_directory=True)
    if name != p.unlabelled:
        return
    few = prepared.read(name, "train").subset(torch.arange(rehearsed.UNLABELLED, device="cpu"))
    place.unlink()
    prepared.write(name, "train", few.images, few.labels, few.class_names, few.provenance)


def weights(p: Profile) -> Iterator[str]:
    """Whether the published towers are here and embed two pictures: a line each."""
    for name in filter(None, (getattr(p, tower) for tower in ENCODERS)):
        began = time.monotonic()
        try:
            tower = encoders.load(name)
        except (FileNotFoundError, ImportError) as error:
            yield f"weights {name}: not here, so a tiny tower stands for them; {how(error)}"
            continue
        side = tower.image_size
        with torch.no_grad():
            found = tower(torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)))
        seconds = time.monotonic() - began
        yield f"weights {name}: here, {tuple(found.shape)} for two pictures in {seconds:.1f} s"


def how(error: Exception) -> str:
    """What to do, of the sentences of an error."""
    return str(error).partition("On a machine")[2].join(("on a machine", "")) or str(error)


def ended(folder: Path) -> dict[str, str]:
    """Of each lesson that was run, how: "whole", "stopped: ERROR" or "lacks: WHAT"."""
    found = {}
    for path in sorted(folder.glob("notebooks/*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        error = fault(cells)
        if error is None:
            found[path.stem] = "whole"
        elif error["ename"] == "SystemExit":
            found[path.stem] = "lacks: " + lacking(cells)
        else:
            found[path.stem] = f"stopped: {error['ename']}: {error['evalue']}"
    return found


def lacking(cells: list[dict]) -> str:
    """What a lesson said before it ended for want of data or weights."""
    outputs = (output for cell in cells for output in cell.get("outputs", []))
    texts = ("".join(o.get("data", {}).get("text/markdown", "")) for o in outputs)
    lines = [line for text in texts for line in text.splitlines() if line.startswith("- ")]
    return "; ".join(line.removeprefix("- ") for line in lines)


def few_of_your_own(name: str, out: Path) -> None:
    """Write the run "own/NAME" into the rehearsal, with links to a few of its pictures.

    Its teacher is the real one, which `make own` has loaded. Raises ValueError as `own.read`.
    """
    run = own.read(name)
    pictures = run.pictures
    if pictures not in own.DRAWN:
        found = ImageFiles.from_folder(pictures)
        each = max(2, 2 * run.batch_size // len(found.class_names))
        sample = found.per_class(min(each, int(found.labels.bincount().min())))
        pictures = str(linked_sample(sample, out / "pictures" / Path(name).name))
    few = replace(run, pictures=pictures, epochs=1, realisations=2, probe_epochs=1)
    os.environ["CINV_RUNS"] = environment(out)["CINV_RUNS"]
    own.file_of(name).unlink(missing_ok=True)  # the run may be another one by now
    own.write(name, few)


def linked_sample(files: ImageFiles, folder: Path) -> Path:
    """A folder of links to these pictures, with a folder per class where there are classes."""
    shutil.rmtree(folder, ignore_errors=True)
    for path, label in zip(files.paths, files.labels.tolist(), strict=True):
        into = folder / files.class_names[label] if len(files.class_names) > 1 else folder
        into.mkdir(parents=True, exist_ok=True)
        (into / Path(path).name).symlink_to(Path(path).resolve())
    return folder


def rehearse(name: str, lessons: str, seeds: int) -> int:
    """Run all of it. 0 if every lesson ended, whole or with the sentence that says what it lacks,
    and the pages are made."""
    began, out = time.monotonic(), folders.all_runs() / NAME
    made = environment(out)
    if name.startswith("own/"):
        del made[rehearsed.VARIABLE]
        few_of_your_own(name, out)
    else:
        p = PROFILES[name]
        for line in (*weights(p), *data(p, out)):
            print(line, flush=True)
        rehearsed.write_towers(p)
    for old in (out / name).glob("logs/*.stopped"):  # they are tried again
        Path(folders.ROOT, old.read_text().strip()).unlink(missing_ok=True)
        old.unlink()
    make = ["make", "--no-print-directory", "course", f"PROFILE={name}", f"SEEDS={seeds}"]
    course = subprocess.run([*make, f"LESSONS={lessons}"], env=made, cwd=folders.ROOT)
    return said(out / name, course.returncode, (time.monotonic() - began) / 60)


def said(run: Path, code: int, minutes: float) -> int:
    """Print how each lesson ended and what stopped; 1 where something did."""
    found = ended(run)
    print(*("", *(f"{name}: {how}" for name, how in found.items())), sep="\n")
    stopped = sorted(str(path).removesuffix(".stopped") for path in run.glob("logs/*.stopped"))
    tasks = [path for path in stopped if Path(path).name.partition(".")[0] not in found]
    print(*(f"stopped: see {path}" for path in tasks), sep="\n")
    bad = tasks + [name for name, how in found.items() if how.startswith("stopped")]
    bad += [] if (run / PAGE).is_file() and not code else ["the pages"]
    print(
        f"{len(found)} lessons in {minutes:.0f} minutes, {len(bad)} stopped; {run}/site/index.html"
    )
    return int(bool(bad))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("profile", help=f"{', '.join(OFFERED)} or own/NAME")
    parser.add_argument("--lessons", default="all")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--real", default="", help="1: some steps of the real towers, no lessons")
    given = parser.parse_args()
    if given.profile not in OFFERED and not given.profile.startswith("own/"):
        parser.error(
            f"{given.profile!r}: expected {', '.join(OFFERED)} or own/NAME, as others cost minutes"
        )
    try:
        if given.real == "1":
            return trial.main(profile(given.profile), given.seeds)
        return rehearse(given.profile, given.lessons, given.seeds)
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
