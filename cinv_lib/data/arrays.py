"""Arrays of a reader's own as pictures and labels; see `ImageSet.from_arrays`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor


def pixels_of(arrays: Any, name: str) -> UInt8[Tensor, "N 3 H W"]:
    """(N, H, W) or (N, H, W, 3) as uint8 RGB. Raises ValueError for what is none."""
    found = np.asarray(arrays.cpu() if isinstance(arrays, Tensor) else arrays)
    if found.ndim not in (3, 4) or (found.ndim == 4 and found.shape[3] != 3) or 0 in found.shape:
        raise ValueError(
            f"{name}: arrays have the shape {found.shape}; expected (N, H, W) of grey or "
            "(N, H, W, 3) of RGB, with a picture at least: move channels to the end, drop an alpha"
        )
    if found.dtype == np.uint16:
        found = ((found.astype(np.uint32) + 128) // 257).astype(np.uint8)  # rounded
    elif found.dtype.kind == "f":
        low, high = float(found.min()), float(found.max())
        if not (low >= 0 and high <= 1):  # `not`: NaN must fail
            raise ValueError(
                f"{name}: floats run from {low:.4g} to {high:.4g}; expected [0,1]: divide by the "
                "value of white"
            )
        found = (found * 255).round().astype(np.uint8)
    elif found.dtype != np.uint8:
        raise ValueError(
            f"{name}: arrays are {found.dtype}; expected uint8, uint16, or floats in [0,1]"
        )
    made = torch.from_numpy(np.ascontiguousarray(found))
    if made.ndim == 3:
        return made[:, None].expand(-1, 3, -1, -1).contiguous()
    return made.permute(0, 3, 1, 2).contiguous()


def labels_of(
    labels: Sequence[Any] | Tensor | np.ndarray | None,
    names: Sequence[str] | None,
    n: int,
    name: str,
) -> tuple[Int64[Tensor, " N"], tuple[str, ...]]:
    """Labels 0 .. K-1 and class names. Raises ValueError where they do not fit."""
    if labels is None:
        if names is not None:
            raise ValueError(f"{name}: classes {list(names)} without labels; expected both")
        return torch.zeros(n, dtype=torch.int64, device="cpu"), ()
    given = labels.tolist() if isinstance(labels, Tensor | np.ndarray) else list(labels)
    if len(given) != n:
        raise ValueError(f"{name}: {len(given)} labels for {n} pictures; expected one for each")
    if all(isinstance(label, str) for label in given):
        known = tuple(sorted(set(given)) if names is None else names)
        if strange := sorted(set(given) - set(known)):
            raise ValueError(f"{name}: label {strange[0]!r}; expected one of {list(known)}")
        given = [known.index(label) for label in given]
    elif not all(isinstance(label, int) and not isinstance(label, bool) for label in given):
        raise ValueError(f"{name}: labels {given[:4]}; expected whole numbers, or names of classes")
    else:
        known = tuple(map(str, range(max(given, default=-1) + 1)) if names is None else names)
    return torch.tensor(given, dtype=torch.int64, device="cpu"), known
