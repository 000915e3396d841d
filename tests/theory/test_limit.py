"""The best that any student can say: against definitions and the solver of another library."""

import doctest

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize

from cinv_lib import losses, plots
from cinv_lib.plots import limit as figures
from cinv_lib.plots import panels
from cinv_lib.theory import limit

TAU = 0.1


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(generator, *shape):
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.fixture(scope="module")
def world():
    return limit.digits()


def seen(world, sigma, count, generator):
    """Numbers of drawn pictures, and noisy views of them."""
    drawn = torch.randint(len(world.x), (count,), generator=generator)
    return drawn, world.x[drawn] + sigma * normal(generator, count, 64)


def tiny(generator, N=7, d=3, B=5):
    R, s = F.normalize(normal(generator, N, d), dim=1), F.normalize(normal(generator, B, d), dim=1)
    return R, s, normal(generator, B, N).softmax(dim=1), normal(generator, N).softmax(dim=0)


# -- the posterior -----------------------------------------------------------------------------
@pytest.mark.parametrize("masked", [False, True])
def test_the_posterior_is_bayes_rule_picture_by_picture(masked):
    generator = draw()
    x, p = torch.rand(6, 4, generator=generator).double(), normal(generator, 6).softmax(0)
    y, sigma = x[:3] + 0.4 * normal(generator, 3, 4), 0.4
    shown = torch.rand(3, 4, generator=generator) > 0.5 if masked else None
    found = limit.posterior(y, x, sigma, p, shown)
    for b in range(3):
        keep = [k for k in range(4) if shown is None or shown[b, k]]
        noise = torch.distributions.Normal(0.0, sigma)
        density = [sum(noise.log_prob(y[b, k] - x[j, k]) for k in keep) for j in range(6)]
        joint = p * torch.tensor([float(value) for value in density]).double().exp()
        torch.testing.assert_close(found[b], joint / joint.sum(), atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match=r"sigma is 0\.0; expected"):
        limit.posterior(y, x, 0.0)


def test_what_a_mask_has_taken_says_nothing(world):
    _, y = seen(world, 0.2, 4, draw())
    shown = torch.rand(y.shape, generator=draw(1)) > 0.5
    other = torch.where(shown, y, 7.0)
    first, second = (limit.posterior(v, world.x, 0.2, shown=shown) for v in (y, other))
    torch.testing.assert_close(first, second)


def test_pictures_held():
    weights = torch.tensor([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4]).double()
    assert limit.pictures_held(weights).tolist() == pytest.approx([1, 2, 4])


# -- the contrastive loss ----------------------------------------------------------------------
@pytest.mark.parametrize("uniform", [True, False])
def test_the_loss_is_a_difference_of_divergences(uniform):
    for seed in range(10):
        R, s, pi, p = tiny(draw(seed))
        prior = None if uniform else p
        everywhere = (torch.full_like(p, 1 / len(p)) if uniform else p).expand_as(pi)
        for tau in (0.1, 1.0):
            value = limit.contrastive_value(s, pi @ R, R, tau, prior) / tau
            q = limit.fitted(s, R, tau, prior)
            expected = limit.kl(pi, q) - limit.kl(pi, everywhere)
            torch.testing.assert_close(value, expected, atol=1e-10, rtol=0)


def test_a_divergence_is_torchs_own_and_takes_zeros():
    _, _, pi, p = tiny(draw())
    expected = F.kl_div(p.expand_as(pi).log(), pi, reduction="none").sum(dim=1)
    torch.testing.assert_close(limit.kl(pi, p.expand_as(pi)), expected)
    certain = torch.tensor([[1.0, 0.0]]).double()
    assert limit.kl(certain, torch.full((1, 2), 0.5).double()).item() == pytest.approx(np.log(2))


def test_it_is_the_courses_loss_on_a_batch_of_all_pictures():
    generator = draw()
    R = F.normalize(normal(generator, 50, 4), dim=1)
    S = F.normalize(normal(generator, 50, 4), dim=1)
    ours = limit.contrastive_value(S, R, R, TAU).mean() / TAU  # m is R: y tells the picture
    theirs = losses.contrastive(S, R, TAU) - np.log(50)
    torch.testing.assert_close(ours, theirs)


# -- the optima --------------------------------------------------------------------------------
def test_alignments_optimum_is_the_best_of_many(world):
    _, y = seen(world, 0.6, 20, draw())
    m = limit.posterior(y, world.x, 0.6) @ world.R
    best = (limit.alignment_optimum(m) * m).sum(dim=1)
    torch.testing.assert_close(best, m.norm(dim=1))
    others = F.normalize(normal(draw(1), 500, 16), dim=1) @ m.T
    assert (others < best).all()


