"""The map of embeddings as a panel (lesson 00): three classes on a plane, at any severity."""

from collections.abc import Mapping, Sequence

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from torch import nn

from cinv_lib.data.image_set import ImageSet, to_float
from cinv_lib.experiments import spoken
from cinv_lib.operators.base import Operator
from cinv_lib.plots.panels.panel import Panel, labelled
from cinv_lib.plots.plane import Plane, embedding_map, nearer


def map_panel(
    pictures: ImageSet,
    encoders: Mapping[str, nn.Module],
    operator: Operator,
    severities: Sequence[float],
) -> Panel:
    """Pictures of three classes on the plane through the classes' means of R(x), and where teacher
    and student put the ruined ones. All is embedded beforehand, so that the slider need not wait.

    The plane and the axes stay while the slider moves.

    Args:
        pictures: of three classes.
        encoders: the teacher R and the student S, in this order, in eval mode.
        operator: its kind is kept, its severity is where the slider starts: one of `severities`.
        severities: the slider's stops.

    Raises:
        ValueError: not two encoders, or pictures of other than three classes.
    """
    present = pictures.labels.unique()
    if len(encoders) != 2 or len(present) != 3:
        raise ValueError(
            f"{len(encoders)} encoders and {len(present)} classes: expected teacher and student, "
            "and pictures of three classes"
        )
    x, (teacher, student) = to_float(pictures.images), encoders.values()
    names = [pictures.class_names[k] for k in present.tolist()]
    labels = torch.searchsorted(present, pictures.labels)
    with torch.inference_mode():
        clean = teacher(x)
        plane, looks = Plane.of(clean, labels), {}
        for severity in severities:
            ruined = operator.at(severity)(x, torch.Generator(x.device).manual_seed(0))
            looks[severity] = plane(teacher(ruined)), plane(student(ruined))
        places = plane(clean)

    def render(severity):
        at, found = spoken.at(str(operator), severity), nearer(places, *looks[severity])
        picture = _drawn(places, *looks[severity], labels, names, f"{at}: {found}")
        return picture, (
            f"{at}: {found} (mean distance on the map). The map keeps all of what the "
            f"three classes' means differ in, and {100 * plane.of_all:.0f} % of the spread of all "
            f"{len(x)} R(x)."
        )

    stops = [(f"{severity:g}", severity) for severity in severities]
    start = operator.severity if operator.severity in severities else severities[0]
    slider = labelled(widgets.SelectionSlider, "severity", options=stops, value=start)
    return Panel(render, {"severity": slider})


def _drawn(*arguments) -> Image.Image:
    """The map at one pixel for each of the page: a sharper one would keep the slider waiting."""
    canvas = FigureCanvasAgg(embedding_map(*arguments))
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    return picture.quantize(64, dither=Image.Dither.NONE).convert("RGB")  # lines need few colours
