"""Forward operators A: what happens to an image before the student sees it (paper, Section 3).

An operator takes a batch `(B, 3, H, W)` in [0,1]; each image has its own severity and randomness:

    y_i = A(x_i; s_i, ω_i)     s_i: fixed, or drawn from a range     ω_i: a mask, or noise

>>> op = parse("mask:0.5..0.95")                                  # str(op) gives the string back
>>> y = op(torch.rand(8, 3, 64, 64), torch.Generator().manual_seed(0))

`op(x)` is `op.apply(x, op.draw(...))`: first the severities, then what they do. At severity 0 every
operator is the identity. The arithmetic is in `forward`, in functions that can be called alone.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from cinv_lib import forward

Images = Float[Tensor, "B C H W"]
Severities = Float[Tensor, "B ..."]  # float64, so that int(H W p) pixels is exact
Rng = Generator | None
Device = torch.device | str
Severity = float | int | tuple[float | int, float | int]


class Operator(ABC):
    """What all operators share; `draw` is their randomness in severity, `apply` the corruption."""

    def __call__(self, x: Tensor, generator: Rng = None) -> Float[Tensor, "B 3 H W"]:
        """Corrupt RGB images in [0,1]. Noise is not clipped, so the result may leave [0,1].

        Raises ValueError where x is not float, not `(B, 3, H, W)`, or not in [0,1].
        """
        _check_images(x)
        return self.apply(x, self.draw(len(x), generator, x.device), generator)

    @abstractmethod
    def draw(self, n: int, generator: Rng = None, device: Device = "cpu") -> Severities:
        """The severities of n images."""

    @abstractmethod
    def apply(self, x: Images, severities: Severities, generator: Rng = None) -> Images:
        """Corrupt at these severities. Equal generators give equal corruptions."""

    @property
    @abstractmethod
    def is_random(self) -> bool:
        """Whether two calls can differ; where not, one realisation says everything."""

    def at(self, severity: Severity) -> "Operator":
        """The same operator at another severity, or range of them."""
        raise ValueError(f"{self} has no single severity to set to {severity}; change its parts")


@dataclass(frozen=True)
class Graded(Operator):
    """An operator with one severity: a number, or a range `(lo, hi)`, uniform over it per image.

    Raises ValueError where a severity is not finite or outside `limits`, or lo > hi.
    """

    severity: Severity
    name: ClassVar[str]
    limits: ClassVar[tuple[float, float]]
    noisy: ClassVar[bool] = True

    def __post_init__(self):
        lo, hi = self.severity if isinstance(self.severity, tuple | list) else [self.severity] * 2
        smallest, largest = self.limits
        for s in (lo, hi):
            if not (smallest <= s <= largest and math.isfinite(s)):
                raise ValueError(
                    f"severity of {self.name} is {s}; expected {smallest:g} to {largest:g}, finite"
                )
        if lo > hi:
            raise ValueError(f"severity of {self.name} runs from {lo} to {hi}; expected lo <= hi")
        lo, hi = float(lo), float(hi)  # one form each, so that equal operators compare equal
        object.__setattr__(self, "severity", lo if lo == hi else (lo, hi))

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest severity."""
        return self.severity if isinstance(self.severity, tuple) else (self.severity,) * 2

    @property
    def is_random(self) -> bool:
        lo, hi = self.bounds
        return lo < hi or (self.noisy and hi > 0)

    def at(self, severity: Severity) -> "Graded":
        return replace(self, severity=severity)

    def draw(self, n: int, generator: Rng = None, device: Device = "cpu") -> Severities:
        lo, hi = self.bounds
        if lo == hi:
            return torch.full((n,), lo, dtype=torch.float64, device=device)
        return lo + (hi - lo) * forward.uniform((n,), generator, device)

    def __str__(self) -> str:
        return f"{self.name}:" + "..".join(_text(s) for s in sorted(set(self.bounds)))


@dataclass(frozen=True)
class Identity(Graded):
    """A(x) = x: the clean image."""

    severity: Severity = 0.0
    name = "identity"
    limits = (0.0, 0.0)
    noisy = False

    def apply(self, x: Images, severities: Severities, generator: Rng = None) -> Images:
        return x

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class RandomMask(Graded):
    """A(x) = m ⊙ x: exactly int(H W p) random pixels of each image are 0, in all channels at once.

    The severity p is the fraction of missing pixels; in the paper .5, .75, .9, and .5 to .95.
    """

    name = "mask"
    limits = (0.0, 1.0)

    def apply(self, x: Images, severities: Severities, generator: Rng = None) -> Images:
        height, width = x.shape[-2:]
        missing = (severities.double() * (height * width)).long().to(x.device)
        return x * forward.random_keep(missing, height, width, generator).to(x.dtype)


@dataclass(frozen=True)
class GaussianNoise(Graded):
    """A(x) = x + σ z, with z ~ N(0, 1) in every pixel and channel; never clipped.

    The severity σ is on the scale where white is 1; in the paper .1, .3, .5, and .1 to .3.
    """

    name = "noise"
    limits = (0.0, math.inf)

    def apply(self, x: Images, severities: Severities, generator: Rng = None) -> Images:
        z = forward.normal(x.shape, x.dtype, generator, x.device)
        return z.mul_(severities.to(x).view(-1, 1, 1, 1)).add_(x)


