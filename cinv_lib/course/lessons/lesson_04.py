"""Exercises of lesson 04: when recovery is possible."""

import math

import torch
import torch.nn.functional as F

from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong
from cinv_lib.theory import energies, recovery


def teachers(generator: torch.Generator) -> list[Case]:
    """Unit vectors, some of them nearly a cone, with a temperature each."""
    cases = []
    for N, d, tau, lean in ((3, 2, 0.5, 0.0), (5, 3, 0.2, 0.5), (9, 4, 1.5, 1.0)):
        points = torch.randn(N, d, generator=generator, dtype=torch.float64)
        points[:, 0] += lean
        cases.append(Case(f"N = {N}, d = {d}, tau = {tau}", (F.normalize(points, dim=1), tau)))
    return cases


# -- 4.1 ---------------------------------------------------------------------------------------
def my_bound(delta):
    return math.sqrt(2 * delta)


def deltas(generator: torch.Generator) -> list[Case]:
    """Losses of cosine from small to the largest."""
    drawn = 0.1 + 0.8 * torch.rand(1, generator=generator).item()
    return [Case(f"delta = {delta:.3g}", (delta,)) for delta in (0.005, 0.2, drawn, 2.0)]


BOUND = Exercise(
    id="4.1",
    title="how far an inner product can move",
    minutes=6,
    difficulty=1,
    stub="""
    def my_bound(delta):
        # <S, R_i> = 1 - delta. The least number that <R_i - S, v> cannot exceed, for any unit v.
        return TODO
    """,
    reference=lambda delta: (2 * delta) ** 0.5,
    cases=deltas,
    wrong=(
        Wrong(
            lambda delta: delta,
            "that is the appendix's bound. It is right only for v = R_i. But S may also move sideways, "
            "by much more than its cosine falls.",
        ),
        Wrong(
            lambda delta: 2 * delta,
            "2 delta is |R_i - S|² = 2 - 2<S, R_i>; the length itself is the square root of that.",
        ),
        Wrong(
            lambda delta: delta**0.5,
            "you dropped the factor 2: |R_i - S|² is |R_i|² + |S|² - 2<S, R_i> = 2 - 2(1 - delta).",
        ),
        Wrong(
            lambda delta: max(0.0, 2 * delta - delta**2) ** 0.5,
            "that is the sine of the angle, the largest value for a v perpendicular to R_i (3/5 "
            "for the square). A v in the direction of R_i - S gives a larger value.",
        ),
        Wrong(
            lambda delta: math.acos(1 - delta),
            "that is the length of the arc from S to R_i. The bound is the length of the chord.",
        ),
    ),
    alternative=lambda delta: 2 * math.sin(math.acos(1 - delta) / 2),
    hints=(
        "Cauchy and Schwarz say that <a, v> <= |a| for every unit vector v. When are the two equal?",
        "So the answer is the length |R_i - S|. Square this length, and multiply out.",
        "|R_i - S|² = 1 + 1 - 2<S, R_i> = 2 - 2(1 - delta).",
    ),
    solution=my_bound,
    why="For small delta the root is much larger than delta. A cosine falls with the square of the "
    "angle, but an inner product with another vector moves with the angle itself. The common wrong turn "
    "is the one of the appendix: to look only along R_i.",
)


# -- 4.2 ---------------------------------------------------------------------------------------
def my_energy(R, tau):
    return torch.log(torch.exp(R @ R.T / tau).sum())


def _off_diagonal(R, tau):
    return (R @ R.T / tau).masked_fill(torch.eye(len(R), dtype=torch.bool), -torch.inf)


