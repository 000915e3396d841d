"""Predictions: the reader commits to a guess before the result is shown, and is scored."""

import math
import re
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from IPython.display import display

from cinv_lib.course.workbook import exercise as book
from cinv_lib.course.workbook import progress_record
from cinv_lib.course.workbook.exercise import Prediction
from cinv_lib.course.workbook.page import Page
from cinv_lib.course.workbook.todo import TODO, has_todo

DECIMAL_COMMA = re.compile(r"\s*(-?\d+),(\d+)\s*")


def predict(id: str, guess: Any = TODO, *more: Any, among: Collection[str] | None = None) -> None:
    """Commit to a guess; until the result has been shown it may be changed.

    more: what Python makes of a decimal comma, as in 0,7: it is refused in a sentence.
    among: of the options those that this profile has; None for all.

    Raises:
        KeyError: there is no such prediction.
        ValueError: it has none of the options in `among`.
    """
    prediction = book.find_prediction(id)
    if among is not None:
        options = tuple(option for option in prediction.options if option in among)
        if not options:
            raise ValueError(f"{id}: {[*among]}: expected some of {', '.join(prediction.options)}")
        prediction = replace(prediction, options=options)
    display(committed(prediction, (guess, *more) if more else guess))


def reveal(id: str, truth: Any) -> None:
    """Show the result beside the guess, and score the guess.

    Raises:
        KeyError: there is no such prediction.
    """
    display(revealed(book.find_prediction(id), truth))


def committed(prediction: Prediction, guess: Any) -> Page:
    """What `predict` shows."""
    name = f"Prediction {prediction.id}"
    before = progress_record.load()["predictions"].get(prediction.id, {})
    if "points" in before:
        page = Page(f"{name}: your guess {before['guess']} has been scored", "right")
        return page.line(prediction.question)
    if has_todo(guess):
        page = Page(f"{name}: no guess yet").line(prediction.question)
        if prediction.options:
            page.items(repr(option) for option in prediction.options)
        return page.line("Put your guess in place of `TODO` and run the cell before you go on.")
    guess = _spelled(prediction, guess)
    wrong = _unfit(prediction, guess)
    if wrong:
        return Page(f"{name}: that is no guess", "wrong").line(prediction.question).line(wrong)
    kept = guess if prediction.options else float(guess)

    def note(entry: dict) -> None:
        if "points" not in entry:  # another notebook may have shown the result meanwhile
            entry["guess"] = kept

    kept = progress_record.change("predictions", prediction.id, note)["guess"]
    return Page(f"{name}: your guess is {kept}").line(prediction.question)


def revealed(prediction: Prediction, truth: Any) -> Page:
    """What `reveal` shows."""
    name = f"Prediction {prediction.id}"
    truth = truth if prediction.options else float(truth)
    shown = truth if prediction.options else f"{truth:.{prediction.digits}f}"
    entry = progress_record.load()["predictions"].get(prediction.id, {})
    if "guess" not in entry or _unfit(prediction, entry["guess"]):
        return Page(f"{name}: the answer is {shown}; no guess was made").line(prediction.question)
    if "points" not in entry:
        scored = {"points": score(prediction, entry["guess"], truth), "at": progress_record.now()}
        entry = progress_record.change("predictions", prediction.id, lambda e: e.update(scored))
    points = entry["points"]
    verdict = {1.0: "right", 0.5: "near"}.get(points, "not this time")
    said = f"you said {entry['guess']}, it is {shown}: {verdict}, {points:g} of 1 point"
    return Page(f"{name}: {said}", "right" if points else "wrong").line(prediction.question)


def score(prediction: Prediction, guess: Any, truth: Any) -> float:
    """1 for a right guess, a half for a number within three tolerances, else 0."""
    if prediction.options:
        return float(guess == truth)
    off = round(abs(guess - truth) / prediction.tolerance, 6)  # 3.1 - 3 is more than 0.1
    return 1.0 if off <= 1 else 0.5 if off <= 3 else 0.0


def _spelled(prediction: Prediction, guess: Any) -> Any:
    """A guess as its option is spelled: "Above" and "50%" are meant for "above" and "50 %"."""

    def plain(text: str) -> str:
        return "".join(text.casefold().split())

    options = prediction.options or ()  # None for a number
    same = [o for o in options if isinstance(guess, str) and plain(o) == plain(guess)]
    return same[0] if same else guess


def _unfit(prediction: Prediction, guess: Any) -> str:
    if prediction.options:
        there = ", ".join(map(repr, prediction.options))
        fit = isinstance(guess, str) and guess in prediction.options
        return "" if fit else f"you gave {guess!r}, expected one of {there}."
    try:
        fit = math.isfinite(float(guess))
    except (TypeError, ValueError, RuntimeError, OverflowError):  # RuntimeError: torch's
        fit = False
    if fit:
        return ""
    comma = DECIMAL_COMMA.fullmatch(guess if isinstance(guess, str) else _written(guess))
    if comma:
        return f"write {comma[1]}.{comma[2]}: Python's decimal sign is a point, not a comma."
    return f"you gave {guess!r}, expected a number."


def _written(guess: Any) -> str:
    """How two whole numbers were written, as "0,7" for 0 and 7. (Python has dropped noughts: 0,07
    is a syntax error, so nothing is lost.)"""
    both = isinstance(guess, tuple) and len(guess) == 2 and all(type(g) is int for g in guess)
    return f"{guess[0]},{guess[1]}" if both else ""
