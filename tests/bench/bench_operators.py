"""Batched operators against the usual pipeline: image by image, PIL, NumPy and torchvision.

Both start from decoded pictures and end with a corrupted float batch (32, 3, 224, 224) in memory.
The usual way is how such pipelines are written, and how the paper's was: to a tensor, then
`np.random.choice` for the mask, `torch.randn` for the noise, torchvision's GaussianBlur; Pillow for
JPEG, scipy for compressed sensing.
"""

import io
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from scipy import fft
from torchvision.transforms import GaussianBlur, ToTensor

from cinv_lib import data, operators

BATCH, SIDE, THREADS, GOAL = 32, 224, 2, 10.0
GOALS = {"jpeg:50": 0.3, "compressed_sensing:0.9": 1.0}  # against libjpeg's assembly; scipy's FFT
to_tensor = ToTensor()


def usual_mask(picture: Image.Image) -> torch.Tensor:
    """90 % of the pixels to 0."""
    mask = np.ones(SIDE * SIDE, dtype=np.float32)
    mask[np.random.choice(SIDE * SIDE, int(SIDE * SIDE * 0.9), replace=False)] = 0
    return to_tensor(picture) * torch.from_numpy(mask.reshape(1, SIDE, SIDE))


def usual_noise(picture: Image.Image, sigma: float = 0.5) -> torch.Tensor:
    """Noise of sigma .5."""
    x = to_tensor(picture)
    return x + sigma * torch.randn(x.shape)


def usual_blur(picture: Image.Image) -> torch.Tensor:
    """The paper's stronger blur."""
    return GaussianBlur(37, 9.0)(to_tensor(picture))


def usual_mixture(picture: Image.Image) -> torch.Tensor:
    """Blur of sigma 1 to 5, noise of sigma .05 to .5, each with probability .8."""
    x = to_tensor(picture)
    if np.random.rand() < 0.8:
        sigma = np.random.uniform(1, 5)
        x = GaussianBlur(2 * round(2 * sigma) + 1, sigma)(x)
    if np.random.rand() < 0.8:
        x = x + np.random.uniform(0.05, 0.5) * torch.randn(x.shape)
    return x


def usual_jpeg(picture: Image.Image) -> torch.Tensor:
    """Saved at quality 50, and read."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=50, subsampling=0)
    return to_tensor(Image.open(file))


def usual_sensing(picture: Image.Image) -> torch.Tensor:
    """A tenth of the coefficients of the cosine transform, and back by the adjoint."""
    signs = np.random.choice((-1.0, 1.0), (SIDE, SIDE)).astype(np.float32)
    keep = np.random.permutation(SIDE * SIDE).reshape(SIDE, SIDE) >= int(SIDE * SIDE * 0.9)
    seen = keep * fft.dctn(signs * to_tensor(picture).numpy(), axes=(1, 2), norm="ortho")
    return torch.from_numpy(signs * fft.idctn(seen, axes=(1, 2), norm="ortho"))


USUAL = {
    "mask:0.9": (usual_mask, "np.random.choice, an image at a time"),
    "noise:0.5": (usual_noise, "torch.randn, an image at a time"),
    "blur:9": (usual_blur, "torchvision GaussianBlur(37, 9), an image at a time"),
    "blur:1..5@0.8+noise:0.05..0.5@0.8": (usual_mixture, "the two above, an image at a time"),
    "jpeg:50": (usual_jpeg, "Pillow saves and reads, an image at a time"),
    "compressed_sensing:0.9": (usual_sensing, "scipy.fft.dctn, an image at a time"),
}


def rows(rounds: int = 8) -> list[dict]:
    """One mapping an operator; milliseconds an image, the best of `rounds` for both sides."""
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, SIDE, SIDE, 3), dtype=np.uint8)
    pictures = [Image.fromarray(p) for p in pixels]
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        return [_row(name, batch, pictures, rounds) for name in USUAL]
    finally:
        torch.set_num_threads(threads)


def _row(name: str, batch: torch.Tensor, pictures: list[Image.Image], rounds: int) -> dict:
    op, (usual, described) = operators.parse(name), USUAL[name]
    generator = torch.Generator().manual_seed(0)
    ours, theirs = [], []
    for _ in range(rounds + 1):  # by turns, so that a busy moment of the machine hits both
        ours.append(_seconds(lambda: op(data.to_float(batch), generator)))
        theirs.append(_seconds(lambda: torch.stack([usual(p) for p in pictures])))
    ours_ms, theirs_ms = (1e3 / BATCH * min(times[1:]) for times in (ours, theirs))
    return {
        "name": f"{name}, {SIDE} px, ms an image",
        "ours_ms": ours_ms,
        "alternative": described,
        "alternative_ms": theirs_ms,
        "ratio": theirs_ms / ours_ms,
        "goal": GOALS.get(name, GOAL),
    }


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    for row in rows():
        print(
            f"{row['name']:60} {row['ours_ms']:8.3f}   {row['alternative']:52} "
            f"{row['alternative_ms']:8.3f}   x{row['ratio']:5.1f}   (goal x{row['goal']:g})"
        )
