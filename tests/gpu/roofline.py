"""The least time that this GPU needs for a network's convolutions, whoever computes them.

A convolution takes as long as its products at the rate of a large product of matrices, or as its
numbers at the rate of a copy: whichever is longer. Both rates are measured here.
"""

import time
from functools import cache

import torch
from torch import Tensor, nn


@cache
def rates() -> tuple[float, float]:
    """Floating-point operations a second of a product in bfloat16, and bytes a second of a copy."""
    a = torch.rand(8192, 8192, device="cuda", dtype=torch.bfloat16)
    big = torch.empty(2**30, device="cuda", dtype=torch.uint8)
    other = torch.empty_like(big)
    product, copy = _seconds(lambda: a @ a), _seconds(lambda: other.copy_(big))
    return 2 * 8192**3 / product, 2 * big.nbytes / copy


def bound(tower: nn.Module, x: Tensor, passes: int) -> float:
    """Seconds for the convolutions of a tower on a batch in bfloat16. passes: 1 forward, 3 with the
    gradients by weights and by inputs."""
    flops, bandwidth = rates()
    return passes * sum(max(f / flops, b / bandwidth) for f, b in costs(tower, x))


def costs(tower: nn.Module, x: Tensor) -> list[tuple[float, float]]:
    """Of each convolution: multiplications and additions, and bytes moved in bfloat16."""
    found = []

    def note(conv: nn.Conv2d, inputs: tuple[Tensor], out: Tensor) -> None:
        each = conv.weight[0].numel()  # products for one number of the output
        moved = inputs[0].numel() + out.numel() + conv.weight.numel()
        found.append((2 * out.numel() * each, 2 * moved))

    hooks = [
        part.register_forward_hook(note)
        for part in tower.modules()
        if isinstance(part, nn.Conv2d)
    ]  # fmt: skip
    try:
        with torch.no_grad(), torch.autocast(x.device.type, torch.bfloat16):
            tower(x)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _seconds(f, calls: int = 10) -> float:
    for _ in range(3):
        f()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(calls):
        f()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / calls
