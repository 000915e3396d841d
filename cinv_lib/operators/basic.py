"""Forward operators A: what happens to an image before the student sees it (paper, Section 3).

An operator takes a batch `(B, 3, H, W)` in [0,1]; each image has its own severity and randomness:

    y_i = A(x_i; s_i, ω_i)     s_i: fixed, or drawn from a range     ω_i: a mask, or noise

>>> op = parse("mask:0.5..0.95")                                  # str(op) gives the string back
>>> y = op(torch.rand(8, 3, 64, 64), torch.Generator().manual_seed(0))

`op(x)` is `op.apply(x, op.draw(...))`: first the severities, then what they do. At severity 0 every
operator is the identity. The arithmetic is in `functional`, in functions that can be called alone.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import torch

from cinv_lib.machine.checks import number, number_text, read_number

# `parse` knows classical's, and physics gives `Operator.of_physics`
from cinv_lib.operators import classical, functional, physics  # noqa: F401
from cinv_lib.operators.base import (
    CLASS,
    OPERATORS,
    RESERVED,
    Device,
    Images,
    Operator,
    Rng,
    Severities,
)


@dataclass(frozen=True)
class Identity(Operator):
    """A(x) = x: the clean image."""

    severity: Any = 0.0
    name = "identity"
    limits = (0.0, 0.0)
    noisy = False

    def apply(self, x: Images, severities: Severities, generator: Rng = None) -> Images:
        return x

    def __str__(self) -> str:
        return self.name


class RandomMask(Operator):
    """A(x) = m ⊙ x: exactly int(H W p) random pixels of each image are 0, in all channels at once.

    The severity p is the fraction of missing pixels; in the paper .5, .75, .9, and .5 to .95.
    """

    name = "mask"
    limits = (0.0, 1.0)

    def apply(self, x: Images, severities: Severities, generator: Rng = None) -> Images:
        height, width = x.shape[-2:]
        missing = (severities.double() * (height * width)).long().to(x.device)
        return x * functional.random_keep(missing, height, width, generator).to(x.dtype)


class GaussianNoise(Operator):
    """A(x) = x + σ z, with z ~ N(0, 1) in every pixel and channel; never clipped.

    The severity σ is on the scale where white is 1; in the paper .1, .3, .5, and .1 to .3.
    """

    name = "noise"
    limits = (0.0, math.inf)

    def apply(self, x: Images, severities: Severities, generator: Rng = None) -> Images:
        z = functional.normal(x.shape, x.dtype, generator, x.device)
        return z.mul_(severities.to(x).view(-1, 1, 1, 1)).add_(x)


class GaussianBlur(Operator):
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
        return functional.convolve(x, functional.gaussian_taps(severities.to(x.device)))


@dataclass(frozen=True)
class Mixture(Operator):
    """Parts in sequence, each image passing through each with a probability (Appendix D.8: .8).

    Severities have one column a part: 0, which is the identity, where a part is passed by.
    """

    severity: None = field(init=False, default=None, repr=False)
    parts: tuple[Operator, ...]
    probabilities: tuple[float | int, ...]
    limits = None

    def __post_init__(self):
        if not self.parts or len(self.parts) != len(self.probabilities):
            raise ValueError(
                f"a mixture of {len(self.parts)} parts has {len(self.probabilities)} "
                "probabilities; expected one for each part, and at least one part"
            )
        for op, p in zip(self.parts, self.probabilities, strict=True):
            if _object(op).severity is None:
                raise ValueError(f"{op} cannot be a part of a mixture; expected its parts instead")
            if number(p) is None or not 0 <= p <= 1:
                raise ValueError(f"probability of {op} is {p!r}; expected 0 to 1")
        chances = tuple(number(p) for p in self.probabilities)
        object.__setattr__(self, "probabilities", chances)

    @property
    def is_random(self) -> bool:
        chances = zip(self.parts, self.probabilities, strict=True)
        return any(p > 0 and (op.is_random or (p < 1 and op.bounds[1] > 0)) for op, p in chances)

    def draw(self, n: int, generator: Rng = None, device: Device = "cpu") -> Severities:
        severities = torch.stack([op.draw(n, generator, device) for op in self.parts], dim=1)
        here = functional.float64_on(device)
        chances = torch.tensor(self.probabilities, dtype=torch.float64, device=here)
        return severities * (functional.uniform(severities.shape, generator, device) < chances)

    def apply(self, x: Images, severities: Severities, generator: Rng = None) -> Images:
        for op, column in zip(self.parts, severities.unbind(dim=1), strict=True):
            x = op.apply(x, column, generator)
        return x

    def __str__(self) -> str:
        chances = zip(self.parts, self.probabilities, strict=True)
        return "+".join(f"{op}@{number_text(p)}" for op, p in chances)


@dataclass(frozen=True)
class OneOf(Operator):
    """Each image passes through one of the parts, as likely through each; who sees it is not told.

    Severities have one column a part: the chosen one's, and 0 for the others.
    """

    severity: None = field(init=False, default=None, repr=False)
    parts: tuple[Operator, ...]
    limits = None

    def __post_init__(self):
        if len(self.parts) < 2:
            raise ValueError(f"one of {len(self.parts)} parts is no choice; expected at least two")
        for op in self.parts:
            if _object(op).severity is None:
                raise ValueError(f"{op} cannot be one of several; expected operators of one part")

    @property
    def is_random(self) -> bool:
        return len(set(self.parts)) > 1 or self.parts[0].is_random

    def draw(self, n: int, generator: Rng = None, device: Device = "cpu") -> Severities:
        severities = torch.stack([op.draw(n, generator, device) for op in self.parts], dim=1)
        chosen = (functional.uniform((n, 1), generator, device) * len(self.parts)).long()
        return torch.zeros_like(severities).scatter_(1, chosen, severities.gather(1, chosen))

    def apply(self, x: Images, severities: Severities, generator: Rng = None) -> Images:
        y = x.clone()
        for op, column in zip(self.parts, severities.unbind(dim=1), strict=True):
            rows = column.nonzero()[:, 0].to(x.device)  # the others would pay for nothing
            if len(rows):
                y[rows] = op.apply(y[rows], column[rows.to(column.device)], generator)
        return y

    def __str__(self) -> str:
        return "|".join(map(str, self.parts))


def parse(text: str | Operator) -> Operator:
    """The operator that `text` names; `str` is the inverse. An operator passes through.

    Raises ValueError on anything else, be it another text or no text at all, as a function is.

    One of "identity", "mask:0.9", "noise:0.1..0.3", "blur:2.57"; a mixture of them with a
    probability each, "blur:1..5@0.8+noise:0.05..0.5@0.8" (without "@", it is 1); or a choice
    between them for each image, "mask:0.9|noise:0.5". A class of your own, once it is defined, is
    named as these are.
    """
    if not isinstance(text, str):
        return _object(text)
    if "|" in text:
        return OneOf(tuple(map(_parse_part, text.split("|"))))
    if not set("+@") & set(text):
        return _parse_part(text)
    parts, chances = zip(*(part.partition("@")[::2] for part in text.split("+")), strict=True)
    return Mixture(tuple(map(_parse_part, parts)), tuple(_number(p or "1", text) for p in chances))


def _object(given: object) -> Operator:
    """What is given, if it is an operator. Raises ValueError where it is not, as a function is."""
    if isinstance(given, Operator):
        return given
    raise ValueError(
        f"{given!r} is no operator; expected a text such as 'mask:0.9', or an object of a "
        f"class such as{CLASS}and then Rows(0.5), or 'rows:0.3..0.7'"
    )


def _parse_part(text: str) -> Operator:
    name, colon, severity = text.strip().partition(":")
    if name not in OPERATORS:
        known = ", ".join(dict.fromkeys([*RESERVED, *OPERATORS]))
        raise ValueError(
            f"unknown operator {text!r}; known are {known}, for example 'identity', 'mask:0.9', "
            "'noise:0.1..0.3', 'blur:9', 'blur:1..5@0.8+noise:0.05..0.5@0.8'. One of your own is "
            "known to the process that defines its class: run its cell, or write it into a file "
            "and call operators.load_code('my_ops.py')"
        )
    if name == Identity.name and not colon:
        return Identity()
    lo, dots, hi = severity.partition("..")
    smallest = _number(lo, text)
    return OPERATORS[name]((smallest, _number(hi, text)) if dots else smallest)


def _number(text: str, whole: str) -> float:
    forms = "'name:severity' or 'name:lo..hi', and in a mixture '@probability' behind it"
    return read_number(text, f"operator {whole!r}", forms)
