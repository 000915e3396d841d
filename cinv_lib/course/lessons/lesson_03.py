"""Exercises of lesson 03: the weights in the gradient, and its sign."""

from functools import partial

import torch
import torch.nn.functional as F

from cinv_lib import losses
from cinv_lib.course.lessons.lesson_02 import pairs_and_tau
from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong


def _cosines(S, R):
    return F.normalize(S, dim=1) @ F.normalize(R, dim=1).T


def _without_own(K):
    return K.masked_fill(torch.eye(len(K), dtype=torch.bool), -torch.inf)


# -- 3.1 ---------------------------------------------------------------------------------------
def my_weights(S, R, tau):
    K = F.normalize(S, dim=1) @ F.normalize(R, dim=1).T
    return torch.softmax(K / tau, dim=1)


WEIGHTS = Exercise(
    id="3.1",
    title="the weights of the push",
    minutes=5,
    difficulty=1,
    stub="""
    def my_weights(S, R, tau):
        # w[i, j] = exp(K(i, j)/tau - L_i), where L_i = log of the sum over j of exp(K(i, j)/tau).
        return TODO
    """,
    reference=losses.pair_weights,
    cases=pairs_and_tau,
    wrong=(
        Wrong(
            lambda S, R, tau: (_cosines(S, R) / tau).softmax(0),
            "your columns sum to one, and the rows should: L_i is the sum over the teachers j of "
            "student i (dim 1).",
        ),
        Wrong(
            lambda S, R, tau: (S @ R.T / tau).softmax(1),
            "the rows of S and R are not normalised, so K is not a cosine.",
        ),
        Wrong(
            lambda S, R, tau: (_cosines(S, R) * tau).softmax(1),
            "you multiplied by tau; divide by it.",
        ),
        Wrong(
            lambda S, R, tau: (_cosines(S, R) / tau - losses.uniformity(S, R, tau)).exp(),
            "you subtracted L_unif, the mean over the rows. Each row has its own L_i, and "
            "only with this L_i does every row sum to one.",
        ),
        Wrong(
            lambda S, R, tau: (_cosines(S, R) / tau).flatten().softmax(0).view(len(S), len(S)),
            "your whole matrix sums to one; here each row has to sum to one by itself.",
        ),
        Wrong(
            lambda S, R, tau: (_without_own(_cosines(S, R)) / tau).softmax(1),
            "you left j = i out. Eq. 4 has it in the sum, so the student's own teacher takes weight "
            "as well.",
        ),
    ),
    alternative=lambda S, R, tau: torch.stack(
        [(row / tau).exp() / (row / tau).exp().sum() for row in _cosines(S, R)]
    ),
    hints=(
        "exp(a - log b) = exp(a) / b. What is b here? And what is the name of the function that "
        "this formula defines?",
        "K is the product of normalised rows, as in lesson 02. L_i is one number per row.",
        "It is the softmax of each row: `torch.softmax(K / tau, dim=1)`.",
    ),
    solution=my_weights,
    why="Each weight is exp(K(i, j)/τ), divided by the sum of these over j. So the weights of a "
    "row are a softmax: they are positive and sum to one. The common wrong turn is to subtract "
    "the batch's L_unif in place of the row's L_i. (The paper writes T for τ inside L_i, a slip "
    "of the pen.)",
)


# -- 3.2 ---------------------------------------------------------------------------------------
def my_gradient(K, tau):
    N = len(K)
    w = torch.softmax(K / tau, dim=1)
    return (w - torch.eye(N)) / (tau * N)


def cosines_and_tau(generator: torch.Generator) -> list[Case]:
    """Matrices K of cosines, each with a temperature; some students do not know their teacher."""
    cases = []
    for n, tau in ((3, 0.5), (5, 0.1), (12, 0.3)):
        K = 0.4 * torch.randn(n, n, generator=generator, dtype=torch.float64)
        K = (K + 0.3 * torch.eye(n)).tanh()  # into (-1, 1), without ties
        cases.append(Case(f"N = {n}, tau = {tau}", (K, tau)))
    return cases


def _minus_eye(w, tau, scale=1.0):
    return (w - torch.eye(len(w))) / (tau * len(w)) * scale


