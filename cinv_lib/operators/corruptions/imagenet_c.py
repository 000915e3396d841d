"""Common corruptions: the 19 types and 5 severities of ImageNet-C (paper, App. D.8 and Table 14).

After Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations" (ICLR 2019), with the published parameters for 224, 64 and 32 pixels. Unlike the
operators A of the course they are no part of the training: nobody tells the student of them.

>>> picture = np.full((64, 64, 3), 128, dtype=np.uint8)
>>> corrupt(picture, "fog", 3, np.random.default_rng(0)).shape
(64, 64, 3)

Everything is as published, to a grey level, except frost, whose photographs are not ours to pass on
(`textures` draws others). Pictures that are not square, and other sides, are our addition.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cinv_lib.operators.corruptions import blur, digital, noise, weather
from cinv_lib.operators.corruptions.published import parameters

FAMILIES = {
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "gaussian_blur"),
    "weather": ("snow", "frost", "fog", "brightness", "spatter"),
    "digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression", "saturate"),
}
NAMES = tuple(name for names in FAMILIES.values() for name in names)
EXTRA = ("speckle_noise", "gaussian_blur", "spatter", "saturate")  # a family of its own in Table 14
BATCH = 64  # pictures that a process hands over at once
SMALLEST = 16  # pixels; no set is published below 32
ROOMS = {"noise": noise, "blur": blur, "weather": weather, "digital": digital}
FUNCTIONS = {name: getattr(ROOMS[room], name) for room in ROOMS for name in FAMILIES[room]}


def corrupt(
    image: np.ndarray,
    name: str,
    severity: int,
    generator: np.random.Generator,
    *,
    side: int | None = None,
    published: bool = False,
) -> UInt8[np.ndarray, "H W 3"]:
    """One picture, uint8 (H, W, 3), corrupted by the type `name` at a severity from 1 to 5.

    side: whose parameters, those published for 224, 64 or 32 pixels; None takes the nearest to the
    picture's shorter side. published: compress the result as JPEG of quality 85 in addition, as
    the files of ImageNet-C and Tiny-ImageNet-C are (those of CIFAR-10-C are not).
    Fractions of grey levels are cut off, not rounded, as in the published code.

    Raises ValueError for an unknown name, another severity, or a picture that is not uint8
    (H, W, 3) with sides of 16 pixels or more.
    """
    if not (isinstance(image, np.ndarray) and image.dtype == np.uint8):
        raise ValueError(
            f"picture is {_kind(image)}; expected a numpy array of uint8: multiply [0,1] by 255"
        )
    if image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < SMALLEST:
        raise ValueError(
            f"picture has shape {image.shape}; expected (H, W, 3), sides of {SMALLEST} or more"
        )
    strength = _strength(name, severity, min(image.shape[:2]) if side is None else side)
    y = FUNCTIONS[name](image, generator, **strength)
    if y.dtype != np.uint8:
        y = np.clip(y, 0, 255).astype(np.uint8)
    return digital.jpeg_compression(y, generator, 85) if published else y


def corrupt_set(
    images: Tensor,
    name: str,
    severity: int,
    seed: int,
    *,
    first: int = 0,
    side: int | None = None,
    published: bool = False,
    workers: int = 0,
) -> UInt8[Tensor, "N 3 H W"]:
    """Pictures, uint8 (N, 3, H, W), each corrupted as by `corrupt`.

    Picture i draws from a generator of its own, a function of (seed, name, severity, first + i),
    so it is the same in whatever batch. first: the number of the first picture. workers: processes
    that share the work, none for this one alone.
    Raises ValueError as `corrupt` does, and for a negative seed or first.

    >>> from dataclasses import replace
    >>> from cinv_lib.data.catalogue import load
    >>> clean = load("digits", "val", 2)
    >>> foggy = replace(clean, images=corrupt_set(clean.images, "fog", 3, seed=0))
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3 or not len(images):
        raise ValueError(f"pictures are {_kind(images)}; expected uint8 (N, 3, H, W), N > 0")
    if seed < 0 or first < 0:
        raise ValueError(f"seed {seed}, first picture {first}: expected 0 or more")
    _strength(name, severity, min(images.shape[2:]))
    pictures = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()

    each = Corrupted(pictures, name, severity, seed, first, side, published)
    # In threads it takes as long: too much GIL. A loader's processes are what decodes files, too.
    loader = DataLoader(
        each, BATCH, num_workers=workers, generator=torch.Generator(), worker_init_fn=_one_thread
    )
    corrupted = torch.empty(images.shape, dtype=torch.uint8, device="cpu")
    with torch.device("cpu"):  # copied as they come, as shared memory is small
        for part, into in zip(loader, corrupted.split(BATCH), strict=True):
            into.copy_(part.permute(0, 3, 1, 2))
    return corrupted


def _one_thread(worker: int) -> None:
    """A process of several: OpenCV would use all cores in each, and its threads survive no fork."""
    cv2.setNumThreads(0)


@dataclass(frozen=True)
class Corrupted(Dataset):
    """The pictures of `corrupt_set`, each made when one asks for it, in whatever process."""

    pictures: UInt8[np.ndarray, "N H W 3"]
    name: str
    severity: int
    seed: int
    first: int
    side: int | None
    published: bool

    def __getitem__(self, i: int) -> UInt8[Tensor, "H W 3"]:
        key = [self.seed, NAMES.index(self.name), self.severity, self.first + i]
        x, generator = self.pictures[i], np.random.default_rng(key)
        side, published = self.side, self.published
        y = corrupt(x, self.name, self.severity, generator, side=side, published=published)
        return torch.from_numpy(y)

    def __len__(self) -> int:
        return len(self.pictures)


def _strength(name: str, severity: int, side: int) -> dict[str, float | int]:
    rows = parameters(name, side)
    if severity not in range(1, 6):
        raise ValueError(f"severity of {name} is {severity}; expected 1, 2, 3, 4 or 5")
    return rows[severity - 1]


def _kind(x: object) -> str:
    return f"{x.dtype} {tuple(x.shape)}" if hasattr(x, "dtype") else type(x).__name__
