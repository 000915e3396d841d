"""Deep Decoder against plain torch modules, picture by picture; what it sees and returns."""

import doctest
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cinv_lib.operators.basic import parse
from cinv_lib.operators.inverse import deep_decoder
from cinv_lib.operators.inverse.deep_decoder import (
    PAPER,
    DecoderRecipe,
    Decoders,
    double,
    fit,
    masked,
)
from cinv_lib.operators.inverse.nonlocal_means import psnr

SMALL = DecoderRecipe(channels=6, doublings=2, iterations=8)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def decoders(n: int, recipe: DecoderRecipe = SMALL) -> Decoders:
    """For pictures of 16 x 12, with scales and shifts that do something."""
    made = Decoders([seeded(i) for i in range(n)], 16, 12, recipe)
    nn.init.uniform_(made.scale, 0.5, 1.5, generator=seeded(1))
    nn.init.uniform_(made.shift, -1, 1, generator=seeded(2))
    return made


def plain(made: Decoders, i: int) -> nn.Sequential:
    """The network of picture i, from torch's own modules."""
    layers = []
    for layer in range(made.doublings + 1):
        k = made.mix.shape[-1]
        conv, norm = nn.Conv2d(k, k, 1, bias=False), nn.BatchNorm2d(k)
        conv.weight.data = made.mix[layer, i].detach().clone()[:, :, None, None]
        norm.weight.data = made.scale[layer, i].detach().clone()
        norm.bias.data = made.shift[layer, i].detach().clone()
        doubled = [nn.Upsample(scale_factor=2, mode="bilinear")] if layer < made.doublings else []
        layers += [conv, *doubled, nn.ReLU(), norm]
    out = nn.Conv2d(k, 3, 1, bias=False)
    out.weight.data = made.to_rgb[i].detach().clone()[:, :, None, None]
    return nn.Sequential(*layers, out, nn.Sigmoid())


# ---------------------------------------------------------------- the network


def test_doubling_is_bilinear_interpolation():
    x = torch.rand(2, 3, 5, 4, generator=seeded())
    torch.testing.assert_close(double(x), F.interpolate(x, scale_factor=2, mode="bilinear"))


def test_each_picture_has_the_plain_network_and_its_gradients():
    made = decoders(3).double()
    y = torch.rand(3, 3, 16, 12, generator=seeded(), dtype=torch.float64)
    x = made(made.z)
    (x - y).square().sum().backward()
    for i in range(3):
        network = plain(made, i).double()
        expected = network(made.z[[i]])
        torch.testing.assert_close(x[[i]], expected)
        (expected - y[[i]]).square().sum().backward()
        convs = [part for part in network if isinstance(part, nn.Conv2d)]
        norms = [part for part in network if isinstance(part, nn.BatchNorm2d)]
        for layer, norm in enumerate(norms):
            mix = convs[layer].weight.grad[:, :, 0, 0]
            torch.testing.assert_close(made.mix.grad[layer, i], mix)
            torch.testing.assert_close(made.scale.grad[layer, i], norm.weight.grad)
            torch.testing.assert_close(made.shift.grad[layer, i], norm.bias.grad)
        torch.testing.assert_close(made.to_rgb.grad[i], convs[-1].weight.grad[:, :, 0, 0])


def test_weights_are_drawn_as_those_of_torch():
    made = Decoders([seeded(0), seeded(1)], 64, 64, DecoderRecipe())
    bound = nn.Conv2d(48, 48, 1).weight.abs().max().item()
    for drawn in (made.mix, made.to_rgb):
        assert 0.9 * bound < drawn.abs().max() < 1.1 * bound
    assert made.z.shape == (2, 48, 4, 4) and made.z.min() >= 0 and 0.09 < made.z.max() <= 0.1
    assert not torch.equal(made.mix[:, 0], made.mix[:, 1])


@pytest.mark.parametrize("recipe", [SMALL, DecoderRecipe()])
def test_parameters_are_counted(recipe):
    fitted = Decoders([seeded()], 64, 64, recipe).parameters()
    assert sum(one.numel() for one in fitted) == recipe.parameters


def test_underparameterised_here_and_not_in_the_authors_code():
    assert DecoderRecipe().parameters < 3 * 64 * 64
    assert DecoderRecipe(channels=128, doublings=5).parameters == 100_224  # Heckel and Hand, 512 px
    assert PAPER.parameters > 2 * 3 * 224 * 224


