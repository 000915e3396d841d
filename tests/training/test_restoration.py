"""The U-Net that restores: what it starts as, what it costs, and what it learns, against the best
that can be known."""

import math

import processes
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cinv_lib import operators
from cinv_lib.data.image_set import ImageSet
from cinv_lib.operators.functional import known
from cinv_lib.operators.inverse.interpolation import interpolated
from cinv_lib.training import history, restoration
from cinv_lib.training.recipe import Recipe
from cinv_lib.training.restoration import UNet, restore

MASK, BLUR = map(operators.parse, ("mask:0.5", "blur:1"))


def recipe(**changes):
    return Recipe(**{"epochs": 2, "batch_size": 16, "lr": 1e-3, "precision": "fp32"} | changes)


def awake(masks: bool, seed: int = 0) -> UNet:
    """A U-Net whose layers are all random, none of them 0."""
    unet, generator = UNet(masks, 1.0, seed), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in unet.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, generator=generator)
                layer.bias.normal_(generator=generator)
    return unet


def of(x: torch.Tensor) -> ImageSet:
    """Pictures in [0,1] as a set."""
    labels = torch.zeros(len(x), dtype=torch.int64)
    return ImageSet((255 * x).round().to(torch.uint8), labels, ("one",), "test", "random")


def error(a, b) -> float:
    return (a - b).square().mean().item()


# -- what it is -----------------------------------------------------------------------------------


@pytest.mark.parametrize("masks", [True, False])
def test_a_picture_of_64_px_takes_at_most_60_million_multiplications(masks):
    unet, found = UNet(masks, 1.0, 0), []

    def counted(layer, _, y):
        found.append(layer.weight[0].numel() * y[0].numel())

    for layer in unet.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(counted)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        unet(torch.rand(1, 3, 64, 64))
    of_the_mean = 2 * 4 * 64**3  # two products of the mask's and three of the pictures' channels
    assert counter.get_total_flops() / 2 == sum(found) + of_the_mean
    assert 50e6 < sum(found) + of_the_mean <= 60e6


@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 40), (224, 224)])
@pytest.mark.parametrize("masks", [True, False])
def test_any_sides_that_are_multiples_of_8(height, width, masks):
    x = torch.rand(2, 3, height, width)
    with torch.no_grad():
        assert awake(masks)(x).shape == x.shape


@pytest.mark.parametrize(("height", "width"), [(60, 64), (64, 12), (0, 8)])
def test_other_sides_are_refused(height, width):
    with pytest.raises(ValueError, match=rf"pictures of {height} x {width} px; .* multiples of 8"):
        UNet(False, 1.0, 0)(torch.rand(1, 3, height, width))


def test_untrained_it_is_the_gaussian_mean_and_puts_known_pixels_back(generator):
    x = torch.rand(3, 3, 16, 24, generator=generator)
    y, every = MASK(x, generator), torch.ones(3, 1, 16, 24, dtype=torch.bool)
    with torch.no_grad():
        mean = interpolated(y, known(y), 1.4)
        assert torch.allclose(UNet(True, 1.4, 0)(y), y.where(known(y), mean), atol=1e-6)
        assert torch.allclose(UNet(False, 1.4, 0)(y), interpolated(y, every, 1.4), atol=1e-6)


def test_what_a_mask_has_left_stays_and_holes_are_filled(generator):
    """Black pixels are holes, kept or not; without masks nothing is."""
    y = MASK(torch.rand(3, 3, 16, 16, generator=generator), generator)
    with torch.no_grad():
        seen, blind = awake(True)(y), awake(False)(y)
    keep = known(y).expand_as(y)
    assert torch.equal(seen[keep], y[keep]) and (seen[~keep] != 0).all()
    assert (blind != y).all()


def test_a_picture_does_not_depend_on_those_beside_it(generator):
    y = MASK(torch.rand(4, 3, 16, 16, generator=generator), generator)
    with torch.no_grad():
        # in float64, as float32 rounds otherwise on another CPU
        together, alone = (awake(True).double()(part.double()) for part in (y, y[2:3]))
    torch.testing.assert_close(together[2:3], alone)


def test_weights_follow_from_the_seed_alone():
    state = torch.get_rng_state()
    one, same, other = (UNet(True, 1.0, seed) for seed in (0, 0, 1))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(one.enter.weight, same.enter.weight)
    assert not torch.equal(one.enter.weight, other.enter.weight)
    first = one.encode[1].first.weight  # He et al.: a variance of 2 over the inputs of a sum
    assert first.std().item() == pytest.approx(math.sqrt(2 / (48 * 9)), rel=0.02)
    assert one.enter.weight.std().item() == pytest.approx(math.sqrt(1 / (28 * 9)), rel=0.02)


