"""How a lesson ends where something is missing: with the paper's numbers, quoted.

The reader gets the sentence that says what is absent, the command that makes it, and the paper's
numbers for the lesson. No further cell is run, and papermill takes it for a lesson that has ended
well.
"""

import pandas as pd
from IPython import get_ipython
from IPython.display import Markdown, display

from cinv_lib import paper
from cinv_lib.encoders.captions import NoWords
from cinv_lib.lab import missing

SHOWS = {  # lesson -> the paper's tables and figures that it stands beside; others: table 1
    "06": ("table 1", "table 9", "figure 3"),
    "07": ("table 1", "table 11", "table 12"),
    "08": ("figure 4", "table 10"),
    "09": ("table 2", "table 6"),
    "10": ("figure 5",),
    "11": ("figure 6",),
    "12": ("table 7", "table 8"),
    "13": ("table 14",),
    "15": ("table 1", "table 9", "table 13"),
}


def shown(shell, kind, absent, trace, tb_offset=None) -> None:
    """In place of a traceback: the sentence, the paper's numbers, and an end that is no error."""
    text = f"{absent}\n\nUntil then, here is what the paper reports. Nothing of it is measured."
    display(Markdown(text))
    for source in SHOWS.get(missing.this_lesson(), ("table 1",)):
        display(Markdown(f"**{source.capitalize()}, quoted** (percent; AUC between 0 and 1)"))
        display(quoted(source))
    end = "The lesson ends here, as what it needs is absent. The cells below were not run."
    # papermill takes this name and value, and no other, for an end without an error
    shell._showtraceback(SystemExit, SystemExit(0), [end])


def quoted(source: str) -> pd.DataFrame:
    """A table or figure of the paper to read, as "table 1" or "figure 6": what differs from row to
    row, and a column a method; top-1 or AUC with its standard error."""
    kind, number = source.split()
    rows = {"table": paper.table, "figure": paper.figure}[kind](int(number))
    rows = rows[rows.metric != "top5"]
    keys = [key for key in ("dataset", "operator") if key in rows and rows[key].nunique() > 1]
    if rows.duplicated([*keys, "method"]).any():  # a curve over the labels used, in percent
        keys.append("fraction")
    cells = rows.assign(text=[_cell(*row) for row in rows[["value", "se", "metric"]].values])
    wide = cells.pivot_table(
        index=keys, columns="method", values="text", aggfunc="first", sort=False
    )
    return wide.rename(columns=paper.METHODS).fillna("").rename_axis(columns=f"{source}, quoted")


def _cell(value: float, error: float, metric: str) -> str:
    digits = 3 if metric == "auc" else 1
    return f"{value:.{digits}f}" + ("" if pd.isna(error) else f" ± {error:.{digits}f}")


# A lesson imports this by importing its exercises' `check`.
if (shell := get_ipython()) is not None:
    shell.set_custom_exc((missing.Absent, NoWords), shown)
