"""JSON that says something else than it should: what describes a set, an entry, an encoder, the
reader's progress. It is refused in a sentence, set aside, or read as what it says."""

import copy
import json
import os
import random
import shutil
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from cinv_lib.course.workbook import progress_record
from cinv_lib.data import linked
from cinv_lib.encoders import config as encoder_config
from cinv_lib.machine.store import Store
from tests.campaign.judge import Outcome, lost, said, survived, unclear
from tests.campaign.trials import Settings, Trial

NUMBER = 200  # of each
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 1e308, 2**70, "", "x", "../..", "/etc", "a\0b", "é" * 300, [], [[]],
    {}, {"": {}}, ["a", 1], {"a": [1]}, float("nan"),
)  # fmt: skip
TEXTS = (b"", b"{", b"[]", b"null", b"\xff\xfe{}", b"\xef\xbb\xbf{}", b"[" * 100_000, b"\0" * 9)


def manifests(settings: Settings) -> Iterator[Trial]:
    """Each kind of description, changed at random."""
    for name, run in (
        ("set.json", of_set),
        ("provenance.json", of_entry),
        ("attempts.json", of_attempts),
        ("config.json", of_encoder),
        ("progress.json", of_progress),
    ):
        for i in settings.number(NUMBER):
            yield Trial("manifests", f"{name} {i:03}", partial(run, name), short=True)


def changed(known: Any, chance: random.Random) -> bytes:
    """A description with one or two of its values replaced, left out or moved; or no JSON."""
    if chance.random() < 0.15:
        return chance.choice(TEXTS)
    new = copy.deepcopy(known)
    for _ in range(chance.randint(1, 2)):
        place = new
        while isinstance(place, dict | list) and place:
            key = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
            inner = place[key]
            if isinstance(inner, dict | list) and inner and chance.random() < 0.6:
                place = inner
                continue
            if chance.random() < 0.3:
                del place[key]
            else:
                place[key] = copy.deepcopy(chance.choice(ODD))
            break
    data = json.dumps(new).encode()
    return data[: chance.randrange(len(data))] if chance.random() < 0.1 else data


def _quietly(call: Callable[[], Any], names: list[str]) -> tuple[Any, Outcome | None, str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value, wrong = said(call, names)
    return value, wrong, " ".join(str(w.message) for w in caught)


def of_set(name: str, folder: Path, chance: random.Random) -> Outcome:
    """A set of picture files."""
    os.environ["CINV_HOME"] = str(folder)
    place = folder / "imagenet100"
    for wnid in ("n1", "n2"):
        (place / "val" / wnid).mkdir(parents=True)
        (place / "val" / wnid / "a.JPEG").touch()
    known = {"class_names": ["cat", "dog"], "folders": {"n1": 0, "n2": 1}, "counts": {"val": 2},
             "provenance": "made here"}  # fmt: skip
    (place / name).write_bytes(changed(known, chance))
    found, wrong, _ = _quietly(lambda: linked.load("imagenet100", "val"), [str(place), name])
    if wrong:
        return wrong
    if any(not Path(p).resolve().is_relative_to(place) for p in found.paths):
        return lost(f"pictures of another folder are in the set: {found.paths}")
    good = all(isinstance(c, str) for c in found.class_names) and isinstance(found.provenance, str)
    return survived("read as what it says") if good else unclear("names that are no texts")


def _entry(folder: Path) -> tuple[Store, dict, Callable[[Path], None]]:
    def build(at: Path) -> None:
        (at / "a.txt").write_text("a")
        (at / "sub").mkdir(exist_ok=True)
        (at / "sub" / "b.txt").write_text("b")

    return Store(folder / "store"), {"question": "life"}, build


def of_entry(name: str, folder: Path, chance: random.Random) -> Outcome:
    """A finished entry of the store, asked for again and listed."""
    store, spec, build = _entry(folder)
    entry = store.make("example", spec, build)
    known = json.loads((entry / name).read_text())
    (entry / name).write_bytes(changed(known, chance))
    names = [str(folder), entry.name]
    _, wrong, _ = _quietly(store.listing, names)
    made, other, told = _quietly(lambda: store.make("example", spec, build), names)
    if wrong or other:
        return wrong or other
    if (made / "a.txt").read_text() + (made / "sub" / "b.txt").read_text() != "ab":
        return lost("another entry is given out")
    return survived(told or "read as what it says")


def of_attempts(name: str, folder: Path, chance: random.Random) -> Outcome:
    """What an earlier attempt has noted of itself."""
    store, spec, build = _entry(folder)
    final = store.path("example", spec)
    partly = final.with_name(final.name + ".partial")
    partly.mkdir(parents=True)
    (partly / name).write_bytes(changed([{"start": 1.0, "end": 2.0}, {"start": 5.0}], chance))
    made, wrong, _ = _quietly(lambda: store.make("example", spec, build), [str(folder)])
    if wrong:
        return lost(f"the entry is not built: {wrong.words}")
    minutes = json.loads((made / "provenance.json").read_text())["minutes"]
    return survived() if 0 <= minutes < 1e9 else lost(f"it took {minutes} minutes, it says")


def of_encoder(name: str, folder: Path, chance: random.Random) -> Outcome:
    """An encoder's configuration."""
    known = encoder_config.named("stickers-supervised")
    file = folder / name
    file.write_bytes(changed(json.loads(json.dumps(known)), chance))

    def build() -> Any:
        return encoder_config.build(str(file), encoder_config.read(file))

    _, wrong, _ = _quietly(build, [str(file)])
    return wrong or survived("it has a shape")


def of_progress(name: str, folder: Path, chance: random.Random) -> Outcome:
    """The reader's progress, to which something is added."""
    file = folder / name
    os.environ["CINV_PROGRESS"] = str(file)
    known = {
        "exercises": {"1.1": {"attempts": 2, "hints": 1, "solution": False, "solved": "now"}},
        "predictions": {"1.A": {"answer": "above", "points": 1}},
    }
    data = changed(known, chance)
    file.write_bytes(data)

    def add() -> Any:
        progress_record.load()
        progress_record.change("exercises", "2.1", lambda entry: entry.update(attempts=1))
        return progress_record.load()

    record, wrong, told = _quietly(add, [str(file)])
    shutil.rmtree(folder / "none", ignore_errors=True)
    if wrong:
        return wrong
    if record["exercises"]["2.1"] != {"attempts": 1}:
        return lost("what the reader did is not kept")
    kept = [p for p in folder.iterdir() if p.suffix == ".json" and p != file]
    if kept and kept[0].read_bytes() != data:
        return lost("the damaged record was changed")
    return survived(told or "read as what it says")
