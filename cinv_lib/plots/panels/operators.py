"""Panels of the forward operators (lesson 01): sample pictures, or one of the reader's own, at any
severity."""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import ipywidgets as widgets
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from cinv_lib import data as image_sets
from cinv_lib import operators
from cinv_lib.operators.base import Operator
from cinv_lib.plots.panels import canvas
from cinv_lib.plots.panels.panel import Number, Panel, choice, slider

KINDS = {"pixel mask": "mask", "Gaussian noise": "noise", "Gaussian blur": "blur"}
FRAMES = 84  # of a panel on a page: four pictures weigh 40 kB in each
CLASSICAL = {  # beyond the paper's
    "super-resolution": "super_resolution",
    "super-resolution, bicubic": "super_resolution_bicubic",
    "box inpainting": "box_inpainting",
    "compressed sensing": "compressed_sensing",
    "low light (Poisson)": "poisson",
    "JPEG": "jpeg",
}


def said(kind: str, severity: Number) -> str:
    """A severity as a page says it."""
    return f"{100 * severity:.0f} % missing" if kind == "mask" else f"{severity:.4g}"


def severities(kind: str, side: int) -> tuple[float, float, float, float]:
    """The lowest, the highest and the first severity of a slider, and its step, for pictures of
    `side` pixels.

    Blur grows with the side: the first severity is the paper's sigma 9 at 224 pixels.
    """
    blur = round(9 / 224 * side, 1)
    known = {
        "mask": (0.0, 0.99, 0.9, 0.01),
        "noise": (0.0, 1.0, 0.5, 0.05),
        "blur": (0.0, 2 * blur, blur, 0.1),
        "super_resolution": (1.0, 16.0, 4.0, 1.0),
        "super_resolution_bicubic": (1.0, 16.0, 4.0, 1.0),
        "box_inpainting": (0.0, 0.95, 0.25, 0.05),
        "compressed_sensing": (0.0, 0.99, 0.75, 0.01),
        "poisson": (0.0, 1.0, 0.2, 0.02),
        "jpeg": (0.0, 99.0, 90.0, 1.0),
    }
    if kind in known:
        return known[kind]
    raise ValueError(f"operator {kind!r}: expected one of {', '.join(known)}")


def severity_panel(
    render: Callable[[int, Number], tuple[Image.Image, str]],
    pictures: Float[Tensor, "B 3 H W"],
    kind: str,
    start: Number | None = None,
) -> Panel:
    """A slider of the severity, and one of the picture where there are several.

    Args:
        render: from the place of a picture and a severity to what is shown.
        start: the first severity; by default that of `severities`.
    """
    low, high, first, step = severities(kind, pictures.shape[-1])
    first = first if start is None else start
    words = partial(said, kind)
    controls = {"severity": slider("severity", low, high, first, step, words=words)}
    if len(pictures) > 1:
        controls["which"] = slider("picture", 1, len(pictures), 1, 1)
    return Panel(lambda severity, which=1: render(which - 1, severity), controls)


def seen(
    picture: Float[Tensor, "3 H W"], operator: Operator, severity: Number, draw: int
) -> tuple[Operator, Float[Tensor, "3 H W"]]:
    """The operator at a slider's severity, and what it makes of a picture; draw: the seed of the
    corruption, kept while the severity moves, so that one corruption grows."""
    at = operator.at(round(severity, 4))  # a slider's 0.3 is 0.30000000000000004
    return at, at(picture[None], torch.Generator(picture.device).manual_seed(draw))[0]


def render_operator(
    pictures: Float[Tensor, "B 3 H W"], kind: str, severity: Number, draw: int = 0
) -> tuple[Image.Image, str]:
    """Pictures above, the same pictures under the operator `kind` at `severity` below.

    The text measures what the operator did, beside the black pixels that x has already.

    Args:
        kind: the operator's name, as "mask" or "jpeg".
        draw: which realisation of the random part (the seed).

    Raises:
        ValueError: unknown kind, or a severity that the operator refuses.
    """
    operator = operators.parse(f"{kind}:{severity:g}")
    corrupted = operator(pictures, torch.Generator(pictures.device).manual_seed(draw))
    change = float((corrupted - pictures).square().mean().sqrt())
    black, before = (float((x == 0).all(1).float().mean()) for x in (corrupted, pictures))
    picture = canvas.grid({"x": list(pictures), f"A(x), {operator}": list(corrupted)})
    text = (
        f"{operator}: {100 * black:.1f} % of the pixels are black, and {100 * before:.1f} % in x; "
        f"pixels differ from those of x by {change:.3f} (root mean square)."
    )
    return picture, text


def operator_controls(side: int, kinds: Mapping[str, str] = KINDS) -> dict[str, widgets.Widget]:
    """A menu of operators, a severity slider for each of them, and a realisation. Only the chosen
    operator's slider shows.

    One slider that changes its range will not do: the browser then sends an old value back.
    """
    controls = {"kind": choice("operator", list(kinds))}
    for name, kind in kinds.items():
        page: dict[str, Any] = {"when": ("kind", name), "words": partial(said, kind)}
        page["stops"] = min(12, FRAMES // (2 * len(kinds)))
        low, high, start, step = severities(kind, side)
        controls[kind] = slider("severity", low, high, start, step, **page)
    controls["draw"] = slider("realisation", 0, 9, 0, 1, stops=2)

    def follow(_change: object = None) -> None:
        for name, kind in kinds.items():
            chosen = name == controls["kind"].value
            controls[kind].layout.display = "" if chosen else "none"

    controls["kind"].observe(follow, "value")
    follow()
    return controls


def operator_panel(pictures: Float[Tensor, "B 3 H W"], kinds: Mapping[str, str] = KINDS) -> Panel:
    """Choose an operator and a severity; see x and A(x) for a few pictures in [0,1].

    Args:
        kinds: the menu, and the operators' names: the paper's three, or `CLASSICAL`.
    """

    def render(kind, draw, **severity):
        return render_operator(pictures, kinds[kind], severity[kinds[kind]], draw)

    return Panel(render, operator_controls(pictures.shape[-1], kinds))


def upload_panel(sample: Float[Tensor, "3 H W"], side: int = 224) -> Panel:
    """The reader's own picture under any operator; `sample` is shown until one is chosen.

    The picture goes to the Python process that runs the notebook and nowhere else. It is cut to a
    centred square of `side` pixels.
    """
    read = lru_cache(maxsize=2)(lambda content: image_sets.from_file(content, side))
    sample = torch.nn.functional.interpolate(sample[None], (side, side), mode="nearest")
    upload = widgets.FileUpload(
        accept="image/*", multiple=False, description="Your picture", layout={"width": "28em"}
    )

    def render(upload, kind, draw, **severity):
        picture = read(bytes(upload[0]["content"])) if upload else sample
        return render_operator(picture, KINDS[kind], severity[KINDS[kind]], draw)

    return Panel(render, {"upload": upload, **operator_controls(side)})
