"""The same training in a third of the memory: residual blocks that are computed twice.

A step keeps what every layer has seen until the backward pass needs it: of CLIP's RN101 some 70 MB
for each picture, 18 GB for a batch of 256. A light step keeps the input of each residual block
alone, and computes the block once more when its gradient is due. That takes about a quarter more
time. Gradients, running statistics of batch norms and their counts are those of the plain step, bit
for bit in float32, so that `light` is no part of what a training is: a checkpoint that the one has
written is resumed by the other, and a result has one address.

Not built, as they would be other trainings: gradients accumulated over parts of a batch, and
embeddings cached by parts (Gao et al. 2021, GradCache). The student's batch norms use the batch's
own statistics, and those of a part are others; a contrastive loss besides has its negatives in the
whole batch.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cinv_lib.encoders.encoder import Encoder
from cinv_lib.machine import hardware
from cinv_lib.training.recipe import Recipe

# Classes of open_clip, torchvision and timm. Any module may be computed twice, so names do.
BLOCKS = (
    *("Bottleneck", "BasicBlock"),  # of ResNets, CLIP's among them
    *("ResidualAttentionBlock", "CustomResidualAttentionBlock", "EncoderBlock", "Block"),  # of ViTs
)
# Megabytes that a plain step and a light one keep of each picture of 224 pixels until the backward
# pass, in bfloat16, as `per_picture` counts them; by open_clip's and torchvision's names.
MEGABYTES = {
    "RN101-quickgelu": (70.4, 25.8),
    "resnet101": (64.2, 23.2),
    "ViT-B-32-quickgelu": (19.0, 1.45),
}
# What a step needs besides what is kept: gradients of activations, what cuDNN works in, weights and
# Adam's averages. Assumed, and on the safe side: RN101 at 256 pictures asks for 27 GB.
MARGIN = 1.5
Buffers = Mapping[tuple[nn.Module, str], Tensor]


@contextmanager
def lighter(
    *encoders: Encoder, light: bool | None, recipe: Recipe, device: torch.device
) -> Iterator[bool]:
    """Within the block the steps of encoders that are trained together are light, or plain.

    Args:
        encoders: on `device`; afterwards they are as they were.
        light: None to take it where a plain step does not fit into the memory of a CUDA device,
            which is then said in one line.

    Yields:
        Whether they are light. Raises ValueError for light=True where there is no residual block.
    """
    found = [block for encoder in encoders for block in blocks(encoder.tower)]
    if light and not found:
        raise ValueError(
            f"{encoders[0].name} has no residual blocks to compute twice; expected modules of the "
            f"classes {', '.join(BLOCKS)}: leave out light=True, or take a smaller batch"
        )
    if light is None:
        light = bool(found) and _needed(encoders, recipe, device)
    with ExitStack() as restore:
        for block in found if light else ():
            own = vars(block).get("forward")
            restore.callback(setattr if own else delattr, block, "forward", *([own] if own else ()))
            block.forward = partial(_twice, block, block.forward)
        yield light


def blocks(module: nn.Module) -> list[nn.Module]:
    """The residual blocks of a tower, none within another.

    >>> from torchvision.models import resnet18
    >>> len(blocks(resnet18()))
    8
    """
    if type(module).__name__ in BLOCKS:
        return [module]
    return [block for child in module.children() for block in blocks(child)]


def _twice(block: nn.Module, forward: Callable, *arguments: Any, **named: Any) -> Any:
    """`forward(...)`, of which the arguments alone are kept for the backward pass.

    Draws from torch's global generators (dropout) and autocast are the same the second time:
    `checkpoint` sees to that. Buffers are ours to look after.
    """

    def contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
        return nullcontext(), sparing(block)

    return checkpoint(forward, *arguments, use_reentrant=False, context_fn=contexts, **named)


def sparing(module: nn.Module) -> AbstractContextManager[None]:
    """Within the block a module's buffers are copies, as they are at this call: what is written
    into them, such as running statistics, is thrown away."""
    return _with(module, {key: buffer.clone() for key, buffer in _buffers(module).items()})


@contextmanager
def _with(module: nn.Module, others: Buffers) -> Iterator[None]:
    """Other tensors in place of a module's buffers: what is written into them is thrown away.

    So batch norms update their running statistics, and count the batch, the first time only.
    """
    kept = _buffers(module)
    try:
        for (part, name), buffer in others.items():
            part._buffers[name] = buffer
        yield
    finally:
        for (part, name), buffer in kept.items():
            part._buffers[name] = buffer


def _buffers(module: nn.Module) -> dict[tuple[nn.Module, str], Tensor]:
    own = ((part, name, part._buffers[name]) for part in module.modules() for name in part._buffers)
    return {(part, name): buffer for part, name, buffer in own if buffer is not None}


# -- does a plain step fit? --------------------------------------------------------------------
def fits(picture: float | int, pictures: int, free: float | int) -> bool:
    """Whether a plain step of so many pictures fits into `free` bytes, at `picture` bytes each.

    >>> fits(70e6, 256, 23.5e9), fits(70e6, 256, 39e9)  # RN101 on a card of 24 GB, of 40 GB
    (False, True)
    """
    return MARGIN * picture * pictures <= free


def free(device: torch.device) -> int | None:
    """Bytes that a CUDA device has free, or that this process holds and does not use; of another
    device None: what a CPU lacks it takes from the disk, and nobody has tried."""
    if device.type != "cuda":
        return None
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + held


def kept(module: Callable, x: Float[Tensor, "B *_"]) -> int:
    """Bytes that a forward of these pictures keeps for the backward pass, its weights included."""
    storages: dict[int, int] = {}

    def seen(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        storages[storage._cdata] = storage.nbytes()
        return saved

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(seen, lambda saved: saved):
        _made = module(x)  # alive until all is counted, and so each address is one tensor's
    return sum(storages.values())


def per_picture(encoder: Encoder, precision: str, device: torch.device) -> float:
    """Bytes that a plain step keeps of each picture: what four keep more than two, halved.

    Torch's generators are left as they were.
    """
    side = encoder.image_size
    tower = deepcopy(encoder.tower).train()  # whose running statistics may change
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        hardware.autocast(precision, device),
    ):
        two, four = (kept(tower, torch.zeros(n, 3, side, side, device=device)) for n in (2, 4))
    return (four - two) / 2


def _needed(encoders: tuple[Encoder, ...], recipe: Recipe, device: torch.device) -> bool:
    there, place = free(device), hardware.accelerator()
    if there is None:
        return False
    pictures = -(-recipe.batch_size // place.num_processes)
    picture = sum(per_picture(encoder, recipe.precision, device) for encoder in encoders)
    if fits(picture, pictures, there):
        return False
    if place.is_main_process:
        print(
            f"{encoders[0].name}: {pictures} pictures at once keep {picture * pictures / 1e9:.1f} "
            f"GB, and {there / 1e9:.1f} GB are free on {device}. Residual blocks are computed "
            "twice: the same training in about a quarter more time",
            file=sys.stderr,
        )
    return True
