"""How an encoder's training saw whole pictures: open_clip's `preprocess_cfg`, without its means.

A CLIP that is shown pictures cut in another way answers worse, and nobody is told. So pictures of a
reader's own are seen as their teacher says; the paper's sets keep the paper's rule (App. D.1).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from cinv_lib.data.decoding import centre
from cinv_lib.machine.checks import expect

RULES = ("shortest", "squash", "longest")


@dataclass(frozen=True)
class Preprocess:
    """A picture of any size to a square one, equal to open_clip's own transform.

    Args:
        size: pixels a side.
        resize_mode: "shortest" resizes the short side to `size` and cuts the centre; "squash"
            resizes both sides; "longest" resizes the long side, and fills what is left over.
        interpolation: "bicubic" or "bilinear", antialiased; open_clip's "random" is bicubic.
        fill_color: the grey level, 0 to 255, that "longest" fills with.

    >>> Preprocess(224, "squash")(Image.new("RGB", (640, 480))).size
    (224, 224)
    """

    size: int = 224
    resize_mode: str = "shortest"
    interpolation: str = "bicubic"
    fill_color: int = 0

    def __post_init__(self) -> None:
        ways = ("bicubic", "bilinear", "random")
        expect(
            self,
            size=(self.size >= 1, "at least 1 pixel"),
            resize_mode=(self.resize_mode in RULES, ", ".join(RULES)),
            interpolation=(self.interpolation in ways, "bicubic or bilinear"),
            fill_color=(0 <= self.fill_color <= 255, "a grey level, 0 to 255"),
        )

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Preprocess":
        """What a `preprocess_cfg` says of it; the rest is open_clip's default."""
        names = ("size", "resize_mode", "interpolation", "fill_color")
        return cls(**{name: config[name] for name in names if config.get(name) is not None})

    def at(self, size: int) -> "Preprocess":
        """The same rule for another size."""
        return replace(self, size=size)

    @property
    def resample(self) -> Image.Resampling:
        """The interpolation, as Pillow calls it."""
        bilinear = self.interpolation == "bilinear"
        return Image.Resampling.BILINEAR if bilinear else Image.Resampling.BICUBIC

    def __call__(self, picture: Image.Image) -> Image.Image:
        side = (self.size, self.size)
        if self.resize_mode == "shortest":
            return centre(picture, self.size, self.size, self.resample)
        if self.resize_mode == "squash":
            return picture.resize(side, self.resample)
        ratio = max(picture.size) / self.size
        width, height = (max(1, round(length / ratio)) for length in picture.size)
        whole = Image.new("RGB", side, (self.fill_color,) * 3)
        place = ((self.size - width) // 2, (self.size - height) // 2)
        whole.paste(picture.resize((width, height), self.resample), place)
        return whole

    def enlarges(self, short: int, long: int) -> bool:
        """Whether a picture with these sides has fewer pixels than are asked for."""
        return (long if self.resize_mode == "longest" else short) < self.size
