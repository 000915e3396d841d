"""The panel of the gradient's weights (lesson 03): from which pictures of a batch the others are
pushed, at which tau."""

import math
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageColor, ImageDraw
from torch import Tensor

from cinv_lib import losses
from cinv_lib.plots.panels import canvas
from cinv_lib.plots.panels.panel import Panel, labelled, slider
from cinv_lib.plots.style import OKABE_ITO, pixels

COLDEST, HOTTEST, START = -1.7, 0.7, -1.0  # powers of ten: tau from 0.02 to 5, first 0.1
HARDEST = 3
MAP = 384  # pixels on a side of the heat map, about
SIDE = 128  # of a picture beside it

# From light to dark without a step back, so that it reads in any colour vision and in grey.
_STOPS = ("#FFFFFF", OKABE_ITO["sky"], OKABE_ITO["blue"], OKABE_ITO["black"])
_FRAME = OKABE_ITO["vermilion"]


def effective_number(weights: Float[Tensor, "*rows N"]) -> Float[Tensor, "*rows"]:
    """How many of N weights count: exp of the entropy of each row, from 1 (one has all) to N.

    The rows sum to one and have no negative entry, as those of `losses.pair_weights`.
    """
    return torch.special.entr(weights).sum(-1).exp()


def hardest_negatives(
    S: Float[Tensor, "N d"], R: Float[Tensor, "N d"], tau: float, row: int
) -> tuple[list[int], float]:
    """The negatives j != row of largest weight (three, or N - 1), and their share of the weight of
    all negatives, in [0, 1]. Both come from the cosines, so that no weight is too small to count.

    Raises:
        ValueError: a single row has no negative; or what `losses.pair_weights` refuses.
    """
    if len(S) < 2:
        raise ValueError(f"a batch of N = {len(S)} has no negatives; expected N >= 2")
    others = losses.similarities(S.double(), R.double())[row].clone()
    others[row] = -torch.inf
    share, found = (others / tau).softmax(0).topk(min(HARDEST, len(S) - 1))
    return found.tolist(), float(share.sum())


