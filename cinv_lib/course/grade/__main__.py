"""Grade the notebooks of a class: `python -m cinv_lib.course.grade HANDED_IN/*.ipynb --seed 7`.

Every answer is tried on fresh cases, which the seed draws: keep it to yourself. The table and the
page are written again after each notebook, and what has been graded is kept, so that a run may be
stopped and started again. It protects against accidents, not malice: whom you do not trust, run in
a container.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tqdm.auto import tqdm

import cinv_lib
from cinv_lib.course.excerpt import library
from cinv_lib.course.grade import kernel, report, rows
from cinv_lib.course.grade.rows import Row
from cinv_lib.course.grade.submission import read, students
from cinv_lib.machine import host
from cinv_lib.machine.files import write_text


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 1 where a file could not be graded."""
    parser = argparse.ArgumentParser("python -m cinv_lib.course.grade", description=__doc__)
    parser.add_argument("notebooks", nargs="+", type=Path, help="as they were handed in")
    parser.add_argument("--seed", type=int, required=True, help="of the cases, a whole number")
    parser.add_argument("--out", type=Path, default=Path("grades"), help="folder to write into")
    parser.add_argument("--jobs", type=int, default=host.cores(), help="notebooks side by side")
    parser.add_argument("--again", action="store_true", help="also what has been graded before")
    asked = parser.parse_args(arguments)
    if asked.jobs < 1 or not 0 <= asked.seed < 2**63:
        parser.error("expected --jobs of 1 or more, and a --seed of 0 or more")
    paths = _once(asked.notebooks)
    kept = asked.out / "kept"
    kept.mkdir(parents=True, exist_ok=True)
    graded: dict[Path, list[Row]] = {}
    problems = []
    pool = ThreadPoolExecutor(asked.jobs)
    try:
        jobs = {
            pool.submit(_one, path, student, asked.seed, kept, asked.again): (path, student)
            for path, student in zip(paths, students(paths), strict=True)
        }
        for job in tqdm(as_completed(jobs), total=len(jobs), desc="graded", unit="notebook"):
            path, student = jobs[job]
            try:
                graded[path] = job.result()
            except (OSError, ValueError, RuntimeError) as error:
                problems.append(str(error))
                graded[path] = [rows.not_graded(student, str(error))]
            done = [row for path in paths for row in graded.get(path, ())]
            report.write(asked.out, done, asked.seed)
    finally:  # also when it is interrupted
        pool.shutdown(wait=False, cancel_futures=True)
        kernel.stop_all()
    for problem in problems:
        print(f"not graded: {problem}", file=sys.stderr)
    print(asked.out / "grades.csv", asked.out / "grades.html", sep="\n")
    return 1 if problems else 0


def _once(paths: Iterable[Path]) -> list[Path]:
    """The files without those that are named twice, which is said."""
    found: dict[Path, Path] = {}
    for path in paths:
        if path.resolve() in found:
            print(f"{path} is named twice; it is graded once", file=sys.stderr)
        found.setdefault(path.resolve(), path)
    return list(found.values())


def _one(path: Path, student: str, seed: int, kept: Path, again: bool) -> list[Row]:
    """The rows of one notebook; those of an earlier run, if file, seed and library are the same."""
    given = read(path, student)
    version = library(str(Path(cinv_lib.__file__).parent))
    file = kept / f"{given.digest[:16]}-{version}-{seed}.json"
    before = None if again else rows.from_json(file)
    if before is None:
        before = rows.grade(given, seed)
        write_text(file, rows.to_json(before))
    return [rows.named(row, given) for row in before]


if __name__ == "__main__":
    sys.exit(main())
