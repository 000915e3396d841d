"""When the losses of a training are read; the rest of a History is tested with the loop."""

import pytest
import torch
from torch import nn

from cinv_lib.training.history import READ_EVERY, History
from cinv_lib.training.recipe import Recipe


def begun(kind: str) -> History:
    """The history of a training of two epochs of 45 steps, as if on this kind of device."""
    module = nn.Linear(1, 1)
    recipe = Recipe(epochs=2, batch_size=4, lr=0.1)
    device, adam = torch.device(kind), torch.optim.Adam(module.parameters())
    history = History(module, adam, recipe, 180, device, True, None, {}, None)
    assert history.resume() == 0
    history.start(None)
    return history


def note(history: History, t: int, loss: float) -> int:
    """Notes step t and says how many steps have been read."""
    history.add(t // 45, t, torch.tensor(loss), 0.1, 4, last=t % 45 == 44)
    return len(history.rows)


def test_a_gpu_is_asked_for_its_losses_now_and_then_and_at_each_epochs_end():
    read = [20, 40, 45, 65, 85, 90]  # to read more often is to wait for the GPU more often
    assert READ_EVERY == 20
    gpu, cpu = begun("cuda"), begun("cpu")
    for t in range(90):
        assert note(gpu, t, float(t)) == max((r for r in read if r <= t + 1), default=0)
        assert note(cpu, t, float(t)) == t + 1
    for history in (gpu, cpu):
        table = history.table()
        assert table.loss.tolist() == table.step.tolist() == list(range(90))
        assert table.epoch.tolist() == [0] * 45 + [1] * 45


def test_the_step_that_diverged_is_named_though_it_is_read_later():
    history = begun("cuda")
    for t in range(19):
        note(history, t, float("nan") if t == 3 else 1.0)
    with pytest.raises(FloatingPointError, match=r"The loss is nan at step 3 \(epoch 0"):
        note(history, 19, 1.0)


def test_whoever_watches_is_told_how_fast_it_is(tmp_path, monkeypatch):
    """About once a second, and only by the main process; a file that cannot be is no fault."""
    told = tmp_path / "student.speed"
    monkeypatch.setenv("CINV_SPEED", str(told))
    clock = iter(float(t) for t in range(100, 1000, 2))
    monkeypatch.setattr("cinv_lib.training.history.time.perf_counter", lambda: next(clock))
    history = begun("cpu")
    note(history, 0, 1.0)
    assert told.read_text() == "2 images/s, epoch 1"  # 4 pictures in the 2 s of a look at the clock
    told.unlink()
    history.main = False
    note(history, 1, 1.0)
    assert not told.exists()
    history.main = True
    monkeypatch.setenv("CINV_SPEED", str(tmp_path / "absent" / "student.speed"))
    note(history, 2, 1.0)
