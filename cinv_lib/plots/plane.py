"""The map of embeddings: a plane on which a few classes lie, and where encoders put pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from torch import Tensor

from cinv_lib.plots.style import OKABE_ITO

INKS = ("blue", "vermilion", "green")  # of the three classes
GREY, RIM = "#C0C0C0", "#5A5A5A"  # of CLIP's dots: a plain grey is some readers' green
WIDTH, HEIGHT = 6.4, 4.0  # inches
ROOM = 1.35  # how much larger the axes are than the spread of the clean pictures


@dataclass(frozen=True)
class Plane:
    """The plane through the means of three classes, fitted on clean pictures: `Plane.of`.

    Three points lie in one plane, so nothing of how the classes differ on average is lost in it.
    Embeddings count by their direction: each is divided by its length first.

    of_means: the share of the means' spread that lies in the plane, 1 for three classes.
    of_all: the share of the spread of all the clean embeddings.
    """

    middle: Float[Tensor, " d"]
    axes: Float[Tensor, "2 d"]
    of_means: float
    of_all: float

    @classmethod
    def of(cls, R: Float[Tensor, "N d"], labels: Int64[Tensor, " N"]) -> "Plane":
        """Fit it on R(x) and the classes of the pictures.

        Raises:
            ValueError: fewer than three classes, whose means would not span a plane.
        """
        classes = labels.unique()
        if len(classes) < 3:
            raise ValueError(f"{len(classes)} classes span no plane: expected three")
        unit = F.normalize(R.float(), dim=1)
        means = torch.stack([unit[labels == k].mean(0) for k in classes])
        middle = means.mean(0)
        _, spread, axes = torch.linalg.svd(means - middle, full_matrices=False)
        away = unit - unit.mean(0)
        of_means = spread[:2].square().sum() / spread.square().sum()
        of_all = (away @ axes[:2].T).square().sum() / away.square().sum()
        return cls(middle, axes[:2], float(of_means), float(of_all))

    def __call__(self, embeddings: Float[Tensor, "N d"]) -> Float[Tensor, "N 2"]:
        """Where embeddings lie on the map."""
        return (F.normalize(embeddings.float(), dim=1) - self.middle) @ self.axes.T


def embedding_map(
    clean: Float[Tensor, "N 2"],
    teacher: Float[Tensor, "N 2"],
    student: Float[Tensor, "N 2"],
    labels: Int64[Tensor, " N"],
    names: Sequence[str],
    title: str = "",
) -> Figure:
    """Three classes on a plane: R(x) as hollow circles, R(A(x)) in grey, and from each of those an
    arrow to S(A(x)). The axes depend on `clean` alone, so they stay while a severity moves.

    Args:
        clean, teacher, student: places of R(x), R(A(x)) and S(A(x)).
        labels: 0, 1 or 2.
        names: of the three classes.
    """
    fig = Figure(figsize=(WIDTH, HEIGHT))
    ax = fig.add_axes((0.01, 0.01, 0.98, 0.91))
    _frame(ax, clean)
    inks = [OKABE_ITO[INKS[k]] for k in labels.tolist()]
    (x, y), (u, v) = teacher.T, (student - teacher).T
    ax.quiver(
        x, y, u, v, color=inks, alpha=0.45, width=0.0022, headwidth=5, angles="xy", scale=1,
        scale_units="xy",
    )  # fmt: skip
    ax.scatter(
        clean[:, 0],
        clean[:, 1],
        s=34,
        facecolors="none",
        edgecolors=inks,
        linewidths=1.0,
        label="R(x), intact",
    )
    ax.scatter(x, y, s=16, color=GREY, edgecolors=RIM, linewidths=0.5, label="R(A(x)), CLIP")
    ax.scatter(student[:, 0], student[:, 1], s=16, color=inks, label="S(A(x)), student")
    for k, name in enumerate(names):
        x, y = clean[labels == k].mean(0)[0].item(), clean[labels == k][:, 1].amax().item()
        look: dict[str, Any] = {"weight": "bold", "fontsize": 11, "ha": "center", "va": "bottom"}
        look |= {"zorder": 9, "bbox": {"fc": "white", "ec": "none", "alpha": 0.8, "pad": 1}}
        ax.annotate(
            name, (x, y), (0, 7), textcoords="offset points", color=OKABE_ITO[INKS[k]], **look
        )
    legend = ax.legend(loc="upper left", fontsize=9, frameon=False)
    intact, _, of_student = (cast(PathCollection, one) for one in legend.legend_handles)
    intact.set_edgecolor(OKABE_ITO["black"])
    of_student.set_color(OKABE_ITO["black"])
    fig.text(0.02, 0.94, title, fontsize=11, weight="bold")
    return fig


def nearer(
    clean: Float[Tensor, "N 2"], teacher: Float[Tensor, "N 2"], student: Float[Tensor, "N 2"]
) -> str:
    """What the map shows, in words: whose answers are nearer to R(x) on the mean, and how far
    they are from it."""
    far = [float((places - clean).norm(dim=1).mean()) for places in (teacher, student)]
    if far[0] == far[1]:
        return f"CLIP and the student are as far from R(x): {far[0]:.2f}"
    who = "the student" if far[1] < far[0] else "CLIP"
    return f"{who} is nearer to R(x): {min(far):.2f} against {max(far):.2f}"


def _frame(ax: Axes, clean: Float[Tensor, "N 2"]) -> None:
    """Axes that the clean pictures fix, without numbers: only nearness means something here."""
    low, high = clean.amin(0), clean.amax(0)
    middle, (across, up) = (low + high) / 2, (high - low).tolist()
    half = ROOM * max(across * HEIGHT / WIDTH, up) / 2
    x, y = middle.tolist()
    ax.set_xlim(x - half * WIDTH / HEIGHT, x + half * WIDTH / HEIGHT)
    ax.set_ylim(y - half, y + half)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_color("#D0D0D0")
