"""Exercises of lesson 08: unknown severity."""

import math

import torch

from cinv_lib import operators
from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong
from cinv_lib.experiments import unknown_severity


# -- 8.1 ---------------------------------------------------------------------------------------
def ranges(generator: torch.Generator) -> list[Case]:
    """Many pictures, and ranges that do not start at 0."""
    cases = []
    for n, lo, hi in ((2000, 0.5, 0.95), (3000, 0.1, 0.3), (1500, 1.0, 5.0)):
        seed = int(torch.randint(2**31, (), generator=generator))
        own = torch.Generator().manual_seed(seed)
        cases.append(Case(f"{n} pictures, {lo} to {hi}", (n, lo, hi, own)))
    return cases


def judge_severities(got, n, lo, hi, generator):
    """What is wrong with severities that should be uniform from lo to hi, one for each picture."""
    if not isinstance(got, torch.Tensor) or got.shape != (n,):
        shape = tuple(got.shape) if isinstance(got, torch.Tensor) else f"a {type(got).__name__}"
        return f"it gave {shape}, expected {n} numbers, one for each picture"
    if not bool((got >= lo).all() & (got <= hi).all()):
        return f"it runs from {got.min():.2f} to {got.max():.2f}; expected {lo} to {hi}"
    if got.unique().numel() < n / 2:
        return f"{n} pictures have {got.unique().numel()} different severities"
    if torch.equal(got, got.sort().values):
        return "the severities are in order: no chance is in them"
    u = ((got.double() - lo) / (hi - lo)).sort().values
    off = (u - (torch.arange(n) + 0.5) / n).abs().max().item() * math.sqrt(n)
    if off > 2.2:  # Kolmogorov and Smirnov: once in 10,000 samples
        return "they are in the range, but not uniform over it"
    return None


def my_severities(n, lo, hi, generator):
    return lo + (hi - lo) * torch.rand(n, generator=generator)


SEVERITIES = Exercise(
    id="8.1",
    title="a severity for each picture",
    minutes=4,
    difficulty=1,
    stub="""
    def my_severities(n, lo, hi, generator):
        # n numbers, uniform from lo to hi, each picture its own; chance comes from the generator.
        return TODO
    """,
    reference=lambda n, lo, hi, generator: operators.GaussianNoise((lo, hi)).draw(n, generator),
    cases=ranges,
    judge=judge_severities,
    wrong=(
        Wrong(
            lambda n, lo, hi, generator: (
                lo + (hi - lo) * torch.rand(1, generator=generator).expand(n)
            ),
            "you drew one severity for the whole batch. Draw one per picture, so that every batch has "
            "easy and hard pictures.",
        ),
        Wrong(
            lambda n, lo, hi, generator: hi * torch.rand(n, generator=generator),
            "you start at 0, not at lo. Stretch the numbers to the width hi - lo, then shift them by lo.",
        ),
        Wrong(
            lambda n, lo, hi, generator: lo + hi * torch.rand(n, generator=generator),
            "you stretch by hi, but the range is hi - lo wide. So your severities reach beyond hi.",
        ),
        Wrong(
            lambda n, lo, hi, generator: torch.linspace(lo, hi, n),
            "an even grid is not random: the first picture would always be the easiest.",
        ),
        Wrong(
            lambda n, lo, hi, generator: (
                (lo + hi) / 2 + (hi - lo) / 6 * torch.randn(n, generator=generator)
            ).clamp(lo, hi),
            "you took a normal distribution, which crowds the middle of the range. The paper's "
            "distribution is uniform.",
        ),
    ),
    alternative=lambda n, lo, hi, generator: torch.empty(n).uniform_(lo, hi, generator=generator),
    hints=(
        "`torch.rand(n, generator=generator)` gives n numbers, uniform from 0 to 1.",
        "Stretch them to the width of the range, then shift them to where it begins.",
        "`lo + (hi - lo) * torch.rand(n, generator=generator)`.",
    ),
    solution=my_severities,
    why="The severity is drawn anew for every picture at every step, and the student is not told "
    "which severity was drawn. The common wrong turn is one severity per batch. The severities "
    "are then right on average, but all pictures that the loss compares with each other are "
    "equally ruined.",
)