GRADIENT = Exercise(
    id="3.2",
    title="the gradient, in closed form",
    minutes=10,
    difficulty=2,
    stub="""
    def my_gradient(K, tau):
        # dL/dK, (N, N), of L = 1/N sum over i of (-K(i, i)/tau + log sum_j exp(K(i, j)/tau)).
        # No autograd: the weights w, and one more matrix.
        return TODO
    """,
    reference=my_gradient,
    cases=cosines_and_tau,
    wrong=(
        Wrong(
            lambda K, tau: ((K / tau).softmax(1) + torch.eye(len(K))) / (tau * len(K)),
            "the sign of the pull is wrong: this is what the paper prints, -1/tau times the gradient of "
            "L_MSE. But L_MSE is minus the mean of K(i, i) already, so its gradient comes with "
            "a plus.",
        ),
        Wrong(
            lambda K, tau: (K / tau).softmax(1) / (tau * len(K)),
            "only the push is there; -K(i, i)/tau has a derivative as well, on the diagonal.",
        ),
        Wrong(
            lambda K, tau: (torch.eye(len(K)) - (K / tau).softmax(1)) / (tau * len(K)),
            "that is minus the gradient, the direction of a step. The gradient points to where "
            "the loss grows.",
        ),
        Wrong(
            lambda K, tau: _minus_eye((K / tau).softmax(1), tau, len(K)),
            "the mean over i is missing: divide by N.",
        ),
        Wrong(
            lambda K, tau: _minus_eye((K / tau).softmax(1), tau, tau),
            "the inner derivative is missing: K stands in the loss as K/tau, so divide by tau.",
        ),
        Wrong(
            lambda K, tau: _minus_eye((_without_own(K) / tau).softmax(1), tau),
            "your weights leave j = i out; in Eq. 4 the student's own teacher is in the sum.",
        ),
        Wrong(
            lambda K, tau: _minus_eye((K / tau).softmax(0), tau),
            "your weights sum to one over the students; they should sum to one over the teachers of "
            "each student, as in 3.1.",
        ),
    ),
    alternative=lambda K, tau: (
        torch.stack([(row / tau).softmax(0) for row in K])
        .index_put((torch.arange(len(K)),) * 2, torch.tensor(-1.0).to(K), accumulate=True)
        .div(tau * len(K))
    ),
    hints=(
        "Differentiate one row: first -K(i, i)/tau, then the logarithm of a sum. The second gives "
        "something that you have just written.",
        "d/dK(i, j) of log sum_j exp(K(i, j)/tau) is w_i(j)/tau. The derivative of -K(i, i)/tau is -1/tau "
        "where j = i, and 0 elsewhere.",
        "`(w - torch.eye(N)) / (tau * N)` with w = softmax of the rows of K / tau.",
    ),
    solution=my_gradient,
    why="Where j is not i the gradient is positive: the step makes K(i, j) smaller, by its "
    "weight. Where j is i the gradient is w_i(i) - 1, which is never positive: it is the sum of "
    "the pull to the student's own teacher and the push from it. Where the student has found its "
    "teacher, w_i(i) is near 1, and nothing is left. The common wrong turn is the printed sign, "
    "with which every K(i, i) would be pushed down as well.",
)


# -- 3.3 ---------------------------------------------------------------------------------------
def my_slope(loss, S, D, h):
    return (loss(S + h * D) - loss(S - h * D)) / (2 * h)


def losses_and_directions(generator: torch.Generator) -> list[Case]:
    """Losses of a batch S (the teacher is inside), a direction of the same shape, a small h."""
    cases = []
    for n, d, tau in ((3, 4, 0.5), (6, 8, 0.3), (10, 5, 0.3)):
        S, R, D = (torch.randn(n, d, generator=generator, dtype=torch.float64) for _ in "SRD")
        # Rows of length 2: a step is small against S, and the slope is not.
        S, D = (2 * F.normalize(rows, dim=1) for rows in (S, D))
        loss = partial(losses.contrastive, R=R, tau=tau)
        cases.append(Case(f"N = {n}, d = {d}, tau = {tau}, h = 0.001", (loss, S, D, 1e-3)))
    return cases


