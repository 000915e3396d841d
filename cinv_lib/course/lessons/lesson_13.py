"""Exercises of lesson 13: two corruptions from their definitions, and how a benchmark is counted."""

import numpy as np
import torch
from scipy import stats
from scipy.optimize import linprog

from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong
from cinv_lib.evaluation import statistics
from cinv_lib.experiments import common_corruptions
from cinv_lib.operators.corruptions import blur, noise

REACH = 8  # pixels from the middle of a kernel to its border


# -- 13.1 --------------------------------------------------------------------------------------
def lights(generator: torch.Generator) -> list[Case]:
    """Pictures of four grey levels, one a row of many pixels; several numbers of photons."""
    cases = []
    for photons in (250, 50, 15):
        levels = torch.randint(40, 256, (4,), generator=generator) / 255
        x = levels.view(1, 4, 1).expand(3, 4, 4000).contiguous()
        seed = int(torch.randint(2**31, (1,), generator=generator))
        drawn = torch.Generator().manual_seed(seed)
        cases.append(Case(f"white is {photons} photons", (x, photons, drawn)))
    return cases


def my_shot_noise(x, photons, generator):
    return torch.poisson(x * photons, generator) / photons


def _shot_noise(x, photons, generator):
    """The library's own, which takes uint8 pictures (H, W, 3) and numpy's generators."""
    seed = int(torch.randint(2**31, (1,), generator=generator))
    levels = (x * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    y = noise.shot_noise(levels, np.random.default_rng(seed), photons) / 255
    return torch.from_numpy(y).to(x.dtype).permute(2, 0, 1)


def _judge_shot_noise(got, x, photons, generator) -> str | None:
    y = torch.as_tensor(got).double()
    if y.shape != x.shape:
        return f"its shape is {tuple(y.shape)}, expected that of the picture, {tuple(x.shape)}"
    if not bool(y.isfinite().all()):
        return "some of it is NaN or infinite"
    n, light = x[:, 0].numel(), x[0, :, 0].double()
    mean, variance = y.mean(dim=(0, 2)), y.transpose(0, 1).flatten(1).var(dim=1)
    for level, m, v in zip(light.tolist(), mean.tolist(), variance.tolist(), strict=True):
        expected = level / photons
        if abs(m - level) > 6 * (expected / n) ** 0.5:
            return f"where the light is {level:.3f} its mean is {m:.3f}: noise must not change it"
        if abs(v / expected - 1) > 0.1:
            return (
                f"where the light is {level:.3f} its variance is {v:.5f}, expected {expected:.5f}"
            )
    counts = y * photons
    if float((counts - counts.round()).abs().max()) > 1e-3:
        return "times `photons` it is no whole number: half a photon was counted"
    return None


def _normal(x, generator):
    return torch.randn(x.shape, generator=generator)


SHOT = Exercise(
    id="13.1",
    title="shot noise",
    minutes=5,
    difficulty=1,
    stub="""
    def my_shot_noise(x, photons, generator):
        # x: a picture in [0, 1]. Light comes in photons: white is `photons` of them on average, and
        # each pixel and channel counts its own. What was counted, with white as 1; not clipped.
        return TODO
    """,
    reference=_shot_noise,
    judge=_judge_shot_noise,
    cases=lights,
    wrong=(
        Wrong(
            lambda x, photons, generator: torch.poisson(x * photons, generator),
            "these are the photons that were counted. White is `photons` of them, so divide by that.",
        ),
        Wrong(
            lambda x, photons, generator: torch.poisson(x, generator),
            "you do not use `photons`: you counted as if white were a single photon.",
        ),
        Wrong(
            lambda x, photons, generator: x + torch.poisson(x * photons, generator) / photons,
            "the count already has the picture in it: its mean is x. If you add the count to x, "
            "the picture is twice as bright.",
        ),
        Wrong(
            lambda x, photons, generator: x + _normal(x, generator) / photons**0.5,
            "this is Gaussian noise, as strong in the dark as in the light. The variance of a "
            "count is equal to its mean.",
        ),
        Wrong(
            lambda x, photons, generator: x + (x / photons).sqrt() * _normal(x, generator),
            "mean and variance are right, but nobody counts half photons: draw from `torch.poisson`.",
        ),
    ),
    alternative=lambda x, photons, generator: (
        sum(torch.poisson(x * photons / 2, generator) for _ in range(2)) / photons
    ),
    hints=(
        "The number of independent rare arrivals has a Poisson distribution, and its mean is all that "
        "you need to know.",
        "The mean count of a pixel is `x * photons`, and `torch.poisson(means, generator)` draws "
        "counts.",
        "Then go back to the scale where white is 1: divide by `photons`.",
    ),
    solution=my_shot_noise,
    why="A Poisson count has variance equal to its mean, so the result has mean x and variance "
    "x / photons. A brighter pixel has more noise, but it has less noise relative to its light. The "
    "common wrong turn is Gaussian noise of one strength, which is what the student was trained on.",
)


# -- 13.2 --------------------------------------------------------------------------------------
def radii(generator: torch.Generator) -> list[Case]:
    """The published radii at 64 pixels from severity 2 on, and two others."""
    drawn = (torch.randint(13, 28, (2,), generator=generator) / 4).tolist()
    return [Case(f"radius {r:g}", (float(r),)) for r in (1, 1.5, 2.5, 3, *drawn)]


def my_disk(radius):
    d = torch.arange(-8, 9)
    disk = (d**2 + d[:, None] ** 2 <= radius**2).float()
    return disk / disk.sum()


def _disk(radius):
    """What the library makes of one white pixel; its rim all but hard."""
    dot = np.zeros((2 * REACH + 1, 2 * REACH + 1, 3), dtype=np.uint8)
    dot[REACH, REACH] = 255
    made = blur.defocus_blur(dot, np.random.default_rng(0), radius, 0.01)[..., 0] / 255
    made[made < 1e-6] = 0  # cv2 convolves by Fourier transforms, which leaves 1e-17 instead
    return torch.from_numpy(made).float()


def _inside(distance, radius):
    """A kernel that is even where the distance from the middle is at most the radius."""
    d = torch.arange(-REACH, REACH + 1).float()
    kernel = (distance(d, d[:, None]) <= radius).float()
    return kernel / kernel.sum()


def _round(dx, dy):
    return (dx**2 + dy**2).sqrt()


DISK = Exercise(
    id="13.2",
    title="a lens out of focus",
    minutes=6,
    difficulty=2,
    stub="""
    def my_disk(radius):
        # The kernel of defocus blur, (17, 17): even on the pixels whose centre is at most `radius`
        # from the centre of the middle pixel, 0 elsewhere. A grey picture stays as it is.
        return TODO
    """,
    reference=_disk,
    cases=radii,
    wrong=(
        Wrong(
            lambda radius: (_inside(_round, radius) > 0).float(),
            "your kernel sums to the number of its pixels, so the picture becomes that many "
            "times as bright.",
        ),
        Wrong(
            lambda radius: _inside(lambda dx, dy: torch.maximum(dx.abs(), dy.abs()), radius),
            "this is a square. A lens is round: compare the distance, not each coordinate.",
        ),
        Wrong(
            lambda radius: _inside(lambda dx, dy: dx.abs() + dy.abs(), radius),
            "this is a square on its corner: |dx| + |dy| is the length of a way along rows and "
            "columns, not the distance.",
        ),
        Wrong(
            lambda radius: _inside(lambda dx, dy: _round(dx, dy) + 1e-6, radius),
            'you left out the pixels at exactly the radius: "at most" means <=.',
        ),
        Wrong(
            lambda radius: _inside(_round, radius / 2),
            "you took the radius for the diameter.",
        ),
        Wrong(
            lambda radius: (_inside(_round, radius) > 0).float() / (torch.pi * radius**2),
            "pi r² is the area of the circle, not the number of pixels in it, so grey does not stay "
            "grey. Divide by the sum.",
        ),
        Wrong(
            lambda radius: (
                (_inside(_round, radius) > 0).float() / len(range(-REACH, REACH + 1)) ** 2
            ),
            "you divided by all pixels of the kernel, most of which are 0; divide by its sum.",
        ),
    ),
    alternative=lambda radius: _inside(_round, radius),
    hints=(
        "The offsets from the middle are `d = torch.arange(-8, 9)`. As a row and as a column they "
        "make a table.",
        "`d**2 + d[:, None] ** 2 <= radius**2` is True on the disk.",
        "Convert this table to floats and divide it by its sum.",
    ),
    solution=my_disk,
    why="Out of focus, a point becomes a disk, which has the shape of the lens. Each point of the "
    "scene adds its disk, so the result is a convolution whose kernel sums to one. The common wrong "
    "turn is to divide by pi r², which is far from the count of pixels when the disk is small.",
)


# -- 13.3 --------------------------------------------------------------------------------------
def contests(generator: torch.Generator) -> list[Case]:
    """Differences of several trainings on many types, each type with a lead of its own."""
    cases = []
    for seeds, types in ((3, 19), (5, 60), (3, 200)):
        lead = 4 * torch.randn(types, generator=generator, dtype=torch.float64)
        rows = lead + torch.randn(seeds, types, generator=generator, dtype=torch.float64)
        rows[:, 0] = torch.linspace(-1, 1, seeds) + 0.01  # at least one is undecided
        cases.append(Case(f"{seeds} seeds, {types} types", (rows,)))
    return cases


def my_count(differences):
    n = len(differences)
    mean = differences.mean(dim=0)
    half_width = stats.t.ppf(0.975, n - 1) * differences.std(dim=0) / n**0.5
    wins = int((mean > half_width).sum())
    losses = int((mean < -half_width).sum())
    return wins, losses, len(mean) - wins - losses


def _counted(mean, half_width):
    """(holds, does not hold, not decided), by each type's own interval."""
    verdicts = [
        statistics.verdict(float(m), float(h)) for m, h in zip(mean, half_width, strict=True)
    ]
    wins, losses = (verdicts.count(verdict) for verdict in ("holds", "does not hold"))
    return wins, losses, len(verdicts) - wins - losses


def _count(differences):
    found = [statistics.over_trainings(each.tolist())[:2] for each in differences.T]
    return _counted(*zip(*found, strict=True))


def _t(differences):
    """How many standard errors the 95 % interval reaches to either side."""
    return stats.t.ppf(0.975, len(differences) - 1)


COUNT = Exercise(
    id="13.3",
    title="won, lost, not decided",
    minutes=7,
    difficulty=2,
    stub="""
    def my_count(differences):
        # differences: (seeds, types), student minus baseline, in points. How many types are won, lost
        # and not decided: won where all of the 95 % interval over seeds is above 0, lost where all
        # is below. Its half-width: stats.t.ppf(0.975, n - 1) standard errors.
        return TODO
    """,
    reference=_count,
    cases=contests,
    wrong=(
        Wrong(
            lambda differences: _counted(
                differences.mean(0), torch.zeros_like(differences.mean(0))
            ),
            "you do not use the errors: a lead that another training might reverse is counted as "
            "won.",
        ),
        Wrong(
            lambda differences: _counted(differences.mean(0), _t(differences) * differences.std(0)),
            "this is how much *one* training varies. The standard error of the mean of n "
            "trainings is smaller: divide by the root of n.",
        ),
        Wrong(
            lambda differences: _counted(
                differences.mean(0),
                _t(differences) * differences.std(0, correction=0) / len(differences) ** 0.5,
            ),
            "your standard deviation divides by n. The mean comes from the same few seeds, so "
            "divide by n - 1 (`correction=1`, the default).",
        ),
        Wrong(
            lambda differences: _counted(
                differences.mean(0), 2 * differences.std(0) / len(differences) ** 0.5
            ),
            "two standard errors are right for many seeds. With three seeds the standard "
            "deviation is itself a guess, and t is 4.3.",
        ),
        Wrong(
            lambda differences: _counted(
                differences.mean(0),
                _t(differences) * differences.std(1).mean() + 0 * differences.mean(0),
            ),
            "this is the spread over types, from fog to noise. The error of a type is over seeds "
            "(dim 0).",
        ),
    ),
    alternative=lambda differences: tuple(
        int((sign == differences.mean(0).sign().where(_clear(differences), 0.0)).sum())
        for sign in (1, -1, 0)
    ),
    hints=(
        "First compute the mean and the standard deviation of each column: `dim=0`.",
        "The standard error of a mean of n values is the standard deviation over the root of n. The "
        "half-width is `stats.t.ppf(0.975, n - 1)` such standard errors.",
        "`(mean > half_width).sum()` types are won, `(mean < -half_width).sum()` are lost, and the rest "
        "are not decided.",
    ),
    solution=my_count,
    why="Nineteen contests are counted, so chance decides some of them. Of 19 types without any "
    "difference, on average one would look won or lost. With two standard errors in place of t it "
    "would be three or four. The common wrong turn is to count signs. With one seed there is no "
    "interval: nothing exceeds NaN, so nothing is decided.",
)


def _clear(differences):
    squares = (differences - differences.mean(0)).square().sum(0)
    n = len(differences)
    return differences.mean(0).square() > _t(differences) ** 2 * squares / (n * (n - 1))


# -- 13.4 --------------------------------------------------------------------------------------
def tables(generator: torch.Generator) -> list[Case]:
    """Errors in percent, rising with the severity; types that are easy and types that are hard."""
    cases = []
    for types in (2, 4, 19):

        def drawn(types=types):
            shape = (types, 1)
            hard = 5 + 60 * torch.rand(shape, generator=generator, dtype=torch.float64)
            return hard + torch.linspace(0, 30, 5) * torch.rand(shape, generator=generator)

        cases.append(Case(f"{types} types, 5 severities", (drawn(), drawn())))
    return cases


def my_mce(errors, baseline):
    ratios = errors.sum(dim=1) / baseline.sum(dim=1)
    return 100 * ratios.mean()


MCE = Exercise(
    id="13.4",
    title="mean corruption error",
    minutes=6,
    difficulty=2,
    stub="""
    def my_mce(errors, baseline):
        # Both (types, severities), in percent. The corruption error of a type: the errors summed over
        # its severities, divided by the baseline's. mCE: the mean over types, in percent.
        return TODO
    """,
    reference=lambda errors, baseline: torch.tensor(
        common_corruptions.mean_corruption_error(errors, baseline), dtype=errors.dtype
    ),
    cases=tables,
    wrong=(
        Wrong(
            lambda errors, baseline: 100 * (errors / baseline).mean(),
            "you divided at each severity. There the baseline's error may be tiny, and one ratio "
            "would outweigh the rest: sum over severities first.",
        ),
        Wrong(
            lambda errors, baseline: 100 * errors.sum() / baseline.sum(),
            "this is a ratio of means over everything: then hard types count most. mCE is a mean "
            "of ratios, one ratio per type.",
        ),
        Wrong(
            lambda errors, baseline: (errors.sum(1) / baseline.sum(1)).mean(),
            "you return a share; mCE is in percent.",
        ),
        Wrong(
            lambda errors, baseline: 100 * (baseline.sum(1) / errors.sum(1)).mean(),
            "you exchanged the two parts of the fraction: divide the errors by the baseline's "
            "errors.",
        ),
        Wrong(
            lambda errors, baseline: 100 * ((100 - errors).sum(1) / (100 - baseline).sum(1)).mean(),
            "you turned errors into accuracies. A ratio of accuracies is not the ratio of errors.",
        ),
        Wrong(
            lambda errors, baseline: (errors - baseline).mean(),
            "this is a difference in points; mCE divides.",
        ),
    ),
    alternative=lambda errors, baseline: (
        100 * (errors.mean(dim=1) / baseline.mean(dim=1)).sum() / len(errors)
    ),
    hints=(
        "You need two steps in a certain order. What happens within a type, and what happens over "
        "types?",
        "Within a type, sum the errors over the severities (dim 1), here and for the baseline.",
        "`errors.sum(1) / baseline.sum(1)` has one ratio per type. Take their mean, times 100.",
    ),
    solution=my_mce,
    why="The ratio makes types comparable: an error of 40 % is good on a hard type and bad on an easy "
    "one. The common wrong turn is to divide at every severity, where an easy severity 1 has almost "
    "no error to divide by.",
)

# -- 13.5 --------------------------------------------------------------------------------------
NO = "none"


def _worlds(generator: torch.Generator) -> list[Case]:
    """Errors of two methods: on each type a's are smaller by `gain` or larger by `loss`."""
    cases = []
    for wins, gain, losses, loss, low, high in (
        (5, 9, 2, 6, 20, 60),  # a is ahead whatever divides
        (3, 6, 3, 15, 20, 60),  # a divisor is there, and has to favour all that a wins
        (1, 30, 8, 6, 10, 90),  # one type is enough, though the mean says otherwise
        (2, 3, 4, 15, 20, 60),  # no divisor is there, though a wins two types
        (0, 0, 5, 8, 10, 90),  # no divisor is there: a wins nothing
    ):
        n = wins + losses
        b = 45 + 30 * torch.rand(n, generator=generator, dtype=torch.float64)
        apart = torch.tensor([-gain] * wins + [loss] * losses, dtype=torch.float64)
        apart *= 0.95 + 0.1 * torch.rand(n, generator=generator, dtype=torch.float64)
        a = b + apart[torch.randperm(n, generator=generator)]
        words = f"a has fewer errors on {wins} of {n} types, divisors from {low} to {high} %"
        cases.append(Case(words, (a, b, float(low), float(high))))
    return cases


def my_divisor(a, b, low, high):
    divisor = torch.where(a < b, low, high)  # what a wins counts most, what it loses least
    ahead = (a / divisor).mean() < (b / divisor).mean()
    return divisor if ahead else "none"


def _lead(a, b, divisor):
    """How far a's mCE is below b's, in percent."""
    return float(100 * ((b - a) / divisor).mean())


def _kindest(a, b, low, high):
    return torch.where(a < b, low, high).to(a)


def _if_ahead(divisor, a, b):
    return divisor if _lead(a, b, divisor) > 0 else NO


def _one_type(a, b, low, high):
    divisor = torch.full_like(a, high)
    divisor[(a - b).argmin()] = low
    return divisor


def _by_linear_program(a, b, low, high):
    """Over the weights 1 / divisor, of which mCE is linear."""
    weights = linprog((a - b).numpy(), bounds=[(1 / high, 1 / low)] * len(a)).x
    return _if_ahead(1 / torch.from_numpy(weights), a, b)


def _judge_divisor(got, a, b, low, high) -> str | None:
    there = _lead(a, b, _kindest(a, b, low, high)) > 0
    if isinstance(got, str):
        if got != NO:
            return f"it gave {got!r}; expected a tensor, or {NO!r}"
        return f"you say {NO!r}, but there is a divisor that puts a ahead" if there else None
    divisor = torch.as_tensor(got).double()
    if divisor.shape != a.shape:
        return f"its shape is {tuple(divisor.shape)}, expected a number for each type"
    if not bool(((divisor >= low - 1e-3) & (divisor <= high + 1e-3)).all()):
        return f"it runs from {divisor.min():g} to {divisor.max():g}; expected {low:g} to {high:g}"
    mine, other = (float(100 * (errors / divisor).mean()) for errors in (a, b))
    if mine >= other:
        return f"under it a has an mCE of {mine:.1f} %, and b of {other:.1f} %: a is not ahead"
    return None


DIVISOR = Exercise(
    id="13.5",
    title="who wins is a choice",
    minutes=15,
    difficulty=3,
    stub="""
    def my_divisor(a, b, low, high):
        # a, b: (types,), the errors of two methods in percent, means over severities. mCE divides
        # both by the errors of a third method. Invent that method: give its errors, (types,), each
        # from low to high, such that a has the smaller mCE. If none can do that: "none".
        return TODO
    """,
    reference=my_divisor,
    cases=_worlds,
    judge=_judge_divisor,
    wrong=(
        Wrong(
            lambda a, b, low, high: torch.where(a < b, high, low),
            "it is the wrong way round. mCE divides, so a type on which the third method makes many "
            "errors counts little. Give it few errors where a wins.",
        ),
        Wrong(
            lambda a, b, low, high: torch.full_like(a, high),
            "a divisor that is the same for all types weighs all types alike. Then the method with the "
            "smaller mean error is ahead, whatever the number is.",
        ),
        Wrong(
            lambda a, b, low, high: b.clamp(low, high),
            "you divide by b's own errors. This favours a where b is good, and not where a is better "
            "than b.",
        ),
        Wrong(
            lambda a, b, low, high: _if_ahead(torch.where(a < b, 0.01, 1e4).to(a), a, b),
            "your weights know no limits. The errors have to lie between low and high, so no type "
            "can count more than high / low times as much as another.",
        ),
        Wrong(
            _kindest,
            "this is the best divisor for a, but in some cases even the best is not enough. Compare "
            "the two mCE under it before you return it.",
        ),
        Wrong(
            lambda a, b, low, high: _kindest(a, b, low, high) if bool((a < b).any()) else NO,
            "to win one type is not always enough: a type counts at most high / low times as much as "
            "another. Compare the two mCE under your divisor.",
        ),
        Wrong(
            lambda a, b, low, high: (
                _kindest(a, b, low, high) if float(a.mean()) < float(b.mean()) else NO
            ),
            "you give up where a has the larger mean error. The mean weighs all types alike, and the "
            "divisor can weigh them otherwise.",
        ),
        Wrong(
            lambda a, b, low, high: _if_ahead(_one_type(a, b, low, high), a, b),
            "you favour the one type that a wins most clearly. Favour every type that a wins.",
        ),
    ),
    alternative=_by_linear_program,
    hints=(
        "The difference of the two mCE is the mean of (a - b) / divisor. Each type adds to it by "
        "itself, so look at one type at a time.",
        "Where a wins, a - b is negative, and a small divisor makes it count more. Where a loses, a "
        "large divisor makes it count less.",
        "`divisor = torch.where(a < b, low, high)` is the best that can be done for a. If a is not "
        'ahead under it, the answer is "none".',
    ),
    solution=my_divisor,
    why="mCE is a weighted mean, and the weights are 1 over the errors of the third method. Nothing is "
    "better for a than the extreme divisor, so if that one fails, all fail: this is how a search becomes "
    "a proof. The common wrong turn is to think that mCE treats all types alike because it is a mean "
    "over types. It counts those types most on which the third method is good.",
)

EXERCISES = (SHOT, DISK, COUNT, MCE, DIVISOR)

PREDICTIONS = (
    Prediction(
        "13.A",
        "In Table 14 the student beats the clean baseline on 6 of 19 types. On how many types does "
        "it here (count the means, whatever their errors)?",
        tolerance=1.0,
        digits=0,
    ),
    Prediction(
        "13.B",
        "In which family does the student do best against the clean baseline?",
        options=("noise", "blur", "weather", "digital"),
    ),
)
