"""Texts of operators and losses by their grammar, whole and broken: parse(str(x)) == x, and
everything else is a ValueError in a sentence."""

import math
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from cinv_lib import losses, operators
from cinv_lib.losses import Loss
from cinv_lib.losses.equations import PULLS, VARIANTS
from cinv_lib.operators import Identity, Mixture, OneOf
from cinv_lib.operators.base import OPERATORS
from tests.campaign.judge import Outcome, lost, said, survived, unclear
from tests.campaign.trials import Settings, Trial

NUMBER = 1_000  # of each of the four
ODD = ("", " ", ":", "..", "...", "@", "+", "|", ",", "=", "-", "e", "nan", "inf", "-0", "1e999",
       "0x1", "1_0", "٣", "½", "\0", "\n", "ä", "mask", "MASK", "noise", "blur", "identity", "mse",
       "st", "nt", "weight", "centred", "weight=", "0.9", "0..1", "1..0", "9" * 400, "\ud800",
       "True", "None", "[0,1]", "__import__('os')", "{}", "%s", "../../x")  # fmt: skip


def texts(settings: Settings) -> Iterator[Trial]:
    """Objects to text and back; texts that are broken."""
    for what, run in (
        ("operator", partial(there_and_back, operator, operators.parse)),
        ("loss", partial(there_and_back, loss, losses.parse)),
        ("operator's text", partial(broken, operator, operators.parse)),
        ("loss's text", partial(broken, loss, losses.parse)),
    ):
        for i in settings.number(NUMBER):
            yield Trial("texts", f"{what} {i:04}", run, short=True)


def _number(chance: random.Random, low: float, high: float) -> float:
    high = min(high, 1e6)
    tiny = math.ldexp(chance.random(), -chance.randrange(1000))
    drawn = chance.choice([low, high, tiny, round(chance.uniform(low, high), 2),
                           chance.uniform(low, high), float(chance.randint(0, 9))])  # fmt: skip
    return min(max(drawn, low), high)


def part(chance: random.Random) -> operators.Operator:
    """An operator of one part."""
    name = chance.choice(["identity", "mask", "noise", "blur"])
    if name == "identity":
        return Identity()
    made = OPERATORS[name]
    ends = sorted(_number(chance, *made.limits) for _ in range(2))
    return made(ends[0]) if chance.random() < 0.5 else made(tuple(ends))


def operator(chance: random.Random) -> operators.Operator:
    """Any operator that there is a text for."""
    kind = chance.randrange(4)
    parts = tuple(part(chance) for _ in range(chance.randint(2 if kind == 3 else 1, 4)))
    if kind == 2:
        return Mixture(parts, tuple(_number(chance, 0, 1) for _ in parts))
    return OneOf(parts) if kind == 3 else parts[0]


def loss(chance: random.Random) -> Loss:
    """Any loss."""
    name, centred = chance.choice([*VARIANTS, *PULLS]), chance.random() < 0.5
    if name in PULLS:
        return Loss(name, centred=centred and name != "raw_mse")
    tau = max(_number(chance, 0, 100), 5e-324)
    return Loss(name, tau, chance.choice([1, _number(chance, 0, 10)]), centred)


def there_and_back(
    make: Callable[[random.Random], Any], parse: Callable, _: Path, chance: random.Random
) -> Outcome:
    thing = make(chance)
    back, wrong = said(lambda: parse(str(thing)), [str(thing)])
    if wrong:
        return lost(f"{str(thing)!r} is not read: {wrong.words}")
    if back != thing or str(back) != str(thing):
        return lost(f"{str(thing)!r} is read as {back!r}, which is not {thing!r}")
    return survived(str(thing))


def broken(
    make: Callable[[random.Random], Any], parse: Callable, _: Path, chance: random.Random
) -> Outcome:
    text = str(make(chance))
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text) + 1)
        text = chance.choice([
            text[:at] + chance.choice(ODD) + text[at:],
            text[:at] + text[at + 1 :],
            text[:at] + str(make(chance)),
            text[:at] + chr(chance.randrange(0x2100)) + text[at:],
        ])  # fmt: skip
    try:
        thing = parse(text)
    except ValueError:
        _, wrong = said(lambda: parse(text), [part for part in repr(text)[1:-1].split() if part])
        pieces = [p for p in _pieces(text) if p]
        _, named = said(lambda: parse(text), [repr(p)[1:-1] for p in pieces] or ["''"])
        return wrong if wrong and wrong.state == "survived" else named or survived()
    except Exception as error:
        return unclear(f"{text!r}: {type(error).__name__}: {error}")
    if parse(str(thing)) != thing:
        return lost(f"{text!r} is read as {thing!r}, whose text is another")
    return survived(f"{text!r} is {thing}")


def _pieces(text: str) -> list[str]:
    """What an error may name of a text: its parts, names and numbers."""
    pieces = [text, text.strip()]
    for mark in "|+,@:=":
        pieces += [p for piece in list(pieces) for p in (*piece.split(mark), *piece.split(".."))]
    pieces += [f"{float(p):g}" for p in pieces if _is_number(p)]
    return pieces + [str(float(p)) for p in pieces if _is_number(p)]


def _is_number(text: str) -> bool:
    try:
        return bool(text) and len(text) < 500 and float(text) == float(text)
    except (ValueError, OverflowError):
        return False
