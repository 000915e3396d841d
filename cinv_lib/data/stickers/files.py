"""A folder of stickers as somebody's pictures lie on a disk (lesson 18): files of odd sizes and
formats, a subfolder for each class, with what every real folder has in it: pictures that a camera
has turned, of 16 bits, in a palette, for print, hidden files, and one that was cut short.

It is drawn and written once, to the data folder.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from cinv_lib.data.stickers import drawing, glyphs, sets
from cinv_lib.machine.folders import home

NAME = "stickers-files"
CLASSES = (
    "umbrella", "snowman", "solid star", "lightning", "solid telephone", "hot beverage",
    "shamrock", "skull and crossbones", "radioactive", "yin yang", "solid chess knight",
    "quarter note", "wheelchair", "anchor", "gear", "airplane", "envelope", "snowflake", "house",
    "solid scissors",
)  # fmt: skip
PER_CLASS = 40
SERIES = 8  # of drawn pictures: also the coarse sets', which have other classes
TURNED = 0x0112  # EXIF's tag of the orientation
SPLIT = 0.8, 0  # share of the pictures to train on, and the seed of the choice
CUT = "cut-short.jpg"


def folder() -> Path:
    """Where the pictures are: `PER_CLASS` in the folder of each class, and what lies beside.

    They are drawn and written the first time, in a second folder that is then renamed.
    """
    there = home() / "stickers" / f"{NAME}-{_version()}"
    if not there.is_dir():
        part = there.with_name(f".{there.name}.{os.getpid()}.partial")
        shutil.rmtree(part, ignore_errors=True)
        _write(part)
        try:
            os.replace(part, there)
        except OSError:  # another process was faster
            if not there.is_dir():
                raise
            shutil.rmtree(part)
    return there


def _version() -> str:
    """Changes when the code that draws changes, as that of `sets`."""
    parts = (Path(__file__).with_name(name) for name in ("glyphs.py", "drawing.py", "files.py"))
    return hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()[:10]


def _write(root: Path) -> None:
    number = {name: i for i, name in enumerate(glyphs.glyphs().names)}
    labels = torch.arange(len(CLASSES), device="cpu").repeat(PER_CLASS)
    ids = torch.tensor([number[name] for name in CLASSES], device="cpu")[labels]
    pictures = sets.draw_all(SERIES, ids, train=True)
    chance = drawing.uniforms(SERIES, torch.arange(len(ids), device="cpu"), 40)[:, 32:].numpy()
    for i, (label, pixels) in enumerate(zip(labels.tolist(), pictures, strict=True)):
        into = root / CLASSES[label]
        into.mkdir(parents=True, exist_ok=True)
        picture = _framed(Image.fromarray(pixels.permute(1, 2, 0).numpy()), chance[i])
        awkward = AWKWARD.get(i)
        if awkward is not None:
            awkward(picture, into / f"IMG_{i:04d}")
        else:
            ending = ENDINGS[int(chance[i, 4] * len(ENDINGS))]
            picture.save(into / f"IMG_{i:04d}{ending}", **QUALITY.get(ending, {}))
    _beside(root)


def _framed(sticker: Image.Image, chance: np.ndarray) -> Image.Image:
    """The sticker at another size, with some more of its background on two sides."""
    side = 64 + int(100 * chance[0])
    more = int(0.08 * side * chance[1])
    picture = sticker.resize((side, side), Image.Resampling.BICUBIC)
    pixels = np.asarray(picture)
    wide = ((0, 0), (more, more), (0, 0))
    high = ((more, more), (0, 0), (0, 0))
    return Image.fromarray(np.pad(pixels, wide if chance[2] < 0.6 else high, mode="reflect"))


def _turned(picture: Image.Image, name: Path) -> None:
    """As a telephone held upright writes: the pixels lie on their side, a mark says so."""
    marked = Image.Exif()
    marked[TURNED] = 6  # to be turned clockwise by a quarter
    picture.transpose(Image.Transpose.ROTATE_90).save(name.with_suffix(".JPG"), exif=marked)


def _sixteen_bits(picture: Image.Image, name: Path) -> None:
    grey = np.asarray(ImageOps.grayscale(picture)).astype(np.uint16) * 257
    Image.fromarray(grey).save(name.with_suffix(".png"))


def _palette(picture: Image.Image, name: Path) -> None:
    """A palette of which one colour is not to be seen."""
    picture.quantize(64).save(name.with_suffix(".png"), transparency=63)


def _cmyk(picture: Image.Image, name: Path) -> None:
    picture.convert("CMYK").save(name.with_suffix(".jpeg"), quality=95)


def _grey(picture: Image.Image, name: Path) -> None:
    ImageOps.grayscale(picture).save(name.with_suffix(".tif"))


def _beside(root: Path) -> None:
    """What systems put beside pictures, and one that was cut short when it was copied."""
    first = root / CLASSES[0]
    whole = min(first.glob("*.jpg")).read_bytes()
    (first / CUT).write_bytes(whole[: len(whole) // 2])
    (first / "._IMG_0000.jpg").write_bytes(b"\x00\x05\x16\x07 of a Mac, no picture")
    (first / ".DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1")
    (root / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (root / "notes.txt").write_text("Stickers, drawn and written by cinv_lib.\n", encoding="utf-8")


ENDINGS = (".jpg", ".jpg", ".jpg", ".png", ".png", ".webp", ".bmp", ".tif")
QUALITY: Mapping[str, dict[str, Any]] = {".jpg": {"quality": 92}, ".webp": {"quality": 92}}
Writer = Callable[[Image.Image, Path], None]
AWKWARD: dict[int, Writer] = {  # number of the picture -> how it is written
    **dict.fromkeys((3, 47, 205, 318), _turned),
    **dict.fromkeys((5, 126), _sixteen_bits),
    **dict.fromkeys((8, 151, 402), _palette),
    **dict.fromkeys((11, 333), _cmyk),
    **dict.fromkeys((14, 260, 555), _grey),
}
