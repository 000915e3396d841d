"""Do the GPUs compute? What `make doctor` asks of CUDA, and `make course` before it trains.

Nothing here raises: whatever a driver says becomes a finding.
"""

import os
import re
import warnings

import torch
import torch.nn.functional as F

from cinv_lib.machine import host, preflight
from cinv_lib.machine.finding import Finding
from cinv_lib.machine.host import GIB

OLDEST, OLD = (5, 0), (7, 5)  # compute capabilities: from here CUDA 12.6 is built for, CUDA 13
NONE, HIDDEN = "none; stickers needs none", "hidden by CUDA_VISIBLE_DEVICES"
LOOK = "run nvidia-smi, which shows what else uses it"


def available() -> bool:
    """Whether PyTorch reaches a GPU. What CUDA warns of is a finding's to say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.cuda.is_available()


def computes() -> Finding:
    """Whether every GPU that a job may be given computes what the CPU does; or that there is none,
    and why."""
    if not available():
        return _unreached()
    names = _names()
    wrong = {k: found for k in range(len(names)) if (found := _wrong(k))}
    if wrong:
        k, (detail, fix) = next(iter(wrong.items()))
        if good := [names[i] for i in range(len(names)) if i not in wrong]:
            fix = f"{fix}; or without it: GPUS='{' '.join(good)}'"
        return Finding("FAIL", "GPU", f"{torch.cuda.get_device_name(k)}: {detail}", fix)
    free, total = zip(*(torch.cuda.mem_get_info(k) for k in range(len(names))), strict=True)
    each = f" each of {len(names)}" if len(names) > 1 else ""
    detail = f"{torch.cuda.get_device_name(0)}{each} computes"
    return Finding(
        "OK", "GPU", f"{detail}, {min(free) / GIB:.0f} of {min(total) / GIB:.0f} GiB free"
    )


def free() -> list[int]:
    """Free bytes of every GPU."""
    return [torch.cuda.mem_get_info(k)[0] for k in range(torch.cuda.device_count())]


def _names() -> list[str]:
    """The GPUs as CUDA_VISIBLE_DEVICES and GPUS= name them, in PyTorch's order."""
    count, names = torch.cuda.device_count(), host.gpus()
    return names if len(names) == count else [str(k) for k in range(count)]


def _wrong(k: int) -> tuple[str, str] | None:
    """What is wrong with a GPU, and what helps; None where it computes."""
    try:
        capability = torch.cuda.get_device_capability(k)
        if not built_for(capability, torch.cuda.get_arch_list()):
            known = ", ".join(torch.cuda.get_arch_list())
            has = "its compute capability is {}.{}".format(*capability)
            return f"{has}, and torch {torch.__version__} is built for {known}", _build(capability)
        ours, theirs = product(torch.device("cpu")), product(torch.device("cuda", k))
    except RuntimeError as error:  # its memory is taken, another process has it alone, ...
        return str(error).strip().splitlines()[0][:150], LOOK
    if not torch.allclose(ours, theirs, atol=1.0, rtol=1e-2):  # of numbers of about 100
        apart = float((ours - theirs).abs().max())
        return f"a product differs from the CPU's by {apart:.3g}, at most 1 is rounding", LOOK
    return None


def product(device: torch.device) -> torch.Tensor:
    """A convolution and a product of matrices, (256, 256) on the CPU, of numbers of about 100:
    the two that networks consist of, each by a library of its own on a GPU."""
    generator = torch.Generator().manual_seed(0)
    picture, matrix = torch.randn(2, 1, 256, 256, generator=generator, device="cpu").to(device)
    kernel = torch.ones(1, 1, 3, 3, device=device)
    return (F.conv2d(picture[None], kernel, padding=1)[0, 0] @ matrix[0]).cpu()


def built_for(capability: tuple[int, int], known: list[str]) -> bool:
    """Whether a build for these architectures runs on this compute capability.

    A program for sm_XY runs on X.Y and later ones of the same X; compute_XY is translated when it
    is loaded, for X.Y and all later ones; sm_XYa is for X.Y alone. A list without such names, as
    ROCm's, says nothing.

    >>> built_for((8, 9), ["sm_80", "sm_90"]), built_for((7, 0), ["sm_75", "compute_120"])
    (True, False)
    """
    found = [re.fullmatch(r"(sm|compute)_(\d+)(\d)([af]?)", name) for name in known]
    for kind, *number, only in (match.groups() for match in found if match):
        major, minor = map(int, number)
        if only != "a" and kind == "compute" and capability >= (major, minor):
            return True
        if capability == (major, minor):
            return True
        if only != "a" and capability[0] == major and capability[1] >= minor:
            return True
    return not any(found)


def _build(capability: tuple[int, int]) -> str:
    """The build that is for this compute capability."""
    if capability < OLDEST:
        return "another GPU: no build of PyTorch that the course runs with is for one so old"
    if capability < OLD:
        return "make install TORCH=cu126"
    if (host.driver() or 0) >= preflight.CUDA_13:
        return "make install TORCH= (the lock's, for CUDA 13)"
    return f"make install TORCH=cu128; or a driver from {preflight.CUDA_13} on, and TORCH="


def _unreached() -> Finding:
    """Why there is no GPU: none, hidden, or its driver and this PyTorch do not fit."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and host.gpus() in ([], ["-1"]):
        return Finding("OK", "GPU", f"{HIDDEN}={hidden!r}")
    number = host.driver()
    if number is None:
        found = preflight.driver()  # a driver without a GPU that works
        return found if found.status != "OK" else Finding("OK", "GPU", NONE)
    fix, built = "run nvidia-smi; a reboot helps after an update of the driver", torch.version.cuda
    if built is None:
        fix = "make install TORCH=cu126 (or TORCH= for the lock's)"
    elif built.startswith("13") and number < preflight.CUDA_13:
        fix = f"make install TORCH=cu126, or a driver from {preflight.CUDA_13} on"
    detail = f"driver {number}, but torch {torch.__version__} does not reach a GPU"
    return Finding("WARN", "GPU", detail, fix)
