"""Training under attack: closed forms of linear models, what an attack leaves as it was, and a
training that is none the less exact."""

import math
from functools import partial

import processes
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchvision.models import ResNet
from torchvision.models.resnet import BasicBlock

from cinv_lib import encoders, evaluation, losses, operators, training
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.training import attacked, history, light
from cinv_lib.training.attacked import Attack, open_pixels, worst
from cinv_lib.training.recipe import Recipe

MASK, BLUR, ST = operators.parse("mask:0.5"), operators.parse("blur:1"), losses.parse("st:0.1")
LEVEL = 1 / 255
seeds, budgets = st.integers(0, 2**16), st.sampled_from([0.5, 8, 60, 255])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def problem(seed: int, n: int = 5):
    """Pictures in [0,1], some numbers at its ends, and which pixels may change."""
    g = seeded(seed)
    y = (1.4 * torch.rand(n, 3, 6, 5, generator=g) - 0.2).clamp(0, 1)
    return y, torch.rand(n, 1, 6, 5, generator=g) < 0.6


def recipe(**changes):
    return Recipe(**{"epochs": 2, "batch_size": 16, "lr": 0.01, "precision": "fp32"} | changes)


def distilled(attack=None, op=MASK, checkpoint=None, norm=True, light=None, **changes):
    return training.distill(
        processes.small_encoder(norm=norm), processes.small_pictures(), op, ST,
        recipe(**changes), 0, checkpoint, False, light, attack=attack,
    )  # fmt: skip


def tuned(attack=None, op=MASK, checkpoint=None, norm=True, light=None, **changes):
    return training.finetune(
        processes.small_encoder(norm=norm), processes.small_pictures(), op,
        recipe(**changes), 0, checkpoint, False, None, light, attack=attack,
    )  # fmt: skip


each = pytest.mark.parametrize("train", [distilled, tuned])


def differing(a: nn.Module, b: nn.Module) -> list[str]:
    a, b = a.state_dict(), b.state_dict()
    assert a.keys() == b.keys()
    return [name for name in a if not torch.equal(a[name], b[name])]


# -- closed forms ------------------------------------------------------------------------------
@settings(max_examples=30, deadline=None)
@given(seeds, budgets, st.integers(1, 4))
def test_of_a_linear_model_it_finds_the_worst_there_is(seed, budget, steps):
    """The logistic loss of w z + b grows with -w z, so the worst z has every number at the end of
    its interval: y - budget sign(w), the step of FGSM, within [0,1]. One step gets there."""
    y, where = problem(seed)
    model = nn.Linear(90, 1)
    nn.init.normal_(model.weight, std=0.1, generator=seeded(seed + 1))

    def loss(z):
        return F.softplus(-model(z.flatten(1))).mean()

    z = worst(Attack(budget, steps), loss, y, where, seeded(), model)
    w = model.weight.detach().view(3, 6, 5)
    corner = (y - budget * LEVEL * w.sign() * where).clamp(0, 1)
    torch.testing.assert_close(z, corner, rtol=0, atol=1e-6)
    assert loss(z) >= loss(y)


def test_the_steps_are_those_of_the_attack_that_scores():
    assert attacked.RATE == evaluation.attack.RATE


def test_a_small_step_ends_where_start_and_slope_say():
    """Six steps of a bent loss by hand: its slope is not the same everywhere."""
    y, where = problem(3)
    attack = Attack(budget=30, steps=6)

    def loss(z):
        return torch.sin(20 * z).sum()

    budget, g = 30 * LEVEL, seeded(7)
    z = y + where * budget * (2 * torch.rand(y.shape, generator=g, dtype=torch.float64) - 1).float()
    z = z.clamp(0, 1)
    assert not torch.equal(z, y)
    for _ in range(6):
        z = z + where * 2.5 * budget / 6 * torch.cos(20 * z).sign()
        z = z.clamp(y - budget, y + budget).clamp(0, 1)
    found = worst(attack, loss, y, where, seeded(7), nn.Identity())
    torch.testing.assert_close(found, z, rtol=0, atol=1e-6)


# -- promises ----------------------------------------------------------------------------------
@settings(max_examples=30, deadline=None)
@given(seeds, budgets, st.integers(1, 4))
def test_no_attack_leaves_the_ball_the_range_or_its_pixels(seed, budget, steps):
    y, where = problem(seed)
    w = torch.randn(90, 4, generator=seeded(seed + 1))

    def loss(z):
        return torch.tanh(z.flatten(1) @ w).square().sum()

    z = worst(Attack(budget, steps), loss, y, where, seeded(seed), nn.Identity())
    assert (z - y).abs().max() <= budget * LEVEL + 1e-6
    assert z.min() >= 0 and z.max() <= 1 and not z.requires_grad
    assert torch.equal(z * ~where, y * ~where)
    assert (z != y)[where.expand_as(y)].float().mean() > 0.5