@pytest.mark.parametrize("sigma", [0.4, 0.8, 1.2])
def test_no_start_of_another_solver_finds_less_where_the_certificate_holds(world, sigma):
    _, y = seen(world, sigma, 8, draw())
    m = limit.posterior(y, world.x, sigma) @ world.R
    found = limit.contrastive_optimum(m, world.R, TAU, starts=4, generator=draw(1))
    least = limit.contrastive_value(found.S, m, world.R, TAU)
    assert found.certified.any() and found.slope.max() < 1e-8
    for row, value, certified in zip(m, least, found.certified, strict=True):

        def function(free, row=row):
            length = np.linalg.norm(free)
            s = torch.from_numpy(free / length)[None]
            slope = (limit.fitted(s, world.R, TAU) @ world.R - row)[0]
            along = (slope - (slope @ s[0]) * s[0]) / length
            return limit.contrastive_value(s, row[None], world.R, TAU).item(), along.numpy()

        starts = normal(draw(2), 10, 16).numpy()
        solved = [minimize(function, start, jac=True, method="L-BFGS-B").fun for start in starts]
        assert value.item() <= min(solved) + 1e-9 if certified else True
        assert min(solved) == pytest.approx(value.item(), abs=1e-5)


def test_a_stationary_point_that_is_no_minimum_gets_no_certificate():
    R = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]).double()  # m = 0: stationary at (0, 1) and (1, 0)
    found = limit.contrastive_optimum(torch.tensor([[1e-9, 0.0]]).double(), R, 0.1)
    assert found.slope.max() < 1e-8 and not found.certified.any()
    better = limit.contrastive_optimum(
        torch.tensor([[1e-9, 0.0]]).double(), R, 0.1, starts=4, generator=draw()
    )
    assert better.S[0, 1].abs() == pytest.approx(1, abs=1e-6)
    with pytest.raises(ValueError, match=r"tau is 0\.0; expected"):
        limit.contrastive_optimum(R, R, 0.0)


def test_a_batch_of_64_is_within_a_hundredth_of_the_limit(world):
    _, y = seen(world, 0.6, 24, draw())
    pi = limit.posterior(y, world.x, 0.6)
    best = limit.contrastive_optimum(pi @ world.R, world.R, TAU).S
    small = limit.batch_optimum(pi, world.R, TAU, 64, 100, draw(1))
    m = pi @ world.R
    small_value, least = (limit.contrastive_value(s, m, world.R, TAU) for s in (small, best))
    assert 0 <= (small_value - least).mean() < 0.01
    assert abs(((best - small) * m).sum(dim=1).mean()) < 0.025
    assert (best * small).sum(dim=1).mean() > 0.99
    tiny_batch = limit.batch_optimum(pi, world.R, TAU, 3, 100, draw(1))
    assert (best * tiny_batch).sum(dim=1).mean() < 0.95


# -- what no student can pass -------------------------------------------------------------------
def finite(masked, N=7, d=3, sigma=0.5):
    """A world in which y takes 36 values, so that all means are sums: of pictures of two pixels,
    seen through noise whose values lie on a grid; of half of them a mask takes the second pixel.

    Returns R, the pictures' probabilities p, the probability of each picture and y together, and
    the posterior. Where noise has few values, its normaliser is another for each picture, which the
    library's noise does not know: it is handed over in the prior.
    """
    generator = draw(11)
    x, p = torch.rand(N, 2, generator=generator).double(), normal(generator, N).softmax(0)
    R = F.normalize(normal(generator, N, d), dim=1)
    y = torch.cartesian_prod(*[torch.linspace(-0.6, 1.6, 6).double()] * 2)
    shown = torch.ones_like(y, dtype=torch.bool)
    shown[::2, 1] = not masked
    density = (-((y - x[:, None]).square() * shown).sum(dim=2) / (2 * sigma**2)).exp()
    whole = density.sum(dim=1)
    joint = p[:, None] * density / whole[:, None]
    prior = p / whole / (p / whole).sum()
    return R, p, joint, limit.posterior(y, x, sigma, prior, shown)


