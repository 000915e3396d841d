"""On a GPU without float64, as a Mac's is: networks run there, and what is drawn is the CPU's.

All kinds of results are made there by

    PRETENDED_MAC=all python -m pytest tests/pretended/test_mac.py
"""

import copy
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pretended import device
from pretended.test_results import KINDS, SMALL, few, made_there

from cinv_lib.evaluation import metrics
from cinv_lib.losses.equations import parse as parse_loss
from cinv_lib.operators import base, functional
from cinv_lib.operators.base import OPERATORS
from cinv_lib.operators.basic import parse
from cinv_lib.operators.inverse import deep_decoder
from cinv_lib.operators.inverse.interpolation import interpolated
from cinv_lib.training import student, tuned_teacher
from cinv_lib.training.baseline import finetune

TEXTS = (
    *("identity", "mask:0.9", "mask:0.5..0.95", "noise:0.1..0.3", "blur:0.5..2.5", "jpeg:20..90"),
    *("super_resolution:2..4", "super_resolution_bicubic:3", "box_inpainting:0.1..0.5"),
    *("compressed_sensing:0.2..0.6", "poisson:0.01..0.2", "mask:0.9|noise:0.5|blur:2"),
    "blur:1..2@0.8+noise:0.05..0.5@0.8",
)
CHOSEN = KINDS if os.environ.get("PRETENDED_MAC") == "all" else ("known_operator", "tuned_teacher")


def generator():
    return torch.Generator().manual_seed(3)


@pytest.fixture
def pictures():
    return torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("text", TEXTS)
def test_pictures_there_are_corrupted_as_those_of_a_cpu(text, pictures):
    op = parse(text)
    want = op(pictures, generator())
    with device.entered(float64=False) as mac:
        found = op(pictures.to(mac), generator())
        severities = op.draw(4, generator(), mac)
        one = base.one_by_one(op, pictures[:1].to(mac), [generator()])
        assert (found.device, one.device, severities.device.type) == (mac, mac, "cpu")
        assert op(pictures.to(mac)).device == mac, "and without a generator"
        assert torch.equal(found.cpu(), want)
        assert torch.equal(one.cpu(), op(pictures[:1], generator()))


def test_an_operator_of_ones_own_draws_on_the_cpu(monkeypatch, pictures):
    for known in dict(OPERATORS):
        monkeypatch.setitem(OPERATORS, known, OPERATORS[known])

    class Rows(base.Operator):
        name, limits = "rows_of_a_mac", (0.0, 1.0)

        def apply(self, x, severities, generator=None):
            keep = torch.rand(len(x), 1, x.shape[2], 1, generator=generator, device=x.device)
            return x * (keep >= severities.to(x).view(-1, 1, 1, 1))

    OPERATORS.pop(Rows.name)
    want = Rows((0.2, 0.6))(pictures, generator())
    with device.entered(float64=False) as mac:
        assert torch.equal(Rows((0.2, 0.6))(pictures.to(mac), generator()).cpu(), want)


def test_what_is_computed_in_float64_comes_back(pictures):
    mask, scores = parse("mask:0.5"), torch.rand(9, 3, generator=generator())
    labels = torch.arange(9) % 3
    y, keep = deep_decoder.masked(mask, pictures, generator())
    want = (
        interpolated(y, keep, 0.7),
        tuned_teacher.turn(scores, scores.flip(1)),
        metrics.top_k(scores, labels, 1),
        metrics.auc(scores[:, 0], labels % 2),
    )
    with device.entered(float64=False) as mac:
        there = deep_decoder.masked(mask, pictures.to(mac), generator())
        assert torch.equal(there[0].cpu(), y) and torch.equal(there[1].cpu(), keep)
        filled = interpolated(*there, 0.7)
        turned = tuned_teacher.turn(scores.to(mac), scores.flip(1).to(mac))
        assert filled.device == turned.device == mac
        assert torch.equal(filled.cpu(), want[0]) and torch.equal(turned.cpu(), want[1])
        assert metrics.top_k(scores.to(mac), labels.to(mac), 1) == want[2]
        assert metrics.auc(scores[:, 0].to(mac), labels.to(mac) % 2) == want[3]


@pytest.mark.parametrize("kind", ["student", "baseline", "tuned"])
def test_a_training_there_is_the_training_of_a_cpu(kind, lab, monkeypatch):
    """Some steps, with crops and flips: the same pictures, in the same order."""
    monkeypatch.setattr(student, "folded", lambda one: copy.deepcopy(one).requires_grad_(False))
    op, loss = parse("mask:0.5..0.9"), parse_loss("st:0.1")
    recipe = replace(
        SMALL["student"].recipe,
        epochs=1, batch_size=6, lr=1e-9, crop=(0.35, 1.0), flip=True, precision="fp32",
    )  # fmt: skip  # steps so short that Adam does not make the last digit the first

    def trained():
        if kind == "student":
            model, history = student.distill(
                lab.teacher, lab.train, op, loss, recipe, 0, progress=False
            )
        elif kind == "baseline":
            model, history = finetune(lab.supervised, lab.train, op, recipe, 0, progress=False)
        else:
            *models, history = tuned_teacher.tune(
                lab.teacher, lab.train, op, loss, recipe, 0, 0.1, 1.0, progress=False
            )
            model = models[1]
        return model.cpu().state_dict(), history

    want, before = trained()
    with device.entered(float64=False):
        found, history = trained()
    assert len(history) > 1
    assert history.loss.tolist() == pytest.approx(before.loss.tolist(), rel=1e-3)
    for name, value in want.items():
        torch.testing.assert_close(found[name], value, atol=1e-4, rtol=1e-3, msg=name)


@pytest.fixture(scope="module")
def lab(folders):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CINV_RUNS", str(Path(os.environ["CINV_RUNS"]).with_name("mac")))
        patch.setenv("TQDM_DISABLE", "1")
        yield few()


@pytest.mark.parametrize("kind", CHOSEN)
def test_results_are_made_there(kind, lab):
    with device.entered(float64=False):
        made_there(lab, kind)


def test_float64_is_beside_a_mac_alone():
    assert functional.float64_on("mps") == torch.device("cpu")
    for other in ("cpu", "cuda:1", "meta"):
        assert functional.float64_on(other) == torch.device(other)
