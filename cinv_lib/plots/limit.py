"""The figures of lesson 16: a limit over the noise, and what a student's loss consists of."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from cinv_lib.plots.curves import marked_lines
from cinv_lib.plots.style import colour, finished, single

_HATCHES = ("", "//", "..")


def limit_curves(
    sigmas: Sequence[float], curves: Mapping[str, Sequence[float]], ylabel: str
) -> Figure:
    """Values in [0, 1] over the noise, a line a name."""
    fig, ax = single(5.5, 3.2)
    marked_lines(ax, sigmas, curves)
    return finished(fig, ax, xlabel="noise σ", ylabel=ylabel, ylim=(0, 1.02))


def split_bars(parts: Mapping[str, Mapping[str, float]]) -> Figure:
    """A bar a student, of parts that add up to 1 - cosine."""
    fig, ax = single(5.5, 1.0 + 0.55 * len(parts))
    names = list(parts)
    left = [0.0] * len(names)
    for k, part in enumerate(next(iter(parts.values()))):
        widths = [parts[name][part] for name in names]
        ax.barh(
            names, widths, left=left, height=0.6, color=colour(part, k), hatch=_HATCHES[k % 3],
            edgecolor="white", label=part,
        )  # fmt: skip
        left = [a + b for a, b in zip(left, widths, strict=True)]
    ax.invert_yaxis()
    return finished(fig, ax, xlabel="1 - cosine to R(x)")
