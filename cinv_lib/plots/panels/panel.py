"""A panel has controls, a picture and a line of text, which one plain function redraws.

The function `render(**values) -> (picture, text)` holds everything that can go wrong, so tests
call it without a browser. The widget around it has no Output widget (whose content is lost in
saved notebooks). Where widgets do not work (GitHub, static HTML, a notebook opened but not run),
the saved output still holds a PNG of the picture and its text. Where `CINV_FRAMES` names a folder,
as in `make course`, it holds frames for the course's pages too (`frames`).
"""

import base64
import html
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure
from PIL import Image

from cinv_lib.plots import style
from cinv_lib.plots.panels import canvas, frames

VIEW = "application/vnd.jupyter.widget-view+json"
Number = int | float
Picture = frames.Picture


def labelled(
    kind: Callable[..., Any],
    label: str,
    *,
    stops: int | Sequence[Any] | None = None,
    words: Callable[[Any], str] | None = None,
    when: tuple[str, Any] | None = None,
    **options: Any,
) -> Any:
    """A control of an ipywidgets class, as wide as the others and with the whole of its label.

    On a page of the course, which has no kernel, it has a few stops only (see `frames`).

    Args:
        stops: these values, the first one among them, or how many.
        words: a value as the page says it.
        when: another control before it, by its name, and the value at which this one counts.
    """
    style, layout = {"description_width": "initial"}, {"width": "28em"}
    control = kind(description=label, style=style, layout=layout, **options)
    control.stops, control.words, control.when = stops, words, when
    return control


def slider(
    label: str,
    low: Number,
    high: Number,
    value: Number,
    step: Number = 0.01,
    **on_a_page: Any,
) -> widgets.FloatSlider | widgets.IntSlider:
    """A slider that redraws while it moves; the arrow keys move it by `step`.

    It counts whole numbers where all four numbers are whole. `on_a_page`: see `labelled`.
    """
    whole = all(isinstance(number, int) for number in (low, high, value, step))
    kind = widgets.IntSlider if whole else widgets.FloatSlider
    return labelled(kind, label, min=low, max=high, value=value, step=step, **on_a_page)


def choice(label: str, options: Sequence[str], value: str | None = None) -> widgets.Dropdown:
    """A menu of names; the arrow keys move through it."""
    return labelled(widgets.Dropdown, label, options=list(options), value=value or options[0])


class Shown(widgets.VBox):
    """A picture with its text, under the controls that a subclass puts above them.

    `text` is what the reader reads, `png` the bytes of the picture; `label` and `picture` are the
    widgets that show them. (ipywidgets' own Image has no alt text, so an <img> is written.)
    """

    def __init__(self, controls: Sequence[widgets.Widget], **options: Any):
        self.text, self.png = "", b""
        self.picture, self.label = widgets.HTML(), widgets.HTML()
        super().__init__([*controls, self.picture, self.label], **options)

    def display(self, picture: Picture, text: str) -> None:
        """Show a picture and its text."""
        self.png = style.png(picture, 1) if isinstance(picture, Figure) else canvas.png(picture)
        width, height = Image.open(BytesIO(self.png)).size
        # Size and synchronous decoding keep the page from jumping while a slider moves.
        self.picture.value = (
            f'<img src="data:image/png;base64,{base64.b64encode(self.png).decode()}" '
            f'alt="{html.escape(text)}" width="{width}" height="{height}" decoding="sync" '
            'style="max-width: 100%; height: auto">'
        )
        self.say(text)

    def say(self, text: str) -> None:
        """Change the text only."""
        self.text = text
        self.label.value = html.escape(text).replace("\n", "<br>")

    def still(self) -> bytes:
        """The PNG for places without widgets: the picture with its text underneath."""
        image = Image.open(BytesIO(self.png)).convert("RGB")
        return canvas.png(canvas.stack([image, canvas.paragraph(self.text, max(image.width, 448))]))

    def film(self, folder: Path) -> dict[str, Any]:
        """Write what a page shows in place of the widget to `folder`; see `frames.film`."""
        raise TypeError(f"{type(self).__name__} needs a kernel")

    def _repr_keys(self) -> Iterator[str]:
        # The repr of a widget holds identifiers that differ from run to run.
        return iter(())

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict, dict]:
        data = super()._repr_mimebundle_(**options)
        data["image/png"] = base64.b64encode(self.still()).decode()
        if folder := os.environ.get(frames.FOLDER):
            try:
                data[frames.MIME] = self.film(Path(folder))
            except Exception as error:  # of any kind: the lesson and its still picture go on
                warnings.warn(f"no moving panel on the page: {error}", stacklevel=2)
        return data, {"image/png": {"alt": self.text}}


class Panel(Shown):
    """Controls by name, and the picture and text that `render(**values)` makes of their values.

    An exception in `render` is written where the text stands and raised again.

    Example:
        >>> from PIL import Image
        >>> def render(size):
        ...     return Image.new("RGB", (size, 10)), f"{size} pixels wide"
        >>> panel = Panel(render, {"size": slider("size", 1, 100, 20, 1)})
        >>> panel.controls["size"].value = 30
        >>> panel.text
        '30 pixels wide'
    """

    def __init__(
        self,
        render: Callable[..., tuple[Picture, str]],
        controls: Mapping[str, widgets.Widget],
    ):
        super().__init__(list(controls.values()))
        self.render, self.controls = render, dict(controls)
        self._drawn: dict[str, Any] | None = None
        for control in self.controls.values():
            control.observe(self._changed, "value")
        self.redraw()

    def values(self) -> dict[str, Any]:
        """The values of the controls now."""
        return {name: control.value for name, control in self.controls.items()}

    def redraw(self) -> None:
        """Draw the present values, unless they are drawn already."""
        values = self.values()
        if values == self._drawn:
            return
        try:
            self.display(*self.render(**values))
        except Exception as error:
            self._drawn = None
            self.say(f"{type(error).__name__}: {error} (the picture shows what was there before)")
            raise
        self._drawn = values

    def film(self, folder: Path) -> dict[str, Any]:
        return frames.film(self.render, self.controls, folder)

    def _changed(self, _change: Any) -> None:
        self.redraw()


def keep_pictures(notebook: dict) -> int:
    """Remove live-widget views from a saved notebook's outputs that hold a picture as well.

    A view means nothing without its kernel: JupyterLab shows "model not found" in its place, and
    shows the picture once the view is gone. Running the cell brings the widget back. Changes
    `notebook` (its JSON) and returns how many outputs it changed.
    """
    changed = 0
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if VIEW in data and "image/png" in data:
                del data[VIEW]
                changed += 1
    return changed
