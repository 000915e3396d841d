"""What a paper profile costs before it starts: trainings, pictures, hours of GPUs and cores, disk.

    python -m cinv_lib.lab.bill imagenet100 --seeds 1 --gpus 4 --cores 8 --lessons 05 06
    python -m cinv_lib.lab.bill imagenet100 --rates mine.json     {"clip": 5100, "vit": 15000}
    python -m cinv_lib.lab.bill --stream 100_000_000 --gpus 8     a student of tar shards

What is done is counted from the plan and its entries (`costs`). How fast is assumed, for an H100,
as long as no measured rates are given.
"""

import argparse
import json
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from cinv_lib.experiments.trainings import Trained
from cinv_lib.lab import plan
from cinv_lib.lab.costs import DECODE, KEPT, RATES, SIZES, Part, Rates, parts, speeds
from cinv_lib.lab.profiles.names import profile
from cinv_lib.lab.profiles.record import Profile
from cinv_lib.machine import host

FILE = 110_000  # bytes of a picture: the mean of ImageNet's 1.28 million JPEGs (138 GB)
WINDOWS = 2 * 4096  # pictures that a stream holds as files: a window, and batches under way
WHICH = ("low", "middle", "high")


def bill(
    p: Profile,
    seeds: int,
    cores: int = 8,
    rates: Rates | None = None,
    lessons: Collection[str] | None = None,
) -> pd.DataFrame:
    """By kind of task: how many, GPU-hours (low, middle, high: three assumptions), core-hours,
    millions of images and of decoded files, gigabytes kept.

    cores: for each GPU. rates: measured ones, in place of those assumed. lessons: numbers of those
    that are asked for; None for all.
    Raises ValueError for a profile whose sets have no known size, and for lessons that ask for
    nothing.
    """
    if p.data not in SIZES:
        raise ValueError(f"no bill for {p.name!r}: expected a profile of {', '.join(SIZES)}")
    found = []
    for task in plan.every(p, seeds, lessons).values():
        done = parts(p, task)
        row = {"training": isinstance(p[task.kind], Trained), "kind": task.kind, "tasks": 1}
        for k, which in enumerate(WHICH):
            assumed = speeds(k, rates)
            row[which] = sum(part.seconds(assumed, DECODE[k], cores) for part in done) / 3600
        row["core-hours"] = sum(part.decodes * DECODE[1] + part.cores for part in done) / 3600
        row["M images"] = sum(sum(part.images.values()) for part in done) / 1e6
        row["M decodes"] = sum(part.decodes for part in done) / 1e6
        found.append(row | {"GB": KEPT.get(task.kind, 0.0)})
    if not found:
        raise ValueError(f"lessons {' '.join(lessons or ())} ask for nothing that is trained")
    by_kind = pd.DataFrame(found).groupby(["training", "kind"]).sum().reset_index(0)
    return by_kind.sort_values(["training", "middle"], ascending=False)


def said(
    p: Profile,
    seeds: int,
    gpus: int,
    cores: int,
    rates: Rates | None = None,
    lessons: Collection[str] | None = None,
) -> str:
    """The bill in words."""
    table = bill(p, seeds, cores, rates, lessons)
    total, made = table.sum(), table[table.training].sum()
    recipe, pictures = p["student"].recipe, SIZES[p.unlabelled or p.data][0]
    steps = recipe.epochs * -(-pictures // recipe.batch_size)
    low, middle, high = (total[which] for which in WHICH)
    rest = int(total.tasks - made.tasks)
    asked = f", lessons {' '.join(sorted(lessons))}" if lessons else ""
    return f"""{p.name}, SEEDS={seeds}{asked}
{made.tasks:.0f} trainings, a student's of {steps:,} steps and {recipe.epochs * pictures:,} pictures
{rest} probes and measurements; {total["M decodes"]:.0f} million files decoded
GPU-hours: {middle:.0f}, {made.middle:.0f} of them trainings; {high:.0f} to {low:.0f} by what is \
{"measured and " if rates else ""}assumed of an H100 with {cores} cores
core-hours: {total["core-hours"]:.0f}
wall time on {gpus} GPU{"s" if gpus > 1 else ""}: {middle / gpus:.0f} hours or more
disk: about {total.GB:.0f} GB

{table.drop(columns="training").round(2).to_string()}"""


def streamed(pictures: int, gpus: int, cores: int, rates: Rates | None = None) -> str:
    """The bill of one student, CLIP RN101, that sees so many pictures of a stream of shards once.

    cores: for each GPU. rates: measured ones. Raises ValueError for fewer than 1 picture.
    """
    if pictures < 1:
        raise ValueError(f"a stream of {pictures} pictures: expected 1 or more")
    looked = {"clip trained": pictures, "clip folded": pictures}
    hours = []
    for k, decode in enumerate(DECODE):
        assumed = speeds(k, rates)
        hours.append(Part(looked, pictures).seconds(assumed, decode, cores) / 3600)
        if WHICH[k] == "middle":
            alone = pictures / Part(looked).seconds(assumed, decode, cores)
    low, middle, high = hours
    terabytes, several = pictures * FILE / 1e12, "s" if gpus > 1 else ""
    return f"""{pictures:,} pictures of a stream, each seen once by a student of CLIP RN101: \
{pictures // 256:,} steps of 256
GPU-hours: {middle:.3g}; {high:.3g} to {low:.3g} by what is {"measured and " if rates else ""}\
assumed of an H100 with {cores} cores
core-hours of decoding: {pictures * DECODE[1] / 3600:.3g}; a GPU is kept busy by \
{alone * DECODE[1]:.1f} cores at {1000 * DECODE[1]:.0f} ms a picture, \
{alone * DECODE[0]:.1f} at {1000 * DECODE[0]:.0f} ms
wall time on {gpus} GPU{several}: {middle / gpus:.3g} hours or more
network: {terabytes:.3g} TB at {FILE / 1000:.0f} KB a picture, \
{gpus * terabytes * 1e6 / middle / 3600:.0f} MB/s for {gpus} GPU{several}
disk: {KEPT["student"]} GB for the student; the shards need {terabytes:.3g} TB, or none if they \
are read from elsewhere
memory for each GPU: about {WINDOWS * FILE / 1e9:.1f} GB of files that wait for their turn"""


def main() -> None:
    """Print the bill of a profile."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("profile", nargs="?")
    parser.add_argument("--stream", type=int, metavar="PICTURES", help="of tar shards, seen once")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--gpus", type=int, help="default: this machine's, or 1")
    parser.add_argument(
        "--cores", type=int, help="for each GPU; default: this machine's share, or 8"
    )
    parser.add_argument("--lessons", nargs="+", metavar="NN", help="default: all")
    parser.add_argument("--rates", type=Path, help="a JSON of measured images a second")
    given = parser.parse_args()
    try:
        rates = json.loads(given.rates.read_text()) if given.rates else None
        if unknown := {*(rates or {})} - {*RATES}:
            raise ValueError(f"rates {sorted(unknown)}: expected some of {', '.join(RATES)}")
        there = len(host.gpus())
        gpus = given.gpus or there or 1
        # What a machine without a GPU has says nothing of the one that will be rented.
        cores = given.cores or (max(1, host.cores() // gpus) if there else 8)
        if (given.profile is None) == (given.stream is None):
            raise ValueError("expected a profile, as imagenet100, or --stream PICTURES")
        if given.stream is not None:
            return print(streamed(given.stream, gpus, cores, rates))
        p = profile(given.profile)
        print(said(p, given.seeds, gpus, cores, rates, given.lessons))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
