"""Exercises of lesson 01: a mask, noise, a blur's taps, and who passes through a mixture."""

import math

import torch

from cinv_lib import operators
from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong
from cinv_lib.operators import functional


def _child(generator: torch.Generator) -> torch.Generator:
    """A generator of its own for a case: every answer starts from the same state of it."""
    seed = int(torch.randint(2**31, (), generator=generator))
    return torch.Generator().manual_seed(seed)


def _unfit(got, shape):
    """What is wrong with an answer that should be a tensor of this shape, or None."""
    if not isinstance(got, torch.Tensor):
        return f"it gave a {type(got).__name__}, expected a tensor"
    return None if got.shape == shape else f"its shape is {(*got.shape,)}, expected {(*shape,)}"


# -- 1.1 ---------------------------------------------------------------------------------------
def batches(generator: torch.Generator) -> list[Case]:
    """Pictures without a black pixel of their own, and a share p to take away."""
    cases = []
    for n, height, width, p in ((3, 6, 10, 0.5), (5, 8, 8, 0.9), (200, 4, 5, 0.33)):
        x = 0.1 + 0.9 * torch.rand(n, 3, height, width, generator=generator)
        label = f"{n} pictures of {height} × {width}, p = {p}"
        cases.append(Case(label, (x, p, _child(generator))))
    return cases


def judge_mask(got, x, p, generator):
    """What is wrong with masked pictures: their shape, their pixels, how many, or which."""
    if unfit := _unfit(got, x.shape):
        return unfit
    gone = got == 0
    if not torch.allclose(got.to(x), x.masked_fill(gone, 0)):
        return "some of its values are neither 0 nor the picture's own"
    if (gone != gone[:, :1]).any():
        return "some pixels are missing in one channel and there in another"
    n, (height, width) = len(x), x.shape[-2:]
    missing, black = int(height * width * p), gone[:, 0].sum((1, 2))
    if (black != missing).any():
        shown = ", ".join(map(str, black[:4].tolist()))
        return f"the first pictures have {shown} black pixels; expected {missing} in each"
    if (gone == gone[:1]).all():
        return "all pictures of the batch lose the same pixels"
    share = missing / (height * width)
    off = (gone[:, 0].double().mean(0) - share).abs().max() / math.sqrt(share * (1 - share) / n)
    if off > 6:  # standard deviations
        return "some places are black far more often than others: choose uniformly"
    return None


def my_mask(x, p, generator):
    B, _, H, W = x.shape
    order = torch.rand(B, H * W, generator=generator).argsort(dim=1)
    keep = torch.ones(B, H * W).scatter(1, order[:, : int(H * W * p)], 0)
    return x * keep.view(B, 1, H, W)


def _ranks(*shape, generator):
    """Along the last dimension a random permutation of 0, 1, 2, ..."""
    return torch.rand(*shape, generator=generator).argsort(dim=-1).argsort(dim=-1)


def _each_pixel_for_itself(x, p, generator):
    return x * (torch.rand(x[:, :1].shape, generator=generator) >= p)


def _each_channel_for_itself(x, p, generator):
    count = int(x[0, 0].numel() * p)
    return x * (_ranks(*x.flatten(2).shape, generator=generator) >= count).view(x.shape)


def _one_for_all(x, p, generator):
    count = int(x[0, 0].numel() * p)
    return x * (_ranks(x[0, 0].numel(), generator=generator) >= count).view(x.shape[-2:])


def _ranked(x, generator):
    return _ranks(len(x), x[0, 0].numel(), generator=generator).view(x[:, :1].shape)


