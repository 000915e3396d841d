"""The map of embeddings: its plane, its axes and its arrows, read back from what is drawn."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from matplotlib.quiver import Quiver

from cinv_lib import plots

LABELS = torch.arange(3).repeat_interleave(8)


@pytest.fixture
def embedded():
    """Three clouds in 16 dimensions, of any lengths."""
    generator = torch.Generator().manual_seed(0)
    middles = torch.randn(3, 16, generator=generator)
    rows = middles[LABELS] + 0.2 * torch.randn(24, 16, generator=generator)
    return rows * (1 + torch.rand(24, 1, generator=generator))


def test_three_classes_lie_in_the_plane_and_keep_their_distances(embedded):
    plane = plots.Plane.of(embedded, LABELS)
    assert plane.of_means == pytest.approx(1) and 0.5 < plane.of_all < 1
    unit = F.normalize(embedded, dim=1)
    means = torch.stack([unit[k == LABELS].mean(0) for k in range(3)])
    drawn = torch.stack([plane(embedded)[k == LABELS].mean(0) for k in range(3)])
    assert torch.allclose(torch.cdist(means, means), torch.cdist(drawn, drawn), atol=1e-5)
    assert torch.allclose(plane(3 * embedded), plane(embedded), atol=1e-6)


def test_more_classes_do_not_fit_and_two_are_refused(embedded):
    assert plots.Plane.of(embedded, torch.arange(24) % 6).of_means < 0.95
    with pytest.raises(ValueError, match="2 classes span no plane: expected three"):
        plots.Plane.of(embedded, LABELS.clamp(max=1))


def drawn(clean, teacher, student):
    (ax,) = plots.embedding_map(clean, teacher, student, LABELS, ("a", "b", "c"), "it").axes
    return ax


def test_arrows_lead_from_the_teachers_answer_to_the_students(embedded):
    clean = plots.Plane.of(embedded, LABELS)(embedded)
    teacher, student = 0.1 * clean, 0.8 * clean
    ax = drawn(clean, teacher, student)
    (arrows,) = [c for c in ax.collections if isinstance(c, Quiver)]
    assert np.allclose(arrows.get_offsets(), teacher)
    assert np.allclose(np.stack([arrows.U, arrows.V], 1), student - teacher, atol=1e-6)
    hollow, grey, full = [c for c in ax.collections if not isinstance(c, Quiver)]
    assert np.allclose(hollow.get_offsets(), clean) and np.allclose(grey.get_offsets(), teacher)
    assert np.allclose(full.get_offsets(), student) and len(hollow.get_facecolors()) == 0
    assert {text.get_text() for text in ax.texts} == {"a", "b", "c"}


def test_the_axes_stay_whatever_the_encoders_say(embedded):
    clean = plots.Plane.of(embedded, LABELS)(embedded)
    first, second = drawn(clean, clean, clean), drawn(clean, 9 * clean, -clean)
    assert first.get_xlim() == second.get_xlim() and first.get_ylim() == second.get_ylim()
    for (low, high), places in zip((first.get_xlim(), first.get_ylim()), clean.T, strict=True):
        assert low < places.min() and places.max() < high
    wide, high = (np.ptp(limits) for limits in (first.get_xlim(), first.get_ylim()))
    box = first.get_window_extent()
    assert wide / high == pytest.approx(box.width / box.height, rel=0.1)  # distances are true


def test_the_words_follow_the_distances():
    clean, near, far = torch.zeros(4, 2), torch.full((4, 2), 0.3), torch.ones(4, 2)
    assert plots.nearer(clean, far, near) == "the student is nearer to R(x): 0.42 against 1.41"
    assert plots.nearer(clean, near, far) == "CLIP is nearer to R(x): 0.42 against 1.41"
    assert plots.nearer(clean, far, far) == "CLIP and the student are as far from R(x): 1.41"