@pytest.mark.parametrize("masks", [True, False])
def test_gradients_are_those_of_finite_differences(masks, generator):
    unet, y = awake(masks).double(), torch.rand(2, 3, 8, 8, generator=generator).double()
    y = y * (torch.rand(2, 1, 8, 8, generator=generator) < 0.5) if masks else y
    unet(y).square().sum().backward()
    for name, weight in unet.named_parameters():
        step = torch.randn(weight.shape, generator=generator).double() * 1e-8
        with torch.no_grad():
            ends = []
            for sign in (1, -2):
                weight += sign * step
                ends.append(unet(y).square().sum())
            weight += step
        change = (weight.grad * step).sum().item() * 2
        assert change == pytest.approx((ends[0] - ends[1]).item(), rel=1e-3), name
        assert change != 0, name


@pytest.mark.parametrize("masks", [True, False])
def test_its_state_is_enough_to_make_it_again(masks, generator):
    unet, y = awake(masks), torch.rand(2, 3, 16, 16, generator=generator)
    unet.width.fill_(0.7)
    with torch.no_grad():
        assert torch.equal(UNet.from_state(unet.state_dict())(y), unet(y))


# -- what it learns -------------------------------------------------------------------------------


def test_the_first_loss_by_hand():
    pictures = processes.small_pictures()
    _, table = restore(pictures, BLUR, recipe(epochs=1, batch_size=48), 0, 1.0, progress=False)
    x = pictures.images.float() / 255
    y = BLUR(x)
    expected = error(interpolated(y, torch.ones_like(y[:, :1], dtype=torch.bool), 1.0), x)
    assert len(table) == 1 and table.loss[0] == pytest.approx(expected, rel=1e-4)


def test_every_layer_learns():
    unet, _ = restore(processes.small_pictures(), MASK, recipe(), 3, 1.0, progress=False)
    start = UNet(True, 1.0, 3).state_dict()
    assert not unet.training
    for name, value in unet.cpu().state_dict().items():
        assert torch.equal(value, start[name]) == (name == "width"), name


def test_noise_is_removed_nearly_as_well_as_can_be(generator):
    """Pictures of one colour: nothing unbiased is nearer to it than the mean of all pixels, and a
    Gaussian mean sees a dozen of them."""
    noise = operators.parse("noise:0.5")
    x, new = torch.rand(2, 256, 3, 1, 1, generator=generator).expand(2, 256, 3, 16, 16)
    unet, _ = restore(of(x), noise, recipe(epochs=24, lr=3e-3), 0, 1.0, progress=False)
    y = noise(new, generator)
    best = error(y.mean(dim=(2, 3), keepdim=True), new)
    with torch.no_grad():
        found, before = (error(net(y), new) for net in (unet.cpu(), UNet(False, 1.0, 0)))
    assert best < found < 0.15 * before and best < 0.05 * before


def test_holes_are_filled_from_what_pictures_have_in_common(generator):
    """Chequered pictures of two colours that add up to white: any pixel tells all others, and a
    Gaussian mean sees grey."""
    colours = torch.rand(2, 256, 3, 1, 1, generator=generator)
    odd = (torch.arange(16)[:, None] + torch.arange(16)) % 2 == 1
    x, new = torch.where(odd, colours, 1 - colours)
    unet, table = restore(of(x), MASK, recipe(epochs=12, batch_size=32), 0, 2.0, progress=False)
    y = MASK(new, generator)
    with torch.no_grad():
        found, before = (error(net(y), new) for net in (unet.cpu(), UNet(True, 2.0, 0)))
    assert found < 0.1 * before
    assert table.loss.iloc[-8:].mean() < 0.1 * table.loss[0]


# -- resumed, refused -----------------------------------------------------------------------------


def test_a_training_that_was_stopped_ends_with_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(history, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(history, "SAVE_SHARE", math.inf)
    pictures, path, steps = processes.small_pictures(), tmp_path / "c.pt", []

    def trained(checkpoint=None, op=MASK, width=1.0):
        how = recipe(flip=True)
        return restore(pictures, op, how, 0, width, checkpoint, progress=False)

    whole, table = trained()
    real = restoration.F.mse_loss

    def stopping(*arguments):
        steps.append(1)
        if len(steps) == 5:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(restoration.F, "mse_loss", stopping)
    with pytest.raises(KeyboardInterrupt):
        trained(path)
    again, resumed = trained(path)
    assert len(steps) == 7 and len(table) == 6  # the fifth twice
    assert resumed.loss.tolist() == table.loss.tolist()
    torch.testing.assert_close(again.state_dict(), whole.state_dict(), atol=0, rtol=0)
    with pytest.raises(ValueError, match=r"operator is mask:0\.5 there and blur:1 here"):
        trained(path, op=BLUR)
    with pytest.raises(ValueError, match=r"width is 1\.0 there and 2\.0 here"):
        trained(path, width=2.0)


@pytest.mark.parametrize("width", [0.0, -1.0, math.inf, math.nan])
def test_a_width_that_is_none_is_refused(width):
    with pytest.raises(ValueError, match=f"width {width}: expected pixels above 0"):
        restore(processes.small_pictures(), MASK, recipe(), 0, width, progress=False)
