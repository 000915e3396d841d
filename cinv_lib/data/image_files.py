"""Sets of pictures that stay files, decoded when they are asked for: a reader's own folder, or
ImageNet-100 and its kin.

The 126,689 pictures of ImageNet-100 at 224 pixels are 19 GB as uint8 and 76 GB as floats. `decode`
gives some of them as evaluation sees them, `views` gives the random crops of an epoch, decoded by
worker processes.
"""

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from tqdm.auto import tqdm

from cinv_lib.data import listing, reading
from cinv_lib.data.decoding import centre, open_rgb, tensor, upright
from cinv_lib.data.epoch import Loader, Views
from cinv_lib.data.image_set import ImageSet, Labelled
from cinv_lib.data.preprocess import Preprocess


@dataclass(frozen=True)
class ImageFiles(Labelled):
    """Picture files of any size and mode (lesson 18). Raises ValueError where the parts do not fit.

    Args:
        paths: one for each picture.
        labels: 0 .. K-1, indices into class_names (a class may be empty). Without labels they are
            0, and there are no class_names.
        provenance: one sentence on where the pictures come from.
        preprocess: how whole pictures are seen, if they are a reader's own: as the encoder that
            looks at them says, upright, transparency on white. None for the paper's sets, whose
            rule is the paper's (App. D.1).
    """

    paths: tuple[str, ...]
    labels: Int64[Tensor, " N"]
    class_names: tuple[str, ...]
    name: str
    provenance: str
    preprocess: Preprocess | None = None

    def __post_init__(self):
        self._check_labels(len(self.paths))

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        labelled: bool | None = None,
        unreadable: str | None = None,
    ) -> "ImageFiles":
        """All pictures in a folder and its subfolders, which are their classes (lesson 18).

        Every raster format that Pillow opens is taken: grey, 16-bit (divided by 257), palette,
        CMYK, transparent (laid on white), turned as its orientation mark says, the first of several
        frames. Hidden files, `._*`, `__MACOSX` and Thumbs.db are passed over. For HEIC, RAW and
        DICOM an error says how. Files are listed, not opened.

        Args:
            folder: with a subfolder for each class, or with pictures alone: distillation needs no
                labels.
            labelled: whether subfolders are classes. None: if each picture is in one.
            unreadable: "skip" leaves out pictures that cannot be read, with a warning that names
                them; "raise" refuses them. Both decode all of them now. None leaves them out when
                they are first used.

        Raises FileNotFoundError for no such folder, ValueError for one without pictures, with
        pictures both in subfolders and beside them, or for pictures that cannot be read.
        """
        names = listing.pictures_under(folder)
        labels, class_names = listing.classes_of(folder, names, labelled)
        root = os.fspath(folder)
        paths = [os.path.join(root, name) for name in names]
        return cls._own(paths, labels, class_names, Path(folder), unreadable)

    @classmethod
    def from_csv(cls, file: str | Path, unreadable: str | None = None) -> "ImageFiles":
        """The pictures that a CSV file lists, a path and a label (or no labels) in each row.

        Paths are relative to the file's folder; otherwise as `from_folder`.

        Raises FileNotFoundError for a file or pictures that are absent, ValueError for other rows.
        """
        paths, labels, class_names = listing.rows_of(file)
        return cls._own(paths, labels, class_names, Path(file), unreadable)

    @classmethod
    def _own(
        cls,
        paths: Sequence[str],
        labels: Sequence[int],
        class_names: tuple[str, ...],
        source: Path,
        unreadable: str | None,
    ) -> "ImageFiles":
        if unreadable not in (None, "skip", "raise"):
            raise ValueError(f"unreadable {unreadable!r}: expected skip, raise or None")
        numbers = torch.tensor(labels, dtype=torch.int64, device="cpu")
        made = cls(tuple(paths), numbers, class_names, source.resolve().name, "", Preprocess())
        where = f"{len(paths):,} pictures of {source}, names, sizes and times {made.fingerprint}"
        made = replace(made, provenance=where)
        if unreadable == "raise":
            found = reading.facts(made.paths, made.name)
            if any(fact.fault for fact in found):
                says = reading.unreadable(made.name, found)
                raise ValueError(f"{says}. unreadable='skip' leaves them out")
        return made.readable() if unreadable == "skip" else made

    @property
    def fingerprint(self) -> str | None:
        """Of a reader's own files what names, sizes, times and labels say; None for other sets."""
        if self.preprocess is None:
            return None
        return listing.fingerprint(self.paths, self.labels.tolist())

    @property
    def names(self) -> list[str]:
        """The paths without the folder that they have in common."""
        return listing.names_within(self.paths)

    def readable(self, preprocess: Preprocess | None = None, progress: bool = True) -> "ImageFiles":
        """A reader's own pictures without those that cannot be read; other sets as they are.

        All are decoded once, with a progress bar. One warning says what is left out, converted,
        smaller than the encoder takes (`preprocess`), or in two classes.
        Raises ValueError where no picture is left.
        """
        if self.preprocess is None:
            return self
        found, labels = reading.facts(self.paths, self.name, progress), self.labels.tolist()
        good = [i for i, fact in enumerate(found) if not fact.fault]
        if not good:
            raise ValueError(f"{reading.unreadable(self.name, found)}. None is left")
        reading.warn(reading.said(self.name, found, labels, self.class_names, preprocess))
        return self.subset(torch.tensor(good, device="cpu")) if len(good) < len(self) else self

    def seen_as(self, preprocess: Preprocess | None) -> "ImageFiles":
        """A reader's own pictures as an encoder's training saw such; other sets as they are."""
        own = self.preprocess is not None and preprocess is not None
        return replace(self, preprocess=preprocess) if own else self

    def subset(self, indices: Int64[Tensor, " M"]) -> "ImageFiles":
        """The pictures at `indices`, in that order. Raises IndexError for one that is not there."""
        self._check_indices(indices)
        paths = tuple(self.paths[i] for i in indices.tolist())
        return replace(self, paths=paths, labels=self.labels[indices])

    @property
    def images(self) -> "Decoding":
        """Indexed like an ImageSet's uint8 (N, 3, S, S), and decoded when it is."""
        return Decoding(self)

    def decode(
        self,
        indices: Int64[Tensor, " M"] | None = None,
        short: int | None = None,
        crop: int | None = None,
        progress: bool = False,
    ) -> UInt8[Tensor, "M 3 S S"]:
        """Whole pictures as evaluation sees them.

        A reader's own are equal to those of open_clip's transform (`preprocess`), the paper's sets
        to torchvision's Resize(short) and CenterCrop(crop), bilinear and antialiased (App. D.1).

        Args:
            indices: which pictures, None for all.
            short: pixels of the short side; None is 256, and 224 for ImageNet-100C, whose pictures
                are cut already (the authors' code enlarged and cut them a second time).
            crop: pixels of the centre that is cut out; None is 224.
            progress: whether to show a progress bar.

        Raises ValueError for a crop larger than `short`, or a file that is not a whole picture;
        FileNotFoundError for one that is not there.
        """
        if self.preprocess is not None and (short, crop) != (None, None):
            raise ValueError(f"{self.name} is seen as {self.preprocess}: leave out short and crop")
        own, crop = self.preprocess, crop or 224
        if short is None:
            short = 224 if self.name.startswith("imagenet100c/") else 256
        if not 1 <= crop <= short:
            raise ValueError(f"crop {crop}, short side {short}: expected 1 <= crop <= short")
        chosen = self if indices is None else self.subset(indices)
        side = crop if own is None else own.size
        out = torch.empty(len(chosen), 3, side, side, dtype=torch.uint8, device="cpu")

        def place(i: int) -> None:
            path = chosen.paths[i]
            out[i] = tensor(
                centre(open_rgb(path), short, crop) if own is None else own(upright(path))
            )

        # Threads: PIL lets go of the interpreter while it decodes and resizes.
        with ThreadPoolExecutor() as pool:
            done = pool.map(place, range(len(chosen)))
            for _ in tqdm(done, f"decoding {self.name}", len(chosen), disable=not progress):
                pass
        return out

    def views(
        self,
        order: Int64[Tensor, " M"] | Sequence[Int64[Tensor, "_"]],
        batch_size: int | None,
        seed: int,
        epoch: int,
        size: int = 224,
        scale: tuple[float, float] = (0.08, 1.0),
        workers: int = 0,
        pin: bool = False,
    ) -> Loader:
        """An epoch's random resized crops (App. D.1), uint8 (B, 3, size, size), batch by batch.

        The crop of picture i is a function of (seed, epoch, i): it depends neither on the number
        of workers nor on where a resumed epoch begins. Flips are left to data.random_flip.

        Args:
            order: the pictures in the order of the epoch (data.epoch_order), or what is left of it;
                or batches of them, which `batch_size` then leaves as they are.
            scale: share of the area that is kept; (1, 1) for what `decode` gives instead.
            workers: processes that decode; 0 decodes in this one.
            pin: whether batches are put into memory that a GPU copies from.
        """
        batches = order.split(batch_size) if isinstance(order, Tensor) else order
        for batch in batches:
            self._check_indices(batch)
        files = [(path,) for path in self.paths]
        seen = Views(files, seed, epoch, size, scale, self.preprocess)
        return Loader(seen, [batch.tolist() for batch in batches], workers, pin)

    def unreadable(self) -> list[str]:
        """Decode every picture, with a progress bar; returns what is wrong, one sentence for each
        picture that cannot be decoded."""

        def fault(path: str) -> str | None:
            try:
                open_rgb(path) if self.preprocess is None else upright(path)
            except (OSError, ValueError) as e:
                return str(e)
            return None

        with ThreadPoolExecutor() as pool:
            found = list(tqdm(pool.map(fault, self.paths), f"reading {self.name}", len(self)))
        return [sentence for sentence in found if sentence]


class Decoding:
    """The pictures of some files as `ImageFiles.decode` gives them, each time one asks."""

    device = torch.device("cpu")

    def __init__(self, files: ImageFiles):
        self.files = files

    def __getitem__(self, rows) -> UInt8[Tensor, "*rows 3 S S"]:
        chosen = torch.arange(len(self.files), device="cpu")[rows]
        pictures = self.files.decode(chosen.reshape(-1))
        return pictures.reshape(*chosen.shape, *pictures.shape[1:])

    def to(self, device: torch.device | str) -> UInt8[Tensor, "N 3 S S"]:
        """All of them, decoded, on a device."""
        return self[:].to(device)

    def __len__(self) -> int:
        return len(self.files)


def gigabytes(n: int, crop: int = 224) -> int:
    """Memory of n decoded pictures, rounded up."""
    return math.ceil(n * 3 * crop**2 / 1e9)


Pictures = ImageSet | ImageFiles  # in memory, or left on disk
