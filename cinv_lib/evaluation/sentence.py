"""A measured difference in words. The verb comes from its interval over trainings alone."""

import math
from collections.abc import Iterable, Mapping

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def count(n: int, thing: str = "", things: str = "") -> str:
    """A number as a word up to ten, and what is counted, in the right form.

    >>> count(1, "training"), count(3, "training"), count(12, "class", "classes")
    ('one training', 'three trainings', '12 classes')
    """
    number = NUMBERS[n] if 0 <= n < len(NUMBERS) else f"{n:,}"
    return f"{number} {thing if n == 1 else things or thing + 's'}" if thing else number


def points(value: float) -> str:
    """An amount of points, without its sign.

    >>> points(-5.24), points(1.0)
    ('5.2 points', '1.0 points')
    """
    return f"{abs(value):.1f} points"


def lead(
    who: str, whom: str, value: float, half_width: float, trainings: int, level: float = 0.0
) -> str:
    """`who` against `whom` as a clause, without a full stop.

    Args:
        value: `who` minus `whom`, in points.
        half_width: of its 95 % interval over trainings; NaN where there is no interval.
        trainings: how many trainings the interval rests on.
        level: where the whole interval is within this many points of 0, the two are level.

    >>> lead("the student", "the baseline", 5.2, 2.0, 5)
    'the student leads the baseline by 5.2 points'
    >>> lead("the student", "the baseline", -5.2, 2.0, 5)
    'the student trails the baseline by 5.2 points'
    >>> lead("the student", "CLIP", 0.1, 0.5, 5, level=1.0)
    'the student is level with CLIP within 1.0 points'
    >>> lead("the student", "the baseline", 5.2, 9.2, 3)
    'three trainings do not decide between the student and the baseline (5.2 ± 9.2 points)'
    >>> lead("the student", "the baseline", 5.2, float("nan"), 1)
    'one training does not decide between the student and the baseline (5.2 points)'
    """
    if math.isnan(half_width):
        return f"{_undecided(trainings)} between {who} and {whom} ({value:.1f} points)"
    if abs(value) + half_width < level:
        return f"{who} is level with {whom} within {points(level)}"
    if abs(value) > half_width:
        return f"{who} {'leads' if value > 0 else 'trails'} {whom} by {points(value)}"
    return (
        f"{_undecided(trainings)} between {who} and {whom} ({value:.1f} ± {half_width:.1f} points)"
    )


def tally(verdicts: Iterable[str], thing: str, whom: str, things: str = "") -> str:
    """How many of several things lead `whom`, trail it, or are not decided, as clauses.

    verdicts: of "it is better", as `statistics.verdict` says them.

    >>> tally(["holds", "holds", "not decided"], "loss", "ST", "losses")
    'two of three losses lead ST, none trails it, and one is not decided'
    >>> tally(["not decided"] * 2, "type", "the baseline")
    'of two types none leads the baseline, none trails it, and two are not decided'
    """
    said = list(verdicts)
    won, lost = said.count("holds"), said.count("does not hold")
    left, every = len(said) - won - lost, count(len(said), thing, things)
    first = f"{count(won)} of {every} {'leads' if won == 1 else 'lead'} {whom}"
    if not won:
        first = f"of {every} none leads {whom}"
    second = (
        "none trails it" if not lost else f"{count(lost)} {'trails' if lost == 1 else 'trail'} it"
    )
    if not left:
        return f"{first} and {second}"
    return f"{first}, {second}, and {count(left)} {'is' if left == 1 else 'are'} not decided"


def _undecided(trainings: int) -> str:
    return f"{count(trainings, 'training')} {'does' if trainings == 1 else 'do'} not decide"


