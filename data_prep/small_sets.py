"""CIFAR-10, CIFAR-100 and STL-10: `python -m data_prep cifar`, `python -m data_prep stl10`.

Downloaded (170 MB each; 2.6 GB), checked against torchvision's digests, read by torchvision, and
kept as uint8 under the data folder. Of STL-10 the probes use the 5,000 labelled training pictures
only, as the authors did; the 100,000 unlabelled ones are a set of their own.
"""

import shutil
from pathlib import Path

import numpy as np
import torch
from torchvision import datasets

from cinv_lib.data import prepared
from cinv_lib.machine.folders import home

from . import download

FROM = {
    "cifar10": "CIFAR-10 (Krizhevsky 2009), cs.toronto.edu/~kriz/cifar.html",
    "cifar100": "CIFAR-100 (Krizhevsky 2009), cs.toronto.edu/~kriz/cifar.html",
    "stl10": "STL-10 (Coates, Lee, Ng 2011), labelled, cs.stanford.edu/~acoates/stl10",
    "stl10-unlabelled": "STL-10 (Coates, Lee, Ng 2011), unlabelled, cs.stanford.edu/~acoates/stl10",
}
CIFAR = {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}  # names in torchvision.datasets


def cifar() -> None:
    """Fetch and keep CIFAR-10 and CIFAR-100, unless they are there."""
    for name, kind in CIFAR.items():
        if _said(name):
            continue
        source = getattr(datasets, kind)
        root = _unpacked(source, name)
        for split in prepared.SPLITS[name]:
            # torchvision unpickles only files whose digests it has checked.
            found = source(str(root), train=split == "train")
            pictures = torch.from_numpy(np.ascontiguousarray(found.data.transpose(0, 3, 1, 2)))
            labels = torch.tensor(found.targets, dtype=torch.int64)
            prepared.write(name, split, pictures, labels, tuple(found.classes), FROM[name])
        shutil.rmtree(root)
        _said(name)


def stl10() -> None:
    """Fetch and keep STL-10, labelled and unlabelled, unless they are there."""
    if _said("stl10") and _said("stl10-unlabelled"):
        return
    root = _unpacked(datasets.STL10, "stl10")
    for split, part in (("train", "train"), ("val", "test")):
        found = datasets.STL10(str(root), split=part)
        labels = torch.from_numpy(found.labels.astype(np.int64))
        pictures = torch.from_numpy(np.ascontiguousarray(found.data))
        prepared.write("stl10", split, pictures, labels, tuple(found.classes), FROM["stl10"])
    pictures = torch.from_numpy(datasets.STL10(str(root), split="unlabeled").data)
    labels, name = torch.zeros(len(pictures), dtype=torch.int64), "stl10-unlabelled"
    prepared.write(name, "train", pictures, labels, ("unlabelled",), FROM[name])
    shutil.rmtree(root)
    for name in ("stl10", "stl10-unlabelled"):
        _said(name)


def _unpacked(source: type, name: str) -> Path:
    """The folder that torchvision reads, unpacked from the archive that was downloaded."""
    archive = home() / "downloads" / source.filename
    download.fetch(source.url, source.tgz_md5, archive)
    root = home() / "downloads" / f"{name}-unpacked"
    download.unpack(archive, root)
    return root


def _said(name: str) -> bool:
    """Whether every split of a set is there and can be read; says so."""
    lines = []
    for split in prepared.SPLITS[name]:
        if not prepared.file_of(name, split).is_file():
            return False
        kept = prepared.read(name, split)
        size = f"{len(kept):,} pictures of {kept.images.shape[-1]} px"
        lines.append(f"OK  {name}/{split}: {size}, {len(kept.class_names)} classes")
        del kept
    print("\n".join(lines))
    return True
