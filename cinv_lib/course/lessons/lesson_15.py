"""Exercises of lesson 15: a verdict, the error of a difference, the label of a number, and how often
a rule decides what nothing decides, and how many trainings a result needs."""

import pandas as pd
import torch
from scipy import stats

from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong
from cinv_lib.evaluation import statistics
from cinv_lib.paper import results


# -- 15.1 --------------------------------------------------------------------------------------
def measurements(generator: torch.Generator) -> list[Case]:
    """Differences of a few trainings, so many of their standard errors above or below a margin."""
    cases = []
    for n, margin, errors_away in (
        (3, 0.0, 6.0), (3, 0.0, 3.7), (3, 0.0, 3.35), (3, 0.0, 3.0), (3, 0.0, -6.0), (1, 0.0, 0.0),
        (5, 20.0, 3.5), (5, 20.0, -3.5), (5, -10.0, -1.0), (10, 0.0, 2.1),
    ):  # fmt: skip
        z = torch.randn(n, generator=generator, dtype=torch.float64)
        scale = 0.5 + torch.rand(1, generator=generator, dtype=torch.float64)
        if n > 1:  # mean 0, standard error 1
            z = (z - z.mean()) / z.std() * n**0.5
        away = errors_away if n > 1 else 9.0
        words = f"{n} trainings" if n > 1 else "one training"
        cases.append(Case(f"{words}, margin {margin:g}", (margin + scale * (z + away), margin)))
    return cases


def my_verdict(each, margin):
    n = len(each)
    if n == 1:
        return "not decided"
    above = each.mean() - margin
    half_width = stats.t.ppf(0.975, n - 1) * each.std() / n**0.5
    if above > half_width:
        return "holds"
    if above < -half_width:
        return "does not hold"
    return "not decided"


def _verdict(each, margin):
    value, half_width, _ = statistics.over_trainings(each.tolist(), margin)
    return statistics.verdict(value, half_width, margin)


def _ruled(away, half_width):
    """The rule for a mean that is so far above the margin, with so wide a middle."""
    return statistics.verdict(float(away), float(half_width))


def _t(n):
    return stats.t.ppf(0.975, n - 1)


VERDICT = Exercise(
    id="15.1",
    title="the rule",
    minutes=6,
    difficulty=2,
    stub="""
    def my_verdict(each, margin):
        # each: (n,), what each training measured. "holds" if all of the 95 % interval of their mean
        # is above the margin, "does not hold" if all is below, else "not decided". Its half-width
        # is stats.t.ppf(0.975, n - 1) standard errors. One training decides nothing.
        return TODO
    """,
    reference=_verdict,
    cases=measurements,
    wrong=(
        Wrong(
            lambda each, margin: _ruled(each.mean() - margin, 2 * _error(each)),
            "two standard errors are right for many trainings. With three trainings the standard "
            "deviation is itself a guess: chance alone exceeds two standard errors in 18 of 100 "
            "cases, and t is 4.3.",
        ),
        Wrong(
            lambda each, margin: _ruled(
                each.mean() - margin, stats.t.ppf(0.975, len(each)) * _error(each)
            ),
            "you used one degree of freedom too many: n numbers around their own mean have n - 1 "
            "degrees of freedom.",
        ),
        Wrong(
            lambda each, margin: _ruled(each.mean() - margin, _t(len(each)) * each.std()),
            "this is the interval of a *single* training. The standard error of the mean of n "
            "trainings is smaller: divide by the root of n.",
        ),
        Wrong(
            lambda each, margin: _ruled(each.mean(), _t(len(each)) * _error(each)),
            "the margin is missing: a claim of 'by more than 20' is not decided by comparing with 0.",
        ),
        Wrong(
            lambda each, margin: _ruled(each.mean() - margin, 0),
            "the error is not used, so every claim is decided, even those whose difference may be "
            "chance.",
        ),
        Wrong(
            lambda each, margin: (
                "holds" if each.mean() - margin > _t(len(each)) * _error(each) else "does not hold"
            ),
            "a claim that has not been shown is not therefore refuted: if the margin is in the "
            "interval, the claim is 'not decided'.",
        ),
        Wrong(
            lambda each, margin: (
                "holds"
                if abs(each.mean() - margin) > _t(len(each)) * _error(each)
                else "not decided"
            ),
            "your rule ignores the sign: a clear difference in the other direction refutes the "
            "claim.",
        ),
    ),
    alternative=lambda each, margin: (
        "not decided"
        if len(each) == 1 or stats.ttest_1samp(each, margin).pvalue > 0.05
        else ("holds" if each.mean() > margin else "does not hold")
    ),
    hints=(
        "How far above the margin is the mean? And how far does the interval reach?",
        "The standard error is `each.std() / n**0.5`; the interval reaches t standard errors to "
        "either side.",
        "If the mean is above the margin by more than this half-width, the claim holds. If the "
        "mean is below the margin by more than this half-width, the claim does not hold. "
        "Otherwise, and always with one training, the claim is not decided.",
    ),
    solution=my_verdict,
    why="The interval lies above the margin, lies below it, or contains it. The common wrong turn "
    "is to use the quantile of a normal distribution, about 2, in place of Student's t: with "
    "a few trainings the standard deviation is guessed from a few numbers and is often far too "
    "small.",
)


