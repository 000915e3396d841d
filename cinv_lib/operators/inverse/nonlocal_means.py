"""Removing noise in pixel space: non-local means, the σ it needs, and how near it comes (Table 7).

A pixel becomes a mean of the pixels around it whose neighbourhoods look alike: edges stay sharp
where a Gaussian would blur them. "Alike" depends on the noise's σ, which is known or estimated.
"""

import math
from concurrent.futures import ThreadPoolExecutor

import torch
import torch.nn.functional as F
from jaxtyping import Float
from skimage.restoration import denoise_nl_means
from torch import Tensor

# Median of |z| for z ~ N(0, 1): a median does not notice the few coefficients that edges make.
MEDIAN_OF_NORMAL = 0.6744897501960817


def non_local_means(
    y: Float[Tensor, "B 3 H W"],
    sigma: float | int | None = None,
    h: float | int = 0.1,
    patch: int = 7,
    distance: int = 11,
) -> Float[Tensor, "B 3 H W"]:
    """scikit-image's `denoise_nl_means` in fast mode, picture by picture, on as many threads as
    torch has. Nothing is clipped, before or after.

    Args:
        sigma: the noise's, where white is 1; None estimates it for each picture, as the authors do.
        h: how unlike a neighbourhood may be. The default is the authors', whatever σ is;
            scikit-image advises .8 σ.
        patch: pixels across a neighbourhood.
        distance: how far away, in pixels, one is looked for.

    Raises:
        ValueError: sigma is negative, h not positive, patch or distance below 1, or y not finite.
    """
    known = sigma is not None
    if known and not 0 <= sigma < math.inf:
        raise ValueError(f"σ is {sigma}; expected 0 or more, or None to estimate it")
    if not 0 < h < math.inf or patch < 1 or distance < 1:
        raise ValueError(
            f"h {h}, patch {patch}, distance {distance}: expected h above 0, the others at least 1"
        )
    if not bool(y.isfinite().all()):
        raise ValueError("pictures are NaN or infinite; expected numbers, [0,1] before the noise")
    sigmas = [float(sigma)] * len(y) if known else estimate_sigma(y).tolist()

    def denoise(picture, sigma):
        same = {"fast_mode": True, "preserve_range": True, "channel_axis": -1}
        return denoise_nl_means(picture, patch, distance, float(h), sigma=sigma, **same)

    pictures = y.detach().permute(0, 2, 3, 1).cpu().contiguous().numpy()
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        cleaned = [torch.from_numpy(one) for one in pool.map(denoise, pictures, sigmas)]
    return torch.stack(cleaned).permute(0, 3, 1, 2).contiguous().to(y) if cleaned else y.clone()


def estimate_sigma(y: Float[Tensor, "B C H W"]) -> Float[Tensor, " B"]:
    """σ of white noise in each picture, the mean over its channels (Donoho and Johnstone, 1994).

    The finest diagonal wavelet coefficients (db2) of a smooth picture are nearly 0, and those of
    noise are noise of the same σ: it is the median of their sizes, over that of N(0, 1). Texture
    makes the estimate too large; noise that was clipped to [0,1] makes it too small, by a third
    at σ = .5. Raises ValueError for pictures smaller than 4 px.
    """
    if min(y.shape[-2:]) < 4:
        raise ValueError(f"pictures have shape {tuple(y.shape)}; expected 4 px or more a side")
    b, c, height, width = y.shape
    taps = high_pass(y)
    kernel = torch.outer(taps, taps)[None, None]
    details = F.conv2d(y.reshape(b * c, 1, height, width), kernel, stride=2)
    # only inside the picture: mirrored borders would count their noise twice
    sizes = details.abs().flatten(1).quantile(0.5, dim=1) / MEDIAN_OF_NORMAL
    return sizes.view(b, c).mean(dim=1)


def high_pass(like: Tensor) -> Float[Tensor, "4"]:
    """Daubechies' filter with two vanishing moments (db2): blind to constants and to ramps."""
    r = math.sqrt(3)
    return torch.tensor([1 - r, r - 3, 3 + r, -1 - r], device="cpu").to(like) / (4 * math.sqrt(2))


def psnr(x: Float[Tensor, "B C H W"], y: Float[Tensor, "B C H W"]) -> Float[Tensor, " B"]:
    """How near pictures in [0,1] are, in decibels: -10 log10 of their mean squared difference.

    Infinite for equal pictures; 20 dB is a difference of .1, root mean square.

    >>> psnr(torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), 0.1))
    tensor([20.])
    """
    return -10 * (x - y).square().mean(dim=(1, 2, 3)).log10()
