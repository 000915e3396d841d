"""Training on a stream of shards: the same operators and loop, for any number of workers."""

import warnings

import processes
import pytest
import torch
from jaxtyping import config as jaxtyping_config

import cinv_lib as ci
from cinv_lib import data, losses, operators, training
from cinv_lib.data import reading
from cinv_lib.data.turns import STRIDE
from cinv_lib.operators.base import one_by_one
from cinv_lib.training import feed
from cinv_lib.training.recipe import Recipe

CPU = torch.device("cpu")
LENGTHS = (7, 3, 10, 4, 6)
ST, NOISE = losses.parse("st:0.1"), operators.parse("noise:0.1..0.5")


def recipe(**changes):
    return Recipe(**{"epochs": 2, "batch_size": 8, "lr": 0.01, "precision": "fp32"} | changes)


@pytest.fixture
def stream(tmp_path):
    return data.Shards(processes.picture_shards(tmp_path, LENGTHS), LENGTHS, window=5)


def shown(stream, batch_size=8, rank=0, ranks=1, epoch=1, op=NOISE):
    """By number, what R and S are shown of each picture in an epoch."""
    looks = recipe(batch_size=batch_size, crop=(0.3, 1.0), flip=True)
    source = feed.Streamed(stream, 16, looks, 3, CPU, rank, ranks)
    batches, found = source.order.of(epoch), {}
    source.begin(epoch, batches)
    generator = torch.Generator()
    for k, batch in enumerate(batches):
        x = source.view(batch, generator.manual_seed(k))
        y = source.ruined(op, x, batch, generator)
        found |= {n: pair for n, *pair in zip(batch.tolist(), x, y, strict=True)}
    return found


@pytest.mark.parametrize("op", ["noise:0.1..0.5", "mask:0.2..0.9", "mask:0.9|noise:0.5", "blur:2"])
def test_crops_and_draws_are_functions_of_seed_epoch_and_number(stream, op):
    op = operators.parse(op)
    whole = shown(stream, op=op)
    apart = shown(stream, 4, 0, 2, op=op) | shown(stream, 4, 1, 2, op=op)
    both = whole.keys() & apart.keys()
    assert len(both) > 15
    for number in both:
        for one, other in zip(whole[number], apart[number], strict=True):
            assert torch.equal(one, other)
    later = shown(stream, epoch=0, op=op)
    assert not any(torch.equal(later[n][1], whole[n][1]) for n in later.keys() & whole.keys())


def test_a_picture_alone_is_ruined_as_among_others():
    x = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    made = one_by_one(NOISE, x, (torch.Generator().manual_seed(k) for k in (5, 6, 7)))
    assert torch.equal(made[1:2], NOISE(x[1:2], torch.Generator().manual_seed(6)))
    with pytest.raises(ValueError, match=r"expected \[0,1\]"):
        one_by_one(NOISE, 2 + x, (torch.Generator() for _ in x))


def test_what_is_left_out_is_told_once(stream, monkeypatch):
    monkeypatch.setattr(reading, "SAID", set())
    with pytest.warns(UserWarning, match=r"takes 24 of 30 pictures, in 3 steps of 8. The other 6"):
        feed.Streamed(stream, 16, recipe(), 0, CPU)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        feed.Streamed(stream, 16, recipe(), 0, CPU)  # said already
        feed.Streamed(stream, 16, recipe(batch_size=5), 0, CPU)  # nothing to say
        monkeypatch.setattr(reading, "SAID", set())
        feed.Streamed(stream, 16, recipe(batch_size=4), 0, CPU, 1, 2)  # the first process says it


def test_the_face_trains_on_a_pattern(tmp_path):
    processes.picture_shards(tmp_path, (8, 8))
    shards = ci.Shards(str(tmp_path / "pics-{0000..0001}.tar"), pictures=16)
    student, history = ci.distill(
        processes.small_encoder(), shards, "mask:0.5", recipe=recipe(epochs=3), progress=False
    )
    assert len(history) == 3 * 2 and history.loss.notna().all()
    assert [*history.columns][-1] == "waiting"
    assert not student.training
    with pytest.raises(ValueError, match=r"no operator for pics-0000.tar and 1 more"):
        ci.distill(processes.small_encoder(), shards)
    jaxtyping_config.update("jaxtyping_disable", True)  # as a reader meets it
    try:
        for function in (ci.fit_probe, lambda e, i, op: ci.evaluate({"S": e}, i, op)):
            with pytest.raises(ValueError, match="a stream of shards has no labels"):
                function(student, shards, "mask:0.5")
    finally:
        jaxtyping_config.update("jaxtyping_disable", False)


def test_batches_are_large_enough_for_the_loss(stream):
    with pytest.raises(ValueError, match="fewer than 2 in a batch"):
        training.distill(
            processes.small_encoder(), stream, NOISE, ST, recipe(batch_size=1), 0, progress=False
        )


def test_other_shards_or_processes_are_another_training(stream, tmp_path, monkeypatch):
    init, checkpoint = processes.small_encoder(), tmp_path / "c.pt"
    training.distill(init, stream, NOISE, ST, recipe(epochs=1), 0, checkpoint, progress=False)
    other = data.Shards(stream.shards, (6, *LENGTHS[1:]), window=5)
    with pytest.raises(ValueError, match="images is 30 there and 29 here"):
        training.distill(init, other, NOISE, ST, recipe(epochs=1), 0, checkpoint, progress=False)
    spec = torch.load(checkpoint, weights_only=True)["spec"]
    assert spec["processes"] == "1" and spec["image data"] == stream.fingerprint


# -- the same weights ----------------------------------------------------------------------------
def trained(folder, name, ranks, workers=0, stop_after=0):
    codes = processes.run(
        processes.training_on_shards, folder, name, stop_after, workers, ranks=ranks
    )
    assert all(bool(code) == bool(stop_after) for code in codes), codes
    if stop_after:
        return None
    places = range(ranks) if ranks > 1 else ["alone"]
    return [torch.load(folder / f"{name}-{r}.pt", weights_only=True) for r in places]


def equal(one, other):
    return all(torch.equal(w, other["weights"][k]) for k, w in one["weights"].items())


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_resumed_training_gives_the_weights_of_an_unbroken_one(tmp_path, ranks):
    """Bit for bit, stopped in the middle of an epoch, with other numbers of workers."""
    processes.picture_shards(tmp_path, LENGTHS)
    unbroken = trained(tmp_path, "unbroken", ranks)
    steps = len(unbroken[0]["loss"]) // 3
    assert trained(tmp_path, "broken", ranks, workers=2, stop_after=steps + 2) is None
    resumed = trained(tmp_path, "broken", ranks, workers=1)
    for one, other in zip(unbroken, resumed, strict=True):
        assert equal(one, other) and one["loss"] == other["loss"]
        assert one["seen"][steps + 2 :] == other["seen"]
    if ranks == 2:
        both = [one["weights"] for one in unbroken]  # batch norms count each process's pictures
        learned = [name for name in both[0] if name.endswith(("weight", "bias"))]
        assert learned and all(torch.equal(both[0][n], both[1][n]) for n in learned)
        mine, theirs = ([(e, tuple(n)) for e, n in one["seen"]] for one in unbroken)
        assert len(mine) == len(theirs) == 3 * steps
        assert {len(n) for _, n in mine + theirs} == {2}
        for epoch in range(3):
            taken = [n for e, batch in mine + theirs if e == epoch for n in batch]
            assert len(set(taken)) == len(taken)
        shards = [{n // STRIDE for e, b in part if e == 0 for n in b} for part in (mine, theirs)]
        assert not shards[0] & shards[1]