# -- 8.2 ---------------------------------------------------------------------------------------
def sizes(generator: torch.Generator) -> list[Case]:
    """Shares and two sizes of a picture."""
    cases = [Case("p = 0.96, 224 px and 64 px", (0.96, 224, 64))]
    for side, other in ((224, 64), (64, 224), (32, 48)):
        p = round(0.9 + 0.09 * torch.rand((), generator=generator).item(), 3)
        cases.append(Case(f"p = {p}, {side} px and {other} px", (p, side, other)))
    return cases


def my_same_pixels(p, side, other):
    left = (1 - p) * side**2
    return 1 - left / other**2


SAME_PIXELS = Exercise(
    id="8.2",
    title="as many pixels at another size",
    minutes=5,
    difficulty=1,
    stub="""
    def my_same_pixels(p, side, other):
        # A share p is missing of a picture side x side. Which share has to be missing of one that
        # is other x other, for as many pixels to be left?
        return TODO
    """,
    reference=unknown_severity.same_pixels,
    cases=sizes,
    wrong=(
        Wrong(
            lambda p, side, other: 1 - (1 - p) * side / other,
            "you compare the widths, but a picture has width times height pixels.",
        ),
        Wrong(
            lambda p, side, other: p * side**2 / other**2,
            "with your share, the same number of pixels is missing. The same number of pixels "
            "should be left.",
        ),
        Wrong(
            lambda p, side, other: (1 - p) * side**2 / other**2,
            "this is the share that is left, but the severity is the share that is missing.",
        ),
        Wrong(
            lambda p, side, other: 1 - (1 - p) * other**2 / side**2,
            "you exchanged the two sizes: divide by the size of the other picture.",
        ),
    ),
    alternative=lambda p, side, other: (other**2 - side**2 + p * side**2) / other**2,
    hints=(
        "How many pixels are left of the first picture? Compute a number, not a share.",
        "The second picture has other² pixels. Which share of them is that number? The rest is missing.",
        "`1 - (1 - p) * side**2 / other**2`.",
    ),
    solution=my_same_pixels,
    why="The severity of a mask is a share, but a network sees a number of pixels. The common "
    "wrong turn is to think that .96 is as hard at 64 pixels as at 224 pixels: at 64 pixels, only "
    "one pixel is left for every twelve at 224.",
)


# -- 8.3 and 8.4 -------------------------------------------------------------------------------
def curves(generator: torch.Generator) -> list[Case]:
    """Unevenly spaced severities; curve a begins above curve b and ends below it."""
    cases = []
    for n in (4, 6, 9):
        steps = 0.02 + torch.rand(n, generator=generator, dtype=torch.float64) ** 2
        severities = 0.3 + steps.cumsum(0) / steps.sum() * 0.69
        b = 80 - 70 * torch.rand(n, generator=generator, dtype=torch.float64).sort().values
        fall = torch.rand(n, generator=generator, dtype=torch.float64).sort(descending=True).values
        lead = 12 * (fall - fall[-1]) / (fall[0] - fall[-1]) - 5
        cases.append(Case(f"{n} severities", (severities, b + lead, b)))
    return cases


def my_mean_lead(severities, a, b):
    area = torch.trapezoid(a - b, severities)
    return area / (severities[-1] - severities[0])


MEAN_LEAD = Exercise(
    id="8.3",
    title="the area between two curves",
    minutes=6,
    difficulty=2,
    stub="""
    def my_mean_lead(severities, a, b):
        # Accuracies a and b at increasing severities (n,), not evenly spaced; straight lines in
        # between. The area between the curves, a above b, over the width of the interval.
        return TODO
    """,
    reference=unknown_severity.mean_lead,
    cases=curves,
    wrong=(
        Wrong(
            lambda severities, a, b: (a - b).mean(),
            "this is the mean over the points. Where severities lie close together, it counts them too "
            "often.",
        ),
        Wrong(
            lambda severities, a, b: torch.trapezoid(a - b, severities),
            "this is the area. Divide it by the width of the interval to get a number of points.",
        ),
        Wrong(
            lambda severities, a, b: (
                torch.trapezoid((a - b).abs(), severities) / (severities[-1] - severities[0])
            ),
            "you took absolute values. Where b leads, the area has to count against a.",
        ),
        Wrong(
            lambda severities, a, b: torch.trapezoid(a - b) / (severities[-1] - severities[0]),
            "your trapezoids are all 1 wide: give the severities to `torch.trapezoid` too.",
        ),
        Wrong(
            lambda severities, a, b: (
                ((a - b)[:-1] * severities.diff()).sum() / (severities[-1] - severities[0])
            ),
            "you took the height at the left end of each interval. Between two points the lead follows a "
            "straight line, so its mean is the mean of both ends.",
        ),
    ),
    alternative=lambda severities, a, b: (
        (((a - b)[1:] + (a - b)[:-1]) / 2 * severities.diff()).sum()
        / (severities[-1] - severities[0])
    ),
    hints=(
        "Between two neighbouring severities the area under a - b is a trapezoid: its mean height times "
        "its width.",
        "`torch.trapezoid(heights, places)` adds up the trapezoids.",
        "Divide the area by `severities[-1] - severities[0]`.",
    ),
    solution=my_mean_lead,
    why="This is one number for a whole figure, and it depends little on where somebody happened "
    "to measure. The common wrong turn is the mean over the points: if somebody measures at five "
    "more severities where a method leads, the mean lead of this method grows.",
)


