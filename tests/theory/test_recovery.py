"""Lesson 04's theory: energies on the sphere, free optima, named teachers, figures and the panel.

Oracles: closed forms, autograd, scipy, brute force on the circle, and the numbers that an
independent computation found (hundreds of restarts, Newton-polished).
"""

import math
import re

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from cinv_lib import losses, plots
from cinv_lib.plots import panels
from cinv_lib.plots.panels import sphere
from cinv_lib.theory import configurations, energies, recovery

TAUS = (0.1, 0.5, 2.0)

every_term = pytest.mark.parametrize("which", ["U", "E"])
every_tau = pytest.mark.parametrize("tau", TAUS)


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def points(N, d, seed=0):
    return energies.random_points(1, N, d, draw(seed))[0]


def loss_of(S, R_i, R, tau, weight=1.0):
    """F_i, as Appendix B writes it."""
    return -(S @ R_i) + weight * tau * (S @ R.T / tau).logsumexp(dim=-1)


# -- U and E -----------------------------------------------------------------------------------
@every_tau
def test_energies_of_the_simplex_have_a_closed_form(tau):
    for d in (1, 2, 5):
        row = math.log(math.exp(1 / tau) + d * math.exp(-1 / d / tau))
        R = configurations.simplex(d)
        assert energies.uniformity_sum(R, tau).item() == pytest.approx((d + 1) * row)
        assert energies.energy(R, tau).item() == pytest.approx(math.log(d + 1) + row)


@every_tau
def test_U_is_N_times_the_teachers_own_uniformity(tau):
    R = points(7, 4)
    expected = 7 * losses.uniformity(R, R, tau)
    torch.testing.assert_close(energies.uniformity_sum(R, tau), expected)


@every_term
@every_tau
def test_gradient_is_autograds_along_the_sphere(which, tau):
    R = energies.random_points(3, 6, 4, draw()).requires_grad_()
    (full,) = torch.autograd.grad(energies.TERMS[which](R, tau).sum(), R)
    R = R.detach()
    along = full - (full * R).sum(-1, keepdim=True) * R
    torch.testing.assert_close(energies.gradient(which, R, tau), along)


