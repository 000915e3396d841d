"""Exercises of lesson 12: inverting pixels instead."""

import torch

from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong
from cinv_lib.operators import functional
from cinv_lib.operators.inverse import nonlocal_means
from cinv_lib.operators.inverse.deep_decoder import DecoderRecipe


def pairs(generator: torch.Generator) -> list[Case]:
    """Pictures and worse ones; the pictures of a batch are not equally bad."""
    cases = []
    for b, side, sigma in ((1, 8, 0.1), (3, 12, 0.3), (2, 16, 0.6)):
        x = torch.rand(b, 3, side, side, generator=generator)
        noise = sigma * torch.randn(x.shape, generator=generator)
        y = x + noise * torch.linspace(0.5, 1.5, b).view(-1, 1, 1, 1)
        cases.append(Case(f"{b} of {side} px, noise {sigma}", (x, y)))
    return cases


def fits(generator: torch.Generator) -> list[Case]:
    """What a decoder shows, the corrupted pictures, the mask. Some known pixels are black."""
    cases = []
    for b, side, missing in ((1, 8, 0.5), (3, 12, 0.75), (2, 16, 0.9)):
        x, shown = (torch.rand(b, 3, side, side, generator=generator) for _ in "xs")
        x[:, :, : side // 2] *= 0.0
        holes = torch.arange(b) + int(missing * side * side)  # not the same number in each
        keep = functional.random_keep(holes, side, side, generator)
        keep[:, :, 0, 0] = True
        cases.append(Case(f"{b} of {side} px, {missing:.0%} missing", (shown, x * keep, keep)))
    return cases


def coefficients(generator: torch.Generator) -> list[Case]:
    """Wavelet coefficients: of noise, and a few large ones of edges."""
    cases = []
    for n, sigma in ((101, 0.1), (361, 0.5), (961, 0.3)):
        d = sigma * torch.randn(3, n, generator=generator)
        d[:, : n // 12] += 1 + torch.rand(3, n // 12, generator=generator)
        cases.append(Case(f"n = {n}, noise {sigma}", (d,)))
    return cases


def shapes(generator: torch.Generator) -> list[Case]:
    """Channels and doublings."""
    return [Case(f"k = {k}, d = {d}", (k, d)) for k, d in ((64, 5), (8, 1), (128, 6))]


# -- 12.1 --------------------------------------------------------------------------------------
def my_psnr(x, y):
    return -10 * torch.log10((x - y).square().mean(dim=(1, 2, 3)))


PSNR = Exercise(
    id="12.1",
    title="how near is a picture, in decibels",
    minutes=4,
    difficulty=1,
    stub="""
    def my_psnr(x, y):
        # x, y: (B, 3, H, W), white is 1. For each picture -10 log10 of the mean squared difference.
        return TODO
    """,
    reference=nonlocal_means.psnr,
    cases=pairs,
    wrong=(
        Wrong(
            lambda x, y: -10 * torch.log10((x - y).square().mean()).expand(len(x)),
            "you return one number for the batch. Each picture has its own PSNR, and the mean of "
            "logarithms is not the logarithm of the mean.",
        ),
        Wrong(
            lambda x, y: -10 * (x - y).square().mean(dim=(1, 2, 3)).log(),
            "`log` is the natural logarithm; decibels need `log10`.",
        ),
        Wrong(
            lambda x, y: -20 * torch.log10((x - y).square().mean(dim=(1, 2, 3))),
            "the factor 20 belongs to the root of the mean square. For the mean square itself "
            "the factor is 10.",
        ),
        Wrong(
            lambda x, y: -10 * torch.log10((x - y).square().sum(dim=(1, 2, 3))),
            "you took the sum over pixels: then a larger picture would have a lower PSNR.",
        ),
        Wrong(
            lambda x, y: -20 * torch.log10((x - y).abs().mean(dim=(1, 2, 3))),
            "this is the mean absolute difference; PSNR is about squares.",
        ),
    ),
    alternative=lambda x, y: torch.stack(
        [20 * torch.log10(1 / (a - b).square().mean().sqrt()) for a, b in zip(x, y, strict=True)]
    ),
    hints=(
        "First take the mean squared difference of each picture, which gives B numbers.",
        "These numbers are `(x - y).square().mean(dim=(1, 2, 3))`.",
        "The answer is `-10 * torch.log10(...)` of these numbers.",
    ),
    solution=my_psnr,
    why="20 dB means a difference of a tenth (root mean square), and each further 6 dB halves the "
    "difference. The common wrong turn is one mean over the whole batch, which the worst picture "
    "decides.",
)


# -- 12.2 --------------------------------------------------------------------------------------
def my_sigma(d):
    return d.abs().median(dim=1).values / 0.6745


SIGMA = Exercise(
    id="12.2",
    title="the noise of a picture that nobody has seen clean",
    minutes=6,
    difficulty=2,
    stub="""
    def my_sigma(d):
        # d: (B, n) fine wavelet coefficients: noise of the same sigma, and some edges.
        # The median of |z| is 0.6745 for z ~ N(0, 1). Estimate sigma for each row: (B,) numbers.
        return TODO
    """,
    reference=lambda d: d.abs().quantile(0.5, dim=1) / nonlocal_means.MEDIAN_OF_NORMAL,
    cases=coefficients,
    wrong=(
        Wrong(
            lambda d: d.std(dim=1),
            "a standard deviation squares the edges' coefficients, which are few and large, so "
            "your estimate is far too high.",
        ),
        Wrong(
            lambda d: d.abs().median(dim=1).values,
            "you return the median itself. For noise of sigma 1 the median of |z| is .6745: "
            "divide by that.",
        ),
        Wrong(
            lambda d: d.median(dim=1).values / 0.6745,
            "without the absolute values the median of noise is about 0, whatever its sigma.",
        ),
        Wrong(
            lambda d: 0.6745 * d.abs().median(dim=1).values,
            "you multiplied by .6745. The median is smaller than sigma, so divide.",
        ),
        Wrong(
            lambda d: d.abs().mean(dim=1) * (torch.pi / 2) ** 0.5,
            "your estimate is right for noise alone, but the large coefficients of edges raise a "
            "mean: use the median.",
        ),
        Wrong(
            lambda d: (d.abs().median() / 0.6745).expand(len(d)),
            "you return one number for all rows. Each row has its own sigma.",
        ),
        Wrong(
            lambda d: (
                (d - d.median(dim=1, keepdim=True).values).abs().median(dim=1).values / 0.6745
            ),
            "you took the median of the distances from the median. The mean of fine coefficients is "
            "known: it is 0. Their median is moved by the edges, so do not subtract it.",
        ),
    ),
    alternative=lambda d: d.abs().sort(dim=1).values[:, d.shape[1] // 2] * 1.4826,
    hints=(
        "Most coefficients are only noise. Which statistic does not notice the other coefficients?",
        "The median of the absolute values hardly notices them: `d.abs().median(dim=1).values`.",
        "For N(0, 1) this median is 0.6745. For noise of sigma it is sigma times 0.6745.",
    ),
    tolerance=1e-3,
    solution=my_sigma,
    why="Up to half of the coefficients may be edges before a median breaks down. A mean breaks down "
    "at one edge. The common wrong turn is the standard deviation, which is the estimator that needs no "
    "constant.",
)


# -- 12.3 --------------------------------------------------------------------------------------
def my_loss(shown, y, keep):
    squares = (shown - y).square() * keep
    return squares.sum(dim=(1, 2, 3)) / (3 * keep.sum(dim=(1, 2, 3)))


def _over_known(shown, y, keep):
    """The mean of each picture's known numbers, one picture at a time."""
    rows = zip(shown, y, keep.expand_as(y), strict=True)
    return torch.stack([(s[k] - t[k]).square().mean() for s, t, k in rows])


LOSS = Exercise(
    id="12.3",
    title="the loss of the pixels that are known",
    minutes=7,
    difficulty=2,
    stub="""
    def my_loss(shown, y, keep):
        # shown, y: (B, 3, H, W). keep: bool (B, 1, H, W), True where y is known.
        # For each picture the mean squared difference over the numbers that are known.
        return TODO
    """,
    reference=_over_known,
    cases=fits,
    wrong=(
        Wrong(
            lambda shown, y, keep: (shown - y).square().mean(dim=(1, 2, 3)),
            "your loss includes all pixels, so the decoder learns that the holes are black.",
        ),
        Wrong(
            lambda shown, y, keep: ((shown - y).square() * keep).mean(dim=(1, 2, 3)),
            "you divided by all pixels. The loss of a picture with many holes would be small, and "
            "losses under different masks could not be compared.",
        ),
        Wrong(
            lambda shown, y, keep: (
                ((shown - y).square() * keep).sum(dim=(1, 2, 3)) / keep.sum(dim=(1, 2, 3))
            ),
            "you divided by the number of known pixels. Each known pixel has three numbers.",
        ),
        Wrong(
            lambda shown, y, keep: (
                ((shown - y).square() * (y > 0)).sum(dim=(1, 2, 3)) / (y > 0).sum(dim=(1, 2, 3))
            ),
            "black is no sign of a hole: some pixels that are known are black themselves.",
        ),
        Wrong(
            lambda shown, y, keep: (
                ((shown - y).square() * ~keep).sum(dim=(1, 2, 3)) / (3 * (~keep).sum(dim=(1, 2, 3)))
            ),
            "you used the mask the wrong way round: it is True where a pixel is known.",
        ),
        Wrong(
            lambda shown, y, keep: (
                ((shown - y).square() * keep).sum() / (3 * keep.sum()) * torch.ones(len(y))
            ),
            "you return one number for the batch. Each picture has its own decoder and its own "
            "loss.",
        ),
    ),
    alternative=lambda shown, y, keep: (
        ((shown - y) * keep).square().mean(dim=(1, 2, 3)) / keep.float().mean(dim=(1, 2, 3))
    ),
    hints=(
        "Set the squared differences to 0 where a pixel is not known, and sum them over each "
        "picture.",
        "Take `((shown - y).square() * keep).sum(dim=(1, 2, 3))` and divide it by how many numbers are "
        "known.",
        "A known pixel has three numbers: divide by `3 * keep.sum(dim=(1, 2, 3))`.",
    ),
    solution=my_loss,
    why="The best iterate is chosen by this number, so it has to be the same measure for every mask. "
    "The common wrong turn is to guess the mask from black pixels. The authors' code goes wrong "
    "in another way: it draws another mask.",
)


# -- 12.4 --------------------------------------------------------------------------------------
def my_parameters(k, d):
    return (d + 1) * (k * k + 2 * k) + 3 * k


PARAMETERS = Exercise(
    id="12.4",
    title="is it underparameterised?",
    minutes=5,
    difficulty=1,
    stub="""
    def my_parameters(k, d):
        # d + 1 layers of k channels: a 1x1 convolution without bias, then a scale and a shift for
        # each channel. At the end a 1x1 convolution to 3 channels, without bias. All together?
        return TODO
    """,
    reference=lambda k, d: DecoderRecipe(channels=k, doublings=d).parameters,
    cases=shapes,
    wrong=(
        Wrong(
            lambda k, d: (d + 1) * (9 * k * k + 2 * k) + 3 * k,
            "a 3x3 convolution has 9 k² weights; a Deep Decoder's are 1x1.",
        ),
        Wrong(
            lambda k, d: (d + 1) * k * k + 3 * k,
            "the scales and shifts are fitted too: 2 k in each layer.",
        ),
        Wrong(
            lambda k, d: d * (k * k + 2 * k) + 3 * k,
            "there are d + 1 layers: the last one does not double.",
        ),
        Wrong(
            lambda k, d: (d + 1) * (k * k + 3 * k) + 3 * k + 3,
            "the convolutions have no bias.",
        ),
        Wrong(
            lambda k, d: (d + 1) * (k * k + 2 * k),
            "the last convolution, from k channels to 3, is missing.",
        ),
    ),
    alternative=lambda k, d: k * (3 + (d + 1) * (k + 2)),
    hints=(
        "A 1x1 convolution from k channels to k is a k by k matrix.",
        "A layer has k² + 2k numbers. How many layers are there?",
        "There are `(d + 1) * (k * k + 2 * k)` numbers, and 3 k more for the output.",
    ),
    solution=my_parameters,
    why="The number grows with k² and does not depend on the picture's size. The common wrong turn is "
    "to leave out the scales and shifts. But they are few, and the answer to the question is the "
    "same without them.",
)

EXERCISES = (PSNR, SIGMA, LOSS, PARAMETERS)

PREDICTIONS = (
    Prediction(
        "12.A",
        "Nine tenths of the pixels are missing. Whose picture is nearer to the intact one, in PSNR: "
        "that of a Deep Decoder, or a Gaussian mean of the known pixels?",
        options=("Deep Decoder", "Gaussian mean", "within half a decibel"),
    ),
    Prediction(
        "12.B",
        "In Table 8 the student leads Deep Decoder and a clean classifier by 63 points at 90 % "
        "missing. By how many points of top-1 does it lead here, with the mask that was applied?",
        tolerance=5.0,
        digits=0,
    ),
    Prediction(
        "12.C",
        "And who is ahead at 90 % missing: the student, or a Gaussian mean of the known pixels with "
        "a clean classifier behind it? (The 95 % interval decides.)",
        options=("the student", "the Gaussian mean", "not decided"),
    ),
)