# -- 15.2 --------------------------------------------------------------------------------------
def trainings(generator: torch.Generator) -> list[Case]:
    """top-1 of two methods; seeds and draws of the corruption move both, in part together."""

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    cases = []
    for s, r in ((3, 10), (5, 10), (2, 4)):
        shared = 70 + 2 * normal(s, 1) + 0.3 * normal(s, r)
        better, worse = (shared + gain + 0.5 * normal(s, 1) + 0.2 * normal(s, r) for gain in (6, 0))
        cases.append(Case(f"{s} training seeds, {r} draws", (better, worse)))
    return cases


def my_difference(better, worse):
    by_seed = (better - worse).mean(dim=1)
    return by_seed.mean().item(), (by_seed.std() / len(by_seed) ** 0.5).item()


def _claimed(better, worse):
    """What the ledger makes of the same numbers."""
    rows = [
        (method, s, r, float(value))
        for method, scores in (("better", better), ("worse", worse))
        for s, draws in enumerate(scores)
        for r, value in enumerate(draws)
    ]
    scores = pd.DataFrame(rows, columns=["method", "seed", "realisation", "top1"])
    return statistics.difference(scores, "better", "worse")


def _difference(better, worse):
    each = statistics.by_training(_claimed(better, worse))
    return each.mean(), each.sem()


def _error(values, correction=1):
    return values.std(correction=correction) / len(values) ** 0.5


