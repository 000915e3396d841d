"""The published strengths: 19 types, 5 severities, for pictures of 224, 64 and 32 pixels.

`published.json` has them, from github.com/hendrycks/robustness, ImageNet-C/create_c:
make_imagenet_c.py (224 px, ImageNet-C), make_tinyimagenet_c.py (64 px, Tiny-ImageNet-C) and
make_cifar_c.py (32 px, CIFAR-10-C). A type takes its numbers as keyword arguments of the same
names, and says there what they do. Noise is on the scale where white is 1, lengths are in pixels.
"""

import json
import math
from pathlib import Path

SIDES = (224, 64, 32)
# type -> side -> what the numbers are -> the numbers of severities 1 to 5
TABLE = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
# Lengths that are published as shares of a side; 244 for 224 is the published code's own slip.
SHARES = {"elastic_transform": {224: 244, 64: 64, 32: 32}}


def parameters(name: str, side: int) -> tuple[dict[str, float | int], ...]:
    """The five severities of a type, each as {what it is: number}, from the nearest published side
    (in ratio: 224, 64 or 32).

    Raises ValueError for a name that is not there, or a side below 1.

    >>> parameters("glass_blur", 64)[4]
    {'sigma': 0.9, 'reach': 2, 'rounds': 2}
    """
    if name not in TABLE:
        raise ValueError(f"unknown corruption {name!r}; expected one of {', '.join(TABLE)}")
    if side < 1:
        raise ValueError(f"side is {side}; expected the shorter side of the pictures in pixels")
    nearest = min(SIDES, key=lambda known: abs(math.log(known / side)))
    columns = TABLE[name][str(nearest)]
    unit = SHARES[name][nearest] if name in SHARES else 1
    rows = zip(*columns.values(), strict=True)
    return tuple({key: unit * x for key, x in zip(columns, row, strict=True)} for row in rows)
