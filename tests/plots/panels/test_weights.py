"""The panel of the gradient's weights, and the formulas of lesson 03, against autograd."""

import io
import itertools
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageColor

from cinv_lib import losses
from cinv_lib.course.workbook import exercise as book
from cinv_lib.course.workbook.grade import grade
from cinv_lib.course.workbook.todo import TODO
from cinv_lib.plots import panels
from cinv_lib.plots.panels import canvas, weights
from cinv_lib.plots.style import OKABE_ITO, pixels

TAUS = (0.02, 0.1, 0.5, 5.0)  # from one end of the slider to the other
LESSON = book.of_lesson("03")


def made(count=6, seed=0, d=8):
    """Pictures of one grey each, what the student sees of them, and embeddings."""
    generator = torch.Generator().manual_seed(seed)
    grey = torch.linspace(0.2, 0.9, count).view(-1, 1, 1, 1)
    pictures = grey.expand(-1, 3, 32, 32).contiguous()
    S, R = (torch.randn(count, d, generator=generator) for _ in "SR")
    return pictures, pictures * 0.5, S, R


def numbers(text):
    """What the text says: own weight (%), share on the hardest (%), this row's count, the mean."""
    found = re.search(
        r"gives (\d+) % .* (\d+) % is on its hardest .*: ([\d.]+) of \d+ in this row, ([\d.]+) in",
        text,
        re.S,
    )
    return [float(number) for number in found.groups()]


def pixel(name):
    return np.array(ImageColor.getrgb(OKABE_ITO[name]))


# ------------------------------------------------------------------------ numbers


def test_effective_number_counts_equal_weights():
    even = torch.zeros(4, 8, dtype=torch.float64)
    for row, k in enumerate((1, 2, 4, 8)):
        even[row, :k] = 1 / k
    assert torch.allclose(panels.effective_number(even), torch.tensor([1.0, 2, 4, 8]).double())
    uneven = torch.tensor([0.7, 0.2, 0.1])
    expected = torch.distributions.Categorical(uneven).entropy().exp()
    assert torch.allclose(panels.effective_number(uneven), expected)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 12), st.integers(0, 10**6))
def test_a_growing_tau_spreads_the_weight(count, seed):
    _, _, S, R = made(count, seed)
    counts, shares = [], []
    for tau in TAUS:
        w = losses.pair_weights(S.double(), R.double(), tau)
        counts.append(panels.effective_number(w))
        found, share = panels.hardest_negatives(S, R, tau, 0)
        shares.append(share)
        others = w[0].clone()
        others[0] = 0
        order = others.argsort(descending=True)[: min(3, count - 1)]
        assert found == order.tolist()
        assert abs(share - float(others[order].sum() / others.sum())) < 1e-9
    counts = torch.stack(counts)
    assert (counts.diff(dim=0) > 0).all() and (counts >= 1 - 1e-9).all()
    assert (counts[-1] > 0.9 * count).all()
    if count > 4:
        assert all(a > b for a, b in itertools.pairwise(shares))
    else:
        assert shares == pytest.approx([1] * len(TAUS))


def test_hardest_negatives_are_never_the_own_teacher_however_cold():
    _, _, _, R = made()
    for row in range(len(R)):
        found, share = panels.hardest_negatives(R, R, 1e-3, row)
        cosines = losses.similarities(R, R)[row]
        assert row not in found and 0.99 < share <= 1
        assert found == cosines.argsort(descending=True)[1:4].tolist()


def test_colours_darken_with_the_weight_and_never_step_back():
    ramp = weights.tones(np.linspace(0, 1, 100) ** 2).astype(float)
    light = ramp @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) < 0).all()
    assert (ramp[0] == 255).all() and (ramp[-1] == 0).all()
    # small weights are told apart: a hundredth is no longer white
    assert weights.tones(np.array([0.01]))[0, 0] < 220


# ------------------------------------------------------------------------ the picture


