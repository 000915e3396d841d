"""Operators of physics: with a plain object in place of deepinv's, and with deepinv where it is."""

import importlib.util
import warnings

import pytest
import torch
from torch import nn

from cinv_lib.operators import base
from cinv_lib.operators.base import Operator
from cinv_lib.operators.basic import Mixture, RandomMask, parse
from cinv_lib.operators.classical import SuperResolution

deepinv = pytest.mark.skipif(
    importlib.util.find_spec("deepinv") is None,
    reason="deepinv is not installed: uv pip install deepinv, and run this file again",
)


@pytest.fixture
def two():
    return torch.rand(2, 3, 64, 64, generator=seeded(9))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Halved(nn.Module):
    """Every second row, and noise: used as deepinv's physics are. `rng` is one of its generators,
    and half of the noise comes from torch's own."""

    def __init__(self, sigma: float = 0.1, rows: int = 64, factor: float = 1.0):
        super().__init__()
        self.register_buffer("sigma", torch.tensor(sigma))
        self.rng, self.rows, self.factor, self.seen = seeded(4), rows, factor, []

    def forward(self, x, sigma=None):
        assert not torch.is_grad_enabled() and x.dtype == torch.float32
        assert x.shape[2] == self.rows, f"pictures of {self.rows} rows only"
        sigma = self.sigma if sigma is None else sigma
        self.seen.append(sigma)
        y = self.factor * x[:, :, ::2]
        noise = torch.empty_like(y).normal_(generator=self.rng) + torch.randn_like(y)
        return y + sigma.view(-1, 1, 1, 1) * noise

    def A_adjoint(self, y, sigma=None):
        x = torch.zeros(*y.shape[:2], self.rows, y.shape[3], dtype=y.dtype)
        x[:, :, ::2] = self.factor * y
        return x

    def A_dagger(self, y, sigma=None):
        return self.A_adjoint(y) / self.factor**2


def test_a_severity_is_handed_over_as_a_keyword_a_number_a_picture(two):
    physics = Halved()
    op = Operator.of_physics(physics, severity="sigma")
    assert op.severity == 1 and str(op) == "physics_halved:1" and op.is_random
    assert parse("physics_halved:0.1..0.3") == op.at((0.1, 0.3)) != op
    severities = torch.tensor([0.5, 2.0], dtype=torch.float64)
    y = op.at((0, 3)).apply(two, severities, seeded())
    (given,) = type(op).physics.seen[-1:]
    assert given.tolist() == [0.5, 2.0] and given.dtype == torch.float32
    assert (y[:, :, 1::2] == 0).all()
    spread = (y - two)[:, :, ::2].std(dim=(1, 2, 3)) / 2**0.5
    torch.testing.assert_close(spread, torch.tensor([0.5, 2.0]), rtol=0.05, atol=0)
    assert physics.seen == []  # the reader's own is left alone: a clone measures


def test_equal_generators_give_equal_corruptions_and_the_next_draw_differs(two):
    op = Operator.of_physics(Halved(), severity="sigma").at((0.1, 0.3))
    generator, outside = seeded(), torch.random.get_rng_state()
    first, second = op(two, generator), op(two, generator)
    assert torch.equal(first, op(two, seeded())) and not torch.equal(first, second)
    assert torch.equal(outside, torch.random.get_rng_state())
    type(op).physics.rng = None  # as noise that knows torch's own generator only
    first, second = op(two, generator := seeded()), op(two, generator)
    torch.rand(3)
    assert torch.equal(first, op(two, seeded())) and not torch.equal(first, second)
    torch.manual_seed(5)
    without = op(two)
    assert not torch.equal(without, op(two))
    torch.manual_seed(5)
    assert torch.equal(without, op(two))


def test_pictures_of_severity_0_are_left_as_they_are(two):
    op = Operator.of_physics(Halved(), severity="sigma").at((0, 1))
    y = op.apply(two, torch.tensor([0.0, 0.3], dtype=torch.float64), seeded())
    assert torch.equal(y[0], two[0]) and (y[1, :, 1::2] == 0).all()
    assert torch.equal(op.at(0)(two), two) and not op.at(0).is_random
    mixture = Mixture((op.at(0.2), RandomMask(0.5)), (0.5, 1.0))
    assert mixture(two, seeded()).shape == two.shape


