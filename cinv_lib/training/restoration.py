"""Restoration that is learned: a small U-Net from A(x) to x, a control for Tables 7 and 8 (ours).

With G(y) the Gaussian mean of the known pixels of y = A(x), and f a U-Net,

    x̂ = G(y) + s f((y - G(y)) / s, (G(y) - 1/2) / s),   s = 1/4, about the spread of a pixel

and under a mask the known pixels, in which y is x, are put back. So an untrained network is the
Gaussian mean, and all that it learns is on top of that. Why not f alone: that has to learn the
brightness of a picture first, from a tenth of its pixels; after 125 steps it was still 3 dB below
the mean under a mask of 90 %, and 1 dB under noise of σ .5. Why not y + f: such noise has twice the
spread of the pictures, so y is a worse start than grey.

There is no normalisation, as this would hide how bright a picture is.
"""

import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cinv_lib.data.image_files import Pictures
from cinv_lib.machine import hardware
from cinv_lib.operators.base import Operator
from cinv_lib.operators.basic import RandomMask
from cinv_lib.operators.functional import known
from cinv_lib.operators.inverse.interpolation import interpolated
from cinv_lib.training import feed, loop
from cinv_lib.training.recipe import Recipe

CHANNELS = (24, 48, 64)  # at a half, a quarter and an eighth of the side: 60 million
# multiplications a picture of 64 px, those of the Gaussian mean among them
UNSHUFFLED = 2  # pixels a side that become channels of one
MULTIPLE = UNSHUFFLED * 2 ** (len(CHANNELS) - 1)  # what sides have to be multiples of
SPREAD = 0.25  # s


class UNet(nn.Module):
    """Corrupted pictures to restored ones: pixels are unshuffled first, and shuffled back last.

    Weights are He's, from a generator of their own; those of the last layer, and of the last of
    each residual block, are 0.

    Args:
        masks: whether pixels that are black in every channel are holes; else every pixel is known.
            The network is then also told which are known.
        width: of the Gaussian mean, in pixels.
    """

    width: Float[Tensor, ""]

    def __init__(self, masks: bool, width: float, seed: int) -> None:
        super().__init__()
        self.masks, pixels = masks, UNSHUFFLED**2
        self.register_buffer("width", torch.tensor(width, dtype=torch.float32, device="cpu"))
        self.enter = _convolution((7 if masks else 6) * pixels, CHANNELS[0], 3)
        self.encode = nn.ModuleList(map(_Block, CHANNELS))
        self.down = nn.ModuleList(_convolution(a, b, 2, stride=2) for a, b in pairwise(CHANNELS))
        self.up = nn.ModuleList(_convolution(b, 4 * a, 1) for a, b in pairwise(CHANNELS))
        self.decode = nn.ModuleList(map(_Block, CHANNELS[:-1]))
        self.leave = _convolution(CHANNELS[0], 3 * pixels, 1)
        blocks = [block for block in self.modules() if isinstance(block, _Block)]
        rectified = {block.first for block in blocks}  # a ReLU comes next, which halves
        silent = {self.leave, *(block.second for block in blocks)}
        generator = torch.Generator().manual_seed(seed)
        for layer in (layer for layer in self.modules() if isinstance(layer, nn.Conv2d)):
            gain = 0 if layer in silent else 2 if layer in rectified else 1
            with torch.no_grad():
                std = math.sqrt(gain / layer.weight[0].numel())
                layer.weight.normal_(0, std, generator=generator)
                layer.get_parameter("bias").zero_()

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> "UNet":
        """The network whose `state_dict` this is."""
        masks = state["enter.weight"].shape[1] == 7 * UNSHUFFLED**2
        made = cls(masks, state["width"].item(), seed=0)
        made.load_state_dict(state)
        return made

    def forward(self, y: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """Raises ValueError for sides that are no multiples of MULTIPLE."""
        height, width = y.shape[-2:]
        if height % MULTIPLE or width % MULTIPLE or not height * width:
            raise ValueError(
                f"pictures of {height} x {width} px; expected sides that are multiples of "
                f"{MULTIPLE}: resize or crop them"
            )
        keep = known(y) if self.masks else torch.ones_like(y[:, :1], dtype=torch.bool)
        mean = interpolated(y, keep, self.width.item())
        parts = [((y - mean) / SPREAD).where(keep, 0), (mean - 0.5) / SPREAD]
        parts += [keep.to(y.dtype)] if self.masks else []
        x = mean + SPREAD * self._corrected(torch.cat(parts, dim=1)).to(mean.dtype)
        return y.where(keep, x) if self.masks else x

    def _corrected(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B 3 H W"]:
        x, kept = self.enter(F.pixel_unshuffle(x, UNSHUFFLED)), []
        for encode, down in zip(self.encode, self.down, strict=False):
            kept.append(encode(x))
            x = down(kept[-1])
        x = self.encode[-1](x)
        for up, decode in reversed(list(zip(self.up, self.decode, strict=True))):
            x = decode(kept.pop() + F.pixel_shuffle(up(x), 2))
        return F.pixel_shuffle(self.leave(F.relu(x)), UNSHUFFLED)


class _Block(nn.Module):
    """x + second(relu(first(relu(x))))"""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = (_convolution(channels, channels, 3) for _ in range(2))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return x + self.second(F.relu(self.first(F.relu(x))))


def _convolution(channels: int, out: int, side: int, stride: int = 1) -> nn.Conv2d:
    padding = side // 2 if stride == 1 else 0
    # without torch's own weights, which its global generator would be asked for
    return nn.utils.skip_init(
        nn.Conv2d, channels, out, side, stride=stride, padding=padding, device="cpu"
    )


def restore(
    images: Pictures,
    op: Operator,
    recipe: Recipe,
    seed: int,
    width: float | int,
    checkpoint: Path | None = None,
    progress: bool = True,
) -> tuple[UNet, pd.DataFrame]:
    """Train a U-Net to give back the picture that `op` has corrupted, by the mean squared error.

    Each step takes one view of a batch, corrupts it anew, and compares what is restored with the
    view itself, in float32. No label is used, and no encoder.

    Args:
        images: in memory, or files; their sides are multiples of MULTIPLE.
        op: a mask has holes, which the network is told of; under any other operator every pixel is
            known.
        width: of the Gaussian mean to start from (`best_width`), in pixels; above 0.
        recipe, seed, checkpoint: as in `training.distill`.

    Returns:
        The network, in eval mode, on the training's device; and the history of `loop.run`.

    Raises:
        ValueError: a width that is not above 0, sides that do not fit, and what `loop.run` raises.
    """
    if not 0 < width < math.inf:
        raise ValueError(f"width {width}: expected pixels above 0, as best_width finds them")
    device = hardware.accelerator().device
    unet = UNet(isinstance(op, RandomMask), float(width), seed).to(device)
    source = feed.of(images, images.images[:1].shape[-1], recipe, seed, device)

    def step(indices: Tensor, generator: torch.Generator) -> Tensor:
        x = source.view(indices, generator)
        y = source.ruined(op, x, indices, generator)
        restored = unet(y.to(device))
        with torch.autocast(device.type, enabled=False):
            return F.mse_loss(restored.float(), x.to(device))

    history = loop.run(
        unet, unet.parameters(), step, len(images), recipe, seed, checkpoint,
        progress=f"restoration, {op}" if progress else None,
        spec=loop.describe("restoration", images, op) | {"width": width},
        ahead=source.ahead, order=source.order,
    )  # fmt: skip
    return unet.eval(), history
