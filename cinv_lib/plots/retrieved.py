"""What encoders find nearest to a ruined picture, as one figure (lesson 00)."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from cinv_lib.evaluation.retrieval import Found
from cinv_lib.plots.style import OKABE_ITO, colour, pixels

RIGHT, WRONG = OKABE_ITO["green"], OKABE_ITO["vermilion"]
WIDTH, HEAD, ROW = 7.84, 0.42, 1.72  # inches: of the figure, of its title, of an encoder's row
ASKED, GAP = 2.0, 0.1  # edge of the ruined picture; between two clean ones


def nearest_pictures(
    asked: Float[Tensor, "3 H W"], found: Mapping[str, Sequence[Found]], truth: str
) -> Figure:
    """The ruined picture at the left; at its right a row for each encoder with the clean pictures
    that it finds nearest, each framed by right or wrong, which its name says too.

    Args:
        found: encoder -> pictures, best first; as many for each.
        truth: the class of `asked`.
    """
    count = len(next(iter(found.values())))
    height = HEAD + len(found) * ROW
    fig = Figure(figsize=(WIDTH, height))

    def axes(left: float, top: float, edge: float) -> Axes:
        return fig.add_axes((left / WIDTH, 1 - (top + edge) / height, edge / WIDTH, edge / height))

    right = ", ".join(f"{key} {_hits(one, truth)}" for key, one in found.items())
    title = f"Right among the {count} nearest clean pictures: {right}"
    fig.text(0.006, 1 - 0.2 / height, title, va="center", fontsize=12, weight="bold")
    _picture(axes(0.05, HEAD + 0.5, ASKED), asked, "what is it?", OKABE_ITO["black"], 12.0)
    left, side = ASKED + 0.25, (WIDTH - ASKED - 0.3) / count - GAP
    for row, (encoder, pictures) in enumerate(found.items()):
        top = HEAD + row * ROW
        words = f"nearest clean pictures for {encoder}"
        look: dict[str, Any] = {
            "fontsize": 10,
            "weight": "bold",
            "color": colour(encoder),
            "va": "center",
        }
        fig.text(left / WIDTH, 1 - (top + 0.1) / height, words, **look)
        for column, one in enumerate(pictures):
            hit = one.name == truth
            says = f"{'right' if hit else 'wrong'}: {_short(one.name)}"
            ax = axes(left + column * (side + GAP), top + 0.26, side)
            _picture(ax, one.picture, says, RIGHT if hit else WRONG)
    return fig


def _hits(found: Sequence[Found], truth: str) -> int:
    return sum(one.name == truth for one in found)


def _picture(ax: Axes, image: Tensor, below: str, edge: str, size: float = 7.5) -> None:
    ax.imshow(few_colours(image), interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.set_xlabel(below, fontsize=size, color=edge, labelpad=3)
    ax.spines[:].set(color=edge, linewidth=3)


def few_colours(image: Tensor, colours: int = 48) -> Image.Image:
    """A small picture with few colours: a thumbnail looks the same, and a file is half as large."""
    return Image.fromarray(pixels(image)).quantize(colours, dither=Image.Dither.NONE).convert("RGB")


def _short(name: str, letters: int = 17) -> str:
    """A name on two lines where it is long, cut after those."""
    first, words = "", name.split()
    while words and len(f"{first} {words[0]}") <= letters - 6:
        first = f"{first} {words.pop(0)}".strip()
    rest = " ".join(words)
    if not rest:
        return first
    return f"{first}\n{rest if len(rest) <= letters else rest[: letters - 1] + '…'}"
