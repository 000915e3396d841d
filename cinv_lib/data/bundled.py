"""Small sets of real pictures that come with installed packages: nothing is downloaded (lesson 09).

Each function takes "train" or "val", which share no picture, and a draw: 0 is a fixed split, and
others are the five folds in turn, of which one is "val" and the rest is "train".
"""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from cinv_lib.data.image_set import ImageSet

SIZE = 64
FOLDS = 5


def digits(split: str, draw: int = 0) -> ImageSet:
    """Ten classes, 1,437 train and 360 validation pictures of 8 x 8 pixels, enlarged to 64.

    The set is in the order of its collection, so the last fifth is largely by other writers than
    the rest: a fairer validation set than a random fifth. Each fold is such a stretch.
    """
    from sklearn.datasets import load_digits  # seconds to import, so only where it is needed

    found = load_digits()
    rows = _rows(1437, len(found.images), split, draw)
    grey = torch.from_numpy(np.asarray(found.images[rows], dtype=np.float32) / 16)
    names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    source = "scikit-learn's load_digits (UCI optical recognition of handwritten digits)"
    labels = torch.from_numpy(found.target[rows].astype(np.int64))
    return ImageSet(_rgb(grey), labels, names, "digits", source)


def faces(split: str, draw: int = 0) -> ImageSet:
    """Two classes, "background" and "face": 140 train and 60 validation pictures of 25 x 25; in
    folds 160 and 40."""
    from skimage.data import lfw_subset

    grey = torch.from_numpy(lfw_subset().astype(np.float32))  # 100 faces, then 100 others
    rows = torch.from_numpy(_rows(70, 100, split, draw))
    rows = torch.stack([rows, rows + 100], dim=1).flatten()  # face, background, face, ...
    source = "scikit-image's lfw_subset (Labeled Faces in the Wild, and crops without faces)"
    names = ("background", "face")
    return ImageSet(_rgb(grey[rows]), (rows < 100).long(), names, "faces", source)


def _rows(cut: int, n: int, split: str, draw: int) -> Int64[np.ndarray, " M"]:
    """Those of n pictures that a split has: draw 0 trains on the first `cut`."""
    rows = np.arange(n)
    fold = np.array_split(rows, FOLDS)[draw % FOLDS] if draw else rows[cut:]
    return fold if split == "val" else np.setdiff1d(rows, fold)


def _rgb(grey: Float[Tensor, "N h w"]) -> UInt8[Tensor, "N 3 64 64"]:
    size = [SIZE, SIZE]
    big = F.interpolate(grey[:, None], size, mode="bicubic", align_corners=False)
    return (big.clamp(0, 1) * 255).round().to(torch.uint8).expand(-1, 3, -1, -1).contiguous()


SETS = {"digits": digits, "faces": faces}