@dataclass(frozen=True)
class GaussianBlur(Graded):
    """A(x) = g_σ * x, with g_σ a Gaussian cut off at 2σ; images are mirrored at their borders.

    The severity σ is in pixels, and the kernel n = 2 round(2σ) + 1 wide. The paper's (n, σ) are
    (21, 5) and (37, 9) at 224 px; the same blurs at 64 px are σ = 1.43 and 2.57.

    Raises ValueError, when used, where half the kernel is as wide as the image.
    """

    name = "blur"
    limits = (0.0, math.inf)
    noisy = False

    def apply(self, x: Images, severities: Severities, generator: Rng = None) -> Images:
        side, widest = min(x.shape[-2:]), severities.max().item()
        if round(2 * widest) >= side:
            raise ValueError(
                f"blur of σ = {widest:g} mirrors {round(2 * widest)} pixels at a border, and the "
                f"images have {side}; expected σ up to {(side - 1) / 2:g}"
            )
        return forward.convolve(x, forward.gaussian_taps(severities.to(x.device)))


@dataclass(frozen=True)
class Mixture(Operator):
    """Parts in sequence, each image passing through each with a probability (Appendix D.8: .8).

    Severities have one column a part: 0, which is the identity, where a part is passed by.
    """

    parts: tuple[Operator, ...]
    probabilities: tuple[float | int, ...]

    def __post_init__(self):
        if not self.parts or len(self.parts) != len(self.probabilities):
            raise ValueError(
                f"a mixture of {len(self.parts)} parts has {len(self.probabilities)} "
                "probabilities; expected one for each part, and at least one part"
            )
        for op, p in zip(self.parts, self.probabilities, strict=True):
            if not isinstance(op, Graded):
                raise ValueError(f"{op} cannot be a part of a mixture; expected its parts instead")
            if not 0 <= p <= 1:
                raise ValueError(f"probability of {op} is {p}; expected 0 to 1")

    @property
    def is_random(self) -> bool:
        chances = zip(self.parts, self.probabilities, strict=True)
        return any(p > 0 and (op.is_random or (p < 1 and op.bounds[1] > 0)) for op, p in chances)

    def draw(self, n: int, generator: Rng = None, device: Device = "cpu") -> Severities:
        severities = torch.stack([op.draw(n, generator, device) for op in self.parts], dim=1)
        chances = torch.tensor(self.probabilities, dtype=torch.float64, device=device)
        return severities * (forward.uniform(severities.shape, generator, device) < chances)

    def apply(self, x: Images, severities: Severities, generator: Rng = None) -> Images:
        for op, column in zip(self.parts, severities.unbind(dim=1), strict=True):
            x = op.apply(x, column, generator)
        return x

    def __str__(self) -> str:
        chances = zip(self.parts, self.probabilities, strict=True)
        return "+".join(f"{op}@{_text(p)}" for op, p in chances)


OPERATORS = {op.name: op for op in (Identity, RandomMask, GaussianNoise, GaussianBlur)}


def parse(text: str) -> Operator:
    """The operator that `text` names; `str` is the inverse. Raises ValueError on any other text.

    One of "identity", "mask:0.9", "noise:0.1..0.3", "blur:2.57", or a mixture of them with a
    probability each, "blur:1..5@0.8+noise:0.05..0.5@0.8" (without "@", it is 1).
    """
    if not set("+@") & set(text):
        return _parse_part(text)
    parts, chances = zip(*(part.partition("@")[::2] for part in text.split("+")), strict=True)
    return Mixture(tuple(map(_parse_part, parts)), tuple(_number(p or "1", text) for p in chances))


def _parse_part(text: str) -> Graded:
    name, colon, severity = text.strip().partition(":")
    if name not in OPERATORS:
        raise ValueError(
            f"unknown operator {text!r}; known are {', '.join(OPERATORS)}, for example 'identity', "
            "'mask:0.9', 'noise:0.1..0.3', 'blur:9', 'blur:1..5@0.8+noise:0.05..0.5@0.8'"
        )
    if name == Identity.name and not colon:
        return Identity()
    lo, dots, hi = severity.partition("..")
    lo = _number(lo, text)
    return OPERATORS[name]((lo, _number(hi, text)) if dots else lo)


def _number(text: str, whole: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f"{text!r} in operator {whole!r} is not a number; expected 'name:severity' or "
            "'name:lo..hi', and in a mixture '@probability' behind it"
        ) from None


def _text(number: float) -> str:
    return repr(float(number)).removesuffix(".0").replace("e+", "e")


def _check_images(x: object) -> None:
    if not (isinstance(x, Tensor) and x.is_floating_point()):
        kind = getattr(x, "dtype", type(x).__name__)
        raise ValueError(f"images are {kind}; expected a tensor of floats in [0,1]: divide by 255")
    if x.ndim != 4 or x.shape[1] != 3 or x.numel() == 0:
        raise ValueError(
            f"images have shape {tuple(x.shape)}; expected RGB (B, 3, H, W): add a batch axis by "
            "x[None], repeat a grey channel three times"
        )
    lo, hi = (bound.item() for bound in x.detach().aminmax())
    if not (lo >= -1e-4 and hi <= 1 + 1e-4):  # `not`: NaN must fail. 1e-4: resizing rounds
        raise ValueError(
            f"images run from {lo:.4g} to {hi:.4g}; expected [0,1]: divide grey levels by 255, "
            "corrupt before normalising, and chain operators in a Mixture"
        )