@given(st.integers(2, 8), st.integers(2, 5), st.floats(0.05, 3), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_rotations_and_another_order_change_nothing(N, d, tau, seed):
    R = points(N, d, seed)
    turn = torch.linalg.qr(torch.randn(d, d, generator=draw(seed), dtype=torch.float64)).Q
    order = torch.randperm(N, generator=draw(seed))
    other = (R @ turn)[order]
    for term in energies.TERMS.values():
        torch.testing.assert_close(term(other, tau), term(R, tau))
    across = recovery.sideways(R, tau)[order]
    torch.testing.assert_close(recovery.sideways(other, tau), across, atol=1e-12, rtol=0)


@pytest.mark.parametrize("tau", [0.0, -1.0, float("inf"), float("nan")])
def test_a_wrong_tau_is_said_so(tau):
    R = points(3, 3)
    for function in (
        energies.uniformity_sum,
        energies.energy,
        recovery.sideways,
        recovery.free_optima,
        recovery.angle_bound,
    ):
        with pytest.raises(ValueError, match=r"tau is .*; expected a finite number above 0"):
            function(R, tau)


# -- minimisers --------------------------------------------------------------------------------
@every_term
@pytest.mark.parametrize("d", [2, 3, 6])
def test_up_to_d_plus_1_points_the_simplex_is_best(which, d):
    """Proven: Jensen's inequality."""
    for N in (2, d + 1):
        R = energies.minimise(which, N, d, 0.3, draw(), restarts=8)
        cosines = (R @ R.T)[~torch.eye(N, dtype=torch.bool)]
        torch.testing.assert_close(cosines, torch.full_like(cosines, -1 / (N - 1)))


@every_term
@pytest.mark.parametrize(("N", "tau"), [(7, 0.2), (9, 0.5), (11, 0.2)])
def test_minimum_is_the_one_that_scipy_finds(which, N, tau):
    ours = energies.minimise(which, N, 3, tau, draw())
    assert energies.gradient(which, ours, tau).norm() < 1e-10
    torch.testing.assert_close(ours.norm(dim=1), torch.ones(N, dtype=torch.float64))

    def value(flat):
        x = torch.tensor(flat).reshape(N, 3).requires_grad_()
        total = energies.TERMS[which](F.normalize(x, dim=1), tau)
        return total.item(), torch.autograd.grad(total, x)[0].numpy().ravel()

    rng = np.random.default_rng(0)
    found = [
        optimize.minimize(value, rng.normal(size=3 * N), jac=True, method="L-BFGS-B", tol=1e-13).fun
        for _ in range(8)
    ]
    assert energies.TERMS[which](ours, tau).item() == pytest.approx(min(found), abs=1e-8)


def test_minimise_depends_on_its_generator_only():
    first, again = (energies.minimise("U", 5, 3, 0.5, draw(1), restarts=4) for _ in "ab")
    assert torch.equal(first, again)
    assert not torch.equal(first, energies.minimise("U", 5, 3, 0.5, draw(2), restarts=4))


def test_what_cannot_be_minimised_is_said_so():
    with pytest.raises(ValueError, match="unknown term 'V'; expected 'U' or 'E'"):
        energies.minimise("V", 4, 3, 0.5, draw())
    for N, d, restarts in ((1, 3, 4), (4, 1, 4), (4, 3, 0)):
        with pytest.raises(ValueError, match=f"{N} points in {d} dimensions, {restarts} restarts"):
            energies.minimise("U", N, d, 0.5, draw(), restarts)
    with pytest.raises(RuntimeError, match=r"E at tau = 0.1, N = 40: the last of 10 Newton steps"):
        energies.polish("E", points(40, 3), 0.1)


# Found before this library was written: N, tau, |sum of R|, largest angle in degrees.
FOUND = [
    (4, 0.1, 0, 0),
    (5, 0.1, 0.504, 9.4e-5),
    (5, 0.5, 0, 0),
    (6, 0.2, 0, 0),
    (7, 0.1, 0.265, 6e-4),
    (7, 0.2, 0.027, 0.066),
    (7, 0.5, 0, 0),
    (7, 1.0, 0.006, 0.027),
    (8, 0.2, 0, 0),
    (9, 0.1, 0, 0.003),
    (9, 0.2, 0, 0.061),
    (9, 0.5, 0, 0.056),
    (9, 1.0, 0, 0.009),
    (10, 0.1, 0.212, 0.005),
    (10, 0.2, 0, 0.089),
    (10, 0.5, 0, 0.045),
    (11, 0.2, 0.018, 0.168),
    (11, 0.5, 0.037, 0.113),
    (12, 0.1, 0, 0),
    (13, 0.2, 0.035, 0.160),
    (13, 0.5, 0.019, 0.044),
]


@pytest.mark.parametrize(("N", "tau", "total", "angle"), FOUND)
def test_minimisers_of_U_are_recovered_only_nearly(N, tau, total, angle):
    R = energies.minimise("U", N, 3, tau, draw())
    assert R.sum(0).norm().item() == pytest.approx(total, abs=6e-4)
    digits = 0.06 * angle if 0 < angle < 1e-3 else 6e-4  # as many as were written down
    largest = recovery.recovery_angles(R, tau).max().item()
    assert largest == pytest.approx(angle, abs=digits if angle else 1e-6)


@pytest.mark.parametrize(("N", "tau"), [(7, 0.2), (9, 0.5), (10, 0.2), (11, 0.2), (13, 0.5)])
def test_minimisers_of_E_are_recovered_exactly(N, tau):
    R = energies.minimise("E", N, 3, tau, draw())
    assert recovery.recovery_angles(R, tau).max() < 1e-7
    if (N, tau) == (11, 0.2):
        assert R.sum(0).norm() > 0.03, "and their sum need not be zero"


def test_on_the_circle_minimisers_of_U_are_recovered():
    for N in range(3, 9):
        R = energies.minimise("U", N, 2, 0.3, draw(), restarts=16)
        assert recovery.recovery_angles(R, 0.3).max() < 1e-7


# -- the nine points ---------------------------------------------------------------------------
def test_the_heights_of_nine_points():
    h_U, h_E = (
        energies.best_height(which, configurations.tricapped_prism, 0.5, 0.5, 0.9) for which in "UE"
    )
    assert f"{h_U:.9f}" == "0.700113801" and f"{h_E:.8f}" == "0.70097383"
    sets = configurations.tricapped_prism(torch.tensor([h_U, h_E], dtype=torch.float64))
    assert sets.sum(1).abs().max() < 1e-12
    at_U, at_E = recovery.recovery_angles(sets, 0.5).amax(1).tolist()
    assert f"{at_U:.4f}" == "0.0555" and at_E < 1e-9
    whole = energies.minimise("U", 9, 3, 0.5, draw())
    expected = energies.uniformity_sum(whole, 0.5)
    torch.testing.assert_close(energies.uniformity_sum(sets[0], 0.5), expected)


@every_term
def test_slope_in_height_is_the_difference_quotient(which):
    family, h, step = configurations.tricapped_prism, torch.tensor([0.5, 0.8]).double(), 1e-5
    up, down = (energies.TERMS[which](family(h + s), 0.5) for s in (step, -step))
    slope = energies.slope_in_height(which, family, 0.5, h)
    torch.testing.assert_close(slope, (up - down) / (2 * step), atol=1e-7, rtol=0)
    assert slope[0] < 0 < slope[1]


@pytest.mark.parametrize(("low", "high"), [(0.8, 0.9), (0.5, 0.6), (0.9, 0.5)])
def test_best_height_wants_a_minimum_between(low, high):
    with pytest.raises(ValueError, match=f"no minimum between heights {low} and {high}"):
        energies.best_height("U", configurations.tricapped_prism, 0.5, low, high)


# -- free optima -------------------------------------------------------------------------------
@pytest.mark.parametrize("weight", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_free_optima_are_the_best_of_a_fine_circle(tau, weight):
    R = points(5, 2, seed=3)
    around = torch.linspace(0, 2 * math.pi, 20001, dtype=torch.float64)
    circle = torch.stack([around.cos(), around.sin()], dim=1)
    S = recovery.free_optima(R, tau, weight)
    for i in range(5):
        best = circle[loss_of(circle, R[i], R, tau, weight).argmin()]
        assert recovery.angles(S[i][None], best[None]).item() < 0.03
        ours = loss_of(S[i], R[i], R, tau, weight)
        assert ours <= loss_of(best, R[i], R, tau, weight) + 1e-14


def test_free_optima_are_scipys_in_more_dimensions():
    """Without j = i, as F_i is too flat for a general method where τ is small."""
    R, tau = points(12, 5), 0.15
    S = recovery.free_optima(R, tau)
    for i in (0, 7):
        others = R[torch.arange(12) != i]

        def value(flat, i=i, others=others):
            x = torch.tensor(flat).requires_grad_()
            total = loss_of(F.normalize(x, dim=0), R[i], others, tau)
            return total.item(), torch.autograd.grad(total, x)[0].numpy()

        starts = np.random.default_rng(i).normal(size=(4, 5))
        found = [optimize.minimize(value, s, jac=True, method="BFGS", tol=1e-12) for s in starts]
        best = min(found, key=lambda one: one.fun)
        expected = F.normalize(torch.tensor(best.x), dim=0)
        torch.testing.assert_close(S[i], expected, atol=1e-6, rtol=0)


@given(st.integers(2, 10), st.integers(2, 6), st.floats(0.03, 3), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_free_optima_solve_their_equation_within_the_bound(N, d, tau, seed):
    R = points(N, d, seed)
    S = recovery.free_optima(R, tau)
    others = (S @ R.T / tau).fill_diagonal_(-torch.inf).softmax(1)
    torch.testing.assert_close(S, F.normalize(R - others @ R, dim=1), atol=1e-10, rtol=0)
    assert (recovery.angles(S, R) <= recovery.angle_bound(R, tau) + 1e-9).all()


def test_batches_are_many_sets():
    sets = energies.random_points(3, 6, 4, draw())
    many = recovery.recovery_angles(sets, 0.2)
    for R, angles in zip(sets, many, strict=True):
        torch.testing.assert_close(recovery.recovery_angles(R, 0.2), angles, atol=1e-8, rtol=0)
    one = torch.stack([recovery.sideways(R, 0.2) for R in sets])
    torch.testing.assert_close(recovery.sideways(sets, 0.2), one)


def test_as_tau_falls_the_optimum_has_the_widest_margin():
    R = points(4, 2, seed=1)
    around = torch.linspace(0, 2 * math.pi, 20001, dtype=torch.float64)
    circle = torch.stack([around.cos(), around.sin()], dim=1)
    S = recovery.free_optima(R, 0.005)
    for i in range(4):
        others = R[torch.arange(4) != i]
        widest = circle[(circle @ (R[i] - others).T).amin(1).argmax()]
        assert recovery.angles(S[i][None], widest[None]).item() < 2


def test_angles_are_exact_for_small_ones():
    theta = torch.tensor([1e-9, 1e-4, 1.0, math.pi], dtype=torch.float64)
    S = torch.stack([theta.cos(), theta.sin()], dim=1)
    R = torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(4, 2)
    torch.testing.assert_close(recovery.angles(S, R), torch.rad2deg(theta), rtol=1e-7, atol=0)


@pytest.mark.parametrize("weight", [-0.1, 1.1])
def test_a_wrong_weight_is_said_so(weight):
    with pytest.raises(ValueError, match=f"weight of the logarithm is {weight}; expected 0 to 1"):
        recovery.free_optima(points(3, 3), 0.5, weight)


def test_adding_a_vector_to_all_teachers_is_invisible_to_the_loss():
    """And it is the loss's own function, up to tau N."""
    R, S = energies.random_points(2, 6, 4, draw())
    tau, shift = 0.2, torch.randn(4, generator=draw(1), dtype=torch.float64)
    alone = torch.stack([loss_of(S[i], R[i], R, tau) for i in range(6)])
    moved = torch.stack([loss_of(S[i], R[i] + shift, R + shift, tau) for i in range(6)])
    torch.testing.assert_close(alone, moved)
    torch.testing.assert_close(alone.sum() / (tau * 6), losses.contrastive(S, R, tau))


# -- the theorem -------------------------------------------------------------------------------
@every_tau
def test_recovery_is_perfect_where_nothing_is_pushed_across(tau):
    """The three conditions hold together for some teachers, and fail together for others."""
    good = [
        configurations.simplex(2),
        configurations.simplex(5),
        configurations.orthoplex(3),
        configurations.icosahedron(),
        configurations.bipyramid(3),
        configurations.bipyramid(5),
    ]
    bad = [configurations.antiprism(4, 0.5), configurations.tricapped_prism(0.6), points(6, 3)]
    for R, perfect in [(R, True) for R in good] + [(R, False) for R in bad]:
        across = recovery.sideways(R, tau).max().item()
        slope = energies.gradient("E", R, tau).norm().item()
        angle = recovery.recovery_angles(R, tau).max().item()
        assert (across < 1e-12, slope < 1e-12, angle < 1e-8) == (perfect,) * 3


def test_the_square_antiprism_is_a_near_miss():
    """All its points are alike, and yet."""
    R = configurations.antiprism(4, 0.5)
    Z = (R @ R.T / 0.5).exp().sum(1)
    assert Z.std() < 1e-12
    assert recovery.recovery_angles(R, 0.5).max().item() == pytest.approx(4.3556, abs=1e-3)


def test_step_b_fails_at_the_square():
    R, S = configurations.orthoplex(2), torch.tensor([0.8, 0.6], dtype=torch.float64)
    delta = 1 - S @ R[0]
    moved = (R @ (R[0] - S)).abs().max()
    assert moved.item() == pytest.approx(3 / 5) and delta.item() == pytest.approx(1 / 5)
    assert delta < moved <= (2 * delta).sqrt()


# -- named points and teachers -----------------------------------------------------------------
def test_polyhedra_have_their_angles():
    def cosines(R):
        assert torch.allclose(R.norm(dim=1), torch.ones(len(R), dtype=torch.float64))
        found = (R @ R.T)[~torch.eye(len(R), dtype=torch.bool)]
        return sorted({round(c, 6) + 0.0 for c in found.tolist()})

    assert cosines(configurations.simplex(3)) == [round(-1 / 3, 6)]
    assert cosines(configurations.orthoplex(3)) == [-1, 0]
    near = round(1 / math.sqrt(5), 6)
    assert cosines(configurations.icosahedron()) == [-1, -near, near]
    assert cosines(configurations.antiprism(3, 1 / math.sqrt(3))) == [-1, 0]
    assert len(configurations.bipyramid(5)) == 7
    for family, N in ((configurations.tricapped_prism, 9), (sphere.FAMILIES[SQUARE], 8)):
        sets = family(torch.tensor([0.4, 0.7], dtype=torch.float64))
        assert sets.shape == (2, N, 3)
        assert torch.equal(sets[1], family(0.7))
        assert len(cosines(sets[0])) > 2


def test_heights_and_numbers_that_cannot_be():
    with pytest.raises(ValueError, match=r"height \[1.5\]; expected -1 to 1"):
        configurations.tricapped_prism(1.5)
    with pytest.raises(ValueError, match="1 points on the equator; expected 2 or more"):
        configurations.bipyramid(1)
    with pytest.raises(ValueError, match="0 dimensions; expected 1 or more"):
        configurations.simplex(0)
    with pytest.raises(ValueError, match="unknown teacher 'cones'; known are random, classes"):
        configurations.teacher("cones", draw())


@pytest.mark.parametrize(("rho", "N"), [(0.5, 64), (0.0, 5), (-0.2, 4), (0.9, 2)])
def test_the_equiangular_formula_is_exact_at_every_tau(rho, N):
    R = configurations.equiangular(rho, N)
    cosines = (R @ R.T)[~torch.eye(N, dtype=torch.bool)]
    torch.testing.assert_close(cosines, torch.full_like(cosines, rho))
    for tau in (0.05, 0.5):
        angles = recovery.recovery_angles(R, tau)
        expected = torch.full_like(angles, recovery.equiangular_angle(rho, N))
        torch.testing.assert_close(angles, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("rho", "N"), [(1.0, 4), (-0.5, 3), (0.0, 1)])
def test_equiangular_sets_that_do_not_exist(rho, N):
    for function in (configurations.equiangular, recovery.equiangular_angle):
        with pytest.raises(ValueError, match=f"{N} vectors with cosine {rho}; expected"):
            function(rho, N)


# Mean angles in degrees at tau .05, .1, .2, 1, from another draw of the same teachers.
BIASES = {
    "random": (4.8, 3.9, 3.7, 3.6),
    "classes": (37.4, 25.2, 10.5, 6.2),
    "cone": (45.3, 45.2, 45.2, 45.2),
    "cone of classes": (48.7, 45.9, 45.2, 45.2),
}


@pytest.mark.parametrize("kind", BIASES)
def test_biases_of_synthetic_teachers(kind):
    R = configurations.teacher(kind, draw())
    assert R.shape == (256, 512)
    shared = 0.5 if "cone" in kind else 0.0
    assert ((R @ R.T).sum() / 256**2).item() == pytest.approx(shared, abs=0.03)
    for tau, expected in zip((0.05, 0.1, 0.2, 1.0), BIASES[kind], strict=True):
        # the number of pictures that share a class differs from draw to draw
        found = recovery.recovery_angles(R, tau).mean().item()
        assert found == pytest.approx(expected, abs=1.0 if "classes" in kind else 0.4)


def test_what_takes_the_bias_away():
    cone, random = (configurations.teacher(kind, draw()) for kind in ("cone", "random"))
    found = recovery.recovery_angles(losses.centred(cone), 0.1).mean().item()
    assert found == pytest.approx(1.6, abs=0.1)
    for R, expected in ((cone, 10.1), (random, 0.05)):
        found = recovery.recovery_angles(R, 0.1, weight=0.5).mean().item()
        assert found == pytest.approx(expected, rel=0.05)
    assert recovery.recovery_angles(cone, 0.1, weight=0.0).max() == 0, "alignment alone"


# -- figures -----------------------------------------------------------------------------------
def test_bars_show_the_table():
    rows = [
        {"N": N, "tau": tau, "term": term, "sum": N * tau, "angle": N * tau + (term == "U")}
        for N in (4, 5)
        for tau in (0.2, 0.5)
        for term in ("U", "E")
    ]
    fig = plots.recovery_bars(pd.DataFrame(rows))
    heights = [[bar.get_height() for bar in ax.patches] for ax in fig.axes]
    assert [ax.get_title() for ax in fig.axes[:2]] == ["τ = 0.2", "τ = 0.5"]
    assert heights[1] == [2.0, 2.5, 2.0, 2.5]
    assert heights[3] == [3.0, 3.5, 2.0, 2.5]
    assert fig.axes[0].patches[2].get_hatch() and not fig.axes[0].patches[0].get_hatch()
    assert title(fig).endswith("3.50° at minimisers of U and 2.50° at minimisers of E")


def title(fig):
    return " ".join(fig.get_suptitle().split())


def test_curves_show_what_they_are_given_and_titles_say_it():
    fig = plots.bias_curves((0.1, 1.0), {"a": [3.0, 4.0]}, {"exact": 2.0}, tau=1.0)
    assert title(fig) == "Mean angle at τ = 1: a 4°"
    curve, level = fig.axes[0].lines
    assert list(curve.get_ydata()) == [3, 4] and list(level.get_ydata()) == [2, 2]
    fig = plots.height_curve([0.1, 0.2], [5.0, 6.0], {"U is least": 0.15})
    assert title(fig) == "Largest angle: 5.50° where U is least"
    curve, mark = fig.axes[0].lines
    assert list(curve.get_ydata()) == [5, 6] and list(mark.get_xdata()) == [0.15, 0.15]
    fig = plots.remedy_bars(pd.DataFrame({"old": [1.0, 2.0], "new": [0.0, 1.0]}, ["a", "b"]))
    assert [bar.get_height() for bar in fig.axes[0].patches] == [1, 2, 0, 1]
    assert title(fig) == "b: 2° (old), 1° (new)"
    deltas = torch.linspace(0, 1, 5).double()
    R, S = configurations.orthoplex(2), torch.tensor([0.8, 0.6]).double()
    fig = plots.circle_and_bounds(R, S, 0, deltas, {"line": deltas}, (0.2, 0.6))
    assert title(fig) == "The square reaches 0.60. Allowed are 0.20 by line"
    assert {text.get_text() for text in fig.axes[0].texts} >= {"S", "R1", "R2", "R3", "R4"}
    assert np.array_equal(fig.axes[1].lines[0].get_ydata(), deltas)
    assert fig.axes[1].collections[0].get_offsets().tolist() == [[0.2, 0.6]]
    counts = {"cat": torch.tensor([1.0, 2.0, 8.0]), "hand": torch.tensor([1.0, 5.0, 8.0])}
    fig = plots.counted_curves(torch.tensor([0.01, 0.1, 10.0]), counts, 8, 0.1)
    assert title(fig) == "Of 8 teachers 2 to 5 count at τ = 0.1 and 8 at τ = 10"
    assert fig.axes[0].get_xscale() == "log" and len(fig.axes[0].lines) == 2


# -- the panel ---------------------------------------------------------------------------------
PRISM, SQUARE, OCTAHEDRON = sphere.FAMILIES


def shown_angle(text):
    return float(re.search(r"optimum is ([\d.]+) degrees", text)[1])


@pytest.mark.parametrize("family", sphere.FAMILIES)
def test_the_angle_grows_with_the_distance_from_Es_height_to_both_ends(family):
    _, h_E = sphere.minima(family, 0.5)
    for end in (sphere.LOW, sphere.HIGH):
        heights = torch.linspace(h_E, end, 5).tolist()
        shown = [panels.render_sphere(family, "by hand", h, 0.5) for h in heights]
        angles = [shown_angle(text) for _, text in shown]
        assert angles[0] < 1e-3 and angles == sorted(angles) and len(set(angles)) == 5
        pictures = {picture.tobytes() for picture, _ in shown}
        assert len(pictures) == 5 and {picture.size for picture, _ in shown} == {(608, 300)}
        R = sphere.FAMILIES[family](end)
        expected = recovery.recovery_angles(R, 0.5).max().item()
        assert angles[-1] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_the_named_heights_are_the_minima(tau):
    _, at_U = panels.render_sphere(PRISM, "least U", 0.5, tau)
    _, at_E = panels.render_sphere(PRISM, "least E", 0.5, tau)
    assert shown_angle(at_U) > 0.002 and shown_angle(at_E) == 0
    assert "|sum of R| = 0.000" in at_U
    _, at_E = panels.render_sphere(OCTAHEDRON, "least E", 0.5, tau)
    assert "h = 0.5774" in at_E and "U is least at h = 0.5774, E at h = 0.5774" in at_E


def test_deviations_are_drawn_as_many_times_as_large():
    R, S = points(2, 3)
    for times in (1, 2, 300):
        path = sphere._arc(R.numpy(), S.numpy(), times)
        assert np.allclose(np.linalg.norm(path, axis=1), 1) and np.allclose(path[0], R)
        angle = recovery.angles(torch.tensor(path[-1])[None], R[None]).item()
        apart = recovery.angles(S[None], R[None]).item()
        assert angle == pytest.approx(min(90, times * apart))
    near, far = (panels.render_sphere(PRISM, "least U", 0.5, 0.5, t)[0] for t in (1, 300))
    assert near.tobytes() != far.tobytes()


def test_a_turn_moves_the_picture_and_not_the_numbers():
    views = [panels.render_sphere(SQUARE, "by hand", 0.5, 0.5, 5, turn) for turn in (20, 50, 380)]
    assert len({text for _, text in views}) == 1
    assert views[0][0].tobytes() != views[1][0].tobytes()
    assert np.abs(np.subtract(views[0][0], views[2][0], dtype=int)).max() <= 1


@pytest.mark.parametrize("turn", [0.0, 1.0, 4.0])
def test_the_view_is_a_rotation(turn):
    view = sphere._view(turn)
    assert np.allclose(view @ view.T, np.eye(3)) and np.linalg.det(view) == pytest.approx(1)


def test_an_unknown_family_or_height_is_said_so():
    for family, height in (("cube", "by hand"), (PRISM, "least")):
        with pytest.raises(ValueError, match=f"family '{family}', height '{height}'; expected"):
            panels.render_sphere(family, height, 0.5, 0.5)


def test_sphere_panel_says_something_else_at_every_move():
    panel = panels.sphere_panel()
    moves = [("tau", tau) for tau in np.linspace(0.1, 1, 10).round(2).tolist()]
    moves += [("h", h) for h in np.linspace(0.4, 0.85, 10).tolist()] + [("turn", 90), ("times", 9)]
    texts = set()
    for name, value in moves:
        panel.controls[name].value = value
        texts.add(panel.text)
    assert len(texts) > 18