def test_without_a_severity_there_is_one_strength(two):
    op = Operator.of_physics(Halved(sigma=0.0), name="rows")
    assert str(op) == "rows:1" and parse("rows:1") == op
    assert not op.is_random  # tried with two seeds
    assert torch.equal(op(two)[:, :, ::2], two[:, :, ::2])
    with pytest.raises(ValueError, match=r"severity of rows is 0\.5; expected 1 to 1"):
        op.at(0.5)
    assert op(two.double()).dtype == torch.float64


def test_make_returns_the_keywords(two):
    asked = []

    def make(severities, seed):
        asked.append((severities.tolist(), seed))
        return {"sigma": severities**2}

    op = Operator.of_physics(Halved(), make=make).at(0.5)
    asked.clear()
    op(two, seeded()), op(two, seeded()), op(two, seeded(1))
    assert type(op).physics.seen[-1].tolist() == [0.25, 0.25]
    assert asked[-2] == asked[-3] != asked[-1] and asked[-1][0] == [0.5, 0.5]
    with pytest.raises(ValueError, match=r"severity is 'sigma' and make is given too; expected on"):
        Operator.of_physics(Halved(), severity="sigma", make=make)


def test_the_way_back(two):
    physics = Halved(sigma=0.0, factor=0.25)
    dagger = Operator.of_physics(physics)(two)
    torch.testing.assert_close(dagger[:, :, ::2], two[:, :, ::2])
    adjoint = Operator.of_physics(physics, back="adjoint")(two)
    torch.testing.assert_close(adjoint, dagger / 16)
    brighter = Operator.of_physics(physics, back=lambda y, A: 100 * A.A_dagger(y))(two)
    torch.testing.assert_close(brighter, 100 * dagger)  # not refused as grey levels
    with pytest.raises(ValueError, match=r"back is 'inverse'; expected 'dagger', 'adjoint'"):
        Operator.of_physics(physics, back="inverse")

    class Only(nn.Module):
        def forward(self, x):
            return x

    with pytest.raises(ValueError, match=r"Only has no A_dagger; expected `back`, a function of y"):
        Operator.of_physics(Only())


@pytest.mark.parametrize(("back", "says"), [
    (lambda y, A: y, r"what comes back is torch\.float32 of shape \(2, 3, 32, 64\); expected real"),
    (lambda y, A: A.A_dagger(y) + 0j, r"is torch\.complex64 of shape .*: give `back`, a function"),
    (lambda y, A: A.A_dagger(y) / 0, r"returns (nan|-?inf) in \d+ of 24576 numbers; expected fini"),
    (lambda y, A: [y], "what comes back is list; expected real numbers of shape"),
])  # fmt: skip
def test_what_cannot_be_shown_is_refused_when_it_is_made(back, says):
    before = dict(base.OPERATORS)
    with pytest.raises(ValueError, match=r"Halved was tried on two pictures of shape .*" + says):
        Operator.of_physics(Halved(), back=back)
    assert before == base.OPERATORS  # nothing half-made is known


def test_pictures_of_the_size_that_it_was_made_for():
    with pytest.raises(
        ValueError, match=r"(?s)does not fit: pictures of 32 rows only.*`size` is for"
    ):
        Operator.of_physics(Halved(rows=32))
    small = Operator.of_physics(Halved(rows=32), size=(32, 20))
    assert small(torch.rand(1, 3, 32, 20)).shape == (1, 3, 32, 20)
    physics = Halved(rows=32)
    physics.img_size = (3, 32, 24)
    op = Operator.of_physics(physics)
    assert op.size == (32, 24) and len(base.described(op)) == 2


def test_it_is_described_by_what_it_does():
    """Else a lab would hand out the students of the physics before."""
    first = base.described(Operator.of_physics(Halved(), severity="sigma"))
    again = base.described(Operator.of_physics(Halved(0.7), severity="sigma"))
    other = base.described(Operator.of_physics(Halved(factor=0.9), severity="sigma"))
    assert first[0] == "physics_halved:1" and first == again != other
    reserved = {"name": "jpeg"}
    with pytest.raises(ValueError, match="name 'jpeg', which is an operator of the library"):
        Operator.of_physics(Halved(), **reserved)


# ---------------------------------------------------------------- deepinv


@pytest.fixture(scope="module")
def physics():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("deepinv").physics


