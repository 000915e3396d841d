"""The paper's numbers: every table, what the authors published of its plots, and the source.

Nothing here is measured by this course. Each row says where it comes from in `source`: a table of
the paper, or the authors' result files for numbers that the paper only plots. Operators are
written as this library writes them, at the paper's 224 pixels ("mask:0.9", "noise:0.5", "blur:9").

Columns of the numeric tables and figures:

- `row`: the row as printed ("Random Mask 90%").
- `operator`: what corrupts the evaluated images. Table 14 holds names of ImageNet-C corruptions.
- `trained`: the operator that the encoder was trained with ("identity" where it saw clean images).
- `dataset`, `method` (a key of `METHODS`), `fraction` (labels used, in percent).
- `metric`: "top1" and "top5" in percent, "auc" between 0 and 1.
- `value` and `se`: mean and standard error over 10 corruptions, to the digits that are printed, or
  that the result files have (`se` is NaN where there is none).
"""

from functools import cache
from pathlib import Path

import pandas as pd

# Our name of a method, and how the paper calls it.
METHODS = {
    "baseline": "Supervised baseline",
    "baseline_imagenet100": "Supervised baseline, started from ImageNet-100",
    "student": "Ours",
    "student_10": "Ours (10% labeled data)",
    "clip": "Original CLIP representations",
    "resnet": "Clean ResNet-101 representations",
    "clean_classifier": "Clean linear classifier on ours",
    "denoising": "Non-local means, then a clean classifier",
    "inpainting": "Deep Decoder, then a clean classifier",
    "zero_shot": "Ours, zero-shot by text",
    "st": "Student vs. teacher",
    "ss": "Student vs. student",
    "sb": "Student vs. both",
    "nt": "NT-Xent",
    "mse": "MSE",
}

EXTRAS = (
    "zero-shot student",
    "students on clean images",
    "raw CLIP, measured",
    "other runs of figure 6",
)

_LISTS = {3: "label_shift", 15: "classes", 16: "classes"}
_NO_DATA = {
    2: "it is a drawing",
    11: "it shows pictures",
}


@cache
def _read(name: str) -> pd.DataFrame:
    return pd.read_csv(Path(__file__).with_name(f"{name}.csv"), dtype={"figure": str})


def counterpart(operator: str) -> str:
    """The operator of the paper, at 224 pixels, that stands beside one of ours.

    >>> counterpart("blur:2.57"), counterpart("mask:0.9")
    ('blur:9', 'mask:0.9')
    """
    ours = {"blur:1.43": "blur:5", "blur:2.57": "blur:9"}  # σ of 5 and 9 pixels, times 64/224
    return ours.get(operator, operator)


def table(number: int) -> pd.DataFrame:
    """Table `number` (1 to 16) of the paper.

    Tables 3 (label shift), 15 and 16 (classes) are lists; the others have the columns of the
    module's docstring. `label` in the lists is the class index: the place in the sorted wnids.

    Raises:
        ValueError: there is no such table.

    Example:
        >>> table(1).query("operator == 'mask:0.9' and method == 'student'").value.item()
        82.96
    """
    if number not in range(1, 17):
        raise ValueError(f"table {number!r}: the paper has tables 1 to 16")
    rows = _read(_LISTS.get(number, "tables"))
    rows = rows[rows.table == number] if "table" in rows else rows.assign(table=number)
    rows = rows.assign(source=f"Table {number}").reset_index(drop=True)
    return rows[["table", *(c for c in rows if c != "table")]]


def figure(number: int) -> pd.DataFrame:
    """What figure `number` shows: 1 (top-3 predictions, printed), or 3 to 10 (curves).

    Figures 7 to 10 are 3 to 6 again, in top-5. Their curves are the authors' own result files, with
    standard errors, which the paper only plots; baselines come from the table that prints them.
    Which runs figures 6 and 10 plot is inferred: `extra("other runs of figure 6")` has others. The
    baselines of figures 5, 8 and 9 were never published as numbers.

    Raises:
        ValueError: the figure does not exist, or no numbers of it are known.
    """
    if number == 1:
        return _read("predictions").assign(source="Figure 1")
    rows = _figures(str(number))
    if number not in range(1, 12) or rows.empty:
        why = _NO_DATA.get(number, "the paper has figures 1 to 11")
        raise ValueError(f"figure {number!r}: {why}; numbers exist for figures 1 and 3 to 10")
    return rows


def extra(name: str) -> pd.DataFrame:
    """Numbers of the authors' result files that the paper does not show (one of `EXTRAS`).

    "raw CLIP, measured" holds the values that contradict Table 13's CLIP column. "other runs of
    figure 6" are a second run of three of its five losses; there, at 90 % of the pixels missing,
    MSE equals the contrastive ones. How they were trained is not documented.

    Raises:
        ValueError: unknown name.
    """
    if name not in EXTRAS:
        raise ValueError(f"extra {name!r}: expected one of {', '.join(map(repr, EXTRAS))}")
    return _figures(name)


def _figures(key: str) -> pd.DataFrame:
    rows = _read("figures")
    return rows[rows.figure == key].reset_index(drop=True)


def value(
    number: int,
    operator: str,
    method: str,
    metric: str = "top1",
    dataset: str | None = None,
) -> float:
    """One printed number. `dataset` is needed where a table has several (2 and 5).

    Raises:
        LookupError: no row or several rows fit; the message lists what the table has.

    Example:
        >>> value(1, "blur:9", "baseline")
        68.94
    """
    rows = table(number)
    if "value" not in rows:
        raise LookupError(f"table {number} is a list without numbers; use table({number})")
    wanted = {"operator": operator, "method": method, "metric": metric}
    if dataset is not None:
        wanted["dataset"] = dataset
    found = rows
    for column, want in wanted.items():
        found = found[found[column] == want]
    if len(found) != 1:
        has = "; ".join(
            f"{c}: {', '.join(map(repr, rows[c].unique()))}" for c in [*wanted, "dataset"]
        )
        raise LookupError(
            f"table {number} has {len(found)} rows for {wanted}, expected one. It has {has}"
        )
    return float(found["value"].item())


def discrepancies() -> pd.DataFrame:
    """The 22 places where the paper and the authors' code disagree, or where one of them is wrong.

    Columns: `number`, `topic`, `where` (in the paper), `paper` and `code` (what each does),
    `followed` ("text", "code" or "neither": what this course does), `reason`, and `see`: names in
    this library, with a space between them, that do it. The rule is to follow the text unless the
    text is wrong. The code is that of the public repository Sriram-Ravula/Contrastive-Inversion.
    """
    return _read("discrepancies").copy()
