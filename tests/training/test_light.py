"""Light steps against plain ones: the same training, and what it keeps."""

import copy
import math

import processes
import pytest
import torch
from open_clip.modified_resnet import ModifiedResNet
from torch import nn
from torch._subclasses import FakeTensorMode
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.models.vision_transformer import VisionTransformer

from cinv_lib import encoders, losses, operators, training
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.training import light
from cinv_lib.training.recipe import Recipe

CPU = torch.device("cpu")
MASK, ST = operators.parse("mask:0.5"), losses.parse("st:0.1")


def recipe(**changes):
    return Recipe(**{"epochs": 2, "batch_size": 8, "lr": 0.01, "precision": "fp32"} | changes)


def rn() -> nn.Module:
    """An RN101 of CLIP in small: blocks after blocks in each stage."""
    return ModifiedResNet([2, 1, 3, 2], output_dim=8, heads=2, image_size=64, width=8)


def resnet() -> nn.Module:
    return ResNet(Bottleneck, [2, 1, 2, 1], num_classes=8, width_per_group=16)


def transformer() -> nn.Module:
    """With dropout: what is drawn at random has to be drawn the same the second time."""
    return VisionTransformer(64, 16, 3, 2, 32, 64, dropout=0.3, attention_dropout=0.2)


MADE = {"rn": rn, "resnet": resnet, "vit": transformer}
TOWERS = ("stickers-clip", "stickers-clip-vit", "stickers-supervised", *MADE)


