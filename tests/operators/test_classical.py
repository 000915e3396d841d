"""The operators beyond the paper's three, against Pillow, OpenCV, scipy and closed forms."""

import doctest
import io
import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import fft
from skimage import data

from cinv_lib.operators import functional, transforms
from cinv_lib.operators.basic import Mixture, OneOf, parse
from cinv_lib.operators.classical import (
    JPEG,
    BicubicSuperResolution,
    BoxInpainting,
    CompressedSensing,
    PoissonNoise,
    SuperResolution,
)

GRADED = {  # from the identity to ruin
    "super_resolution": (0, 1, 2, 4, 8, 16),
    "super_resolution_bicubic": (0, 1, 2, 4, 8, 16),
    "box_inpainting": (0, 0.1, 0.25, 0.5, 0.9, 1),
    "compressed_sensing": (0, 0.1, 0.5, 0.75, 0.9, 1),
    "poisson": (0, 0.001, 0.01, 0.1, 1, 3),
    "jpeg": (0, 10, 50, 80, 90, 99),
}
RANDOM = {"box_inpainting", "compressed_sensing", "poisson"}
LARGEST = {"box_inpainting": 1, "compressed_sensing": 1, "jpeg": 99}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def photographs():
    """Two photographs (2, 3, 128, 96) in [0,1], with 8 bits."""
    shown = [cv2.resize(p()[:400, :300], (96, 128), interpolation=cv2.INTER_AREA)
             for p in (data.astronaut, data.coffee)]  # fmt: skip
    return torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2).contiguous() / 255


# ---------------------------------------------------------------- what all of them promise


@pytest.mark.parametrize("name", GRADED)
def test_the_identity_at_0_and_worse_upward(name, photographs):
    changes = []
    for severity in GRADED[name]:
        y = parse(f"{name}:{severity}")(photographs, seeded())
        assert y.shape == photographs.shape and y.dtype == torch.float32 and y.isfinite().all()
        changes.append(((y - photographs) ** 2).mean().item())
    assert changes[0] == 0 and changes == sorted(changes) and changes[-1] > 2 * changes[2] > 0


