"""The open loop is a sound one, and each fault breaks the one promise that it is named after."""

import inspect

import pandas as pd
import pytest
import torch

from cinv_lib.course.lessons import lesson_17
from cinv_lib.training import faults
from cinv_lib.training.recipe import cosine

FAULTY = {
    faults.TeacherInTrainMode: "targets",
    faults.NearlyConstant: "falls",
    faults.SameMasks: "anew",
    faults.GreyHoles: "black",
    faults.TeacherLearns: "targets",
    faults.WithReplacement: "whole",
}
PROMISES = {
    "targets": lesson_17._targets,
    "falls": lesson_17._falls,
    "anew": lesson_17._anew,
    "black": lesson_17._black,
    "whole": lesson_17._whole,
}


def kept(loop, seed=0):
    log = faults.trial(loop(), seed)
    return {name for name, promise in PROMISES.items() if promise(log)}


@pytest.mark.parametrize("seed", range(3))
def test_the_sound_loop_keeps_every_promise(seed):
    assert kept(faults.Loop, seed) == set(PROMISES)


@pytest.mark.parametrize("loop", FAULTY, ids=lambda loop: loop.__name__)
def test_a_fault_breaks_its_own_promise_and_no_other(loop):
    assert set(PROMISES) - kept(loop) == {FAULTY[loop]}


def test_only_the_method_with_the_fault_differs_in_the_source():
    for loop in FAULTY:
        changed = {p for p in faults.Loop.parts if getattr(loop, p) is not getattr(faults.Loop, p)}
        assert 1 <= len(changed) <= 2
        assert loop.source() != faults.Loop.source()
        assert "class " not in loop.source() and loop.__name__ not in loop.source()


def test_the_same_seed_trains_the_same_student_and_another_seed_another():
    losses = [[s.loss for s in faults.trial(faults.Loop(), seed).steps] for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


def test_the_rates_are_those_of_the_librarys_loop():
    log = faults.trial(faults.Loop(), 0)
    assert [s.rate for s in log.steps] == [cosine(1e-2, t, 16) for t in range(16)]


def test_the_teacher_that_was_handed_over_is_kept_as_it_was():
    log = faults.trial(faults.TeacherInTrainMode(), 0)
    before, after = (dict(R.named_buffers()) for R in (log.R, log.R_after))
    assert not log.R.training and log.R_after.training
    moved = {k for k in before if not torch.equal(before[k], after[k])}
    assert any(k.endswith("running_mean") for k in moved)
    learned = faults.trial(faults.TeacherLearns(), 0)
    pairs = zip(learned.R.parameters(), learned.R_after.parameters(), strict=True)
    assert not any(torch.equal(a, b) for a, b in pairs)


def test_an_open_loop_is_what_distill_does_but_for_its_draws():
    """Of clean pictures nothing is drawn, and the two are the same training."""
    from cinv_lib import data, encoders, losses, operators
    from cinv_lib.encoders.encoder import student_of
    from cinv_lib.training import distill
    from cinv_lib.training.recipe import Recipe

    R, train = encoders.load("stickers-clip"), data.load("stickers-100", "train", n=1)
    recipe, loss = Recipe(2, 64, 1e-3, precision="fp32"), losses.parse("st:0.1")
    A, steps = operators.parse("blur:2"), []
    _, history = distill(R, train, A, loss, recipe, 0, progress=False)
    S = student_of(R)
    faults.Loop().train(R, S, train.images, A, loss, recipe, 0, steps.append)
    found = pd.Series([s.loss for s in steps])
    assert found.tolist() == pytest.approx(history.loss.tolist(), rel=1e-3)
    assert inspect.signature(faults.Loop.train).parameters.keys() >= {"R", "S", "seed"}