SLOPE = Exercise(
    id="3.3",
    title="the gradient, from two losses",
    minutes=6,
    difficulty=2,
    stub="""
    def my_slope(loss, S, D, h):
        # The slope of loss along D (same shape as S), at S. You may only call loss(...).
        # The error should be of the order of h squared.
        return TODO
    """,
    reference=my_slope,
    cases=losses_and_directions,
    tolerance=1e-5,
    wrong=(
        Wrong(
            lambda loss, S, D, h: (loss(S + h * D) - loss(S)) / h,
            "you took a step to one side only: its error is of the order of h, not h squared. Take "
            "one step forward and one back.",
        ),
        Wrong(
            lambda loss, S, D, h: (loss(S + h * D) - loss(S - h * D)) / h,
            "that is twice the slope: the distance from S - hD to S + hD is 2h, not h.",
        ),
        Wrong(
            lambda loss, S, D, h: (loss(S - h * D) - loss(S + h * D)) / (2 * h),
            "the sign is wrong: take forward minus backward.",
        ),
        Wrong(
            lambda loss, S, D, h: loss(S + h * D) - loss(S - h * D),
            "that is the change of the loss; the slope is the change divided by the distance, 2h.",
        ),
        Wrong(
            lambda loss, S, D, h: (loss(S + h) - loss(S - h)) / (2 * h),
            "you moved every number of S by h; move S by h times D.",
        ),
        Wrong(
            lambda loss, S, D, h: (loss(S + h * D) - 2 * loss(S) + loss(S - h * D)) / h**2,
            "that is the second derivative, the curvature.",
        ),
    ),
    alternative=lambda loss, S, D, h: (
        (8 * (loss(S + h * D) - loss(S - h * D)) - (loss(S + 2 * h * D) - loss(S - 2 * h * D)))
        / (12 * h)
    ),
    hints=(
        "A slope is a difference of losses divided by the distance between the two points.",
        "Expand loss(S + hD) in powers of h. What cancels if you subtract loss(S - hD)?",
        "`(loss(S + h * D) - loss(S - h * D)) / (2 * h)`: the terms in h squared cancel.",
    ),
    solution=my_slope,
    why="This slope uses no derivative, so it is an independent check: an error in a formula, or "
    "in the use of autograd, does not change the slope. The common wrong turn is the step to one "
    "side, or a tiny h in float32: the difference then loses all its digits. Use float64.",
)


# -- 3.4 ---------------------------------------------------------------------------------------
def my_limits(K):
    N = len(K)
    low = F.one_hot(K.argmax(dim=1), N).to(K.dtype)
    high = torch.full_like(K, 1 / N)
    return low, high


def matrices(generator: torch.Generator) -> list[Case]:
    """The matrices of 3.2, without temperatures."""
    return [
        Case(case.label.partition(",")[0], case.args[:1]) for case in cosines_and_tau(generator)
    ]


def _one_hot(places, K):
    return F.one_hot(places, len(K)).to(K.dtype)


def _even(K):
    return torch.full_like(K, 1 / len(K))


LIMITS = Exercise(
    id="3.4",
    title="the coldest and the hottest tau",
    minutes=6,
    difficulty=2,
    stub="""
    def my_limits(K):
        # The weights (N, N) as tau goes to 0, and as tau goes to infinity. No tau is left.
        low = TODO
        high = TODO
        return low, high
    """,
    reference=my_limits,
    cases=matrices,
    wrong=(
        Wrong(
            lambda K: (_even(K), _one_hot(K.argmax(1), K)),
            "the two limits are exchanged: dividing by a small tau makes differences large.",
        ),
        Wrong(
            lambda K: (torch.eye(len(K), dtype=K.dtype), _even(K)),
            "as tau goes to 0 you give all weight to the student's own teacher. It goes to the nearest "
            "teacher, which is another one where the student errs.",
        ),
        Wrong(
            lambda K: (_one_hot(K.argmax(0), K).T, _even(K)),
            "you looked for the largest of each column; the rows sum to one, so look in each row.",
        ),
        Wrong(
            lambda K: (_one_hot(K.argmin(1), K), _even(K)),
            "you took the smallest cosine; the weight grows with the cosine.",
        ),
        Wrong(
            lambda K: (_one_hot(K.argmax(1), K), torch.zeros_like(K)),
            "K/tau goes to 0, but exp(0) is 1, not 0, and each row still sums to one.",
        ),
        Wrong(
            lambda K: (_one_hot(K.argmax(1), K), torch.ones_like(K)),
            "exp(K/tau) goes to 1, right; then each is divided by the sum of its row.",
        ),
        Wrong(
            lambda K: (_one_hot(_without_own(K).argmax(1), K), _even(K)),
            "as tau goes to 0 you give all weight to the hardest negative. The student's own teacher is in "
            "the row as well, and takes all weight where it is nearest.",
        ),
    ),
    alternative=lambda K: ((K / 1e-9).softmax(1), (K / 1e9).softmax(1)),
    hints=(
        "Which entries of a row survive exp(K/tau), compared with each other, if tau is tiny? And "
        "what is K/tau if tau is huge?",
        "If tau is tiny, only the largest entry of each row survives, with weight one. If tau is huge, "
        "all entries are alike, and they sum to one.",
        "`F.one_hot(K.argmax(dim=1), N)` as floats, and a matrix full of 1/N.",
    ),
    solution=my_limits,
    why="At a low temperature a softmax is an argmax, and at a high temperature it is a mean. The "
    "common wrong turn is to take the identity matrix as the limit for tau to 0: this is right "
    "only where the student already finds its teacher, and there pull and push cancel. What is "
    "left of the gradient at tiny tau comes from the students that err.",
)


