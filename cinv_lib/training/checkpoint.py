"""A training's state on disk: written whole or not at all, checked when read, refused when foreign.

The file is what `torch.save` writes, so `torch.load(path, weights_only=True)` opens it anywhere.
"""

import hashlib
import io
import os
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write `state` to `path` atomically: the earlier file stays whole until the new one is.

    Raises:
        OSError: the disk is full or not writable. The earlier checkpoint is untouched.
    """
    partial = path.with_name(f".{path.name}.partial")  # one name: a killed write is overwritten
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "wb") as file:
            torch.save(dict(state), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        kept = f"The earlier checkpoint {path} is intact." if path.exists() else "None was there."
        raise OSError(
            error.errno,
            f"Could not write the checkpoint {path}: {error.strerror or error}. {kept} "
            "Free some space (or choose another folder) and run the same call again: it resumes",
        ) from error
    finally:
        partial.unlink(missing_ok=True)  # after a success it is gone already


def load(path: Path, spec: Mapping[str, str]) -> dict[str, Any] | None:
    """The state saved at `path`, on the CPU; None where there is none or it is damaged (warns).

    Args:
        spec: what this training is, as words; must equal the `spec` that was saved.

    Raises:
        ValueError: the checkpoint is another training's; the message names each difference.
    """
    if not path.exists():
        return None
    data = io.BytesIO(path.read_bytes())
    try:
        with zipfile.ZipFile(data) as archive:  # torch.load does not look at the checksums
            if (wrong := archive.testzip()) is not None:
                raise ValueError(f"checksum of {wrong} is wrong")
            # What is marked as a folder torch does not read: its tensor has whatever was in memory.
            if marked := [one.filename for one in archive.infolist() if one.external_attr & 0x10]:
                raise ValueError(f"{marked[0]} is marked as a folder")
        data.seek(0)
        state = torch.load(data, map_location="cpu", weights_only=True)
        saved = dict(state["spec"])
    except Exception as error:  # whatever is wrong with it, training can start again without it
        warnings.warn(
            f"The checkpoint {path} is damaged ({type(error).__name__}: {error}). "
            "It is ignored, and training starts again from step 0.",
            stacklevel=2,
        )
        return None
    keys = [*spec, *(key for key in saved if key not in spec)]
    differences = [
        f"{key} is {saved.get(key, 'absent')} there and {spec.get(key, 'absent')} here"
        for key in keys
        if saved.get(key) != spec.get(key)
    ]
    if differences:
        raise ValueError(
            f"The checkpoint {path} belongs to another training: {'; '.join(differences)}. "
            "Give this one another path, or delete that file to start afresh."
        )
    return state


def fingerprint(tensors: Iterable[Tensor]) -> str:
    """Twelve hexadecimal digits that depend on every bit, dtype and shape of `tensors`."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]
