"""Two ways to spread N unit vectors, U and E, and the teachers that minimise them (lesson 04).

    U(R) = Σ_i log Σ_j exp(<R_i, R_j>/τ)        the uniformity term of Proposition 1
    E(R) = log Σ_i Σ_j exp(<R_i, R_j>/τ)        Wang and Isola's: one logarithm outside both sums

R is `(N, d)`, with a unit vector in each row, or several such sets, `(..., N, d)`, in float64:
lesson 04 shows effects as small as 1e-3 degrees. τ > 0 and the energies have no unit.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

PointSets = Float[Tensor, "*batch N d"]
Family = Callable[[Float[Tensor, "*batch"]], PointSets]


def scaled_cosines(R: PointSets, tau: float) -> Float[Tensor, "*batch N N"]:
    """<R_i, R_j>/τ. Raises ValueError where tau is not a finite number above 0."""
    if not 0 < tau < float("inf"):
        raise ValueError(f"temperature tau is {tau}; expected a finite number above 0")
    return R @ R.mT / tau


def uniformity_sum(R: PointSets, tau: float) -> Float[Tensor, "*batch"]:
    """U(R) = Σ_i log Σ_j exp(<R_i, R_j>/τ), the term of Proposition 1. j = i counts."""
    return scaled_cosines(R, tau).logsumexp(dim=-1).sum(dim=-1)


def energy(R: PointSets, tau: float) -> Float[Tensor, "*batch"]:
    """E(R) = log Σ_i Σ_j exp(<R_i, R_j>/τ), the uniformity of Wang and Isola (2020)."""
    return scaled_cosines(R, tau).logsumexp(dim=(-2, -1))


TERMS = {"U": uniformity_sum, "E": energy}


def gradient(which: str, R: PointSets, tau: float) -> PointSets:
    """The gradient of "U" or "E" along the spheres: P_k of row k of (W + Wᵀ) R / τ.

    P_k = I - R_k R_kᵀ takes out what is along R_k. The two differ in W alone. For U every row of W
    is a softmax, and W is not symmetric. For E the whole matrix is one softmax, and it is.
    """
    _check(which)
    K = scaled_cosines(R, tau)
    W = (K - K.logsumexp(dim=-1 if which == "U" else (-2, -1), keepdim=True)).exp()
    G = (W + W.mT) @ R / tau
    return G - (G * R).sum(dim=-1, keepdim=True) * R


def minimise(
    which: str, N: int, d: int, tau: float, generator: torch.Generator, restarts: int = 64
) -> Float[Tensor, "N d"]:
    """N points in d dimensions that minimise "U" or "E": the best of several random starts.

    All starts descend together, as one batch, and the best is polished until it is stationary to
    rounding. That no other set is better is likely where there are many restarts; it is no proof.

    Args:
        which: "U" or "E".
        N: how many points.
        d: of how many dimensions.
        restarts: how many random starts.

    Raises:
        ValueError: which is neither, N or d is below 2, restarts below 1, or tau not above 0.
        RuntimeError: the best start has not come near a stationary set.
    """
    _check(which)
    if N < 2 or d < 2 or restarts < 1:
        raise ValueError(
            f"{N} points in {d} dimensions, {restarts} restarts; expected 2, 2 and 1 or more"
        )
    R = descend(which, random_points(restarts, N, d, generator), tau)
    return polish(which, R[TERMS[which](R, tau).argmin()], tau)


def random_points(
    sets: int, N: int, d: int, generator: torch.Generator
) -> Float[Tensor, "sets N d"]:
    """Independent points, each uniform on the unit sphere in d dimensions, float64."""
    return F.normalize(
        torch.randn(sets, N, d, generator=generator, dtype=torch.float64, device="cpu"), dim=-1
    )


def descend(which: str, R: PointSets, tau: float, steps: int = 800) -> PointSets:
    """Gradient descent on a product of spheres. Every set has a step of its own, the one that its
    last move suggests (Barzilai and Borwein), and moves by less than 1 at a time."""
    slope = gradient(which, R, tau)
    step = torch.full_like(R[..., :1, :1], tau / 4)
    for _ in range(steps):
        limit = 1 / slope.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-300)
        moved = F.normalize(R - step.minimum(limit) * slope, dim=-1)
        dx, before = moved - R, slope
        R, slope = moved, gradient(which, moved, tau)
        if dx.abs().max() < 1e-13:
            break
        step = barzilai_borwein(dx, slope - before, (-2, -1))
    return R


def polish(which: str, R: Float[Tensor, "N d"], tau: float) -> Float[Tensor, "N d"]:
    """Newton steps from a set that is nearly stationary to one that is to rounding.

    Raises:
        RuntimeError: ten steps do not suffice, so that it was not near one.
    """
    _check(which)
    for _ in range(10):
        # An orthonormal basis that begins with R_k; its other d - 1 vectors are tangential.
        tangents = torch.linalg.svd(R[:, :, None]).U[:, :, 1:]

        def around(y: Tensor, R: Tensor = R, tangents: Tensor = tangents) -> Tensor:
            return F.normalize(R + (tangents @ y[..., None])[..., 0], dim=-1)

        zero = R.new_zeros(tangents.shape[0], tangents.shape[2])
        hessian = torch.autograd.functional.hessian(lambda y: TERMS[which](around(y), tau), zero)
        slope = (tangents.mT @ gradient(which, R, tau)[..., None]).flatten()
        # Rotations of the whole set have no curvature; the pseudo-inverse leaves them alone.
        inverse = torch.linalg.pinv(hessian.reshape(2 * [zero.numel()]), rtol=1e-8, hermitian=True)
        step = -(inverse @ slope).reshape(zero.shape)
        R = around(step)
        if step.norm() < 1e-8:
            return R
    raise RuntimeError(
        f"{which} at tau = {tau}, N = {len(R)}: the last of 10 Newton steps is {step.norm():.1e} "
        "long, expected below 1e-8; start nearer, or give more restarts"
    )


def best_height(which: str, family: Family, tau: float, low: float, high: float) -> float:
    """The height h, between two, at which a family of sets has its least "U" or "E".

    The derivative in h must change sign once between `low` and `high`. Each round narrows its root
    down by a factor of 32.

    Args:
        which: "U" or "E".
        family: heights to sets of points, as `configurations.tricapped_prism`.

    Raises:
        ValueError: the derivative is not below 0 at `low` and above 0 at `high`.
    """
    for _ in range(10):
        heights = torch.linspace(low, high, 33, dtype=torch.float64, device="cpu")
        rising = slope_in_height(which, family, tau, heights) > 0
        first = int(rising.double().argmax())
        if rising[0] or not rising[-1]:
            break
        low, high = heights[first - 1].item(), heights[first].item()
    else:
        return (low + high) / 2
    raise ValueError(
        f"{which} has no minimum between heights {low} and {high}; expected that it falls at the "
        "first and rises at the second"
    )


def slope_in_height(
    which: str, family: Family, tau: float, heights: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch"]:
    """dU/dh or dE/dh of a family of sets at each height."""
    _check(which)
    h = heights.detach().requires_grad_()
    return torch.autograd.grad(TERMS[which](family(h), tau).sum(), h)[0]


def barzilai_borwein(dx: Tensor, dg: Tensor, dims: int | tuple[int, ...]) -> Tensor:
    """The step |dx|²/|<dx, dg>|: one over the curvature that the last move dx has met."""
    met = (dx * dg).sum(dims, keepdim=True).abs().clamp_min(1e-300)
    return (dx * dx).sum(dims, keepdim=True) / met


def _check(which: str) -> None:
    if which not in TERMS:
        raise ValueError(f"unknown term {which!r}; expected 'U' or 'E'")
