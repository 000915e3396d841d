"""What a paper profile costs before it starts: trainings, pictures, hours of GPUs and cores, disk.

    python -m cinv_lib.lab.bill imagenet100 --seeds 1 --gpus 4 --cores 8 --lessons 05 06
    python -m cinv_lib.lab.bill imagenet100 --rates mine.json     {"clip": 5100, "vit": 15000}
    python -m cinv_lib.lab.bill --stream 100_000_000 --gpus 8     a student of tar shards

What is done is counted from the plan and its entries. How fast is assumed, for an H100 in bfloat16
(from timm's and NVIDIA's published tables, scaled), as long as no measured rates are given.
"""

import argparse
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from cinv_lib.data import prepared
from cinv_lib.experiments.base import Task
from cinv_lib.experiments.trainings import Trained
from cinv_lib.lab import plan
from cinv_lib.lab.profiles.names import profile
from cinv_lib.lab.profiles.record import Profile
from cinv_lib.machine import host
from cinv_lib.operators.basic import parse

# Images a second of one GPU: low, middle, high. A tower looks, or is trained alone (its teacher
# looks besides); "float32 step" is one of an attack.
RATES = {
    "clip": (4000, 5500, 7000),
    "clip trained": (1350, 1850, 2400),
    "resnet": (4700, 6500, 8500),
    "resnet trained": (1600, 2200, 2900),
    "vit": (12000, 16000, 20000),
    "vit trained": (4000, 5500, 7500),
    "float32 step": (500, 750, 1100),
    "deep decoder": (1 / 4.0, 1 / 2.8, 1 / 1.8),
}
# Core-seconds: a JPEG to a crop; a picture's non-local means; one picture under ImageNet-C.
DECODE, MEANS, CORRUPT = (0.007, 0.003, 0.003), 0.22, 0.0125
FILE = 110_000  # bytes of a picture: the mean of ImageNet's 1.28 million JPEGs (138 GB)
WINDOWS = 2 * 4096  # pictures that a stream holds as files: a window, and batches under way
Rates = Mapping[str, float | int]
WHICH = ("low", "middle", "high")
CORRUPTIONS = 95  # 19 kinds, five severities each

# Pictures to train on and to score on.
SIZES = {
    "imagenet100": (126_689, 5_000), "imagenet100b": (128_987, 5_000), "covid": (5_286, 624),
    "cifar10": (50_000, 10_000), "cifar100": (50_000, 10_000),
    "stl10": (5_000, 8_000), "stl10-unlabelled": (100_000, 0),
}  # fmt: skip
TWINS = 500  # pictures of ten pairs of classes
# Gigabytes kept of a training: its towers, in half precision.
KEPT = dict(student=0.24, baseline=0.085, vit_student=0.3, tuned=0.48, anchored=0.48)


@dataclass(frozen=True)
class Part:
    """Some work of a task: images by what looks at them, while so many files are decoded.

    cores: core-seconds during which the GPU waits; threads: of them at once, at most.
    """

    images: Rates = field(default_factory=dict)
    decodes: float | int = 0
    cores: float | int = 0
    threads: int = 1

    def seconds(self, rates: Rates, decode: float, cores: int) -> float:
        """A GPU is held so long: by what is slower, its networks or the decoding of files."""
        networks = sum(n / rates[what] for what, n in self.images.items())
        return max(networks, self.decodes * decode / cores) + self.cores / min(self.threads, cores)


def parts(p: Profile, task: Task) -> list[Part]:
    """What one task does. Raises KeyError for a kind that is not billed."""
    entry: Any = p[task.kind]
    (n, v), more = SIZES[p.data], p.unlabelled or p.data
    draws = getattr(entry, "realisations", 1) if parse(task.operator).is_random else 1
    drawn = CORRUPTIONS * v
    here = len(entry.operators.get(task.operator) or ())  # severities, of some
    views = p["probe"].recipe.epochs * n

    def files(name: str, seen: float | int) -> float | int:
        return 0 if name in prepared.COMMAND else seen

    def trained(name: str, **images: int) -> list[Part]:
        seen = entry.recipe_at(task.operator).epochs * SIZES[name][0]
        return [Part({k.replace("_", " "): m * seen for k, m in images.items()}, files(name, seen))]

    def probes(decoded: int = 1, **encoders: int) -> list[Part]:
        seen = {tower: k * views for tower, k in encoders.items()}
        return [Part(seen, decoded * files(p.data, views))]

    def transfer() -> list[Part]:
        seen = {name: 3 * entry.views * SIZES[name][0] for name in entry.sets}
        scored = Part({"clip": 3 * draws * sum(SIZES[name][1] for name in entry.sets)})
        return [scored, *(Part({"clip": k}, files(name, k) / 3) for name, k in seen.items())]

    def pixels() -> list[Part]:
        per_class, times = entry.operators[task.operator]
        classes, restored = Part({"clip": 4 * v * times}), 2 * per_class * 100 * times
        if "mask" in task.operator:
            return [classes, Part({"deep decoder": restored})]
        return [classes, Part(cores=MEANS * restored, threads=8)]

    def at_each() -> int:
        return v * len(entry.severities) * draws

    def looked(images: float | int, tower: str = "clip") -> list[Part]:
        return [Part({tower: images})]

    kinds: dict[str, Callable[[], list[Part]]] = {
        "student": lambda: trained(more, clip_trained=1, clip=1),
        "baseline": lambda: trained(p.data, resnet_trained=1),
        "vit_student": lambda: trained(more, vit_trained=1, vit=1),
        "tuned": lambda: trained(more, clip_trained=2),
        "anchored": lambda: trained(more, clip_trained=2, clip=1),
        "probe": lambda: probes(clip=1),
        "clean_probe": lambda: probes(clip=1),
        "known_operator": lambda: probes(clip=2, resnet=1) + looked(4 * v * draws),
        # clean pictures are drawn once, and CLIP looks at one draw of the others too
        "unknown_severity": lambda: looked(v * (2 * (here - 1) * draws + 2 + here)),
        "transfer": transfer,
        "label_shift": lambda: looked(6 * TWINS * here * draws),
        "ablation": lambda: looked(at_each()),
        "loss_bias": lambda: looked(at_each()),
        "pixels": pixels,
        # each is seen by three encoders; drawing them is one core's work
        "common_corruptions": lambda: [Part({"clip": 3 * drawn}), Part(cores=CORRUPT * drawn)],
        "tuned_teacher": lambda: probes(decoded=2, clip=5) + looked(4 * n + 2 * at_each()),
        "other_tower": lambda: probes(clip=1) + probes(vit=2) + looked(4 * at_each()),
        "blind": lambda: [Part(decodes=3 * files(p.data, n)), *looked(22.5 * v * draws)],
        "adversarial": lambda: looked(750 * entry.protocol.per_class * 100, "float32 step"),
    }
    return kinds[task.kind]()


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
            assumed = {what: rate[k] for what, rate in RATES.items()} | dict(rates or {})
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
    looked = {"clip trained": pictures, "clip": pictures}
    hours = []
    for k, decode in enumerate(DECODE):
        assumed = {what: rate[k] for what, rate in RATES.items()} | dict(rates or {})
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
