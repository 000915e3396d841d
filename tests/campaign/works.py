"""Pieces of work that a campaign disturbs: trainings, scores, writes of the store, data_prep.

Each goes on with what an earlier attempt has left in its folder, and ends with the same bytes.
"""

import atexit
import functools
import math
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cinv_lib import losses, operators
from cinv_lib.data.stickers import sets as sticker_sets
from cinv_lib.encoders import weight_files
from cinv_lib.evaluation import probe, scores
from cinv_lib.experiments import trainings
from cinv_lib.machine.files import write_text
from cinv_lib.machine.store import Store
from cinv_lib.training import feed, history
from cinv_lib.training.baseline import finetune
from cinv_lib.training.recipe import Recipe
from cinv_lib.training.student import distill
from data_prep import __main__ as data_prep
from data_prep import download, imagenet100
from tests import processes
from tests.campaign.forked import call

BUILT = "built.log"  # a line for each time that something was built
RECIPE = Recipe(4, 16, 1e-2, precision="fp32")


@dataclass(frozen=True)
class Work:
    """run: do it in a folder. once: it tells BUILT how often something was built; `in_store`: its
    result is an entry of a store."""

    name: str
    run: Callable[[Path], None]
    in_store: bool = True


def _make(folder: Path, kind: str, build: Callable[[Path], None]) -> None:
    """An entry of the store in this folder; each building is noted."""

    def noted(at: Path) -> None:
        build(at)
        with (folder / BUILT).open("a") as log:
            log.write(f"{kind}\n")

    Store(folder / "store").make(kind, {"what": kind}, noted, label="mask_0.5-seed0")


def student(folder: Path) -> None:
    """A distillation that saves after every step."""
    history.SAVE_EVERY_S, history.SAVE_SHARE = 0.0, math.inf
    op, loss = operators.parse("mask:0.5"), losses.parse("st:0.1")

    def build(at: Path) -> None:
        teacher, pictures = processes.small_encoder(), processes.small_pictures(64)
        S, table = distill(teacher, pictures, op, loss, RECIPE, 0, at / "checkpoint.pt", False)
        trainings.keep_training(at, table, student=S)

    _make(folder, "student", build)


def baseline(folder: Path) -> None:
    """A baseline, on files that two workers decode."""
    history.SAVE_EVERY_S, history.SAVE_SHARE = 0.0, math.inf
    feed.hardware.decoders = lambda device: 2
    op, recipe = operators.parse("noise:0.1"), Recipe(2, 8, 1e-2, crop=(0.3, 1.0), precision="fp32")

    def build(at: Path) -> None:
        files = processes.picture_files(pictures(), 32)
        model, table = finetune(
            processes.small_encoder(), files, op, recipe, 0, at / "checkpoint.pt", False
        )
        torch.save(model.cpu().head.state_dict(), at / "head.pt")
        trainings.keep_training(at, table, encoder=model.encoder)

    _make(folder, "baseline", build)


def score(folder: Path) -> None:
    """A probe, and its scores over ten draws."""
    op, encoder = operators.parse("mask:0.5..0.9"), processes.small_encoder()

    def build(at: Path) -> None:
        seen, shown = processes.small_pictures(64), processes.small_pictures(40, seed=1)
        head = probe.train(encoder, seen, op, probe.ProbeRecipe(4, 1e-2, 16), 0)
        table = scores.evaluate_heads([(encoder, {"probe": head})], shown, op, 10, 0)
        table.to_csv(at / "scores.csv", index=False, float_format="%.4f")

    _make(folder, "scores", build)


def store_write(folder: Path) -> None:
    """Two entries of several files, and the files of a reader's own beside them."""

    def build(at: Path) -> None:
        for i in range(6):
            data = np.random.default_rng(i).bytes(20_000 * i)
            weight_files.write_bytes(data, at / "parts" / f"{i}.bin")
        write_text(at / "words.txt", "ä word\n" * 500)
        weight_files.write({"w": torch.arange(999.0)}, at / "w.safetensors", torch.float16)

    for kind in ("first", "second"):
        _make(folder, kind, build)


@functools.cache
def pictures() -> Path:
    """A folder of small PNGs, ImageNet in miniature, an archive: sources that nobody changes."""
    folder = Path(tempfile.gettempdir(), f"campaign-sources-{os.getpid()}")
    folder.mkdir()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    call(lambda: str(processes.picture_files(folder, 32)))
    wnids = list(imagenet100.classes("imagenet100"))[:2]
    for split in ("train", "val"):
        for k, wnid in enumerate(wnids):
            place = folder / "imagenet" / split / wnid
            place.mkdir(parents=True, exist_ok=True)
            for i in range(2):
                noise = np.random.default_rng(9 * k + i).integers(0, 255, (60, 70, 3), np.uint8)
                Image.fromarray(noise).resize((280, 260)).save(place / f"{split}_{i}.JPEG")
    with tarfile.open(folder / "some.tar.gz", "w:gz") as packed:
        packed.add(folder / "imagenet", "imagenet")
    return folder


def prepare(folder: Path, *arguments: str) -> None:
    """`python -m data_prep ARGUMENTS`, with its data in this folder."""
    os.environ["CINV_HOME"] = str(folder / "home")
    sys.argv = ["data_prep", *arguments]
    data_prep.main()


def links(folder: Path) -> None:
    """data_prep imagenet100, again over what is there."""
    prepare(folder, "imagenet100", "--imagenet", str(pictures() / "imagenet"), "--partial")


def corruptions(folder: Path) -> None:
    """data_prep imagenet100c, two corruptions; of the links, which may be half made."""
    links(folder)
    kinds = ("--corruptions", "brightness", "gaussian_noise", "--severities", "1", "3")
    prepare(folder, "imagenet100c", *kinds)


def drawing(folder: Path) -> None:
    """The embedded world's pictures."""
    os.environ["CINV_HOME"] = str(folder / "home")
    for split in ("train", "val"):
        sticker_sets.image_set("stickers-100", split, 1)


def archive(folder: Path) -> None:
    """A download, unpacked."""
    source = pictures() / "some.tar.gz"
    download.CHUNK = 4096
    place = folder / "downloads" / "a.tar.gz"
    got = download.fetch(source.as_uri(), download.digest(source), place)
    download.unpack(got, folder / "unpacked")


TRAININGS = (Work("student", student), Work("baseline", baseline))
STORED = (*TRAININGS, Work("score", score), Work("store write", store_write))
PREPARED = (
    Work("links", links, False),
    Work("corruptions", corruptions, False),
    Work("drawing", drawing, False),
    Work("archive", archive, False),
)
EVERY = (*STORED, *PREPARED)