ENERGY = Exercise(
    id="4.2",
    title="Wang and Isola's energy",
    minutes=5,
    difficulty=1,
    stub="""
    def my_energy(R, tau):
        # R: (N, d), rows of length 1. E: one logarithm, of the sum over all pairs, i = j as well.
        return TODO
    """,
    reference=energies.energy,
    cases=teachers,
    wrong=(
        Wrong(
            energies.uniformity_sum,
            "this is U: you took a logarithm for each i and then the sum. E sums first, over i and j.",
        ),
        Wrong(
            lambda R, tau: (R @ R.T / tau).exp().sum(),
            "the logarithm is missing. The minimisers are the same, but the number is not.",
        ),
        Wrong(
            lambda R, tau: (R @ R.T / tau).exp().mean().log(),
            "you took the mean over pairs; the sum is larger by a factor N².",
        ),
        Wrong(
            lambda R, tau: _off_diagonal(R, tau).logsumexp((0, 1)),
            "you left i = j out. On the sphere these N terms are constant, so the minimisers do not "
            "change, but the value does.",
        ),
        Wrong(
            lambda R, tau: (R @ R.T).exp().sum().log(),
            "tau is missing: the cosines are divided by it.",
        ),
    ),
    alternative=lambda R, tau: (R @ R.T / tau).flatten().logsumexp(0),
    hints=(
        "First compute all cosines, an (N, N) matrix: it is one matrix product.",
        "Divide each cosine by tau, take its exponential, and sum over the whole matrix.",
        "`torch.logsumexp(R @ R.T / tau, dim=(0, 1))` does it without overflow.",
    ),
    solution=my_energy,
    why="Only the order of logarithm and sum makes the difference between E and U, and between "
    "perfect recovery and a small error. The common wrong turn is `logsumexp(1).sum()`, which is "
    "what Proposition 1 prints.",
)


# -- 4.3 ---------------------------------------------------------------------------------------
def my_sideways(R, tau):
    w = torch.softmax(R @ R.T / tau, dim=1)
    m = w @ R
    c = (m * R).sum(dim=1, keepdim=True)
    return (m - c * R).norm(dim=1)


def _across(m, R):
    return (m - (m * R).sum(1, keepdim=True) * R).norm(dim=1)


SIDEWAYS = Exercise(
    id="4.3",
    title="the condition for perfect recovery",
    minutes=10,
    difficulty=2,
    stub="""
    def my_sideways(R, tau):
        # w_ij = softmax over j of <R_i, R_j>/tau, m_i = sum_j w_ij R_j.
        # For each i the length of the part of m_i that is perpendicular to R_i: (N,) numbers.
        return TODO
    """,
    reference=recovery.sideways,
    cases=teachers,
    wrong=(
        Wrong(
            lambda R, tau: ((R @ R.T / tau).softmax(1) @ R).norm(dim=1),
            "that is |m_i|, with its part along R_i. That part does no harm: S_i lives on the sphere "
            "and cannot move along R_i.",
        ),
        Wrong(
            lambda R, tau: ((R @ R.T / tau).softmax(1) @ R - R).norm(dim=1),
            "that is |m_i - R_i|, the whole gradient of F_i at R_i. On the sphere only its part across "
            "R_i counts.",
        ),
        Wrong(
            lambda R, tau: _across((R @ R.T / tau).softmax(0) @ R, R),
            "the softmax runs over i (dim 0). The rows of w sum to one: `dim=1`.",
        ),
        Wrong(
            lambda R, tau: _across(_off_diagonal(R, tau).softmax(1) @ R, R),
            "you left j = i out of the softmax. Your number is zero for the same teachers, but the "
            "theorem's w_ij include j = i, and so they are smaller.",
        ),
        Wrong(
            lambda R, tau: _across((R @ R.T).softmax(1) @ R, R),
            "tau is missing in the softmax.",
        ),
        Wrong(
            lambda R, tau: _across((R @ R.T / tau).exp() @ R, R),
            "the weights are not divided by their sum Z_i.",
        ),
    ),
    alternative=lambda R, tau: torch.stack(
        [
            ((torch.eye(R.shape[1], dtype=R.dtype) - torch.outer(r, r)) @ (w @ R)).norm()
            for r, w in zip(R, (R @ R.T / tau).softmax(1), strict=True)
        ]
    ),
    hints=(
        "There are three steps: the weights w (N, N), the means m (N, d), and the part of m_i across R_i.",
        "`torch.softmax(R @ R.T / tau, dim=1) @ R` is m. Its part along R_i is c_i R_i with "
        "c_i = <m_i, R_i>.",
        "`(m - (m * R).sum(dim=1, keepdim=True) * R).norm(dim=1)`.",
    ),
    solution=my_sideways,
    why="The gradient of F_i at R_i is m_i - R_i, and the sphere lets S_i move across R_i only. If "
    "the push of all others has no part across R_i, the student stays at R_i. The common wrong turn "
    "is to ask that m_i or the sum of all R_j is zero: that is neither necessary nor enough.",
)


