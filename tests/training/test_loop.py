import math
import signal
from pathlib import Path

import processes
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cinv_lib.data.image_set import ImageSet
from cinv_lib.machine import hardware
from cinv_lib.training import checkpoint as disk
from cinv_lib.training import feed
from cinv_lib.training.loop import run
from cinv_lib.training.recipe import Recipe, cosine

X = torch.linspace(-1, 1, 40).unsqueeze(1)


def recipe(**changes):
    return Recipe(**{"epochs": 3, "batch_size": 16, "lr": 0.05, "precision": "fp32"} | changes)


def line():
    module = nn.Linear(1, 1)
    with torch.no_grad():
        module.weight.fill_(0.0)
        module.bias.fill_(0.5)
    return module


def squares(module, x, noise):
    return (module(x) - 3 * x - 0.1 * noise).square().mean()


def fit_line(module, log=None):
    """A step that fits y = 3x with noise from the step's generator, so that draws matter."""

    def step(indices, generator):
        noise = torch.randn(len(indices), 1, generator=generator, device=generator.device)
        if log is not None:
            log.append((indices.tolist(), noise))
        return squares(module, X[indices].to(noise.device), noise)

    return step


def train_line(log=None, seed=0, checkpoint=None, n=40, **changes):
    module = line()
    step = fit_line(module, log)
    history = run(module, module.parameters(), step, n, recipe(**changes), seed, checkpoint)
    return module, history


def test_cosine_is_torchs_schedule_and_ends_at_zero():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=17)
    for step in range(18):
        assert cosine(0.3, step, 17) == pytest.approx(scheduler.get_last_lr()[0], abs=1e-15)
        optimizer.step()
        scheduler.step()
    assert cosine(0.3, 0, 17) == 0.3
    assert cosine(0.3, 5, 10) == pytest.approx(0.15)
    assert cosine(0.3, 17, 17) == pytest.approx(0, abs=1e-16)


def test_equals_a_plain_loop_written_out():
    """The same batches and draws through torch's own Adam and scheduler give the same weights."""
    log = []
    module, history = train_line(log, weight_decay=0.01)
    plain = line().to(module.weight.device)
    adam = torch.optim.Adam(plain.parameters(), lr=0.05, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=9)
    losses, lrs = [], []
    for indices, noise in log:
        loss = squares(plain, X[indices].to(noise.device), noise)
        losses.append(loss.item())
        lrs.append(schedule.get_last_lr()[0])
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()
    torch.testing.assert_close(module.state_dict(), plain.state_dict(), rtol=1e-5, atol=1e-7)
    assert history.loss.tolist() == pytest.approx(losses, rel=1e-4)
    assert history.lr.tolist() == pytest.approx(lrs, rel=1e-12)
    assert history.step.tolist() == list(range(9))
    assert history.epoch.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert (history.images_per_s > 0).all()


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 40), batch_size=st.integers(1, 50), epochs=st.integers(1, 3))
def test_each_image_once_an_epoch_in_even_batches(n, batch_size, epochs):
    log = []
    train_line(log, n=n, epochs=epochs, batch_size=batch_size)
    batches = math.ceil(n / batch_size)
    assert len(log) == epochs * batches
    for epoch in range(epochs):
        drawn = [indices for indices, _ in log[epoch * batches : (epoch + 1) * batches]]
        assert sorted(i for indices in drawn for i in indices) == list(range(n))
        sizes = {len(indices) for indices in drawn}
        assert max(sizes) <= batch_size and max(sizes) - min(sizes) <= 1


def test_draws_depend_on_the_seed_the_epoch_and_the_step_and_on_nothing_else():
    logs = {}
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        torch.manual_seed(len(logs))  # the global generator must not matter
        train_line(logs.setdefault(name, []), seed=seed)
    for (indices, noise), (same_indices, same_noise) in zip(
        logs["one"], logs["again"], strict=True
    ):
        assert indices == same_indices
        assert torch.equal(noise, same_noise)
    assert logs["one"][0][0] != logs["other"][0][0]
    firsts = [float(noise[0, 0]) for name in ("one", "other") for _, noise in logs[name]]
    assert len(set(firsts)) == 18
    assert logs["one"][0][0] != logs["one"][3][0]  # each epoch has an order of its own


def test_the_global_generator_is_left_alone():
    module = line()
    before = torch.get_rng_state()
    run(module, module.parameters(), fit_line(module), len(X), recipe(), 0)
    assert torch.equal(before, torch.get_rng_state())


