"""Exercises of lesson 15: a verdict, the error of a difference, the label of a number."""

import pandas as pd
import torch

from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong
from cinv_lib.evaluation import statistics
from cinv_lib.paper import results


# -- 15.1 --------------------------------------------------------------------------------------
def measurements(generator: torch.Generator) -> list[Case]:
    """Differences above, near and below a margin; in whole tenths of a point."""
    cases = []
    for margin, errors_away in (
        (0.0, 3.0), (0.0, 1.5), (0.0, 0.5), (0.0, -3.0),
        (20.0, 3.0), (20.0, -3.0), (-10.0, 3.0), (-10.0, -1.5),
    ):  # fmt: skip
        error = round(0.6 + torch.rand(1, generator=generator).item(), 1)
        value = round(margin + errors_away * error, 1)
        words = f"{value:+.1f} ± {error:.1f}, margin {margin:g}"
        cases.append(Case(words, (value, error, margin)))
    return cases


def my_verdict(value, error, margin):
    above = value - margin
    if above > 2 * error:
        return "holds"
    if above < -2 * error:
        return "does not hold"
    return "not decided"


def _ruled(away, width):
    """The rule for a difference that is so far above the margin, with so wide a middle."""
    return "holds" if away > width else "does not hold" if away < -width else "not decided"


VERDICT = Exercise(
    id="15.1",
    title="the rule",
    minutes=4,
    difficulty=1,
    stub="""
    def my_verdict(value, error, margin):
        # "holds", "does not hold" or "not decided". Two standard errors from the margin decide.
        return TODO
    """,
    reference=statistics.verdict,
    cases=measurements,
    wrong=(
        Wrong(
            lambda value, error, margin: _ruled(value - margin, error),
            "one standard error is not enough: pure chance is further off in every third measurement. "
            "The rule has two, and chance is further off in one of twenty.",
        ),
        Wrong(
            lambda value, error, margin: _ruled(value, 2 * error),
            "the margin is missing: a claim of 'by more than 20' is not decided by comparing with 0.",
        ),
        Wrong(
            lambda value, error, margin: _ruled(value - margin, 0),
            "the error is not used, so every claim is decided, also those that chance decides.",
        ),
        Wrong(
            lambda value, error, margin: "holds" if value - margin > 2 * error else "does not hold",
            "what has not been shown is not thereby refuted: within two errors of the margin, on either "
            "side, it is 'not decided'.",
        ),
        Wrong(
            lambda value, error, margin: (
                "holds" if abs(value - margin) > 2 * error else "not decided"
            ),
            "the sign is lost: a clear difference in the other direction refutes the claim.",
        ),
    ),
    alternative=lambda value, error, margin: ("does not hold", "not decided", "holds")[
        1 + (value - 2 * error > margin) - (value + 2 * error < margin)
    ],
    hints=(
        "How far above the margin is the difference? And how many errors is that?",
        "More than two errors above: it holds. More than two below: it does not.",
        "Everything between is 'not decided', on both sides of the margin.",
    ),
    solution=my_verdict,
    why="The interval of two errors on either side of the difference is above the margin, below it, or "
    "has it inside. The common wrong turn is to have two verdicts only: then a measurement that is too "
    "coarse to tell counts as evidence against the claim.",
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
    pairs = _claimed(better, worse)
    return pairs.groupby("seed").difference.mean().mean(), statistics.standard_errors(pairs)[1]


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
            "the variance is divided by S; it must be S - 1. With three seeds that is 18 % of the error.",
        ),
        Wrong(
            lambda better, worse: ((better - worse).mean(), (better - worse).mean(1).std()),
            "this is the spread of single differences. The mean over S seeds is surer by sqrt(S).",
        ),
        Wrong(
            lambda better, worse: ((better - worse).mean(), _error((better - worse).flatten())),
            "all S R differences are taken as independent. The R draws of one seed share one training: "
            "more draws would shrink this error without another training.",
        ),
        Wrong(
            lambda better, worse: (
                (better - worse).mean(),
                statistics.standard_errors(_claimed(better, worse))[0],
            ),
            "this is the error over draws of the corruption, for the networks that were trained. Here "
            "it is asked what another training would change.",
        ),
        Wrong(
            lambda better, worse: ((worse - better).mean(), _error((worse - better).mean(1))),
            "the sign: it is better minus worse.",
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
        "What is drawn again here is a training. So make one number a seed first: which?",
        "The mean over draws of better - worse: S numbers, `(better - worse).mean(dim=1)`.",
        "Then as in exercise 6.4: their mean, and `std() / S ** 0.5`.",
    ),
    solution=my_difference,
    why="The variance of a difference is the sum of both variances minus twice their covariance, and a "
    "paired design keeps that last term. The common wrong turn is to add the two errors in squares. It "
    "is right only where the two share nothing; where they share a network it is far too large.",
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
        "a": TODO,  # in the table above, the student on mask:0.9, under "here"
        "b": TODO,  # 83.0, beside it under "paper"
        "c": TODO,  # 62.3, the student asked in words: the authors' result files, not in the paper
        "d": TODO,  # what the student has over the baseline on mask:0.9: claim 1, which holds
        "e": TODO,  # your own run on ImageNet-100 at 224 pixels, 25 epochs, one training seed
    }
    """,
    reference=_labels,
    cases=lambda generator: [Case("the labels of a to e")],
    wrong=(
        Wrong(
            lambda: _labels(d="reproduced"),
            "d: that a claim *holds* is a verdict. The label says at which scale it was measured, and "
            "that is the small world's.",
        ),
        Wrong(
            lambda: _labels(a="reproduced", d="reproduced"),
            "a and d: measured here is not yet reproduced. The experiment is the paper's, but data, "
            "teacher and size are not.",
        ),
        Wrong(
            lambda: _labels(c="reproduced"),
            "c: the authors measured it, and nothing was measured here. Printed or in a file, it is "
            "quoted.",
        ),
        Wrong(
            lambda: _labels(c="reduced scale"),
            "c: it is at the paper's full scale; but nothing was measured here, so it is quoted.",
        ),
        Wrong(
            lambda: _labels(e="reduced scale"),
            "e: one seed leaves the error over trainings unknown, which is to be said beside the number. "
            "The setting is the paper's, which trained once as well.",
        ),
    ),
    alternative=lambda: dict(reversed(list(_labels().items()))),
    hints=(
        "First ask: was it measured here at all?",
        "If so: in the paper's own setting, or on a smaller one? Whether it agrees does not matter.",
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
    why="A label tells where a number comes from, never how good it is: a reproduced number may "
    "contradict the paper. The common wrong turn is to call 'reproduced' whatever agrees with it.",
)

EXERCISES = (VERDICT, PAIRED, LABELS)

PREDICTIONS = (
    Prediction(
        "15.A",
        'Which of claims 1 to 6 will not hold for all three operators? Give its number, as "1".',
        options=("1", "2", "3", "4", "5", "6", "none"),
    ),
)