# -- 3.5 ---------------------------------------------------------------------------------------
def my_sb_gradient(S, R, tau):
    N = len(S)
    own = torch.eye(N, dtype=torch.bool)
    students = (S @ S.T / tau).masked_fill(own, -torch.inf)
    v, u = torch.cat([students, S @ R.T / tau], dim=1).softmax(dim=1).split(N, dim=1)
    return ((u - own.to(S)) @ R + (v + v.T) @ S) / (tau * N)


def rows_and_tau(generator: torch.Generator) -> list[Case]:
    """Rows of student and teacher in double precision, some students far from their teacher."""
    cases = []
    for n, d, tau in ((2, 3, 1.0), (4, 3, 0.5), (9, 5, 0.3)):
        S, R = (torch.randn(n, d, generator=generator, dtype=torch.float64) for _ in "SR")
        S, R = F.normalize(R + 0.7 * S, dim=1), F.normalize(R, dim=1)
        cases.append(Case(f"N = {n}, d = {d}, tau = {tau}", (S, R, tau)))
    return cases


def _by_autograd(S, R, tau):
    """The gradient of "sb" where the rows are taken as they are."""
    with torch.enable_grad():
        S = S.clone().requires_grad_()
        students = (S @ S.T / tau).masked_fill(torch.eye(len(S), dtype=torch.bool), -torch.inf)
        push = torch.cat([students, S @ R.T / tau], dim=1).logsumexp(dim=1)
        loss = (push - (S * R).sum(dim=1) / tau).mean()
        return torch.autograd.grad(loss, S)[0]


def _sb_weights(S, R, tau):
    """v over students and u over teachers: one softmax over both."""
    students = (S @ S.T / tau).masked_fill(torch.eye(len(S), dtype=torch.bool), -torch.inf)
    return torch.cat([students, S @ R.T / tau], dim=1).softmax(dim=1).split(len(S), dim=1)


def _symmetric(S, R, tau):
    """v and its transpose."""
    v, _ = _sb_weights(S, R, tau)
    return v, v.T


def _sb(S, R, tau, v, u, pull=1.0):
    return ((u - pull * torch.eye(len(S))) @ R + v @ S) / (tau * len(S))


def _from_weights(change):
    """The gradient of wrong weights: `change` makes (v, u) of the right ones."""

    def answer(S, R, tau):
        v, u = _sb_weights(S, R, tau)
        return _sb(S, R, tau, *change(v, u))

    return answer


def _two_logarithms(S, R, tau):
    students = (S @ S.T / tau).masked_fill(torch.eye(len(S), dtype=torch.bool), -torch.inf)
    v = students.softmax(dim=1)
    return _sb(S, R, tau, v + v.T, (S @ R.T / tau).softmax(dim=1))


def _with_itself(S, R, tau):
    both = torch.cat([S @ S.T, S @ R.T], dim=1) / tau
    v, u = both.softmax(dim=1).split(len(S), dim=1)
    return _sb(S, R, tau, v + v.T, u)