@pytest.mark.parametrize("masked", [False, True])
def test_no_student_passes_the_mean_length_of_m_and_m_over_its_length_alone_reaches_it(masked):
    """E<S(y), R(x)> = E<S(y), m(y)>, for each S whatsoever: what a student says can depend on y
    alone. So it is E|m| less E|m| |S - m/|m||^2 / 2."""
    R, p, joint, posterior = finite(masked)
    of_y = joint.sum(dim=0)
    assert joint.sum().item() == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(posterior, (joint / of_y).T, atol=1e-12, rtol=0)
    m = posterior @ R
    length = m.norm(dim=1)
    students = {f"of chance {k}": F.normalize(normal(draw(k), *m.shape), dim=1) for k in range(5)}
    students |= {
        "deaf": torch.eye(3).double()[:1].expand_as(m),
        "nearest": R[limit.nearest(m, R)],
        "likeliest": R[posterior.argmax(dim=1)],
        "contrastive": limit.contrastive_optimum(m, R, TAU, p, 8, draw(1)).S,
        "alignment": limit.alignment_optimum(m),
    }
    most = (of_y @ length).item()
    for name, S in students.items():
        torch.testing.assert_close(S.norm(dim=1), torch.ones_like(length))
        reached = (joint * (R @ S.T)).sum().item()  # over pictures and over y
        assert reached == pytest.approx((of_y @ (S * m).sum(dim=1)).item(), abs=1e-12), name
        away = (S - m / length[:, None]).square().sum(dim=1)
        assert reached == pytest.approx(most - (of_y @ (length * away)).item() / 2, abs=1e-12), name
        assert reached < most - 0.01 or name == "alignment"
    assert (joint * (R @ students["alignment"].T)).sum().item() == pytest.approx(most, abs=1e-12)
    found = students.pop("contrastive")
    near = [F.normalize(found + 0.05 * normal(draw(k), *m.shape), dim=1) for k in range(20)]
    least = limit.contrastive_value(found, m, R, TAU, p)
    for S in [*students.values(), *near]:
        assert (limit.contrastive_value(S, m, R, TAU, p) > least).all(), "the optimum of Eq. 2"


def test_to_turn_away_at_one_y_costs_something():
    R, _, joint, posterior = finite(masked=True)
    m = posterior @ R
    best = limit.alignment_optimum(m)
    most = (joint * (R @ best.T)).sum().item()
    for k in range(len(m)):
        turned = best.clone()
        turned[k] = F.normalize(best[k] + 0.1 * normal(draw(k), 3), dim=0)
        assert (joint * (R @ turned.T)).sum().item() < most


def test_on_drawn_digits_what_a_student_reaches_is_what_it_says_of_m(world):
    """Within four standard errors, for several students; a posterior of less noise fails by far."""
    drawn, y = seen(world, 0.8, 2000, draw(7))
    m = limit.posterior(y, world.x, 0.8) @ world.R
    of_chance = F.normalize(y @ normal(draw(8), 64, 16), dim=1)
    students = [limit.alignment_optimum(m), world.R[limit.nearest(m, world.R)], of_chance]

    def errors(S, m):
        gap = (S * (world.R[drawn] - m)).sum(dim=1)
        return (gap.mean() / gap.std() * len(gap) ** 0.5).abs().item()

    assert max(errors(S, m) for S in students) < 4
    sure = limit.posterior(y, world.x, 0.5) @ world.R
    assert errors(limit.alignment_optimum(sure), sure) > 10


# -- top-1 and the split -----------------------------------------------------------------------
def test_no_rule_of_a_tiny_world_is_right_more_often():
    """Three pictures of one binary pixel, seen through a channel: all 2^2 rules are tried."""
    labels, channel = torch.tensor([0, 1, 1]), torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    joint = channel.double() / 3  # picture, y
    rules = [(a, b) for a in (0, 1) for b in (0, 1)]
    right = [sum(joint[labels == rule[y], y].sum().item() for y in (0, 1)) for rule in rules]
    of_y = joint.sum(dim=0)
    per_y = [limit.best_top1((joint[:, y] / of_y[y])[None], labels) for y in (0, 1)]
    assert sum(of_y[y] * per_y[y] for y in (0, 1)).item() == pytest.approx(max(right))


def test_each_part_of_the_split_is_what_it_says_in_numbers_worked_out_by_hand():
    """|m| is 0.5 and 1, <s*, m> 0.4 and 0.8, and <S, R> 0.28 and -0.6."""
    m = torch.tensor([[0.3, 0.4], [1.0, 0.0]], dtype=torch.float64)
    best = torch.tensor([[0.0, 1.0], [0.8, 0.6]], dtype=torch.float64)
    S = torch.tensor([[0.96, 0.28], [-0.6, 0.8]], dtype=torch.float64)
    R = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    by_hand = {"destroyed": 1 - 0.75, "asked for": 0.75 - 0.6, "not learned": 0.6 + 0.16}
    assert limit.split(S, best, m, R) == pytest.approx(by_hand, abs=1e-12)


