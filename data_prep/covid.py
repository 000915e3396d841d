"""Chest X-rays: `python -m data_prep covid --coronahack DIR` (App. D.1, the COVID-19 X-ray set).

The paper's numbers, 5,286 and 624 pictures, are those of the Kaggle set "CoronaHack Chest X-Ray"
(praveengovi/coronahack-chest-xraydataset), unpacked to DIR: a metadata table, and the folders train
and test. Label 0 is infected, 1 normal, as in the authors' code. Few of the infected have COVID-19:
most have another pneumonia.
"""

from pathlib import Path

import pandas as pd

from cinv_lib.data import linked

from . import links

TABLE = "Chest_xray_Corona_Metadata.csv"
PICTURES = "Coronahack-Chest-XRay-Dataset"
COLUMNS = ("X_ray_image_name", "Label", "Dataset_type")
LABELS = {"Pnemonia": "infected", "Normal": "normal"}  # the table's own spelling
SPLITS = {"TRAIN": "train", "TEST": "val"}
CLASSES = ("infected", "normal")
COUNTS = {"train": 5_286, "val": 624}


def make(coronahack: Path, partial: bool = False, check: bool = False) -> None:
    """Link the pictures that the table names, by split and class.

    Raises FileNotFoundError (no table, no pictures) or ValueError (columns or values that are not
    CoronaHack's; pictures that are missing or cannot be read, unless `partial`), naming them.
    """
    table = read(coronahack)
    folders = {kind: _folder(coronahack, kind) for kind in table.Dataset_type.unique()}
    paths = [folders[row.Dataset_type] / row.X_ray_image_name for row in table.itertuples()]
    table = table.assign(path=paths, there=[path.is_file() for path in paths])
    absent = table.path[~table.there].map(str).tolist()
    if absent and not partial:
        raise ValueError(
            f"{len(absent):,} of {len(table):,} pictures of {TABLE} are absent: "
            f"{', '.join(absent[:3])}{', ...' if len(absent) > 3 else ''}. Unpack the set again; "
            f"with --partial, what is there is taken"
        )
    table = table[table.there]
    sources = {
        SPLITS[kind]: {LABELS[label]: rows.path.tolist() for label, rows in part.groupby("Label")}
        for kind, part in table.groupby("Dataset_type")
    }
    made = "CoronaHack Chest X-Ray (Kaggle, praveengovi)" + (", incomplete" if absent else "")
    folders = {name: k for k, name in enumerate(CLASSES)}
    counts = links.publish("covid", CLASSES, folders, sources, made)
    for split, n in counts.items():
        same = "as in the paper" if n == COUNTS[split] else f"the paper has {COUNTS[split]:,}"
        infected = len(sources[split].get("infected", ()))
        print(f"OK  covid/{split}: {n:,} pictures ({same}), {infected:,} of them infected")
        faults = linked.load("covid", split).unreadable() if check else []
        if faults:
            raise ValueError("\n".join(faults))


def read(coronahack: Path) -> pd.DataFrame:
    """The metadata table, one row a picture. Raises as `make`."""
    path = coronahack / TABLE
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is absent: unpack Kaggle's praveengovi/coronahack-chest-xraydataset, and give "
            f"its folder as --coronahack"
        )
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except ValueError as e:  # not UTF-8, or rows of other lengths
        raise ValueError(f"{path} is damaged ({str(e).strip()}); download the table again") from e
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        there = list(table.columns)
        raise ValueError(
            f"{path} has no column {', '.join(missing)}; it has {there}: download the table again"
        )
    for column, known in (("Label", LABELS), ("Dataset_type", SPLITS)):
        other = sorted(set(table[column]) - set(known))
        if other:
            raise ValueError(f"{path}: {column} is {other[0]!r}; expected {', '.join(known)}")
    outside = [name for name in table.X_ray_image_name if name != Path(name).name]
    if outside:
        raise ValueError(f"{path}: {outside[0]!r} in X_ray_image_name is not the name of a file")
    twice = table[table.duplicated(["X_ray_image_name", "Dataset_type"])].X_ray_image_name
    if len(twice):
        raise ValueError(f"{path} names {twice.iloc[0]} twice; download the table again")
    return table


def _folder(coronahack: Path, kind: str) -> Path:
    """The folder of a split; Kaggle's archive has the set's folder within a folder of its name."""
    name = kind.lower()
    places = [coronahack / PICTURES / PICTURES, coronahack / PICTURES, coronahack]
    for place in places:
        if (place / name).is_dir():
            return place / name
    raise FileNotFoundError(f"{places[0] / name} is absent: unpack the set's pictures there")
