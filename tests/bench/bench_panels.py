"""How long a panel takes to redraw when its slider moves: milliseconds, p95, against 100 ms.

Each redraw is what the reader waits for in Python: embeddings, picture, PNG and text. The student's
panel runs real towers (untrained: it makes no difference to the time).
`python -m tests.bench bench_panels` prints the table.
"""

import time
from collections.abc import Iterator

import ipywidgets as widgets
import numpy as np
import torch

from cinv_lib import encoders, operators
from cinv_lib.data.image_set import ImageSet, to_float
from cinv_lib.evaluation import Gallery
from cinv_lib.plots import panels
from cinv_lib.plots.panels.operators import KINDS
from cinv_lib.plots.panels.panel import Panel
from cinv_lib.plots.panels.sphere import sphere_panel

REDRAWS, GOAL_MS = 40, 100.0


def rows() -> Iterator[dict[str, object]]:
    """One row a panel and slider."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(12, 3, 64, 64, generator=generator)
    S, R = torch.randn(2, 12, 128, generator=generator)
    towers = {
        name: encoders.fresh("stickers-clip", seed=k).eval()
        for k, name in enumerate(("CLIP R", "student S"))
    }
    mask = operators.parse("mask:0.9")
    large = torch.rand(2, 3, 224, 224, generator=generator)
    for name, kind in KINDS.items():
        yield _row("operator", _operator(x[:6], name), kind)
        yield _row("operator, 224 px", _operator(large, name), kind)
    yield _row("common corruptions", _frost((255 * x[:4]).to(torch.uint8)), "severity")
    yield _row("nearest pictures", _nearest(towers, mask), "severity")
    yield _row("map", panels.map_panel(_noise(60), towers, mask, (0.5, 0.75, 0.9)), "severity")
    yield _row("three best", _three_best(x, towers), "severity")
    yield _row("tau", panels.weights_panel(x, x, S, R), "tau")
    yield _row("sphere", sphere_panel(), "turn")


def _operator(x: torch.Tensor, name: str) -> Panel:
    panel = panels.operator_panel(x)
    panel.controls["kind"].value = name
    return panel


def _frost(x: torch.Tensor) -> Panel:
    panel = panels.corruption_panel(x)
    panel.controls["name"].value = "frost"
    return panel


def _noise(count: int) -> ImageSet:
    images = torch.randint(256, (count, 3, 64, 64), dtype=torch.uint8)
    return ImageSet(images, torch.arange(count) % 3, ("a", "b", "c"), "noise", "drawn here")


def _nearest(towers: dict[str, encoders.Encoder], mask: operators.Operator) -> Panel:
    gallery = Gallery.of(_noise(500), towers["CLIP R"])
    x = to_float(_noise(2).images)
    return panels.see_what_the_student_sees(x, ["a", "b"], towers, gallery, mask)


def _three_best(x: torch.Tensor, towers: dict[str, encoders.Encoder]) -> Panel:
    names = tuple(f"class {k}" for k in range(100))
    pictures = ImageSet(
        (255 * x).to(torch.uint8), torch.arange(len(x)), names, "noise", "drawn here"
    )
    heads = torch.randn(towers["CLIP R"].dim, 100, generator=torch.Generator().manual_seed(0))
    models = {name: lambda a, t=tower: t(a) @ heads for name, tower in towers.items()}
    models["baseline"] = models["student S"]
    return panels.three_best(pictures, models, operators.parse("mask:0.5..0.95"))


def _row(name: str, panel: Panel, slider: str) -> dict[str, object]:
    control = panel.controls[slider]
    if isinstance(control, widgets.SelectionSlider):  # its stops, forth and back
        stops = [value for _, value in control.options]
        places = np.array(stops * (REDRAWS // len(stops)))
    else:
        places = np.linspace(control.min, control.max, REDRAWS + 2)
    if isinstance(control, widgets.FloatLogSlider):  # its ends are exponents
        places = control.base**places
    if isinstance(control, widgets.IntSlider):
        places = places.round().astype(int)
    times = []
    for place in places.tolist()[1:]:
        start, before = time.perf_counter(), panel.png
        control.value = place
        if panel.png is not before:
            times.append(1000 * (time.perf_counter() - start))
    slow = float(np.percentile(times, 95))
    return {
        "name": f"{name} panel, slider {slider}, p95 of {len(times)} redraws",
        "ours_ms": slow,
        "alternative": "a live slider",
        "alternative_ms": GOAL_MS,
        "ratio": slow / GOAL_MS,
        "goal": 1.0,
    }


if __name__ == "__main__":
    for row in rows():
        print(f"{row['name']:60} {row['ours_ms']:7.1f} ms (goal {GOAL_MS:g} ms)")