@pytest.mark.parametrize("tau", [TAUS[0], TAUS[-1]])
def test_render_shows_the_weights_and_the_pictures_of_a_row(tau):
    pictures, seen, S, R = made()
    row, cell = 2, weights.MAP // 6
    image, text = panels.render_weights(pictures, seen, S, R, tau, row)
    shown = np.asarray(image)
    w = losses.pair_weights(S, R, tau)
    edge, top = cell + 4, canvas.LINE + cell + 4
    middle = [k * cell + cell // 2 for k in range(6)]
    for i, y in enumerate(middle):
        for j, x in enumerate(middle):
            assert (shown[top + y, edge + x] == weights.tones(w[i, j].numpy())).all()
        grey = pixels(pictures[i])[0, 0]
        assert (shown[top + y, cell // 2] == grey).all()  # the small picture of student i
        assert (shown[canvas.LINE + cell // 2, edge + y] == grey).all()  # of teacher j
    framed = (shown[top + row * cell - 1] == pixel("vermilion")).all(-1)
    assert framed[edge : edge + 6 * cell].all()
    assert not (shown[top + 4 * cell + 5] == pixel("vermilion")).all(-1).any()
    found, share = panels.hardest_negatives(S, R, tau, row)
    across = (shown[top + row * cell + cell // 2] == pixel("vermilion")).all(-1)
    for j in range(1, 6):  # a side of a frame between two cells where either is a hardest negative
        assert across[edge + j * cell] == bool({j - 1, j} & set(found))
    right = shown[:, edge + 6 * cell + 10 :]
    for picture in [seen[row], pictures[row], *pictures[found]]:
        grey = pixels(picture)[0, 0]
        assert (right == grey).all(-1).sum() >= weights.SIDE**2
    own, said, here, mean = numbers(text)
    counts = panels.effective_number(w.double())
    assert abs(own - 100 * float(w[row, row])) <= 0.51 and abs(said - 100 * share) <= 0.51
    assert abs(here - counts[row]) <= 0.051 and abs(mean - counts.mean()) <= 0.051
    names = [str(j + 1) for j in found]
    assert f"hardest negatives, {names[0]}, {names[1]} and {names[2]}." in text


def test_render_is_monotone_between_both_ends_of_the_slider():
    pictures, seen, S, R = made(12)
    said = [numbers(panels.render_weights(pictures, seen, S, R, tau, 1)[1]) for tau in TAUS]
    _, share, here, mean = zip(*said, strict=True)
    assert list(share) == sorted(share, reverse=True) and share[0] > 95
    assert list(here) == sorted(here) and list(mean) == sorted(mean)
    assert mean[0] < 2 and mean[-1] > 11.5
    assert abs(share[-1] - 100 * 3 / 11) < 10


def test_a_pair_of_pictures_has_one_negative():
    pictures, seen, S, R = made(2)
    _, text = panels.render_weights(pictures, seen, S, R, 0.1, 0)
    assert "100 % is on its hardest negatives, 2." in text


def test_render_refuses_what_does_not_fit():
    pictures, seen, S, R = made()
    with pytest.raises(ValueError, match=r"5 pictures, 5 seen and 6 embeddings"):
        panels.render_weights(pictures[:5], seen[:5], S, R, 0.1)
    for row in (-1, 6):
        with pytest.raises(ValueError, match=rf"row is {row}; expected 0 to 5"):
            panels.render_weights(pictures, seen, S, R, 0.1, row)
    with pytest.raises(ValueError, match=r"tau is 0\.0"):
        panels.render_weights(pictures, seen, S, R, 0.0)
    with pytest.raises(ValueError, match=r"N = 1 has no negatives"):
        panels.render_weights(pictures[:1], seen[:1], S[:1], R[:1], 0.1)


# ------------------------------------------------------------------------ the widget


def test_panel_redraws_at_both_ends_and_for_another_picture():
    pictures, seen, S, R = made()
    panel = panels.weights_panel(pictures, seen, S, R, row=3)
    tau, which = panel.controls["tau"], panel.controls["which"]
    assert list(panel.controls) == ["tau", "which"] and (which.min, which.max) == (1, 6)
    assert panel.text.startswith("Weights of 6 pictures at tau 0.1. Picture 4 gives ")
    for power, said in ((weights.COLDEST, "0.02"), (weights.HOTTEST, "5")):
        tau.value = 10**power
        assert panel.text.startswith(f"Weights of 6 pictures at tau {said}. Picture 4")
        expected, _ = panels.render_weights(pictures, seen, S, R, tau.value, 3)
        shown = np.asarray(Image.open(io.BytesIO(panel.png)).convert("RGB"))
        assert (shown == np.asarray(expected)).all()
    before = panel.png
    which.value = 1
    assert "Picture 1 gives" in panel.text and panel.png != before
    assert f'alt="{panel.text}"' in panel.picture.value


# ------------------------------------------------------------------------ the exercises


@pytest.mark.parametrize("exercise", LESSON, ids=lambda exercise: exercise.id)
def test_exercise_knows_right_from_wrong_and_says_why(exercise):
    for seed in range(5):
        for right in (exercise.reference, exercise.alternative, exercise.solution):
            assert grade(exercise, right, seed).state == "right"
        for wrong in exercise.wrong:
            graded = grade(exercise, wrong.answer, seed)
            assert graded.state == "wrong" and graded.cause == wrong.because
    for source, state in ((None, "todo"), (exercise.solution_source, "right")):
        cell = {"TODO": TODO, "torch": torch, "F": F, "check": lambda _, answer: answer}
        exec(exercise.cell(source), cell)
        assert grade(exercise, cell[exercise.name]).state == state


@pytest.mark.parametrize("seed", range(5))
def test_what_the_reader_writes_is_what_autograd_finds(seed):
    """The references of 3.2 to 3.4 are formulas; this is what they are held against."""
    for case in book.find("3.2").drawn(seed):
        K, tau = case.args
        K.requires_grad_()
        F.cross_entropy(K / tau, torch.arange(len(K))).backward()
        closed = book.find("3.2").reference(K.detach(), tau)
        assert torch.allclose(closed, K.grad, atol=1e-12)
    for case in book.find("3.3").drawn(seed):
        loss, S, D, h = case.args
        S.requires_grad_()
        loss(S).backward()
        slope = book.find("3.3").reference(loss, S.detach(), D, h)
        assert abs(slope - (S.grad * D).sum()) < book.find("3.3").tolerance / 3
    for case in book.find("3.4").drawn(seed):
        low, high = book.find("3.4").reference(*case.args)
        assert torch.allclose(low, (case.args[0] / 1e-7).softmax(1), atol=1e-6)
        assert torch.allclose(high, (case.args[0] / 1e7).softmax(1), atol=1e-6)


def test_the_printed_sign_is_off_by_twice_the_pull():
    _, _, S, R = made(9)
    S, R, tau = S.double().requires_grad_(), R.double(), 0.1
    w = losses.pair_weights(S, R, tau).detach()

    def gradient(loss):
        return torch.autograd.grad(loss, S)[0]

    whole = gradient(losses.contrastive(S, R, tau))
    pull = gradient(losses.alignment(S, R)) / tau
    push = gradient((w * losses.similarities(S, R)).sum()) / (tau * len(S))
    assert torch.allclose(whole, pull + push, atol=1e-14)
    assert torch.allclose(whole - (push - pull), 2 * pull, atol=1e-14)
    assert pull.norm() > 0.1
