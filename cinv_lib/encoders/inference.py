"""Networks that only look: eval mode, batch norms folded into the convolutions before them.

In eval mode a batch norm is a fixed scale and shift of each channel, and so can be part of the
convolution's own weights: a fifth of the time of a ResNet's forward on a CPU is saved, more than
drawing the corruptions costs.
"""

import copy
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import TypeVar

import torch
from jaxtyping import Float, Shaped
from open_clip import modified_resnet
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import resnet

from cinv_lib.data.image_set import to_float
from cinv_lib.data.preprocess import Preprocess
from cinv_lib.data.views import resized
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.machine import hardware

Looks = TypeVar("Looks", bound=nn.Module)

# Their `forward` puts bn1 after conv1, and so on; other classes may use the names otherwise.
KNOWN = (
    modified_resnet.ModifiedResNet,
    modified_resnet.Bottleneck,
    resnet.ResNet,
    resnet.BasicBlock,
    resnet.Bottleneck,
)


@contextmanager
def looking(callables: Sequence[Callable]) -> Iterator[None]:
    """Every module among `callables` in eval mode and folded; afterwards each is as it was.

    >>> tower = resnet.resnet18().train()
    >>> with looking([tower]):
    ...     tower.training, isinstance(tower.bn1, nn.BatchNorm2d)
    (False, False)
    >>> tower.training, isinstance(tower.bn1, nn.BatchNorm2d)
    (True, True)
    """
    modules = {part: None for c in callables if isinstance(c, nn.Module) for part in c.modules()}
    with ExitStack() as restore:  # what was changed last is put back first
        for part in modules:
            restore.callback(setattr, part, "training", part.training)
            part.training = False
        for parent, conv, bn in [pair for part in modules for pair in _pairs(part)]:
            for name in (conv, bn):
                restore.callback(setattr, parent, name, getattr(parent, name))
            _fold(parent, conv, bn)
        yield


def folded(encoder: Looks) -> Looks:
    """A copy that only looks, for as long as it lives: in eval mode, folded and frozen. What it
    gives is what the encoder gives in eval mode, to 1e-4 of it in float32.

    >>> tower = resnet.resnet18().eval()
    >>> x = torch.rand(2, 3, 64, 64)
    >>> torch.allclose(folded(tower)(x), tower(x), rtol=1e-4, atol=1e-4)
    True
    """
    made = copy.deepcopy(encoder).eval()  # as fusing asks for
    for pair in [pair for part in made.modules() for pair in _pairs(part)]:
        _fold(*pair)
    return made.eval().requires_grad_(False)  # what took the batch norms' places, too


def _fold(parent: nn.Module, conv: str, bn: str) -> None:
    """A batch norm becomes part of the convolution before it."""
    both = fuse_conv_bn_eval(getattr(parent, conv), getattr(parent, bn))
    how = hardware.layout(both.weight.device)
    setattr(parent, conv, both.to(memory_format=how))
    setattr(parent, bn, nn.Identity())


def _pairs(block: nn.Module) -> list[tuple[nn.Module, str, str]]:
    """(parent, name of a convolution, name of the batch norm after it) in one block."""
    if not isinstance(block, KNOWN):
        return []
    pairs = [(block, f"conv{k}", f"bn{k}") for k in (1, 2, 3)]
    if isinstance(shortcut := getattr(block, "downsample", None), nn.Sequential):
        pairs += [(shortcut, *pair) for pair in pairwise(shortcut._modules)]
    return [
        (parent, conv, bn)
        for parent, conv, bn in pairs
        if _plain(getattr(parent, conv, None), nn.Conv2d)
        and _plain(getattr(parent, bn, None), nn.BatchNorm2d)
        and getattr(parent, bn).track_running_stats  # else it uses the batch's, in eval mode too
    ]


def _plain(module: nn.Module | None, kind: type) -> bool:
    """Exactly of this kind, and nobody listens to it: a hook would miss what it waits for."""
    return type(module) is kind and not (module._forward_hooks or module._forward_pre_hooks)


def side_of(callables: Sequence[Callable]) -> int | None:
    """The side of the pictures that the first of them takes which says so (`image_size`); None
    where none does."""
    modules = (part for c in callables if isinstance(c, nn.Module) for part in c.modules())
    sides = (getattr(part, "image_size", None) for part in modules)
    return next((side for side in sides if isinstance(side, int)), None)


