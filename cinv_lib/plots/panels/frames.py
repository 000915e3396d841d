"""A panel for pages without a kernel: its picture and text at a few stops of every control.

The kernel that made a panel draws its frames, as nothing else has its pictures and models: a lesson
that runs with `CINV_FRAMES` (a folder) writes them there when the panel is shown, one file for each
picture, named by its hash. What a page needs besides goes into the output, as `MIME`.

A control may say how it moves on a page, by what `panel.labelled` takes: `stops` (values, or how
many), `words` (a value as text) and `when` (another control and the value at which this one
counts). Without that it has sensible stops.
"""

import hashlib
import io
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from cinv_lib.machine.files import whole
from cinv_lib.plots import style

FOLDER, FEWER = "CINV_FRAMES", "CINV_FRAMES_MOST"
MIME = "application/vnd.cinv.frames+json"
MOST, WEIGHT = 120, 5_000_000  # frames and bytes of a panel
LONGEST, SHORT = 31, 5  # stops of the first slider and of others, where none are named
QUALITY = 80

Picture = Image.Image | Figure
Render = Callable[..., tuple[Picture, str]]


@dataclass(frozen=True)
class Part:
    """A control as a page has it: what it can be set to, in values and in words.

    at: the stop where it stands first. when: the places of an earlier control and of its stop, at
    which this one counts; otherwise it is hidden, and its first stop stands for all.
    """

    name: str
    label: str
    menu: bool
    stops: tuple[Any, ...]
    words: tuple[str, ...]
    at: int
    when: tuple[int, int] | None = None

    def thinner(self) -> "Part":
        """Every second of the stops, the first one among them."""
        kept = range(self.at % 2, len(self.stops), 2)
        stops, words = (tuple(row[k] for k in kept) for row in (self.stops, self.words))
        return replace(self, stops=stops, words=words, at=self.at // 2)


def parts(controls: Mapping[str, Any]) -> list[Part]:
    """The controls with their stops, together at most `MOST` states.

    Raises:
        TypeError: a control that no page can have, as one that takes the reader's file.
        ValueError: the named stops are more than `MOST` states, or name a later control.
    """
    stops = {name: _named(name, control) for name, control in controls.items()}
    free = [name for name, row in stops.items() if not row]
    certain = [row for name, row in stops.items() if not getattr(controls[name], "when", None)]
    left = max(1, MOST // math.prod(max(1, len(row)) for row in certain))
    for name in free[1:]:
        stops[name] = spread(controls[name], SHORT if left >= 2 * SHORT else 1)
        left //= len(stops[name])
    for name in free[:1]:
        stops[name] = spread(controls[name], min(LONGEST, left))
    made: list[Part] = []
    for name, control in controls.items():
        made.append(_part(name, control, tuple(stops[name]), made))
    count = sum(1 for _ in states(made))
    if count > MOST:
        raise ValueError(f"{count} frames of {', '.join(controls)}; name stops for {MOST} at most")
    return made


def _named(name: str, control: Any) -> list[Any]:
    """The stops that a control names or has, [] where it may have any."""
    stops = getattr(control, "stops", None)
    if stops is not None:
        return spread(control, stops) if isinstance(stops, int) else list(stops)
    if hasattr(control, "options"):
        return [value for _, value in _options(control)]
    if isinstance(control.value, bool):
        return [False, True]
    if all(hasattr(control, trait) for trait in ("min", "max", "step")):
        return []
    raise TypeError(f"control {name!r} is a {type(control).__name__}: it needs a kernel")


def _options(control: Any) -> list[tuple[str, Any]]:
    return [one if isinstance(one, tuple) else (str(one), one) for one in control.options]


def _count(control: Any) -> int:
    """How many values a slider has."""
    return round((control.max - control.min) / control.step) + 1


def spread(control: Any, count: int) -> list[Any]:
    """`count` values of a slider, evenly over its range, its present one among them."""
    places = _count(control)
    count = max(1, min(count, places))
    even = sorted({round(k * (places - 1) / max(1, count - 1)) for k in range(count)})
    values = [control.min + control.step * place for place in even]
    if hasattr(control, "base"):  # it counts powers
        values = [control.base**power for power in values]
    rounded = [value if isinstance(value, int) else float(f"{value:.6g}") for value in values]
    nearest = min(range(len(rounded)), key=lambda k: abs(rounded[k] - control.value))
    rounded[nearest] = control.value
    return rounded


def _part(name: str, control: Any, stops: tuple[Any, ...], before: Sequence[Part]) -> Part:
    menu = hasattr(control, "options") or isinstance(control.value, bool)
    if hasattr(control, "options"):
        known = {value: words for words, value in _options(control)}
        words = tuple(known[stop] for stop in stops)
    elif (say := getattr(control, "words", None)) is not None:
        words = tuple(say(stop) for stop in stops)
    elif menu:
        words = tuple("yes" if stop else "no" for stop in stops)
    else:
        words = tuple(format(stop, getattr(control, "readout_format", "")) for stop in stops)
    if control.value not in stops:
        raise ValueError(f"stops of {name!r} are {stops}: expected its value {control.value} there")
    when = None
    if getattr(control, "when", None):
        other, value = control.when
        names = [part.name for part in before]
        if other not in names:
            raise ValueError(f"{name!r} counts when {other!r} is {value!r}: expected it before")
        place = names.index(other)
        when = place, before[place].stops.index(value)
    label = getattr(control, "description", "") or name
    return Part(name, label, menu, stops, words, stops.index(control.value), when)


def states(controls: Sequence[Part], chosen: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """The places of the stops, for every state that can be seen."""
    if len(chosen) == len(controls):
        yield chosen
        return
    part = controls[len(chosen)]
    counts = part.when is None or chosen[part.when[0]] == part.when[1]
    for k in range(len(part.stops)) if counts else (0,):
        yield from states(controls, (*chosen, k))


def film(render: Render, controls: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Draw every state into `folder`; what a page needs to show them (see `panels.js`).

    Where the frames weigh more than `WEIGHT` bytes, the longest slider keeps half of its stops; and
    where they are more than the number in `CINV_FRAMES_MOST`, which a rehearsal sets.

    Raises what `parts` and `render` do.
    """
    drawn: dict[tuple, tuple[list, int]] = {}

    def frame(key: tuple[int, ...]) -> tuple[list, int]:
        values = {part.name: part.stops[k] for part, k in zip(made, key, strict=True)}
        at = tuple(values.values())
        if at not in drawn:
            picture, text = render(**values)
            saved, size = save(picture, folder)
            drawn[at] = [*saved, text], size
        return drawn[at]

    made, most = parts(controls), int(os.environ.get(FEWER, MOST))
    while True:
        keys = list(states(made))
        long = max(range(len(made)), key=lambda k: 0 if made[k].menu else len(made[k].stops))
        last = made[long].menu or len(made[long].stops) < 2
        if last or len(keys) <= most:
            frames = {"-".join(map(str, key)): frame(key) for key in keys}
            weight = sum({row[0]: size for row, size in frames.values()}.values())
            if last or weight <= WEIGHT:
                break
        made[long] = made[long].thinner()
    shown = [
        {"label": p.label, "menu": p.menu, "stops": p.words, "at": p.at, "when": p.when}
        for p in made
    ]
    return {"controls": shown, "frames": {key: row for key, (row, _) in frames.items()}}


def save(picture: Picture, folder: Path) -> tuple[list, int]:
    """Write a picture under its hash: [file, width, height on the page], and its bytes.

    WebP, without loss or with quality 80, whichever is smaller.
    """
    sharp = style.SHARP if isinstance(picture, Figure) else 1
    if isinstance(picture, Figure):
        picture = Image.open(io.BytesIO(style.png(picture)))
    image, tried = picture.convert("RGB"), []
    for options in ({"lossless": True, "quality": 50}, {"quality": QUALITY}):
        buffer = io.BytesIO()
        image.save(buffer, format="WEBP", method=3, **options)
        tried.append(buffer.getvalue())
    content = min(tried, key=len)
    file = folder / f"{hashlib.sha256(content).hexdigest()[:16]}.webp"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with whole(file) as part:
            part.write_bytes(content)
    return [file.name, image.width // sharp, image.height // sharp], len(content)
