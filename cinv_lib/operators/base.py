"""What operators share: a batch of pictures, a severity for each, and where chance comes from.

`operators` has the operators themselves, and the text forms.
"""

import hashlib
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from cinv_lib.operators import functional

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
        return lo + (hi - lo) * functional.uniform((n,), generator, device)

    def __str__(self) -> str:
        return f"{self.name}:" + "..".join(number_text(s) for s in sorted(set(self.bounds)))


def number_text(number: float) -> str:
    """The shortest text of a number that reads back as the same: 0.9, 9, 1e300."""
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


def described(op: Operator) -> str | list[str]:
    """The operator in a description: its text; of one that is defined outside the library, whose
    definition may change, also a fingerprint: what it does to one picture with one generator."""
    parts = getattr(op, "parts", (op,))
    if all(type(part).__module__.startswith("cinv_lib.") for part in parts):
        return str(op)
    picture = torch.linspace(0, 1, 3 * 64 * 64).view(1, 3, 64, 64)
    made = op(picture, Generator().manual_seed(0)).contiguous()
    return [str(op), hashlib.sha256(made.numpy().tobytes()).hexdigest()[:16]]
