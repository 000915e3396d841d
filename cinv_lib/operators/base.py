"""What operators share: a batch of pictures, a severity for each, and where chance comes from.

`operators` has the operators themselves, and the text forms.
"""

import hashlib
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from cinv_lib.machine.checks import number, number_text
from cinv_lib.operators.functional import Device, Rng, float64_on, uniform
from cinv_lib.operators.pictures import check_images, unfit

Images = Float[Tensor, "B C H W"]
Severities = Float[Tensor, "B ..."]  # float64, so that int(H W p) pixels is exact

NAME = re.compile(r"[a-z][a-z0-9_]*")  # a word in texts, and in names of folders
RESERVED = (  # the library's own: the paper's in `basic`, the others in `classical`
    "identity", "mask", "noise", "blur", "super_resolution", "super_resolution_bicubic",
    "box_inpainting", "compressed_sensing", "poisson", "jpeg",
)  # fmt: skip
OPERATORS: dict[str, type["Operator"]] = {}  # by name: what `parse` knows

CLASS = """
    class Rows(ci.Operator):
        name, limits = "rows", (0.0, 1.0)
        def apply(self, x, severities, generator=None):
            keep = torch.rand(len(x), 1, x.shape[2], 1, generator=generator, device=x.device)
            return x * (keep >= severities.to(x).view(-1, 1, 1, 1))
"""


