"""Looking up clean pictures: made embeddings, whose order is known."""

import pytest
import torch

from cinv_lib.data.image_set import ImageSet
from cinv_lib.evaluation import Gallery

LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


@pytest.fixture
def gallery():
    """Picture k is plain with brightness 40 k; its embedding points at an angle of 30 k degrees."""
    images = (40 * torch.arange(6)).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)
    pictures = ImageSet(images.contiguous(), LABELS, ("a", "b", "c"), "angles", "made here")
    return Gallery.of(pictures, at_an_angle)


def at_an_angle(x):
    degrees = x.mean((1, 2, 3)) * 255 / 40 * 30
    long = 1 + 10 * x.mean((1, 2, 3))  # lengths differ, and must not matter
    return long[:, None] * torch.stack([degrees.deg2rad().cos(), degrees.deg2rad().sin()], dim=1)


def test_the_nearest_come_first_with_their_names_and_cosines(gallery):
    asked = 7 * torch.tensor(100.0).deg2rad()  # any length
    found = gallery.nearest(torch.stack([(asked / 7).cos(), (asked / 7).sin()]), 3)
    assert [one.name for one in found] == ["a", "b", "c"]
    assert [int(one.picture[0, 0, 0]) // 40 for one in found] == [3, 4, 2]
    angles = [torch.tensor(one.cosine).acos().rad2deg().item() for one in found]
    assert angles == pytest.approx([10, 20, 40], abs=0.1)


def test_all_are_embedded_once_with_length_one(gallery):
    assert gallery.embeddings.shape == (6, 2)
    assert torch.allclose(gallery.embeddings.norm(dim=1), torch.ones(6))


def test_what_cannot_be_looked_up_is_said(gallery):
    for count, asked in ((0, torch.ones(2)), (7, torch.ones(2)), (3, torch.ones(5))):
        with pytest.raises(ValueError, match="1 to 6 pictures and 2 numbers"):
            gallery.nearest(asked, count)