def test_what_noise_has_carried_out_of_the_range_goes_no_further_out():
    y = operators.parse("noise:0.5")(torch.rand(20, 3, 6, 5, generator=seeded()), seeded(1))
    where = torch.ones_like(y[:, :1], dtype=torch.bool)
    z = worst(Attack(20), lambda z: z.square().sum(), y, where, seeded(), nn.Identity())
    for out in (y > 1, y < -20 * LEVEL):  # further out is where the loss is higher
        assert out.any() and torch.equal(z[out], y[out])
    assert (z >= y.clamp(max=0)).all() and (z <= y.clamp(min=1)).all()
    assert (z - y).abs().max() <= 20 * LEVEL + 1e-6 and (z != y).any()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_step_that_follows_is_as_if_nobody_had_attacked(precision):
    """Weights without .grad, running statistics and counts as before; then the gradients of the
    step are those on the same pictures alone, also where autocast has kept weights in bfloat16."""
    y = torch.rand(6, 3, 16, 16, generator=seeded())
    where, bf16 = torch.ones_like(y[:, :1], dtype=torch.bool), precision == "bf16"
    mine, other = (processes.small_encoder().train() for _ in range(2))

    def loss(module, z):
        assert module.training and torch.is_autocast_enabled("cpu") == bf16
        return module(z).float().square().mean()

    before = {name: value.clone() for name, value in mine.state_dict().items()}
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        z = worst(Attack(8), partial(loss, mine), y, where, seeded(), mine)
        assert all(p.grad is None for p in mine.parameters())
        assert all(torch.equal(value, before[name]) for name, value in mine.state_dict().items())
        assert z.dtype == torch.float32 and loss(mine, z) > loss(mine, y)
        mine.load_state_dict(before)
        after = loss(mine, z)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        alone = loss(other, z)
    after.backward()
    alone.backward()
    assert differing(mine, other) == []
    for a, b in zip(mine.parameters(), other.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad) and a.grad.abs().max() > 0
    assert int(mine.tower[1].num_batches_tracked) == 1


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("mask:0.75", 0.25),
        ("box_inpainting:0.25", 0.75),
        ("mask:0.75@1+blur:0@1", 0.25),
        ("mask:1|mask:1", 0.0),
        ("noise:0.5", 1.0),
        ("identity", 1.0),
    ],
)
def test_a_mask_hides_pixels_from_the_attacker_and_nothing_else_does(text, share):
    x = torch.rand(3, 3, 16, 16, generator=seeded())
    x[0, :, :4] = 0  # black in the picture itself
    if share not in (0, 1):
        x = x.clamp(min=0.01)
    op = operators.parse(text)
    where = open_pixels(op, op(x, seeded()))
    assert where.shape == (3, 1, 16, 16) and where.dtype == torch.bool
    assert where.float().mean() == share


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budget": 0}, "Attack.budget is 0; expected grey levels, above 0.*leave the attack out"),
        ({"budget": -8}, "Attack.budget is -8"),
        ({"budget": 256}, "Attack.budget is 256"),
        ({"budget": math.nan}, "Attack.budget is nan"),
        ({"budget": "8"}, "Attack.budget is '8'"),
        ({"budget": None}, "Attack.budget is None"),
        ({"steps": 0}, "Attack.steps is 0; expected a whole number, at least 1"),
        ({"steps": 1.5}, "Attack.steps is 1.5"),
        ({"steps": True}, "Attack.steps is True"),
    ],
)
def test_an_attack_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Attack(**{"budget": 8} | change)


# -- trainings ---------------------------------------------------------------------------------
@each
def test_each_step_learns_from_what_the_attack_found(train, monkeypatch):
    """One step of a fixed blur, without batch norm: the loss that is noted is that of z, and it is
    higher than that of A(x); the pictures are attacked through their own loss."""
    seen = []

    def watched(attack, loss, y, where, generator, module, real=attacked.worst):
        z = real(attack, loss, y, where, generator, module)
        seen.append((y, z, loss(y).item(), loss(z).item(), where, module))
        return z

    monkeypatch.setattr(attacked, "worst", watched)
    whole = {"op": BLUR, "norm": False, "epochs": 1, "batch_size": 48}
    model, plain = train(**whole)
    assert not seen
    under, noted = train(Attack(8), **whole)
    ((y, z, before, after, where, module),) = seen
    assert plain.loss[0] == pytest.approx(before, abs=1e-6)
    assert noted.loss[0] == pytest.approx(after, abs=1e-6) and after > before + 0.01
    assert where.all() and 0 < (z - y).abs().max() <= 8 * LEVEL + 1e-6
    assert differing(model, under), "another gradient"
    trained = {id(p) for p in under.parameters() if p.requires_grad}
    assert trained <= {id(p) for p in module.parameters()}


