"""Files of weights: read, check, write.

Each way in which a file of weights can be wrong has its own sentence, which names the file, what
was expected, and what to do. Nothing here unpickles arbitrary objects.
"""

import argparse
import os
import pickle
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from open_clip.convert import convert_state_dict
from open_clip.model import convert_to_custom_text_state_dict
from safetensors.torch import load_file
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from cinv_lib.machine.files import whole

# Numbers of numpy's and options, as trainings keep them beside the weights: they run no code.
DTYPES = (
    np.dtypes.Float64DType,
    np.dtypes.Float32DType,
    np.dtypes.Int64DType,
    np.dtypes.Int32DType,
)
_array = np._core.multiarray  # type: ignore[attr-defined]  # numpy's stubs leave it out
BESIDE = (_array.scalar, _array._reconstruct, np.ndarray, np.dtype, *DTYPES, argparse.Namespace)
COUNTER = "num_batches_tracked"
POSITIONS = "text.transformer.embeddings.position_ids"  # kept by old transformers, read by none
PREFIXES = ("module.", "_orig_mod.")  # of DistributedDataParallel and torch.compile


def read(path: str | os.PathLike, beside: Sequence = BESIDE) -> dict[str, Tensor]:
    """Read a state dict: .safetensors, a torch file of tensors, or OpenAI's TorchScript archive.

    `beside`: what a torch file may hold beside tensors, as torch.serialization.safe_globals takes
    it. It takes the place of the default and is not added to it: torch keeps them in a set, so
    that of two entries for one name either could win.

    Raises FileNotFoundError (absent) or ValueError (truncated, or not a file of weights).
    """
    path = Path(path)
    if not path.is_file():
        kind = "a folder, not a file" if path.is_dir() else "absent"
        raise FileNotFoundError(
            f"weights file {path} is {kind}: expected .safetensors or .pt; check the path"
        )
    with path.open("rb") as f:
        head = f.read(64)
    if head.startswith(b"version https://git-lfs"):
        raise ValueError(
            f"{path} is a Git LFS pointer, not the weights themselves: run `git lfs pull`"
        )
    try:
        if not zipfile.is_zipfile(path) and head[8:9] == b"{":  # whatever it is called
            return _named(load_file(path, device="cpu"))
        if is_torchscript(path):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # torch.jit is on its way out
                state = torch.jit.load(path, map_location="cpu").state_dict()
            for key in ("input_resolution", "context_length", "vocab_size"):
                state.pop(key, None)
            return dict(state)
        with torch.serialization.safe_globals(list(beside)), path.open("rb") as file:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as e:
        if "Unsupported global" not in str(e) or not zipfile.is_zipfile(path):
            raise _unreadable(path, e) from e
        raise ValueError(
            f"{path} is whole, but holds more than tensors and numbers, which could run code as it "
            f"is opened ({_first_line(e)}). Where you trust it, save its weights alone: torch.save("
            f"torch.load({str(path)!r}, weights_only=False)['state_dict'], 'weights.pt')"
        ) from e
    except Exception as e:  # damaged bytes come out of the readers as a dozen kinds of error
        raise _unreadable(path, e) from e
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"{path} holds {type(state).__name__}, expected named tensors")
    return _named(state)


def _named(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights without what wrappers of a module put before each name."""
    for prefix in PREFIXES * 2:  # in either order
        if state and all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _unreadable(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"{path} ({path.stat().st_size:,} bytes) is truncated or not a file of weights "
        f"({type(error).__name__}: {_first_line(error)}); copy or download it again"
    )


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    # torch names what it met in a later line
    named = [line.strip() for line in lines if "Unsupported global" in line]
    return (named or lines or [""])[0][:160]


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive, the form OpenAI published CLIP in."""
    if path.suffix == ".safetensors" or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def as_built(clip: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a CLIP under the names and in the shapes that this open_clip builds.

    Older versions, and other programs, have other ones; these are open_clip's own conversions.
    """
    state = convert_state_dict(clip, state)  # MobileCLIP's own names
    if "positional_embedding" in state and not hasattr(clip, "positional_embedding"):
        state = convert_to_custom_text_state_dict(state)
    own = clip.state_dict()
    for key in ("logit_scale", "logit_bias"):  # a number, or a vector of one
        if key in state and key in own and state[key].numel() == own[key].numel():
            state = state | {key: state[key].reshape(own[key].shape)}
    if POSITIONS not in own:
        state = {key: value for key, value in state.items() if key != POSITIONS}
    return state


def load_into(module: nn.Module, state: dict[str, Tensor], path: Path, shape_name: str) -> None:
    """Copy `state` into `module`, all keys and all shapes equal; dtypes are cast.

    Counters of batches, which nothing here reads and old files lack, are 0 as torch fills them in.
    Raises ValueError naming the file, the architecture, and the first keys that do not fit.
    """
    own = module.state_dict()
    counters = {k: torch.zeros_like(v) for k, v in own.items() if k.endswith(COUNTER)}
    state = counters | state
    missing = [k for k in own if k not in state]
    unknown = [k for k in state if k not in own]
    shapes = [
        f"{k}: {tuple(state[k].shape)} in the file, {tuple(own[k].shape)} expected"
        for k in own
        if k in state and own[k].shape != state[k].shape
    ]
    problems = [
        f"{len(keys)} {what} ({'; '.join(keys[:3])}{'; ...' if len(keys) > 3 else ''})"
        for what, keys in (
            ("keys missing", missing),
            ("unknown keys", unknown),
            ("other shapes", shapes),
        )
        if keys
    ]
    if problems:
        raise ValueError(
            f"{path} does not fit {shape_name}: {', '.join(problems)}; "
            f"give the file of this architecture, or the name of the file's architecture"
        )
    bad = [k for k, v in state.items() if v.is_floating_point() and not v.isfinite().all()]
    if bad:
        raise ValueError(f"{path}: {bad[0]} holds NaN or infinity; copy or train it again")
    module.load_state_dict(state)


def write(state: dict[str, Tensor], path: Path, dtype: torch.dtype) -> None:
    """Write safetensors atomically; floating tensors as `dtype`, integers as they are.

    Raises ValueError if a value does not fit `dtype`, OSError if the disk does not take it; the
    file that was there before is then whole.
    """
    stored = {}
    for key, value in state.items():
        value = value.detach().cpu()
        cast = value.to(dtype) if value.is_floating_point() else value
        if not torch.equal(cast.isfinite(), value.isfinite()):
            raise ValueError(f"{key} does not fit {dtype}; save as torch.float32")
        stored[key] = cast.contiguous().clone()
    write_bytes(safetensors_bytes(stored, metadata={"format": "pt"}), path)


def write_bytes(data: bytes, path: Path) -> None:
    """Write a file whole or not at all, in a folder that is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as part, open(part, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
