"""A probe on points in the plane: what a linear classifier does with embeddings of two numbers."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float, Int64
from matplotlib.figure import Figure
from torch import Tensor

from cinv_lib.plots.style import OKABE_ITO, headed, single

COLOURS, MARKERS = ("blue", "vermilion"), ("o", "s")


def probe_plane(
    points: Float[Tensor, "N 2"],
    labels: Int64[Tensor, " N"],
    weights: Float[Tensor, "2 2"],
    names: Sequence[str],
    *,
    title: str,
) -> Figure:
    """Embeddings of two classes, each with its two scores, and the line where these are equal
    (lesson 06).

    Args:
        weights: a row for each class; the score of class k is the product of its row and the point.
        names: of the two classes.
    """
    fig, ax = single(5.4, 3.9)
    limit = 1.25 * points.abs().max().item()
    for point, label, (first, second) in zip(
        points, labels.tolist(), (points @ weights.T).tolist(), strict=True
    ):
        ink, (x, y) = OKABE_ITO[COLOURS[label]], point.tolist()
        ax.plot(x, y, MARKERS[label], color=ink, ms=7)
        # below each other, as beside each other those of two points would overlap
        said = f"{first:+.1f}\n{second:+.1f}".replace("-", "−")
        look: dict[str, Any] = {
            "textcoords": "offset points",
            "fontsize": 9,
            "va": "center",
            "color": ink,
        }
        ax.annotate(said, (x, y), xytext=(8, 0), **look)
    a, b = (weights[0] - weights[1]).tolist()
    ax.axline((0, 0), (b, -a), color="black", lw=1, ls="--")
    for k, name in enumerate(names):
        corner: dict[str, Any] = {
            "transform": ax.transAxes,
            "color": OKABE_ITO[COLOURS[k]],
            "fontsize": 9,
        }
        ax.text(0.02, 0.93 - 0.07 * k, f"{name}: row {weights[k].tolist()}", **corner)
    ax.text(0.98, 0.03, "dashed: both scores are equal", ha="right", fontsize=9,
            transform=ax.transAxes)  # fmt: skip
    ax.set(xlim=(0, limit), ylim=(0, limit), aspect="equal", xlabel="first number of the embedding")
    ax.set_ylabel("second number")
    ax.grid(axis="x", alpha=0.3)
    return headed(fig, title)
