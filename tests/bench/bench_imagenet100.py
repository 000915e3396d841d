"""A training shaped as ImageNet-100's: RN101 with random weights on JPEGs of ImageNet's size.

    python -m tests.bench bench_imagenet100 --images 2048 --steps 50

It proves the path from files to a student before hours are spent on it, and says how fast it is:
images a second, peak memory, and the share of the time in which the device had nothing to do for
want of data. The alternative has the same number of pictures decoded beforehand, in memory. Without
a GPU it takes the small CLIP and a few pictures, which shows that it runs and no more.
"""

import resource
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from cinv_lib import encoders, losses, operators, training
from cinv_lib.data.image_files import ImageFiles
from cinv_lib.data.image_set import ImageSet
from cinv_lib.lab.profiles.paper import IMAGENET100
from cinv_lib.machine import hardware

GOAL = 1.05
SIZE = (500, 375)  # ImageNet's usual one


def rows(
    images: int | None = None, steps: int | None = None, batch: int | None = None
) -> list[dict[str, object]]:
    """One row. images: how many JPEGs are made; steps: so many batches of them, each picture as
    often as it takes; batch: pictures a step."""
    gpu = hardware.accelerator().device.type == "cuda"
    images, steps = images or (2048 if gpu else 16), steps or (50 if gpu else 3)
    batch = batch or (256 if gpu else 8)
    teacher = encoders.fresh("RN101-quickgelu" if gpu else "stickers-clip", seed=0)
    recipe = replace(IMAGENET100["student"].recipe, epochs=1, batch_size=batch)
    with tempfile.TemporaryDirectory() as folder:
        files = jpegs(Path(folder), images)
        again = torch.arange(steps * batch) % images  # one epoch, as the workers start once in each
        from_files, gigabytes = _train(teacher, files.subset(again), recipe)
        side = teacher.image_size
        pixels = files.decode(short=round(side * 256 / 224), crop=side)
    memory = ImageSet(pixels, files.labels, files.class_names, "decoded", "random")
    epochs = max(1, round(steps * batch / images))
    resident, _ = _train(teacher, memory, replace(recipe, epochs=epochs))
    ours, theirs = (batch * 1000 / _rate(history) for history in (from_files, resident))
    spent = from_files.assign(s=1 / from_files.images_per_s).iloc[_warm(from_files) :]
    return [
        {
            "name": f"distil {teacher.name} from {images} JPEGs, batch {batch}, ms a step",
            "ours_ms": ours,
            "alternative": "decoded beforehand",
            "alternative_ms": theirs,
            "ratio": ours / theirs,
            "goal": GOAL,
            "images_per_s": _rate(from_files),
            "waiting_percent": 100 * (spent.waiting * spent.s).sum() / spent.s.sum(),
            "peak_gb": gigabytes,
        }
    ]


def jpegs(folder: Path, n: int) -> ImageFiles:
    """n random pictures of ImageNet's size, smooth as photographs are, in two classes."""

    def draw(i: int) -> str:
        rng, path = np.random.default_rng(i), folder / f"{i}.jpeg"
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize(SIZE, Image.Resampling.BICUBIC), dtype=np.int16)
        grain = rng.integers(-20, 21, smooth.shape, dtype=np.int16)
        Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).save(path, quality=90)
        return str(path)

    with ThreadPoolExecutor() as pool:
        paths = tuple(pool.map(draw, range(n)))
    return ImageFiles(
        paths, torch.arange(n) % 2, ("even", "odd"), "random JPEGs", "made to measure"
    )


def _train(teacher, pictures, recipe) -> tuple[pd.DataFrame, float]:
    """The history of a distillation, and its peak memory in GB: the GPU's, else the process's."""
    device = hardware.accelerator().device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    op, loss = operators.parse("mask:0.9"), losses.parse(IMAGENET100.loss)
    _, history = training.distill(teacher, pictures, op, loss, recipe, seed=0, progress=False)
    if device.type == "cuda":
        return history, torch.cuda.max_memory_allocated(device) / 1e9
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB on Linux
    return history, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def _warm(history: pd.DataFrame) -> int:
    """Steps at the start that are not counted: those that share the first one's measurement."""
    first = int((history.images_per_s == history.images_per_s[0]).sum())
    return first if first < len(history) else 0


def _rate(history: pd.DataFrame) -> float:
    """Images a second."""
    kept = history.images_per_s[_warm(history) :]
    return len(kept) / float((1 / kept).sum())


if __name__ == "__main__":
    for row in rows():
        print(row)
