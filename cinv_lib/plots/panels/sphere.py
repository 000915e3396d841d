"""The panel of lesson 04: a teacher's points on the sphere, and where its student's optima are."""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageColor, ImageDraw
from torch import Tensor

from cinv_lib.plots.panels import canvas
from cinv_lib.plots.panels.panel import Number, Panel, choice, slider
from cinv_lib.plots.style import OKABE_ITO
from cinv_lib.theory import configurations, energies, recovery

LOW, HIGH = 0.4, 0.85  # heights of the rings
FAMILIES: dict[str, Callable] = {
    "tricapped prism, N = 9": configurations.tricapped_prism,
    "square antiprism, N = 8": lambda h: configurations.antiprism(4, h),
    "octahedron, N = 6": lambda h: configurations.antiprism(3, h),
}
HEIGHTS = ("by hand", "least U", "least E")
SIDE, FINE = 300, 2  # drawn at twice the size and reduced, for smooth edges
TILT = math.radians(20)


@lru_cache(maxsize=128)
def minima(family: str, tau: float) -> tuple[float, float]:
    """The heights at which U and E of a family are least."""
    at = [energies.best_height(term, FAMILIES[family], tau, LOW, HIGH) for term in ("U", "E")]
    return at[0], at[1]


@lru_cache(maxsize=128)
def curve(family: str, tau: float) -> list[tuple[float, float]]:
    """Pairs of a height and the largest recovery angle there, in degrees."""
    even = torch.linspace(LOW, HIGH, 31, device="cpu").tolist()
    places = [*even, *minima(family, tau)]  # where it turns too
    heights = torch.tensor(sorted(places), dtype=torch.float64, device="cpu")
    angles = recovery.recovery_angles(FAMILIES[family](heights), tau).amax(dim=-1)
    return list(zip(heights.tolist(), angles.tolist(), strict=True))


def render_sphere(
    family: str,
    height: str,
    h: Number,
    tau: Number,
    times: Number = 1,
    turn: Number = 20,
) -> tuple[Image.Image, str]:
    """Teacher and student's optima on the sphere; beside it the largest angle over the height h.

    Args:
        family: a name in FAMILIES.
        height: one of HEIGHTS; the slider's h counts "by hand" only.
        times: how many times as large the deviations are drawn (at most 90 degrees).
        turn: the view, in degrees around the axis.

    Raises:
        ValueError: unknown family or height, or a tau that is not above 0.
    """
    if family not in FAMILIES or height not in HEIGHTS:
        raise ValueError(
            f"family {family!r}, height {height!r}; expected one of {', '.join(FAMILIES)} and one "
            f"of {', '.join(HEIGHTS)}"
        )
    tau = round(tau, 4)  # a slider's 0.3 is 0.30000000000000004
    h_U, h_E = minima(family, tau)
    h = {"by hand": float(h), "least U": h_U, "least E": h_E}[height]
    R = FAMILIES[family](h)
    S = recovery.free_optima(R, tau)
    angle = recovery.angles(S, R).max().item()
    picture = canvas.beside([_sphere(R, S, times, turn), _chart(family, tau, h, angle)])
    text = (
        f"{family}, h = {h:.4f}, tau = {tau:g}: the largest angle between R and the student's "
        f"optimum is {angle:.4f} degrees; |sum of R| = {R.sum(0).norm():.3f}.\n"
        f"U is least at h = {h_U:.4f}, E at h = {h_E:.4f}. "
        f"Blue dots: R. Vermilion: the student's optima, their deviations times {times}."
    )
    return picture, text


def sphere_panel() -> Panel:
    """Three families of points with a height; see where the student goes instead of R."""
    return Panel(
        render_sphere,
        {
            "family": choice("teacher", list(FAMILIES)),
            "height": choice("height", list(HEIGHTS)),
            "h": slider("h", LOW, HIGH, 0.6, 0.005, stops=31, when=("height", HEIGHTS[0])),
            "tau": slider("tau", 0.1, 1.0, 0.5, 0.05, stops=1),
            "times": slider("deviation times", 1, 300, 1, 1, stops=1),
            "turn": slider("turn (degrees)", 0, 360, 20, 5, stops=1),
        },
    )


