"""Scores: against scikit-learn; the same draws whatever the batch; each encoder once."""

from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import sem
from sklearn.metrics import roc_auc_score, top_k_accuracy_score
from torch import nn

from cinv_lib import encoders
from cinv_lib.data.image_set import ImageSet, to_float
from cinv_lib.evaluation.draws import BLOCK, corrupted, draw_blocks
from cinv_lib.evaluation.metrics import auc, top_k
from cinv_lib.evaluation.scores import evaluate_heads, summary, sweep
from cinv_lib.operators.basic import Identity, parse

BATCHES = [1, 7, 64, 100, 256]


def image_set(n=150, side=8, classes=10, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (n, 3, side, side), generator=generator, dtype=torch.uint8)
    names = tuple(f"class {k}" for k in range(classes))
    labels = torch.randint(classes, (n,), generator=generator)
    return ImageSet(images, labels, names, "noise", "drawn by a test")


class Small(nn.Module):
    """A convolution, a batch norm, a linear layer; counts the images and keeps them."""

    def __init__(self, classes=10, seed=0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
            self.out = nn.Linear(8 * 36, classes)
        self.seen, self.grown = [], []

    def forward(self, x):
        self.seen.append(x.clone())
        assert not torch.is_grad_enabled()
        return self.out(self.norm(self.conv(x)).relu().flatten(1)) * 5


def run(models, images=None, op="noise:0.3", **named):
    named = {"realisations": 3, "progress": False, "precision": "fp32"} | named
    groups = [(model, {name: nn.Identity()}) for name, model in models.items()]
    return evaluate_heads(groups, image_set() if images is None else images, parse(op), **named)


# -- the draws -----------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["mask:0.5..0.9", "noise:0.5", "blur:0.5..1@0.8+noise:0.1@0.8"])
def test_models_see_the_same_bits_in_the_same_order_whatever_the_batch(op):
    images = image_set()
    expected = [torch.cat(list(corrupted(parse(op), images, 4, r))) for r in range(2)]
    frames = []
    for batch_size in BATCHES:
        model = Small()
        frames.append(run({"m": model}, images, op, seed=4, realisations=2, batch_size=batch_size))
        assert max(map(len, model.seen)) <= batch_size
        # batches come realisation by realisation within a chunk: put them in order by count
        chunk = max(1, batch_size // BLOCK) * BLOCK
        seen, at = torch.cat(model.seen), 0
        for first in range(0, len(images), chunk):
            for r in range(2):
                part = expected[r][first : first + chunk]
                assert torch.equal(seen[at : at + len(part)], part)
                at += len(part)
        assert at == len(seen) == 2 * len(images)
    for frame in frames[1:]:
        pd.testing.assert_frame_equal(frame, frames[0])


def test_a_realisation_is_a_function_of_seed_and_number():
    images, op = image_set(), parse("noise:0.5")

    def draw(seed, r):
        return torch.cat(list(corrupted(op, images, seed, r)))

    assert torch.equal(draw(0, 3), draw(0, 3))
    for other in (draw(0, 4), draw(1, 3), draw(3, 0)):
        assert not torch.equal(draw(0, 3), other)
    noise = draw(0, 3) - to_float(images.images)
    # blocks have streams of their own, and no two realisations share one
    flat = torch.stack([noise[:64], noise[64:128], draw(0, 4)[:64] - to_float(images.images[:64])])
    correlation = np.corrcoef(flat.flatten(1).numpy())
    assert np.abs(correlation - np.eye(3)).max() < 0.03
    torch.manual_seed(0)
    state = torch.get_rng_state()
    draw(0, 0)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_block_can_be_drawn_alone():
    images, op = image_set(), parse("mask:0.9")
    whole = list(corrupted(op, images, 0, 1))
    assert [len(block) for block in whole] == [64, 64, 22]
    alone = next(draw_blocks(op, to_float(images.images[64:128]), 64, 0, 1))
    assert torch.equal(alone, whole[1])
    with pytest.raises(ValueError, match="first image 10: expected a multiple of 64"):
        next(draw_blocks(op, to_float(images.images), 10, 0, 1))
    with pytest.raises(ValueError, match="seed -1"):
        next(corrupted(op, images, -1, 0))


def test_every_model_sees_the_same_draws():
    one, other = Small(seed=0), Small(seed=1)
    run({"one": one, "other": other})
    assert all(torch.equal(a, b) for a, b in zip(one.seen, other.seen, strict=True))


def test_a_model_that_returns_its_input_is_scored_on_each_realisation():
    images = image_set()
    frame = run({"pixels": lambda x: x.flatten(1)[:, :10]}, images, "noise:0.5", batch_size=128)
    logits = torch.stack([torch.cat(list(corrupted(parse("noise:0.5"), images, 0, r)))
                          for r in range(3)]).flatten(2)[:, :, :10]  # fmt: skip
    assert frame.top1.tolist() == [top_k(x, images.labels, 1) for x in logits]
    assert frame.top1.nunique() > 1


def test_same_seed_same_scores_and_realisations_differ():
    one, same, other = (run({"m": Small()}, seed=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(one, same)
    assert one.top1.nunique() > 1 and not one.top1.equals(other.top1)


# -- the scores ----------------------------------------------------------------------------------


def test_scores_are_sklearns():
    images, op, model = image_set(), parse("noise:0.3"), Small().eval()
    frame = run({"m": model}, images, seed=2, batch_size=7)
    for r, row in frame.iterrows():
        with torch.no_grad():
            logits = model(torch.cat(list(corrupted(op, images, 2, r)))).numpy()
        for k in (1, 5):
            expected = 100 * top_k_accuracy_score(images.labels, logits, k=k, labels=range(10))
            assert row[f"top{k}"] == pytest.approx(expected, abs=1e-9)
        assert (row.model, row.realisation) == ("m", r)
    assert "auc" not in frame


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_is_sklearns(k):
    rng = np.random.default_rng(k)
    logits, labels = rng.normal(size=(200, 7)), rng.integers(7, size=200)
    ours = top_k(torch.tensor(logits), torch.tensor(labels), k)
    expected = top_k_accuracy_score(labels, logits, k=k, labels=range(7))
    assert ours == pytest.approx(100 * expected)


@pytest.mark.parametrize("levels", [3, 1000])  # 3: nearly all tied
def test_auc_is_sklearns(levels):
    rng = np.random.default_rng(levels)
    scores = rng.integers(levels, size=300) / levels
    labels = rng.integers(2, size=300)
    ours = auc(torch.tensor(scores, dtype=torch.float32), torch.tensor(labels))
    assert ours == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)
    assert np.isnan(auc(torch.tensor([1.0, 2.0]), torch.tensor([1, 1])))


def test_two_classes_have_an_auc_and_no_top5():
    images, model = image_set(classes=2), Small(classes=2).eval()
    frame = run({"m": model}, images)
    with torch.no_grad():
        logits = model(torch.cat(list(corrupted(parse("noise:0.3"), images, 0, 1))))
    expected = roc_auc_score(images.labels, logits.softmax(1)[:, 1].numpy())
    assert frame.auc[1] == pytest.approx(expected, abs=1e-3)
    assert frame.top5.isna().all() and frame.top1.notna().all()
    assert summary(frame).auc_se[0] == pytest.approx(sem(frame.auc))


def test_a_perfect_and_a_hopeless_model():
    images = image_set(classes=10)
    table = to_float(images.images).flatten(1)

    def answers(x):  # by looking the image up
        found = torch.cdist(x.flatten(1), table).argmin(1)
        return nn.functional.one_hot(images.labels[found], 10).float()

    frame = run({"perfect": answers, "hopeless": lambda x: -answers(x)}, images, "identity")
    assert frame.top1.tolist() == [100, 0]


# -- realisations and standard errors ------------------------------------------------------------


@pytest.mark.parametrize(("op", "rows"), [("blur:1", 1), ("identity", 1), ("blur:0.5..1", 4)])
def test_what_is_deterministic_is_evaluated_once(op, rows):
    images, model = image_set(), Small()
    frame = run({"m": model}, images, op, realisations=4)
    assert len(frame) == rows and sum(map(len, model.seen)) == rows * len(images)
    assert np.isnan(summary(frame).top1_se[0]) == (rows == 1)
    assert summary(frame).n[0] == rows


def test_summary_is_mean_and_standard_error():
    scores = pd.DataFrame(
        {
            "model": ["b", "b", "a", "a", "b"],
            "realisation": [0, 1, 0, 1, 2],
            "top1": [60.0, 62.0, 10.0, 10.0, 67.0],
            "top5": [90.0, 91.0, np.nan, np.nan, 95.0],
        }
    )
    table = summary(scores)
    assert table.columns.tolist() == ["model", "top1", "top1_se", "top5", "top5_se", "n"]
    assert table.model.tolist() == ["b", "a"] and table.n.tolist() == [3, 2]
    assert table.top1[0] == 63
    assert table.top1_se[0] == pytest.approx((13 / 3) ** 0.5)  # variance 13 with n-1, over n = 3
    assert table.top5_se[0] == pytest.approx(sem([90, 91, 95]))
    assert table.top1_se[1] == 0 and np.isnan(table.top5[1])


def test_sweep_over_severities():
    images, model = image_set(), Small()
    group = [(model, {"m": lambda x: x})]
    arguments = {"realisations": 2, "progress": False, "precision": "fp32"}
    scores = sweep(group, images, parse("noise:0.5"), [0.1, 0.5], **arguments)
    assert scores.severity.tolist() == [0.1, 0.1, 0.5, 0.5]
    alone = evaluate_heads(group, images, parse("noise:0.1"), **arguments)
    pd.testing.assert_frame_equal(scores[:2].drop(columns="severity"), alone)
    table = summary(scores)
    assert table.severity.tolist() == [0.1, 0.5] and table.n.tolist() == [2, 2]


# -- encoders and heads --------------------------------------------------------------------------


def test_each_encoder_is_forwarded_once_per_realisation_for_all_its_heads():
    images = image_set()
    shared, alone = Small(classes=6, seed=1), Small(seed=2)
    heads = {f"head {k}": nn.Linear(6, 10) for k in range(4)}
    frame = evaluate_heads(
        [(shared, heads), (alone, {"alone": lambda x: x})], images, parse("noise:0.3"), 3,
        progress=False, precision="fp32",
    )  # fmt: skip
    assert sum(map(len, shared.seen)) == sum(map(len, alone.seen)) == 3 * len(images)
    assert frame.model.unique().tolist() == [*heads, "alone"] and len(frame) == 15
    whole = run({"head 2": nn.Sequential(Small(classes=6, seed=1), heads["head 2"])}, images)
    pd.testing.assert_frame_equal(
        frame[frame.model == "head 2"].reset_index(drop=True), whole.reset_index(drop=True)
    )


def test_modules_are_in_eval_mode_meanwhile_and_as_before_afterwards():
    model, head = Small(), nn.Sequential(nn.Dropout(0.5), nn.Linear(10, 10))
    model.train()
    model.norm.eval()  # a part that the reader had frozen
    head.train()
    statistics = model.norm.running_mean.clone()
    group = [(model, {"m": head})]
    frames = [
        evaluate_heads(group, image_set(), parse("noise:0.3"), 2, batch_size=b, progress=False)
        for b in (64, 64)
    ]
    pd.testing.assert_frame_equal(*frames)
    assert model.training and model.conv.training and not model.norm.training
    assert head.training and head[0].training
    assert torch.equal(model.norm.running_mean, statistics)
    with pytest.raises(RuntimeError, match="on purpose"):
        evaluate_heads([(model, {"m": fails})], image_set(), Identity(), progress=False)
    assert model.training and not model.norm.training


def fails(x):
    raise RuntimeError("on purpose")


@pytest.mark.parametrize(
    ("encoder", "head", "where"),
    [
        (nn.Flatten(), nn.Linear(192, 10, device="meta"), "meta"),  # as the router of lesson 14
        (nn.Conv2d(3, 1, 1, device="meta"), nn.Linear(64, 10), "meta"),
        (nn.Conv2d(3, 1, 1), nn.Linear(64, 10, device="meta"), "cpu"),
        (nn.Flatten(), nn.Flatten(), "cpu"),
    ],
)
def test_pictures_are_drawn_where_the_first_weights_are(encoder, head, where, monkeypatch):
    drawn = []

    def batches(asked, images, seed, stream, batch_size, device, side, crop):
        drawn.append(device.type)
        raise InterruptedError

    monkeypatch.setattr("cinv_lib.evaluation.draws.batches", batches)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # meta has none
    with pytest.raises(InterruptedError):
        evaluate_heads([(encoder, {"model": head})], image_set(), Identity(), progress=False)
    assert drawn == [where]


def test_batch_norm_uses_its_running_statistics():
    model = Small().train()
    assert run({"m": model}, batch_size=1).equals(run({"m": model}, batch_size=256))


def test_bf16_changes_the_encoder_and_not_the_heads():
    seen = {}

    def encoder(x):
        seen["image"] = x.dtype
        y = x.flatten(1) @ torch.ones(192, 10)
        seen["encoder"] = y.dtype
        return y

    def head(x):
        y = x @ torch.eye(10)
        seen["head"] = y.dtype
        return y

    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        evaluate_heads(
            [(encoder, {"m": head})], image_set(), Identity(), progress=False, precision=precision
        )
        assert seen == {"image": torch.float32, "encoder": dtype, "head": torch.float32}


def test_real_encoder_in_bf16_scores_about_as_in_fp32():
    encoder, images = encoders.fresh("stickers-clip", seed=0), image_set(n=20, side=64)
    head = nn.Linear(encoder.dim, 10)
    kept = {}

    def keep(name):
        return lambda x: kept.setdefault(name, head(x))

    for precision in ("fp32", "bf16"):
        evaluate_heads(
            [(encoder, {"m": keep(precision)})], images, Identity(), progress=False,
            precision=precision,
        )  # fmt: skip
    difference = (kept["fp32"] - kept["bf16"]).abs().max()
    assert 0 < difference < 0.02 * kept["fp32"].abs().max()


# -- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"models": {}}, ValueError, "at least one"),
        ({"realisations": 0}, ValueError, "realisations 0"),
        ({"batch_size": 0}, ValueError, "batch_size 0"),
        ({"precision": "fp8"}, ValueError, "'fp8': expected auto, bf16 or fp32"),
        ({"images": image_set().subset(torch.arange(0))}, ValueError, "noise is empty"),
        ({"models": {"m": Small(classes=3)}}, ValueError, "m gives 3 logits.*labels go up to 9"),
        ({"models": {"m": lambda x: x.flatten(1) * torch.nan}}, FloatingPointError, "m gives NaN"),
    ],
)
def test_bad_input_is_named(change, error, words):
    with pytest.raises(error, match=words):
        run(**{"models": {"m": Small()}} | change)


def test_a_name_may_come_once():
    with pytest.raises(ValueError, match=r"\['m', 'm'\].*each name once"):
        evaluate_heads([(Small(), {"m": len}), (Small(), {"m": len})], image_set(), Identity())


def test_progress_bar(capsys):
    run({"m": Small()}, progress=True)
    assert "noise:0.3" in capsys.readouterr().err
    run({"m": Small()}, progress=False)
    assert capsys.readouterr().err == ""