def encoder(name: str) -> Encoder:
    if name not in MADE:
        return encoders.load(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tower = MADE[name]()
        for part in tower.modules():  # those of CLIP begin with blocks that do nothing
            if isinstance(part, nn.BatchNorm2d):
                nn.init.uniform_(part.weight, 0.5, 1.5)
    return Encoder.wrap(tower, image_size=64)


def stepped(start: Encoder, on: bool, precision: str, steps: int = 2) -> dict[str, torch.Tensor]:
    """Gradients and buffers after some forward and backward passes."""
    student = encoders.student_of(start).train()
    torch.manual_seed(1)
    draw = torch.Generator().manual_seed(2)
    bf16 = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")
    with light.lighter(student, light=on, recipe=recipe(), device=CPU) as taken:
        assert taken == on
        for _ in range(steps):
            with bf16:
                made = student(torch.rand(8, 3, 64, 64, generator=draw))
            made.float().square().mean().backward()
    gradients = {name: p.grad for name, p in student.tower.named_parameters()}
    return gradients | dict(student.tower.named_buffers())


def differing(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> list[str]:
    assert a.keys() == b.keys()
    return [name for name in a if not torch.equal(a[name], b[name])]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", TOWERS)
def test_gradients_statistics_and_counts_are_those_of_the_plain_step(name, precision):
    start = encoder(name)
    plain = stepped(start, False, precision)
    assert differing(plain, stepped(start, True, precision)) == []
    counts = [value for key, value in plain.items() if key.endswith("num_batches_tracked")]
    before = {k: v for k, v in start.tower.state_dict().items() if k.endswith("batches_tracked")}
    assert [int(n) for n in counts] == [int(n) + 2 for n in before.values()]
    assert len(counts) > 5 or "vit" in name


def test_statistics_are_updated_once(monkeypatch):
    """What the comparison above is for: without care each pass would count a batch twice."""
    start = encoder("rn")
    plain, once = (stepped(start, on, "fp32") for on in (False, True))
    monkeypatch.setattr(light, "_buffers", lambda module: {})
    twice = stepped(start, True, "fp32")
    assert differing(plain, once) == []
    wrong = differing(plain, twice)
    assert "layer1.0.bn1.running_mean" in wrong and "layer4.1.bn3.num_batches_tracked" in wrong
    assert not any(name.endswith("weight") for name in wrong)  # gradients hide it
    assert int(twice["layer1.0.bn1.num_batches_tracked"]) == 4


@pytest.mark.parametrize("name", TOWERS)
def test_it_keeps_at_most_half(name):
    student = encoders.student_of(encoder(name))
    plain = light.per_picture(student, "fp32", CPU)
    with light.lighter(student, light=True, recipe=recipe(), device=CPU):
        assert light.per_picture(student, "fp32", CPU) <= plain / 2
    assert light.per_picture(student, "fp32", CPU) == plain


@pytest.mark.parametrize("name", light.MEGABYTES)
def test_what_the_doctor_expects_is_what_is_kept(name, monkeypatch):
    """With sizes alone and no arithmetic, which takes minutes where a CPU has no bfloat16."""
    student = encoders.student_of(encoders.fresh(name, seed=0))
    assert student.image_size == 224
    monkeypatch.setattr(light, "deepcopy", lambda tower: tower)  # nothing is written into it
    for k, megabytes in enumerate(light.MEGABYTES[name]):
        with (
            light.lighter(student, light=bool(k), recipe=recipe(), device=CPU),
            FakeTensorMode(allow_non_fake_inputs=True),
        ):
            found = light.per_picture(student, "bf16", CPU)
        assert found / 1e6 == pytest.approx(megabytes, rel=0.02)


def test_a_tower_is_left_as_it_was_and_its_own_forward_stays():
    student = encoders.student_of(encoder("rn"))
    first, *_ = light.blocks(student.tower)
    first.forward = own = first.forward  # as other libraries set one
    before = {name: value.clone() for name, value in student.state_dict().items()}
    with (
        pytest.raises(ZeroDivisionError),
        light.lighter(student, light=True, recipe=recipe(), device=CPU),
    ):
        assert all("forward" in vars(block) for block in light.blocks(student.tower))
        1 / 0  # noqa: B018
    assert vars(first).pop("forward") is own
    assert not any("forward" in vars(part) for part in student.modules())
    light.per_picture(student, "fp32", CPU)
    assert differing(before, student.state_dict()) == []
    assert not student.training


# -- trainings ---------------------------------------------------------------------------------
def wide(image_set):
    return image_set.subset(torch.arange(8))


def test_a_training_is_the_same_and_has_the_same_checkpoint(image_set, tmp_path, monkeypatch):
    """Begun plain and resumed light, as when another program has taken the GPU's memory."""
    teacher, pictures, path = encoder("rn"), wide(image_set), tmp_path / "c.pt"
    ran = []
    monkeypatch.setattr(
        light,
        "checkpoint",
        lambda f, *a, real=light.checkpoint, **k: (ran.append(1), real(f, *a, **k))[1],
    )

    def train(light, checkpoint=None):
        return training.distill(
            teacher, pictures, MASK, ST, recipe(batch_size=4), 0, checkpoint, False, light
        )

    plain, history = train(False, path)
    assert not ran
    lighter, same = train(True)
    assert len(ran) == 4 * 8
    assert differing(plain.state_dict(), lighter.state_dict()) == []
    assert history.loss.equals(same.loss)
    again, resumed = train(True, path)  # nothing is left to train
    assert len(ran) == 4 * 8
    assert differing(plain.state_dict(), again.state_dict()) == []
    assert resumed.equals(history)


def test_the_baseline_and_a_tuned_teacher_too(image_set):
    start, pictures = encoder("rn"), wide(image_set)
    baselines = [
        training.finetune(start, pictures, MASK, recipe(), 0, progress=False, light=on)[0]
        for on in (False, True)
    ]
    assert differing(*(one.state_dict() for one in baselines)) == []
    tuned = [
        training.tuned_teacher.tune(
            start, pictures, MASK, ST, recipe(), 0, 0.1, 1.0, progress=False, light=on
        )
        for on in (False, True)
    ]
    for one, other in zip(tuned[0][:2], tuned[1][:2], strict=True):
        assert differing(one.state_dict(), other.state_dict()) == []


def test_two_processes_too(tmp_path):
    """Under DistributedDataParallel, which hands gradients on while blocks are computed again."""
    assert processes.run(processes.light_and_plain, tmp_path, ranks=2) == [0, 0]
    for rank in ("0", "1"):
        plain, lighter, kept = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert differing(plain, lighter) == []
        assert kept > 0


# -- the decision ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("card", "pictures", "plain"),
    [(23.5e9, 256, False), (39e9, 256, True), (23.5e9, 128, True), (0, 1, False)],
)
def test_does_a_plain_step_fit(card, pictures, plain):
    """RN101 keeps 70 MB of a picture."""
    assert light.fits(70e6, pictures, card) == plain


def test_it_is_taken_where_memory_is_short_and_said_in_one_line(monkeypatch, capsys):
    student = encoders.student_of(encoder("rn"))
    picture = light.per_picture(student, "fp32", CPU)

    def taken(free, *more):
        monkeypatch.setattr(light, "free", lambda device: free)
        with light.lighter(student, *more, light=None, recipe=recipe(), device=CPU) as on:
            return on

    enough = math.ceil(8 * picture * light.MARGIN)
    assert not taken(None) and not taken(enough)
    assert capsys.readouterr().err == ""
    assert taken(enough - 1)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "8 pictures at once keep" in said and "twice" in said
    assert taken(enough, student), "two that learn together keep twice as much"


def test_a_cpu_is_not_asked_and_towers_without_blocks_neither(monkeypatch):
    assert light.free(CPU) is None
    small = encoders.student_of(processes.small_encoder())
    monkeypatch.setattr(light, "free", lambda device: 1)
    with light.lighter(small, light=None, recipe=recipe(), device=CPU) as on:
        assert not on
    with (
        pytest.raises(ValueError, match=r"small has no residual blocks.*Bottleneck.*leave out"),
        light.lighter(small, light=True, recipe=recipe(), device=CPU),
    ):
        pass


def test_what_is_kept_is_counted_once_and_in_its_own_precision():
    layers = nn.Sequential(nn.Linear(10, 20, bias=False), nn.Sigmoid(), nn.Sigmoid())
    x = torch.rand(6, 10)
    weight, shown, made = 200, 60, 120  # each sigmoid keeps what it gives
    assert light.kept(layers, x) == 4 * (shown + 2 * made)
    assert light.kept(copy.deepcopy(layers), x.requires_grad_()) == 4 * (shown + 2 * made + weight)