@pytest.mark.parametrize("name", GRADED)
def test_each_picture_has_its_own_severity_and_0_leaves_it_alone(name, pictures):
    hard = GRADED[name][-2]
    severities = torch.tensor([0, hard, 0, GRADED[name][3]], dtype=torch.float64)
    before, op = pictures.clone(), parse(f"{name}:0..{hard}")
    y = op.apply(pictures, severities, seeded())
    assert torch.equal(y[0], pictures[0]) and torch.equal(y[2], pictures[2])
    assert not torch.equal(y[1], pictures[1]) and not torch.equal(y[3], pictures[3])
    assert torch.equal(pictures, before)
    if name not in RANDOM:
        alone = op.at(hard)(pictures[1:2])
        torch.testing.assert_close(y[1:2], alone, rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", GRADED)
def test_chance_comes_from_the_generator(name, pictures):
    op = parse(f"{name}:{GRADED[name][3]}")
    y = op(pictures, seeded())
    assert op.is_random == (name in RANDOM) and not op.at(0).is_random
    assert torch.equal(y, op(pictures, seeded()))
    assert op.is_random != torch.equal(y, op(pictures, seeded(1)))
    with torch.inference_mode():
        assert torch.equal(y, op(pictures.clone(), seeded()))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(y, op(pictures, seeded()))
    if op.is_random:
        same = op(pictures[:1].expand(20, -1, -1, -1), seeded())
        assert len({tuple(one.flatten().tolist()) for one in same}) > 10  # boxes have few places
    twice = op(pictures.double(), seeded())
    assert twice.dtype == torch.float64
    if name != "poisson":  # torch draws other counts in float64
        torch.testing.assert_close(twice.float(), y, rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", GRADED)
def test_a_batch_of_another_size_gives_the_same(name, pictures):
    """As far as it can: of deterministic ones every picture, of the others the distribution."""
    op = parse(f"{name}:{GRADED[name][3]}")
    if not op.is_random:
        apart = torch.cat([op(x[None]) for x in pictures])
        torch.testing.assert_close(op(pictures), apart, rtol=0, atol=2e-6)
    else:  # the seeds are those of the whole batch: equal ones, whatever the number of threads
        threads = torch.get_num_threads()
        try:
            torch.set_num_threads(1)
            one = op(pictures.repeat(5, 1, 1, 1), seeded())
            torch.set_num_threads(3)
            assert torch.equal(one, op(pictures.repeat(5, 1, 1, 1), seeded()))
        finally:
            torch.set_num_threads(threads)


@pytest.mark.parametrize("name", ["super_resolution", "super_resolution_bicubic", "box_inpainting",
                                  "compressed_sensing"])  # fmt: skip
def test_the_gradient_of_a_linear_operator_is_its_transpose(name, pictures):
    op = parse(f"{name}:{GRADED[name][3]}")
    x = pictures.double().requires_grad_()
    z = torch.rand(x.shape, generator=seeded(2), dtype=torch.float64)
    (gradient,) = torch.autograd.grad((op(x, seeded()) * z).sum(), x)
    step = 0.1 * torch.rand(x.shape, generator=seeded(3), dtype=torch.float64) * (x.detach() < 0.9)
    change = ((op(x.detach() + step, seeded()) - op(x.detach(), seeded())) * z).sum()
    assert change.item() == pytest.approx((gradient * step).sum().item(), rel=1e-9)


@pytest.mark.parametrize("name", ["poisson", "jpeg"])
def test_the_gradient_of_what_rounds_is_that_of_what_it_rounds(name):
    x = (0.3 + 0.4 * torch.rand(2, 3, 16, 16, generator=seeded())).requires_grad_()
    op = parse(f"{name}:{GRADED[name][1]}")
    y = op(x, seeded())
    assert torch.equal(y.detach(), op(x.detach(), seeded()))
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient, torch.ones_like(x), rtol=0, atol=1e-3)


@settings(deadline=None)
@given(st.sampled_from(sorted(GRADED)), st.lists(st.floats(0, 1), min_size=1, max_size=2),
       st.sampled_from(["alone", "mixture", "one of"]))  # fmt: skip
def test_parse_and_str_are_inverse(name, bounds, kind):
    top = LARGEST.get(name, 1e6)
    lo, *hi = (top * bound for bound in sorted(bounds))
    op = type(parse(f"{name}:0"))((lo, *hi) if hi else lo)
    if kind == "mixture":
        op = Mixture((op, op), (0.5, 1.0))
    elif kind == "one of":
        op = OneOf((op, parse("mask:0.5")))
    assert parse(str(op)) == op


@pytest.mark.parametrize(("text", "says"), [
    ("jpeg:100", "severity of jpeg is 100.0; expected 0 to 99, finite"),
    ("jpeg:-1", "severity of jpeg is -1.0; expected 0 to 99"),
    ("box_inpainting:1.1", "severity of box_inpainting is 1.1; expected 0 to 1"),
    ("compressed_sensing:2", "severity of compressed_sensing is 2.0; expected 0 to 1"),
    ("super_resolution:-2", "severity of super_resolution is -2.0; expected 0 to inf"),
    ("poisson:inf", "severity of poisson is inf; expected 0 to inf, finite"),
])  # fmt: skip
def test_severities_out_of_range(text, says):
    with pytest.raises(ValueError) as error:
        parse(text)
    assert says in str(error.value)


def test_extreme_severities(pictures):
    mean = pictures.mean(dim=(2, 3), keepdim=True).expand_as(pictures)
    torch.testing.assert_close(parse("super_resolution:1e300")(pictures), mean)
    assert parse("super_resolution_bicubic:1e300")(pictures).isfinite().all()
    for s in ("1e-300", "1e-30", "1e-8"):
        torch.testing.assert_close(parse(f"poisson:{s}")(pictures), pictures, rtol=0, atol=1e-3)
    assert parse("poisson:1e30")(pictures, seeded()).isfinite().all()
    one = torch.rand(2, 3, 1, 1)
    for name, severities in GRADED.items():
        assert parse(f"{name}:{severities[3]}")(one, seeded()).shape == one.shape


@pytest.mark.parametrize("module", [functional, transforms])
def test_examples_in_docstrings(module):
    failed, run = doctest.testmod(module)
    assert run and not failed


# ---------------------------------------------------------------- super-resolution


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_areas_are_opencvs_and_a_projection(factor, photographs):
    y = SuperResolution(factor)(photographs)
    for ours, x in zip(y, photographs, strict=True):
        picture = x.permute(1, 2, 0).numpy()
        small = cv2.resize(picture, (96 // factor, 128 // factor), interpolation=cv2.INTER_AREA)
        large = cv2.resize(small, (96, 128), interpolation=cv2.INTER_NEAREST)
        np.testing.assert_allclose(ours.permute(1, 2, 0).numpy(), large, atol=1e-6)
    torch.testing.assert_close(SuperResolution(factor)(y), y, rtol=0, atol=1e-6)


@pytest.mark.parametrize("factor", [2, 3, 4, 7.5])
def test_bicubic_is_pillows(factor, photographs):
    y, size = BicubicSuperResolution(factor)(photographs), (round(96 / factor), round(128 / factor))
    for ours, x in zip(y.flatten(0, 1), photographs.flatten(0, 1), strict=True):
        small = Image.fromarray(x.numpy()).resize(size, Image.Resampling.BICUBIC)
        large = np.asarray(small.resize((96, 128), Image.Resampling.BICUBIC))
        np.testing.assert_allclose(ours.numpy(), large, atol=2e-6)
    assert y.max() > 1 or y.min() < 0  # it overshoots, and is not clipped


def test_a_batch_of_many_factors(photographs):
    x = photographs[:1].expand(6, -1, -1, -1)
    factors = torch.tensor([1, 2, 3.7, 2, 0.3, 50], dtype=torch.float64)
    y = SuperResolution((0, 50)).apply(x, factors)
    assert torch.equal(y[0], x[0]) and torch.equal(y[4], x[4]) and torch.equal(y[1], y[3])
    levels = [len(one[0].unique()) for one in y]
    assert levels[5] == 6 and levels[2] <= 26 * 35  # 3 x 2 and 35 x 26 pixels on the way


# ---------------------------------------------------------------- box


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1), st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
@example(0.5546875, 2, 5, 0)  # one row of all columns is too small
@example(0.5624999, 2, 40, 0)
@example(0.55, 2, 10, 0)  # 11 pixels of 20 are no box
def test_a_box_has_its_share_of_the_area_and_lies_within(p, height, width, seed):
    x = torch.full((5, 3, height, width), 0.7)
    gone = BoxInpainting(p)(x, seeded(seed)) == 0
    assert torch.equal(gone[:, 0], gone[:, 1]) and torch.equal(gone[:, 0], gone[:, 2])
    gone = gone[:, 0]
    rows, columns = gone.any(dim=2).sum(dim=1), gone.any(dim=1).sum(dim=1)
    assert torch.equal(gone.sum(dim=(1, 2)), rows * columns)  # all of them in one box
    for there, count in ((gone.any(dim=2), rows), (gone.any(dim=1), columns)):
        for one, n in zip(there, count, strict=True):
            places = one.nonzero()[:, 0]
            assert n == 0 or places[-1] - places[0] + 1 == n
    slack = rows.clamp(min=max(1, round(height * math.sqrt(p)))) / 2  # half of a whole column
    assert ((rows * columns - p * height * width).abs() <= slack + 1e-3).all()


def test_boxes_at_the_usual_size_are_everywhere():
    gone = BoxInpainting(0.25)(torch.ones(4000, 1, 8, 8).expand(-1, 3, -1, -1), seeded())[:, 0] == 0
    assert (gone.sum(dim=(1, 2)) == 16).all() and (gone.any(dim=2).sum(dim=1) == 4).all()
    first = gone.any(dim=2).int().argmax(dim=1)
    counts = torch.bincount(first, minlength=5)
    assert len(counts) == 5 and (counts - 800).abs().max() < 4 * math.sqrt(4000 * 0.2 * 0.8)


# ---------------------------------------------------------------- compressed sensing


def test_cosines_are_scipys():
    x = torch.rand(12, 16, generator=seeded(), dtype=torch.float64)
    ours = transforms.cosines(12) @ x @ transforms.cosines(16).T
    np.testing.assert_allclose(ours.numpy(), fft.dctn(x.numpy(), norm="ortho"), atol=1e-12)
    for n in (1, 2, 7, 64):
        eye = transforms.cosines(n) @ transforms.cosines(n).T
        torch.testing.assert_close(eye, torch.eye(n, dtype=torch.float64), rtol=0, atol=1e-12)


def test_sensing_is_scipys_transform_there_and_back(pictures):
    keep = functional.random_keep(torch.tensor([20, 150, 0, 192]), 16, 12, seeded())
    signs = functional.uniform((4, 1, 16, 12), seeded(), "cpu").round() * 2 - 1
    assert set(signs.unique().tolist()) == {-1, 1}
    ours = transforms.sense(pictures, keep, signs)
    measured = keep.numpy() * fft.dctn((signs * pictures).numpy(), axes=(2, 3), norm="ortho")
    theirs = signs.numpy() * fft.idctn(measured, axes=(2, 3), norm="ortho")
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-6)
    torch.testing.assert_close(ours[2], pictures[2], rtol=0, atol=1e-6)
    assert (ours[3] == 0).all()


@pytest.mark.parametrize("p", [0.3, 0.9])
def test_compressed_sensing_is_an_orthogonal_projection_of_its_rank(p):
    """So the adjoint is the pseudo-inverse: A⁺A is symmetric, its own square, and has the trace
    H W - int(H W p)."""
    units = torch.eye(80, dtype=torch.float64).view(80, 1, 8, 10)
    signs = functional.uniform((1, 1, 8, 10), seeded(), "cpu").round() * 2 - 1
    keep = functional.random_keep(torch.tensor([int(80 * p)]), 8, 10, seeded())
    whole = keep.expand(80, -1, -1, -1), signs.expand(80, -1, -1, -1)
    matrix = transforms.sense(units, *whole).flatten(1)
    torch.testing.assert_close(matrix, matrix.T, rtol=0, atol=1e-12)
    torch.testing.assert_close(matrix @ matrix, matrix, rtol=0, atol=1e-12)
    assert matrix.trace().item() == pytest.approx(80 - int(80 * p))


def test_what_compressed_sensing_gives_back_is_dimmed_and_noisy():
    x = torch.rand(16, 3, 64, 64, generator=seeded())
    y = CompressedSensing(0.9)(x, seeded())
    slope = ((y * x).mean() / (x * x).mean()).item()
    assert slope == pytest.approx(0.1, abs=0.005)
    noise = (y - 0.1 * x).square().mean().sqrt() / x.square().mean().sqrt()
    assert noise.item() == pytest.approx(math.sqrt(0.9 * 0.1), abs=0.005)
    assert y.min() < 0 and torch.equal(y, CompressedSensing(0.9)(x, seeded()))


# ---------------------------------------------------------------- low light


@pytest.mark.parametrize("s", [0.01, 0.1, 1.0])
def test_photons_are_counted_with_the_right_moments(s):
    x = torch.linspace(0, 1, 4).view(4, 1, 1, 1).expand(-1, 3, 100, 100)
    y = PoissonNoise(s)(x, seeded()).double()
    counts = y / s
    torch.testing.assert_close(counts, counts.round(), rtol=0, atol=1e-3)
    n = y[0].numel()
    for one, level in zip(y, x[:, 0, 0, 0].tolist(), strict=True):
        assert abs(one.mean() - level) <= 4.5 * math.sqrt(s * level / n)
        spread = math.sqrt((s**3 * level + 2 * (s * level) ** 2) / n)
        assert abs(one.var() - s * level) <= 4.5 * spread + 1e-12


def test_zero_photons_are_as_likely_as_poisson_says():
    y = PoissonNoise(0.5)(torch.full((40, 3, 50, 50), 0.5), seeded())
    assert (y == 0).double().mean().item() == pytest.approx(math.exp(-1), abs=0.005)


def test_below_0_there_is_no_light():
    y = parse("noise:5@1+poisson:0.1@1")(torch.zeros(4, 3, 16, 16), seeded())
    assert (y >= 0).all() and (y == 0).double().mean() > 0.4


# ---------------------------------------------------------------- JPEG


def pillow(x: torch.Tensor, quality: int) -> torch.Tensor:
    file = io.BytesIO()
    picture = Image.fromarray((x * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())
    picture.save(file, "JPEG", quality=quality, subsampling=0)
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255


@pytest.mark.parametrize("quality", [100, 99, 95, 90, 75, 50, 49, 30, 10, 5, 1])
@pytest.mark.parametrize("crop", [(128, 96), (61, 43)])
def test_jpeg_is_pillows(quality, crop, photographs):
    x = photographs[..., : crop[0], : crop[1]]
    ours = transforms.jpeg(x, torch.full((2,), float(quality)))
    theirs = torch.stack([pillow(one, quality) for one in x])
    apart = (255 * (ours - theirs)).abs()
    assert apart.mean() < 0.5, "grey levels on average"  # 2 are promised
    assert (apart > 20).float().mean() < 3e-3
    if quality <= 50:  # nearer to Pillow's file than to the picture
        assert apart.mean() < 0.1 * (255 * (x - theirs)).abs().mean()


@pytest.mark.parametrize("quality", [1, 10, 25, 49, 50, 51, 75, 99, 100])
def test_quantisation_is_libjpegs(quality):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", quality=quality, subsampling=0)
    written = Image.open(file).quantization
    ours = transforms.quantisation(torch.tensor([float(quality)], dtype=torch.float64))[0]
    for table, row in ((0, 0), (1, 1), (1, 2)):
        assert written[table] == ours[row].int().tolist()


def test_a_batch_of_many_qualities_is_each_of_them(photographs):
    x = photographs[:1].expand(4, -1, -1, -1)
    y = JPEG((0, 99)).apply(x, torch.tensor([0, 0.2, 40.4, 99], dtype=torch.float64))
    assert torch.equal(y[0], x[0])
    for one, quality in zip(y[1:], (100, 60, 1), strict=True):
        assert (255 * (one - pillow(x[0], quality))).abs().mean() < 0.5


def test_a_file_has_8_bits():
    y = parse("noise:0.5@1+jpeg:1@1")(torch.rand(2, 3, 24, 24), seeded())
    assert y.min() == 0 and y.max() == 1
    torch.testing.assert_close(255 * y, (255 * y).round(), rtol=0, atol=1e-4)
