"""The arithmetic of the forward operators: masks, boxes, convolution, resampling, random numbers.

Plain functions of a whole batch with a severity for each image; `operators` puts names to them.
`transforms` has the cosine transform, and what is made of it.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

Rng = Generator | None
Device = torch.device | str
Shape = tuple[int, ...]

NO_FLOAT64 = ("mps",)  # types of devices
IMAGES_PER_STREAM = 8
LARGEST = torch.iinfo(torch.int64).max


def float64_on(device: Device) -> torch.device:
    """Where the float64 numbers of a device are, and what chance decides for it: there. A Mac's GPU
    (MPS) has no float64, and for it that is the CPU.

    >>> float64_on("cpu"), float64_on("mps")
    (device(type='cpu'), device(type='cpu'))
    """
    device = torch.device(device)
    return torch.device("cpu") if device.type in NO_FLOAT64 else device


def random_keep(
    missing: Int64[Tensor, " B"], height: int, width: int, generator: Rng = None
) -> Bool[Tensor, "B 1 H W"]:
    """True at the pixels to keep: all but exactly `missing[i]`, chosen uniformly in image i.

    A full shuffle would spend 64 random bits on every pixel to move a few across a border. Here a
    pixel draws 7 bits. Low ones go and high ones stay; only those within six standard deviations of
    the border are shuffled, and the first of them go, as many as are still needed.

    Raises ValueError where an image has fewer pixels than it is to lose.

    >>> random_keep(torch.tensor([3, 5]), 4, 4).sum(dim=(1, 2, 3))
    tensor([13, 11])
    """
    b, n = len(missing), height * width
    if missing.min() < 0 or missing.max() > n:
        raise ValueError(f"missing pixels are {missing.tolist()}; expected 0 to {n} = H W")
    p = (missing / n)[:, None]
    slack = 6 * (p * (1 - p) / n).sqrt()
    low = (128 * (p - slack)).floor().clamp(0, 128).to(torch.uint8)
    high = (128 * (p + slack)).ceil().clamp(0, 128).to(torch.uint8)
    draws = _bits((b, -(-n // 8)), generator, missing.device).view(torch.uint8)[:, :n] & 127
    gone = draws < low
    unsure = (draws < high) ^ gone
    needed = missing - gone.sum(dim=1, dtype=torch.int32)
    available = unsure.sum(dim=1, dtype=torch.int32)
    if ((needed < 0) | (needed > available)).any():  # once in 10^9 images: all again
        return random_keep(missing, height, width, generator)
    place = torch.arange(int(available.max()), device=missing.device)
    exists = place < available[:, None]
    keys = _bits(tuple(exists.shape), generator, missing.device).masked_fill_(~exists, LARGEST)
    goes = torch.zeros_like(exists).scatter_(1, keys.argsort(dim=1), place < needed[:, None])
    gone[unsure] = goes[exists]
    return ~gone.view(b, 1, height, width)


def box_keep(
    shares: Float[Tensor, " B"], height: int, width: int, generator: Rng = None
) -> Bool[Tensor, "B 1 H W"]:
    """False in one box an image, at a place where it fits, each as likely.

    The box has the image's proportions as closely as whole pixels allow: round(H √p) rows, at least
    one, and as many columns as bring its area closest to p H W; a row more where these would be
    more than the image has. A share p of 0 is no box.

    >>> (~box_keep(torch.tensor([0.25, 0.0]), 8, 12)).sum(dim=(1, 2, 3))
    tensor([24,  0])
    """
    shares = shares.double()
    rows = (height * shares.sqrt()).round().clamp(min=1)
    area = shares * (height * width)
    rows += (area / rows).round() > width
    columns = (area / rows).round()
    u = uniform((len(shares), 2), generator, shares.device)
    top = (u[:, 0] * (height - rows + 1)).floor()
    left = (u[:, 1] * (width - columns + 1)).floor()

    def within(first: Tensor, count: Tensor, side: int) -> Bool[Tensor, "B side"]:
        place = torch.arange(side, device=shares.device)
        return (place >= first[:, None]) & (place < (first + count)[:, None])

    box = within(top, rows, height)[:, :, None] & within(left, columns, width)[:, None, :]
    return ~box[:, None]


def known(y: Float[Tensor, "B 3 H W"]) -> Bool[Tensor, "B 1 H W"]:
    """The pixels of y = A(x) that a mask has left: those that are not black in every channel."""
    return (y != 0).any(dim=1, keepdim=True)


def gaussian_taps(sigmas: Float[Tensor, " B"]) -> Float[Tensor, "B taps"]:
    """Weights of a Gaussian at -r .. r pixels, one row a σ: 0 beyond its own round(2σ), sum 1.

    All rows are as wide as the widest needs, r = round(2 max σ). A row of σ = 0 is a single 1.

    >>> gaussian_taps(torch.tensor([0.5, 0.0]))
    tensor([[0.1065, 0.7870, 0.1065],
            [0.0000, 1.0000, 0.0000]], dtype=torch.float64)
    """
    sigmas = sigmas.double()[:, None]
    radii = (2 * sigmas).round()
    r = int(radii.max())
    offsets = torch.arange(-r, r + 1, device=sigmas.device)
    taps = torch.exp(-0.5 * (offsets / sigmas.clamp(min=1e-6)) ** 2) * (offsets.abs() <= radii)
    return taps / taps.sum(dim=1, keepdim=True)


def convolve(x: Float[Tensor, "B C H W"], taps: Float[Tensor, "B n"]) -> Float[Tensor, "B C H W"]:
    """Convolve image i with `taps[i]` along its rows, then its columns; borders are mirrored.

    n is odd and less than twice the image's side (else F.pad raises RuntimeError).
    """
    (b, c, h, w), n = x.shape, taps.shape[1]
    r = n // 2
    kernels = taps.to(x.dtype).repeat_interleave(c, dim=0)
    # one group a channel of an image: B different kernels in one call
    x = F.pad(x, (r, r, r, r), mode="reflect").reshape(1, b * c, h + 2 * r, w + 2 * r)
    with torch.autocast(x.device.type, enabled=False):  # bf16 would be off by a grey level
        x = F.conv2d(x, kernels.view(-1, 1, 1, n), groups=b * c)
        x = F.conv2d(x, kernels.view(-1, 1, n, 1), groups=b * c)
    return x.view(b, c, h, w)


def lower_resolution(
    x: Float[Tensor, "B C H W"], factors: Float[Tensor, " B"], bicubic: bool = False
) -> Float[Tensor, "B C H W"]:
    """Image i with `factors[i]` times fewer rows and columns, shown again at its full size.

    It has round(H / factor) rows on the way, at least one, and columns likewise. Down by the mean
    over areas and up by the nearest pixel; or both bicubic, without aliasing (weights of a = -1/2).
    Factors up to 1 leave an image as it is.
    """
    height, width = x.shape[-2:]
    full = torch.tensor([[height, width]], device="cpu", dtype=torch.float64)
    factors = factors.double().cpu().clamp(min=1)
    sizes = (full / factors[:, None]).round().clamp(min=1).long()
    y = x.clone()
    with torch.autocast(x.device.type, enabled=False):  # bf16 would be off by a grey level
        for size in sizes[factors > 1].unique(dim=0):
            rows = ((sizes == size).all(dim=1) & (factors > 1)).nonzero()[:, 0].to(x.device)
            low_high = (tuple(size.tolist()), (height, width))
            small = x[rows]
            for to, by in zip(low_high, ("area", "nearest"), strict=True):
                how = {"mode": "bicubic", "antialias": True} if bicubic else {"mode": by}
                small = F.interpolate(small, size=to, **how)
            y[rows] = small
    return y


def normal(
    shape: Shape, dtype: torch.dtype, generator: Rng, device: Device
) -> Float[Tensor, "B ..."]:
    """Standard normal numbers."""
    with torch.inference_mode(False):  # threads are not in it, and may not write to its tensors
        out = _empty(shape, dtype, generator, device)
    if out.device.type != "cpu":
        return out.normal_(generator=generator).to(device)
    streams = out.split(IMAGES_PER_STREAM)
    _in_streams(lambda i, own: streams[i].normal_(generator=own), streams, generator)
    return out.to(device)


def poisson(rates: Float[Tensor, "B ..."], generator: Rng = None) -> Float[Tensor, "B ..."]:
    """Poisson numbers with these means; there are no gradients through them."""
    device, rates = rates.device, rates.detach()
    rates = rates.to(generator.device if generator else float64_on(device))
    if rates.device.type != "cpu":
        return torch.poisson(rates, generator=generator).to(device)
    with torch.inference_mode(False):
        out = torch.empty_like(rates)
        pairs = list(zip(out.split(IMAGES_PER_STREAM), rates.split(IMAGES_PER_STREAM), strict=True))

    def fill(i: int, own: Generator) -> None:
        to, means = pairs[i]
        to.copy_(torch.poisson(means, generator=own))

    _in_streams(fill, pairs, generator)
    return out.to(device)


def _in_streams(
    fill: Callable[[int, Generator], object], streams: Sequence[object], generator: Rng
) -> None:
    """Fill each part of a batch with random numbers from a stream of its own, in threads.

    A CPU generator hands out its numbers one after the other, and that is nearly all the time that
    noise takes. So on the CPU every 8 images have a stream of their own, seeded from `generator`,
    and threads fill them. How many threads makes no difference to the numbers.
    """
    seeds = torch.randint(2**32, (len(streams),), generator=generator, device="cpu").tolist()
    # a pool for each call: one that is kept would hang in forked workers, and save 0.1 ms
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        own = (Generator().manual_seed(seed) for seed in seeds)
        list(pool.map(fill, range(len(streams)), own))


def uniform(shape: Shape, generator: Rng, device: Device) -> Float[Tensor, "..."]:
    """Uniform numbers in [0, 1), float64, on `float64_on(device)`."""
    out = _empty(shape, torch.float64, generator, device)
    return out.uniform_(generator=generator).to(float64_on(device))


def _bits(shape: Shape, generator: Rng, device: Device) -> Int64[Tensor, "..."]:
    """63 random bits in each int64."""
    return _empty(shape, torch.int64, generator, device).random_(generator=generator).to(device)


def _empty(shape: Shape, dtype: torch.dtype, generator: Rng, device: Device) -> Tensor:
    """Memory to draw into, where the generator is: it fills no other device's."""
    place = generator.device if generator else float64_on(device)
    return torch.empty(shape, dtype=dtype, device=place)
