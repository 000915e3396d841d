"""The sections of the GPU check: what runs, and what it costs. See the package."""

import copy
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F

from cinv_lib import encoders, evaluation, losses, operators, training
from cinv_lib.data.image_files import ImageFiles
from cinv_lib.data.image_set import to_float
from cinv_lib.encoders import inference
from cinv_lib.evaluation import attack
from cinv_lib.experiments.base import Training
from cinv_lib.lab import plan
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles import IMAGENET100, SMOKE
from cinv_lib.machine import hardware
from cinv_lib.operators.corruptions.imagenet_c import corrupt_set
from cinv_lib.operators.inverse import deep_decoder, interpolation
from cinv_lib.training import feed
from cinv_lib.training.light import lighter
from tests.bench import bench_imagenet100 as bench
from tests.gpu.roofline import bound

GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda:0" if GPU else "cpu")
CLIP, RESNET = ("RN101-quickgelu", "resnet101") if GPU else ("stickers-clip", "stickers-supervised")
PICTURES, BATCH, STEPS = (2048, 256, 60) if GPU else (16, 4, 2)
RECIPE = replace(IMAGENET100["student"].recipe, epochs=1, batch_size=BATCH)
MASK, LOSS = operators.parse("mask:0.9"), losses.parse("st:0.1")
Lines = Iterator[str]


def forget() -> None:
    """What the section before has left in the GPU's memory, and its peak."""
    if GPU:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak() -> str:
    """Memory of the GPU at the most, in this section."""
    return f"peak {torch.cuda.max_memory_allocated() / 1e9:.1f} GB" if GPU else "no GPU"


def seconds(f: Callable[[], object], calls: int, warm: int = 2) -> float:
    """Seconds a call, after some that do not count."""
    for _ in range(warm):
        f()
    wait = torch.cuda.synchronize if GPU else lambda: None
    wait()
    began = time.perf_counter()
    for _ in range(calls):
        f()
    wait()
    return (time.perf_counter() - began) / calls


@cache
def jpegs(folder: Path) -> ImageFiles:
    """Random pictures of ImageNet's size."""
    (folder / "jpegs").mkdir()
    return bench.jpegs(folder / "jpegs", PICTURES)


def epoch(folder: Path) -> ImageFiles:
    """Enough of them for all steps, some many times: workers start once in an epoch."""
    return jpegs(folder).subset(torch.arange(STEPS * BATCH) % PICTURES)


def rate(history: pd.DataFrame) -> str:
    """Images a second, and the share of the time without anything to compute with."""
    kept = history.iloc[bench._warm(history) :]
    spent = 1 / kept.images_per_s
    waiting = 100 * (kept.waiting * spent).sum() / spent.sum()
    first, last = history.loss.iloc[0], history.loss.iloc[-1]
    return (
        f"{len(kept) / spent.sum():.0f} images/s, waiting {waiting:.1f} %, {peak()}, "
        f"loss {first:.2f} -> {last:.2f}"
    )


def environment(folder: Path) -> Lines:
    """What this machine is."""
    shm = os.statvfs("/dev/shm") if os.path.isdir("/dev/shm") else None
    shared = f"{shm.f_bavail * shm.f_frsize / 1e9:.1f} GB" if shm else "none"
    yield f"torch {torch.__version__}, {len(os.sched_getaffinity(0))} cores, /dev/shm {shared}"
    yield f"bf16 {hardware.bf16_pays(DEVICE)}, {hardware.decoders(DEVICE)} decoders"
    cudnn = torch.backends.cudnn
    yield f"cudnn: TF32 {cudnn.allow_tf32}, benchmark {cudnn.benchmark}"
    if GPU:
        sm = "sm_{}{}".format(*torch.cuda.get_device_capability())
        memory = torch.cuda.mem_get_info()[1] / 2**30
        yield f"{torch.cuda.get_device_name()}, {memory:.0f} GiB, {sm}"


def smoke(folder: Path) -> Lines:
    """Every kind of result, trainings first: does anything mix devices?"""
    lab = Lab("smoke", recorded=False)
    trained = [e.name for e in SMOKE.entries if isinstance(e, Training)]
    tasks = sorted(plan.every(SMOKE, 1).values(), key=lambda t: (t.kind not in trained, t.kind))
    if not GPU:  # half an hour on two cores; the tests make them on a pretended GPU
        tasks = [t for t in tasks if t.kind in ("student", "probe") and t.operator == "mask:0.9"]
    wrong = []
    for task in tasks:
        try:
            lab.folder(task)
        except Exception as error:  # the others may be made all the same
            wrong.append(f"{SMOKE.task_name(task)}: {type(error).__name__}: {str(error)[:160]}")
    kinds = len({task.kind for task in tasks})
    yield f"{kinds} kinds, {len(tasks)} tasks, {len(wrong)} failed"
    yield from wrong
    assert not wrong, "a kind of result cannot be made on this device"


