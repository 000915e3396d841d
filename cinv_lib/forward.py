"""The arithmetic of the forward operators: masks, Gaussian taps, convolution, random numbers.

Plain functions of a whole batch, one severity an image; `operators` puts names to them.
"""

from concurrent.futures import ThreadPoolExecutor

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

IMAGES_PER_STREAM = 8
LARGEST_KEY = torch.iinfo(torch.int64).max


def random_keep(
    missing: Int64[Tensor, " B"], height: int, width: int, generator: Generator | None = None
) -> Bool[Tensor, "B 1 H W"]:
    """True at the pixels to keep: all but exactly `missing[i]`, chosen uniformly in image i.

    Every pixel draws a 63-bit key and the `missing` smallest go: one quickselect, O(H W). (Two
    equal keys at the threshold would spoil the count: once in 10^14 images.)

    >>> random_keep(torch.tensor([3, 5]), 4, 4).sum(dim=(1, 2, 3))
    tensor([13, 11])
    """
    pixels, most = height * width, int(missing.max())
    if most == 0:
        return missing.new_ones((len(missing), 1, height, width), dtype=torch.bool)
    keys = random("random_", (len(missing), pixels), torch.int64, generator, missing.device)
    # kthvalue wants one rank for all rows: an image that loses fewer pixels gets -1s to lose
    extra = torch.arange(most - int(missing.min()), device=keys.device)
    padding = torch.where(extra < (most - missing)[:, None], -1, LARGEST_KEY)
    threshold = torch.cat([keys, padding], dim=1).kthvalue(most, dim=1, keepdim=True).values
    return (keys > threshold).view(-1, 1, height, width)


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


def random(
    method: str,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    generator: Generator | None,
    device: torch.device,
) -> Tensor:
    """A tensor filled by its own in-place `method`: "normal_", or "random_" (63 bits in int64).

    A CPU generator hands out its numbers one after the other, and that is most of the time that
    masks and noise take. So on the CPU every 8 images have a stream of their own, seeded from
    `generator`, and threads fill them. How many threads makes no difference to the numbers.
    """
    source = generator.device if generator is not None else torch.device(device)
    with torch.inference_mode(False):  # threads are not in it, and may not write to its tensors
        out = torch.empty(shape, dtype=dtype, device=source)
    if source.type != "cpu":
        return getattr(out, method)(generator=generator).to(device)
    streams = out.split(IMAGES_PER_STREAM)
    seeds = torch.randint(2**32, (len(streams),), generator=generator).tolist()

    def fill(stream: Tensor, seed: int) -> None:
        getattr(stream, method)(generator=Generator().manual_seed(seed))

    # a pool for each call: one that is kept would hang in forked workers, and costs 0.1 ms less
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        list(pool.map(fill, streams, seeds))
    return out.to(device)


def uniform(
    shape: tuple[int, ...], generator: Generator | None, device: torch.device | str
) -> Float[Tensor, "..."]:
    """Uniform in [0, 1), float64, drawn where the generator lives."""
    source = generator.device if generator is not None else device
    return torch.rand(shape, generator=generator, dtype=torch.float64, device=source).to(device)
