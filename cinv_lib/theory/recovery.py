"""Where the contrastive loss leads a student that can do anything, and how far that is from R.

A student without limits chooses each S_i freely on the sphere. Its part of the loss is then

    F_i(S) = -<S, R_i> + weight · τ log Σ_j exp(<S, R_j>/τ)             (Appendix B: weight 1)

and recovery is perfect where R_i minimises F_i. That is so exactly where m_i = Σ_j w_ij R_j has no
part across R_i, w_ij = softmax_j(<R_i, R_j>/τ). The theorem of lesson 04 says so. It corrects
Proposition 1.

R is `(N, d)`, with a unit vector in each row, not all of them the same, or several such sets,
`(..., N, d)`.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from cinv_lib.theory.energies import PointSets, barzilai_borwein, scaled_cosines

STEPS = 1000
ARRIVED = 1e-11  # distance of S from the point that the fixed-point equation sends it to


def sideways(R: PointSets, tau: float) -> Float[Tensor, "*batch N"]:
    """|P_i m_i|, the part of m_i across R_i: zero for every i is perfect recovery, and only that.

    Raises ValueError where tau is not a finite number above 0, as all functions here do.
    """
    m = scaled_cosines(R, tau).softmax(dim=-1) @ R
    return (m - (m * R).sum(dim=-1, keepdim=True) * R).norm(dim=-1)


def free_optima(R: PointSets, tau: float, weight: float = 1.0) -> PointSets:
    """S*_i, the one minimiser of F_i on the sphere, for each i.

    It is where S points along R_i - weight · m_i(S), with m_i(S) = Σ_j softmax_j(<S, R_j>/τ) R_j. A
    step goes towards that direction; its length is the one that the last step suggests, or shorter
    where that would raise F_i.

    Args:
        weight: of the logarithm, at most 1. At 1, j = i is left out of m_i: this changes neither
            the direction nor the minimiser, and keeps small τ from underflow.

    Raises:
        ValueError: tau is not above 0, or the weight not between 0 and 1.
        RuntimeError: it did not arrive (tau is too small for this R).
    """
    scaled_cosines(R[..., :1, :], tau)  # refuses a wrong tau
    if not 0 <= weight <= 1:
        raise ValueError(f"weight of the logarithm is {weight}; expected 0 to 1")
    itself = _itself(R) if weight == 1 else None

    def look(S: Tensor) -> tuple[Tensor, Tensor]:
        """F_i at S (at weight 1 its increasing function G_i), and the way to where S should be."""
        K = S @ R.mT / tau
        K = K if itself is None else K.masked_fill(itself, -torch.inf)
        value = weight * tau * K.logsumexp(dim=-1, keepdim=True) - (S * R).sum(-1, keepdim=True)
        return value, F.normalize(R - weight * K.softmax(dim=-1) @ R, dim=-1) - S

    S, step = R, torch.full_like(R[..., :1], 0.5)
    value, way = look(S)
    for _ in range(STEPS):
        if way.norm(dim=-1).max() < ARRIVED:
            return S
        tried = F.normalize(S + step * way, dim=-1)
        tried_value, tried_way = look(tried)
        lower = tried_value <= value + 1e-13  # as much as rounding
        suggested = barzilai_borwein(tried - S, tried_way - way, -1).clamp_max(1.0)
        step = torch.where(lower, suggested, step / 4)
        S, way = torch.where(lower, tried, S), torch.where(lower, tried_way, way)
        value = torch.where(lower, tried_value, value)
    raise RuntimeError(
        f"the optima at tau = {tau} are {way.norm(dim=-1).max():.1e} off after {STEPS} steps, "
        f"expected below {ARRIVED}; take a larger tau"
    )


def angles(S: PointSets, R: PointSets) -> Float[Tensor, "*batch N"]:
    """The angle between S_i and R_i in degrees, exact for small ones too (arccos is not)."""
    return torch.rad2deg(2 * torch.asin(((S - R).norm(dim=-1) / 2).clamp_max(1.0)))


def recovery_angles(R: PointSets, tau: float, weight: float = 1.0) -> Float[Tensor, "*batch N"]:
    """The angle in degrees between R_i and the student's optimum S*_i; 0 is perfect recovery."""
    return angles(free_optima(R, tau, weight), R)


def angle_bound(R: PointSets, tau: float) -> Float[Tensor, "*batch N"]:
    """A bound on `recovery_angles` in degrees, without an optimisation.

    tan(θ_i/2) <= |P_i m_i|/(1 - c_i), c_i = <m_i, R_i>. The ratio is the same without j = i.
    """
    K = scaled_cosines(R, tau).masked_fill(_itself(R), -torch.inf)
    m = K.softmax(dim=-1) @ R
    c = (m * R).sum(dim=-1, keepdim=True)
    return 2 * torch.rad2deg(torch.atan((m - c * R).norm(dim=-1) / (1 - c[..., 0])))


def equiangular_angle(rho: float, N: int) -> float:
    """The recovery angle in degrees of N independent vectors with all cosines rho, at every τ.

    cos θ = sqrt((1 - rho)(1 - 1/N)).

    Raises:
        ValueError: there is no such set: N < 2 or rho not in (-1/(N - 1), 1).
    """
    if N < 2 or not -1 / (N - 1) < rho < 1:
        raise ValueError(f"{N} vectors with cosine {rho}; expected N >= 2 and -1/(N-1) < rho < 1")
    return math.degrees(math.acos(math.sqrt((1 - rho) * (1 - 1 / N))))


def _itself(R: Tensor) -> Bool[Tensor, "N N"]:
    return torch.eye(R.shape[-2], dtype=torch.bool, device=R.device)
