"""Every kind of result of a profile is made on the pretended GPU, from very few pictures."""

import copy
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pretended import device

from cinv_lib.experiments import blind
from cinv_lib.experiments.base import Experiment
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles import SMOKE
from cinv_lib.lab.profiles.smoke import POOLS
from cinv_lib.training import feed, student

MASK, NOISE, RANGE = "mask:0.9", "noise:0.5", SMOKE.slider
BLIND = f"{MASK}|{NOISE}"

ONCE = {e.name: {"realisations": 1} for e in SMOKE.entries if hasattr(e, "realisations")}
# Operators that share their trainings, as these take the time.
SMALL = SMOKE.changed(ONCE).changed(
    {
        "known_operator": {"operators": {MASK: (0.5, 1.0)}},
        "baseline_starts": {"operators": {MASK: SMOKE["baseline_starts"].operators[MASK]}},
        "unknown_severity": {"operators": {RANGE: (0.0, 0.5, 0.99)}},
        "transfer": {
            "operators": {RANGE: None},
            "sets": {"stickers-scenes": (1, 1), "faces": (1, 1)},
        },
        "label_shift": {"operators": {RANGE: (0.5,)}},
        "common_corruptions": {"operators": {NOISE: None}, "severities": (5,)},
        "blind": {"operators": {BLIND: None}},
        "teacher_start": {"operators": {"blur:2.57": {"baseline_r": ()}}},
        "start_and_target": {"operators": {"blur:2.57": {"words_of_r": ()}}},
        "pools": {"operators": {"blur:2.57": {"student_60000": (1.0,)}}},
        "other_pools": {"operators": {"blur:2.57": {"student_7500": (1.0,)}}},
        **{name: {"per_class": 1, "pictures": "stickers-kinds"} for name in POOLS},
        "other_starts": {"operators": {"blur:2.57": {"tower_student": (1.0,)}}},
        "rate_search": {"operators": {MASK: ("student",)}},
        "other_rates": {"operators": {MASK: ("tower100_student",)}},
        "adaptation": {"operators": {MASK: None}},
        "patients": {"recipe": SMOKE["student"].recipe},
        "pixels": {"operators": {NOISE: (1, 1), MASK: (1, 1)}},
        "restored": {"operators": {MASK: None}},
        "starts_transferred": {"operators": {RANGE: None}, "sets": {"faces": (1, 1)}},
    }
)
KINDS = [entry.name for entry in SMALL.entries]


def few() -> Lab:
    """A lab of a dozen pictures each to train on and to score; some have twins."""
    lab = Lab(SMALL, recorded=False)
    lab.train = lab.train.subset(torch.arange(0, len(lab.train), len(lab.train) // 12))
    lab.val = lab.val.subset(torch.isin(lab.val.labels, lab.twins.labels).nonzero()[:12, 0])
    return lab


@pytest.fixture(scope="module")
def lab(folders):
    """All workers of pytest-xdist share what is made, and no other test does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CINV_RUNS", str(Path(os.environ["CINV_RUNS"]).with_name("pretended")))
        patch.setenv("TQDM_DISABLE", "1")
        with device.entered():
            yield few()


def tasks(kind):
    entry = SMALL[kind]
    operators = [entry.only_at] if entry.only_at else [*entry.operators] or [RANGE]
    losses = ("st:0.1", "mse") if kind == "loss_bias" else (None,)
    return [entry.task(operator, 0, loss) for operator in operators for loss in losses]


def made_there(lab, kind):
    """Make all of a kind, on the device that is entered; what files hold is read on a CPU."""
    for task in tasks(kind):
        folder = lab.folder(task)
        made = [folder / f"{name}.csv" for name in getattr(SMALL[kind], "tables", ())]
        assert all(file.stat().st_size for file in made)
    if not isinstance(SMALL[kind], Experiment):
        model = lab.made(kind, RANGE)
        parts = model if isinstance(model, tuple) else (model,)
        assert {p.device.type for part in parts for p in part.parameters()} == {"cpu"}
    assert lab.working().teacher.mean.device == device.DEVICE


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_result_is_made_there(kind, lab):
    made_there(lab, kind)


def test_the_teacher_of_a_training_is_folded_there_alone(lab, monkeypatch):
    """On a CPU what was trained before is trained again to the bit."""
    asked, real = [], torch.nn.BatchNorm2d.forward
    count = lambda norm, x: asked.append(norm) or real(norm, x)  # noqa: E731
    monkeypatch.setattr(torch.nn.BatchNorm2d, "forward", count)
    teacher, cpu = copy.deepcopy(lab.teacher).train(), torch.device("cpu")
    recipe = replace(SMALL["student"].recipe, flip=True)  # so that R looks in every step
    source, rows = feed.of(lab.train, teacher.image_size, recipe, 0, cpu), torch.arange(3)
    x = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    want = student.frozen(teacher, source, recipe, cpu)(rows, x)
    assert asked and teacher.training and next(teacher.parameters()).requires_grad is False
    asked.clear()
    found = student.frozen(teacher, source, recipe, device.DEVICE)(rows, x)
    assert not asked and found.device == device.DEVICE
    torch.testing.assert_close(found.cpu(), want, atol=1e-4, rtol=1e-4)
    assert not torch.equal(found.cpu(), want)


def test_what_is_left_behind_is_found(lab, monkeypatch, tmp_path):
    """The pretence works: a router that is fitted on the CPU stops what is made."""
    monkeypatch.setattr(blind, "device_of", lambda towers: torch.device("cpu"))
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        lab.build(SMALL["blind"].task(BLIND), tmp_path)
