"""Downloaded sets of small pictures, CIFAR and STL-10, kept as uint8 under the data folder.

`python -m data_prep cifar` and `stl10` fetch and check them; here they are read, never fetched.
Pictures keep their own size (32 or 96 pixels): evaluation enlarges them one batch at a time.
"""

import json
from pathlib import Path

import safetensors
from jaxtyping import Int64, UInt8
from safetensors.torch import save_file
from torch import Tensor

from cinv_lib.data.image_set import ImageSet
from cinv_lib.machine.files import whole
from cinv_lib.machine.folders import home

# name -> the command that makes it, and its splits. STL-10's 100,000 unlabelled pictures serve to
# distil a student, which needs no labels: all of them have label 0.
COMMAND = {
    "cifar10": "python -m data_prep cifar",
    "cifar100": "python -m data_prep cifar",
    "stl10": "python -m data_prep stl10",
    "stl10-unlabelled": "python -m data_prep stl10",
}
SPLITS = {name: ("train", "val") for name in COMMAND} | {"stl10-unlabelled": ("train",)}


def file_of(name: str, split: str) -> Path:
    """Where a split is kept, or would be."""
    return home() / name / f"{split}.safetensors"


def read(name: str, split: str) -> ImageSet:
    """A split, as it was written.

    Raises ValueError (no such split; a damaged file) or FileNotFoundError, with the command that
    makes it.
    """
    if split not in SPLITS[name]:
        raise ValueError(f"{name} has no split {split!r}; it has {', '.join(SPLITS[name])}")
    path = file_of(name, split)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is absent: run `{COMMAND[name]}` to fetch {name}")
    try:
        with safetensors.safe_open(path, framework="pt") as saved:
            known = saved.metadata() or {}
            images, labels = saved.get_tensor("images"), saved.get_tensor("labels")
        names, source = tuple(json.loads(known["class_names"])), known["provenance"]
    except (safetensors.SafetensorError, KeyError) as e:
        raise ValueError(
            f"{path} is damaged ({e}): delete it, and run `{COMMAND[name]}` again"
        ) from e
    return ImageSet(images, labels, names, name, source)


def write(
    name: str,
    split: str,
    images: UInt8[Tensor, "N 3 H W"],
    labels: Int64[Tensor, " N"],
    class_names: tuple[str, ...],
    provenance: str,
) -> Path:
    """Keep a split so that `read` gives it back; the file is written whole or not at all."""
    path = file_of(name, split)
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"class_names": json.dumps(class_names), "provenance": provenance}
    with whole(path) as part:
        # By file, not by bytes: the unlabelled pictures of STL-10 are 2.8 GB.
        save_file({"images": images.contiguous(), "labels": labels}, part, metadata=facts)
    return path
