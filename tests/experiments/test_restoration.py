"""The restored pictures, R's look at them, and the scores of the same draws."""

import math
from dataclasses import replace

import pytest
import torch

from cinv_lib.data.image_set import to_float
from cinv_lib.encoders.inference import embedded
from cinv_lib.evaluation.metrics import top_k
from cinv_lib.evaluation.scores import evaluate_heads
from cinv_lib.experiments import restoration
from cinv_lib.experiments.pixels import drawn, width_for
from cinv_lib.experiments.restoration import Restoration, Restored, restored
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles import SMOKE
from cinv_lib.operators.basic import parse
from cinv_lib.operators.functional import known
from cinv_lib.operators.inverse.interpolation import interpolated
from cinv_lib.operators.inverse.nonlocal_means import psnr
from cinv_lib.training.recipe import Recipe

MASK, NOISE = "mask:0.9", "noise:0.5"
ONE = Recipe(epochs=1, batch_size=64, lr=3e-3)
OURS = (
    Restoration(recipe=ONE, full=(), side_epochs=1),
    Restored(operators={MASK: None, NOISE: None}, realisations=2),
)
OTHERS = tuple(entry for entry in SMOKE.entries if entry.name not in ("restoration", "restored"))
PROFILE = replace(SMOKE, entries=OTHERS + OURS, val_per_class=1)


@pytest.fixture(scope="module")
def lab(folders):
    return Lab(PROFILE, recorded=False)


@pytest.fixture(scope="module")
def tables(lab):
    return {op: lab.table("restored", op) for op in (MASK, NOISE)}


def test_every_method_is_there_once_a_realisation(lab, tables):
    for table in tables.values():
        columns = ["pictures", "method", "realisation", "top1", "top5", "psnr", "seed"]
        assert list(table.columns) == columns
        assert set(table.method) == set(restoration.METHODS)
        assert len(table) == 2 * len(restoration.METHODS) and set(table.pictures) == {len(lab.val)}
        assert not table.duplicated(["method", "realisation"]).any()
        assert set(table.method[table.psnr.isna()]) == {"student", "zero_shot"}
        assert set(table.method[table.psnr == math.inf]) == {"intact", "intact_words"}


@pytest.mark.parametrize("op", [MASK, NOISE])
def test_the_draws_are_those_that_lesson_06_scores(lab, tables, op):
    of_S = {"student": lab.made("probe", op), "zero_shot": lab.words()}
    of_R = {"clip_clean": lab.made("clean_probe", op), "clip_zero_shot": lab.words()}
    groups = [(lab.made("student", op), of_S), (lab.teacher, of_R)]
    scores = evaluate_heads(groups, lab.val, parse(op), 2, 0).set_index(["model", "realisation"])
    got = tables[op].set_index(["method", "realisation"])
    for method in (*of_S, *of_R):
        for column in ("top1", "top5"):
            expected = scores[column][method].tolist()
            assert got[column][method].tolist() == pytest.approx(expected), method


@pytest.mark.parametrize("op", [MASK, NOISE])
def test_the_mean_and_the_intact_picture_by_hand(lab, tables, op):
    x, got = to_float(lab.val.images), tables[op].set_index(["method", "realisation"])
    y, keep = drawn(parse(op), x, 0, 1)
    mean = interpolated(y, keep, width_for(parse(op), lab.train, 0, x.device))
    for way, shown in (("gaussian", mean), ("intact", x)):
        seen = embedded(lab.teacher, shown)
        for method, head in ((way, lab.made("clean_probe", op)), (f"{way}_words", lab.words())):
            assert got.top1[method, 1] == pytest.approx(top_k(head(seen), lab.val.labels, 1))
    assert got.psnr["gaussian_words", 1] == pytest.approx(psnr(x, mean).mean().item(), abs=1e-3)


@pytest.mark.parametrize("op", [MASK, NOISE])
def test_r_looks_at_what_the_network_restored(lab, tables, op):
    unet, x = lab.made("restoration", op), to_float(lab.val.images)
    y, _ = drawn(parse(op), x, 0, 1)
    with torch.no_grad():
        z = torch.cat([unet(part) for part in y.split(50)])
    seen = embedded(lab.teacher, z)
    heads = {"restored": lab.made("clean_probe", op), "restored_words": lab.words()}
    for method, head in heads.items():
        (row,) = tables[op].query(f"method == '{method}' and realisation == 1").to_dict("records")
        assert row["psnr"] == pytest.approx(psnr(x, z).mean().item(), abs=1e-3)
        assert row["top1"] == pytest.approx(top_k(head(seen), lab.val.labels, 1), abs=1.01)
        assert row["top5"] == pytest.approx(top_k(head(seen), lab.val.labels, 5), abs=1.01)
    with torch.no_grad():
        torch.testing.assert_close(restored(unet, y), z)
        if op == MASK:
            keep = known(y).expand_as(y)
            assert torch.equal(z[keep], x[keep])


def test_the_network_is_kept_to_the_bit_and_starts_from_the_width_of_the_mean(lab, tmp_path):
    entry, task = PROFILE["restoration"], PROFILE["restoration"].task(NOISE)
    entry.make(tmp_path, task, train=lab.train)
    kept, again = lab.made("restoration", NOISE), entry.load(tmp_path)
    torch.testing.assert_close(again.state_dict(), kept.state_dict(), atol=0, rtol=0)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"unet.safetensors", "history.csv"} and not again.training
    width = width_for(parse(NOISE), lab.train, 0, torch.device("cpu"))
    assert kept.width.item() == pytest.approx(width)
    assert len(lab.history("restoration", NOISE)) == math.ceil(len(lab.train) / 64)


def test_it_needs_pictures_and_nothing_of_r():
    described = PROFILE.describe(PROFILE["restoration"].task(MASK))
    assert set(described["needs"]) == {"train"} and "loss" not in described
    task = PROFILE["restored"].task(MASK)
    kinds = {before.kind for before in PROFILE.after(task)}
    assert kinds == {"restoration", "student", "probe", "clean_probe"}
    longer = PROFILE.changed({"restoration": {"side_epochs": 2}})
    assert longer.address(task) != PROFILE.address(task)
