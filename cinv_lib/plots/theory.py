"""The figures of lessons 03 and 04: teachers that count; a counterexample, a family of teachers,
bars, and biases over tau. Each makes the title that says its finding from the numbers it draws.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from cinv_lib.evaluation.sentence import listed
from cinv_lib.plots.bar_charts import grouped
from cinv_lib.plots.curves import log_ticks, marked_lines
from cinv_lib.plots.style import OKABE_ITO, colour, finished, headed, legend, single, tidied

_LINES = ("-", "--", ":", "-.")


def circle_and_bounds(
    R: Float[Tensor, "N 2"],
    S: Float[Tensor, " 2"],
    i: int,
    deltas: Float[Tensor, " K"],
    bounds: Mapping[str, Float[Tensor, " K"]],
    reached: tuple[float, float],
) -> Figure:
    """A counterexample on a circle, and bounds on it. The title says which bound it breaks.

    On the left are the points R, a student S for R_i, and the way from S to R_i. On the right are
    the bounds over delta, and what the points on the left reach.

    Args:
        bounds: what sets a bound -> its values at `deltas`, in rising order.
        reached: the delta and the value of the points on the left.
    """
    fig = Figure(figsize=(7.2, 3.2), layout="constrained")
    left, ax = fig.subplots(1, 2, width_ratios=[1, 1.25])
    round = np.linspace(0, 2 * np.pi, 200)
    left.plot(np.cos(round), np.sin(round), color="gray", lw=0.8)
    left.scatter(*R.T.numpy(), 40, color=OKABE_ITO["blue"], zorder=3)
    left.scatter(*S.numpy(), 46, marker="D", color=OKABE_ITO["vermilion"], zorder=3)
    left.annotate("", R[i].numpy(), S.numpy(), arrowprops={"arrowstyle": "->"})
    names = {"S": S, **{f"R{k + 1}": point for k, point in enumerate(R)}}
    for name, point in names.items():
        left.annotate(name, 1.16 * point.numpy(), ha="center", va="center", fontsize=9)
    left.set(aspect="equal", xlim=(-1.35, 1.35), ylim=(-1.35, 1.35))
    left.set_axis_off()
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.3)
    for k, (name, values) in enumerate(bounds.items()):
        ax.plot(deltas, values, _LINES[k % len(_LINES)], color=colour(name, k), label=name)
    ax.scatter(*reached, 60, marker="*", color="black", zorder=3, label="the square")
    ax.set(xlabel="δ = 1 - ⟨S, R1⟩", ylabel="largest ⟨R1 - S, Rj⟩")
    ax.legend(frameon=False, fontsize=8)
    delta, value = reached
    allowed = (f"{np.interp(delta, deltas, y):.2f} by {name}" for name, y in bounds.items())
    return headed(fig, f"The square reaches {value:.2f}. Allowed are {listed(allowed)}")


def height_curve(
    heights: Sequence[float] | Tensor,
    angles: Sequence[float] | Tensor,
    marks: Mapping[str, float],
) -> Figure:
    """The largest recovery angle over the height of a family; `marks` are upright lines, and the
    title says the angle at each.

    Args:
        heights: in rising order.
        marks: name -> its height.
    """
    fig, ax = single(5.5, 3.0)
    ax.plot(heights, angles, color=OKABE_ITO["blue"])
    for k, (name, height) in enumerate(marks.items(), start=1):
        ax.axvline(height, color=colour(name, k), ls=_LINES[k % len(_LINES)], label=name)
    names = {"xlabel": "height h of the two triangles", "ylabel": "largest angle (degrees)"}
    at = (f"{np.interp(h, heights, angles):.2f}° where {name}" for name, h in marks.items())
    return finished(fig, ax, f"Largest angle: {listed(at)}", **names, ylim=(0, None))


def recovery_bars(results: pd.DataFrame) -> Figure:
    """Bars over N: |sum of R| above, the largest angle below. Each tau has a column of axes, and
    each term ("U", "E") a bar. The title says the largest angle of each term.

    Args:
        results: columns `N`, `tau`, `term`, `sum`, `angle` (degrees).
    """
    taus, terms = results["tau"].unique(), results["term"].unique()
    fig = Figure(figsize=(1.2 + 3.0 * len(taus), 4.9), layout="constrained")
    axes = fig.subplots(2, len(taus), squeeze=False, sharex=True, sharey="row")
    for column, tau in enumerate(taus):
        here = results[results["tau"] == tau]
        for row, value in enumerate(("sum", "angle")):
            table = here.pivot(index="N", columns="term", values=value)[terms]
            grouped(tidied(axes[row, column]), table.add_prefix("minimiser of "))
        axes[0, column].set_title(f"τ = {tau:g}", fontsize=9)
        axes[1, column].set_xlabel("N")
    axes[0, 0].set_ylabel("|sum of R|")
    axes[1, 0].set_ylabel("largest angle (degrees)")
    legend(fig, axes[0, 0], "lower")
    most = results.groupby("term", sort=False)["angle"].max().items()
    said = listed(f"{angle:.2f}° at minimisers of {term}" for term, angle in most)
    return headed(fig, f"Largest angle over all N and τ: {said}")


def bias_curves(
    taus: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    exact: Mapping[str, float],
    tau: float,
) -> Figure:
    """The mean angle to R of each teacher's optimum over tau; levels of `exact` are dashed. The
    title says the angles at `tau`, one of `taus`."""
    fig, ax = single(5.5, 3.9)
    marked_lines(ax, taus, curves)
    for k, (name, level) in enumerate(exact.items()):
        ax.axhline(level, color="black", ls=_LINES[1 + k % 3], lw=1, label=name)
    log_ticks(ax, taus)
    place = taus.index(tau)
    said = ", ".join(f"{name} {angles[place]:.0f}°" for name, angles in curves.items())
    names = {"xlabel": "τ", "ylabel": "mean angle to R (degrees)", "ylim": (0, None)}
    return finished(fig, ax, f"Mean angle at τ = {tau:g}: {said}", **names)


def remedy_bars(angles: pd.DataFrame) -> Figure:
    """Mean angles in degrees: a group of bars for each row (a teacher), with a bar for each column
    (a remedy). The title is about the last row."""
    fig, ax = single(6.5, 3.3)
    grouped(ax, angles)
    last = angles.iloc[-1]
    said = ", ".join(f"{angle:.0f}° ({remedy})" for remedy, angle in last.items())
    return finished(fig, ax, f"{last.name}: {said}", ylabel="mean angle to R (degrees)")


def counted_curves(
    taus: Float[Tensor, " T"], counts: Mapping[str, Float[Tensor, " T"]], of: int, tau: float
) -> Figure:
    """How many of `of` teachers count for some pictures over tau (lesson 03). The title says it at
    `tau` and at the largest of `taus`."""
    fig, ax = single(5.5, 3.0)
    marked_lines(ax, taus.tolist(), {name: each.tolist() for name, each in counts.items()})
    ax.set_xscale("log")
    every = torch.stack(list(counts.values()))

    def said(place: int) -> str:
        low, high = (f"{value:.0f}" for value in every[:, place].aminmax())
        return low if low == high else f"{low} to {high}"

    near = int((taus.log() - math.log(tau)).abs().argmin())
    there = f"{said(near)} count at τ = {tau:g} and {said(-1)} at τ = {taus[-1]:g}"
    title = f"Of {of} teachers {there}"
    return finished(fig, ax, title, xlabel="temperature τ", ylabel="teachers that count")