def decoding(folder: Path) -> Lines:
    """JPEGs to crops, without a network. One that trains takes 1,000 to 2,900 images a second."""
    for workers in sorted({1, hardware.decoders(DEVICE)}) if GPU else (0,):
        rows = torch.arange(512 * workers if GPU else 16) % PICTURES
        views = jpegs(folder).views(rows.split(64), None, 0, 0, 224, RECIPE.crop, workers)
        began = time.perf_counter()
        made = sum(len(batch) for batch in views)
        yield f"{workers} workers {made / (time.perf_counter() - began):.0f} images/s"


def student(folder: Path) -> Lines:
    """Distillation from files."""
    teacher = encoders.fresh(CLIP, 0)
    for op in ("mask:0.9", "blur:9", "noise:0.5") if GPU else ("mask:0.9",):
        _, history = training.distill(
            teacher, epoch(folder), operators.parse(op), LOSS, RECIPE, 0, progress=False
        )
        yield f"{op}: {rate(history)}"


def baseline(folder: Path) -> Lines:
    """The supervised baseline from files."""
    start = encoders.fresh(RESNET, 0)
    _, history = training.finetune(start, epoch(folder), MASK, RECIPE, 0, progress=False)
    yield rate(history)


def step(folder: Path) -> Lines:
    """One step of a student on pictures that are there, and what would make it faster."""
    R = encoders.fresh(CLIP, 0)
    S = encoders.student_of(R).to(DEVICE)
    S.tower.to(memory_format=torch.channels_last).train()
    R = R.to(device=DEVICE, memory_format=torch.channels_last).eval().requires_grad_(False)
    adam = torch.optim.Adam(S.tower.parameters(), 3e-4, fused=True)
    generator = torch.Generator(DEVICE).manual_seed(0)
    x = torch.rand(BATCH, 3, S.image_size, S.image_size, device=DEVICE)
    bf16 = hardware.uses_bf16("auto", DEVICE)

    def one(tower: Callable | None = None) -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=bf16):
            with torch.no_grad():
                r = R(x)
            y = MASK(x, generator)
            s = S(y) if tower is None else tower((y - S.mean) / S.std)
        LOSS(s.float(), r.float()).backward()
        adam.step()
        adam.zero_grad(set_to_none=True)

    calls, benchmark = (10 if GPU else 1), torch.backends.cudnn.benchmark
    try:
        for name, on in (
            ("as it is", benchmark),
            ("without benchmark", False),
            ("benchmark", True),
        ):
            torch.backends.cudnn.benchmark = on
            took = seconds(one, calls, 3 if GPU else 1)
            yield f"{name}: {1000 * took:.0f} ms, {BATCH / took:.0f} images/s, {peak()}"
        forget()
        with lighter(S, light=True, recipe=RECIPE, device=DEVICE):
            took = seconds(one, calls, 3 if GPU else 1)
            yield f"light: {1000 * took:.0f} ms, {peak()}"
        with inference.looking([R]):
            took = seconds(one, calls)
            yield f"and R's batch norms folded: {1000 * took:.0f} ms"
            if GPU:
                least = bound(S.tower, x, 3) + bound(R.tower, x, 1)
                yield f"of the roofline {least / took:.2f}: convolutions need {1000 * least:.0f} ms"
                compiled = torch.compile(S.tower)
                took = seconds(lambda: one(compiled), calls, 3)
                yield f"and S compiled: {1000 * took:.0f} ms"
    finally:
        torch.backends.cudnn.benchmark = benchmark


def inputs(folder: Path) -> Lines:
    """DistributedDataParallel moves a step's tensors to the GPU: image numbers shall not be any."""
    files = jpegs(folder).subset(torch.arange(8))
    batches = torch.arange(8).split(4)
    source = feed.of(files, 224, RECIPE, 0, DEVICE)
    source.begin(0, batches)
    generator, alone = torch.Generator(DEVICE).manual_seed(0), torch.nn.Linear(1, 1).to(DEVICE)
    model = training.loop._Step(alone, DEVICE, "auto")
    if GPU:
        torch.distributed.init_process_group(
            "nccl", init_method=f"file://{folder}/rendezvous", rank=0, world_size=1
        )
        model = torch.nn.parallel.DistributedDataParallel(model, device_ids=[0])
    try:
        for batch in batches:

            def loss(batch: torch.Tensor = batch) -> torch.Tensor:
                return alone(source.view(batch, generator).mean()[None]).sum()

            model(loss).backward()
        yield f"{len(batches)} steps under {type(model).__name__}"
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def slope(folder: Path) -> Lines:
    """Gradients in float32: `attack.slope` promises .95 to 1.05, whatever TF32 is elsewhere."""
    lab = Lab("stickers", recorded=True)
    S, head = lab.student(lab.profile.slider).to(DEVICE), lab.probe(lab.profile.slider).to(DEVICE)
    val = lab.val.per_class(1)
    x = MASK(to_float(val.images), torch.Generator().manual_seed(0)).to(DEVICE)
    found = attack.slope(lambda z: head(S(z)), x, val.labels.to(DEVICE))[0]
    yield f"{found:.3f}, where the library has TF32 {torch.backends.cudnn.allow_tf32} elsewhere"
    assert 0.95 <= found <= 1.05, f"slope {found:.3f}: expected .95 to 1.05"