MASK = Exercise(
    id="1.1",
    title="missing pixels, an exact number of them",
    minutes=10,
    difficulty=2,
    stub="""
    def my_mask(x, p, generator):
        # x: (B, 3, H, W). In each picture exactly int(H * W * p) random pixels become 0, in all
        # three channels. Each picture has its own mask; chance comes from the generator.
        return TODO
    """,
    reference=lambda x, p, generator: operators.RandomMask(p)(x, generator),
    cases=batches,
    judge=judge_mask,
    wrong=(
        Wrong(
            _each_pixel_for_itself,
            "each pixel is lost with probability p, so their number varies from picture to picture; "
            "the paper's masks have an exact number.",
        ),
        Wrong(
            _each_channel_for_itself,
            "every channel has a mask of its own, so a pixel that is missing in one channel can "
            "still be seen in another. Draw one mask per picture, (B, 1, H, W).",
        ),
        Wrong(
            _one_for_all,
            "there is one mask for the whole batch; each picture draws its own.",
        ),
        Wrong(
            lambda x, p, generator: (
                x * (_ranked(x, generator) < x[0, 0].numel() - math.ceil(x[0, 0].numel() * p))
            ),
            "you rounded the number up; int() cuts the fraction off.",
        ),
        Wrong(
            lambda x, p, generator: x * (_ranked(x, generator) < int(x[0, 0].numel() * p)),
            "you kept the share p of the pixels; p is the share that is missing.",
        ),
        Wrong(
            lambda x, p, generator: torch.where(
                _ranked(x, generator) < int(x[0, 0].numel() * p), x.mean(), x
            ),
            "the missing pixels have the mean colour; here they are black, 0.",
        ),
    ),
    alternative=lambda x, p, generator: torch.stack(
        [
            image
            * (
                torch.randperm(image[0].numel(), generator=generator).view(image[0].shape)
                >= int(image[0].numel() * p)
            )
            for image in x
        ]
    ),
    hints=(
        "To take exactly k out of n, shuffle the n and take the first k. Each picture needs a shuffle "
        "of its own.",
        "`torch.rand(B, H * W, generator=generator).argsort(dim=1)` is a shuffle of all places, "
        "one row per picture. The first int(H W p) columns are the places of the pixels that "
        "become 0.",
        "Begin with `torch.ones(B, H * W)`, put 0 at these places by `.scatter(1, places, 0)`, "
        "give the result the shape (B, 1, H, W) by `.view`, and multiply x by it.",
    ),
    solution=my_mask,
    why="With an exact number no picture of a batch is easier than another by luck. The common wrong "
    "turn is `rand < p`: at p = 0.9 and 64 px the number of pixels left then varies by 19 around "
    "410, and at p = 0.99 by 6 around 41.",
)


# -- 1.2 ---------------------------------------------------------------------------------------
def noisy_batches(generator: torch.Generator) -> list[Case]:
    """Pictures and a sigma each. As many as a picture is wide: a wrong broadcast raises nothing."""
    cases = []
    for n, height in ((4, 5), (8, 8), (12, 6)):
        x = torch.rand(n, 3, height, n, generator=generator)
        sigmas = 0.1 + 0.5 * torch.rand(n, generator=generator)
        cases.append(Case(f"{n} pictures of {height} × {n}", (x, sigmas, _child(generator))))
    return cases


def my_noise(x, sigmas, generator):
    z = torch.randn(x.shape, generator=generator)
    return x + sigmas.view(-1, 1, 1, 1) * z


def _scaled(scale, x, generator):
    return x + scale.view(-1, 1, 1, 1) * torch.randn(x.shape, generator=generator)


