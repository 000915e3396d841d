"""Operators of deepinv's physics (`pip install deepinv`), and of any object that is used like them:
`physics(x, **keywords)` measures, `A_dagger(y)` and `A_adjoint(y)` go back, `clone()` copies.

`Operator.of_physics` is `of_physics` here. Three examples, with numbers for two pictures of 64
pixels whose mean is 0.50; what comes back need not lie in [0,1]:

    noise = Operator.of_physics(Denoising(GaussianNoise()), severity="sigma").at((0.1, 0.3))
        a sigma a picture; at 0.1 values run from -0.26 to 1.36, as `noise:0.1` would. Where the
        keyword needs another shape, `make=lambda s, seed: {"l": 1 / s.view(-1, 1, 1, 1)}`
    small = Operator.of_physics(Downsampling(img_size=(3, 64, 64), filter="bicubic", factor=4))
        back by the pseudo-inverse, 0.01 to 1.02 with mean 0.50. The adjoint is 1/16 as bright: 0.03
    scan = Operator.of_physics(Tomography(angles=30, img_width=64))
        back by the pseudo-inverse, 0.00 to 1.03, in 0.1 s a picture. A function of your own,
        `back=lambda y, physics: ...`, is as good: a few steps of a solver, a network of deepinv's

An operator's text is its name and severity ("physics_denoising:0.1..0.3"): a lab understands it,
and finds its results by what it does to one picture. A picture of severity 0 is left as it is.

Chance comes from our generator: one number of it seeds every generator in the physics, and torch's
own for as long as it measures, since some noise of deepinv's knows no other.
"""

import copy
import math
import re
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from cinv_lib.operators.base import OPERATORS, Images, Operator, Rng, Severities

Keywords = Callable[[Tensor, int], dict[str, Any]]
Back = Callable[..., Tensor]
BLACK = 1e-6  # what a black pixel is measured as: models of speckle refuse 0


class Physics(Operator):
    """A(x): measured by `physics`, and shown as a picture again by `back`. Each has a subclass."""

    limits = None
    physics: ClassVar[Any]
    keywords: ClassVar[Keywords]
    back: ClassVar[Back]

    def apply(self, x: Images, severities: Severities, generator: Rng = None) -> Images:
        device = generator.device if generator else "cpu"
        seed = int(torch.randint(2**31, (), generator=generator, device=device))
        rows = severities.nonzero()[:, 0]
        y = x.clone()
        if len(rows):
            here = rows.to(x.device)
            some = severities[rows.to(severities.device)].to(x.device, torch.float32)
            y[here] = self._measured(x[here].float().clamp(min=BLACK), some, seed).to(x.dtype)
        return y

    @torch.no_grad()
    def _measured(self, x: Tensor, severities: Tensor, seed: int) -> Tensor:
        physics = self.physics.to(x.device)
        devices = [] if x.device.type == "cpu" else [x.device]
        with torch.random.fork_rng(devices, device_type="cuda" if not devices else x.device.type):
            torch.manual_seed(seed)
            for k, module in enumerate(physics.modules()):
                if isinstance(getattr(module, "rng", None), Generator):  # each a stream of its own
                    module.rng = Generator(x.device).manual_seed(seed + 1 + k)
            keywords = type(self).keywords(severities, seed)
            y = physics(x, **keywords)
            shown = type(self).back(y, physics, keywords)
        if not isinstance(shown, Tensor) or shown.is_complex() or shown.shape != x.shape:
            kind = (
                f"{shown.dtype} of shape {tuple(shown.shape)}" if isinstance(shown, Tensor) else ""
            )
            raise ValueError(
                f"what comes back is {kind or type(shown).__name__}; expected real numbers of "
                f"shape {tuple(x.shape)}: give `back`, a function of y and the physics"
            )
        return shown


def of_physics(
    physics: Any,
    severity: str | None = None,
    make: Keywords | None = None,
    back: str | Callable[[Tensor, Any], Tensor] = "dagger",
    name: str | None = None,
    size: tuple[int, int] | None = None,
) -> Operator:
    """An operator of an object of deepinv's physics: y = A(x) and its noise, and back to a
    picture. `operators.physics` says how it is made, with three examples.

    Args:
        physics: a clone of it is used; in float32, without gradients.
        severity: the keyword of `physics(x, ...)` that takes a number a picture, as "sigma".
            The operator is made at severity 1; `.at(0.1)` or `.at((0.1, 0.3))` is another.
        make: instead, a function of the severities (B,) and a seed, which returns keywords.
            Without either the strength is fixed, and the severity 1.
        back: the pseudo-inverse "dagger", the "adjoint", or a function of y and the physics.
        name: how its text begins; "physics_blur" for a Blur, if not said.
        size: height and width of the pictures; else the physics' own, or 64 by 64.

    Raises ValueError where two pictures, tried now, come back complex, in another shape, with
    NaN or infinities, or not at all.
    """
    kind = type(physics).__name__
    if severity is not None and make is not None:
        raise ValueError(
            f"severity is {severity!r} and make is given too; expected one of them: what `make` "
            "returns is all that the physics is handed"
        )
    if name is None:
        name = "physics_" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind).lower()
    given = severity is None and make is None
    body = {
        "__module__": type(physics).__module__,  # not the library's
        "__doc__": f"A(x) of deepinv's {kind}.",
        "name": name,
        "limits": (1.0, 1.0) if given else (0.0, math.inf),
        "size": size or _size(physics),
        "physics": physics.clone() if hasattr(physics, "clone") else copy.deepcopy(physics),
        "keywords": staticmethod(make or (lambda s, seed: {severity: s} if severity else {})),
        "back": staticmethod(_way_back(physics, back)),
    }
    before = OPERATORS.get(name)
    cls: Any = type(kind, (Physics,), body)
    op, shape = cls(1.0), (2, 3, *cls.size)
    two = torch.linspace(0, 1, 2 * 3 * math.prod(cls.size), device="cpu").view(shape)
    try:
        first, other = (op(two, Generator().manual_seed(seed)) for seed in (0, 1))
    except Exception as error:
        OPERATORS.pop(name)
        if before:
            OPERATORS[name] = before
        raise ValueError(
            f"{kind} was tried on two pictures of shape {shape}, and does not fit: {error} "
            "(`size` is for pictures of another height and width)"
        ) from error
    cls.noisy = not torch.equal(first, other)
    return op


def _way_back(physics: Any, back: object) -> Back:
    """From y, the physics and its keywords to a picture."""
    if callable(back):
        return lambda y, physics, keywords: back(y, physics)
    method = {"dagger": "A_dagger", "adjoint": "A_adjoint"}.get(str(back))
    if method is None:
        raise ValueError(
            f"back is {back!r}; expected 'dagger', 'adjoint', or a function of y and A"
        )
    if not hasattr(physics, method):
        raise ValueError(
            f"{type(physics).__name__} has no {method}; expected `back`, a function of y and the "
            "physics that makes a picture"
        )
    return lambda y, physics, keywords: getattr(physics, method)(y, **keywords)


def _size(physics: Any) -> tuple[int, int]:
    """Height and width of the pictures that a physics was made for, where it says."""
    if getattr(physics, "img_size", None) is not None:
        height, width = tuple(physics.img_size)[-2:]
    else:
        height = width = getattr(physics, "img_width", None) or Operator.size[0]
    return int(height), int(width)


# `base` knows no operator, so what makes one of a physics is handed to it here.
Operator.of_physics = staticmethod(of_physics)  # type: ignore[method-assign, assignment]
