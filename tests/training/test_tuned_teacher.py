"""A teacher that learns along: nothing at pace 0, where its steps go, what holds or turns it."""

import math

import processes
import pytest
import scipy.linalg
import torch
import torch.nn.functional as F

from cinv_lib import losses, operators, training
from cinv_lib.losses import equations
from cinv_lib.training.recipe import Recipe
from cinv_lib.training.tuned_teacher import tune, turn

MASK, BLUR = operators.parse("mask:0.3"), operators.parse("blur:1")
ST, MSE = losses.parse("st:0.1"), losses.parse("mse")


def recipe(**changes):
    return Recipe(**{"epochs": 2, "batch_size": 16, "lr": 0.01, "precision": "fp32"} | changes)


def trained(pace, anchor=0.0, loss=ST, op=MASK, norm=True, **changes):
    teacher, pictures = processes.small_encoder(norm=norm), processes.small_pictures()
    student, tuned, history = tune(
        teacher, pictures, op, loss, recipe(**changes), 0, pace, anchor, progress=False
    )
    with torch.no_grad():
        x = pictures.images.float() / 255
        R, T = (F.normalize(encoder.cpu()(x), dim=1) for encoder in (teacher, tuned))
    return teacher, student.cpu(), tuned, history, R, T


def spread(T):
    """Mean cosine between two pictures: 1 where all embeddings are the same."""
    return (T @ T.T)[~torch.eye(len(T), dtype=torch.bool)].mean().item()


def test_at_pace_0_it_is_distillation():
    teacher, student, tuned, history, *_ = trained(pace=0.0)
    alone, expected = training.distill(
        teacher, processes.small_pictures(), MASK, ST, recipe(), 0, progress=False
    )
    assert history.loss.tolist() == pytest.approx(expected.loss.tolist(), abs=1e-4)
    torch.testing.assert_close(student.state_dict(), alone.state_dict(), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(tuned.state_dict(), teacher.state_dict(), atol=0, rtol=0)


@pytest.mark.parametrize("crop", [(1.0, 1.0), (0.5, 1.0)])  # R's targets at once, or each step
def test_the_first_loss_by_hand_and_an_anchor_that_costs_nothing_yet(crop):
    """T is R at the start, so the anchor's cosines are 1. A fixed blur, no batch norm."""
    teacher, _, _, plain, *_ = trained(1.0, 0.0, op=BLUR, norm=False, batch_size=48, crop=crop)
    anchored = trained(1.0, 2.0, op=BLUR, norm=False, batch_size=48, crop=crop)[3]
    assert anchored.loss[0] == pytest.approx(plain.loss[0] - 2.0, abs=1e-4)
    if crop == (1.0, 1.0):
        x = processes.small_pictures().images.float() / 255
        with torch.no_grad():
            expected = ST(teacher(BLUR(x)), teacher(x)).item()
        assert plain.loss[0] == pytest.approx(expected, rel=1e-4)


def test_adams_first_step_is_as_long_as_the_pace_says():
    """Adam's first step is the learning rate in each weight that has a gradient."""
    teacher, student, tuned, *_ = trained(pace=0.2, epochs=1, batch_size=48, lr=0.01)
    start = dict(teacher.tower.named_parameters())
    for encoder, expected in ((student, 0.01), (tuned, 0.002)):
        moved = [(w - start[n]).abs().max().item() for n, w in encoder.tower.named_parameters()]
        assert max(moved) == pytest.approx(expected, rel=1e-3)


def test_the_teachers_batch_norms_keep_the_statistics_of_R():
    teacher, student, tuned, *_ = trained(pace=0.5)
    before = teacher.state_dict()
    for name, value in tuned.state_dict().items():
        is_statistic = "running" in name or "num_batches" in name
        assert torch.equal(value, before[name]) == is_statistic, name
        assert not torch.equal(student.state_dict()[name], before[name]), name
    assert not tuned.training and not student.training


def test_the_pull_alone_collapses_and_the_push_keeps_pictures_apart():
    """Under MSE the cheapest teacher gives every picture the same embedding."""
    long = {"epochs": 40, "lr": 0.01}
    R = trained(pace=0.0, epochs=1)[4]
    collapsed, apart = (trained(pace=1.0, loss=loss, **long)[5] for loss in (MSE, ST))
    assert spread(collapsed) > 0.99 > 0.9 > spread(R)
    assert spread(apart) < spread(R)


def test_an_anchor_holds_the_teacher_near_R():
    long = {"epochs": 20, "lr": 0.01, "pace": 1.0}
    drift = [
        (R * T).sum(1).mean().item() for *_, R, T in (trained(anchor=a, **long) for a in (0, 1, 30))
    ]
    assert drift[0] < drift[1] < drift[2] and drift[2] > 0.95 > drift[0]


def test_a_finished_checkpoint_gives_both_back_and_another_pace_is_refused(tmp_path, monkeypatch):
    teacher, pictures = processes.small_encoder(), processes.small_pictures()

    def again(pace):
        return tune(
            teacher, pictures, MASK, ST, recipe(), 0, pace, 1.0, tmp_path / "c.pt", progress=False
        )

    student, tuned, history = again(0.5)
    monkeypatch.setattr(equations, "alignment", None)  # no step is needed any more
    student_2, tuned_2, same = again(0.5)
    assert history.equals(same)
    for a, b in ((student, student_2), (tuned, tuned_2)):
        torch.testing.assert_close(a.state_dict(), b.state_dict(), atol=0, rtol=0)
    with pytest.raises(ValueError, match=r"pace is 0\.5 there and 0\.25 here"):
        again(0.25)


@pytest.mark.parametrize(("pace", "anchor"), [(-0.1, 0.0), (math.inf, 0.0), (0.1, -1.0)])
def test_pace_and_anchor_are_not_negative(pace, anchor):
    teacher, pictures = processes.small_encoder(), processes.small_pictures()
    with pytest.raises(ValueError, match="expected finite numbers, 0 or more"):
        tune(teacher, pictures, MASK, ST, recipe(), 0, pace, anchor)


def test_turn_is_the_orthogonal_procrustes_solution():
    generator = torch.Generator().manual_seed(0)
    T, R = torch.randn(2, 40, 6, generator=generator, dtype=torch.float64)
    expected, _ = scipy.linalg.orthogonal_procrustes(T.numpy(), R.numpy())
    torch.testing.assert_close(turn(T, R), torch.from_numpy(expected))
    Q, _ = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64))
    torch.testing.assert_close(turn(T, T @ Q), Q)
    assert turn(T.float(), R.float()).dtype == torch.float32


def test_the_loss_does_not_see_a_turn_of_both():
    generator = torch.Generator().manual_seed(1)
    S, T = torch.randn(2, 12, 6, generator=generator, dtype=torch.float64)
    Q, _ = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64))
    for loss in (ST, MSE, losses.parse("nt:0.2"), losses.parse("st:0.1,weight=0.5")):
        torch.testing.assert_close(loss(S @ Q, T @ Q), loss(S, T))
        assert abs(loss(S, T @ Q) - loss(S, T)) > 1e-3
