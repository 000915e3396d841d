"""Label shift: right is what gets the stand-in's label, a pair of classes at a time."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import sem

from cinv_lib import data
from cinv_lib.data.image_set import ImageSet
from cinv_lib.data.stickers import sets
from cinv_lib.experiments import label_shift, unknown_severity
from cinv_lib.lab.lab import Lab

OP = "mask:0.5..0.95"


@pytest.fixture(scope="module")
def lab(folders):
    return Lab("smoke", recorded=False)


def shades(labels, levels, name):
    """Plain grey pictures; a model can read the level off."""
    pictures = torch.tensor(levels, dtype=torch.uint8)[labels]
    pictures = pictures.view(-1, 1, 1, 1).expand(-1, 3, 8, 8).contiguous()
    return ImageSet(pictures, labels, tuple("abcdefgh"), name, "made here")


def reads(batch):
    """Logits that fall with the distance of the mean grey to 20 k, for class k."""
    return -(batch.mean((1, 2, 3))[:, None] * 255 / 20 - torch.arange(8.0)).abs()


def test_right_is_the_stand_in_and_own_pictures_stand_beside(lab, monkeypatch):
    own = shades(torch.arange(8).repeat(3), [20 * k for k in range(8)], "own")
    # The twin of class 2 looks like it, the twin of class 5 like class 6: top-5, not top-1.
    twins = shades(torch.tensor([2, 5, 2, 5]), [0, 0, 44, 0, 0, 118, 0, 0], "twins")
    monkeypatch.setattr(
        label_shift.LabelShift, "contestants", lambda *_: [(lambda x: x, {"reads": reads})]
    )
    entry = label_shift.LabelShift(operators={"noise:0.1": (0, 0.01)}, realisations=3)
    models = (lab.teacher, lab.student(OP), lab.probe(OP), lab.baseline(OP))  # not looked at
    scores = entry.measure(entry.task("noise:0.1"), *models, twins, own)["label_shift"]
    assert list(scores.columns) == label_shift.COLUMNS
    assert len(scores) == 2 * 2 * (1 + 3)  # pairs; twin and own; one clean draw and three
    means = scores.groupby(["pictures", "label"])[["top1", "top5"]].mean()
    assert means.loc[("own", "c")].tolist() == means.loc[("twin", "c")].tolist() == [100, 100]
    assert means.loc[("twin", "f")].tolist() == [0, 100]
    assert means.loc[("own", "f")].tolist() == [100, 100]
    with pytest.raises(ValueError, match=r"twins and own number"):
        other = replace(own, class_names=tuple("hgfedcba"))
        entry.measure(entry.task("noise:0.1"), *models, twins, other)


def test_the_lab_scores_the_five_pairs_of_table_3(lab):
    scores, entry = lab.table("label_shift", OP), lab.profile["label_shift"]
    assert set(scores.label) == set(sets.SHIFT.values())
    assert set(scores.pictures) == {"twin", "own"}
    assert set(scores.method) == set(unknown_severity.METHODS)
    assert tuple(scores.severity.unique()) == entry.operators[OP]
    sizes = scores.groupby(["pictures", "label", "method", "severity"]).size()
    assert (sizes == entry.realisations).all()
    assert scores.top1.between(0, 100).all() and (scores.top5 >= scores.top1).all()


def test_twins_are_five_classes_under_labels_of_the_training_set(lab):
    twins = lab.twins
    assert twins.class_names == lab.train.class_names
    assert len(twins) == 5 * lab.profile.twins_per_class
    assert (twins.labels.bincount()[twins.labels.unique()] == lab.profile.twins_per_class).all()
    assert not set(sets.SHIFT) & set(twins.class_names)
    more = data.load(lab.profile.twins, "val", 3)
    assert torch.equal(more.images[: len(twins)], twins.images)


def test_errors_over_realisations_and_over_pairs(generator):
    scores = torch.randn(5, 10, generator=generator, dtype=torch.float64)
    over_realisations, over_pairs = label_shift.errors(scores)
    assert over_realisations == pytest.approx(sem(scores.mean(0)))
    assert over_pairs == pytest.approx(sem(scores.mean(1)))
    assert math.isnan(label_shift.errors(scores[:, :1])[0])
    assert math.isnan(label_shift.errors(scores[:1])[1])
    # pairs that differ, corruptions that do not
    still = torch.arange(5.0)[:, None].expand(5, 10)
    assert label_shift.errors(still) == pytest.approx((0.0, np.std(range(5), ddof=1) / 5**0.5))


def test_the_stand_in_is_the_class_in_the_same_direction():
    centres = torch.eye(4)[:, :3] + torch.tensor([0.1, 0.2, 0.3])
    labels = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3]) + 10
    pictures = centres[labels - 10] * torch.tensor([1.0, 9, 1, 1, 5, 1, 1, 1])[:, None]
    for k in range(4):
        twins = torch.stack([centres[k], 7 * centres[k]])
        order = label_shift.stand_in(twins, pictures, labels)
        assert order[0] == k + 10 and sorted(order) == [10, 11, 12, 13]


def test_lengths_of_embeddings_do_not_count(generator):
    pictures, twins = (torch.randn(n, 6, generator=generator) for n in (20, 5))
    labels = torch.arange(20) % 4
    lengths = 0.1 + 10 * torch.rand(20, 1, generator=generator)
    order = label_shift.stand_in(twins, pictures, labels)
    assert label_shift.stand_in(3 * twins, lengths * pictures, labels) == order


def test_the_teacher_is_asked_for_its_place_and_how_often_it_agrees():
    val, twins = (shades(torch.tensor(k), range(3), "grey") for k in ([0, 1, 2], [0, 0, 1, 1]))
    seen = torch.tensor([[0.2, 1.0, 0.1]]).expand(4, 3)  # b is nearest, then a
    hit = torch.tensor([True, False, False, False])
    found = label_shift.opinion(seen, hit, twins, torch.eye(3), val)
    assert found.index.tolist() == ["b", "a"]
    assert found.place.tolist() == [1, 2] and found.agrees.tolist() == [0.0, 50.0]