def my_crossing(severities, a, b):
    lead = a - b
    k = int((lead < 0).nonzero()[0, 0])
    share = lead[k - 1] / (lead[k - 1] - lead[k])
    return severities[k - 1] + share * (severities[k] - severities[k - 1])


def _first_below(severities, a, b):
    return int((a - b < 0).nonzero()[0, 0])


def _exchanged(severities, a, b):
    k, lead = _first_below(severities, a, b), a - b
    share = -lead[k] / (lead[k - 1] - lead[k])
    return severities[k - 1] + share * (severities[k] - severities[k - 1])


CROSSING = Exercise(
    id="8.4",
    title="where the lead is lost",
    minutes=8,
    difficulty=2,
    stub="""
    def my_crossing(severities, a, b):
        # Curve a begins above curve b and is below it at the end. At which severity do the
        # straight lines between the points cross first?
        return TODO
    """,
    reference=unknown_severity.crossing,
    cases=curves,
    wrong=(
        Wrong(
            lambda severities, a, b: severities[_first_below(severities, a, b)],
            "this is the first measured severity at which a is below b. The lines cross before it.",
        ),
        Wrong(
            lambda severities, a, b: severities[_first_below(severities, a, b) - 1],
            "this is the last measured severity at which a is above b. The lines cross after it.",
        ),
        Wrong(
            lambda severities, a, b: severities[
                _first_below(severities, a, b) - 1 : _first_below(severities, a, b) + 1
            ].mean(),
            "this is the middle between the two points. The lines cross nearer to the point with the "
            "smaller lead.",
        ),
        Wrong(
            _exchanged,
            "you exchanged the two leads: the crossing is nearer to the point with the smaller lead.",
        ),
    ),
    alternative=lambda severities, a, b: (
        lambda k, d: (severities[k - 1] * d[k] - severities[k] * d[k - 1]) / (d[k] - d[k - 1])
    )(_first_below(severities, a, b), a - b),
    hints=(
        "Look at the lead a - b: between which two severities does it change its sign?",
        "If the lead goes from h > 0 to -g < 0, the line is at 0 after the share h / (h + g) of the way.",
        "`k = int((lead < 0).nonzero()[0, 0])` is the first point below; its neighbour is k - 1.",
    ),
    solution=my_crossing,
    why="The two leads are sides of two similar triangles that meet at the crossing. The library's "
    "`unknown_severity.crossing` also gives NaN where the lead is never lost. The common wrong turn is to "
    "name a measured severity: then the crossing depends on which severities were measured.",
)

EXERCISES = (SEVERITIES, SAME_PIXELS, MEAN_LEAD, CROSSING)

PREDICTIONS = (
    Prediction(
        "8.A",
        "With masks that leave 3 % of the pixels, beyond the range of the training, the paper's student "
        "leads its baseline by 27.6 points. By how many points does the student lead here? (Negative: "
        "the baseline leads.)",
        tolerance=3.0,
        digits=0,
    ),
    Prediction(
        "8.B",
        "Now go the other way, from 50 % missing, the mildest severity that the student has seen, to "
        "30 %. What does the student's accuracy do? (A change of less than one point counts as none.)",
        options=("rises", "stays", "falls"),
    ),
)
