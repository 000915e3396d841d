"""The best that any student can say in a world whose pictures are all known (lesson 16).

The world has N pictures x_j of probability p_j, and the teacher's embeddings R_j of length one. A
student sees y = A(x): noise of σ in every pixel, and perhaps a mask laid over it afterwards. Then

    π_y(j) ∝ p_j exp(-|y - x_j|²/2σ²)               the posterior, over the pixels that are shown
    m(y)   = Σ_j π_y(j) R_j                         its mean embedding
    F_y(s) = -<s, m> + τ log Σ_j p_j exp(<s, R_j>/τ)      τ times Eq. 2, for a large batch

Alignment (Eq. 1) is best at m/|m|, and the cosine that it reaches is E|m|. The contrastive loss is
best where F_y is least on the sphere. All is float64: y is `(B, n)`, R is `(N, d)`, and students S
are `(B, d)`.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from cinv_lib.theory.energies import barzilai_borwein

Weights = Float[Tensor, "B N"]  # rows sum to one
Rows = Float[Tensor, "B d"]
Teacher = Float[Tensor, "N d"]
Prior = Float[Tensor, " N"] | None  # None: all pictures are as probable
ROUNDS, ARRIVED = 100, 1e-10


@dataclass(frozen=True)
class World:
    """All pictures (values in [0, 1]), their classes and the teacher's embeddings."""

    x: Float[Tensor, "N n"]
    labels: Int64[Tensor, " N"]
    R: Teacher


def digits(components: int = 16, common: float = 0.7) -> World:
    """The 1,797 digits of scikit-learn, 8 x 8 pixels. R: their principal components at length one,
    plus a part that all share, `common` long, along the mean picture; then at length one again."""
    from sklearn.datasets import load_digits  # seconds to import, so only where it is needed

    found = load_digits()
    x = torch.as_tensor(found.data / 16, dtype=torch.float64)
    mean = x.mean(dim=0)
    axes = torch.linalg.svd(x - mean, full_matrices=False).Vh[:components]
    own = F.normalize((x - mean) @ axes.T, dim=1)
    R = F.normalize(own + common * F.normalize(axes @ mean, dim=0), dim=1)
    return World(x, torch.as_tensor(found.target, dtype=torch.int64), R)


def posterior(
    y: Float[Tensor, "B n"],
    x: Float[Tensor, "N n"],
    sigma: float,
    prior: Prior = None,
    shown: Bool[Tensor, "B n"] | None = None,
) -> Weights:
    """π_y(j) ∝ p_j exp(-|y - x_j|²/2σ²), the probability of each picture given y.

    Args:
        shown: the pixels that a mask has left; the others say nothing. None: all of them.

    Raises ValueError where sigma is not a finite number above 0.
    """
    if not 0 < sigma < float("inf"):
        raise ValueError(f"noise sigma is {sigma}; expected a finite number above 0")
    kept = torch.ones_like(y) if shown is None else shown.to(y.dtype)
    squares = kept @ (x**2).T - 2 * (kept * y) @ x.T  # |y - x_j|² without what j does not change
    return (_log(prior, x) - squares / (2 * sigma**2)).softmax(dim=1)


def pictures_held(weights: Weights) -> Float[Tensor, " B"]:
    """How many pictures a distribution holds: exp of its entropy, from 1 to N."""
    return torch.special.entr(weights).sum(dim=1).exp()


def kl(p: Weights, q: Weights) -> Float[Tensor, " B"]:
    """KL(p || q) = Σ_j p_j log(p_j/q_j), row by row; 0 only where they are the same."""
    return torch.where(p > 0, p * (p.log() - q.log()), 0.0).sum(dim=1)


def fitted(S: Rows, R: Teacher, tau: float, prior: Prior = None) -> Weights:
    """q_s(j) ∝ p_j exp(<s, R_j>/τ), the distribution over the pictures that s stands for."""
    return (_log(prior, R) + S @ R.T / tau).softmax(dim=1)


def contrastive_value(
    S: Rows, m: Rows, R: Teacher, tau: float, prior: Prior = None
) -> Float[Tensor, " B"]:
    """F_y(s) = -<s, m> + τ log Σ_j p_j exp(<s, R_j>/τ).

    F_y/τ = KL(π_y || q_s) - KL(π_y || p): the loss is least where q_s is nearest to the posterior.
    """
    return tau * (_log(prior, R) + S @ R.T / tau).logsumexp(dim=1) - (S * m).sum(dim=1)


def alignment_optimum(m: Rows) -> Rows:
    """m/|m|, the best answer to Eq. 1: <s, m> is largest there, and is |m|."""
    return F.normalize(m, dim=1)


@dataclass(frozen=True)
class Optimum:
    """Where F_y is least on the sphere: S; λ = <s, m - Σ_j q_s(j) R_j>; and the slope that is left
    along the sphere."""

    S: Rows
    multiplier: Float[Tensor, " B"]
    slope: Float[Tensor, " B"]

    @property
    def certified(self) -> Bool[Tensor, " B"]:
        """Whether S is proved to be least. F_y is convex, and with λ >= 0 a stationary s is its
        minimum on the whole ball, to which the sphere belongs: no s has less by 2 · slope."""
        return (self.multiplier >= 0) & (self.slope < 1e-8)


