"""A set of picture files under the data folder, as links to where the pictures are.

The set is made beside its place and moved there in one step, so that it is whole or not there.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from cinv_lib.data.linked import MANIFEST, pictures_in
from cinv_lib.machine.files import write_text
from cinv_lib.machine.folders import home

from .one_at_a_time import only_one

Source = Path | Sequence[Path]  # a folder to link whole, or pictures to link one by one


def publish(
    name: str,
    class_names: Sequence[str],
    folders: Mapping[str, int],
    splits: Mapping[str, Mapping[str, Source]],
    provenance: str,
) -> dict[str, int]:
    """Make the set `name` (see cinv_lib/data/linked.py) in place of what was there.

    folders: name of each folder of pictures, and its label. splits: for each split, the source of
    each folder; a folder may be absent. Returns the number of pictures of each split.
    Raises ValueError when pictures themselves, not links, stand where the set belongs.
    """
    place = home() / name
    with only_one(place.parent):
        return _publish(place, class_names, folders, splits, provenance)


def _publish(
    place: Path,
    class_names: Sequence[str],
    folders: Mapping[str, int],
    splits: Mapping[str, Mapping[str, Source]],
    provenance: str,
) -> dict[str, int]:
    check_replaceable(place)
    part = place.with_name(f"{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    for split, sources in splits.items():
        (part / split).mkdir(parents=True)
        for folder, source in sources.items():
            _link(source, part / split / folder)
    counts = {
        split: sum(count(source) for source in sources.values())
        for split, sources in splits.items()
    }
    write_manifest(part, class_names, folders, counts, provenance)
    old = place.with_name(f"{place.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        os.replace(place, old)
    os.replace(part, place)
    shutil.rmtree(old, ignore_errors=True)  # links are removed, what they lead to is not
    return counts


def write_manifest(
    folder: Path,
    class_names: Sequence[str],
    folders: Mapping[str, int],
    counts: Mapping[str, int],
    provenance: str,
) -> None:
    """The set.json that says what a set holds. It is written last: with it the set is complete."""
    known = {"class_names": list(class_names), "folders": dict(folders), "counts": dict(counts)}
    text = json.dumps(known | {"provenance": provenance}, indent=1, ensure_ascii=False)
    write_text(folder / MANIFEST, text + "\n")


def count(source: Source) -> int:
    """Number of pictures of a source."""
    return len(pictures_in(source)) if isinstance(source, Path) else len(source)


def check_replaceable(place: Path) -> None:
    """Raise ValueError unless a folder holds links only (or is not there)."""
    for folder, _, files in os.walk(place):
        for file in files:
            path = Path(folder, file)
            if not path.is_symlink() and file != MANIFEST:
                raise ValueError(
                    f"{path} is a file, not a link, where links are to be made: move {place} away, "
                    f"or set CINV_HOME to another folder"
                )


def _link(source: Source, place: Path) -> None:
    if isinstance(source, Path):
        place.symlink_to(source.resolve(), target_is_directory=True)
        return
    place.mkdir()
    for picture in source:
        (place / picture.name).symlink_to(picture.resolve())
