"""Where things run, and in what precision."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from jaxtyping import UInt8
from torch import Tensor

from cinv_lib.machine import host
from cinv_lib.machine.provenance import cpuinfo

# What torchrun tells each process that it starts. A part of it says nothing: Kubernetes, SLURM and
# shells where somebody tried something leave a WORLD_SIZE, and waiting for the others has no end.
PLACE = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# Other launchers' words for the same, and accelerate's own settings: neither is a recipe's.
OTHERS = ("ACCELERATE_", "PMI_", "OMPI_", "MV2_", "SLURM_", "FORK_LAUNCHED")

LARGE = 128  # pixels a side, from which on a CPU takes minutes where a GPU takes seconds
MAC = "MPS"  # in the environment: "1" for the GPU of a Mac


def launched() -> bool:
    """Whether torchrun started this process, as one of several or alone."""
    return all(os.environ.get(name) for name in (*PLACE, "TORCHELASTIC_RUN_ID"))


def accelerator() -> Accelerator:
    """This process's device and its place among the others: CUDA where there is one, else CPU.

    A Mac's GPU (MPS) is taken where MPS=1 asks for it. It is not the default, as nobody has tried
    it: a kernel that is wrong there would be taken for a result, where the CPU is known to be
    right. Networks run on it, in float32; what is drawn and corrupted stays on the CPU
    (`operators.functional.float64_on`). Raises RuntimeError where it is asked for and is not there.

    Only torchrun puts a process among others. The precision is not accelerate's to set: it allows
    one a process, and a recipe has its own.
    """
    mac = os.environ.get(MAC) == "1"
    if mac and not torch.backends.mps.is_available():
        raise RuntimeError(
            f"{MAC}=1 asks for a Mac's GPU, and PyTorch finds none here; expected Apple silicon "
            f"with macOS 14 or newer: leave out {MAC}=1"
        )
    hidden = [name for name in os.environ if name.startswith(OTHERS)]
    hidden += [] if launched() else [name for name in PLACE if name in os.environ]
    kept = {name: os.environ.pop(name) for name in hidden}
    try:
        return Accelerator(cpu=not (mac or torch.cuda.is_available()))
    finally:
        os.environ.update(kept)


def uses_bf16(precision: str, device: torch.device) -> bool:
    """What "auto", "bf16" or "fp32" means on `device`: whether networks run in bfloat16 there."""
    return precision == "bf16" or (precision == "auto" and bf16_pays(device))


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Networks run in bfloat16 within this block, where `precision` says so on `device`.

    It keeps no copies of the weights. PyTorch forgets them where the outermost autocast ends, so
    within one of a reader's all steps of a training would use the weights of the first.
    """
    bf16 = uses_bf16(precision, device)
    return torch.autocast(device.type, torch.bfloat16, bf16, cache_enabled=False)


def layout(device: torch.device) -> torch.memory_format:
    """How the weights and pictures of convolutions lie where these are fastest: channels last. On a
    Mac's GPU as they always do, since nobody has tried there."""
    return torch.contiguous_format if device.type == "mps" else torch.channels_last


def borrowed(device: torch.device, side: int | None) -> torch.device:
    """Where networks look at pictures of `side` pixels: on `device`; but in a job that was given a
    GPU, as `make course` gives its lessons one, large pictures that are on the CPU go there.

    What a lesson's cells hold stays on the CPU, and what they draw is drawn there.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "") not in ("", "-1")
    if device.type != "cpu" or not given or (side or 0) < LARGE:
        return device
    return accelerator().device


def give_back(device: torch.device) -> None:
    """Hand a borrowed GPU's memory back: PyTorch would keep it for this process until its end."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


@contextmanager
def convolutions(exact: bool, benchmark: bool = False) -> Iterator[None]:
    """How a GPU computes within the block; nothing changes on a CPU.

    exact: float32 is float32. By default cuDNN rounds what it multiplies to TF32, 10 bits of 23,
        and a gradient then says little of a small step. False leaves it as it is.
    benchmark: cuDNN looks for its fastest way when it meets a shape for the first time: where
        shapes are always the same.
    """
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, products.allow_tf32, cudnn.benchmark
    try:
        if exact:
            cudnn.allow_tf32 = products.allow_tf32 = False
        cudnn.benchmark = cudnn.benchmark or benchmark
        yield
    finally:
        cudnn.allow_tf32, products.allow_tf32, cudnn.benchmark = before


def bf16_pays(device: torch.device) -> bool:
    """Whether `device` computes in bfloat16 itself: a CPU that emulates it is slower with it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    wanted = {"avx512_bf16", "amx_bf16"}
    if flags := cpuinfo("flags"):
        return not wanted.isdisjoint(flags.split())
    # not Linux, or not x86: ask torch, whose helpers vary
    has: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(has.get(name, False) for name in wanted)


def decoders(device: torch.device) -> int:
    """Processes that decode pictures beside a network on `device`: beside CUDA this process's share
    of the cores, up to 16; none beside one on the CPU, which needs the cores itself, or on a Mac,
    where processes begin otherwise and nobody has tried."""
    if device.type != "cuda":
        return 0
    beside = int(os.environ["LOCAL_WORLD_SIZE"]) if launched() else 1
    return max(1, min(16, host.cores() // beside))


def resident(images: UInt8[Tensor, "N C H W"], device: torch.device) -> UInt8[Tensor, "N C H W"]:
    """The images on `device` if they fill at most half of its free memory; else where they are."""
    if device.type != "cuda" or images.nbytes > torch.cuda.mem_get_info(device)[0] / 2:
        return images
    return images.to(device)
