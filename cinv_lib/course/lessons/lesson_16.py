"""Exercises of lesson 16: the best that any student can say."""

import torch
import torch.nn.functional as F

from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong
from cinv_lib.theory import limit


def _draw(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


# -- 16.1 --------------------------------------------------------------------------------------
def my_posterior(y, x, sigma):
    squares = (y[:, None] - x).square().sum(dim=2)
    return torch.softmax(-squares / (2 * sigma**2), dim=1)


def noisy(generator: torch.Generator) -> list[Case]:
    """Small worlds, and noisy pictures of each. In the last one exp alone gives 0 everywhere."""
    cases = []
    for N, n, sigma in ((4, 3, 0.7), (7, 5, 1.5), (5, 64, 0.05)):
        x = torch.rand(N, n, generator=generator, dtype=torch.float64)
        y = x[:3] + sigma * _draw(generator, 3, n)
        cases.append(Case(f"N = {N}, {n} pixels, sigma = {sigma}", (y, x, sigma)))
    return cases


def _squares(y, x):
    return (y[:, None] - x).square().sum(dim=2)


POSTERIOR = Exercise(
    id="16.1",
    title="which pictures explain y",
    minutes=7,
    difficulty=1,
    stub="""
    def my_posterior(y, x, sigma):
        # y: (B, n) noisy pictures. x: (N, n) all pictures that there are, each as probable as the
        # others. The probability of each x_j given y: (B, N), rows that sum to one.
        return TODO
    """,
    reference=limit.posterior,
    cases=noisy,
    wrong=(
        Wrong(
            lambda y, x, sigma: (-_squares(y, x) / (2 * sigma)).softmax(1),
            "you divided by 2 sigma; the density of the noise has 2 sigma² there.",
        ),
        Wrong(
            lambda y, x, sigma: (-_squares(y, x) / sigma**2).softmax(1),
            "the factor 2 is missing: the density of the noise is exp(-z²/(2 sigma²)).",
        ),
        Wrong(
            lambda y, x, sigma: (-_squares(y, x).sqrt() / (2 * sigma**2)).softmax(1),
            "you used the distance. The density falls with the square of the distance.",
        ),
        Wrong(
            lambda y, x, sigma: (-_squares(y, x) / (2 * sigma**2)).softmax(0),
            "the softmax runs over the noisy pictures (dim 0). The rows sum to one: `dim=1`.",
        ),
        Wrong(
            lambda y, x, sigma: (-_squares(y, x).div(y.shape[1]) / (2 * sigma**2)).softmax(1),
            "you averaged over the pixels. Their noise is independent, so their densities multiply, "
            "and the squares add up.",
        ),
        Wrong(
            lambda y, x, sigma: (-_squares(y, x) / (2 * sigma**2)).exp(),
            "the rows do not sum to one: divide by the sum over all pictures (a softmax does).",
        ),
    ),
    alternative=lambda y, x, sigma: (-torch.cdist(y, x).square() / (2 * sigma**2)).softmax(1),
    hints=(
        "By Bayes' rule the probability of x_j is proportional to the density of y given x_j, "
        "since all x_j are equally probable before y is seen.",
        "That density is a product over the pixels, so its exponent is -|y - x_j|² / (2 sigma²). "
        "The factors that do not depend on j cancel.",
        "Return `torch.softmax(-torch.cdist(y, x)**2 / (2 * sigma**2), dim=1)`.",
    ),
    solution=my_posterior,
    why="A softmax of logarithms is Bayes' rule, and it does not underflow where every density is "
    "below the smallest float. The common wrong turn is to take the mean over the pixels in place "
    "of the sum: then 64 pixels say no more than one pixel.",
)


# -- 16.2 --------------------------------------------------------------------------------------
def my_expected_cosine(s, pi, R):
    return (s * (pi @ R)).sum(dim=1)


def answers(generator: torch.Generator) -> list[Case]:
    """As in `students`, without a temperature."""
    return [
        Case(case.label.rpartition(",")[0], (s, pi, R))
        for case in students(generator)
        for s, pi, R, _ in [case.args]
    ]


def _each(s, pi, R):
    """The cosine of each answer to each picture's embedding, with the picture's probability."""
    return pi * (s @ R.T)


EXPECTED = Exercise(
    id="16.2",
    title="the expected cosine of an answer",
    minutes=5,
    difficulty=1,
    stub="""
    def my_expected_cosine(s, pi, R):
        # s: (B, d), an answer of length one for each y. pi: (B, N) posteriors. R: (N, d), of length
        # one. The cosine to R(x) that each answer has on average over the pictures that x may be: (B,).
        return TODO
    """,
    reference=lambda s, pi, R: _each(s, pi, R).sum(dim=1),
    cases=answers,
    wrong=(
        Wrong(
            lambda s, pi, R: (s * R[pi.argmax(dim=1)]).sum(dim=1),
            "that is the cosine to R of the likeliest picture. The other pictures count too, each "
            "with its probability.",
        ),
        Wrong(
            lambda s, pi, R: F.cosine_similarity(s, pi @ R),
            "that is the cosine to the mean m. It divides by the length of m, which is below 1: the "
            "expected cosine is <s, m>.",
        ),
        Wrong(
            lambda s, pi, R: (pi @ R).norm(dim=1),
            "that is |m|, the expected cosine of the best answer. This answer is s.",
        ),
        Wrong(
            lambda s, pi, R: (s @ R.T).mean(dim=1),
            "you gave all pictures the same weight. Their weights are the posterior pi.",
        ),
        Wrong(
            lambda s, pi, R: _each(s, pi, R).mean(dim=1),
            "you divided by the number of pictures. The probabilities sum to one already, so the "
            "products are added up.",
        ),
    ),
    alternative=lambda s, pi, R: torch.einsum("bd,bn,nd->b", s, pi, R),
    hints=(
        "Both s and R_j have length one, so their cosine is <s, R_j>. `s @ R.T` has all of them.",
        "A mean over the posterior is a sum with the weights pi.",
        "Return `(s * (pi @ R)).sum(dim=1)`, which is <s, m>.",
    ),
    solution=my_expected_cosine,
    why="The mean of <s, R_j> is <s, m>, as s does not depend on j. So for every student E<S(y), "
    "R(x)> = E<S(y), m(y)>: all that a student can use of the posterior is its mean. The common "
    "wrong turn is to normalise m: the length that it lacks is what has been destroyed.",
)


# -- 16.3 --------------------------------------------------------------------------------------
def my_value(s, pi, R, tau):
    q = torch.softmax(s @ R.T / tau, dim=1)
    uniform = torch.full_like(pi, 1 / len(R))

    def kl(a, b):
        return (a * (a / b).log()).sum(dim=1)

    return kl(pi, q) - kl(pi, uniform)


def students(generator: torch.Generator) -> list[Case]:
    """Students of length one, posteriors without a zero, and teachers."""
    cases = []
    for B, N, d, tau in ((2, 4, 2, 0.5), (3, 6, 3, 0.2), (4, 9, 4, 1.5)):
        s, R = (
            F.normalize(_draw(generator, B, d), dim=1),
            F.normalize(_draw(generator, N, d), dim=1),
        )
        pi = (2 * _draw(generator, B, N)).softmax(dim=1)
        cases.append(Case(f"N = {N}, d = {d}, tau = {tau}", (s, pi, R, tau)))
    return cases


def _value(s, pi, R, tau):
    """F_y/τ by its definition."""
    return limit.contrastive_value(s, pi @ R, R, tau) / tau


def _uniform(pi):
    return torch.full_like(pi, 1 / pi.shape[1])


VALUE = Exercise(
    id="16.3",
    title="the contrastive loss as two divergences",
    minutes=12,
    difficulty=2,
    stub="""
    def my_value(s, pi, R, tau):
        # s: (B, d), pi: (B, N) posteriors without a zero, R: (N, d); p_j = 1/N for all j.
        # KL(pi || q_s) - KL(pi || p) for each row: (B,). q_s(j) is proportional to
        # p_j exp(<s, R_j>/tau).
        return TODO
    """,
    reference=_value,
    cases=students,
    wrong=(
        Wrong(
            lambda s, pi, R, tau: limit.kl(pi, limit.fitted(s, R, tau)),
            "that is KL(pi || q_s) alone. KL(pi || p) does not depend on s, but it is a part of "
            "the value.",
        ),
        Wrong(
            lambda s, pi, R, tau: (
                limit.kl(limit.fitted(s, R, tau), pi) - limit.kl(_uniform(pi), pi)
            ),
            "you took KL(q_s || pi) and KL(p || pi). A divergence is not symmetric: the mean is over "
            "the first of its two distributions, pi.",
        ),
        Wrong(
            lambda s, pi, R, tau: (
                limit.kl(pi, limit.fitted(s, R, 1.0)) - limit.kl(pi, _uniform(pi))
            ),
            "tau is missing in q_s.",
        ),
        Wrong(
            lambda s, pi, R, tau: tau * _value(s, pi, R, tau),
            "this is F_y itself. The difference of the divergences is F_y / tau.",
        ),
        Wrong(
            lambda s, pi, R, tau: -_value(s, pi, R, tau),
            "the sign is wrong: a q_s that is near the posterior makes the loss small.",
        ),
        Wrong(
            lambda s, pi, R, tau: (
                limit.kl(pi, limit.fitted(s, R, tau)) + limit.kl(pi, _uniform(pi))
            ),
            "KL(pi || p) has to be subtracted: then a student that knows nothing, with q_s = p, "
            "has the value 0.",
        ),
    ),
    alternative=lambda s, pi, R, tau: (
        pi * (len(R) * pi / (len(R) * limit.fitted(s, R, tau) * len(R) * pi)).log()
    ).sum(1),
    hints=(
        "KL(a || b) = sum_j a_j log(a_j / b_j).",
        "q_s is a softmax: `torch.softmax(s @ R.T / tau, dim=1)`, since all p_j are the same. "
        "Each p_j is `1 / len(R)`.",
        "The logarithms of pi cancel: the difference is sum_j pi_j log(p_j / q_s(j)).",
    ),
    solution=my_value,
    why="log q_s(j) is log p_j + <s, R_j>/tau minus the logarithm of the sum. So the mean of "
    "log(p_j / q_s(j)) under pi is -<s, m>/tau plus that logarithm, and this is F_y/tau. The "
    "common wrong turn is to exchange the two distributions: a fit by KL(q || pi) would pick one "
    "picture and forget the others.",
)


# -- 16.4 --------------------------------------------------------------------------------------
def my_multiplier(s, m, R, tau):
    q = torch.softmax(s @ R.T / tau, dim=1)
    return (s * (m - q @ R)).sum(dim=1)


def optima(generator: torch.Generator) -> list[Case]:
    """As in `students`, with the means of the posteriors."""
    return [
        Case(case.label, (s, pi @ R, R, tau))
        for case in students(generator)
        for s, pi, R, tau in [case.args]
    ]


def _multiplier(s, m, R, tau):
    return (s * (m - limit.fitted(s, R, tau) @ R)).sum(dim=1)


MULTIPLIER = Exercise(
    id="16.4",
    title="a certificate that nothing is better",
    minutes=10,
    difficulty=2,
    stub="""
    def my_multiplier(s, m, R, tau):
        # s, m: (B, d); R: (N, d); p_j = 1/N. lambda = <s, m - sum_j q_s(j) R_j> for each row: (B,).
        # It is how much F_y falls if s is made longer.
        return TODO
    """,
    reference=_multiplier,
    cases=optima,
    wrong=(
        Wrong(
            lambda s, m, R, tau: -_multiplier(s, m, R, tau),
            "the sign is wrong: that is how fast F_y *rises* along s. lambda says how fast it "
            "falls.",
        ),
        Wrong(
            lambda s, m, R, tau: (s * m).sum(dim=1),
            "that is the pull <s, m> alone. The push, <s, sum_j q_s(j) R_j>, is subtracted.",
        ),
        Wrong(
            lambda s, m, R, tau: (m - limit.fitted(s, R, tau) @ R).norm(dim=1),
            "that is the length of m - sum_j q_s(j) R_j. It has no sign, and away from an optimum "
            "it is larger than the part along s.",
        ),
        Wrong(
            lambda s, m, R, tau: (s * (m - R.mean(dim=0))).sum(dim=1),
            "you took the plain mean of all R_j. The push weights them by q_s(j), the softmax of "
            "<s, R_j>/tau.",
        ),
        Wrong(
            lambda s, m, R, tau: _multiplier(s, m, R, 1.0),
            "tau is missing in q_s.",
        ),
    ),
    alternative=lambda s, m, R, tau: torch.stack(
        [a @ b - (a @ R.T / tau).softmax(0) @ (R @ a) for a, b in zip(s, m, strict=True)]
    ),
    hints=(
        "The gradient of F_y at s is sum_j q_s(j) R_j - m. Lambda is minus the part of this "
        "gradient along s.",
        "`torch.softmax(s @ R.T / tau, dim=1) @ R` is the mean of R under q_s: (B, d).",
        "With this mean, return `(s * (m - mean)).sum(dim=1)`.",
    ),
    solution=my_multiplier,
    why="F_y is convex. At a stationary s with lambda >= 0 it lies above F_y(s) + lambda (1 - <s, "
    "t>) at every t of the ball, so no point of the ball has a lower value. With lambda < 0 a "
    "shorter s would be better, and then convexity says nothing about the sphere. The common "
    "wrong turn is to trust that a descent which has stopped has found the minimum.",
)


# -- 16.5 --------------------------------------------------------------------------------------
def my_best_top1(pi, labels):
    classes = torch.nn.functional.one_hot(labels).to(pi.dtype)
    return (pi @ classes).max(dim=1).values.mean()


def classed(generator: torch.Generator) -> list[Case]:
    """Posteriors over pictures of some classes."""
    cases = []
    for B, N, C in ((3, 6, 2), (5, 12, 3), (8, 40, 10)):
        pi = (2 * _draw(generator, B, N)).softmax(dim=1)
        labels = torch.arange(N) % C
        order = torch.randperm(N, generator=generator)
        cases.append(Case(f"{N} pictures, {C} classes", (pi, labels[order])))
    return cases


def _classes(pi, labels):
    return pi @ F.one_hot(labels).to(pi.dtype)


BEST = Exercise(
    id="16.5",
    title="the best top-1 of any student",
    minutes=8,
    difficulty=2,
    stub="""
    def my_best_top1(pi, labels):
        # pi: (B, N) posteriors; labels: (N,) classes of the pictures, 0, 1, ... The share of right
        # answers, a number in [0, 1], of one who answers the likeliest class for each row.
        return TODO
    """,
    reference=limit.best_top1,
    cases=classed,
    wrong=(
        Wrong(
            lambda pi, labels: pi.max(dim=1).values.mean(),
            "that is how often the likeliest *picture* is x. The probabilities of all pictures of "
            "a class add up.",
        ),
        Wrong(
            lambda pi, labels: _classes(pi, labels).gather(1, labels[pi.argmax(1)][:, None]).mean(),
            "you answered with the class of the likeliest picture. Many unlikely pictures of "
            "another class may weigh more together: sum over each class first, then take the "
            "largest sum.",
        ),
        Wrong(
            lambda pi, labels: _classes(pi, labels).mean(dim=0).max(),
            "you averaged over the rows first: this is the top-1 of a student that gives the same "
            "answer to every y.",
        ),
        Wrong(
            lambda pi, labels: (_classes(pi, labels) ** 2).sum(dim=1).mean(),
            "that is the top-1 of a student that draws a class from the posterior. Always "
            "answering the likeliest class is better.",
        ),
        Wrong(
            lambda pi, labels: 1 - _classes(pi, labels).max(dim=1).values.mean(),
            "that is the share of errors; the right answers are asked for.",
        ),
    ),
    alternative=lambda pi, labels: (
        torch.stack([pi[:, labels == c].sum(1) for c in labels.unique()]).amax(0).mean()
    ),
    hints=(
        "The probability that class c is right is the sum of pi over the pictures of c.",
        "`pi @ one_hot(labels)` has these sums, one column per class. Convert the one-hot matrix "
        "to pi's dtype.",
        "Take the largest sum of each row, and then the mean over the rows.",
    ),
    solution=my_best_top1,
    why="A student that answers c is right with the probability of c given y, so no answer is "
    "better than the likeliest class. The common wrong turn is to look for the likeliest picture "
    "first: the probability of a class is a sum over its pictures, not a maximum.",
)

EXERCISES = (POSTERIOR, EXPECTED, VALUE, MULTIPLIER, BEST)

PREDICTIONS = (
    Prediction(
        "16.A",
        "Noise of sigma 0.6 on digits whose pixels lie between 0 and 1. Of the 1,797 pictures, how many "
        "does the posterior hold on average?",
        tolerance=15.0,
        digits=0,
    ),
    Prediction(
        "16.B",
        "At sigma 0.6 the best cosine is nearly 0.9 with alignment, and 0.7 with the contrastive loss. "
        "Which of the two optima has the right class at its nearest R more often?",
        options=(
            "alignment's, by 5 points or more",
            "the contrastive one, by 5 points or more",
            "less than 5 points lie between them",
        ),
    ),
)
