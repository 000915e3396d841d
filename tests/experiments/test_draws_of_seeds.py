"""Each training seed is scored on draws of its own, whatever is measured.

An interval over trainings has the chance of the corruption in it only where no two of them share
a draw. So each experiment is measured for two seeds with the same models and the same pictures:
what the models then see of corrupted pictures in one is nowhere among what they see in the other.
"""

import copy
from collections.abc import Mapping

import pandas as pd
import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from cinv_lib import encoders, experiments
from cinv_lib.data.catalogue import load
from cinv_lib.data.image_set import ImageSet, to_float
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation.probe import zero_shot
from cinv_lib.experiments import adversarial, common_corruptions, trainings
from cinv_lib.experiments.base import Experiment, Task
from cinv_lib.experiments.restoration import Restoration
from cinv_lib.lab.profiles import SMOKE
from cinv_lib.lab.profiles.own import Own
from cinv_lib.lab.profiles.record import History
from cinv_lib.operators.basic import parse
from cinv_lib.training.baseline import Classifier
from cinv_lib.training.restoration import UNet

CLASSES = 10
SETS = {"stickers-places": (1, 1), "faces": (2, 2)}
TWICE = {e.name: {"realisations": 2} for e in SMOKE.entries if getattr(e, "realisations", 0) > 2}
FEW = SMOKE.changed(TWICE).changed({
    **{name: {"sets": SETS} for name in ("transfer", "starts_transferred", "words_transferred")},
    # of deterministic parts and types there is nothing to draw
    "blind": {"operators": {"mask:0.9|noise:0.5": None}},
    "patients": {"pictures": 10, "recipe": SMOKE["student"].recipe},  # of one epoch
})  # fmt: skip
OWN = Own("stickers-files", "mask:0.9", SMOKE.teacher, realisations=2, probe_epochs=1)
NOT_HERE = {
    "rate_search": "one search with a seed of its own, no replicate",
    "other_rates": "another search with that seed",
    "short_trainings": "one table of all its trainings, on one draw that a reader's student gets",
    "own_training": "nothing is scored",
}
MEASURED = [
    pytest.param(p, entry, id=entry.name)
    for p in (FEW, OWN.profile("own/one"))
    for entry in p.entries
    if isinstance(entry, Experiment) and entry.name not in NOT_HERE
]


@pytest.fixture(scope="module")
def given(folders) -> dict[str, object]:
    """What a lab gives: two pictures of each of a few classes, and the embedded encoders."""

    def some(split: str) -> ImageSet:
        found = load("stickers-100", split, 2)
        few = found.subset((found.labels < CLASSES).nonzero()[:, 0])
        names = found.class_names[:CLASSES]
        return ImageSet(few.images, few.labels, names, few.name, few.provenance)

    towers = ("teacher", "supervised", "supervised_narrow", "vit")
    made = {name: encoders.load(getattr(SMOKE, name)) for name in towers}
    still = {name: tower.eval().requires_grad_(False) for name, tower in made.items()}
    train, val = some("train"), some("val")
    twins = val.subset((val.labels < 2).nonzero()[:, 0])  # of two pairs
    return still | {"train": train, "unlabelled": train, "val": val, "twins": twins}


def stand_in(p, need, given):
    """What a need stands for, untrained: R as every student, the start as every baseline."""
    if isinstance(need, Mapping):
        return {name: stand_in(p, one, given) for name, one in need.items()}
    if isinstance(need, History):
        steps = {"epoch": [0, 0, 1], "step": [0, 1, 2], "loss": 1.0, "lr": 1e-3}
        return pd.DataFrame(steps | {"images_per_s": 100.0})
    if not isinstance(need, Task):
        return given[need]
    entry, R = p[need.kind], given["teacher"]
    if isinstance(entry, trainings.Tuned):
        return copy.deepcopy(R), copy.deepcopy(R)
    if isinstance(entry, trainings.StudentProbe):
        return zero_shot(R, given["val"].class_names).requires_grad_(False)
    if isinstance(entry, Restoration):
        return UNet(masks=True, width=2.0, seed=0).eval().requires_grad_(False)
    if isinstance(entry, trainings.Baseline | experiments.Finetuned):
        tower = copy.deepcopy(given["supervised"])
        return Classifier(tower, CLASSES, seed=0).eval().requires_grad_(False)
    of_vit = trainings.StudentOfTransformer | trainings.FeatureStudent
    assert isinstance(entry, trainings.Student)
    return copy.deepcopy(given["vit"] if isinstance(entry, of_vit) else R)


def each(x: torch.Tensor) -> set[bytes]:
    return {picture.detach().float().contiguous().numpy().tobytes() for picture in x}


def seen(p, entry, seed, given, folder) -> set[bytes]:
    """All pictures that an encoder sees while `entry` is measured for this seed."""
    pictures: set[bytes] = set()

    def look(module, arguments):
        if isinstance(module, Encoder):
            pictures.update(each(arguments[0]))

    op = next(op for op in entry.operators if parse(op).is_random)
    task = entry.task(op, seed)
    handed = {"folder": folder, "task": task}
    # what is handed in is that of one seed, whichever is measured
    handed |= {name: stand_in(p, need, given) for name, need in p.needs(entry.task(op)).items()}
    handle = register_module_forward_pre_hook(look)
    try:
        entry.measure(**{name: handed[name] for name in entry.parameters()})
    finally:
        handle.remove()
    return pictures


def clean(given) -> set[bytes]:
    sets = [given["train"], given["val"]]
    sets += [load(name, split, n) for name, of in SETS.items()
             for split, n in zip(("train", "val"), of, strict=True)]  # fmt: skip
    return set().union(*(each(to_float(one.images)) for one in sets))


@pytest.mark.parametrize(("p", "entry"), MEASURED)
def test_no_draw_of_a_seed_is_one_of_another_s(p, entry, given, tmp_path, monkeypatch):
    # its check of gradients shakes clean pictures, by no draw
    monkeypatch.setattr(adversarial, "slope", lambda *_: (1.0, 0.0))
    random_types = {"noise": ("gaussian_noise", "shot_noise")}
    monkeypatch.setattr(common_corruptions, "FAMILIES", random_types)
    one, other = (seen(p, entry, seed, given, tmp_path) - clean(given) for seed in (11, 12))
    assert min(len(one), len(other)) >= CLASSES, "corrupted pictures are seen at all"
    assert len(one & other) == 0, "the same corrupted pictures for both seeds"


def test_a_draw_that_is_shared_would_be_seen(given, tmp_path):
    entry = FEW["pool_cosines"]
    one, again = (seen(FEW, entry, 11, given, tmp_path) for _ in range(2))
    assert one == again and clean(given) & one and one - clean(given)


def test_what_is_left_out_is_there_and_for_the_reason_given():
    names = {entry.name for p in (FEW, OWN.profile("own/one")) for entry in p.entries}
    assert set(NOT_HERE) <= names
    for name in ("rate_search", "other_rates", "short_trainings"):
        assert len({task.seed for task in SMOKE[name].tasks(3)}) == 1