# -- 4.4 ---------------------------------------------------------------------------------------
def my_equiangular_angle(rho, N):
    return math.degrees(math.acos(math.sqrt((1 - rho) * (1 - 1 / N))))


def cones(generator: torch.Generator) -> list[Case]:
    """Cosines and numbers of vectors for which such a set exists."""
    drawn = 0.2 + 0.6 * torch.rand(1, generator=generator).item()
    pairs = ((0.0, 2), (0.5, 4), (drawn, 16), (-0.1, 8))
    return [Case(f"rho = {rho:.3g}, N = {N}", (rho, N)) for rho, N in pairs]


def _from_cosine(cosine):
    return math.degrees(math.acos(min(1.0, cosine)))


EQUIANGULAR = Exercise(
    id="4.4",
    title="the bias of a cone, with a pencil",
    minutes=20,
    difficulty=3,
    stub="""
    def my_equiangular_angle(rho, N):
        # N linearly independent unit vectors, every cosine rho. By symmetry S*_i = a R_i + b M with
        # M the mean of the other N - 1. Which S* is it? Its angle to R_i in degrees; no tau.
        return TODO
    """,
    reference=recovery.equiangular_angle,
    cases=cones,
    wrong=(
        Wrong(
            lambda rho, N: (
                math.degrees(math.acos(math.sqrt((1 - rho) * (1 - 1 / N)))) * math.pi / 180
            ),
            "the angle is in radians; degrees are asked for.",
        ),
        Wrong(
            lambda rho, N: _from_cosine(math.sqrt(1 - max(0.0, rho))),
            "that is the limit of many vectors. For N vectors the cosine has a factor sqrt(1 - 1/N).",
        ),
        Wrong(
            lambda rho, N: _from_cosine((1 - rho) * (1 - 1 / N)),
            "the square root is missing: you have <R_i - M, R_i> = 1 - rho or a similar number, "
            "but you have not divided it by the length of R_i - M.",
        ),
        Wrong(
            lambda rho, N: math.degrees(math.asin(math.sqrt((1 - rho) * (1 - 1 / N)))),
            "cosine and sine are exchanged: at rho = 0 and large N the student is near R_i, not "
            "perpendicular to it.",
        ),
        Wrong(
            lambda rho, N: math.degrees(math.acos(math.sqrt((1 - rho) * (1 - 1 / (N + 1))))),
            "the number of vectors is wrong: M is the mean of N - 1 vectors, and together with R_i "
            "there are N.",
        ),
    ),
    alternative=lambda rho, N: math.degrees(
        math.atan2(math.sqrt(1 / N + rho - rho / N), math.sqrt((1 - rho) * (1 - 1 / N)))
    ),
    hints=(
        "S*_i points along R_i - m, where m is the mean of the others weighted by exp(<S, R_j>/tau). "
        "All others look the same from S*_i, so the weights are equal: m = M, whatever tau.",
        "The cosine is <R_i - M, R_i>/|R_i - M|. The numerator is 1 - rho. For the length you need "
        "|M|² = (1 + (N - 2) rho)/(N - 1).",
        "|R_i - M|² = 1 - 2 rho + |M|² = (1 - rho) N/(N - 1). Divide, and take the arc cosine in degrees.",
    ),
    solution=my_equiangular_angle,
    why="The student goes in the direction R_i - M, in which R_i differs from the rest. The axis "
    "of the cone, which all vectors share, is subtracted, since it is the same for all of them. "
    "The common wrong turn is to expect that a small tau makes this angle small: tau is not in "
    "the formula.",
)


# -- 4.5 ---------------------------------------------------------------------------------------
def my_angle_bound(R, tau):
    m = torch.softmax(R @ R.T / tau, dim=1) @ R
    c = (m * R).sum(dim=1)
    across = (m - c[:, None] * R).norm(dim=1)
    return torch.rad2deg(2 * torch.atan(across / (1 - c)))


def _parts(R, tau):
    """|P_i m_i| and c_i."""
    m = (R @ R.T / tau).softmax(dim=1) @ R
    return _across(m, R), (m * R).sum(dim=1)


def _tangent(R, tau, make):
    return torch.rad2deg(make(*_parts(R, tau)))


