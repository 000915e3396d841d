"""The figures of lesson 16: a limit over the noise, and what a student's loss consists of. Each
makes the title that says its finding from the numbers it draws.
"""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from cinv_lib.evaluation.sentence import listed
from cinv_lib.plots.curves import marked_lines
from cinv_lib.plots.style import colour, finished, single

_HATCHES = ("", "//", "..")


def limit_curves(
    sigmas: Sequence[float], curves: Mapping[str, Sequence[float]], ylabel: str
) -> Figure:
    """Values in [0, 1] over the noise, a line for each of two names. The title compares them."""
    fig, ax = single(5.5, 3.2)
    marked_lines(ax, sigmas, curves)
    return finished(fig, ax, below(curves), xlabel="noise σ", ylabel=ylabel, ylim=(0, 1.02))


def below(curves: Mapping[str, Sequence[float]]) -> str:
    """At how many places the second of two curves lies below the first, and by how much.

    >>> below({"alignment": [1.0, 0.9], "the contrastive loss": [0.8, 0.6]})
    'The contrastive loss is below alignment at 2 of 2 σ, by 0.20 to 0.30'
    >>> below({"a": [1.0, 0.9], "b": [1.0, 0.95]})
    'B is below a at 0 of 2 σ'
    """
    (one, first), (other, second) = curves.items()
    by = [a - b for a, b in zip(first, second, strict=True) if b < a]
    said = f"{other[0].upper()}{other[1:]} is below {one} at {len(by)} of {len(first)} σ"
    return f"{said}, by {min(by):.2f} to {max(by):.2f}" if by else said


def split_bars(parts: Mapping[str, Mapping[str, float]]) -> Figure:
    """A bar for each student, of parts that add up to 1 - cosine. The title names the largest part
    of each."""
    fig, ax = single(5.5, 1.4 + 0.55 * len(parts))
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
    ax.grid(axis="y", visible=False)
    most = {name: max(part.items(), key=lambda one: one[1]) for name, part in parts.items()}
    said = listed(f"{part} ({value:.2f}) for the {name}" for name, (part, value) in most.items())
    return finished(fig, ax, f"Largest part: {said}", xlabel="1 - cosine to R(x)")