@each
def test_it_stands_an_attack_of_which_the_other_knows_nothing(train):
    """A picture's first loss under PGD: lower after a training under attack."""
    attack, long = Attack(40), {"epochs": 15, "op": BLUR, "norm": False}
    R, pictures = processes.small_encoder(norm=False), processes.small_pictures(seed=5)
    x, labels = pictures.images.float() / 255, pictures.labels
    losses_ = []
    for model, _ in (train(**long), train(attack, **long)):
        model = model.cpu().requires_grad_(False)

        def loss(z, model=model):
            return ST(model(z), R(x)) if train is distilled else F.cross_entropy(model(z), labels)

        y = BLUR(x)
        z = worst(attack, loss, y, open_pixels(BLUR, y), seeded(), model)
        losses_.append(loss(z).item())
    assert losses_[1] < losses_[0] - 0.1


@each
def test_batch_norms_count_each_batch_once(train):
    model, noted = train(Attack(8, steps=3))
    counts = [int(v) for k, v in model.state_dict().items() if k.endswith("batches_tracked")]
    assert counts == [len(noted)]


@each
def test_without_an_attack_nothing_is_drawn_and_nothing_described(train, tmp_path, monkeypatch):
    monkeypatch.setattr(attacked, "worst", None)
    monkeypatch.setattr(attacked, "open_pixels", None)
    model, plain = train(checkpoint=tmp_path / "c.pt")
    again, same = train(None)
    assert differing(model, again) == [] and plain.loss.equals(same.loss)
    assert "attack" not in torch.load(tmp_path / "c.pt", weights_only=True)["spec"]


@each
def test_a_killed_training_goes_on_as_if_nothing_had_been(train, tmp_path, monkeypatch):
    undisturbed, whole = train(Attack(8))
    assert differing(undisturbed, train(Attack(8))[0]) == []
    noted, add = [], history.History.add
    monkeypatch.setattr(history, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(history, "SAVE_SHARE", math.inf)

    def stop(self, *given, **more):
        add(self, *given, **more)
        noted.append(given)
        if len(noted) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(history.History, "add", stop)
    with pytest.raises(KeyboardInterrupt):
        train(Attack(8), checkpoint=tmp_path / "c.pt")
    resumed, table = train(Attack(8), checkpoint=tmp_path / "c.pt")
    assert len(noted) == len(whole) == len(table)
    assert differing(undisturbed, resumed) == [] and table.loss.equals(whole.loss)
    for other, says in ((Attack(4), r"Attack\(budget=4\.0, steps=2\) here"), (None, "absent here")):
        with pytest.raises(ValueError, match=rf"attack is Attack\(budget=8\.0.* there and {says}"):
            train(other, checkpoint=tmp_path / "c.pt")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_light_training_is_the_plain_one_under_attack_too(image_set, precision):
    """Blocks are computed once more for the attack's gradients, too, and count no batch twice."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        start = Encoder.wrap(ResNet(BasicBlock, [1, 2, 1, 1], num_classes=8), image_size=32)
    pair = [
        training.distill(
            start, image_set, MASK, ST, recipe(batch_size=6, precision=precision), 0,
            progress=False, light=on, attack=Attack(8),
        )[0]
        for on in (False, True)
    ]  # fmt: skip
    assert differing(*pair) == []
    assert int(pair[0].tower.bn1.num_batches_tracked) == 4


def test_a_module_s_buffers_come_back():
    norm = nn.BatchNorm1d(2)
    kept = norm.running_mean
    with pytest.raises(ZeroDivisionError), light.sparing(norm):
        norm(torch.rand(5, 2))
        assert norm.running_mean is not kept and norm.num_batches_tracked == 1
        1 / 0  # noqa: B018
    assert norm.running_mean is kept and not kept.any() and norm.num_batches_tracked == 0


def test_two_processes_attack_as_one():
    """With the negatives of both, from the same place: see `processes.three_trainings`."""
    results = processes.two_ranks()
    start = encoders.student_of(processes.small_encoder(norm=False)).state_dict()
    for rank in ("0", "1"):
        for name, weight in results["alone"]["attacked"].items():
            moved = (weight - start[name]).abs().max()
            difference = (results[rank]["attacked"][name] - weight).abs().max()
            assert difference < 1e-2 * moved, name