ANGLE_BOUND = Exercise(
    id="4.5",
    title="how far at most, without looking for the optimum",
    minutes=25,
    difficulty=3,
    stub="""
    def my_angle_bound(R, tau):
        # R: (N, d), rows of length 1. F_i lies above its tangent plane at R_i, and S*_i has no
        # larger F_i than R_i has. So the angle from R_i to S*_i is at most ... degrees: (N,).
        # It takes c_i = <m_i, R_i> and |P_i m_i| of exercise 4.3, and nothing else.
        return TODO
    """,
    reference=recovery.angle_bound,
    cases=teachers,
    wrong=(
        Wrong(
            lambda R, tau: _tangent(R, tau, lambda p, c: torch.atan(p / (1 - c))),
            "that is half of the angle: (1 - cos θ)/sin θ is tan(θ/2), not tan θ.",
        ),
        Wrong(
            lambda R, tau: 2 * torch.atan(my_sideways(R, tau) / (1 - _parts(R, tau)[1])),
            "that is in radians; degrees are asked for.",
        ),
        Wrong(
            lambda R, tau: _tangent(R, tau, lambda p, c: 2 * torch.atan(p)),
            "1 - c_i is missing. The part of the gradient along R_i holds S_i back, and it holds "
            "S_i back more strongly if c_i is smaller.",
        ),
        Wrong(
            lambda R, tau: _tangent(R, tau, lambda p, c: 2 * torch.atan(p / c.abs())),
            "you divided by c_i. The gradient at R_i is m_i - R_i; its part along R_i is c_i - 1.",
        ),
        Wrong(
            lambda R, tau: _tangent(
                R, tau, lambda p, c: 2 * torch.atan((p**2 + c**2).sqrt() / (1 - c))
            ),
            "you took |m_i|. Its part along R_i is already in c_i; across R_i only |P_i m_i| "
            "is left.",
        ),
        Wrong(
            lambda R, tau: _tangent(R, tau, lambda p, c: 2 * torch.atan((1 - c) / p)),
            "numerator and denominator are exchanged: where P_i m_i is 0 the angle has to be 0.",
        ),
        Wrong(
            lambda R, tau: _tangent(
                R, tau, lambda p, c: torch.acos((1 - p / (1 - c)).clamp(-1, 1))
            ),
            "you dropped sin θ: perpendicular to R_i, the point S_i moves by sin θ only. With sin "
            "θ, the inequality says that 1 - cos θ is at most sin θ |P_i m_i|/(1 - c_i).",
        ),
    ),
    alternative=lambda R, tau: _tangent(
        R, tau, lambda p, c: torch.acos(((1 - c) ** 2 - p**2) / ((1 - c) ** 2 + p**2))
    ),
    hints=(
        "Write down the value of the tangent plane at R_i, at the point S = S*_i. F_i(S*_i) <= "
        "F_i(R_i) then leaves one inequality: <m_i - R_i, S*_i - R_i> <= 0.",
        "Put S*_i = cos θ R_i + sin θ e with a unit vector e across R_i, and m_i = c_i R_i + P_i m_i. "
        "The inequality becomes (1 - c_i)(1 - cos θ) <= -sin θ <P_i m_i, e>, and <P_i m_i, e> is "
        "at least -|P_i m_i|.",
        "(1 - cos θ)/sin θ = tan(θ/2), so θ is at most 2 arctan(|P_i m_i|/(1 - c_i)).",
    ),
    solution=my_angle_bound,
    why="Two facts are enough: a convex function lies above its tangent plane, and an optimum is no "
    "worse than R_i. Nobody has to find the optimum. The common wrong turn is to drop sin θ, which "
    "gives a bound of the order of the root of |P_i m_i|: true, but far weaker near 0.",
)

EXERCISES = (BOUND, ENERGY, SIDEWAYS, EQUIANGULAR, ANGLE_BOUND)

PREDICTIONS = (
    Prediction(
        "4.A",
        "Nine points on the sphere minimise the uniformity term U, and their sum is exactly zero, as "
        "the proof wants it. Does the contrastive loss then have its minimum exactly at them?",
        options=("yes", "no"),
    ),
    Prediction(
        "4.B",
        "A teacher has 256 embeddings, and any two of them have cosine 0.5. What is the angle "
        "between the best S and R at tau = 0.1, in degrees, on average?",
        tolerance=5.0,
        digits=0,
    ),
)
