"""python -m data_prep NAME: makes or checks every data set and the embedded weights.

stickers    draws the embedded world's sets (seconds) and checks what other sets are at hand
teacher     trains the embedded CLIP from nothing (about 40 minutes on 2 cores)
supervised  trains the labels-only tower, the baseline's starting point (about 6 minutes)
sweep       learning rates of student and baseline on the embedded world (about 15 minutes)
record      keeps the run of `make course SEEDS=3` with the course, in notebooks/recorded
publish     runs lessons and keeps their outputs in notebooks: publish --lessons 02 03
"""

import argparse
import shutil

from cinv_lib import home, images

from . import labelled, publish, record, sweep, teacher


def stickers() -> None:
    """Draw every set of the embedded world that is not on disk yet, and say what is there."""
    for name, split in (
        ("stickers-100", "train"),
        ("stickers-100", "val"),
        ("stickers-100b", "train"),
        ("stickers-100b", "val"),
        ("stickers-shift", "val"),
        ("digits", "train"),
        ("digits", "val"),
        ("faces", "train"),
        ("faces", "val"),
    ):
        found = images.load(name, split)
        print(f"OK  {name}/{split}: {len(found)} pictures, {len(found.class_names)} classes")


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m data_prep", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    names = ("stickers", "teacher", "supervised", "sweep", "record", "publish")
    parser.add_argument("name", choices=names)
    parser.add_argument("--lessons", nargs="+", metavar="NN", default=[], help="to publish")
    parser.add_argument("--fresh", action="store_true", help="forget an unfinished training")
    options = parser.parse_args()
    if options.name == "stickers":
        return stickers()
    if options.name == "sweep":
        return print(sweep.make().to_string(index=False))
    if options.name == "record":
        return print("\n".join(f"OK  {folder}" for folder in record.make()))
    if options.name == "publish":
        return publish.publish(options.lessons)
    work = home.home() / "training" / options.name
    if options.fresh:
        shutil.rmtree(work, ignore_errors=True)
    {"teacher": teacher.make, "supervised": labelled.make}[options.name](work)


if __name__ == "__main__":
    main()
