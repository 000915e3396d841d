"""How a lesson says what it found: one sentence in bold, and its tables folded beneath it."""

import html

import pandas as pd
from IPython.display import display

NAMES = {"half_width": "± (95 %)"}


def result(sentence: str) -> None:
    """Display the sentence that answers the lesson's question.

    Raises ValueError for one that does not end as a sentence does.
    """
    if not sentence.strip().endswith((".", "!", "?")):
        raise ValueError(f"result {sentence!r}: expected a sentence, which ends with a full stop")
    page = f'<p class="result"><b>{html.escape(sentence)}</b></p>'
    display({"text/html": page, "text/plain": sentence}, raw=True)


def folded(table: pd.DataFrame, summary: str) -> None:
    """Display a table that the reader opens by a click on `summary`, as "All 14 rows". Keys of its
    columns have the names of `NAMES`."""
    rows = table.rename(columns=NAMES).to_html()
    page = f"<details><summary>{html.escape(summary)}</summary>{rows}</details>"
    display({"text/html": page, "text/plain": f"{summary} (folded)"}, raw=True)