def test_views():
    pictures = torch.randint(0, 256, (40, 3, 8, 8), dtype=torch.uint8)
    indices, device = torch.tensor([7, 3, 3, 39] * 5), hardware.accelerator().device
    images = ImageSet(pictures, torch.arange(40), tuple(map(str, range(40))), "noise", "random")

    def view(**changes):
        generator = torch.Generator(device).manual_seed(0)
        return feed.Resident(images, None, recipe(**changes), device).view(indices, generator).cpu()

    plain = pictures[indices].double() / 255
    assert torch.allclose(view().double(), plain, atol=1e-7)
    flipped = view(flip=True).double()
    mirrored = [torch.allclose(x, y.flip(-1)) for x, y in zip(flipped, plain, strict=True)]
    straight = [torch.allclose(x, y) for x, y in zip(flipped, plain, strict=True)]
    assert [not m for m in mirrored] == straight
    assert 3 <= sum(mirrored) <= 17
    cropped = view(crop=(0.2, 0.3))
    assert cropped.shape == plain.shape
    assert float(cropped.min()) >= 0 and float(cropped.max()) <= 1
    assert (cropped - plain).abs().mean() > 0.05
    assert not torch.equal(cropped[1], cropped[2])  # the same picture, two crops


def test_train_mode_and_precision_of_the_step():
    device = hardware.accelerator().device
    for precision, expected in (
        ("fp32", False),
        ("bf16", True),
        ("auto", hardware.bf16_pays(device)),
    ):
        module, seen = line().eval(), []

        def step(indices, generator, module=module, seen=seen):
            seen.append((module.training, torch.is_autocast_enabled(generator.device.type)))
            return fit_line(module)(indices, generator).float()

        run(module, module.parameters(), step, 4, recipe(epochs=1, precision=precision), 0)
        assert seen == [(True, expected)]
        assert module.weight.dtype == torch.float32


@pytest.mark.parametrize(
    "name, value",
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("lr", 0.0),
        ("lr", math.nan),
        ("lr", math.inf),
        ("weight_decay", -1e-4),
        ("crop", (0.0, 1.0)),
        ("crop", (0.8, 0.5)),
        ("crop", (0.5, 1.2)),
        ("precision", "fp16"),
    ],
)
def test_bad_recipes_are_named(name, value):
    with pytest.raises(ValueError, match=f"Recipe.{name} is .*; expected"):
        recipe(**{name: value})


def test_no_images_is_an_error():
    with pytest.raises(ValueError, match="0 images"):
        train_line(n=0)


