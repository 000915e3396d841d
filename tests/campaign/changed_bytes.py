"""Files with other bytes: every byte of their headers, positions drawn at random, and cut short.

A checkpoint, a file of weights and a CSV, each as the library reads it, and as files of a finished
entry of the store.
"""

import functools
import random
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file

from cinv_lib.encoders import weight_files
from cinv_lib.machine.store import Store
from cinv_lib.training import checkpoint
from data_prep import covid, imagenet
from tests import processes
from tests.campaign import results, works
from tests.campaign.forked import call
from tests.campaign.judge import Outcome, lost, said, survived, unclear
from tests.campaign.trials import Settings, Trial

POSITIONS, CUTS = 300, 60
SPEC = {"training": "campaign", "operator": "mask:0.5"}
Reader = Callable[[Path], Outcome]  # read a changed file, and judge


@functools.cache
def originals() -> Path:
    """A folder with a checkpoint, a file of weights, two CSVs, and a store with one entry."""
    folder = Path(tempfile.mkdtemp(prefix="originals-"))

    def make() -> None:
        tower = processes.small_encoder().tower
        adam = torch.optim.Adam(tower.parameters())
        sum(p.square().sum() for p in tower.parameters()).backward()
        adam.step()
        state = {"spec": SPEC, "step": 3, "module": tower.state_dict(), "history": torch.ones(3, 5)}
        checkpoint.save(folder / "checkpoint.pt", state | {"optimizer": adam.state_dict()})
        weight_files.write(tower.state_dict(), folder / "model.safetensors", torch.float32)
        works.student(folder)
        xray = [f"{i},Normal,p{i}.jpeg,TRAIN" for i in range(9)]
        head = "number,Label,X_ray_image_name,Dataset_type"
        (folder / covid.TABLE).write_text("\n".join([head, *xray]) + "\n")
        rows = [f"ILSVRC2012_val_{i:08},n01558993 1 2 3 4" for i in range(1, 9)]
        (folder / imagenet.KAGGLE).write_text("\n".join(["ImageId,PredictionString", *rows]) + "\n")

    call(make)
    return folder


def bytes_(settings: Settings) -> Iterator[Trial]:
    """Trials of each file, under each reader of it."""
    folder = originals()
    entry = next((folder / "store" / "student").glob("mask*"))
    weights, history = entry / "student" / "model.safetensors", entry / "history.csv"
    for what, file, reader in (
        ("checkpoint", folder / "checkpoint.pt", read_checkpoint),
        ("weights", folder / "model.safetensors", read_weights),
        ("weights in the store", weights, partial(ask_store, weights)),
        ("csv in the store", history, partial(ask_store, history)),
        ("csv of covid", folder / covid.TABLE, read_covid),
        ("csv of imagenet", folder / imagenet.KAGGLE, read_kaggle),
    ):
        yield from changes(what, file, reader, settings)