@dataclass(frozen=True)
class Operator(ABC):
    """A forward operator A with a severity: a number, or a range `(lo, hi)`, uniform over it per
    image (lesson 01). Subclass it for one of your own, with a name, limits and `apply`:

        class Rows(ci.Operator):               # from here on "rows:0.3..0.7" is known, to Lab too
            name, limits = "rows", (0.0, 1.0)
            def apply(self, x, severities, generator=None):
                keep = torch.rand(len(x), 1, x.shape[2], 1, generator=generator, device=x.device)
                return x * (keep >= severities.to(x).view(-1, 1, 1, 1))

    At severity 0 it has to be the identity, and all its chance has to come from `generator`. A
    class of the same name that is defined later takes its place, as when a cell is run again. It is
    tried on two pictures when it is first used. Another process knows it by `operators.load_code`.

    name: how its text begins: lower-case letters, digits and "_".
    limits: the smallest and the largest severity. None where it has parts instead of a severity.
    noisy: whether it is random at a fixed severity. False spares evaluation its realisations.
    size: height and width of a picture that it can take, where it cannot take any.

    Raises ValueError where a severity is not finite or outside `limits`, or lo > hi; where a class
    is defined, for a name or limits that are not as above, or a name of the library's own.
    """

    severity: Any  # a number, or two, of Python's, numpy's or torch's
    name: ClassVar[str]
    limits: ClassVar[tuple[float, float] | None]
    noisy: ClassVar[bool] = True
    of_physics: ClassVar[Callable[..., "Operator"]]  # of an object of deepinv's: see `physics`
    size: ClassVar[tuple[int, int]] = (64, 64)

    def __init_subclass__(cls, **arguments):
        super().__init_subclass__(**arguments)
        if getattr(cls, "limits", ()) is not None:
            _check_class(cls)
            OPERATORS[cls.name] = cls

    def __post_init__(self):
        several = isinstance(self.severity, tuple | list) or getattr(self.severity, "ndim", 0) == 1
        given = [number(s) for s in (self.severity if several else [self.severity] * 2)]
        if len(given) != 2 or None in given:
            raise ValueError(
                f"severity of {self.name} is {self.severity!r}; expected a number, or a range "
                "(lo, hi)"
            )
        (lo, hi), (smallest, largest) = given, self.limits
        for s in (lo, hi):
            if not (smallest <= s <= largest and math.isfinite(s)):
                raise ValueError(
                    f"severity of {self.name} is {s}; expected {smallest:g} to {largest:g}, finite"
                )
        if lo > hi:
            raise ValueError(f"severity of {self.name} runs from {lo} to {hi}; expected lo <= hi")
        lo, hi = lo + 0.0, hi + 0.0  # -0 becomes 0: equal operators compare equal, texts too
        object.__setattr__(self, "severity", lo if lo == hi else (lo, hi))

    def __call__(self, x: Tensor, generator: Rng = None) -> Float[Tensor, "B 3 H W"]:
        """Corrupt RGB images in [0,1]. Noise is not clipped, so the result may leave [0,1].

        Raises ValueError where x is not float, not `(B, 3, H, W)`, or not in [0,1]; where a class
        of your own returns another shape, type or device, NaN, infinities or grey levels.
        """
        _check(self, x, generator)
        return applied(self, x, generator)

    @abstractmethod
    def apply(self, x: Images, severities: Severities, generator: Rng = None) -> Images:
        """Corrupt at these severities. Equal generators give equal corruptions."""

    def draw(self, n: int, generator: Rng = None, device: Device = "cpu") -> Severities:
        """The severities of n images, on `float64_on(device)`."""
        lo, hi = self.bounds
        if lo == hi:
            return torch.full((n,), lo, dtype=torch.float64, device=float64_on(device))
        return lo + (hi - lo) * uniform((n,), generator, device)

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest severity."""
        return self.severity if isinstance(self.severity, tuple) else (self.severity,) * 2

    @property
    def is_random(self) -> bool:
        """Whether two calls can differ; where not, one realisation says everything."""
        lo, hi = self.bounds
        return lo < hi or (self.noisy and hi > 0)

    def at(self, severity: Any) -> "Operator":
        """The same operator at another severity, or range of them."""
        if self.severity is None:
            raise ValueError(
                f"{self} has no single severity to set to {severity}; change its parts"
            )
        return replace(self, severity=severity)

    def __str__(self) -> str:
        return f"{self.name}:" + "..".join(number_text(s) for s in sorted(set(self.bounds)))


def _check_class(cls: type[Operator]) -> None:
    """Raise ValueError unless a class that is being defined has a name and limits to be used by."""
    name, limits = getattr(cls, "name", None), getattr(cls, "limits", None)
    numbers = isinstance(limits, tuple | list) and all(isinstance(end, Real) for end in limits)
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        says = f"name {name!r}; expected lower-case letters, digits and '_', by which texts name it"
    elif name in RESERVED and not _of_the_library(cls):
        says = f"name {name!r}, which is an operator of the library; give it a name of its own"
    elif not (numbers and len(limits) == 2 and limits[0] <= limits[1]):
        says = f"limits {limits!r}; expected the smallest and the largest severity"
    else:
        return
    raise ValueError(f"class {cls.__name__} has the {says}, as in{CLASS}")


def _of_the_library(cls: type) -> bool:
    return cls.__module__.startswith("cinv_lib.")


def applied(op: Operator, x: Images, generator: Rng = None) -> Images:
    """`op.apply` at severities that are drawn now; x is not looked at.

    Pictures on a Mac's GPU are corrupted on the CPU, and come back: what an operator computes in
    float64 is not possible there, and no generator of that GPU is asked, so that the draws are
    those of any CPU.
    """
    here = float64_on(x.device)
    y = op.apply(x.to(here), op.draw(len(x), generator, here), generator)
    return y if here == x.device else y.to(x.device)


def one_by_one(op: Operator, x: Images, generators: Iterable[Generator]) -> Images:
    """As `op(x, generator)`, each picture by a generator of its own: what becomes of a picture does
    not depend on those beside it. Raises ValueError as that does."""
    _check(op, x)
    rows = zip(x.split(1), generators, strict=True)
    return torch.cat([applied(op, row, own) for row, own in rows])


def _check(op: Operator, x: Any, generator: Rng = None) -> None:
    check_images(x)
    for part in getattr(op, "parts", (op,)):
        check_own(part, x, generator)


def check_own(op: Operator, x: Images, generator: Rng = None) -> None:
    """Try an operator from outside the library on two pictures like these, once for each class,
    device and type. Raise ValueError where what it returns cannot be used."""
    device = float64_on(x.device)
    cls, kind = type(op), (device.type, x.dtype)
    if cls.name in RESERVED or kind in vars(cls).get("_tried", ()):
        return
    two = torch.linspace(0, 1, 2 * x[0].numel(), dtype=x.dtype, device=device)
    two = two.view(2, *x.shape[1:])

    def made() -> Any:
        own = Generator(generator.device if generator else device).manual_seed(0)
        return op.apply(given, op.draw(2, own, device), own)

    with torch.no_grad():
        given = two.clone()
        y = made()
        says = "changes the pictures that it is given; expected a new tensor: x.clone(), x * ..."
        if torch.equal(given, two):
            says = unfit(y, two, hasattr(op, "physics"))
        if not says and not torch.equal(y, made()):
            says = (
                "returns two results for equal generators; expected all chance to come from "
                "`generator`: torch.rand(..., generator=generator, device=x.device)"
            )
    if says:
        raise ValueError(f"{op} ({cls.__name__}.apply) {says}")
    cls._tried = {*vars(cls).get("_tried", ()), kind}


def described(op: Operator) -> str | list[str]:
    """The operator in a description: its text; of one that is defined outside the library, whose
    definition may change, also a fingerprint: what it does to one picture with one generator, at
    eight severities of a range."""
    parts = getattr(op, "parts", (op,))
    if all(part.name in RESERVED for part in parts):
        return str(op)
    height, width = next(part.size for part in parts if part.name not in RESERVED)
    picture = torch.linspace(0, 1, 3 * height * width, device="cpu").view(1, 3, height, width)
    several = 8 if any(part.bounds[0] < part.bounds[1] for part in parts) else 1
    made = op(picture.expand(several, -1, -1, -1), Generator().manual_seed(0)).contiguous()
    return [str(op), hashlib.sha256(made.numpy().tobytes()).hexdigest()[:16]]
