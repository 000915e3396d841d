"""Looking up clean pictures: which of a gallery does an encoder find nearest to what it sees?"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from cinv_lib.data.image_set import ImageSet, to_float


@dataclass(frozen=True)
class Found:
    """One picture of a gallery: its pixels, the name of its class, and its cosine to what was
    looked up."""

    picture: UInt8[Tensor, "3 H W"]
    name: str
    cosine: float


@dataclass(frozen=True)
class Gallery:
    """Clean pictures and what the teacher says of each, embedded once; make one by `Gallery.of`.

    A student answers in the teacher's language, so its answers are looked up in the same gallery.
    """

    pictures: ImageSet
    embeddings: Float[Tensor, "N d"]  # of length one

    @classmethod
    def of(cls, pictures: ImageSet, teacher: Any) -> "Gallery":
        """The gallery of these pictures in the eyes of `teacher`: batch in [0, 1] -> (B, d)."""
        with torch.inference_mode():
            rows = torch.cat([teacher(to_float(part)) for part in pictures.images.split(250)])
        return cls(pictures, F.normalize(rows.float().cpu(), dim=1))

    def nearest(self, embedding: Float[Tensor, " d"], count: int = 5) -> list[Found]:
        """The `count` pictures whose embeddings have the largest cosines to this one, best first.

        Raises:
            ValueError: more pictures are asked for than there are, or another length of embedding.
        """
        total, length = self.embeddings.shape
        if not 1 <= count <= total or len(embedding) != length:
            raise ValueError(
                f"{count} nearest to an embedding of {len(embedding)} numbers: expected 1 to "
                f"{total} pictures and {length} numbers"
            )
        cosines = self.embeddings @ F.normalize(embedding.detach().float().cpu(), dim=0)
        best = cosines.topk(count)
        return [
            Found(self.pictures.images[k], self.pictures.class_names[self.pictures.labels[k]], c)
            for k, c in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]