SB_GRADIENT = Exercise(
    id="3.5",
    title="the gradient where students push students",
    minutes=25,
    difficulty=3,
    stub="""
    def my_sb_gradient(S, R, tau):
        # S, R: (N, d). L = 1/N sum over i of (-<S_i, R_i>/tau + log Z_i). Z_i is the sum of
        # exp(<S_i, S_j>/tau) over j other than i, and of exp(<S_i, R_j>/tau) over all j.
        # dL/dS, (N, d), of the rows as they are: no normalisation, and no autograd.
        return TODO
    """,
    reference=_by_autograd,
    cases=rows_and_tau,
    wrong=(
        Wrong(
            _from_weights(lambda v, u: (v, u)),
            "S_i stands in its own logarithm and in the logarithms of all other students. You have "
            "the push from its own logarithm, but not the push from the others' logarithms, v_j(i).",
        ),
        Wrong(
            _from_weights(lambda v, u: (2 * v, u)),
            "you doubled v_i(j). What comes from the other rows is v_j(i), the transpose: v is not "
            "symmetric, as each row is divided by its own Z.",
        ),
        Wrong(
            _from_weights(lambda v, u: (v.T, u)),
            "you have the terms of the other students' logarithms, v_j(i), and not those of its own "
            "logarithm, v_i(j).",
        ),
        Wrong(
            _two_logarithms,
            "you have one softmax over the students and another over the teachers. Here both stand "
            "under one logarithm, so all 2N - 1 weights of a row together sum to one.",
        ),
        Wrong(
            _with_itself,
            "your row of students has j = i in it. Z_i leaves it out.",
        ),
        Wrong(
            lambda S, R, tau: _sb(
                S, R, tau, sum(_symmetric(S, R, tau)), _sb_weights(S, R, tau)[1], 0.0
            ),
            "the pull is missing: -<S_i, R_i>/tau has a derivative as well, -R_i/tau.",
        ),
        Wrong(
            lambda S, R, tau: len(S) * _by_autograd(S, R, tau),
            "the mean over i is missing: divide by N.",
        ),
        Wrong(
            lambda S, R, tau: tau * _by_autograd(S, R, tau),
            "the inner derivative is missing: every product stands in the loss divided by tau.",
        ),
        Wrong(
            lambda S, R, tau: _sb(
                S, R, tau, torch.zeros(len(S), len(S)).to(S), (S @ R.T / tau).softmax(dim=1)
            ),
            "that is the gradient of ST, which has teachers only under the logarithm.",
        ),
    ),
    alternative=lambda S, R, tau: (
        torch.stack(
            [
                sum(_symmetric(S, R, tau)[k][i, j] * S[j] for k in (0, 1) for j in range(len(S)))
                + sum(_sb_weights(S, R, tau)[1][i, j] * R[j] for j in range(len(S)))
                - R[i]
                for i in range(len(S))
            ]
        )
        / (tau * len(S))
    ),
    hints=(
        "In how many of the N logarithms does S_i stand? In its own logarithm it is the first factor of "
        "every product. Where is it in the other logarithms?",
        "Let v_i(j) and u_i(j) be the weights of row i for students and teachers, one softmax of "
        "2N - 1 numbers. The student's own row gives sum_j v_i(j) S_j + sum_j u_i(j) R_j. Each "
        "other row j gives v_j(i) S_j.",
        "With the matrices v (0 on the diagonal) and u: `((u - I) @ R + (v + v.T) @ S) / (tau * N)`.",
    ),
    solution=my_sb_gradient,
    why="The teacher stands still, so ST's gradient has one matrix of weights. Students move, so "
    "each product <S_i, S_j> is differentiated twice: once because student i is pushed from S_j, and "
    "once because student j is pushed from S_i. The common wrong turn is to differentiate row i of "
    "the loss only, or to double v as if it were symmetric.",
)

EXERCISES = (WEIGHTS, GRADIENT, SLOPE, LIMITS, SB_GRADIENT)

PREDICTIONS = (
    Prediction(
        "3.A",
        "At tau = 0.1, what share of all the weight on the 15 negatives is on the hardest three, in "
        "the mean over the rows? (If all had the same weight, it would be 0.2.)",
        tolerance=0.1,
        digits=1,
    ),
    Prediction(
        "3.B",
        "The paper prints a minus before 1/tau times the gradient of L_MSE. Which sign will autograd "
        "find?",
        options=("minus, as printed", "plus"),
    ),
)