# ---------------------------------------------------------------- the fit


def test_fit_is_adam_on_the_kept_pixels(pictures):
    """History against a loop that one would write for a single picture."""
    recipe = replace(SMALL, noise=0.0)
    y, keep = masked(parse("mask:0.5"), pictures, seeded())
    _, history = fit(y, keep, recipe, seeded(5), progress=False)
    seeds = torch.randint(2**62, (4,), generator=seeded(5)).tolist()
    for i, seed in enumerate(seeds):
        alone = Decoders([seeded(seed)], 16, 12, recipe)
        network = plain(alone, 0)
        optimizer = torch.optim.Adam(network.parameters(), lr=recipe.lr)
        for step in range(recipe.iterations):
            x = network(alone.z)
            loss = (x - y[[i]])[keep[[i]].expand_as(x)].square().mean()
            torch.testing.assert_close(history[step, i], loss.detach(), rtol=1e-3, atol=0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


@pytest.mark.parametrize("at_once", [1, 3, 4])
def test_together_is_one_after_the_other(pictures, at_once):
    y, keep = masked(parse("mask:0.5"), pictures, seeded())
    together, history = fit(y, keep, SMALL, seeded(5), at_once=at_once, progress=False)
    generator = seeded(5)
    for i in range(4):
        one, losses = fit(y[[i]], keep[[i]], SMALL, generator, progress=False)
        torch.testing.assert_close(together[[i]], one, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(history[:, [i]], losses, rtol=1e-3, atol=0)


def test_equal_generators_give_equal_pictures(pictures):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, history = fit(pictures, None, SMALL, seeded(), progress=False)
    again, _ = fit(pictures, None, SMALL, seeded(), progress=False)
    other, _ = fit(pictures, None, SMALL, seeded(1), progress=False)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert history.shape == (SMALL.iterations, 4) and not first.requires_grad
    assert torch.equal(before, torch.get_rng_state())


def test_the_best_iterate_of_each_picture_is_returned(pictures):
    y, keep = masked(parse("mask:0.5"), pictures, seeded())
    wild = replace(SMALL, lr=0.5, noise=0.05, iterations=12)
    made, history = fit(y, keep, wild, seeded(), progress=False)
    assert (history.argmin(dim=0) < 11).any(), "no test where the last is the best"
    loss = ((made - y).square() * keep).sum(dim=(1, 2, 3)) / (3 * keep.sum(dim=(1, 2, 3)))
    torch.testing.assert_close(loss, history.min(dim=0).values)


def test_what_is_missing_is_not_looked_at(pictures):
    keep = torch.rand(4, 1, 16, 12, generator=seeded()) > 0.5
    first, history = fit(pictures, keep, SMALL, seeded(), progress=False)
    for other in (0.0, 7.0, torch.nan):
        again, losses = fit(pictures.where(keep, other), keep, SMALL, seeded(), progress=False)
        assert torch.equal(first, again) and torch.equal(history, losses)
    changed, _ = fit(pictures.where(~keep, 0.3), keep, SMALL, seeded(), progress=False)
    assert not torch.equal(first, changed)


def test_noise_on_the_input_is_fresh_and_decays(pictures, monkeypatch):
    seen, forward = [], Decoders.forward

    def spy(self, z):
        seen.append(z - self.z)
        return forward(self, z)

    monkeypatch.setattr(Decoders, "forward", spy)
    recipe = replace(SMALL, noise=0.2, noise_decay=0.5, decay_every=2, iterations=4)
    fit(pictures.repeat(8, 1, 1, 1), None, recipe, seeded(), at_once=32, progress=False)
    for noise, expected in zip(seen, [0.2, 0.2, 0.1, 0.1], strict=True):
        assert noise.std().item() == pytest.approx(expected, rel=0.1)
    assert (seen[0] / 0.2 - seen[1] / 0.2).std() > 1, "the same noise twice"
    assert (seen[0][0] - seen[0][1]).std() > 0.2, "the same noise for two pictures"


def test_bf16_is_near(pictures):
    y, keep = masked(parse("mask:0.5"), pictures, seeded())
    exact, _ = fit(y, keep, SMALL, seeded(), progress=False)
    rough, _ = fit(y, keep, SMALL, seeded(), precision="bf16", progress=False)
    assert rough.dtype == torch.float32
    assert 0 < (exact - rough).abs().mean() < 0.02
    with torch.autocast("cpu", torch.bfloat16):  # a reader's own, in which copies of weights stay
        within, _ = fit(y, keep, SMALL, seeded(), precision="bf16", progress=False)
        still_exact, _ = fit(y, keep, SMALL, seeded(), progress=False)
    assert torch.equal(within, rough) and torch.equal(still_exact, exact)


@pytest.fixture(scope="module")
def smooth():
    """Two pictures (2, 3, 32, 32) of slow waves."""
    row, column = torch.meshgrid(*[torch.arange(32) / 32] * 2, indexing="ij")
    phase = torch.arange(6).view(2, 3, 1, 1)
    return 0.5 + 0.4 * torch.sin(4 * row + phase) * torch.cos(3 * column + phase)


def test_holes_are_filled(smooth):
    """In pixels that it never saw, better than the mean colour of those it saw."""
    y, keep = masked(parse("mask:0.75"), smooth, seeded())
    recipe = DecoderRecipe(channels=12, doublings=3, iterations=150)
    made, _ = fit(y, keep, recipe, seeded(), progress=False)
    assert (psnr(made, smooth) > 22).all() and (psnr(y, smooth) < 10).all()
    seen = y.sum(dim=(2, 3), keepdim=True) / keep.sum(dim=(2, 3), keepdim=True)
    error = ((made - smooth).square() * ~keep).sum()
    assert error < 0.2 * ((seen - smooth).square() * ~keep).sum()


def test_it_holds_a_picture_and_not_noise(smooth):
    recipe = DecoderRecipe(channels=12, doublings=3, iterations=100)
    shuffled = smooth.flatten(2)[..., torch.randperm(32 * 32, generator=seeded())].view_as(smooth)
    both = torch.cat([smooth, shuffled])
    _, history = fit(both, None, recipe, seeded(), progress=False)
    picture, noise = (history.min(dim=0).values / both.var(dim=(2, 3)).mean(dim=1)).split(2)
    assert (picture < 0.1).all() and (noise > 0.6).all()


# ---------------------------------------------------------------- the mask


def test_the_mask_is_the_one_applied(pictures):
    op = parse("mask:0.5..0.95")
    pictures[:, :, :8] = 0  # black of their own: the picture does not give the mask away
    y, keep = masked(op, pictures, seeded(3))
    assert torch.equal(y, op(pictures, seeded(3)))
    white = op(torch.ones_like(pictures), seeded(3))
    assert torch.equal(keep.expand_as(white), white == 1)


def test_only_masks_have_a_mask(pictures):
    with pytest.raises(ValueError, match=r"noise:0\.3 has no mask"):
        masked(parse("noise:0.3"), pictures, seeded())


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("name", "value"),
    [("channels", 0), ("doublings", 0), ("iterations", 0), ("lr", 0.0), ("lr", float("inf")),
     ("noise", -1.0), ("noise_decay", 0.0), ("noise_decay", 1.5), ("decay_every", 0)],
)  # fmt: skip
def test_bad_recipes_are_named(name, value):
    with pytest.raises(ValueError, match=rf"DecoderRecipe\.{name} is {value}"):
        DecoderRecipe(**{name: value})


def test_bad_input_is_named(pictures):
    keep = torch.ones(4, 1, 16, 12, dtype=torch.bool)

    def fails(match, y=pictures, keep=keep, recipe=SMALL, **arguments):
        with pytest.raises(ValueError, match=match):
            fit(y, keep, recipe, seeded(), **arguments)

    fails(r"with a mask \(3, 1, 16, 12\)", keep=keep[:3])
    fails(r"of torch.float32; expected", keep=keep.float())
    fails("at least one picture", y=pictures[:0], keep=keep[:0])
    fails("multiples of 8", recipe=replace(SMALL, doublings=3))
    fails(r"pictures \[2\] have no pixel", keep=keep & (torch.arange(4) != 2).view(4, 1, 1, 1))
    fails("NaN or infinite", y=pictures / 0)
    fails("at_once 0", at_once=0)
    fails("precision 'fp8'", precision="fp8")


def test_examples():
    result = doctest.testmod(deep_decoder)
    assert result.attempted and not result.failed