def _sphere(
    R: Float[Tensor, "N 3"], S: Float[Tensor, "N 3"], times: Number, turn: Number
) -> Image.Image:
    """The sphere: points behind it are pale, and an arc joins R_i with the enlarged S*_i."""
    image, draw = _blank(SIDE)
    middle, radius = SIDE * FINE / 2, SIDE * FINE * 0.44

    def place(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels, and which points are in front."""
        seen = points @ _view(math.radians(turn)).T
        return middle + radius * seen[:, :2] * [1, -1], seen[:, 2] >= 0

    draw.ellipse(
        [middle - radius, middle - radius, middle + radius, middle + radius], outline="gray"
    )
    round = np.linspace(0, 2 * math.pi, 90)
    equator, front = place(np.stack([np.cos(round), np.sin(round), 0 * round], 1))
    for k in range(len(round) - 1):
        draw.line([*equator[k], *equator[k + 1]], fill="gray" if front[k] else "gainsboro", width=2)
    for r, s in zip(R.numpy(), S.numpy(), strict=True):
        path, front = place(_arc(r, s, times))
        for name, (x, y), size in (("blue", path[0], 10), ("vermilion", path[-1], 7)):
            tone = OKABE_ITO[name] if front[0] else _pale(OKABE_ITO[name])
            if name == "blue":
                draw.ellipse([x - size, y - size, x + size, y + size], fill=tone)
            else:
                draw.line(list(map(tuple, path)), fill=tone, width=4)
                draw.polygon([(x, y - size), (x + size, y), (x, y + size), (x - size, y)], tone)
    return image.reduce(FINE)


def _arc(r: np.ndarray, s: np.ndarray, times: Number) -> np.ndarray:
    """Points on the great circle from r towards s, to `times` the distance of s, at most to 90
    degrees."""
    across = s - (s @ r) * r
    length = np.linalg.norm(across)
    end = min(times * math.atan2(length, s @ r), math.pi / 2)
    t = np.linspace(0, end, 12)[:, None]
    return np.cos(t) * r + np.sin(t) * across / max(length, 1e-300)


def _chart(family: str, tau: float, h: float, angle: float) -> Image.Image:
    """The largest angle over the height, the minima of U and E, and where we are."""
    image, draw = _blank(SIDE)
    left, right, top, bottom = 12 * FINE, (SIDE - 8) * FINE, 44 * FINE, (SIDE - 26) * FINE
    points = curve(family, tau)
    highest = max(value for _, value in points)

    def place(height: float, value: float) -> tuple[float, float]:
        x = left + (right - left) * (height - LOW) / (HIGH - LOW)
        return x, bottom - (bottom - top) * min(value / highest, 1.0)

    draw.line([left, bottom, right, bottom], fill="gray", width=2)
    draw.line([left, top, left, bottom], fill="gray", width=2)
    draw.line([place(*point) for point in points], fill=OKABE_ITO["vermilion"], width=4)
    h_U, h_E = minima(family, tau)
    for height, name, low in ((h_U, "orange", 0.5), (h_E, "green", 0.0)):
        (x, y0), (_, y1) = place(height, low * highest), place(height, (low + 0.5) * highest)
        draw.line([x, y0, x, y1], fill=OKABE_ITO[name], width=3)
    x, y = place(h, angle)
    draw.ellipse([x - 9, y - 9, x + 9, y + 9], outline="black", width=4)
    image = image.reduce(FINE)
    for text, y in (
        (f"largest angle, 0 to {highest:.1f} degrees", 2),
        ("upper bar: U is least; lower bar: E", 2 + canvas.LINE),
        (f"height h, {LOW} to {HIGH}", SIDE - canvas.LINE - 2),
    ):
        image.paste(canvas.line(text), (14, y))
    return image


def _blank(side: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (side * FINE, side * FINE), "white")
    return image, ImageDraw.Draw(image)


def _view(turn: float) -> np.ndarray:
    """Rows: to the right, up, towards the reader."""
    c, s, ct, st = math.cos(turn), math.sin(turn), math.cos(TILT), math.sin(TILT)
    return np.array([[-s, c, 0], [-st * c, -st * s, ct], [ct * c, ct * s, st]])


def _pale(code: str) -> tuple[int, ...]:
    """A colour mixed with twice as much white."""
    return tuple((part + 2 * 255) // 3 for part in ImageColor.getrgb(code))