def changes(what: str, file: Path, reader: Reader, settings: Settings) -> Iterator[Trial]:
    """Each byte of a file's header, random positions, random lengths."""
    size, first = file.stat().st_size, header(file)
    wanted = [("header", at) for at in first[:: max(1, len(first) // (settings.each or 10**9))]]
    draw = random.Random(f"{settings.seed} {what}")
    wanted += [("byte", draw.randrange(size)) for _ in settings.number(POSITIONS)]
    wanted += [("cut", draw.randrange(size)) for _ in settings.number(CUTS)]
    for i, (how, at) in enumerate(wanted):
        run = partial(_changed, file, reader, how, at)
        yield Trial("bytes", f"{what}, {how} {at} ({i})", run, short=True)


def header(file: Path) -> list[int]:
    """Positions of all bytes that are no payload."""
    data = file.read_bytes()
    if zipfile.is_zipfile(file):
        payload: set[int] = set()
        with zipfile.ZipFile(file) as archive:
            for one in archive.infolist():
                at = one.header_offset
                lengths = (data[at + 26 : at + 28], data[at + 28 : at + 30])  # of name and extra
                start = at + 30 + sum(int.from_bytes(n, "little") for n in lengths)
                payload.update(range(start, start + one.compress_size))
        return [i for i in range(len(data)) if i not in payload]
    if file.suffix == ".safetensors":
        return list(range(8 + int.from_bytes(data[:8], "little")))
    return list(range(data.index(b"\n") + 1))


def _changed(
    file: Path, reader: Reader, how: str, at: int, folder: Path, chance: random.Random
) -> Outcome:
    data = bytearray(file.read_bytes())
    if how == "cut":
        del data[at:]
    else:
        data[at] ^= chance.randint(1, 255)
    changed = folder / file.name
    changed.write_bytes(data)
    outcome = reader(changed)
    if file.stat().st_size != len(file.read_bytes()) or changed.read_bytes() != data:
        return lost("the file was changed by reading it")
    return outcome


def _same(found: dict, true: dict) -> bool:
    return found.keys() == true.keys() and all(torch.equal(found[k], true[k]) for k in true)


def read_checkpoint(file: Path) -> Outcome:
    """It is ignored with a warning, refused in a sentence, or what it was."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        state, wrong = said(lambda: checkpoint.load(file, SPEC), [str(file)])
    if wrong:
        return wrong
    if state is None:
        told = " ".join(str(w.message) for w in caught)
        named = str(file) in told and "starts again" in told
        return survived(told) if named else unclear(f"it is ignored without clear words: {told}")
    true = torch.load(originals() / "checkpoint.pt", weights_only=True)
    whole = state["step"] == true["step"] and _same(state["module"], true["module"])
    whole &= checkpoint.fingerprint([state["history"]]) == checkpoint.fingerprint([true["history"]])
    for k, kept in true["optimizer"]["state"].items():
        whole &= _same(state["optimizer"]["state"][k], kept)
    return survived("it is what it was") if whole else lost("another state was read")


def read_weights(file: Path) -> Outcome:
    """They are refused in a sentence, or what they were. Of bytes among the weights the format has
    no checksum: they are read as what they say, in all their names and shapes."""
    tower = processes.small_encoder(seed=1).tower

    def read() -> dict:
        weight_files.load_into(tower, weight_files.read(file), file, "the small tower")
        return tower.state_dict()

    found, wrong = said(read, [str(file)])
    if wrong:
        return wrong
    true = load_file(originals() / "model.safetensors")
    if _same(found, true):
        return survived("they are what they were")
    n = sum(int((found[k] != true[k]).sum()) for k in true)
    data, before = file.read_bytes(), (originals() / "model.safetensors").read_bytes()
    start = len(header(originals() / "model.safetensors"))
    if n == 1 and data[:start] == before[:start]:
        return survived("one number is another, as the file says")
    return lost(f"{n} weights are others than they were, without a word")


def ask_store(original: Path, file: Path) -> Outcome:
    """The entry with this file is built again, and set aside under another name."""
    place = originals() / "store" / "student"
    entry = next(place.glob("mask*"))
    here = Path(file.parent, "store", "student", entry.name)
    shutil.copytree(entry, here)
    shutil.copyfile(file, here / original.relative_to(entry))
    before = results.finished(entry)

    def build(folder: Path) -> None:
        shutil.copytree(entry, folder, dirs_exist_ok=True)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        store = Store(file.parent / "store")
        _, wrong = said(
            lambda: store.make("student", {"what": "student"}, build, label="mask_0.5-seed0"),
            [str(file.parent)],
        )
    if wrong:
        return wrong
    if fault := results.differs(results.finished(here), before):
        return lost(f"the store gives a damaged entry out: {fault}")
    if not any("built anew" in str(w.message) for w in caught):
        return unclear("the damage was mended without a word")
    return survived()


def read_covid(file: Path) -> Outcome:
    """The table is refused in a sentence that names it, or has rows."""
    table, wrong = said(lambda: covid.read(file.parent), [str(file)])
    if wrong is None and not set(table.Label) <= set(covid.LABELS):
        return lost("rows with labels that are none")
    return wrong or survived(f"{len(table)} rows")


def read_kaggle(file: Path) -> Outcome:
    """The same of ImageNet's."""
    labels, wrong = said(lambda: imagenet.flat_labels(file.parent, file.parent), [str(file)])
    return wrong or survived(f"{len(labels)} labels")
