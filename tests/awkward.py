"""A folder such as readers have: stickers as files of odd sizes, and everything that goes wrong."""

from pathlib import Path

import numpy as np
from PIL import Image

SIZES = [(64, 64), (97, 71), (70, 131), (201, 90), (50, 45), (128, 127)]


def folder(path: Path, classes: int = 4, each: int = 6) -> Path:
    """`each` readable pictures in each of some subfolders, one broken picture, and what systems
    leave. The first four of the first class are turned, 16-bit, transparent and CMYK."""
    from cinv_lib import data

    stickers = data.load("stickers-100", "train", n=each)
    for label in range(classes):
        name = stickers.class_names[label]
        rows = (stickers.labels == label).nonzero()[:, 0]
        for i, row in enumerate(rows.tolist()):
            pixels = stickers.images[row].permute(1, 2, 0).numpy()
            picture = Image.fromarray(pixels).resize(
                SIZES[i % len(SIZES)], Image.Resampling.BICUBIC
            )
            write(picture, path / name / "deep" / f"{i}", i if label == 0 else 9)
    inside = path / stickers.class_names[0]
    (inside / "broken.jpg").write_bytes((inside / "deep" / "0.jpg").read_bytes()[:500])
    (inside / "._0.jpg").write_bytes(b"a Mac's")
    (inside / ".hidden.png").write_bytes(b"hidden")
    (inside / "Thumbs.db").write_bytes(b"a Windows'")
    (path / "__MACOSX").mkdir()
    (path / "__MACOSX" / "0.png").write_bytes(b"an archive's")
    (path / "notes.txt").write_text("no picture")
    return path


def write(picture: Image.Image, stem: Path, kind: int) -> Path:
    """A picture as a file of one of the awkward kinds, 0 to 3, or as a PNG."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    if kind == 0:  # a phone held upright: lying pixels, with a mark that says how to turn them
        exif = Image.Exif()
        exif[0x0112] = 6
        picture.transpose(Image.Transpose.ROTATE_90).save(
            file := stem.with_suffix(".jpg"), quality=95, exif=exif
        )
    elif kind == 1:
        grey = np.asarray(picture.convert("L")).astype(np.uint16) * 257
        Image.fromarray(grey).save(file := stem.with_suffix(".png"))
    elif kind == 2:
        clear = picture.convert("P")
        clear.save(file := stem.with_suffix(".PNG"), transparency=clear.getpixel((0, 0)))
    elif kind == 3:
        picture.convert("CMYK").save(file := stem.with_suffix(".jpeg"), quality=95)
    else:
        picture.save(file := stem.with_suffix(".png"))
    return file
