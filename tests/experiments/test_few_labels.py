"""Probes from few labels: how many pictures, the same draws as the scores, each picture once."""

import copy
import functools

import pandas as pd
import pytest
import torch

from cinv_lib import evaluation, operators, paper, training
from cinv_lib.evaluation import probe
from cinv_lib.experiments import few_labels, known_operator
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles import PROFILES, SMOKE
from cinv_lib.operators.basic import Identity

RECIPE = probe.ProbeRecipe(epochs=3, lr=0.05, batch_size=4)


class Colours(torch.nn.Module):
    """An encoder that any probe can read: the mean colour."""

    def forward(self, x):
        return x.mean((2, 3))


@pytest.fixture
def words():
    return probe.Probe(torch.eye(3), torch.zeros(3), normalise=True)


def scored(image_set, words, encoders, shares=(0.25, 0.5, 1.0)):
    """Each encoder with its probes, and words where it knows them, under two draws of noise."""
    op = operators.parse("noise:0.1")
    groups = []
    for method, encoder in encoders.items():
        views = probe.features(encoder, image_set, op, RECIPE.epochs, 0)
        heads = few_labels.fit(views, image_set, shares, RECIPE, seed=0)
        heads = {few_labels.name(method, share): head for share, head in heads.items()}
        in_words = {"student": "zero_shot", "clip": "clip_zero_shot"}
        heads |= {in_words[method]: words} if method in in_words else {}
        groups.append((encoder, heads))
    return evaluation.evaluate_heads(groups, image_set, op, 2, seed=0)


def measured(image_set, words, encoders, shares=(0.25, 0.5, 1.0)):
    scores = scored(image_set, words, encoders, shares)
    return few_labels.table(scores, image_set, shares, seed=0)


def test_a_row_for_each_method_number_of_labels_and_draw(image_set, words):
    towers = {"student": Colours(), "clip": Colours(), "resnet": Colours()}
    frame = measured(image_set, words, towers)
    assert list(frame.columns) == few_labels.COLUMNS
    probed = {(m, n) for m in towers for n in (1.0, 2.0, 4.0)}  # of 4 pictures a class
    in_words = {("zero_shot", 0.0), ("clip_zero_shot", 0.0)}  # the supervised tower has none
    assert set(zip(frame.method, frame.per_class, strict=True)) == probed | in_words
    assert (frame.groupby(["method", "per_class"]).realisation.nunique() == 2).all()
    assert set(few_labels.METHODS) == set(frame.method)


def test_each_row_is_the_score_of_its_own_probe(image_set, words):
    towers = {"student": Colours(), "resnet": lambda x: torch.zeros(len(x), 3)}
    scores = scored(image_set, words, towers).assign(top1=lambda frame: range(len(frame)))
    found = few_labels.table(scores, image_set, (0.25, 0.5, 1.0), seed=0)
    for method, share, pictures in (("student", 0.25, 1.0), ("resnet", 1.0, 4.0)):
        rows = scores[scores.model == few_labels.name(method, share)]
        mine = found[(found.method == method) & (found.per_class == pictures)]
        assert mine.top1.tolist() == rows.top1.tolist() and len(rows) == 2


def test_the_words_read_colours_and_a_tower_of_noise_is_no_better_than_chance(image_set, words):
    towers = {"student": Colours(), "resnet": lambda x: torch.zeros(len(x), 3)}
    mean = measured(image_set, words, towers).groupby("method").top1.mean()
    assert mean.zero_shot == 100
    assert mean.resnet == pytest.approx(100 / 3)


def test_fewer_labels_are_those_of_a_share_and_all_are_the_usual_probe(image_set):
    op, student = operators.parse("noise:0.1"), Colours()
    views = probe.features(student, image_set, op, RECIPE.epochs, 0)
    found = few_labels.fit(views, image_set, (0.5, 1.0), RECIPE, seed=0)
    for share, rows in ((1.0, None), (0.5, image_set.fraction(0.5, 0))):
        head = probe.fit(views, image_set.labels, 3, RECIPE, 0, indices=rows)
        assert torch.equal(found[share].weight, head.weight)


def test_scores_and_few_labels_share_probes_and_what_was_embedded():
    share = 0.5
    p = SMOKE.changed({"known_operator": {"fractions": (1.0, share)}})
    lab, entry = Lab(p, recorded=False), p["known_operator"]
    towers = {name: copy.deepcopy(lab.teacher) for name in ("R", "S", "supervised", "baseline")}
    seen = dict.fromkeys(towers, 0)

    def count(name, tower, given):
        seen[name] += len(given[0])

    for name, tower in towers.items():
        tower.register_forward_pre_hook(functools.partial(count, name))
    baseline = training.Classifier(towers["baseline"], len(lab.train.class_names), 0)
    of_clean = probe.train(towers["R"], lab.train, Identity(), p["clean_probe"].recipe, 0)
    tables = entry.measure(
        entry.task("mask:0.9"), towers["R"], towers["S"], baseline, towers["supervised"], of_clean,
        lab.train, lab.val,
    )  # fmt: skip
    found, few = tables["known_operator"], tables["few_labels"]
    pictures = {"student": p.train_per_class, "student_50": share * p.train_per_class}
    for method, labelled in pictures.items():
        mine = few[(few.method == "student") & (few.per_class == labelled)]
        assert found[found.method == method].top1.tolist() == mine.top1.tolist()
    assert set(found.method) == {*known_operator.METHODS, "student_50"} - {"student_10"}
    draws = entry.realisations * len(lab.val)
    once = entry.probe.epochs * len(lab.train) + draws
    assert seen == {"R": once + len(lab.train), "S": once, "supervised": once, "baseline": draws}


def test_pictures_a_class_are_those_of_figure_3():
    shares = sorted(paper.figure(3).query("method == 'student'").fraction.unique())
    assert [few_labels.per_class(s) for s in shares] == [2, 7, 13, 64, 127, 1267]


@pytest.mark.parametrize("p", PROFILES.values(), ids=lambda p: p.name)
def test_a_profile_asks_of_operators_that_it_trains_on(p):
    asked = p["known_operator"].operators
    for kind in ("student", "baseline"):
        assert set(asked) <= set(p[kind].full)
    assert set(map(paper.counterpart, asked)) <= set(paper.table(13).operator)
    assert all(0 < share <= 1 and 1.0 in shares for shares in asked.values() for share in shares)
    assert sum(len(shares) > 1 for shares in asked.values()) == 2  # Figure 3 has two


def test_the_lab_measures_it(tmp_path, monkeypatch):
    monkeypatch.setenv("CINV_RUNS", str(tmp_path))  # where nothing is finished
    lab = Lab("smoke", recorded=False)
    assert lab.so_far("few_labels", "blur:2.57", 2) is None
    frame = lab.table("few_labels", "blur:2.57", [1])
    assert set(frame.method) == set(few_labels.METHODS) and (frame.seed == 1).all()
    done = [lab.finished(lab.task("known_operator", "blur:2.57", seed)) for seed in (0, 1)]
    assert done == [False, True]
    found = lab.so_far("few_labels", "blur:2.57", 2)
    pd.testing.assert_frame_equal(found, frame)
