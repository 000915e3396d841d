"""How several trainings went, side by side: loss, cosines, words (lesson 17)."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, ScalarFormatter

from cinv_lib.plots.style import OKABE_ITO, tidied

OWN, FRESH, OTHERS = OKABE_ITO["vermilion"], OKABE_ITO["blue"], "#BBBBBB"


def training_sheets(
    histories: Mapping[str, pd.DataFrame], looks: Mapping[str, pd.DataFrame], title: str
) -> Figure:
    """A column for each training: its loss (steps faint, means of epochs not); the cosine to R(x)
    on its own ruined pictures and on fresh ones; what it says rightly in words. The other trainings
    are grey.

    Args:
        histories: epoch, step, loss of each training, by its name.
        looks: epoch, own, fresh, words of each.
    """
    names = list(histories)
    fig = Figure(figsize=(7.8, 5.4), layout="constrained")
    axes = fig.subplots(3, len(names), sharex="row", sharey="row", squeeze=False)
    for ax in axes.flat:
        tidied(ax)
    means = {name: h.groupby("epoch")[["step", "loss"]].mean() for name, h in histories.items()}
    for column, name in enumerate(names):
        loss, cosine, words = axes[:, column]
        loss.set_title(name, fontsize=11, fontweight="bold")
        for other in names:
            if other != name:
                loss.plot(means[other].step, means[other].loss, color=OTHERS, lw=0.8)
                words.plot(looks[other].epoch, looks[other].words, color=OTHERS, lw=0.8)
        steps, look = histories[name], looks[name]
        trained = look[look.epoch > 0]
        loss.plot(steps.step, steps.loss, color="black", alpha=0.3, lw=0.6)
        loss.plot(means[name].step, means[name].loss, color="black", lw=1.6)
        cosine.plot(trained.epoch, trained.fresh, color=FRESH, lw=1.6)
        cosine.plot(trained.epoch, trained.own, color=OWN, lw=1.6, ls=(0, (2, 2)))
        words.plot(look.epoch, look.words, color="black", lw=1.6)
        loss.set_xlabel("step", fontsize=8)
        for ax in (cosine, words):
            ax.set_xlabel("epoch", fontsize=8)
            ax.set_xlim(left=0)
            ax.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        for ax in axes[:, column]:
            ax.tick_params(labelsize=7)
    labels = ("loss of its training", "cosine to R(x)", "right in words (%)")
    for ax, label in zip(axes[:, 0], labels, strict=True):
        ax.set_ylabel(label, fontsize=9)
    axes[0, 0].set_yscale("log")
    axes[0, 0].yaxis.set_major_locator(FixedLocator([0.25, 0.5, 1, 2, 4]))
    axes[0, 0].yaxis.set_major_formatter(ScalarFormatter())
    axes[0, 0].yaxis.set_minor_formatter(NullFormatter())
    axes[2, 0].set_ylim(bottom=0)
    last = axes[1, -1]
    last.plot([], [], color=OWN, ls=(0, (2, 2)), label="its own masks")
    last.plot([], [], color=FRESH, label="fresh masks")
    fig.legend(*last.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8,
               frameon=False)  # fmt: skip
    fig.suptitle(title, fontsize=11)
    return fig