PAIRED = Exercise(
    id="15.2",
    title="the error of a difference",
    minutes=8,
    difficulty=2,
    stub="""
    def my_difference(better, worse):
        # (S, R) each: top-1 of two methods with the same S training seeds, R draws of the corruption.
        # (mean of better - worse, its standard error over training seeds). Row s belongs to row s.
        return TODO
    """,
    reference=_difference,
    cases=trainings,
    wrong=(
        Wrong(
            lambda better, worse: (
                (better - worse).mean(),
                (_error(better.mean(1)) ** 2 + _error(worse.mean(1)) ** 2) ** 0.5,
            ),
            "you added the squares of two errors, as if the two methods had nothing in common. Take the "
            "difference within each seed first: what a seed does to both then cancels.",
        ),
        Wrong(
            lambda better, worse: (
                (better - worse).mean(),
                _error((better - worse).mean(1), correction=0),
            ),
            "you divided the variance by S; divide it by S - 1. With three seeds this changes the "
            "error by 18 %.",
        ),
        Wrong(
            lambda better, worse: ((better - worse).mean(), (better - worse).mean(1).std()),
            "this is the spread of single differences. The standard error of the mean over S "
            "seeds is smaller: divide by sqrt(S).",
        ),
        Wrong(
            lambda better, worse: ((better - worse).mean(), _error((better - worse).flatten())),
            "all S R differences are taken as independent. The R draws of one seed share one training: "
            "more draws would shrink this error without another training.",
        ),
        Wrong(
            lambda better, worse: (
                (better - worse).mean(),
                statistics.over_draws(_claimed(better, worse)),
            ),
            "this is the error over draws of the corruption, for the networks that were trained. "
            "The exercise asks what another training would change.",
        ),
        Wrong(
            lambda better, worse: ((worse - better).mean(), _error((worse - better).mean(1))),
            "the sign is wrong: the difference is better minus worse.",
        ),
    ),
    alternative=lambda better, worse: (
        better.mean() - worse.mean(),
        (
            torch.tensor([1.0, -1.0], dtype=torch.float64)
            @ torch.cov(torch.stack([better.mean(1), worse.mean(1)]))
            @ torch.tensor([1.0, -1.0], dtype=torch.float64)
            / len(better)
        ).sqrt(),
    ),
    hints=(
        "The thing that is repeated here is a training. So first compute one number per seed. "
        "Which number?",
        "It is the mean over draws of better - worse, which gives S numbers: `(better - "
        "worse).mean(dim=1)`.",
        "Then continue as in exercise 6.4: take their mean, and `std() / S ** 0.5`.",
    ),
    solution=my_difference,
    why="The variance of a difference is the sum of both variances minus twice their covariance, "
    "and a paired design keeps that last term. The common wrong turn is to add the two errors in "
    "squares. That is right only where the two methods share nothing; where they share a network, "
    "the error is far too large.",
)


# -- 15.3 --------------------------------------------------------------------------------------
def _labels(**other: str) -> dict[str, str]:
    small, full = results.label("stickers"), results.label("imagenet100")
    return {"a": small, "b": "quoted", "c": "quoted", "d": small, "e": full} | other


LABELS = Exercise(
    id="15.3",
    title="which label?",
    minutes=4,
    difficulty=1,
    stub="""
    # Each number carries one label: "reproduced", "reduced scale" or "quoted".
    my_labels = {
        "a": TODO,  # in the table above, the student on masks, under "here"
        "b": TODO,  # 83.0, beside it under "paper"
        "c": TODO,  # 62.3, the student asked in words: the authors' result files, not in the paper
        "d": TODO,  # what the student has over the baseline on noise, where claim 1 holds
        "e": TODO,  # your own run on ImageNet-100 at 224 pixels, 25 epochs, one training seed
    }
    """,
    reference=_labels,
    cases=lambda generator: [Case("the labels of a to e")],
    wrong=(
        Wrong(
            lambda: _labels(d="reproduced"),
            "d: *holds* is the verdict on a claim. A label says at which scale the number was "
            "measured, and here that is the small world's scale.",
        ),
        Wrong(
            lambda: _labels(a="reproduced", d="reproduced"),
            "a and d: a number that was measured here is not therefore reproduced. The experiment "
            "is the paper's, but the data, the teacher and the size are not.",
        ),
        Wrong(
            lambda: _labels(c="reproduced"),
            "c: the authors measured it, and nothing was measured here. The number is quoted, "
            "whether it is printed or in a file.",
        ),
        Wrong(
            lambda: _labels(c="reduced scale"),
            "c: it is at the paper's full scale; but nothing was measured here, so it is quoted.",
        ),
        Wrong(
            lambda: _labels(e="reduced scale"),
            "e: with one seed the error over trainings is unknown, and that has to be said beside "
            "the number. But the setting is the paper's, and the authors trained once as well.",
        ),
    ),
    alternative=lambda: dict(reversed(list(_labels().items()))),
    hints=(
        "First ask of each number: was it measured here at all?",
        "If it was, ask whether that was in the paper's own setting or in a smaller one. Whether "
        "it agrees with the paper does not matter.",
        "Two are quoted, two are at reduced scale, one is reproduced.",
    ),
    solution="""
    my_labels = {
        "a": "reduced scale",  # measured here, on the small world
        "b": "quoted",  # Table 1
        "c": "quoted",  # the authors' files: nothing was measured here
        "d": "reduced scale",  # measured here, on the small world; "holds" is the verdict
        "e": "reproduced",  # the paper's own setting; its error over trainings is unknown
    }
    """,
    why="A label says where a number comes from, not how good it is: a reproduced number may "
    "contradict the paper. The common wrong turn is to call every number 'reproduced' that agrees "
    "with the paper.",
)