NOISE = Exercise(
    id="1.2",
    title="noise, a sigma each",
    minutes=5,
    difficulty=1,
    stub="""
    def my_noise(x, sigmas, generator):
        # x: (B, 3, H, W), sigmas: (B,). Picture i gets noise of standard deviation sigmas[i].
        # Take the normal numbers from torch.randn(x.shape, generator=generator).
        return TODO
    """,
    reference=lambda x, sigmas, generator: _scaled(sigmas, x, generator),
    cases=noisy_batches,
    wrong=(
        Wrong(
            lambda x, sigmas, generator: _scaled(sigmas, x, generator).clamp(0, 1),
            "you clipped to [0, 1]. That is a second corruption, which throws information away; the "
            "authors do not clip.",
        ),
        Wrong(
            lambda x, sigmas, generator: x + sigmas * torch.randn(x.shape, generator=generator),
            "your sigmas run along the columns of the pictures, because broadcasting begins at "
            "the last dimension. (There is no error message here, as there are as many pictures "
            "as columns.)",
        ),
        Wrong(
            lambda x, sigmas, generator: _scaled(sigmas**2, x, generator),
            "you multiplied by the variance, sigma²; the standard deviation is sigma.",
        ),
        Wrong(
            lambda x, sigmas, generator: _scaled(sigmas, x, generator) - x,
            "that is the noise alone: add it to x.",
        ),
        Wrong(
            lambda x, sigmas, generator: _scaled(sigmas.mean(), x, generator),
            "you used one sigma for the whole batch; each picture has its own.",
        ),
        Wrong(
            lambda x, sigmas, generator: (
                x + sigmas.view(-1, 1, 1, 1) * torch.randn(x[:, :1].shape, generator=generator)
            ),
            "all three channels get the same, grey noise; noise is drawn for each channel by itself.",
        ),
        Wrong(
            lambda x, sigmas, generator: (
                x + sigmas.view(-1, 1, 1, 1) * torch.rand(x.shape, generator=generator)
            ),
            "`torch.rand` is uniform in [0, 1) and makes every picture brighter; "
            "`torch.randn` is normal.",
        ),
    ),
    alternative=lambda x, sigmas, generator: torch.normal(
        x, sigmas[:, None, None, None].expand(x.shape), generator=generator
    ),
    hints=(
        "Take normal numbers of standard deviation 1, and multiply them by sigma. Their standard "
        "deviation is then sigma.",
        "sigmas has the shape (B,). To multiply (B, 3, H, W) picture by picture, sigmas must have "
        "the shape (B, 1, 1, 1).",
        "`x + sigmas.view(-1, 1, 1, 1) * torch.randn(x.shape, generator=generator)`.",
    ),
    solution=my_noise,
    why="The view puts each sigma on the axis of the pictures. The common wrong turn is "
    "`sigmas * z`: torch lines shapes up from the right, so this usually raises an error. But where a "
    "batch has as many pictures as a picture has columns, it quietly makes another corruption.",
)


# -- 1.3 ---------------------------------------------------------------------------------------
def widths(generator: torch.Generator) -> list[Case]:
    """The paper's two sigmas at 224 px, one of them at 64 px, and any."""
    other = round(1 + 3 * torch.rand((), generator=generator).item(), 2)
    return [Case(f"sigma = {sigma}", (sigma,)) for sigma in (5.0, 9.0, 2.57, other)]


def my_taps(sigma):
    r = round(2 * sigma)
    t = torch.arange(-r, r + 1)
    taps = torch.exp(-0.5 * (t / sigma) ** 2)
    return taps / taps.sum()


def _gaussian(sigma, low, high, factor=0.5):
    return torch.exp(-factor * (torch.arange(low, high + 1) / sigma) ** 2)


def _unit(taps):
    return taps / taps.sum()


