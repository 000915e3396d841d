"""Training on files: the same pictures as from memory, each decoded once, resumed exactly."""

import math
import time
from types import SimpleNamespace

import pandas as pd
import processes
import pytest
import torch
import torch.nn.functional as F
from torch.utils._pytree import tree_map
from torchvision.transforms.functional import resize

from cinv_lib import (
    data,
    evaluation,
    losses,
    operators,
)
from cinv_lib import (
    training as distill,
)
from cinv_lib import (
    training as supervised,
)
from cinv_lib.data import catalogue, decoding, image_files
from cinv_lib.data.image_files import ImageFiles
from cinv_lib.data.image_set import ImageSet
from cinv_lib.evaluation import probe
from cinv_lib.experiments import blind, loss_bias
from cinv_lib.machine import hardware
from cinv_lib.training import feed, tuned_teacher
from cinv_lib.training.recipe import Recipe

ST, MASK = losses.parse("st:0.1"), operators.parse("mask:0.5")
CPU = torch.device("cpu")


def recipe(**changes):
    return Recipe(**{"epochs": 2, "batch_size": 8, "lr": 0.01, "precision": "fp32"} | changes)


@pytest.fixture
def files(tmp_path) -> ImageFiles:
    """22 PNGs of several sizes, in two classes."""
    return processes.picture_files(tmp_path, 22)


def centred(files, side=16) -> ImageSet:
    """What evaluation sees of them, in memory."""
    pixels = files.decode(short=round(side * 256 / 224), crop=side)
    return ImageSet(pixels, files.labels, files.class_names, files.name, "decoded")


@pytest.fixture
def decoded(monkeypatch) -> list:
    """Paths in the order in which training decodes them."""
    paths, real = [], decoding.open_rgb
    monkeypatch.setattr(decoding, "open_rgb", lambda path: paths.append(path) or real(path))
    return paths


def test_without_crops_files_train_what_their_centres_train(files):
    """Bit for bit: nothing but where the pixels come from differs."""
    init = processes.small_encoder()
    from_files, history = supervised.finetune(
        init, files, MASK, recipe(flip=True), 0, progress=False
    )
    memory, plain = supervised.finetune(
        init, centred(files), MASK, recipe(flip=True), 0, progress=False
    )
    for name, weight in memory.state_dict().items():
        assert torch.equal(weight, from_files.state_dict()[name]), name
    assert history.loss.tolist() == plain.loss.tolist()
    assert [*history.columns] == [*plain.columns, "waiting"]
    student, _ = distill.distill(init, files, MASK, ST, recipe(), 0, progress=False)
    other, _ = distill.distill(init, centred(files), MASK, ST, recipe(), 0, progress=False)
    torch.testing.assert_close(student.state_dict(), other.state_dict(), atol=1e-4, rtol=1e-3)


def test_each_picture_is_decoded_once_an_epoch_and_both_networks_see_it(files, decoded):
    """S starts as R: with nothing corrupted they agree on every view at once, crop and flip too."""
    teacher = processes.small_encoder(norm=False)
    views = recipe(crop=(0.2, 0.5), flip=True)
    mse = losses.parse("mse")
    _, history = distill.distill(
        teacher, files, operators.Identity(), mse, views, 0, progress=False
    )
    assert history.loss.iloc[0] == pytest.approx(-1.0, abs=1e-5)
    assert len(decoded) == 2 * len(files)
    for epoch in (decoded[: len(files)], decoded[len(files) :]):
        assert sorted(str(p) for p in epoch) == sorted(files.paths)
    assert decoded[: len(files)] != decoded[len(files) :]


def test_views_are_the_crops_of_the_epoch_flipped(files):
    source = feed.of(files, 16, recipe(crop=(0.2, 0.5), flip=True), 3, CPU)
    batches = [torch.tensor([4, 0, 7]), torch.tensor([1, 2])]
    source.begin(5, batches)
    for batch in batches:
        x = source.view(batch, torch.Generator().manual_seed(1))
        (want,) = files.views(batch, 8, 3, 5, 16, (0.2, 0.5))
        want = want.float() / 255
        flips = [torch.equal(a, b.flip(-1)) for a, b in zip(x, want, strict=True)]
        assert all(flip or torch.equal(a, b) for flip, a, b in zip(flips, x, want, strict=True))
    with pytest.raises(ValueError, match=r"\[1, 2\].* asked for; expected the next batch"):
        source.view(batches[1], torch.Generator())  # the epoch is over
    source.begin(6, batches)
    with pytest.raises(ValueError, match="pass this as `ahead`"):
        source.view(batches[1], torch.Generator())


