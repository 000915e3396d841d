"""The panel of Fig. 2 (lesson 00): how teacher and student embed the same corrupted picture."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from cinv_lib.operators.base import Operator
from cinv_lib.plots.panels import canvas
from cinv_lib.plots.panels.operators import seen, severity_panel
from cinv_lib.plots.panels.panel import Number, Panel


def cosines(
    picture: Float[Tensor, "3 H W"],
    corrupted: Float[Tensor, "3 H W"],
    encoders: Mapping[str, nn.Module],
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Embeddings (d,) by name, and the cosine of each encoder's embedding of A(x) to R(x).

    The first encoder is the teacher R. Its embedding of the clean picture comes first.

    Raises:
        ValueError: fewer than one encoder, one in training mode, or embeddings of unequal length.
    """
    if not encoders:
        raise ValueError("no encoders: expected the teacher first, then others")
    for name, encoder in encoders.items():
        if encoder.training:
            raise ValueError(f"{name} is in training mode: call its .eval() first")
    teacher = next(iter(encoders))
    with torch.inference_mode():
        reference = encoders[teacher](picture[None])[0]
        seen = {name: encoder(corrupted[None])[0] for name, encoder in encoders.items()}
    lengths = {name: len(vector) for name, vector in seen.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"embeddings of unequal length {lengths}: they cannot be compared")
    embeddings = {f"{teacher}, clean picture": reference}
    embeddings |= {f"{name}, corrupted picture": vector for name, vector in seen.items()}
    found = {n: float(F.cosine_similarity(v, reference, dim=0)) for n, v in seen.items()}
    return embeddings, found


def render_student(
    picture: Float[Tensor, "3 H W"],
    encoders: Mapping[str, nn.Module],
    operator: Operator,
    severity: Number,
    draw: int = 0,
) -> tuple[Image.Image, str]:
    """x and A(x), the embeddings of both as strips, and the cosines to R(x) as text.

    Args:
        encoders: the teacher first.
        draw: the seed of the corruption, kept while the severity moves, so that one corruption
            grows.
    """
    at, corrupted = seen(picture, operator, severity, draw)
    embeddings, found = cosines(picture, corrupted, encoders)
    pictures = canvas.grid({f"x and A(x), {at}": [picture, corrupted]})
    image = canvas.beside([pictures, canvas.strips(embeddings)])
    text = ", ".join(f"{name} {cosine:.2f}" for name, cosine in found.items())
    return image, f"{at}: cosine to R(x): {text}"


def see_what_the_student_sees(
    pictures: Float[Tensor, "B 3 H W"], encoders: Mapping[str, nn.Module], operator: Operator
) -> Panel:
    """A severity slider; teacher and student on x and A(x), and how near each is to R(x).

    Args:
        encoders: the teacher first, e.g. {"CLIP R": teacher, "student S": student}, in eval mode.
        operator: its kind is kept, its severity is where the slider starts.
    """
    start = None if isinstance(operator.severity, tuple) else operator.severity

    def render(which, severity):
        return render_student(pictures[which], encoders, operator, severity)

    return severity_panel(render, pictures, str(operator).partition(":")[0], start)
