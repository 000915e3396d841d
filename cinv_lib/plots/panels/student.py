"""The panel of lesson 00: what teacher and student find nearest to the same ruined picture."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor, nn

from cinv_lib.evaluation.retrieval import Found, Gallery
from cinv_lib.experiments import spoken
from cinv_lib.operators.base import Operator
from cinv_lib.plots.panels import canvas
from cinv_lib.plots.panels.operators import seen, severity_panel
from cinv_lib.plots.panels.panel import Number, Panel
from cinv_lib.plots.retrieved import RIGHT, WRONG, few_colours

NEAREST, SIDE, FRAME = 5, 108, 4  # pictures in a row; edge of each, and of its frame, in pixels


def render_student(
    picture: Float[Tensor, "3 H W"],
    name: str,
    encoders: Mapping[str, nn.Module],
    gallery: Gallery,
    operator: Operator,
    severity: Number,
    draw: int = 0,
) -> tuple[Image.Image, str]:
    """A(x), and a row for each encoder: the clean pictures whose R(x) is nearest to its answer.

    The text counts the right ones. A frame is green where the picture is of the right class,
    vermilion where it is not; the name of its class stands below.

    Args:
        name: the class of `picture`, which should not be in the gallery itself.
        encoders: by name, in eval mode.
        draw: the seed of the corruption, kept while the severity moves, so that one corruption
            grows.

    Raises:
        ValueError: no encoder, one in training mode, or what the gallery refuses.
    """
    if not encoders:
        raise ValueError("no encoders: expected at least the teacher")
    if training := [key for key, encoder in encoders.items() if encoder.training]:
        raise ValueError(f"{training[0]} is in training mode: call its .eval() first")
    operator, corrupted = seen(picture, operator, severity, draw)
    at = spoken.at(str(operator), severity)
    with torch.inference_mode():
        said = {key: encoder(corrupted[None])[0] for key, encoder in encoders.items()}
    found = {key: gallery.nearest(answer, NEAREST) for key, answer in said.items()}
    right = {key: sum(one.name == name for one in pictures) for key, pictures in found.items()}
    rows = [
        _row(f"nearest clean pictures for {key}: {right[key]} of {NEAREST} right", one, name)
        for key, one in found.items()
    ]
    asked = canvas.stack([canvas.line(f"A(x), {at}"), canvas.tile(corrupted)])
    counts = ", ".join(f"{key} {hits}" for key, hits in right.items())
    text = f"{at}. Right ({name}) among the {NEAREST} nearest clean pictures: {counts}"
    return canvas.beside([asked, canvas.stack(rows)]), text


def see_what_the_student_sees(
    pictures: Float[Tensor, "B 3 H W"],
    names: Sequence[str],
    encoders: Mapping[str, nn.Module],
    gallery: Gallery,
    operator: Operator,
) -> Panel:
    """A severity slider; what teacher and student find nearest to A(x) in a gallery.

    Args:
        names: the class of each picture.
        encoders: the teacher first, e.g. {"CLIP R": teacher, "student S": student}, in eval mode.
        operator: its kind is kept, its severity is where the slider starts.
    """
    start = None if isinstance(operator.severity, tuple) else operator.severity

    def render(which, severity):
        return render_student(pictures[which], names[which], encoders, gallery, operator, severity)

    return severity_panel(render, pictures, str(operator).partition(":")[0], start)


def _row(title: str, found: Sequence[Found], truth: str) -> Image.Image:
    shown = [_framed(one, RIGHT if one.name == truth else WRONG) for one in found]
    return canvas.stack([canvas.line(title), canvas.beside(shown)])


def _framed(one: Found, edge: str) -> Image.Image:
    inner = SIDE - 2 * FRAME
    small = few_colours(one.picture).resize((inner, inner), Image.Resampling.BOX)
    first, second = _two_lines(one.name)
    under = [canvas.line_within(words, SIDE) for words in (first, second)]
    return canvas.stack([ImageOps.expand(small, FRAME, edge), *under])


def _two_lines(name: str, letters: int = 14) -> tuple[str, str]:
    """A name, parted before the word that would go beyond so many letters."""
    first, *words = name.split()
    while words and len(f"{first} {words[0]}") <= letters:
        first = f"{first} {words.pop(0)}"
    return first, " ".join(words)
