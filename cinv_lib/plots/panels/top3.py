"""The panel of Figure 1 (lesson 08): how models name one picture while its severity moves."""

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from cinv_lib.data.image_set import ImageSet, to_float
from cinv_lib.experiments import spoken
from cinv_lib.operators.base import Operator
from cinv_lib.plots.panels import canvas
from cinv_lib.plots.panels.operators import seen, severities, severity_panel
from cinv_lib.plots.panels.panel import Number, Panel
from cinv_lib.plots.style import colour

Model = Callable[[Float[Tensor, "B 3 H W"]], Float[Tensor, "B K"]]  # A(x) to logits
WIDTH, BAR = 280, 9  # pixels of a bar for probability 1


def best(
    model: Model, corrupted: Float[Tensor, "3 H W"], names: Sequence[str], k: int = 3
) -> list[tuple[str, float]]:
    """The k most probable names and their probabilities in [0,1], the most probable first.

    Raises ValueError where there are not as many logits as names.
    """
    with torch.inference_mode():
        logits = model(corrupted[None])[0]
    if len(logits) != len(names):
        raise ValueError(f"{len(logits)} logits for {len(names)} names: expected one a name")
    top = logits.softmax(0).topk(min(k, len(names)))
    return [(names[i], p) for i, p in zip(top.indices.tolist(), top.values.tolist(), strict=True)]


def bars(guesses: Sequence[tuple[str, float]], tone: str, truth: str) -> Image.Image:
    """Names with their probability, and a bar under each, filled where the name is right."""
    rows = []
    for name, probability in guesses:
        bar = Image.new("RGB", (WIDTH + 1, BAR + 3), "white")
        box = (0, 0, round(WIDTH * probability), BAR)
        ImageDraw.Draw(bar).rectangle(box, fill=tone if name == truth else "white", outline=tone)
        rows += [canvas.line(f"{100 * probability:.0f} % {name}", WIDTH), bar]
    return canvas.stack(rows)


def render_top3(
    picture: Float[Tensor, "3 H W"],
    truth: str,
    names: Sequence[str],
    models: Mapping[str, Model],
    operator: Operator,
    severity: Number,
    draw: int = 0,
) -> tuple[Image.Image, str]:
    """A(x) and the three best names of each model, as bars; as text the best one and its place.

    Args:
        truth: the right name.
        names: of all classes, in the order of the logits.
        draw: the seed of the corruption, kept while the severity moves, so that one corruption
            grows.

    Raises:
        ValueError: a model whose logits are not as many as `names`, or no such severity.
    """
    made, corrupted = seen(picture, operator, severity, draw)
    at = spoken.at(str(made), severity)
    columns, said = [canvas.grid({f"A(x), {at}": [corrupted]})], []
    for k, (model, classify) in enumerate(models.items()):
        guesses = best(classify, corrupted, names)
        columns.append(canvas.stack([canvas.line(model), bars(guesses, colour(model, k), truth)]))
        name, probability = guesses[0]
        mark = "right" if name == truth else "wrong"
        said.append(f"{model}: {name}, {100 * probability:.0f} % ({mark})")
    return canvas.beside(columns), f"{at}, {truth}. " + "; ".join(said) + "."


def three_best(
    images: ImageSet, models: Mapping[str, Model], operator: Operator, draw: int = 0
) -> Panel:
    """A severity slider over the pictures of `images`; the three best names of each model.

    Args:
        models: name -> function of A(x) (unclipped) that gives logits over all classes, in eval
            mode.
        operator: its kind is kept; the slider starts at its severity, or in the middle of its
            range.
    """
    kind, pictures = str(operator).partition(":")[0], to_float(images.images)
    step = severities(kind, pictures.shape[-1])[-1]
    start = round(round(sum(operator.bounds) / 2 / step) * step, 4)

    def render(which, severity):
        names, truth = images.class_names, images.class_names[images.labels[which]]
        return render_top3(pictures[which], truth, names, models, operator, severity, draw)

    return severity_panel(render, pictures, kind, start)
