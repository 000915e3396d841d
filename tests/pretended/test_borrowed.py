"""A lesson's cells, whose models are on the CPU, borrow the GPU that their job was given."""

import pytest
import torch
from pretended import device

from cinv_lib import encoders
from cinv_lib.data.image_set import ImageSet
from cinv_lib.encoders.inference import embedded
from cinv_lib.evaluation import evaluate_heads, probe
from cinv_lib.machine import hardware
from cinv_lib.operators.basic import Identity, parse
from cinv_lib.operators.inverse import deep_decoder

MASK = parse("mask:0.5")
SHORT = deep_decoder.DecoderRecipe(channels=8, doublings=2, iterations=3)


@pytest.fixture
def tower():
    return encoders.fresh("stickers-clip", seed=0)


@pytest.fixture
def pictures():
    images = torch.randint(256, (6, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    return ImageSet(images.to(torch.uint8), torch.arange(6) % 2, ("a", "b"), "some", "drawn")


@pytest.fixture
def lent(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(hardware, "LARGE", 64)
    monkeypatch.setattr(hardware, "bf16_pays", lambda device: False)  # as on the pretended device


def looked(tower, pictures):
    """What cells ask for, and where the network was asked."""
    seen, forward = [], tower.forward
    tower.forward = lambda x: seen.append(x.device.type) or forward(x)
    keep = torch.ones(2, 1, 64, 64, dtype=torch.bool)
    x = pictures.images[:2] / 255
    made = (
        embedded(tower, pictures.images),
        probe.features(tower, pictures, MASK, 2, seed=0),
        deep_decoder.fit(x, keep, SHORT, torch.Generator().manual_seed(0), progress=False)[0],
    )
    heads = {"two": lambda rows: rows[:, :2]}
    scores = evaluate_heads([(tower, heads)], pictures, MASK, 2, progress=False)
    del tower.forward
    return made, scores, set(seen)


def test_much_is_looked_at_on_the_gpu_and_comes_back(tower, pictures, lent):
    want, scores, on_cpu = looked(tower, pictures)
    assert on_cpu == {"cpu"}, "CUDA_VISIBLE_DEVICES alone makes no GPU"
    with device.entered() as there:
        found, same, seen = looked(tower, pictures)
        assert seen == {there.type}
        for made, known in zip(found, want, strict=True):
            assert made.device.type == "cpu"
            torch.testing.assert_close(made, known, atol=1e-3, rtol=1e-3)
        assert same.equals(scores)
        assert {p.device.type for p in (*tower.parameters(), *tower.buffers())} == {"cpu"}
        tower.forward = lambda x: 1 / int(x.device != tower.mean.device)
        with pytest.raises(ZeroDivisionError):
            embedded(tower, pictures.images)
        assert {p.device.type for p in tower.parameters()} == {"cpu"}


def test_a_text_tower_stays_where_it_is(tower, pictures, lent):
    seen, forward = [], tower.forward
    places = lambda: {p.device.type for p in tower.clip.transformer.parameters()}  # noqa: E731
    tower.forward = lambda x: seen.append((places(), x.device.type)) or forward(x)
    with device.entered() as there:
        embedded(tower, pictures.images)
    assert seen == [({"cpu"}, there.type)]


@pytest.mark.parametrize("given", ["", "-1", None, "0"])
def test_otherwise_the_cpu_is_the_place(given, tower, pictures, monkeypatch):
    """No GPU was given, it is hidden, or pictures are small."""
    if given is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    monkeypatch.setattr(hardware, "LARGE", 128 if given == "0" else 64)
    with device.entered():
        assert looked(tower, pictures)[2] == {"cpu"}


def test_a_head_that_two_share_is_asked_where_it_is(tower, pictures, lent):
    """As a part of another module it would move with it, and its rows come back to the CPU."""
    head = torch.nn.Linear(tower.dim, 2)
    both = torch.nn.Sequential(tower, head)
    both.image_size = 64
    groups = [(tower, {"two": head}), (both, {"whole": torch.nn.Identity()})]
    with device.entered():
        scores = evaluate_heads(groups, pictures, MASK, 1, progress=False)
    assert list(scores.model) == ["two", "whole"] and scores.top1.nunique() == 1


def test_functions_stay_where_they_are(tower, pictures, lent):
    seen = []
    with device.entered():
        probe.features(lambda x: seen.append(x.device) or x.flatten(1), pictures, Identity(), 1, 0)
    assert seen == [torch.device("cpu")]
