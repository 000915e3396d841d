"""The three students are trained, kept and scored, on the draws and by the heads that are said."""

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from cinv_lib import data, encoders, evaluation, losses, operators, training
from cinv_lib.evaluation import probe
from cinv_lib.evaluation.probe import ProbeRecipe
from cinv_lib.experiments import feature_distillation, trainings
from cinv_lib.experiments.feature_distillation import STUDENTS, FeatureDistillation
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles import SMOKE
from cinv_lib.training import feature_distillation as fd
from cinv_lib.training.recipe import Recipe

OP = "mask:0.9"
QUICK = ProbeRecipe(epochs=2, lr=1e-3, batch_size=64)
ONE = {"recipe": Recipe(epochs=1, batch_size=64, lr=1e-3), "full": (OP,), "side_epochs": 1}
KINDS = (trainings.FeatureStudent, trainings.PatchStudent, trainings.AttentionStudent)
ENTRY = FeatureDistillation(operators={OP: None}, recipe=QUICK, realisations=2)


@pytest.fixture(scope="module")
def vit():
    return encoders.load("stickers-clip-vit")


@pytest.fixture(scope="module")
def pictures():
    return data.load("stickers-32", "train", n=2), data.load("stickers-32", "val", n=2)


def test_the_students_differ_in_their_alignment_alone():
    made = [kind(**ONE) for kind in KINDS]
    assert [entry.name for entry in made] == [*STUDENTS]
    settings = [entry.settings(entry.task(OP)) for entry in made]
    loss = [kept.pop("alignment") for kept in settings]
    assert loss == [fd.EMBEDDING_ALONE, fd.WITH_PATCHES, fd.WITH_ATTENTION]
    assert settings == [{"recipe": ONE["recipe"]}] * 3
    assert all(entry.task(OP, 1, "st:0.1").loss == "" for entry in made)
    assert all(entry.parameters() == ["folder", "task", "vit", "unlabelled"] for entry in made)


@pytest.mark.parametrize("kind", KINDS)
def test_a_student_is_trained_with_its_alignment_and_kept(kind, vit, pictures, tmp_path):
    entry = kind(**ONE)
    entry.make(tmp_path, entry.task(OP, 3), vit=vit, unlabelled=pictures[0])
    found = entry.load(tmp_path)
    expected, history = fd.distill_features(
        vit, pictures[0], operators.parse(OP), entry.alignment, ONE["recipe"], 3, progress=False
    )
    x = pictures[1].images[:4].float() / 255
    with torch.no_grad():
        torch.testing.assert_close(found(x), expected.cpu()(x), atol=2e-2, rtol=2e-2)
        assert (found(x) - vit(x)).abs().max() > 0.05
    kept = pd.read_csv(tmp_path / "history.csv")
    assert kept.loss.tolist() == pytest.approx(history.loss.tolist(), rel=1e-4)
    assert not (tmp_path / trainings.CHECKPOINT).exists()


def test_scores_are_those_of_evaluate_heads_for_each_model_and_head(vit, pictures):
    train, val = pictures
    op = operators.parse(OP)
    S, _ = training.distill(
        vit, train, op, losses.parse("mse"), replace(ONE["recipe"], epochs=2), 0, progress=False
    )
    same = {name: copy.deepcopy(vit) for name in ("vit_global", "vit_attention")}
    table = ENTRY.measure(
        ENTRY.task(OP, 5), vit=vit, vit_patches=S.cpu(), train=train, val=val, **same
    )["feature_distillation"]
    assert table.columns.tolist() == ["model", "head", "realisation", "top1", "top5"]
    sizes = table.groupby(["model", "head"]).realisation.apply(list)
    assert len(sizes) == 8 and all(draws == [0, 1] for draws in sizes)
    assert set(table.model) == {"vit", *STUDENTS} and set(table["head"]) == {"probe", "words"}
    for name, tower in (("vit", vit), ("vit_patches", S)):
        heads = {
            "probe": probe.train(tower, train, op, QUICK, 5),
            "words": probe.zero_shot(vit, train.class_names),
        }
        expected = evaluation.evaluate_heads([(tower, heads)], val, op, 2, 5, progress=False)
        rows = table[table.model == name]
        assert rows["head"].tolist() == expected.model.tolist()
        np.testing.assert_allclose(rows[["top1", "top5"]], expected[["top1", "top5"]])
    teacher = table[table.model == "vit"].drop(columns="model").reset_index(drop=True)
    for name in same:
        rows = table[table.model == name].drop(columns="model").reset_index(drop=True)
        pd.testing.assert_frame_equal(rows, teacher)


def test_in_a_profile_it_needs_the_transformer_its_students_and_pictures():
    entries = (*SMOKE.entries, *(kind(**ONE) for kind in KINDS), ENTRY)
    p = replace(SMOKE, entries=entries)
    task = ENTRY.task(OP, 1)
    assert task.loss == "" and {one.kind for one in p.after(task)} == {*STUDENTS}
    rows = Lab(p, recorded=False).table("feature_distillation", seeds=[1])
    assert len(rows) == 16 and (rows.seed == 1).all() and rows.top1.between(0, 100).all()


def scores(patches, attention):
    """Three trainings, two draws each: the leads over the student of the embedding, by a probe."""
    rows = []
    for seed in range(3):
        top1 = {"vit": 5.0, "vit_global": 50.0 + seed}
        top1 |= {"vit_patches": 50 + seed + patches[seed]}
        top1 |= {"vit_attention": 50 + seed + attention[seed]}
        rows += [
            {"model": m, "head": head, "realisation": r, "seed": seed, "top1": value + bias * r}
            for m, value in top1.items()
            for head, bias in (("probe", 1.0), ("words", 2.0))
            for r in (0, 1)
        ]
    return pd.DataFrame(rows)


def test_what_is_said_of_it():
    rows = scores((4.0, 5.0, 6.0), (-9.0, 1.0, 9.5))
    found = feature_distillation.against_embedding(rows, "probe")
    assert found.verdict.tolist() == ["holds", "not decided"]
    assert found.difference.tolist() == pytest.approx([5.0, 0.5])
    said = feature_distillation.found(rows)
    assert said.startswith(
        "By a probe, the student with patch tokens leads that of the embedding alone by "
        "5.0 points, and three trainings do not decide between the student with attention maps too "
        "and that of the embedding alone (0.5 ± "
    )
    assert feature_distillation.found(rows, "words").startswith("Asked in words, ")
    one = feature_distillation.found(rows[rows.seed == 0])
    assert one.count("one training does not decide") == 2