# -- 15.4 --------------------------------------------------------------------------------------
EXPERIMENTS, DRAWS = 4000, 10


def two_standard_errors(d):
    """The larger of the errors over draws and over trainings, as far as there are several."""
    n = d.shape[1]
    error = (d.var(dim=2).mean(dim=1) / d.shape[2] / n).sqrt()
    if n > 1:
        error = torch.maximum(error, d.mean(dim=2).std(dim=1) / n**0.5)
    return d.mean(dim=(1, 2)).abs() > 2 * error


def students_t(d):
    """The 95 % interval over trainings."""
    each, n = d.mean(dim=2), d.shape[1]
    if n == 1:
        return torch.zeros(len(d), dtype=torch.bool)
    return each.mean(dim=1).abs() > _t(n) * each.std(dim=1) / n**0.5


def rules(generator: torch.Generator) -> list[Case]:
    """Two rules, each for several numbers of trainings."""
    cases = []
    for words, rule in (("two standard errors", two_standard_errors), ("t", students_t)):
        for n in (1, 3, 10):
            seed = int(torch.randint(2**31, (1,), generator=generator))
            drawn = torch.Generator().manual_seed(seed)
            cases.append(Case(f"{words}, trainings: {n}", (rule, n, drawn)))
    return cases


def my_false_share(rule, n, generator):
    luck = torch.randn(4000, n, 1, generator=generator)
    draws = torch.randn(4000, n, 10, generator=generator)
    return 100 * rule(luck + 0.3 * draws).double().mean()


def _share(d, rule):
    return 100 * rule(d).double().mean()


def _lucky(n, generator):
    return torch.randn(EXPERIMENTS, n, 1, generator=generator)


def _drawn(n, generator):
    return 0.3 * torch.randn(EXPERIMENTS, n, DRAWS, generator=generator)


def _experiments(n, generator):
    return _lucky(n, generator) + _drawn(n, generator)