class Diverge(torch.autograd.Function):
    """A finite loss whose gradient is not."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * math.nan


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_loss_names_the_step_and_keeps_the_last_good_checkpoint(tmp_path, monkeypatch, value):
    monkeypatch.setattr("cinv_lib.training.history.SAVE_EVERY_S", 0.0)
    monkeypatch.setattr("cinv_lib.training.history.SAVE_SHARE", math.inf)
    path, module, log = tmp_path / "c.pt", line(), []

    def step(indices, generator):
        loss = fit_line(module, log)(indices, generator)
        return loss + value if len(log) == 6 else loss

    with pytest.raises(FloatingPointError) as error:
        run(module, module.parameters(), step, len(X), recipe(), 0, path)
    lr = cosine(0.05, 5, 9)
    for words in (
        f"The loss is {value} at step 5 (epoch 1, learning rate {lr:.3g})",
        "Lower Recipe.lr, for example to 0.017",
        f"The last good checkpoint is {path}",
    ):
        assert words in str(error.value)
    saved = torch.load(path, weights_only=True)
    assert all(bool(weight.isfinite().all()) for weight in saved["module"].values())
    assert saved["step"] in (3, 5)  # the GPU's losses are looked at an epoch at a time


def test_infinite_weights_behind_a_finite_loss_are_never_saved(tmp_path):
    path, module, log = tmp_path / "c.pt", line(), []

    def step(indices, generator):
        loss = fit_line(module, log)(indices, generator)
        return Diverge.apply(loss) if len(log) == 9 else loss

    with pytest.raises(FloatingPointError, match=r"weight is not finite at step 8 \(epoch 2"):
        run(module, module.parameters(), step, len(X), recipe(), 0, path)
    if path.exists():
        assert torch.load(path, weights_only=True)["step"] < 9


def test_a_finished_training_is_loaded_not_repeated(tmp_path):
    module, history = train_line(checkpoint=tmp_path / "c.pt")
    log = []
    again, same = train_line(log, checkpoint=tmp_path / "c.pt")
    assert log == []
    assert torch.equal(module.weight, again.weight)
    assert history.equals(same)


def test_a_checkpoint_of_another_recipe_seed_or_start_is_refused(tmp_path):
    path = tmp_path / "c.pt"
    train_line(checkpoint=path)
    with pytest.raises(ValueError, match=r"lr is 0\.05 there and 0\.04 here"):
        train_line(checkpoint=path, lr=0.04)
    with pytest.raises(ValueError, match="seed is 0 there and 1 here"):
        train_line(checkpoint=path, seed=1)
    with pytest.raises(ValueError, match="starting weights is"):
        module = nn.Linear(1, 1)
        run(module, module.parameters(), fit_line(module), len(X), recipe(), 0, path)
    with pytest.raises(ValueError, match=r"operator is absent there and mask:0\.9 here"):
        module, spec = line(), {"operator": "mask:0.9"}
        step = fit_line(module)
        run(module, module.parameters(), step, len(X), recipe(), 0, path, spec=spec)


def test_a_damaged_checkpoint_starts_again(tmp_path):
    path = tmp_path / "c.pt"
    module, _ = train_line(checkpoint=path)
    path.write_bytes(path.read_bytes()[:100])
    log = []
    with pytest.warns(UserWarning, match="damaged"):
        again, _ = train_line(log, checkpoint=path)
    assert len(log) == 9
    assert torch.equal(module.weight, again.weight)


@pytest.mark.parametrize(
    "cost, saves",  # seconds to write a checkpoint; the steps after which one is written
    [(0.0, [2, 3, 5, 6, 8, 9]), (0.5, [2, 5, 8, 9]), (9.0, [2, 9])],
)
def test_saves_every_20_s_and_each_epoch_but_at_most_2_percent_of_the_time(
    tmp_path, monkeypatch, cost, saves
):
    clock, saved = [0.0], []

    class Log(list):
        def append(self, item):
            clock[0] += 10.0  # a step takes 10 s

    def save(path, state):
        saved.append(state["step"])
        clock[0] += cost

    monkeypatch.setattr(disk, "save", save)
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    train_line(Log(), checkpoint=tmp_path / "c.pt")
    assert saved == saves


def test_resume_after_sigkill_is_bit_equal(tmp_path):
    """Killed twice, in the middle of epochs: the weights are those of an undisturbed training."""
    path, out = tmp_path / "c.pt", tmp_path / "out.pt"
    killed = [processes.run(processes.small_training, path, out, 6) for _ in range(2)]
    assert killed == [[-signal.SIGKILL]] * 2
    assert torch.load(path, weights_only=True)["step"] == 10
    assert not out.exists()
    assert processes.run(processes.small_training, path, out, 0) == [0]
    resumed = torch.load(out, weights_only=True)
    assert processes.run(processes.small_training, None, out, 0) == [0]
    whole = torch.load(out, weights_only=True)
    assert (whole["steps"], resumed["steps"]) == (16, 6)
    assert whole["loss"] == resumed["loss"]
    for name, weight in whole["module"].items():
        assert torch.equal(weight, resumed["module"][name]), name


def test_two_processes_share_each_batch_and_draw_apart():
    alone, first, second = (processes.two_ranks()[name]["draws"] for name in ("alone", "0", "1"))
    assert [i for i, _ in alone] != [i for i, _ in first]
    for (whole, draw), (left, a), (right, b) in zip(alone, first, second, strict=True):
        even = len(whole) // 2 * 2
        assert (whole[:even:2], whole[1:even:2]) == (left, right)
        assert a == draw and a != b


def test_bf16_is_read_from_the_processors_flags(monkeypatch):
    cpu = torch.device("cpu")
    for flags, expected in (("sse2 avx512_bf16", True), ("fpu amx_bf16", True), ("avx2", False)):
        text = f"model name: amx_bf16 is not a flag here\nflags\t\t: fpu {flags}\n"
        monkeypatch.setattr(Path, "read_text", lambda self, text=text: text)
        assert hardware.bf16_pays(cpu) is expected
    monkeypatch.setattr(Path, "read_text", lambda self: "Features: bf16")  # Linux on Arm
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False})
    assert hardware.bf16_pays(cpu) is False

    def absent(self):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", absent)  # Windows
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert hardware.bf16_pays(cpu) is True
    monkeypatch.delattr(torch.cpu, "get_capabilities")  # an older torch
    assert hardware.bf16_pays(cpu) is False
    assert hardware.uses_bf16("bf16", cpu) and not hardware.uses_bf16("fp32", cpu)