def contrastive_optimum(
    m: Rows,
    R: Teacher,
    tau: float,
    prior: Prior = None,
    starts: int = 0,
    generator: Generator | None = None,
) -> Optimum:
    """The s of length one at which F_y is least, for each mean m(y).

    Newton's steps along the sphere from m/|m|. Where that ends without a certificate, `starts` more
    directions are tried at random, and the one of least F_y is kept: likely the minimum, no proof.

    Raises ValueError where tau is not a finite number above 0.
    """
    if not 0 < tau < float("inf"):
        raise ValueError(f"temperature tau is {tau}; expected a finite number above 0")
    best = _descend(alignment_optimum(m), m, R, tau, prior)
    for _ in range(starts):
        open_ = ~best.certified
        if not open_.any():
            break
        drawn = torch.randn(m.shape, generator=generator, dtype=m.dtype, device=m.device)[open_]
        tried = _descend(F.normalize(drawn, dim=1), m[open_], R, tau, prior)
        old, new = (contrastive_value(s, m[open_], R, tau, prior) for s in (best.S[open_], tried.S))
        lower = torch.zeros_like(open_).masked_scatter(open_, new < old)
        for name in ("S", "multiplier", "slope"):
            getattr(best, name)[lower] = getattr(tried, name)[new < old]
    return best


def batch_optimum(
    weights: Weights, R: Teacher, tau: float, size: int, batches: int, generator: Generator
) -> Rows:
    """Where the expected loss (Eq. 2) of batches of a finite size is least on the sphere, for
    pictures that are all as probable: the mean over drawn batches in place of F_y's sum."""
    own = torch.multinomial(weights, batches, replacement=True, generator=generator)
    others = torch.randint(len(R), (batches, size - 1), generator=generator, device=R.device)
    drawn = R[torch.cat([own[..., None], others.expand(len(weights), -1, -1)], dim=2)]
    m, S = weights @ R, alignment_optimum(weights @ R)
    before, step = None, torch.full_like(m[:, :1], tau)
    for _ in range(40):
        within = (torch.einsum("bd,bkjd->bkj", S, drawn) / tau).softmax(dim=2)
        uphill = torch.einsum("bkj,bkjd->bd", within, drawn) / batches - m
        uphill = uphill - (uphill * S).sum(dim=1, keepdim=True) * S
        if before is not None:
            step = barzilai_borwein(S - before[0], uphill - before[1], 1).clamp_max(1.0)
        before = S, uphill
        S = F.normalize(S - step * uphill, dim=1)
    return S


def best_top1(weights: Weights, labels: Int64[Tensor, " N"]) -> Float[Tensor, ""]:
    """E max_c Σ_{j in c} π_y(j): how often the best guess of the class is right."""
    classes = weights.new_zeros(len(weights), int(labels.max()) + 1)
    return classes.index_add(1, labels, weights).amax(dim=1).mean()


def nearest(S: Rows, R: Teacher) -> Int64[Tensor, " B"]:
    """The picture whose R is nearest to each s."""
    return (S @ R.T).argmax(dim=1)


def split(S: Rows, best: Rows, m: Rows, R: Rows) -> dict[str, float]:
    """1 - E<S, R>, as three parts whose sum it is; R has the row of the picture behind each y.

    1 - E|m| is destroyed, E|m| - E<s*, m> is given up for what the loss asks for (s* is `best`, the
    optimum of the student's own loss), and E<s*, m> - E<S, R> is not learned.
    """
    limit, asked = m.norm(dim=1).mean().item(), (best * m).sum(dim=1).mean().item()
    reached = (S * R).sum(dim=1).mean().item()
    return {"destroyed": 1 - limit, "asked for": limit - asked, "not learned": asked - reached}


def _log(prior: Prior, x: Float[Tensor, "N k"]) -> Float[Tensor, " N"]:
    return (x.new_full((len(x),), 1 / len(x)) if prior is None else prior).log()


def _descend(S: Rows, m: Rows, R: Teacher, tau: float, prior: Prior) -> Optimum:
    """Newton along the sphere. Negative curvatures count as positive, so that every step goes down,
    and a step that would go up is cut to a third until it does not."""
    eye = torch.eye(R.shape[1], dtype=R.dtype, device=R.device)
    squares = (R[:, :, None] * R[:, None, :]).flatten(1)
    for _ in range(ROUNDS):
        q = fitted(S, R, tau, prior)
        mean = q @ R
        multiplier = (S * (m - mean)).sum(dim=1)
        along = mean - m + multiplier[:, None] * S
        slope = along.norm(dim=1)
        if slope.max() < ARRIVED:
            break
        spread = (q @ squares).view(-1, *eye.shape) - mean[:, :, None] * mean[:, None, :]
        across = eye - S[:, :, None] * S[:, None, :]
        curved, axes = torch.linalg.eigh(
            across @ spread @ across / tau + multiplier[:, None, None] * across
        )
        step = -axes @ ((axes.mT @ along[..., None]) / curved.abs().clamp_min(1e-3)[..., None])
        step = (across @ step)[..., 0]
        step = step / (2 * step.norm(dim=1, keepdim=True)).clamp_min(1)
        S = _lower(S, step, m, R, tau, prior)
    return Optimum(S, multiplier, slope)


def _lower(S: Rows, step: Rows, m: Rows, R: Teacher, tau: float, prior: Prior) -> Rows:
    before = contrastive_value(S, m, R, tau, prior) + 1e-14  # as much as rounding
    for _ in range(10):
        tried = F.normalize(S + step, dim=1)
        up = contrastive_value(tried, m, R, tau, prior) > before
        if not up.any():
            return tried
        step = torch.where(up[:, None], step / 3, step)
    return torch.where(up[:, None], S, tried)