FALSE = Exercise(
    id="15.4",
    title="how often a rule decides where nothing is to decide",
    minutes=9,
    difficulty=3,
    stub="""
    def my_false_share(rule, n, generator):
        # 4000 experiments of n trainings with 10 draws each, where two methods are alike. What a
        # training measures: its luck, torch.randn(4000, n, 1, generator=generator), drawn first,
        # and for each draw 0.3 times torch.randn(4000, n, 10, generator=generator).
        # rule: (4000, n, 10) -> (4000,), True where it decides. In how many percent does it?
        return TODO
    """,
    reference=lambda rule, n, generator: _share(_experiments(n, generator), rule),
    cases=rules,
    wrong=(
        Wrong(
            lambda rule, n, generator: _share(
                0 * _lucky(n, generator) + _drawn(n, generator), rule
            ),
            "the luck of the trainings is missing: only the draws vary, as if all networks were "
            "one. Then the error over draws would be the whole error, and that is not so.",
        ),
        Wrong(
            lambda rule, n, generator: _share(
                _lucky(n, generator)[:1] + _drawn(n, generator), rule
            ),
            "you drew one luck for all experiments. Each of the 4000 experiments has n new "
            "trainings, and each training has its own luck.",
        ),
        Wrong(
            lambda rule, n, generator: _share(
                _lucky(n, generator)[:, :1] + _drawn(n, generator), rule
            ),
            "the n trainings of an experiment share their luck, as if one network were scored n "
            "times; each training has its own.",
        ),
        Wrong(
            lambda rule, n, generator: _share(_experiments(n, generator), rule) / 100,
            "this is a share between 0 and 1; in percent it is a hundred times that.",
        ),
        Wrong(
            lambda rule, n, generator: 100 - _share(_experiments(n, generator), rule),
            "this is how often the rule rightly says 'not decided'; the exercise asks how often "
            "it decides.",
        ),
    ),
    alternative=lambda rule, n, generator: torch.tensor(
        [100.0 * bool(one) for one in rule(_experiments(n, generator))], dtype=torch.float64
    ).mean(),
    hints=(
        "Draw all 4000 experiments at once: the luck has the shape (4000, n, 1), and the draws "
        "have (4000, n, 10).",
        "Their sum broadcasts: the ten draws of a training share its luck. Do not forget the 0.3.",
        "`rule(luck + 0.3 * draws)` is True where the rule decides. Convert it to floats, and "
        "take the mean times 100.",
    ),
    solution=my_false_share,
    why="Where there is nothing to decide, every decision is false, so this share is the rule's "
    "own error. A 95 % interval promises 5 %. The common wrong turn is to simulate without the "
    "trainings' luck: then every rule looks honest, because the very error that the rule "
    "overlooks has been left out.",
)


# -- 15.5 --------------------------------------------------------------------------------------
CLOSE = 0.015  # a simulation of some thousand plans is not surer of a chance


def _chance(m, spread, reach):
    """How likely the interval of m trainings reaches no further than `reach`."""
    most = reach * m**0.5 / _t(m)  # what their standard deviation may be
    return stats.chi2.cdf((m - 1) * (most / spread) ** 2, m - 1)


def _smallest(enough):
    return next(m for m in range(2, 1000) if enough(m))


def plans(generator: torch.Generator) -> list[Case]:
    """A spread, how far the interval shall reach, and how sure one wants to be of it."""
    cases = []
    while len(cases) < 5:
        spread, ratio, chance = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
        spread, chance = 1 + 4 * spread, 0.6 + 0.35 * chance
        reach = spread * (0.4 + 1.2 * ratio)
        m = _smallest(lambda m, s=spread, r=reach, c=chance: _chance(m, s, r) >= c)
        near = [abs(_chance(k, spread, reach) - chance) for k in (m - 1, m) if k > 1]
        if min(near) > 2 * CLOSE:  # where a simulation finds the same
            words = f"spread {spread:.1f}, reach {reach:.1f}, chance {100 * chance:.0f} %"
            cases.append(Case(words, (spread, reach, chance)))
    return cases


def my_trainings(spread, reach, chance):
    m = 2
    while True:
        most = reach * m**0.5 / stats.t.ppf(0.975, m - 1)  # the largest spread that will do
        if stats.chi2.cdf((m - 1) * (most / spread) ** 2, m - 1) >= chance:
            return m
        m += 1


def _simulated(spread, reach, chance):
    """The same by 20,000 plans for each number of trainings."""
    generator = torch.Generator().manual_seed(0)
    for m in range(2, 1000):
        each = spread * torch.randn(20_000, m, generator=generator, dtype=torch.float64)
        if (_t(m) * each.std(dim=1) / m**0.5 <= reach).double().mean() >= chance:
            return m
    return None


