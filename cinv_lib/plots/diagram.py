"""The method in one picture: two encoders, one of them frozen, and what is pulled to what."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Arc, FancyBboxPatch, Rectangle

from cinv_lib.plots.style import OKABE_ITO, colour

WIDTH, HEIGHT = 7.84, 3.6  # inches; at 100 pixels per inch as wide as a page of the course
TOP, BOTTOM = 2.42, 0.72  # the rows of the teacher and of the student
PICTURE, TOWER, EMBEDDING = 0.75, 3.65, 6.8  # the middles of the three columns
SIDE = 1.1  # of the pictures
HOUSE = """
ssssssssssss
sssssssssyys
sssrrsssssyy
ssrrrrssssss
srrrrrrsssss
rrrrrrrrssss
swwwwwwssggs
swbwwdwsgggg
swwwwdwssggs
swwwwdwssngs
gggggggggngg
gggggggggggg
"""
INKS = {"s": "sky", "y": "yellow", "r": "vermilion", "b": "blue", "g": "green", "n": "orange"}
LEFT_OVER = (8, 22, 28, 35, 49, 57, 64, 78, 83, 91, 104, 110, 125, 139)  # 14 of 144 pixels


def method_diagram() -> Figure:
    """The method of the paper: the student S of A(x) is pulled towards the teacher R of x.

    The upper row is the teacher's, which never changes; the lower row is the student's, which
    starts as a copy and sees the ruined picture only (Section 3 of the paper). It fits a page of
    784 pixels.
    """
    fig = Figure(figsize=(WIDTH, HEIGHT))
    ax = fig.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, WIDTH), ylim=(0, HEIGHT), aspect="equal")
    ax.axis("off")
    teacher, student = colour("clip"), colour("student")

    _picture(ax, TOP, range(len("".join(HOUSE.split()))))
    _picture(ax, BOTTOM, LEFT_OVER)
    _box(ax, TOWER, TOP, 2.0, "teacher R", "CLIP, frozen", teacher)
    _box(ax, TOWER, BOTTOM, 2.0, "student S", "learns", student)
    _lock(ax, TOWER + 0.72, TOP - 0.02, teacher)
    _box(ax, EMBEDDING, TOP, 1.75, "R(x)", "what CLIP says of x", teacher, edge=0.0)
    _box(ax, EMBEDDING, BOTTOM, 1.75, "S(A(x))", "what the student says", student, edge=0.0)

    for y, ink in ((TOP, teacher), (BOTTOM, student)):
        _arrow(ax, (PICTURE + SIDE / 2 + 0.1, y), (TOWER - 1.08, y), ink)
        _arrow(ax, (TOWER + 1.08, y), (EMBEDDING - 0.95, y), ink)
    _arrow(ax, (PICTURE, TOP - 0.62), (PICTURE, BOTTOM + 0.62), OKABE_ITO["black"])
    ax.plot([TOWER, TOWER], [TOP - 0.45, BOTTOM + 0.7], color="#707070", lw=1.8, ls=":")
    _arrow(ax, (TOWER, BOTTOM + 0.7), (TOWER, BOTTOM + 0.43), "#707070")  # a whole head
    _arrow(ax, (EMBEDDING, BOTTOM + 0.4), (EMBEDDING, TOP - 0.4), OKABE_ITO["vermilion"], 3.0)

    title = "The student sees only A(x), and is pulled towards what the teacher says of x"
    ax.text(PICTURE - SIDE / 2, HEIGHT - 0.26, title, fontsize=12, weight="bold", va="center")
    middle = (TOP + BOTTOM) / 2
    _words(ax, PICTURE + 0.14, middle, "A ruins the picture", "#000000")
    _words(ax, TOWER + 0.14, middle, "starts as a copy", "#606060")
    _words(ax, EMBEDDING - 0.14, middle, "pull together", OKABE_ITO["vermilion"], right=True)
    _words(ax, PICTURE + SIDE / 2 + 0.12, TOP + 0.2, "x", "#000000")
    _words(ax, PICTURE + SIDE / 2 + 0.12, BOTTOM + 0.2, "A(x)", "#000000")
    return fig


def _picture(ax: Axes, y: float, seen: Sequence[int]) -> None:
    """The drawn house with its middle at height y; pixels that are not in `seen` are black."""
    letters = "".join(HOUSE.split())
    inks = {"w": "#F4EFE6", "d": "#5A4636"} | {key: OKABE_ITO[name] for key, name in INKS.items()}
    colours = [inks[letter] if k in seen else "#000000" for k, letter in enumerate(letters)]
    rows = int(len(letters) ** 0.5)
    left = np.linspace(PICTURE - SIDE / 2, PICTURE + SIDE / 2, rows + 1)
    up = np.linspace(y + SIDE / 2, y - SIDE / 2, rows + 1)
    places = np.arange(len(letters)).reshape(rows, rows)
    ax.pcolormesh(left, up, places, cmap=ListedColormap(colours), antialiased=False)


def _box(ax: Axes, x: float, y: float, width: float, *words: str, edge: float = 2.0) -> None:
    """A rounded box around its middle: a name, what it is below, and the colour of both."""
    name, says, ink = words
    shape = "round,pad=0,rounding_size=0.12"
    look: dict[str, Any] = {"boxstyle": shape, "lw": edge, "ec": ink, "fc": ink + "14"}
    ax.add_patch(FancyBboxPatch((x - width / 2, y - 0.4), width, 0.8, **look))
    ax.text(x, y + 0.13, name, ha="center", va="center", fontsize=13, weight="bold", color=ink)
    ax.text(x, y - 0.17, says, ha="center", va="center", fontsize=9.5, color=ink)


def _lock(ax: Axes, x: float, y: float, ink: str) -> None:
    """A padlock: its body, and the bow above it."""
    ax.add_patch(Arc((x, y + 0.06), 0.17, 0.24, theta1=0, theta2=180, color=ink, lw=2))
    ax.add_patch(Rectangle((x - 0.13, y - 0.14), 0.26, 0.2, color=ink))


def _arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], ink: str, width: float = 1.8
) -> None:
    look = {"arrowstyle": "-|>", "lw": width, "color": ink, "mutation_scale": 16}
    ax.annotate("", end, start, arrowprops={**look, "shrinkA": 0, "shrinkB": 0})


def _words(ax: Axes, x: float, y: float, says: str, ink: str, *, right: bool = False) -> None:
    ax.text(x, y, says, ha="right" if right else "left", va="center", fontsize=11, color=ink)
