"""Deep Decoder: a picture as what a network gives that is too small to hold noise (Table 8).

Nothing is learned from other pictures. A network with random weights and a fixed random input z is
fitted to the known pixels of one picture; what it then shows in the holes is its guess. It is that
of Heckel and Hand, ICLR 2019, d layers and an output:

    B_0 = z      B_i+1 = cn(relu(U_i B_i C_i)),  i < d      x = sigmoid(B_d C_d)

C are 1x1 convolutions without bias, so no pixel is mixed with its neighbours but by U, the doubling
by bilinear interpolation (the last U is the identity). cn normalises each channel of the picture
over its pixels and gives it a scale and a shift.

Here every picture has a network of its own and all are fitted at once, by batched products.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn
from tqdm.auto import tqdm

from cinv_lib.machine.checks import expect
from cinv_lib.machine.hardware import autocast, borrowed, give_back
from cinv_lib.operators.base import Operator, applied
from cinv_lib.operators.basic import RandomMask

Keep = Bool[Tensor, "B 1 H W"]  # True at the pixels that are known
History = Float[Tensor, "iterations B"]


@dataclass(frozen=True)
class DecoderRecipe:
    """How to fit a decoder. The defaults are for pictures of 64 px, and `PAPER` for 224 px.

    The defaults have as many channels as keep the decoder smaller than the picture. They have few
    iterations, so larger steps (Heckel and Hand's lr); the noise decays ten times, as in `PAPER`.

    channels: of every layer, the input's too.
    doublings: layers that double the size; the input is 2^doublings times smaller than the picture.
    lr: of Adam, constant.
    noise: standard deviation of the noise on the input, anew at each iteration: what the decoder
        shows must not hang on the last digits of its input. It is multiplied by `noise_decay` every
        `decay_every` iterations.
    """

    channels: int = 48
    doublings: int = 4
    iterations: int = 300
    lr: float = 0.01
    noise: float = 0.005
    noise_decay: float = 0.7
    decay_every: int = 30

    def __post_init__(self) -> None:
        expect(
            self,
            channels=(self.channels >= 1, "at least 1"),
            doublings=(self.doublings >= 1, "at least 1"),
            iterations=(self.iterations >= 1, "at least 1"),
            lr=(0 < self.lr < math.inf, "a positive number"),
            noise=(0 <= self.noise < math.inf, "0 or a positive number"),
            noise_decay=(0 < self.noise_decay <= 1, "a factor, above 0 and up to 1"),
            decay_every=(self.decay_every >= 1, "at least 1"),
        )

    @property
    def parameters(self) -> int:
        """Numbers fitted to one picture. The prior is that they are fewer than its own 3 H W.

        >>> DecoderRecipe(channels=64, doublings=5).parameters  # Heckel and Hand, for 512 px
        25536
        >>> DecoderRecipe().parameters, 3 * 64 * 64
        (12144, 12288)
        >>> PAPER.parameters, 3 * 224 * 224  # the paper calls it underparameterised
        (397056, 150528)
        """
        k = self.channels
        return (self.doublings + 1) * (k * k + 2 * k) + 3 * k


# What the authors' code runs for Table 8, on each picture alone.
PAPER = DecoderRecipe(channels=256, doublings=5, iterations=5000, lr=0.0025, decay_every=500)


class Decoders(nn.Module):
    """One decoder for each generator: they share a shape, and no number.

    Weights are drawn as those of `nn.Conv2d`, and z uniformly from [0, .1] as in Heckel and Hand.
    """

    z: Float[Tensor, "B k h w"]
    mix: Float[Tensor, "layers B k k"]
    scale: Float[Tensor, "layers B k"]
    shift: Float[Tensor, "layers B k"]
    to_rgb: Float[Tensor, "B 3 k"]

    def __init__(self, generators: list[Generator], height: int, width: int, recipe: DecoderRecipe):
        super().__init__()
        self.doublings = recipe.doublings
        k, layers, side = recipe.channels, recipe.doublings + 1, 2**recipe.doublings
        bound = k**-0.5

        def drawn(low: float, high: float, *shape: int) -> Tensor:
            """Uniform numbers of this shape for each picture, from its own generator."""
            numbers = torch.empty(len(generators), *shape, device="cpu")
            for one, generator in zip(numbers, generators, strict=True):
                one.uniform_(low, high, generator=generator)
            return numbers

        self.mix = nn.Parameter(drawn(-bound, bound, layers, k, k).transpose(0, 1).contiguous())
        self.to_rgb = nn.Parameter(drawn(-bound, bound, 3, k))
        self.scale = nn.Parameter(torch.ones(self.mix.shape[:3], device="cpu"))
        self.shift = nn.Parameter(torch.zeros(self.mix.shape[:3], device="cpu"))
        self.register_buffer("z", drawn(0.0, 0.1, k, height // side, width // side))

    def forward(self, x: Float[Tensor, "B k h w"]) -> Float[Tensor, "B 3 H W"]:
        layers = zip(self.mix, self.scale, self.shift, strict=True)
        for layer, (mix, scale, shift) in enumerate(layers):
            x = _mixed(mix, x)
            x = F.relu(double(x) if layer < self.doublings else x)
            # a batch norm of "one picture with B k channels" keeps the pictures apart
            affine = scale.flatten(), shift.flatten()
            x = F.batch_norm(x.flatten(0, 1)[None], None, None, *affine, training=True).view_as(x)
        return _mixed(self.to_rgb, x).to(self.z.dtype).sigmoid()  # bfloat16 steps are too coarse


def double(x: Float[Tensor, "B k h w"]) -> Float[Tensor, "B k 2*h 2*w"]:
    """Twice as high and as wide, bilinear: `F.interpolate(x, scale_factor=2, mode="bilinear")`.

    As two products with small matrices it takes half the time, most of it in the gradient.
    """
    rows, columns = (_weights(n, x) for n in x.shape[-2:])
    return rows @ (x @ columns.mT)


def _weights(n: int, like: Tensor) -> Float[Tensor, "twice n"]:
    """Row i: what the old pixels count for in new pixel i."""
    eye = torch.eye(n, dtype=like.dtype, device=like.device)
    return F.interpolate(eye[None], scale_factor=2, mode="linear")[0].mT


def _mixed(weights: Float[Tensor, "B j k"], x: Float[Tensor, "B k h w"]) -> Tensor:
    """1x1 convolutions, one for each picture: (B, j, h, w)."""
    return (weights @ x.flatten(2)).unflatten(2, x.shape[-2:])


def masked(
    op: Operator, x: Float[Tensor, "B 3 H W"], generator: Generator | None = None
) -> tuple[Float[Tensor, "B 3 H W"], Keep]:
    """`op(x, generator)`, and the very mask that was applied: True at the pixels that were kept.

    A mask drawn again would be another one; black pixels would not tell, as pictures have some of
    their own. So a channel of ones goes with the picture. Raises ValueError for another operator.
    """
    if not isinstance(op, RandomMask):
        raise ValueError(f"{op} has no mask; expected a RandomMask, as parse('mask:0.9')")
    with_ones = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
    y = applied(op, with_ones, generator)
    return y[:, :3], y[:, 3:] > 0


def fit(
    y: Float[Tensor, "B 3 H W"],
    keep: Tensor | None,
    recipe: DecoderRecipe,
    generator: Generator,
    at_once: int = 8,
    precision: str = "fp32",
    progress: bool = True,
) -> tuple[Float[Tensor, "B 3 H W"], History]:
    """Pictures in [0,1] whose kept pixels are nearest to those of y, each from its own decoder.

    Args:
        keep: bool (B, 1, H, W), True at the pixels that are known, as from `masked`; None for all.
            The others are never looked at.
        generator: a seed for each picture is drawn from it, so pictures that are fitted one after
            the other get what they get together.
        at_once: pictures that are fitted together; 8 stay in a CPU's cache, a GPU wants all.
        precision: "fp32", "bf16" or "auto", of all but the loss.

    Returns:
        The pictures, and the losses they were chosen by: the mean squared error over the kept
        pixels, one row an iteration. Of each picture the iterate with the smallest is returned.

    Raises:
        ValueError: shapes that do not fit, sides that cannot be halved `doublings` times, kept
            pixels that are NaN or infinite, a picture with none kept, an unknown precision.
    """
    keep = torch.ones_like(y[:, :1], dtype=torch.bool) if keep is None else keep
    _check(y, keep, recipe, at_once, precision)
    home, there = y.device, borrowed(y.device, min(y.shape[-2:]))
    y, keep = y.where(keep, 0).to(there), keep.to(there)
    seeds = torch.randint(2**62, (len(y),), generator=generator, device=generator.device).tolist()
    parts = [slice(first, first + at_once) for first in range(0, len(y), at_once)]
    total, bf16 = len(parts) * recipe.iterations, autocast(precision, y.device)
    with tqdm(total=total, desc="deep decoder", leave=False, disable=not progress) as bar:
        found = [_fit(y[part], keep[part], recipe, seeds[part], bf16, bar) for part in parts]
    pictures, histories = zip(*found, strict=True)
    fitted, losses = torch.cat(pictures).to(home), torch.cat(histories, dim=1).to(home)
    if there != home:
        del found, pictures, histories, y, keep
        give_back(there)
    return fitted, losses


def _fit(
    y: Tensor,
    keep: Tensor,
    recipe: DecoderRecipe,
    seeds: list[int],
    bf16: torch.autocast,
    bar: tqdm,
) -> tuple[Tensor, Tensor]:
    generators = [Generator().manual_seed(seed) for seed in seeds]
    decoders = Decoders(generators, *y.shape[-2:], recipe).to(y.device)
    optimizer = torch.optim.Adam(decoders.parameters(), lr=recipe.lr, fused=True)
    known = 3 * keep.sum(dim=(1, 2, 3))
    noise = torch.empty(decoders.z.shape, device="cpu")
    best = torch.zeros_like(y)
    smallest = torch.full((len(y),), math.inf, device=y.device)
    history = torch.empty(recipe.iterations, len(y), device=y.device)
    for i in range(recipe.iterations):
        for one, generator in zip(noise, generators, strict=True):
            one.normal_(generator=generator)  # its own, whoever is fitted beside it
        sigma = recipe.noise * recipe.noise_decay ** (i // recipe.decay_every)
        with torch.enable_grad(), torch.autocast(y.device.type, enabled=False):  # no reader's own
            with bf16:
                x = decoders(decoders.z + sigma * noise.to(y.device))
            losses = ((x - y).square() * keep).sum(dim=(1, 2, 3)) / known
            losses.sum().backward()  # not the mean: nobody's gradient depends on how many there are
        optimizer.step()
        optimizer.zero_grad()
        history[i] = losses.detach()
        better = history[i] < smallest
        best = torch.where(better[:, None, None, None], x.detach(), best)
        smallest = torch.where(better, history[i], smallest)
        bar.update()
    return best, history


def _check(y: Tensor, keep: Tensor, recipe: DecoderRecipe, at_once: int, precision: str) -> None:
    b, height, width = len(y), *y.shape[-2:]
    side = 2**recipe.doublings
    if b == 0 or tuple(keep.shape) != (b, 1, height, width) or keep.dtype != torch.bool:
        raise ValueError(
            f"pictures {tuple(y.shape)} with a mask {tuple(keep.shape)} of {keep.dtype}; expected "
            "(B, 3, H, W) and (B, 1, H, W) of torch.bool, and at least one picture"
        )
    if height % side or width % side:
        raise ValueError(
            f"pictures of {height} x {width} px cannot be halved {recipe.doublings} times; "
            f"expected sides that are multiples of {side}: change DecoderRecipe.doublings"
        )
    if not bool((y.isfinite() | ~keep).all()):
        raise ValueError("kept pixels are NaN or infinite; expected numbers, pictures in [0,1]")
    if empty := (~keep.flatten(1).any(dim=1)).nonzero().flatten().tolist():
        raise ValueError(f"pictures {empty} have no pixel kept; expected one or more to fit")
    if at_once < 1 or precision not in ("auto", "bf16", "fp32"):
        raise ValueError(
            f"at_once {at_once}, precision {precision!r}: expected 1 or more; auto, bf16 or fp32"
        )