def _judge_plan(got, spread, reach, chance) -> str | None:
    m = int(got)
    if m != got or m < 2:
        return f"{got} is no number of trainings; expected a whole number, 2 or more"
    if _chance(m, spread, reach) < chance - CLOSE:
        reached = 100 * _chance(m, spread, reach)
        return f"{m} trainings are too few: {reached:.0f} of 100 such plans reach the goal"
    if m > 2 and _chance(m - 1, spread, reach) > chance + CLOSE:
        return f"{m} trainings are more than needed: one fewer is likely enough to reach the goal"
    return None


PLAN = Exercise(
    id="15.5",
    title="how many trainings",
    minutes=25,
    difficulty=3,
    stub="""
    def my_trainings(spread, reach, chance):
        # spread: the standard deviation of what one training measures. The smallest number m of
        # trainings whose 95 % interval reaches at most `reach` to either side, with a probability
        # of at least `chance`. The interval uses the standard deviation s of the m trainings, and
        # (m - 1) s^2 / spread^2 has a chi-squared distribution with m - 1 degrees of freedom.
        return TODO
    """,
    reference=lambda spread, reach, chance: _smallest(
        lambda m: _chance(m, spread, reach) >= chance
    ),
    cases=plans,
    judge=_judge_plan,
    wrong=(
        Wrong(
            lambda spread, reach, chance: _smallest(lambda m: 1.96 * spread / m**0.5 <= reach),
            "1.96 is the quantile for a spread that is known. The interval of few trainings uses "
            "Student's t, which is 4.3 for three of them.",
        ),
        Wrong(
            lambda spread, reach, chance: _smallest(lambda m: _t(m) * spread / m**0.5 <= reach),
            "you supposed that m trainings will show exactly this spread. Their standard "
            "deviation scatters around it, so about half of such plans miss the goal: your answer "
            "has to depend on `chance`.",
        ),
        Wrong(
            lambda spread, reach, chance: _smallest(
                lambda m: stats.chi2.cdf((m - 1) * reach * m**0.5 / _t(m) / spread, m - 1) >= chance
            ),
            "it is the *square* of s / spread, times m - 1, that has a chi-squared distribution.",
        ),
        Wrong(
            lambda spread, reach, chance: _smallest(
                lambda m: _chance(m, spread, reach) >= 1 - chance
            ),
            "this is the number that *misses* the goal with a probability of `chance`.",
        ),
        Wrong(
            lambda spread, reach, chance: (
                _smallest(lambda m: _chance(m, spread, reach) >= chance) - 1
            ),
            "this is one training too few: it is the last number that is not likely enough.",
        ),
    ),
    alternative=_simulated,
    hints=(
        "Try m = 2, 3, 4, ... and stop at the first m whose interval is likely to be narrow "
        "enough. When is it narrow enough?",
        "It is narrow enough if `t * s / m**0.5 <= reach`, with `t = stats.t.ppf(0.975, m - 1)`. "
        "So how large may s be?",
        "So s may be at most `most = reach * m**0.5 / t`. The probability of this is "
        "`stats.chi2.cdf((m - 1) * (most / spread)**2, m - 1)`.",
    ),
    solution=my_trainings,
    why="An interval of half the width does not take four times as many trainings. With more "
    "trainings t becomes smaller as well: from 4.3 for three and 2.8 for five towards 2. So fewer "
    "than four times as many are enough on average. The common wrong turn is to plan as if the trainings were "
    "sure to show exactly this spread: then half of the plans miss the goal.",
)

EXERCISES = (VERDICT, PAIRED, LABELS, FALSE, PLAN)

PREDICTIONS = (
    Prediction(
        "15.A",
        "Take claim 47 under blur. With five trainings each, the student is 0.2 points ahead of "
        "the baseline from R in the mean. What is the verdict?",
        options=("holds", "does not hold", "not decided"),
    ),
    Prediction(
        "15.B",
        "Two methods that are alike have three trainings each. In how many percent of such "
        "experiments does the rule of two standard errors find one of them better?",
        tolerance=3.0,
        digits=0,
    ),
)