class Moving(torch.nn.Module):
    """As DistributedDataParallel on a GPU: the tensors among the arguments go to another device."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, *given, **named):
        given, named = tree_map(lambda v: v.to("meta") if torch.is_tensor(v) else v, (given, named))
        return self.module(*given, **named)


@pytest.mark.parametrize("memory", [False, True])
def test_image_numbers_stay_with_the_pictures_where_arguments_are_moved(files, monkeypatch, memory):
    pictures, init = centred(files) if memory else files, processes.small_encoder()
    trainings = (
        lambda: supervised.finetune(init, pictures, MASK, recipe(), 0, progress=False),
        lambda: distill.distill(init, pictures, MASK, ST, recipe(), 0, progress=False),
        lambda: tuned_teacher.tune(
            init, pictures, MASK, ST, recipe(), 0, pace=0.1, anchor=1.0, progress=False
        ),
    )
    alone = [training()[-1].loss for training in trainings]
    place = SimpleNamespace(
        device=CPU, process_index=0, num_processes=1, is_main_process=True, prepare_model=Moving
    )
    place.wait_for_everyone = lambda: None
    monkeypatch.setattr(hardware, "accelerator", lambda: place)
    assert [training()[-1].loss.tolist() for training in trainings] == [a.tolist() for a in alone]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_training_on_files_resumes_exactly(files, tmp_path, monkeypatch, workers, decoded):
    """Stopped in the middle of an epoch, with or without processes that decode ahead."""
    monkeypatch.setattr(hardware, "decoders", lambda device: workers)
    monkeypatch.setattr("cinv_lib.training.history.SAVE_EVERY_S", 0.0)
    monkeypatch.setattr("cinv_lib.training.history.SAVE_SHARE", math.inf)
    init, views = processes.small_encoder(), recipe(crop=(0.2, 1.0), flip=True)
    whole, _ = supervised.finetune(init, files, MASK, views, 0, progress=False)

    class Stopping(operators.RandomMask):
        name, left = "stopping", 5  # batches: its fingerprint and its trial have fewer pictures

        def apply(self, *given):
            Stopping.left -= len(given[0]) > 2
            if Stopping.left < 0:
                raise KeyboardInterrupt
            return super().apply(*given)

    checkpoint, op = tmp_path / "c.pt", Stopping(0.5)
    with pytest.raises(KeyboardInterrupt):
        supervised.finetune(init, files, op, views, 0, checkpoint, progress=False)
    assert torch.load(checkpoint, weights_only=True)["step"] == 5
    Stopping.left, before = 99, len(decoded)
    resumed, history = supervised.finetune(init, files, op, views, 0, checkpoint, progress=False)
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name
    assert len(history) == 6 and history.waiting.notna().all()
    if workers == 0:  # of 22 pictures in three batches the last one's 7 were left
        assert len(decoded) - before == 7


def test_the_share_of_time_that_waits_for_data(files, monkeypatch):
    real = decoding.open_rgb
    monkeypatch.setattr(decoding, "open_rgb", lambda path: time.sleep(0.02) or real(path))
    init = processes.small_encoder()
    _, slow = supervised.finetune(init, files, MASK, recipe(epochs=1), 0, progress=False)
    assert slow.waiting[1:].between(0.5, 1.0).all()
    clock = feed.Idle(CPU)
    for seconds in (0.02, 0.03):
        with clock:
            time.sleep(seconds)
        time.sleep(0.01)
    assert clock.read() == pytest.approx(0.05, abs=0.03)
    assert clock.read() == 0


def test_several_processes_share_the_files(tmp_path):
    """Two gloo processes, each decoding its half: the students of one process, to rounding."""
    processes.picture_files(tmp_path, 32)
    for ranks in (1, 2):
        codes = processes.run(processes.training_on_files, tmp_path, ranks=ranks)
        assert codes == [0] * ranks
    alone, *both = (torch.load(tmp_path / f"{r}.pt", weights_only=True) for r in ("alone", 0, 1))
    start = processes.small_encoder(norm=False).state_dict()
    for name, weight in alone["weights"].items():
        moved = (weight - start[name]).abs().max()
        for other in both:
            assert (other["weights"][name] - weight).abs().max() < 1e-3 * moved, name
    assert sorted(both[0]["decoded"] + both[1]["decoded"]) == sorted(alone["decoded"])
    assert len(both[0]["decoded"]) == len(alone["decoded"]) / 2


# -- other sizes -------------------------------------------------------------------------------
def test_small_pictures_are_resized_as_torchvision_does():
    x = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for side in (16, 21, 5):
        want = resize(x, [side, side], antialias=True)
        torch.testing.assert_close(data.resized(x, side), want, atol=1e-6, rtol=0)
    assert data.resized(x, None) is x and data.resized(x, 8) is x
    with pytest.raises(ValueError, match="8 x 4 pixels; expected square ones"):
        data.resized(x[..., :4], 16)
    # a box of the small picture goes to the large size in one step: never smaller in between
    whole = data.random_crop(x, torch.Generator().manual_seed(0), (0.999, 1.0), (1.0, 1.0), 16)
    want = F.interpolate(x, [16, 16], mode="bilinear")
    torch.testing.assert_close(whole, want, atol=1e-5, rtol=0)


def test_small_sets_are_trained_on_and_scored_at_the_encoders_size(monkeypatch):
    small, encoder = processes.small_pictures(40), processes.small_encoder()
    tiny = ImageSet(
        small.images[..., ::2, ::2].contiguous(), small.labels, small.class_names, "tiny", ""
    )
    large = data.at_side(tiny, 16)
    want = F.interpolate(tiny.images / 255, [16, 16], mode="bilinear") * 255
    assert (large.images - want).abs().max() <= 0.5 + 1e-3
    assert data.at_side(large, 16) is large
    monkeypatch.setattr(catalogue, "LARGEST", 0)
    assert data.at_side(tiny, 16) is tiny  # resized a batch at a time, then

    head = {"bright": lambda e: e[:, :2]}
    scores = [
        evaluation.evaluate_heads([(encoder, head)], s, operators.Identity(), progress=False).top1[
            0
        ]
        for s in (tiny, large)
    ]
    assert scores[0] == pytest.approx(scores[1], abs=5.0)  # the other one is rounded
    near = [probe.features(encoder, s, MASK, 2, 0) for s in (tiny, large)]
    torch.testing.assert_close(*near, atol=0.02, rtol=0.02)
    _, history = supervised.finetune(encoder, tiny, MASK, recipe(crop=(0.5, 1.0)), 0, None, False)
    assert len(history) == 10 and history.loss.notna().all()


# -- probes and scores -------------------------------------------------------------------------
def test_files_are_scored_as_their_centres(files, monkeypatch):
    """The same draws, decoded ahead chunk by chunk, to the last bit."""
    encoder = processes.small_encoder()
    real = ImageFiles.decode
    monkeypatch.setattr(
        ImageFiles, "decode", lambda self, rows=None, **_: real(self, rows, short=18, crop=16)
    )
    heads = [(encoder, {"any": lambda e: e[:, :2]})]
    many = files.subset(torch.arange(88) % 22)
    memory = centred(many)
    for batch_size in (64, 256):
        a, b = (
            evaluation.evaluate_heads(heads, s, MASK, 2, 0, batch_size, progress=False)
            for s in (many, memory)
        )
        assert a.equals(b)
    assert torch.equal(*(probe.features(encoder, s, MASK, 3, 1) for s in (many, memory)))
    assert torch.equal(many.images[3:5], memory.images[3:5])
    assert torch.equal(many.images[torch.tensor([5, 1])], memory.images[[5, 1]])
    assert torch.equal(many.images[7], memory.images[7])


def test_a_probes_crops_are_cut_from_the_whole_picture(files):
    """View v of picture i is the crop that training has of it in epoch v."""
    encoder, crop = processes.small_encoder(), (0.1, 0.4)
    seen = probe.features(encoder, files, operators.Identity(), 2, 7, crop, precision="fp32")
    for v in (0, 1):
        (x,) = files.views(torch.arange(22), 22, 7, v, 16, crop)
        torch.testing.assert_close(seen[v], encoder(x / 255), atol=1e-5, rtol=1e-4)
    other = probe.features(encoder, files, operators.Identity(), 2, 7, crop, False, 64, "fp32")
    assert torch.equal(seen, other)
    assert not torch.allclose(seen[0], seen[1])
    views = probe.ViewsRecipe(epochs=2, crop=crop, flip=False)
    fitted = probe.fit(probe.features(encoder, files, MASK, 2, 7, crop), files.labels, 2, views, 7)
    assert torch.equal(probe.train(encoder, files, MASK, views, 7).weight, fitted.weight)


def test_files_are_decoded_once_for_all_encoders(files, monkeypatch):
    """And each sees what it would see alone, to the last bit."""
    towers, crop = [processes.small_encoder(seed) for seed in (0, 1, 2)], (0.1, 0.4)
    alone = [probe.features(tower, files, MASK, 2, 7, crop, True) for tower in towers]
    decoded, real = [], decoding.open_rgb
    monkeypatch.setattr(decoding, "open_rgb", lambda path: decoded.append(path) or real(path))
    together = probe.features_of(towers, files, MASK, 2, 7, crop, True)
    assert all(map(torch.equal, alone, together))
    assert sorted(decoded) == sorted(2 * files.paths)
    views = probe.ViewsRecipe(epochs=2, crop=crop)
    heads = probe.train_each(towers, files, MASK, views, 7)
    assert sorted(decoded) == sorted(4 * files.paths)
    for tower, head in zip(towers, heads, strict=True):
        assert torch.equal(head.weight, probe.train(tower, files, MASK, views, 7).weight)


def test_files_are_decoded_once_for_all_operators(files, monkeypatch):
    """Severities of a sweep, those of lesson 14, and what a router is fitted to."""
    tower, names = processes.small_encoder(), ("mask:0.5", "noise:0.3", "blur:1")
    head, severities = {"any": lambda e: e[:, :2]}, (0.0, 0.5, 0.9)
    groups, settings = [(tower, head)], {"realisations": 2, "progress": False}
    alone = [
        evaluation.evaluate_heads(groups, files, MASK.at(s), **settings).assign(severity=s)
        for s in severities
    ]
    asked = [(operators.parse(name), 0) for name in names]
    of_each = [probe.features(tower, files, op, 1, 7)[0] for op, _ in asked]
    decoded, real = [], decoding.open_rgb
    monkeypatch.setattr(image_files, "open_rgb", lambda path: decoded.append(path) or real(path))
    monkeypatch.setattr(decoding, "open_rgb", image_files.open_rgb)

    def once():
        assert sorted(decoded) == sorted(files.paths)
        decoded.clear()

    together = evaluation.sweep(groups, files, MASK, severities, **settings)
    once()
    assert together[alone[0].columns].equals(pd.concat(alone, ignore_index=True))
    (made,) = evaluation.realised_each([tower], files, asked, 7, stream="views")
    once()
    assert torch.equal(made, torch.stack(of_each))
    blind.fit_router(files, names, 7, side=16)
    once()
    where = loss_bias.Where(files, MASK, severities, 2, 7)
    looked = loss_bias.measure(tower, {}, torch.rand(len(files), tower.dim), where)
    once()
    assert looked.severity.tolist() == [0.0, 0.5, 0.5, 0.9, 0.9]
    crop = {"crop": (0.1, 0.4)}  # a crop is of a number, whatever the operator
    evaluation.realised_each([tower], files, [(MASK, 1), (MASK, 0), (MASK.at(0.9), 1)], **crop)
    assert sorted(decoded) == sorted(2 * files.paths)


def test_the_bench_of_imagenet100_runs():
    from bench import bench_imagenet100

    (row,) = bench_imagenet100.rows(images=4, steps=3, batch=2)
    assert row["images_per_s"] > 0 and row["peak_gb"] > 0 and row["ours_ms"] > 0
    assert 0 <= row["waiting_percent"] <= 100