def test_the_parts_of_the_split_are_gaps_to_the_digits_and_add_up_whatever_the_student(world):
    drawn, y = seen(world, 0.6, 50, draw())
    m = limit.posterior(y, world.x, 0.6) @ world.R
    best = limit.contrastive_optimum(m, world.R, TAU).S
    S, R = F.normalize(normal(draw(3), 50, 16), dim=1), world.R[drawn]
    parts = limit.split(S, best, m, R)

    def mean(a, b):
        return sum(float(np.dot(*pair)) for pair in zip(a.numpy(), b.numpy(), strict=True)) / 50

    length = sum(float(np.sqrt(np.dot(row, row))) for row in m.numpy()) / 50
    gaps = {
        "destroyed": 1 - length,
        "asked for": length - mean(best, m),
        "not learned": mean(best, m) - mean(S, R),
    }
    assert list(parts) == list(gaps) and parts == pytest.approx(gaps, abs=1e-12)
    assert sum(parts.values()) == pytest.approx(1 - mean(S, R))
    assert parts["destroyed"] > 0 and parts["asked for"] > 0
    aligned = limit.split(S, limit.alignment_optimum(m), m, R)
    assert aligned["asked for"] == pytest.approx(0, abs=1e-12)


FIGURES = {  # sigma -> pictures, |m|, contrastive cosine, certified; from a larger draw
    0.2: (1.1, 0.999, 0.80, 1.0),
    0.6: (42, 0.88, 0.68, 1.0),
    1.2: (470, 0.70, 0.44, 0.32),
}


@pytest.mark.parametrize("sigma", FIGURES)
def test_the_figures_of_the_lesson(world, sigma):
    drawn, y = seen(world, sigma, 300, draw(5))
    pi = limit.posterior(y, world.x, sigma)
    m = pi @ world.R
    found = limit.contrastive_optimum(m, world.R, TAU, starts=2, generator=draw(6))
    held, length, fit, proved = FIGURES[sigma]
    assert limit.pictures_held(pi).mean().item() == pytest.approx(held, rel=0.1)
    assert m.norm(dim=1).mean().item() == pytest.approx(length, abs=0.025)
    assert (found.S * world.R[drawn]).sum(1).mean().item() == pytest.approx(fit, abs=0.04)
    assert found.certified.double().mean().item() == pytest.approx(proved, abs=0.1)


# -- what is shown -----------------------------------------------------------------------------
def test_the_panel_says_more_pictures_with_more_noise_or_fewer_pixels(world):
    texts = [
        panels.render_posterior(world, 3, s, p)[1] for s, p in ((0.1, 0), (0.8, 0), (0.8, 0.8))
    ]
    held = [float(text.split("holds ")[1].split(" of")[0]) for text in texts]
    assert held[0] < 1.5 < held[1] < held[2]
    panel = panels.posterior_panel(world)
    before, png = panel.text, panel.png
    panel.controls["sigma"].value = 1.0
    assert panel.text != before and panel.png != png
    for picture, missing in ((1797, 0.0), (0, 1.0)):
        with pytest.raises(ValueError, match=f"picture {picture} with a share of {missing}"):
            panels.render_posterior(world, picture, 0.4, missing)


def test_the_figures_show_what_they_are_given():
    fig = plots.limit_curves((0.2, 0.4), {"a": [1.0, 0.9], "b": [0.8, 0.7]}, "cosine")
    assert [list(line.get_ydata()) for line in fig.axes[0].lines] == [[1, 0.9], [0.8, 0.7]]
    assert fig.get_suptitle() == "B is below a at 2 of 2 σ, by 0.20 to 0.20"
    assert doctest.testmod(figures).failed == 0
    fig = plots.split_bars({"a": {"x": 0.1, "y": 0.2}, "b": {"x": 0.3, "y": 0.0}})
    assert fig.get_suptitle() == "Largest part: y (0.20) for the a and x (0.30) for the b"
    bars = [(bar.get_x(), bar.get_width()) for bar in fig.axes[0].patches]
    assert np.allclose(bars, [(0, 0.1), (0, 0.3), (0.1, 0.2), (0.3, 0)])
