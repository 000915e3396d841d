"""The panel of the common corruptions (lesson 13): any of the 19 types, from severity 1 to 5."""

import inspect

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from cinv_lib.operators.corruptions import textures
from cinv_lib.operators.corruptions.imagenet_c import FAMILIES, FUNCTIONS, NAMES, corrupt_set
from cinv_lib.operators.corruptions.published import parameters
from cinv_lib.plots.panels import canvas
from cinv_lib.plots.panels.panel import Panel, choice, slider

FIRST, START = "fog", 3  # what is shown before anything is moved


def render_corruption(
    pictures: UInt8[Tensor, "B 3 H W"], name: str, severity: int, seed: int = 0
) -> tuple[Image.Image, str]:
    """Pictures above, the same pictures under the common corruption `name` below.

    The text says what the type does, its strengths, and how far it moved the pixels.

    Args:
        severity: from 1 to 5.
        seed: which draw of the random part.

    Raises:
        ValueError: what `corruptions.corrupt_set` refuses.
    """
    corrupted = corrupt_set(pictures, name, severity, seed)
    change = float((corrupted.float() - pictures.float()).square().mean().sqrt()) / 255
    family = next(family for family, names in FAMILIES.items() if name in names)
    strengths = parameters(name, min(pictures.shape[2:]))[severity - 1]
    says = (inspect.getdoc(FUNCTIONS[name]) or "").partition("\n\n")[0].replace("\n", " ")
    picture = canvas.grid({"x": list(pictures), f"{name}, severity {severity}": list(corrupted)})
    text = (
        f"{name} ({family}): {says}\n"
        f"Severity {severity}: {', '.join(f'{key} {v:.3g}' for key, v in strengths.items())}; "
        f"pixels differ from the clean ones by {change:.3f} (root mean square)."
    )
    return picture, text


def corruption_panel(pictures: UInt8[Tensor, "B 3 H W"], seed: int = 0) -> Panel:
    """A menu of the 19 types and a slider of the severity; `pictures` are uint8."""
    for number in range(len(textures.PANES)):
        textures.pane(number)  # a tenth of a second each, when first drawn: not under the slider
    controls = {
        "name": choice("corruption", NAMES, FIRST),
        "severity": slider("severity", 1, 5, START, 1),
    }

    def render(name, severity):
        return render_corruption(pictures, name, severity, seed)

    return Panel(render, controls)
