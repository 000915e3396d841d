"""The paper's data: `python -m data_prep imagenet100 --imagenet DIR` (App. D.1; Tables 3, 15, 16).

Links ImageNet-100, ImageNet-100B and the five label-shift classes to a copy of ImageNet, and checks
their numbers of pictures. Labels follow the *sorted* wnids, as in the authors' code.
"""

from collections.abc import Mapping
from pathlib import Path

from tqdm.auto import tqdm

from cinv_lib.data import linked

from . import imagenet as copies
from . import links

LISTS = Path(__file__).parent / "classes"
COUNTS = {  # App. D.1; the five classes of Table 3 have 50 validation pictures each
    "imagenet100": {"train": 126_689, "val": 5_000},
    "imagenet100b": {"train": 128_987, "val": 5_000},
    "imagenet100-shift": {"val": 250},
}
VAL_PER_CLASS = 50


def classes(name: str) -> dict[str, str]:
    """wnid -> what it is, in the order of the labels, of "imagenet100" or "imagenet100b"."""
    lines = (LISTS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split(" ", 1) for line in lines)


def shift() -> dict[str, str]:
    """The label shift of Table 3: wnid of a class outside -> the class whose label it gets."""
    lines = (LISTS / "shift.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split(" ")[:2] for line in lines)


def labels(name: str) -> tuple[tuple[str, ...], dict[str, int]]:
    """Class names of a set, and the label of each folder (wnid) in it."""
    own = classes("imagenet100" if name == "imagenet100-shift" else name)
    label = {wnid: k for k, wnid in enumerate(own)}
    if name == "imagenet100-shift":
        label = {source: label[target] for source, target in shift().items()}
    return tuple(own.values()), label


def make(
    imagenet: Path,
    partial: bool = False,
    check: bool = False,
    expected: Mapping[str, Mapping[str, int]] = COUNTS,
) -> None:
    """Link every set of `expected` that is complete, and say what each holds.

    partial: take also what is incomplete, and leave out a split that is absent.
    check: decode every picture, too.
    Raises ValueError (when the rest is done) naming every class that is missing or short, and every
    picture that cannot be read; FileNotFoundError when there are no pictures at all.
    """
    found = {}
    for split in ("train", "val"):
        folder = copies.find(imagenet, split)
        if folder:
            find = copies.classes(folder) if split == "train" else None
            found[split] = copies.validation(imagenet, folder) if find is None else find
    if not found:
        places = "; ".join(", ".join(names) for names in copies.PLACES.values())
        raise FileNotFoundError(f"{imagenet} has no pictures of ImageNet; looked for {places}")
    problems = []
    for name, counts in expected.items():
        names, label = labels(name)
        sources, faults = {}, []
        for split, total in counts.items():
            if split not in found:
                faults.append(f"{split}: there is no such folder in {imagenet}")
                continue
            sources[split] = {w: found[split][w] for w in label if w in found[split]}
            faults += faults_of(split, label, sources[split], total)
        if faults and not partial:
            problems += [f"{name}/{fault}" for fault in faults]
            continue
        made = f"ILSVRC 2012, classes of {_table(name)}"
        links.publish(name, names, label, sources, made + (", incomplete" if faults else ""))
        for fault in faults:
            print(f"NOTE  {name}/{fault}")
        problems += said(name, tuple(sources), check)
    if problems:
        hint = "; with --partial, what is there is taken" if not partial else ""
        raise ValueError("\n".join([*problems, f"Copy what is missing{hint}."]))


def said(name: str, splits: tuple[str, ...], check: bool) -> list[str]:
    """Print what a set holds, read as the course reads it; what is wrong with its pictures."""
    faults = []
    for split in splits:
        files = linked.load(name, split)
        present = len(files.labels.unique())
        print(f"OK  {name}/{split}: {len(files):,} pictures, {present} labels")
        faults += files.unreadable() if check else []
    return faults


def faults_of(
    split: str, label: Mapping[str, int], sources: Mapping[str, links.Source], total: int
) -> list[str]:
    """What is missing from a split, class by class where it can be known, else in sum."""
    absent = [wnid for wnid in label if wnid not in sources]
    faults = [f"{split}: {len(absent)} classes are absent: {', '.join(absent)}"] if absent else []
    counts = {wnid: links.count(s) for wnid, s in tqdm(sources.items(), f"counting {split}")}
    if split == "val":
        short = {wnid: n for wnid, n in counts.items() if n != VAL_PER_CLASS}
        words = ", ".join(f"{wnid} {n}" for wnid, n in short.items())
        faults += [f"{split}: expected {VAL_PER_CLASS} pictures a class; {words}"] if short else []
    elif not absent and sum(counts.values()) != total:
        least = sorted(counts, key=counts.get)[:5]
        words = ", ".join(f"{wnid} {counts[wnid]:,}" for wnid in least)
        faults.append(
            f"{split}: {sum(counts.values()):,} pictures, expected {total:,}; the smallest classes "
            f"(none of ImageNet's has fewer than 732): {words}"
        )
    return faults


def _table(name: str) -> str:
    return {"imagenet100": "Table 15", "imagenet100b": "Table 16"}.get(name, "Table 3")