TAPS = Exercise(
    id="1.3",
    title="the taps of a blur",
    minutes=8,
    difficulty=2,
    stub="""
    def my_taps(sigma):
        # The weights of a Gaussian at t = -r, ..., r pixels, r = round(2 sigma), with sum 1.
        return TODO
    """,
    reference=lambda sigma: functional.gaussian_taps(torch.tensor([sigma]))[0],
    cases=widths,
    wrong=(
        Wrong(
            lambda sigma: _gaussian(sigma, -round(2 * sigma), round(2 * sigma)),
            "the sum of your taps is not 1, so the blur makes pictures brighter.",
        ),
        Wrong(
            lambda sigma: (
                _gaussian(sigma, -round(2 * sigma), round(2 * sigma))
                / (sigma * math.sqrt(2 * math.pi))
            ),
            "you divided by the integral, sigma √(2π). The tails beyond 2 sigma are cut off, so the "
            "sum is about 0.96 and pictures get darker: divide by the sum of the taps.",
        ),
        Wrong(
            lambda sigma: _unit(_gaussian(sigma, -round(2 * sigma), round(2 * sigma) - 1)),
            "the last tap is missing, and the picture is shifted by half a pixel: `arange` stops "
            "before its end, so the end is r + 1.",
        ),
        Wrong(
            lambda sigma: _unit(_gaussian(sigma, -round(2 * sigma), round(2 * sigma), factor=1)),
            "the half in exp(-t²/2 sigma²) is missing: your Gaussian is narrower by √2.",
        ),
        Wrong(
            lambda sigma: _unit(_gaussian(math.sqrt(sigma), -round(2 * sigma), round(2 * sigma))),
            "you divided t² by sigma, not by sigma²: sigma is the standard deviation.",
        ),
        Wrong(
            lambda sigma: (lambda t: _unit(torch.exp(-t.square() / (2 * sigma**2))))(
                torch.arange(-2 * sigma, 2 * sigma + 1)
            ),
            "2 sigma is not a whole number of pixels: round it before you count, or the taps do not "
            "stand on pixels.",
        ),
        Wrong(
            lambda sigma: _unit(_gaussian(sigma, -round(3 * sigma), round(3 * sigma))),
            "you cut off at 3 sigma, as many libraries do; the paper's kernels, 21 taps for sigma = 5 "
            "and 37 for 9, end at 2 sigma.",
        ),
        Wrong(
            lambda sigma: _unit(_gaussian(sigma, -round(sigma), round(sigma))),
            "you cut off at sigma; r is round(2 sigma).",
        ),
    ),
    alternative=lambda sigma: torch.softmax(
        -torch.linspace(-round(2 * sigma), round(2 * sigma), 2 * round(2 * sigma) + 1).square()
        / (2 * sigma**2),
        dim=0,
    ),
    hints=(
        "A Gaussian is exp(-t² / (2 sigma²)), up to a factor. The factor is whatever makes the sum 1.",
        "`torch.arange(-r, r + 1)` has the 2 r + 1 places t; `arange` stops before its end.",
        "With `taps = torch.exp(-0.5 * (t / sigma) ** 2)`, return `taps / taps.sum()`.",
    ),
    solution=my_taps,
    why="A sum of 1 keeps the brightness: a grey picture stays as grey as it was. The common "
    "wrong turn is the textbook's factor 1 / (sigma √(2π)). This factor makes the integral 1, but "
    "not the sum of the taps, since the tails are cut off.",
)


# -- 1.4 ---------------------------------------------------------------------------------------
def mixtures(generator: torch.Generator) -> list[Case]:
    """So many pictures that shares and means can be told from chance."""
    return [
        Case(f"{lo} to {hi}, p = {p}", (20_000, lo, hi, p, _child(generator)))
        for lo, hi, p in ((1.0, 5.0, 0.8), (0.05, 0.5, 0.8), (0.5, 0.95, 0.3))
    ]


def judge_severities(got, n, lo, hi, p, generator):
    """What is wrong with n severities: their number, their values, how many pass, or how they lie."""
    if unfit := _unfit(got, (n,)):
        return unfit
    got = got.double()
    some = got[got != 0]
    if not ((some >= lo - 1e-6) & (some <= hi + 1e-6)).all():  # `not`: NaN must fail
        return (
            f"severities run from {some.min():.2f} to {some.max():.2f}; expected 0, or {lo} to {hi}"
        )
    if abs(len(some) / n - p) > 6 * math.sqrt(p * (1 - p) / n):
        return f"{100 * len(some) / n:.0f} % of the pictures pass; expected about {100 * p:.0f} %"
    if (some == some[0]).all():
        return f"all pictures that pass have the same severity, {some[0]:.2f}"
    middle, spread = (lo + hi) / 2, (hi - lo) / math.sqrt(12)  # of a uniform distribution
    if abs(some.mean() - middle) > 6 * spread / math.sqrt(len(some)):
        return f"the mean severity of those that pass is {some.mean():.3f}; expected {middle:.3f}"
    if abs(some.std() / spread - 1) > 6 / math.sqrt(5 * len(some)):
        return f"their standard deviation is {some.std():.3f}; uniform, it would be {spread:.3f}"
    return None


def my_severities(n, lo, hi, p, generator):
    severities = lo + (hi - lo) * torch.rand(n, generator=generator)
    passes = torch.rand(n, generator=generator) < p
    return severities * passes


def _range(n, lo, hi, generator):
    return lo + (hi - lo) * torch.rand(n, generator=generator)


def _coins(n, p, generator):
    return torch.rand(n, generator=generator) < p


