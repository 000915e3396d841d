"""Where things are in a copy of ImageNet (ILSVRC 2012), in the layouts that are about.

Training pictures in folders by class; validation pictures too, or all in one folder ("flat") with
a file that says which class each has. Nothing is changed or copied.
"""

import csv
import re
import tarfile
from collections import defaultdict
from io import BytesIO
from pathlib import Path

from scipy.io import loadmat

from cinv_lib.data.linked import SUFFIXES, pictures_in

PLACES = {  # image-net.org unpacked; Kaggle's download; what some tools make of it
    "train": ("train", "ILSVRC2012_img_train", "ILSVRC/Data/CLS-LOC/train", "Data/CLS-LOC/train"),
    "val": (
        "val", "validation", "ILSVRC2012_img_val", "ILSVRC/Data/CLS-LOC/val", "Data/CLS-LOC/val",
    ),
}  # fmt: skip
ARCHIVES = {"train": "ILSVRC2012_img_train.tar", "val": "ILSVRC2012_img_val.tar"}
KAGGLE = "LOC_val_solution.csv"
SYNSETS = "imagenet_2012_validation_synset_labels.txt"
DEVKIT = "ILSVRC2012_devkit_t12"
TRUTH, META = "data/ILSVRC2012_validation_ground_truth.txt", "data/meta.mat"


def find(imagenet: Path, split: str) -> Path | None:
    """The folder of a split, or None.

    Raises FileNotFoundError when there is no such copy of ImageNet, ValueError when the split is
    still packed; each with what to do.
    """
    if not imagenet.is_dir():
        raise FileNotFoundError(f"--imagenet {imagenet} is no folder: give that of ImageNet")
    for place in PLACES[split]:
        if (imagenet / place).is_dir():
            return imagenet / place
    archive = imagenet / ARCHIVES[split]
    if archive.is_file():
        raise ValueError(
            f"{archive} is still packed. Unpack it, for instance with torchvision (which needs "
            f'{DEVKIT}.tar.gz beside it): python -c "from torchvision.datasets import ImageNet; '
            f"ImageNet('{imagenet}', '{split}')\", then run this again"
        )
    return None


def classes(folder: Path) -> dict[str, Path]:
    """The folders of pictures that are named after a class: wnid -> folder."""
    return {p.name: p for p in sorted(folder.iterdir()) if re.fullmatch(r"n\d{8}", p.name)}


def validation(imagenet: Path, folder: Path) -> dict[str, Path | list[Path]]:
    """The validation pictures of each class: its folder, or, where they lie flat, its pictures.

    Raises FileNotFoundError when they lie flat and no file says what they show.
    """
    found = classes(folder)
    if found:
        return dict(found)
    labels, of = None, defaultdict(list)
    for path in map(Path, pictures_in(folder)):
        number = re.fullmatch(r"ILSVRC2012_val_(\d{8})", path.stem)
        if number:
            labels = labels or flat_labels(imagenet, folder)
            if int(number[1]) not in labels:
                raise ValueError(f"{path}: no class is known of picture {int(number[1])}")
            of[labels[int(number[1])]].append(path)
    if not of:
        raise FileNotFoundError(
            f"{folder} holds neither folders by class (n01558993, ...) nor pictures such as "
            f"ILSVRC2012_val_00000001.JPEG ({', '.join(SUFFIXES)}): is it ImageNet's?"
        )
    return dict(of)


def flat_labels(imagenet: Path, folder: Path) -> dict[int, str]:
    """Number of a validation picture -> wnid, from whichever of the three known files is there.

    Raises FileNotFoundError naming the three.
    """
    if (imagenet / KAGGLE).is_file():
        return _kaggle(imagenet / KAGGLE)
    if (imagenet / SYNSETS).is_file():
        return dict(enumerate((imagenet / SYNSETS).read_text().split(), start=1))
    devkit = _devkit(imagenet)
    if devkit:
        truth, meta = devkit
        table = loadmat(BytesIO(meta), squeeze_me=True)["synsets"]
        wnid = {int(r["ILSVRC2012_ID"]): str(r["WNID"]) for r in table}
        return {i: wnid[int(k)] for i, k in enumerate(truth.split(), start=1)}
    raise FileNotFoundError(
        f"the validation pictures in {folder} lie flat, and nothing says which class each has. Put "
        f"one of these into {imagenet}: {DEVKIT}.tar.gz (image-net.org, packed or not), "
        f"{KAGGLE} (Kaggle), or {SYNSETS} (TensorFlow)"
    )


def _kaggle(file: Path) -> dict[int, str]:
    """Kaggle's table: number of a picture -> wnid. Raises ValueError where it is another."""
    try:
        with file.open(newline="", encoding="utf-8") as f:
            rows = [(r["ImageId"], r["PredictionString"]) for r in csv.DictReader(f)]
        found = {int(name.rsplit("_", 1)[1]): what[:9] for name, what in rows}
        wrong = [what for what in found.values() if not re.fullmatch(r"n\d{8}", what)]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is no class")
    except (ValueError, LookupError, TypeError, AttributeError, csv.Error) as e:
        raise ValueError(
            f"{file} is damaged ({type(e).__name__}: {e}): expected rows such as "
            f"ILSVRC2012_val_00000001,n01751748 ...; download it again"
        ) from e
    return found


def _devkit(imagenet: Path) -> tuple[bytes, bytes] | None:
    """The ground truth and the table of classes in ImageNet's development kit."""
    files = [imagenet / DEVKIT / name for name in (TRUTH, META)]
    if all(file.is_file() for file in files):
        return files[0].read_bytes(), files[1].read_bytes()
    packed = imagenet / f"{DEVKIT}.tar.gz"
    if not packed.is_file():
        return None
    try:
        with tarfile.open(packed) as archive:  # read, not unpacked
            truth, meta = (archive.extractfile(f"{DEVKIT}/{name}") for name in (TRUTH, META))
            return truth.read(), meta.read()
    except (tarfile.TarError, EOFError, KeyError, AttributeError) as e:
        raise ValueError(f"{packed} is damaged ({type(e).__name__}): download it again") from e
