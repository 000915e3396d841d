"""Coarse labels of the embedded world: true of each picture, and of pictographs not seen before."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cinv_lib import data
from cinv_lib.data.stickers import coarse, drawing, sets
from cinv_lib.data.stickers.glyphs import glyphs

NAMES = glyphs().names


def seen(monkeypatch, name, split, n):
    """The set, and what the world itself says of each picture that was drawn for it."""
    drawn, render = [], drawing.render
    monkeypatch.setattr(
        drawing, "render", lambda *a: drawn.append((a[3], render(*a))) or drawn[-1][1]
    )
    found = data.load(name, split, n)
    sides = {train for train, _ in drawn}
    pictures = [d for _, d in drawn]
    glyph = [NAMES[k] for d in pictures for k in d.labels.tolist()]
    place = [p for d in pictures for p in d.photographs]
    assert torch.equal(found.images, torch.cat([d.images for d in pictures]))
    return found, glyph, place, sides


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize(("name", "n"), [("kinds", 7), ("scenes", 6), ("places", 4)])
def test_a_label_says_what_is_in_the_picture(monkeypatch, name, n, split):
    found, glyphs_drawn, places, sides = seen(monkeypatch, f"stickers-{name}", split, n)
    assert sides == {split == "train"}  # backgrounds of a photograph's own side
    assert found.labels.bincount().tolist() == [n] * len(found.class_names)
    for label, glyph, place in zip(found.labels.tolist(), glyphs_drawn, places, strict=True):
        kind, _, behind = found.class_names[label].partition(" on ")
        if name == "places":
            kind, behind = None, kind
        assert kind is None or kind in glyph.split()
        assert not behind or behind == place
    seen_before = {NAMES[k] for k in sets.classes("stickers-100")}
    assert not seen_before & set(glyphs_drawn)
    if name != "places":  # several pictographs a kind: no kind is one shape
        assert len(set(glyphs_drawn)) > 2 * len(coarse.KINDS)


def test_ten_kinds_have_members_of_their_own():
    members = [coarse.members(k) for k in range(len(coarse.KINDS))]
    assert min(map(len, members)) >= 5
    every = [glyph for of in members for glyph in of]
    assert len(set(every)) == len(every)
    assert sorted(every) == list(coarse.members(coarse.ANY))


def test_there_are_as_many_classes_as_in_the_sets_that_are_stood_in_for():
    sizes = {name: len(task.names) for name, task in coarse.TASKS.items()}
    assert sizes == {"stickers-kinds": 10, "stickers-scenes": 100, "stickers-places": 13}
    for task in coarse.TASKS.values():
        assert len(set(task.names)) == len(task.names)
    assert coarse.TASKS["stickers-scenes"].names[14] == "asterisk on coffee"


def test_no_series_is_used_twice():
    used = [s for task in coarse.TASKS.values() for s in task.series.values()]
    used += [0, *sets.SERIES.values()]  # 0 is the teacher's web
    assert len(set(used)) == len(used)


@pytest.mark.parametrize("name", coarse.TASKS)
def test_a_larger_set_begins_with_a_smaller_one(name):
    small, large = (data.load(name, "val", n) for n in (1, 2))
    k = len(small.class_names)
    assert torch.equal(small.images, large.images[:k]) and torch.equal(
        small.labels, large.labels[:k]
    )
    assert len(data.load(name, "val")) == k * coarse.TASKS[name].per_class["val"]


@settings(max_examples=25, deadline=None)
@given(places=st.lists(st.integers(0, 12), min_size=1, max_size=40), series=st.integers(0, 30))
def test_indices_are_the_first_that_stand_where_they_should(places, series):
    found = coarse.standing(series, torch.tensor(places))
    assert len(set(found.tolist())) == len(places)
    there = (drawing.uniforms(series, torch.arange(int(found.max()) + 1), 1)[:, 0] * 13).long()
    assert there[found].tolist() == places
    for p in set(places):
        first = (there == p).nonzero()[:, 0].tolist()
        assert [i for i, q in zip(found.tolist(), places, strict=True) if q == p] == first[
            : places.count(p)
        ]


def test_places_and_any_place_are_not_mixed():
    with pytest.raises(ValueError, match=r"places \[-1, 2\]: expected photographs only"):
        coarse.standing(0, torch.tensor([2, coarse.ANY]))
    with pytest.raises(ValueError, match=r"'stickers-colours'.*stickers-kinds"):
        data.load("stickers-colours", "val")
