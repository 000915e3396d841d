"""The verdicts of the ledger on one page: a sentence for each claim, a mark for each row."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from cinv_lib.plots.leads import GREY
from cinv_lib.plots.style import OKABE_ITO, headed

MARKS = {  # of a verdict: marker, colour, whether it is filled
    "holds": ("o", OKABE_ITO["green"], True),
    "does not hold": ("X", OKABE_ITO["vermilion"], True),
    "not decided": ("o", OKABE_ITO["black"], False),
}
OTHER = ("_", GREY, True)  # not comparable, not measured
LETTERS = 102  # of a sentence
MARKED = 78  # where the marks begin, of the hundred of the width


def claim_marks(
    groups: Sequence[tuple[str, Sequence[tuple[str, Sequence[str]]]]], *, title: str
) -> Figure:
    """Claims in groups, each with the marks of its rows (lesson 15).

    Args:
        groups: (heading, its claims), a claim being (sentence, the verdict of each of its rows).
        title: what the figure finds.
    """
    count = sum(1 + len(claims) for _, claims in groups if claims)
    most = max(len(said) for _, claims in groups for _, said in claims)
    fig = Figure(figsize=(7.8, 0.9 + 0.185 * count), layout="constrained")
    ax = fig.subplots()
    ax.set_axis_off()
    ax.set(xlim=(0, 100), ylim=(-count + 0.3, 1.2))
    place, known = 0, set()
    for heading, claims in groups:
        if not claims:
            continue
        ax.text(0, -place, heading, fontsize=8.5, fontweight="bold", va="center")
        for words, said in claims:
            place += 1
            short = words if len(words) <= LETTERS else words[: LETTERS - 1].rstrip() + "…"
            ax.text(1, -place, short, fontsize=7.2, va="center")
            for k, one in enumerate(said):
                marker, color, filled = MARKS.get(one.partition(" (")[0], OTHER)
                face = color if filled else "white"
                verdict = one.partition(" (")[0]
                verdict = verdict if verdict in MARKS else "cannot be asked"
                label = None if verdict in known else verdict
                known.add(verdict)
                x = MARKED + (100 - MARKED) * k / max(most, 6)
                ax.plot(x, -place, marker, color=color, mfc=face, ms=5.5, mew=1, label=label, ls="")
        place += 1
    handles, labels = ax.get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower left", ncols=4, fontsize=8, frameon=False)
    return headed(fig, title)
