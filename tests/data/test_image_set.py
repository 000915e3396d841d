"""image_set: splits, sets without labels, and arrays of a reader's own."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from cinv_lib.data.image_set import ImageSet


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.integers(0, 4), min_size=2, max_size=60).filter(
        lambda found: max(map(found.count, found)) > 1
    ),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 5),
)
def test_a_split_is_disjoint_whole_by_class_and_a_function_of_its_seed(labels, share, seed):
    number = torch.arange(len(labels), dtype=torch.uint8)
    pictures = ImageSet(
        number.view(-1, 1, 1, 1).expand(-1, 3, 1, 1).contiguous(), torch.tensor(labels),
        tuple("abcde"), "made", "here",
    )  # fmt: skip
    parts = pictures.split(share, seed)
    numbers = [part.images[:, 0, 0, 0].tolist() for part in parts]
    assert all(found == sorted(found) for found in numbers)
    assert sorted(numbers[0] + numbers[1]) == number.tolist()
    for k in set(labels):
        n, here = labels.count(k), int((parts[0].labels == k).sum())
        assert here == 1 if n == 1 else 1 <= here <= n - 1
        assert abs(here - share * n) <= 1
    again = pictures.split(share, seed)
    assert all(torch.equal(a.images, b.images) for a, b in zip(parts, again, strict=True))


def test_another_seed_is_another_split_and_what_cannot_be_split_is_said(image_set):
    first = [image_set.split(0.5, seed)[0].images for seed in range(4)]
    assert any(not torch.equal(first[0], other) for other in first[1:])
    for share in (0, 1, 1.5):
        with pytest.raises(
            ValueError, match=rf"split at {share}; expected a share between 0 and 1"
        ):
            image_set.split(share)
    with pytest.raises(ValueError, match="3 pictures, at most one of a class; expected two"):
        image_set.per_class(1).split(0.5)


def test_arrays_become_pictures():
    x = np.arange(2 * 4 * 5, dtype=np.uint8).reshape(2, 4, 5)
    grey = ImageSet.from_arrays(x)
    assert grey.images.shape == (2, 3, 4, 5) and grey.class_names == ()
    for channel in grey.images.unbind(1):
        assert np.array_equal(channel, x)
    rgb = ImageSet.from_arrays(np.stack([x, x + 1, x + 2], axis=3), ["dog", "cat"])
    assert torch.equal(rgb.images[:, 2], torch.from_numpy(x + 2))
    assert rgb.class_names == ("cat", "dog") and rgb.labels.tolist() == [1, 0]

    wide = np.arange(65536, dtype=np.uint16).reshape(1, 256, 256)
    want = np.round(np.arange(65536) / 257).reshape(256, 256)
    assert np.array_equal(ImageSet.from_arrays(wide).images[0, 0], want)
    floats = torch.tensor([[[0.0, 0.5], [0.999, 1.0]]])
    assert ImageSet.from_arrays(floats).images[0, 0].tolist() == [[0, 128], [255, 255]]

    numbered = ImageSet.from_arrays(x, np.array([0, 2]))
    assert numbered.class_names == ("0", "1", "2")
    named = ImageSet.from_arrays(x, [1, 0], classes=["left", "right"], name="mine")
    assert named.class_names == ("left", "right") and named.name == "mine"


@pytest.mark.parametrize(("arrays", "words"), [
    (np.zeros((4, 5), np.uint8), r"shape \(4, 5\); expected \(N, H, W\)"),
    (np.zeros((2, 3, 4, 5), np.uint8), "move channels to the end"),
    (np.zeros((0, 4, 5), np.uint8), "with a picture at least"),
    (np.full((1, 2, 2), 255.0), r"run from 255 to 255; expected \[0,1\]: divide"),
    (np.full((1, 2, 2), np.nan), "floats run from nan"),
    (np.full((1, 2, 2), -0.1), "floats run from -0.1"),
    (np.zeros((1, 2, 2), np.int64), "arrays are int64; expected uint8, uint16, or floats"),
])  # fmt: skip
def test_arrays_that_are_no_pictures_are_refused(arrays, words):
    with pytest.raises(ValueError, match=words):
        ImageSet.from_arrays(arrays)


@pytest.mark.parametrize(("labels", "classes", "words"), [
    ([0], None, "1 labels for 2 pictures; expected one"), ([0, 3], ["a", "b"], "expected 0 to 1"),
    ([0.5, 1.0], None, "expected whole numbers, or names of classes"),
    (["a", "c"], ["a", "b"], "label 'c'; expected one of"), (None, ["a"], "without labels"),
])  # fmt: skip
def test_labels_that_do_not_fit_are_refused(labels, classes, words):
    with pytest.raises(ValueError, match=words):
        ImageSet.from_arrays(np.zeros((2, 3, 3), np.uint8), labels, classes)


def test_without_labels_there_is_nothing_to_take_of_each_class():
    pictures = ImageSet.from_arrays(np.zeros((4, 3, 3), np.uint8))
    assert [len(part) for part in pictures.split(0.5)] == [2, 2]
    with pytest.raises(
        ValueError, match="arrays has no labels; expected two classes or more to tak"
    ):
        pictures.per_class(1)
    one = ImageSet.from_arrays(np.zeros((4, 3, 3), np.uint8), ["cat"] * 4)
    with pytest.raises(
        ValueError, match=r"has one class, 'cat'; expected two .* to fit a probe: put"
    ):
        one.expect_classes("fit a probe")
