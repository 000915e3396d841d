"""Trainings in processes of their own, for the tests that kill them or let several train together.

The library is imported once, by a server that every process is forked from: a start is then a
matter of milliseconds, and no process inherits threads.
"""

import functools
import math
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path

import torch
from torch import nn

from tests import warm

_FORKS = "forkserver" in multiprocessing.get_all_start_methods()
_CONTEXT = multiprocessing.get_context("forkserver" if _FORKS else "spawn")
if _FORKS:
    _CONTEXT.set_forkserver_preload(warm.IMPORTED)


def run(function, *arguments, ranks: int = 1) -> list[int]:
    """Call `function(*arguments)` in `ranks` CPU processes that know each other; exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [
        _CONTEXT.Process(target=_call, args=(function, arguments, rank, ranks, port))
        for rank in range(ranks)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join()
    return [process.exitcode for process in started]


def _call(function, arguments, rank, ranks, port):
    torch.set_num_threads(1)
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if ranks > 1:  # what torchrun sets
        names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks}
        names |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
        if sys.platform == "linux":
            names["GLOO_SOCKET_IFNAME"] = "lo"
        os.environ |= {name: str(value) for name, value in names.items()}
    function(*arguments)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def asked_for_no_notebook() -> None:
    """What the server has imported has not asked whether it is in a notebook, and been told no."""
    assert "cinv_lib.training.student" in sys.modules, "it is not warm"
    assert "cinv_lib.course.ending" not in sys.modules


def small_training(checkpoint: Path | None, out: Path, kill_at: int) -> None:
    """A convolution with batch norm on noisy pictures: 16 steps, saved after each; SIGKILL at one.

    `kill_at` counts the steps of this process; 0 lets it live.
    """
    from cinv_lib.training import history, loop
    from cinv_lib.training.recipe import Recipe

    history.SAVE_EVERY_S, history.SAVE_SHARE = 0.0, math.inf
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 4)
    )
    pictures = torch.rand(30, 3, 8, 8)
    steps = []

    def step(indices, generator):
        steps.append(len(indices))
        if len(steps) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        x = pictures[indices]
        noisy = x + 0.1 * torch.randn(x.shape, generator=generator)
        return (module(noisy) - x.mean(dim=(2, 3)).repeat(1, 2)[:, :4]).square().mean()

    recipe = Recipe(epochs=4, batch_size=8, lr=0.01, precision="fp32")
    loss = loop.run(module, module.parameters(), step, 30, recipe, 1, checkpoint).loss.tolist()
    torch.save({"module": module.state_dict(), "loss": loss, "steps": len(steps)}, out)


def small_encoder(seed: int = 0, norm: bool = True):
    """A two-layer encoder of 16 px pictures into 8 dimensions, with or without batch norm."""
    from cinv_lib.encoders.encoder import Encoder

    preprocess = {"size": 16, "interpolation": "bicubic", "mean": [0.5] * 3, "std": [0.25] * 3}
    config = {"preprocess_cfg": preprocess, "model_cfg": {"embed_dim": 8}}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        middle = nn.BatchNorm2d(12) if norm else nn.Identity()
        layers = [nn.Conv2d(3, 12, 3, stride=2), middle, nn.ReLU(), nn.Conv2d(12, 12, 3, stride=2)]
        tower = nn.Sequential(*layers, nn.ReLU(), nn.Flatten(), nn.Linear(108, 8))
    return Encoder("small", config, tower=tower).eval()


def small_pictures(n: int = 48, seed: int = 0):
    """n pictures of 16 px in two classes: a bright or a dark ground with random coarse patches."""
    from cinv_lib.data.image_set import ImageSet

    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    patches = torch.rand(n, 3, 4, 4, generator=generator).repeat_interleave(4, 2)
    x = 0.6 * patches.repeat_interleave(4, 3) + 0.4 * labels.view(-1, 1, 1, 1)
    return ImageSet((255 * x).to(torch.uint8), labels, ("dark", "bright"), "small", "random")


def picture_files(folder: Path, n: int):
    """n PNGs of several sizes under `folder`, written once, in two classes of brightness."""
    import numpy as np
    from PIL import Image

    from cinv_lib.data.image_files import ImageFiles

    paths = []
    for i in range(n):
        path = folder / f"{i:03}.png"
        if not path.exists():
            noise = np.random.default_rng(i).integers(0, 128, (5, 6, 3), dtype=np.uint8)
            picture = Image.fromarray(noise + 120 * (i % 2)).resize((24 + i % 5, 20 + i % 3))
            picture.save(path)
        paths.append(str(path))
    return ImageFiles(tuple(paths), torch.arange(n) % 2, ("dark", "bright"), "files", "random")


def picture_shards(folder: Path, lengths=(7, 3, 10, 4, 6), ending: str = "tar"):
    """Tar shards of so many PNGs each, with files between them that are none; their names."""
    import io
    import tarfile

    import numpy as np
    from PIL import Image

    folder.mkdir(exist_ok=True)
    made = []
    for shard, length in enumerate(lengths):
        made.append(str(folder / f"pics-{shard:04}.{ending}"))
        with tarfile.open(made[-1], "w:gz" if ending.endswith("gz") else "w") as tar:

            def add(name, data, tar=tar):
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))

            for place in range(length):
                noise = np.random.default_rng(100 * shard + place)
                pixels = noise.integers(0, 128, (5, 6, 3), dtype=np.uint8) + 120 * (place % 2)
                picture, file = Image.fromarray(pixels), io.BytesIO()
                picture.resize((24 + place % 5, 20 + shard % 3)).save(file, "png")
                add(f"{place:04}.txt", b"a caption")
                add(f"{place:04}.png", file.getvalue())
                add(f"._{place:04}.png", b"of a Mac")
    return made


def training_on_shards(folder: Path, name: str, stop_after: int, workers: int) -> None:
    """A distillation on `picture_shards`, saved after each step and stopped after some; writes what
    each rank has looked at, and its weights, to `name` + rank."""
    from cinv_lib import data, losses, operators, training
    from cinv_lib.machine import hardware
    from cinv_lib.training import feed, history
    from cinv_lib.training.recipe import Recipe

    history.SAVE_EVERY_S, history.SAVE_SHARE = 0.0, math.inf
    hardware.decoders = lambda device: workers
    if _FORKS:  # as everywhere else: here each decoder would import the library for itself
        multiprocessing.set_start_method("fork", force=True)
    seen, noted, view, add = [], [], feed.Streamed.view, history.History.add

    def stop(self, *given, **more):
        add(self, *given, **more)
        noted.append(given)
        if len(noted) == stop_after:
            raise KeyboardInterrupt

    history.History.add = stop
    feed.Streamed.view = lambda self, n, g: (
        seen.append((self.epoch, n.tolist())) or view(self, n, g)
    )
    shards = data.Shards(sorted(map(str, folder.glob("pics-*.tar"))), (7, 3, 10, 4, 6), window=5)
    recipe = Recipe(3, 4, lr=0.01, crop=(0.3, 1.0), flip=True, precision="fp32")
    student, table = training.distill(
        small_encoder(), shards, operators.parse("noise:0.1..0.5"), losses.parse("st:0.1"), recipe,
        0, folder / f"{name}.checkpoint", progress=False,
    )  # fmt: skip
    rank = os.environ.get("RANK", "alone")
    made = {"weights": student.state_dict(), "seen": seen, "loss": table.loss.tolist()}
    torch.save(made, folder / f"{name}-{rank}.pt")


def training_on_files(folder: Path) -> None:
    """A distillation on the crops of `picture_files`, by gradient descent: see three_trainings."""
    from cinv_lib import losses, operators, training
    from cinv_lib.data import decoding
    from cinv_lib.training import loop
    from cinv_lib.training.recipe import Recipe

    decoded, real = [], decoding.open_rgb
    decoding.open_rgb = lambda path: decoded.append(path) or real(path)
    torch.optim.Adam = lambda parameters, lr, **_: torch.optim.SGD(parameters, lr)
    recipe = Recipe(2, 16, lr=0.05, crop=(0.3, 1.0), precision="fp32")
    teacher, files = small_encoder(norm=False), picture_files(folder, 32)
    op, loss = operators.parse("blur:1"), losses.parse("st:0.1")
    loop.describe = lambda *_: {}  # it decodes a sample
    student, _ = training.distill(teacher, files, op, loss, recipe, 0, progress=False)
    rank = os.environ.get("RANK", "alone")
    torch.save({"weights": student.state_dict(), "decoded": decoded}, folder / f"{rank}.pt")


def made_together(runs: Path) -> None:
    """A student of the smoke profile by all processes, and again; a score, which is refused."""
    from cinv_lib.experiments import trainings
    from cinv_lib.lab import several_gpus
    from cinv_lib.lab.lab import Lab

    os.environ["CINV_RUNS"] = str(runs)
    lab = Lab("smoke", recorded=False)
    task = lab.task("student", "mask:0.9")
    folder = several_gpus.make(lab, task)
    written = (folder / "provenance.json").stat().st_mtime_ns
    trainings.distill = None  # it is found, by both
    assert several_gpus.make(lab, task) == folder
    assert (folder / "provenance.json").stat().st_mtime_ns == written
    try:
        several_gpus.make(lab, lab.task("known_operator", "mask:0.9"))
    except ValueError as error:
        assert "one process, and torchrun started 2" in str(error)
    else:
        raise AssertionError("a score was not refused")


def three_trainings(out: Path) -> None:
    """Distillations, one of them under attack, and a baseline, by gradient descent; written to
    `out` + rank.

    Plain descent instead of Adam, which would hide a gradient that is too small by a factor. The
    operator draws nothing, so that one process and several train on the same corrupted pictures,
    and the attack starts in the middle of the ball.
    """
    from cinv_lib import losses, operators, training
    from cinv_lib.training import attacked, loop
    from cinv_lib.training.recipe import Recipe

    def descent(parameters, lr, **_):
        return torch.optim.SGD(parameters, lr)

    torch.optim.Adam = descent
    recipe = Recipe(epochs=2, batch_size=16, lr=0.05, precision="fp32")
    teacher, pictures = small_encoder(norm=False), small_pictures(n=48)
    op, result = operators.parse("blur:1"), {}
    for text in ("st:0.1,centred", "nt:0.2"):
        loss = losses.parse(text)
        student, history = training.distill(teacher, pictures, op, loss, recipe, 0, progress=False)
        result[text] = {"weights": student.state_dict(), "loss": history.loss.tolist()}
    model, _ = training.finetune(teacher, pictures, op, recipe, 0, progress=False)
    result["baseline"] = {"weights": model.state_dict()}

    attack = training.Attack(8, steps=4)
    attacked.functional.uniform = lambda shape, *_: torch.full(shape, 0.5).double()
    student, _ = training.distill(
        teacher, pictures, op, losses.parse("st:0.1"), recipe, 0, progress=False, attack=attack
    )
    result["attacked"] = student.state_dict()

    draws, module = [], nn.Linear(1, 1)

    def step(indices, generator):
        draws.append((indices.tolist(), float(torch.rand(1, generator=generator))))
        return module(torch.ones(1, 1)).mean()

    loop.run(module, module.parameters(), step, 40, recipe, 0)
    result["draws"] = draws
    rank = os.environ.get("RANK", "alone")
    torch.save(result, out / f"{rank}.pt")


def light_and_plain(out: Path) -> None:
    """A student of a small ResNet, by plain steps and by light ones, both written to `out`."""
    from torchvision.models import ResNet
    from torchvision.models.resnet import BasicBlock

    from cinv_lib import losses, operators, training
    from cinv_lib.encoders.encoder import Encoder
    from cinv_lib.training import light
    from cinv_lib.training.recipe import Recipe

    torch.manual_seed(0)
    teacher = Encoder.wrap(ResNet(BasicBlock, [1, 2, 1, 1], num_classes=8), image_size=16)
    recipe = Recipe(epochs=2, batch_size=16, lr=0.01, precision="fp32")
    op, loss, twice = operators.parse("mask:0.5"), losses.parse("st:0.1"), []
    real = light.checkpoint
    light.checkpoint = lambda *args, **named: (twice.append(1), real(*args, **named))[1]
    students = [
        training.distill(
            teacher, small_pictures(n=32), op, loss, recipe, 0, progress=False, light=on
        )[0].state_dict()
        for on in (False, True)
    ]
    torch.save([*students, len(twice)], out / f"{os.environ['RANK']}.pt")


@functools.cache
def two_ranks() -> dict[str, dict]:
    """What `three_trainings` gives in one process ("alone") and in each of two ("0", "1")."""
    with tempfile.TemporaryDirectory() as folder:
        for ranks in (1, 2):
            assert run(three_trainings, Path(folder), ranks=ranks) == [0] * ranks
        return {path.stem: torch.load(path, weights_only=True) for path in Path(folder).iterdir()}