def preprocess_of(callables: Sequence[Callable]) -> Preprocess | None:
    """How the first of them that is an encoder has seen pictures in its training (its
    `preprocess_cfg`); None where none says so."""
    modules = (part for c in callables if isinstance(c, nn.Module) for part in c.modules())
    configs = (getattr(part, "config", None) for part in modules)
    found = (c["preprocess_cfg"] for c in configs if isinstance(c, dict) and "preprocess_cfg" in c)
    return next((Preprocess.of(config) for config in found), None)


def device_of(callables: Sequence[Callable]) -> torch.device:
    """Where the first of them that has weights has them; the CPU where none has."""
    for module in (c for c in callables if isinstance(c, nn.Module)):
        for tensor in (*module.parameters(), *module.buffers()):
            return tensor.device
    return torch.device("cpu")


def forward(
    encoders: Sequence[Callable],
    batches: Iterable[tuple],
    device: torch.device,
    precision: str = "auto",
) -> Generator[tuple, None, None]:
    """Each batch's embeddings by every encoder: the one loop in which networks only look.

    Args:
        batches: tuples that end with the pictures, in [0,1] and on `device`. What comes before
            them, such as their numbers, is handed on.
        precision: "fp32", "bf16" or "auto", of the encoders. Where it is "fp32" a GPU does not
            round what it multiplies to TF32 either.

    On the CPU of a job that was given a GPU, large pictures are looked at there (see
    `hardware.borrowed`): the encoders are moved for as long, and what comes back is on `device`.

    Yields:
        What came before the pictures, and a list with the embeddings (b, d) of each encoder, in
        float32. The encoders stay folded until the last batch, or until the generator is closed: a
        caller that may fail in between uses `contextlib.closing`.
    """
    there = _where(encoders, device)
    bf16, exact = hardware.autocast(precision, there), precision == "fp32"
    # Folded first: the copies that take the batch norms' places move, the originals stay at home.
    with looking(encoders), moved(encoders, device, there):
        for *which, x in batches:
            # Exact only while they look: what the caller does between two batches is its own.
            # Not inference_mode: a model may keep what it makes here, and train on.
            with (
                hardware.convolutions(exact),
                torch.no_grad(),
                bf16,
            ):
                seen = x.to(there)
                embeddings = [encoder(seen) for encoder in encoders]
            yield *which, [rows.float().to(device) for rows in embeddings]


def _where(encoders: Sequence[Callable], device: torch.device) -> torch.device:
    """A GPU that may be borrowed, for the library's own encoders: nobody knows what a function
    holds, or who else holds a part of another module, such as its head."""
    ours = all(isinstance(encoder, Encoder) for encoder in encoders)
    return hardware.borrowed(device, side_of(encoders)) if ours else device


@contextmanager
def moved(encoders: Sequence[Callable], home: torch.device, there: torch.device) -> Iterator[None]:
    """What encoders see pictures with on another device within the block; afterwards it is at home,
    and the device's memory is free for others."""
    if there == home:
        yield
        return

    def go(to: torch.device) -> None:
        with torch.inference_mode(False):  # its weights could not be trained afterwards
            for encoder in encoders:
                assert isinstance(encoder, Encoder)  # see `_where`
                encoder.tower.to(to)  # a text tower stays, which sees no picture
                encoder.mean, encoder.std = encoder.mean.to(to), encoder.std.to(to)

    try:
        go(there)
        yield
    finally:
        go(home)
        hardware.give_back(there)


def embedded(
    encoder: nn.Module, pictures: Shaped[Tensor, "N 3 H W"], batch_size: int = 256
) -> Float[Tensor, "N d"]:
    """Embeddings of pictures, uint8 or in [0,1], in the precision in which `evaluate` looks."""
    device, side = device_of([encoder]), side_of([encoder])
    parts = (part.to(device) for part in pictures.split(batch_size))
    shown = (to_float(part) if part.dtype == torch.uint8 else part for part in parts)
    batches = ((resized(part, side),) for part in shown)
    return torch.cat([rows for ((rows,),) in forward([encoder], batches, device)])
