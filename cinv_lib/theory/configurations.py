"""Sets of points on a sphere that have names: polyhedra in three dimensions, and synthetic teachers
in many (lesson 04).

All are float64 with rows of length one. The polyhedra have the z axis as their axis.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cinv_lib.theory.energies import random_points

Height = Float[Tensor, "*batch"] | float
POLES = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]], dtype=torch.float64, device="cpu")
TEACHERS = ("random", "classes", "cone", "cone of classes")


def simplex(d: int) -> Float[Tensor, "N d"]:
    """d + 1 points in d dimensions, all cosines -1/d: segment, triangle, tetrahedron, ..."""
    _at_least(d, 1, "dimensions")
    corners = torch.eye(d + 1, dtype=torch.float64, device="cpu")
    across = torch.linalg.svd(corners - 1 / (d + 1)).Vh[:d]  # a basis of what sums to zero
    return F.normalize(corners @ across.T, dim=1)


def orthoplex(d: int) -> Float[Tensor, "N d"]:
    """The 2d points ±e_k: square, octahedron, ..."""
    _at_least(d, 1, "dimensions")
    axes = torch.eye(d, dtype=torch.float64, device="cpu")
    return torch.cat([axes, -axes])


def icosahedron() -> Float[Tensor, "12 3"]:
    """Two poles and two rings of five at heights ±1/√5."""
    return torch.cat([antiprism(5, 1 / math.sqrt(5)), POLES])


def bipyramid(n: int) -> Float[Tensor, "N 3"]:
    """n points around the equator and two poles."""
    _at_least(n, 2, "points on the equator")
    return torch.cat([ring(n, 0.0), POLES])


def antiprism(n: int, h: Height) -> Float[Tensor, "*batch N 3"]:
    """Two rings of n points at heights h and -h, the lower one turned by half a place.

    n = 3 is an octahedron at h = 1/√3; n = 4 is the square antiprism. A tensor of heights gives one
    set for each.
    """
    return torch.cat([ring(n, h), ring(n, -h, turn=0.5)], dim=-2)


def tricapped_prism(h: Height) -> Float[Tensor, "*batch 9 3"]:
    """Nine points: a triangle at height h, the same at -h, between them three on the equator."""
    return torch.cat([ring(3, h), ring(3, -h), ring(3, 0.0 * h, turn=0.5)], dim=-2)


def ring(n: int, h: Height, turn: float = 0.0) -> Float[Tensor, "*batch n 3"]:
    """n points at even distances at height h, turned by `turn` places.

    Raises:
        ValueError: fewer than one point, or a height outside [-1, 1].
    """
    _at_least(n, 1, "points in a ring")
    h = torch.as_tensor(h, dtype=torch.float64, device="cpu")[..., None]
    if (h.abs() > 1).any():
        raise ValueError(f"height {h.flatten().tolist()}; expected -1 to 1, on the unit sphere")
    around = 2 * math.pi * (torch.arange(n, dtype=torch.float64, device="cpu") + turn) / n
    radius = (1 - h**2).sqrt()
    return torch.stack(
        [radius * around.cos(), radius * around.sin(), h.expand(*h.shape[:-1], n)], dim=-1
    )


def teacher(
    kind: str, generator: torch.Generator, N: int = 256, d: int = 512
) -> Float[Tensor, "N d"]:
    """A synthetic teacher's embeddings of N pictures, by one of the names in TEACHERS (lesson 04).

    Args:
        kind: "random" embeddings are independent and uniform. "classes" have 100 random centres:
            the cosine of two pictures is .8 within a class and 0 between classes. In a "cone" all
            cosines are .5, by a common direction. In a "cone of classes" they are .8 within a class
            and .5 between. Cosines are these on average, and a single one is near.

    Raises:
        ValueError: unknown kind.
    """
    if kind not in TEACHERS:
        raise ValueError(f"unknown teacher {kind!r}; known are {', '.join(TEACHERS)}")
    shared = 0.5 if kind.startswith("cone") else 0.0
    within = 0.8 if kind.endswith("classes") else shared
    own = random_points(1, N, d, generator)[0]
    labels = torch.randint(100, (N,), generator=generator, device="cpu")
    common, centres = (random_points(1, n, d, generator)[0] for n in (1, 100))
    shares = [math.sqrt(share) for share in (shared, within - shared, 1 - within)]
    return F.normalize(shares[0] * common + shares[1] * centres[labels] + shares[2] * own, dim=1)


def equiangular(rho: float, N: int) -> Float[Tensor, "N N"]:
    """N independent unit vectors in N dimensions, the cosine of any two exactly rho.

    Raises:
        ValueError: there is no such set: N < 2 or rho not in (-1/(N - 1), 1).
    """
    if N < 2 or not -1 / (N - 1) < rho < 1:
        raise ValueError(f"{N} vectors with cosine {rho}; expected N >= 2 and -1/(N-1) < rho < 1")
    gram = torch.full((N, N), rho, dtype=torch.float64, device="cpu").fill_diagonal_(1.0)
    return torch.linalg.cholesky(gram)


def _at_least(number: int, least: int, what: str) -> None:
    if number < least:
        raise ValueError(f"{number} {what}; expected {least} or more")