def tones(weights: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape 3"]:
    """Weights in [0, 1] as colours, from white for 0 to black for 1, by their square root: at tau
    0.1 most weights are below 0.1, and the panel is about these."""
    stops = np.array([ImageColor.getrgb(stop) for stop in _STOPS])
    places = np.linspace(0, 1, len(stops))
    root = np.sqrt(np.clip(weights, 0, 1))
    channels = [np.interp(root, places, stops[:, k]) for k in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def render_weights(
    pictures: Float[Tensor, "B 3 H W"],
    seen: Float[Tensor, "B 3 H W"],
    S: Float[Tensor, "N d"],
    R: Float[Tensor, "N d"],
    tau: float,
    row: int = 0,
) -> tuple[Image.Image, str]:
    """w_i(j) as a heat map, picture `row` and its three hardest negatives beside it.

    Args:
        pictures: x, which the teacher embeds as R; B is N.
        seen: A(x), which the student embeds as S.
        row: counts from 0; the picture and the text count from 1, as the slider does.

    Raises:
        ValueError: another number of pictures than of embeddings, a row that is not there, a single
            picture, or tau <= 0.
    """
    count = len(S)
    if not len(pictures) == len(seen) == count:
        raise ValueError(
            f"{len(pictures)} pictures, {len(seen)} seen and {count} embeddings: expected one each"
        )
    if not 0 <= row < count:
        raise ValueError(f"row is {row}; expected 0 to {count - 1}, as the batch has {count}")
    weights = losses.pair_weights(S, R, tau)
    hardest, share = hardest_negatives(S, R, tau, row)
    board = _heat_map(weights.double().cpu().numpy(), pictures, row, hardest)
    pair = [_titled("A(x)", seen[row]), _titled("x", pictures[row])]
    pushes = [_titled(f"{j + 1}: w = {weights[row, j]:.3f}", pictures[j]) for j in hardest]
    side = [
        canvas.line(f"picture {row + 1}, own weight {weights[row, row]:.3f}"),
        canvas.beside(pair),
        canvas.line("its hardest negatives"),
        canvas.beside(pushes),
    ]
    numbers = effective_number(weights.double())
    text = (
        f"Weights of {count} pictures at tau {tau:.2g}. Picture {row + 1} gives "
        f"{100 * weights[row, row]:.0f} % to its own teacher. Of the rest, "
        f"{100 * share:.0f} % is on its hardest negatives, {_listed(hardest)}.\n"
        f"Teachers that count (exp of the entropy): {numbers[row]:.1f} of {count} in this row, "
        f"{numbers.mean():.1f} in the mean row."
    )
    return canvas.beside([board, canvas.stack(side)]), text


def weights_panel(
    pictures: Float[Tensor, "B 3 H W"],
    seen: Float[Tensor, "B 3 H W"],
    S: Float[Tensor, "N d"],
    R: Float[Tensor, "N d"],
    row: int = 0,
) -> Panel:
    """A slider of tau, by its logarithm, and one of the picture i whose negatives are shown."""
    powers: dict[str, Any] = {
        "base": 10,
        "min": COLDEST,
        "max": HOTTEST,
        "step": 0.05,
        "value": 10**START,
    }
    tau = labelled(widgets.FloatLogSlider, "tau", **powers, readout_format=".2g", stops=25)
    controls = {"tau": tau, "which": slider("picture i", 1, len(S), row + 1, 1, stops=4)}

    def render(tau, which):
        return render_weights(pictures, seen, S, R, tau, which - 1)

    return Panel(render, controls)


def _heat_map(
    weights: Float[np.ndarray, "N N"],
    pictures: Float[Tensor, "N 3 H W"],
    row: int,
    hardest: list[int],
) -> Image.Image:
    """A row for each student i, a column for each teacher j, their pictures, and a scale below."""
    count = len(weights)
    cell = max(6, MAP // count)
    edge = cell + 4  # where the map begins, right of and below the small pictures
    board = Image.new("RGB", (edge + count * cell + 2, edge + count * cell + 2), "white")
    cells = tones(weights).repeat(cell, axis=0).repeat(cell, axis=1)
    board.paste(Image.fromarray(cells), (edge, edge))
    for k, picture in enumerate(pictures):
        small = _square(picture, cell)
        board.paste(small, (edge + k * cell, 0))
        board.paste(small, (0, edge + k * cell))
    draw = ImageDraw.Draw(board)

    def frame(first: int, last: int) -> None:
        left, right = edge + first * cell, edge + (last + 1) * cell
        top = edge + row * cell
        draw.rectangle((left - 1, top - 1, right, top + cell), outline=_FRAME, width=2)

    frame(0, count - 1)
    for j in hardest:
        frame(j, j)
    head = canvas.line("w of student i (row) on teacher j (column)", board.width)
    return canvas.stack([head, board, _scale(board.width)])


def _scale(width: int) -> Image.Image:
    """The meaning of the colours: a bar of all of them, and weights at their places."""
    span = width - 40  # room for the last number
    bar = tones(np.linspace(0, 1, span) ** 2)[None].repeat(10, axis=0)
    scale = Image.new("RGB", (width, 14 + canvas.LINE), "white")
    scale.paste(Image.fromarray(bar), (0, 4))
    for weight in (0, 0.01, 0.1, 0.25, 0.5, 1):
        scale.paste(canvas.line(f"{weight:g}"), (int(math.sqrt(weight) * span), 14))
    return scale


def _titled(title: str, picture: Float[Tensor, "3 H W"]) -> Image.Image:
    return canvas.stack([canvas.line(title, SIDE), _square(picture, SIDE)])


def _square(picture: Float[Tensor, "3 H W"], side: int) -> Image.Image:
    # Averages pixels where it makes a picture smaller, repeats them where it makes it larger.
    return Image.fromarray(pixels(picture)).resize((side, side), Image.Resampling.BOX)


def _listed(places: list[int]) -> str:
    *most, last = [str(place + 1) for place in places]
    return f"{', '.join(most)} and {last}" if most else last