def scores(folder: Path) -> Lines:
    """Views for a probe from files, and scores."""
    R, n = encoders.fresh(CLIP, 0).to(DEVICE).eval(), 2048 if GPU else 8
    files = jpegs(folder).subset(torch.arange(n) % PICTURES)
    began = time.perf_counter()
    views = evaluation.probe.features(R, files, MASK, 2, 0, RECIPE.crop, True)
    yield f"probe {2 * n / (time.perf_counter() - began):.0f} images/s"
    recipe = replace(IMAGENET100["probe"].recipe, epochs=2)
    head = evaluation.probe.fit(views, files.labels, 2, recipe, 0)
    began = time.perf_counter()
    evaluation.evaluate_heads([(R, {"probe": head})], files, MASK, 4, 0, progress=False)
    yield f"four draws {4 * n / (time.perf_counter() - began):.0f} images/s, {peak()}"


def looked(folder: Path) -> Lines:
    """Networks that only look: folded in bf16, borrowed by a kernel, beside processes that draw."""
    R, n = encoders.fresh(CLIP, 0).eval(), 256 if GPU else 2
    x = torch.rand(n, 3, R.image_size, R.image_size, generator=torch.Generator().manual_seed(0))
    here, y = copy.deepcopy(R).to(DEVICE), x.to(DEVICE)
    with torch.no_grad(), torch.autocast(DEVICE.type, torch.bfloat16, enabled=GPU):
        near = F.cosine_similarity(inference.folded(here)(y).float(), here(y).float()).min()
    yield f"folded and not, the same picture: cosine {near:.4f}"
    assert near > 0.99, f"cosine {near:.4f}: expected .99"

    want = copy.deepcopy(R.state_dict())
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    try:
        os.environ["CUDA_VISIBLE_DEVICES"] = given or "0"
        rows = inference.embedded(R, x)
    finally:
        os.environ.pop("CUDA_VISIBLE_DEVICES")
        os.environ |= {"CUDA_VISIBLE_DEVICES": given} if given else {}
    assert rows.device.type == "cpu" and {p.device.type for p in R.parameters()} == {"cpu"}
    assert all(torch.equal(found, want[name]) for name, found in R.state_dict().items())
    yield f"a borrowed GPU: the same weights at home, {peak()}"

    few = (255 * x[:8]).to(torch.uint8)
    alone, shared = (corrupt_set(few, "fog", 3, 0, workers=k) for k in (0, 4 if GPU else 1))
    assert torch.equal(alone, shared)
    yield "ImageNet-C drawn by other processes: the same pictures"


def decoder(folder: Path) -> Lines:
    """Deep Decoder at 224 px, the paper's of 256 channels."""
    recipe = replace(deep_decoder.PAPER, iterations=40)
    recipe = recipe if GPU else replace(recipe, channels=8, iterations=1)
    for b in (8, 32) if GPU else (1,):
        y, keep = torch.rand(b, 3, 224, 224), torch.rand(b, 1, 224, 224) < 0.1
        y, keep, g = y.to(DEVICE), keep.to(DEVICE), torch.Generator().manual_seed(0)
        took = seconds(
            lambda: deep_decoder.fit(y, keep, recipe, g, len(y), "auto", False),  # noqa: B023
            1, 1,
        ) / recipe.iterations  # fmt: skip
        whole = deep_decoder.PAPER.iterations * took / b
        yield f"{b} at once: {1000 * took:.1f} ms an iteration, {whole:.2f} s a picture, {peak()}"


def interpolated(folder: Path) -> Lines:
    """A Gaussian mean of the known pixels, of as many pictures as ImageNet-100 validates with."""
    n = 5000 if GPU else 40
    y, keep = (torch.rand(n, c, 224, 224, device=DEVICE) for c in (3, 1))
    interpolation.interpolated(y, keep < 0.1, 1.4)
    yield f"{n} pictures, {peak()}, of which the pictures are {2 * y.nbytes / 1e9:.1f} GB"


# The most important first: what no longer fits is skipped. About how many seconds each takes.
SECTIONS: dict[str, tuple[Callable[[Path], Lines], int]] = {
    "environment": (environment, 0),
    "smoke": (smoke, 100),
    "slope": (slope, 20),
    "inputs": (inputs, 10),
    "decoding": (decoding, 20),
    "student": (student, 60),
    "baseline": (baseline, 25),
    "step": (step, 60),
    "scores": (scores, 30),
    "looked": (looked, 20),
    "decoder": (decoder, 30),
    "interpolated": (interpolated, 15),
}
