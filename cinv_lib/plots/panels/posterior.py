"""The panel of lesson 16: a noisy, masked digit, and the pictures that explain it, weighed."""

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from cinv_lib.plots.panels import canvas
from cinv_lib.plots.panels.panel import Number, Panel, slider
from cinv_lib.plots.style import OKABE_ITO
from cinv_lib.theory import limit

COLUMNS, ROWS, SIDE = 5, 2, 96  # of the heaviest pictures; pixels of each, by eights
SHADES = (-0.5, 1.5)  # what is drawn black and white where there is noise


def render_posterior(
    world: limit.World, picture: int, sigma: Number, missing: Number = 0.0
) -> tuple[Image.Image, str]:
    """x, y = A(x) and the mean of the posterior above; the ten heaviest pictures below.

    The noise and the order in which pixels go are those of the picture's number, so that a slider
    changes nothing but how much there is of them.

    Args:
        picture: counts from 0.
        sigma: of the noise, which comes first.
        missing: the share of pixels that the mask then takes away, in [0, 1).

    Raises:
        ValueError: there is no such picture, sigma is not above 0, or a share outside [0, 1).
    """
    if not 0 <= picture < len(world.x) or not 0 <= missing < 1:
        raise ValueError(
            f"picture {picture} with a share of {missing} missing; expected 0 to "
            f"{len(world.x) - 1}, and a share in [0, 1)"
        )
    x, label = world.x[picture], int(world.labels[picture])
    generator = torch.Generator().manual_seed(picture)
    noisy = x + sigma * torch.randn(x.shape, generator=generator, dtype=x.dtype)
    shown = torch.rand(x.shape, generator=generator, dtype=x.dtype).argsort() >= int(
        missing * len(x)
    )
    weights = limit.posterior((shown * noisy)[None], world.x, sigma, shown=shown[None])
    m = (weights @ world.R)[0]
    classes = torch.zeros(10, dtype=x.dtype).index_add(0, world.labels, weights[0])
    share, digit = (found.item() for found in classes.max(dim=0))
    top = canvas.beside(
        [
            _titled("x", _shade(x)),
            _titled("y = A(x)", _shade(noisy, shown)),
            _titled("its mean", _shade((weights @ world.x)[0])),
        ]
    )
    heaviest = weights[0].argsort(descending=True, stable=True)[: COLUMNS * ROWS].tolist()
    tiles = [
        _titled(f"{100 * weights[0, j]:.1f} %", _shade(world.x[j]), framed=j == picture)
        for j in heaviest
    ]
    rows = [canvas.beside(tiles[k : k + COLUMNS]) for k in range(0, len(tiles), COLUMNS)]
    heading = canvas.line("the heaviest pictures of the posterior; framed: x itself")
    cosine = (limit.alignment_optimum(m[None])[0] @ world.R[picture]).item()
    text = (
        f"A {label} at sigma {sigma:.2f}, {100 * missing:.0f} % missing: the posterior holds "
        f"{limit.pictures_held(weights)[0]:.1f} of {len(world.x)} pictures; x itself has "
        f"{100 * weights[0, picture]:.1f} %. The likeliest class is {digit}, with "
        f"{100 * share:.0f} %.\n|m| = {m.norm():.2f}: the cosine that is to be expected of "
        f"alignment's best answer, whose cosine to R(x) is {cosine:.2f} here."
    )
    return canvas.stack([top, heading, *rows]), text


def posterior_panel(world: limit.World, picture: int = 0) -> Panel:
    """Sliders of the noise, of the share of missing pixels, and of the picture."""
    controls = {
        "sigma": slider("sigma", 0.1, 1.0, 0.4, 0.05, stops=7),
        "missing": slider("missing", 0.0, 0.9, 0.0, 0.1, stops=4),
        "which": slider("picture", 1, 100, picture + 1, 1, stops=4),
    }

    def render(sigma, missing, which):
        return render_posterior(world, which - 1, sigma, missing)

    return Panel(render, controls)


def _shade(pixels: Tensor, shown: Tensor | None = None) -> Image.Image:
    """64 numbers as a picture; pixels that a mask has taken away are blue."""
    low, high = SHADES
    grey = (255 * (pixels - low) / (high - low)).clamp(0, 255).round().to(torch.uint8)
    colours = grey[:, None].expand(-1, 3).clone()
    if shown is not None:
        code = OKABE_ITO["sky"]
        colours[~shown] = torch.tensor([int(code[k : k + 2], 16) for k in (1, 3, 5)]).byte()
    small = Image.fromarray(colours.view(8, 8, 3).numpy())
    return small.resize((SIDE, SIDE), Image.Resampling.NEAREST)


def _titled(title: str, picture: Image.Image, framed: bool = False) -> Image.Image:
    if framed:
        corner = picture.width - 1
        ImageDraw.Draw(picture).rectangle(
            (0, 0, corner, corner), outline=OKABE_ITO["vermilion"], width=4
        )
    return canvas.stack([canvas.line(title, SIDE), picture])