def sentence(*clauses: str, long: bool = False) -> str:
    """Clauses as one sentence, with a capital and a full stop; between two `long` ones is a comma.

    >>> sentence("on masks the student leads", "on noise it trails", "on blur it leads")
    'On masks the student leads, on noise it trails, and on blur it leads.'
    """
    *first, last = clauses
    text = (
        ", ".join(first) + (f"{',' if long or len(first) > 1 else ''} and " if first else "") + last
    )
    return f"{text[0].upper()}{text[1:]}."


def listed(words: Iterable[str]) -> str:
    """Words with commas and an "and".

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    *first, last = words
    return ", ".join(first) + (" and " if first else "") + last


def lead_by_place(
    who: str, whom: str, rows: Mapping[str, tuple[float, float]], trainings: int
) -> list[str]:
    """`who` against `whom` at several places, as clauses: where it leads, where it trails, and
    where the trainings do not decide.

    Args:
        rows: place -> (`who` minus `whom` in points, the half-width of its 95 % interval).

    >>> found = {"under masks": (5.2, 9.2), "under noise": (8.0, 1.0), "under blur": (7.6, 0.6)}
    >>> for clause in lead_by_place("the student", "the baseline", found, 3):
    ...     print(clause)
    the student leads the baseline by 8.0 points under noise and 7.6 points under blur
    three trainings do not decide between them under masks (5.2 ± 9.2 points)
    >>> lead_by_place("S", "R", {"on faces": (1.0, math.nan)}, 1)
    ['one training does not decide between S and R on faces (1.0 points)']
    """
    clauses: list[str] = []
    for verb, sign in (("leads", 1), ("trails", -1)):
        by = [f"{points(v)} {place}" for place, (v, half) in rows.items() if sign * v > half]
        if by:
            both = f"{who} {verb} {whom}" if not clauses else f"{verb} it"
            clauses.append(f"{both} by {listed(by)}")
    left = [
        f"{place} ({value:.1f}{'' if math.isnan(half) else f' ± {half:.1f}'} points)"
        for place, (value, half) in rows.items()
        if not abs(value) > half
    ]
    if left:
        both = "them" if clauses else f"{who} and {whom}"
        clauses.append(f"{_undecided(trainings)} between {both} {listed(left)}")
    return clauses


def lead_counted(
    who: str, whom: str, rows: Mapping[str, tuple[float, float]], trainings: int, things: str
) -> list[str]:
    """The same at so many places that they are counted: where `who` leads, trails, and neither.

    Args:
        rows: as of `lead_by_place`.
        things: what the places are called.

    >>> found = {"a": (5.2, 1.0), "b": (8.0, 1.0), "c": (-2.0, 0.5), "d": (0.5, 3.0)}
    >>> for clause in lead_counted("the student", "CLIP", found, 3, "operators"):
    ...     print(clause)
    the student leads CLIP under two of four operators by 5.2 to 8.0 points
    trails it under one by 2.0 points
    three trainings do not decide between them under one (0.5 points)
    >>> lead_counted("S", "R", {"a": (1.0, math.nan), "b": (2.0, math.nan)}, 1, "operators")
    ['one training does not decide between S and R under two operators (1.0 to 2.0 points)']
    """
    clauses: list[str] = []
    first = f" of {count(len(rows))} {things}"
    for verb, sign in (("leads", 1), ("trails", -1)):
        by = [sign * v for v, half in rows.values() if sign * v > half]
        if by:
            both = f"{who} {verb} {whom}" if not clauses else f"{verb} it"
            clauses.append(f"{both} under {count(len(by))}{first} by {_span(by)}")
            first = ""
    left = [v for v, half in rows.values() if not abs(v) > half]
    if left:
        both = f"{who} and {whom} under {count(len(left))} {things}"
        both = f"them under {count(len(left))}" if clauses else both
        clauses.append(f"{_undecided(trainings)} between {both} ({_span(left)})")
    return clauses


def _span(values: Iterable[float]) -> str:
    low, high = min(values := list(values)), max(values)
    return f"{low:.1f} points" if low == high else f"{low:.1f} to {high:.1f} points"
