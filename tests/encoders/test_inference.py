"""Folded networks compute what they computed before, and afterwards are what they were."""

import copy

import pytest
import torch
from open_clip import modified_resnet
from torch import nn
from torchvision.models import resnet18, resnet50

from cinv_lib import encoders
from cinv_lib.encoders import inference
from cinv_lib.encoders.inference import device_of, looking


def clip_tower():
    tower = modified_resnet.ModifiedResNet([1, 2, 1, 1], 32, 4, image_size=32, width=8)
    for part in tower.modules():
        if isinstance(part, nn.BatchNorm2d):  # open_clip starts the last of a block at zero
            nn.init.uniform_(part.weight, 0.5, 1.5)
    return tower


TOWERS = {
    "clip": clip_tower,
    "resnet18": lambda: resnet18(num_classes=7),
    "resnet50": lambda: resnet50(num_classes=7, width_per_group=16),
}


@pytest.fixture(params=TOWERS)
def tower(request):
    """One of the towers, in train mode, with batch norms that are not the identity."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tower = TOWERS[request.param]()
        for part in tower.modules():
            if isinstance(part, nn.BatchNorm2d):
                nn.init.normal_(part.running_mean, 0, 0.3)
                nn.init.uniform_(part.running_var, 0.5, 1.5)
                nn.init.normal_(part.bias, 0, 0.3)
    return tower.train()


def pictures(n=3, side=32):
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1))


def norms(module):
    return sum(isinstance(part, nn.BatchNorm2d) for part in module.modules())


@torch.no_grad()
def test_folded_is_the_same_function(tower):
    tower, x = tower.double(), pictures().double()  # float32 rounds otherwise on another CPU
    expected = copy.deepcopy(tower).eval()(x)
    with looking([tower]):
        assert norms(tower) == 0
        torch.testing.assert_close(tower(x), expected, rtol=1e-4, atol=1e-5)


def test_afterwards_everything_is_as_it_was(tower):
    tower.layer1.eval()  # a part that the reader had frozen
    parts = list(tower.named_modules())
    modes = [part.training for _, part in parts]
    state = {key: value.clone() for key, value in tower.state_dict().items()}
    for action in (lambda: tower(pictures()), lambda: 1 / 0):
        try:
            with looking([tower, tower, nn.Sequential(tower)]):  # the same tower three times over
                action()
        except ZeroDivisionError:
            pass
        after = list(tower.named_modules())
        assert [name for name, _ in after] == [name for name, _ in parts]
        assert all(new is old for (_, new), (_, old) in zip(after, parts, strict=True))
        assert [part.training for _, part in after] == modes
        assert all(torch.equal(value, state[key]) for key, value in tower.state_dict().items())


class Normed(nn.Module):
    """bn1 *before* conv1: the names alone would mislead."""

    def __init__(self):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)
        nn.init.normal_(self.bn1.running_mean)

    def forward(self, x):
        return self.conv1(self.bn1(x).relu())


@torch.no_grad()
def test_other_classes_are_put_in_eval_mode_and_left_alone():
    module = Normed().train()
    expected = copy.deepcopy(module).eval()(pictures())
    with looking([module, len]):
        assert not module.bn1.training and norms(module) == 1
        assert torch.equal(module(pictures()), expected)
    assert module.training


@torch.no_grad()
def test_norms_without_running_statistics_and_hooked_ones_are_left_alone():
    tower = resnet18(num_classes=7, norm_layer=lambda n: nn.BatchNorm2d(n, track_running_stats=0))
    with looking([tower]):
        assert norms(tower) == 20
    seen = []
    tower = resnet18(num_classes=7)
    tower.conv1.register_forward_hook(lambda *_: seen.append("conv1"))
    tower.layer1[0].bn2.register_forward_pre_hook(lambda *_: seen.append("bn2"))
    with looking([tower]):
        tower(pictures())
        assert norms(tower) == 2
    assert seen == ["conv1", "bn2"]


@torch.no_grad()
@pytest.mark.parametrize("name", ["stickers-clip", "stickers-supervised"])
def test_our_encoders_have_nothing_left_to_fold(name):
    encoder = encoders.fresh(name, seed=0)
    expected = encoder(pictures(side=64))
    with looking([encoder]):
        assert norms(encoder) == 0
        torch.testing.assert_close(encoder(pictures(side=64)), expected, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_a_folded_copy_only_looks_for_good(tower):
    x, before = pictures(), norms(tower)
    expected = copy.deepcopy(tower).eval()(x)
    made = inference.folded(tower)
    assert norms(made) == 0 and norms(tower) == before > 0 and tower.training
    assert not any(part.training for part in made.modules())
    assert not any(p.requires_grad for p in made.parameters())
    assert (made(x) - expected).norm() < 1e-4 * expected.norm()
    hooked = resnet18(num_classes=7).eval()
    hooked.bn1.register_forward_hook(lambda *_: None)
    assert norms(inference.folded(hooked)) == 1, "somebody listens to it"


def test_device_of():
    assert device_of([len, nn.Identity(), nn.Linear(1, 1, device="meta")]).type == "meta"
    assert device_of([nn.BatchNorm1d(2, affine=False, device="meta")]).type == "meta"
    assert device_of([len, nn.Identity()]) == torch.device("cpu")


@pytest.mark.parametrize(("precision", "rounded"), [("fp32", False), ("auto", True)])
def test_float32_is_not_rounded_while_encoders_look_and_only_then(precision, rounded):
    seen = []

    def encoder(x):
        seen.append(torch.backends.cudnn.allow_tf32)
        return x.flatten(1)

    batches = ((torch.rand(2, 3, 4, 4),) for _ in range(2))
    assert torch.backends.cudnn.allow_tf32, "torch's own default"
    for _ in inference.forward([encoder], batches, torch.device("cpu"), precision):
        assert torch.backends.cudnn.allow_tf32, "the caller's own work is as it was"
    assert seen == [rounded, rounded]


def test_within_a_reader_s_own_autocast_new_weights_are_seen():
    """There PyTorch keeps bfloat16 copies of weights until the reader's block ends."""
    encoder, cpu = nn.Sequential(nn.Flatten(), nn.Linear(12, 4)), torch.device("cpu")
    x = torch.rand(2, 3, 2, 2, generator=torch.Generator().manual_seed(0))

    def embeddings():
        (((found,),),) = [*inference.forward([encoder], [(x,)], cpu, "bf16")]
        return found

    with torch.autocast("cpu", torch.bfloat16):
        embeddings()
        with torch.no_grad():
            encoder[1].weight.mul_(2.0)
        within = embeddings()
    assert torch.equal(within, embeddings())
