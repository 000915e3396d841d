"""Pictures with something wrong in them: each is read as RGB, or refused in a sentence."""

import functools
import io
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cinv_lib.data import decoding
from tests.campaign.judge import Outcome, lost, said, survived, unclear
from tests.campaign.trials import Settings, Trial

NUMBER = 2_000
KINDS = {
    "JPEG": ({"quality": 80}, {"progressive": True}, {"subsampling": 0}),
    "PNG": ({}, {"interlace": 1}, {"compress_level": 0}),
    "WEBP": ({}, {"lossless": True}),
    "TIFF": ({}, {"compression": "tiff_lzw"}, {"compression": "tiff_deflate"}),
    "GIF": ({}, {"save_all": True}),
}
MODES = {
    "JPEG": ("RGB", "L", "CMYK"),
    "PNG": ("RGB", "L", "RGBA", "P", "1", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("RGB", "L", "RGBA", "I;16", "F", "CMYK", "1"),
    "GIF": ("P", "L"),
}
READERS = ("open_rgb", "from_file", "upload")


def pictures(settings: Settings) -> Iterator[Trial]:
    """Mutated pictures, of the five formats in turn."""
    number = NUMBER if settings.each is None else settings.each * len(KINDS)
    for i in range(number):
        kind = list(KINDS)[i % len(KINDS)]
        yield Trial("pictures", f"{kind} {i:04}", partial(_mutated, kind), short=True)


@functools.cache
def whole(kind: str, mode: str, option: int) -> bytes:
    """A small picture of a format, of a mode of PIL's."""
    noise = np.random.default_rng(option).integers(0, 256, (37, 41, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((120, 90))
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    elif mode == "F":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.float32) / 255)
    else:
        picture = picture.convert(mode)
    out, more = io.BytesIO(), dict(KINDS[kind][option])
    if mode in ("I;16", "F", "1") and kind == "TIFF":
        more = {}
    if more.pop("save_all", False):
        more |= {"save_all": True, "append_images": [picture.rotate(90)]}
    if kind in ("JPEG", "PNG", "WEBP"):
        exif = Image.Exif()
        exif[0x0112] = 6
        more["exif"] = exif
    picture.save(out, kind, **more)
    return out.getvalue()


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Some bytes are others, are gone, come twice, or a number in the header is huge."""
    new = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        head = chance.random() < 0.5  # where the format says what follows
        at = chance.randrange(max(1, min(len(new), 80 if head else len(new))))
        length = chance.choice([1, 1, 2, 4, 16, 64])
        match chance.randrange(7):
            case 0:
                new[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                new[at : at + length] = chance.randbytes(length)
            case 2:
                del new[at:]
            case 3:
                del new[at : at + length]
            case 4:
                new[at:at] = new[at : at + length]
            case 5:
                new[at : at + length] = bytes([chance.choice([0, 255])]) * length
            case 6:
                new[at : at + 4] = chance.choice([1 << 31, 1 << 16, 70_000, 1]).to_bytes(4, "big")
    return bytes(new)


def _mutated(kind: str, folder: Path, chance: random.Random) -> Outcome:
    mode, option = chance.choice(MODES[kind]), chance.randrange(len(KINDS[kind]))
    data, reader = mutated(whole(kind, mode, option), chance), chance.choice(READERS)
    file = folder / f"picture.{kind.lower()}"
    file.write_bytes(data)
    names = [str(file), "the uploaded file"] if reader == "upload" else [str(file)]
    if reader == "open_rgb":
        found, wrong = said(lambda: decoding.open_rgb(file), names)
        good = wrong or (found.mode == "RGB" and min(found.size) >= 1)
    else:
        source = data if reader == "upload" else file
        found, wrong = said(lambda: decoding.from_file(source, 16), names)
        good = wrong or (
            found.shape == (1, 3, 16, 16)
            and found.dtype == torch.float32
            and bool(((found >= 0) & (found <= 1)).all())
        )
    if file.read_bytes() != data:
        return lost("the picture's file was changed")
    if not good:
        return unclear(f"{reader} gives what is no picture")
    return wrong or survived(f"{reader}, {mode}: read")
