"""Restoring pictures, against SciPy, closed forms, and the scores of the same draws."""

import math
from dataclasses import replace

import pandas as pd
import pytest
import torch
from scipy import ndimage

from cinv_lib import evaluation
from cinv_lib.data.image_set import to_float
from cinv_lib.encoders.inference import embedded
from cinv_lib.evaluation import probe
from cinv_lib.experiments import pixels
from cinv_lib.experiments.pixels import drawn, restorations
from cinv_lib.lab import profiles
from cinv_lib.lab.lab import Lab
from cinv_lib.operators.basic import Identity, parse
from cinv_lib.operators.inverse import interpolation
from cinv_lib.operators.inverse.deep_decoder import DecoderRecipe
from cinv_lib.operators.inverse.interpolation import best_width, interpolated
from cinv_lib.operators.inverse.nonlocal_means import non_local_means, psnr

SMALL = DecoderRecipe(channels=8, doublings=2, iterations=150)
MASK, NOISE = "mask:0.9", "noise:0.5"


def mask_of(share: float, like: torch.Tensor, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(like[:, :1].shape, generator=generator) < share


# ---------------------------------------------------------------- the draws


@pytest.mark.parametrize("name", [MASK, NOISE])
def test_the_draws_are_those_that_are_evaluated(name, image_set):
    many = image_set.subset(torch.arange(70) % len(image_set))  # more than a block
    x = to_float(many.images)
    y, keep = drawn(parse(name), x, seed=3, realisation=2)
    assert torch.equal(y, torch.cat(list(evaluation.corrupted(parse(name), many, 3, 2))))
    if name == MASK:
        assert torch.equal(y, x * keep)
        assert (keep.sum(dim=(1, 2, 3)) == 64 * 64 - int(64 * 64 * 0.9)).all()
    else:
        assert keep.all()
    again, _ = drawn(parse(name), x, 3, 2, stream="views")
    assert not torch.equal(again, y)


# ---------------------------------------------------------------- the Gaussian mean


@pytest.mark.parametrize("width", [0.7, 2.0])
def test_interpolation_is_scipy_s_filter_over_that_of_the_mask(pictures, width):
    keep = mask_of(0.3, pictures)
    got = interpolated(pictures, keep, width)

    def blurred(channel):
        return ndimage.gaussian_filter(channel, width, mode="constant", truncate=40)

    for i, c in ((0, 0), (3, 2)):
        known = keep[i, 0].double().numpy()
        # SciPy's Gaussian sums to 1; the quotient does not notice
        expected = blurred(pictures[i, c].double().numpy() * known) / blurred(known)
        torch.testing.assert_close(
            got[i, c].double(), torch.from_numpy(expected), atol=1e-6, rtol=0
        )


def test_interpolation_never_looks_at_an_unknown_pixel(pictures):
    keep = mask_of(0.3, pictures)
    unknown = pictures.where(keep, math.nan)
    assert torch.equal(interpolated(unknown, keep, 1.0), interpolated(pictures, keep, 1.0))


def test_a_constant_picture_is_filled_up_and_nothing_known_is_black(pictures):
    flat = torch.full_like(pictures, 0.7)
    torch.testing.assert_close(interpolated(flat, mask_of(0.05, flat), 0.5), flat)
    none = torch.zeros_like(flat[:, :1], dtype=torch.bool)
    assert torch.equal(interpolated(flat, none, 1.0), torch.zeros_like(flat))


def test_the_width_is_the_best_of_all(pictures):
    every = torch.ones_like(pictures[:, :1], dtype=torch.bool)
    assert best_width(pictures, pictures, every) == min(interpolation.WIDTHS)
    smooth = interpolated(pictures, every, 3.0)
    y = smooth + 0.3 * torch.randn(smooth.shape, generator=torch.Generator().manual_seed(1))
    found = best_width(smooth, y, every)
    near = {w: psnr(smooth, interpolated(y, every, w)).mean() for w in interpolation.WIDTHS}
    assert found > 1 and near[found] == max(near.values())


# ---------------------------------------------------------------- the paper's restorations


def test_noise_is_removed_with_and_without_its_sigma(generator):
    y = parse("noise:0.3")(torch.rand(2, 3, 16, 16, generator=generator), generator)
    every = torch.ones_like(y[:, :1], dtype=torch.bool)
    ways = restorations(parse("noise:0.3"), SMALL)
    assert list(ways) == ["denoising", "denoising_known"]
    assert torch.equal(ways["denoising"](y, every, generator), non_local_means(y))
    assert torch.equal(ways["denoising_known"](y, every, generator), non_local_means(y, 0.3))


def test_a_mask_drawn_anew_gives_a_darker_picture():
    """The least squares under a mask of its own, a share p of it black, are (1 - p) x."""
    x = torch.full((2, 3, 32, 32), 0.8)
    y, keep = drawn(parse("mask:0.5"), x, 0, 0)
    ways = restorations(parse("mask:0.5"), SMALL)
    shown = {
        name: way(y, keep, torch.Generator().manual_seed(1)).median().item()
        for name, way in ways.items()
    }
    assert shown["inpainting"] == pytest.approx(0.8, abs=0.05)
    assert shown["inpainting_new_mask"] == pytest.approx(0.4, abs=0.1)


@pytest.mark.parametrize("name", ["blur:1.4", "mask:0.5..0.9", "identity"])
def test_an_operator_without_a_restoration_is_refused(name):
    with pytest.raises(ValueError, match="has no restoration here"):
        restorations(parse(name), SMALL)


# ---------------------------------------------------------------- all of it


@pytest.fixture(scope="module")
def lab(folders):
    """Two validation pictures a class, of which one is restored."""
    return Lab(replace(profiles.SMOKE, val_per_class=2), recorded=False)


@pytest.fixture(scope="module")
def tables(lab):
    return {op: lab.table("pixels", op) for op in (MASK, NOISE)}


def test_every_method_is_there_once_a_realisation(lab, tables):
    shared = {"student", "baseline", "clip_clean", "gaussian", "intact"}
    own = {MASK: {"inpainting", "inpainting_new_mask"}, NOISE: {"denoising", "denoising_known"}}
    assert set().union(shared, *own.values()) == set(pixels.METHODS)
    columns = ["pictures", "method", "realisation", "top1", "top5", "psnr", "seed"]
    for op, table in tables.items():
        assert list(table.columns) == columns
        for pictures, methods in ((64, shared), (32, shared | own[op])):
            rows = table[table.pictures == pictures]
            assert set(rows.method) == methods
            assert len(rows) == len(methods) * lab.profile["pixels"].operators[op][1]
            assert not rows.duplicated(["method", "realisation"]).any()
        assert set(table.method[table.psnr.isna()]) == {"student", "baseline"}
        assert set(table.method[table.psnr == math.inf]) == {"intact"}


def test_what_lesson_06_scores_has_the_same_scores_here(lab, tables):
    scores, table = lab.table("known_operator", MASK), tables[MASK][tables[MASK].pictures == 64]
    for method in ("student", "baseline", "clip_clean"):
        here, there = (t[t.method == method].reset_index(drop=True) for t in (table, scores))
        pd.testing.assert_frame_equal(here[["top1", "top5"]], there[["top1", "top5"]])


def test_restored_are_the_first_of_each_class_from_the_same_draw(lab, tables):
    rows = [int((lab.val.labels == k).nonzero()[0]) for k in range(32)]
    x = to_float(lab.val.images)
    y, _ = drawn(parse(NOISE), x, 0, 1)
    got = tables[NOISE].query("method == 'denoising' and realisation == 1")
    expected = psnr(x[rows], non_local_means(y[rows])).mean().item()
    assert got.pictures.item() == 32 and got.psnr.item() == pytest.approx(expected, abs=1e-3)


def test_the_clean_classifier_is_a_probe_of_clean_embeddings(lab, tables):
    recipe = lab.profile["clean_probe"].recipe
    views = probe.features(lab.teacher, lab.train, Identity(), recipe.epochs, 0)
    head = probe.fit(views, lab.train.labels, len(lab.train.class_names), recipe, 0)
    expected = evaluation.evaluate_heads([(lab.teacher, {"intact": head})], lab.val, Identity())
    got = tables[NOISE].query("method == 'intact' and pictures == 64")
    assert set(got.top1) == set(expected.top1) and set(got.top5) == set(expected.top5)


@pytest.mark.parametrize("op", [MASK, NOISE])
def test_words_are_asked_of_every_picture_that_the_probes_see(lab, tables, op):
    """Of what is cheap as `known_operator` asks them; of the restored one by one."""
    words, probed = lab.table("pixels_words", op), tables[op].query("method != 'baseline'")
    same = ["pictures", "method", "realisation", "psnr"]
    pd.testing.assert_frame_equal(words[same], probed[same].reset_index(drop=True))
    known = lab.table("known_operator", op)
    for here, there in (("student", "zero_shot"), ("clip_clean", "clip_zero_shot")):
        got = words[(words.method == here) & (words.pictures == 64)]
        assert got.top1.tolist() == pytest.approx(known.top1[known.method == there].tolist())
    if op == NOISE:
        rows = [int((lab.val.labels == k).nonzero()[0]) for k in range(32)]
        y, _ = drawn(parse(NOISE), to_float(lab.val.images), 0, 1)
        scores = lab.words()(embedded(lab.teacher, non_local_means(y[rows])))
        right = scores.argmax(dim=1).eq(lab.val.labels[rows]).double().mean().item()
        got = words.query("method == 'denoising' and realisation == 1")
        assert got.top1.item() == pytest.approx(100 * right, abs=1e-3)


def test_psnr_is_that_of_the_pictures(lab, tables):
    x = to_float(lab.val.images)
    for op, table in tables.items():
        y, _ = drawn(parse(op), x, 0, 1)
        table = table[table.pictures == 64]
        got = table.query("method == 'clip_clean' and realisation == 1").psnr.item()
        assert got == pytest.approx(psnr(x, y).mean().item(), abs=1e-3)
        better = table.query("method == 'gaussian'").psnr.mean()
        assert better > table.query("method == 'clip_clean'").psnr.mean() + 3


def test_only_operators_of_the_profile_are_measured(lab):
    with pytest.raises(ValueError, match=r"at 'mask:0.5'; expected one of noise:0.5, mask:0.9"):
        lab.table("pixels", "mask:0.5")


def test_the_result_depends_on_the_decoder_and_the_subset():
    p = profiles.SMOKE
    fewer = p.changed({"pixels": {"operators": {MASK: (1, 3)}}})
    other = p.changed({"pixels": {"decoder": replace(p["pixels"].decoder, iterations=3)}})
    given, of_fewer, of_other = (q.describe(q["pixels"].task(MASK)) for q in (p, fewer, other))
    assert of_fewer != given != of_other
    student = p["student"].task(MASK)
    assert other.describe(student) == p.describe(student)


def test_a_mean_of_many_pictures_is_made_in_parts(monkeypatch, generator):
    """Bit for bit, and no part is larger: in float64 5,000 pictures of 224 px take 18 GB."""
    pictures = torch.rand(11, 3, 16, 16, generator=generator)
    keep = torch.rand(11, 1, 16, 16, generator=generator) < 0.3
    whole, seen, real = interpolated(pictures, keep, 1.0), [], interpolation._interpolated
    monkeypatch.setattr(interpolation, "AT_ONCE", 4)
    monkeypatch.setattr(
        interpolation, "_interpolated", lambda y, *rest: seen.append(len(y)) or real(y, *rest)
    )
    assert torch.equal(interpolated(pictures, keep, 1.0), whole) and seen == [4, 4, 3]