@deepinv
@pytest.mark.parametrize(("noise", "keyword"), [
    ("GaussianNoise", "sigma"), ("GammaNoise", None), ("PoissonNoise", "gain"),
    ("FisherTippettNoise", None),
])  # fmt: skip
@pytest.mark.parametrize("seeded_itself", [False, True])
def test_noise_of_deepinv(noise, keyword, seeded_itself, physics, two):
    options = (
        {"rng": seeded(3)} if seeded_itself and noise in ("GaussianNoise", "PoissonNoise") else {}
    )

    def looks(severities, seed):  # `l` is their number; it has to be of the picture's dimensions
        return {"l": 1 / severities.view(-1, 1, 1, 1)}

    denoising = physics.Denoising(getattr(physics, noise)(**options))
    op = Operator.of_physics(denoising, keyword, make=None if keyword else looks)
    op, generator = op.at((0.1, 0.3)), seeded()
    two[0, :, :9] = 0  # black, which speckle refuses
    first, second = op(two, generator), op(two, generator)
    assert torch.equal(first, op(two, seeded())) and not torch.equal(first, second)
    assert first.isfinite().all() and op.is_random


@deepinv
def test_sigma_of_deepinv_is_a_number_a_picture(physics, two):
    op = Operator.of_physics(physics.Denoising(physics.GaussianNoise(0.7)), severity="sigma")
    y = op.at((0, 3)).apply(two, torch.tensor([0.1, 2.0], dtype=torch.float64), seeded())
    spread = (y - two).std(dim=(1, 2, 3))
    torch.testing.assert_close(spread, torch.tensor([0.1, 2.0]), rtol=0.03, atol=0)
    assert str(op.at(0.1)) == "physics_denoising:0.1"


@deepinv
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("make", "mean"), [
    (lambda P: P.Downsampling(img_size=(3, 64, 64), filter="bicubic", factor=4), 0.5),
    (lambda P: P.Blur(filter=P.blur.gaussian_blur(sigma=2.0), padding="reflect"), 0.5),
    (lambda P: P.BlurFFT((3, 64, 64), filter=P.blur.gaussian_blur(sigma=2.0)), 0.5),
    (lambda P: P.Inpainting((3, 64, 64), mask=0.5), 0.25),
    (lambda P: P.Demosaicing((3, 64, 64)), 0.167),
    (lambda P: P.SinglePixelCamera(m=400, img_size=(3, 64, 64)), 0.5),
    (lambda P: P.Tomography(angles=30, img_width=64), 0.5),
])  # fmt: skip
def test_physics_that_fit_keep_their_brightness_by_the_pseudo_inverse(make, mean, physics, two):
    op = Operator.of_physics(make(physics))
    assert not op.is_random and torch.equal(op(two), op(two))
    assert op(two).mean().item() == pytest.approx(mean, abs=0.02)


@deepinv
@pytest.mark.filterwarnings("ignore")
def test_the_adjoint_of_a_downsampling_is_dim(physics, two):
    down = physics.Downsampling(img_size=(3, 64, 64), filter="bicubic", factor=4)
    adjoint = Operator.of_physics(down, back="adjoint")(two)
    assert adjoint.mean().item() == pytest.approx(0.5 / 16, abs=0.002)
    ours, theirs = SuperResolution(4)(two), Operator.of_physics(down)(two)
    assert (ours - theirs).square().mean() < (two - theirs).square().mean() / 2


@deepinv
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [
    lambda P: P.MRI(img_size=(2, 64, 64)), lambda P: P.Haze(),
    lambda P: P.RandomPhaseRetrieval(m=400, img_size=(3, 64, 64)),
])  # fmt: skip
def test_physics_that_do_not_fit_are_refused(make, physics):
    with pytest.raises(ValueError, match=r"was tried on two pictures of shape .* does not fit: "):
        Operator.of_physics(make(physics))


@deepinv
def test_a_mask_a_picture(physics, two):
    """Of a physics whose mask is one for all pictures for ever."""

    def make(severities, seed):
        keep = torch.rand(len(severities), 1, 64, 64, generator=seeded(seed))
        return {"mask": (keep >= severities.view(-1, 1, 1, 1)).float()}

    op = Operator.of_physics(physics.Inpainting((3, 64, 64), mask=0.5), make=make, name="dots")
    gone = (op.at((0, 1)).apply(two, torch.tensor([0.2, 0.8]).double(), seeded()) == 0).float()
    share = gone.mean(dim=(1, 2, 3))
    torch.testing.assert_close(share, torch.tensor([0.2, 0.8]), rtol=0, atol=0.03)
    assert op(two[:1].repeat(5, 1, 1, 1)).shape == (5, 3, 64, 64)