def _one_draw(n, lo, hi, p, generator):
    u = torch.rand(n, generator=generator)
    return (lo + (hi - lo) * u) * (u < p)


SEVERITIES = Exercise(
    id="1.4",
    title="who passes through a mixture, and how hard",
    minutes=8,
    difficulty=2,
    stub="""
    def my_severities(n, lo, hi, p, generator):
        # n severities of one part of a mixture: with probability p uniform between lo and hi,
        # else 0, which leaves the picture as it is. Every picture draws for itself.
        return TODO
    """,
    reference=lambda n, lo, hi, p, generator: operators.Mixture(
        (operators.GaussianBlur((lo, hi)),), (p,)
    ).draw(n, generator)[:, 0],
    cases=mixtures,
    judge=judge_severities,
    wrong=(
        Wrong(
            _one_draw,
            "one draw decides both who passes and how hard: only severities from the lower part of "
            "the range ever pass. Draw twice.",
        ),
        Wrong(
            lambda n, lo, hi, p, generator: _range(n, lo, hi, generator) * _coins(1, p, generator),
            "you tossed one coin for the whole batch, so all pictures pass, or none. Toss n coins.",
        ),
        Wrong(
            lambda n, lo, hi, p, generator: _range(1, lo, hi, generator) * _coins(n, p, generator),
            "there is one severity for the whole batch; every picture draws its own.",
        ),
        Wrong(
            lambda n, lo, hi, p, generator: _range(n, lo, hi, generator) * ~_coins(n, p, generator),
            "your pictures pass where they should not: `rand` is smaller than p with probability "
            "p, and then the picture passes.",
        ),
        Wrong(
            lambda n, lo, hi, p, generator: _range(n, lo, hi, generator),
            "no coin is tossed: every picture passes. Multiply by `torch.rand(n, ...) < p`.",
        ),
        Wrong(
            lambda n, lo, hi, p, generator: (
                (lo + hi * torch.rand(n, generator=generator)) * _coins(n, p, generator)
            ),
            "your range ends at lo + hi: uniform between lo and hi is lo + (hi - lo) u.",
        ),
        Wrong(
            lambda n, lo, hi, p, generator: (
                hi * torch.rand(n, generator=generator) * _coins(n, p, generator)
            ),
            "your range begins at 0: uniform between lo and hi is lo + (hi - lo) u.",
        ),
        Wrong(
            lambda n, lo, hi, p, generator: torch.where(
                ~_coins(n, p, generator), lo, _range(n, lo, hi, generator)
            ),
            "pictures that do not pass get the mildest severity, lo; they should get 0.",
        ),
        Wrong(
            lambda n, lo, hi, p, generator: p * _range(n, lo, hi, generator),
            "p weakens every severity; it should say how many pictures have a severity at all.",
        ),
    ),
    alternative=lambda n, lo, hi, p, generator: torch.where(
        torch.bernoulli(torch.full((n,), p), generator=generator).bool(),
        torch.empty(n).uniform_(lo, hi, generator=generator),
        0.0,
    ),
    hints=(
        "Two things are drawn for each picture: a coin, and a severity.",
        "`torch.rand(n, generator=generator)` is uniform between 0 and 1. Stretch it to lo .. hi. "
        "A second such draw is smaller than p with probability p.",
        "Multiply: a comparison counts as 1 or 0, and severity 0 is the identity.",
    ),
    solution=my_severities,
    why="Severity 0 is the identity of every operator, so a mixture needs no branches, and a "
    "batch goes through in one piece. The common wrong turn is to use the same draw for the coin "
    "and for the severity: the strong corruptions then never happen, and no error message says so.",
)

EXERCISES = (MASK, NOISE, TAPS, SEVERITIES)

PREDICTIONS = (
    Prediction(
        "1.A",
        "Eight pictures with values between 0 and 1 get noise of σ = 0.5. What is the smallest "
        "value after that, to one decimal?",
        tolerance=0.2,
        digits=1,
    ),
    Prediction(
        "1.B",
        "Which of the three moves the teacher's embedding farthest from that of the clean picture?",
        options=("mask:0.9", "noise:0.5", "blur:2.57"),
    ),
)
