"""Figures: what they draw is read back from their axes, and their files as pictures."""

import base64
import doctest
import io

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.container import BarContainer
from PIL import Image, ImageColor

from cinv_lib import paper, plots
from cinv_lib.plots import curves
from cinv_lib.plots.style import OKABE_ITO, single


class Shade:
    """Stand-in operator: multiplies by 1 - severity and shows which random numbers it drew."""

    def __init__(self, severity=0.0):
        self.severity = severity

    def at(self, severity):
        return Shade(severity)

    def __call__(self, x, generator):
        return x * (1 - self.severity) * torch.rand(x.shape, generator=generator)


@pytest.fixture
def images():
    return torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def bars_of(ax):
    return [c for c in ax.containers if isinstance(c, BarContainer)]


def luminance(hex_colour):
    channels = [int(hex_colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_palette_is_okabe_ito_and_every_method_of_the_paper_has_a_colour():
    published = "000000 E69F00 56B4E9 009E73 F0E442 0072B2 D55E00 CC79A7"
    assert " ".join(c.removeprefix("#") for c in plots.OKABE_ITO.values()) == published
    for method in ("student", "student_10", "baseline", "clip", "zero_shot", "clean_classifier"):
        assert method in paper.METHODS and method in plots.METHOD_COLOURS
    five = [plots.colour(m) for m in ("st", "ss", "sb", "nt", "mse")]
    assert len(set(five)) == 5
    used = {plots.colour(m) for m in plots.METHOD_COLOURS}
    # 1.05 / (L + .05) is the contrast to white of the accessibility guidelines.
    assert min(1.05 / (luminance(c) + 0.05) for c in used) > 2
    assert plots.colour("other", 0) != plots.colour("other", 1)


def test_pixels_clip_and_keep_integers():
    image = torch.tensor([-1.0, 0.5, 2.0]).expand(3, 2, 3)
    shown = plots.pixels(image)
    assert shown.shape == (2, 3, 3) and shown.dtype == np.uint8
    assert shown[0, :, 0].tolist() == [0, 128, 255]
    whole = torch.arange(12, dtype=torch.uint8).reshape(3, 2, 2)
    assert (plots.pixels(whole) == whole.permute(1, 2, 0).numpy()).all()
    with pytest.raises(ValueError, match=r"\(1, 4, 4\).*\(3, H, W\)"):
        plots.pixels(torch.zeros(1, 4, 4))


def test_show_gives_a_sharp_picture_and_its_alt_text(images, monkeypatch, capsys):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *a, **kw: shown.append((*a, kw)))
    plots.show(plots.image_grid(images[:1]), "one picture")
    assert capsys.readouterr().out == ""
    ((data, options),) = shown
    assert data["text/plain"] == "Figure" and options["raw"] is True
    of_png = options["metadata"]["image/png"]
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert of_png["alt"] == "one picture" and picture.format == "PNG"
    assert picture.size == (2 * of_png["width"], 2 * of_png["height"])
    fig = plots.training_curves("S", pd.DataFrame({"epoch": [0], "step": [0], "loss": [2.0]}))
    plots.show(fig, "a line:")
    said = shown.pop()[1]["metadata"]["image/png"]["alt"]
    assert said == "a line: In 1 steps the loss goes from 2.0 to 2.0"
    for alt in ("", "  ", "two\nlines"):
        with pytest.raises(ValueError, match="one line"):
            plots.show(plots.image_grid(images[:1]), alt)


def test_the_same_figure_gives_the_same_bytes(images):
    first, second = (plots.png(plots.image_grid(images, columns=3)) for _ in range(2))
    assert first == second and b"matplotlib" not in first.lower()


def test_a_figure_without_pictures_has_a_palette_and_the_colours_that_were_drawn(images):
    fig, ax = single(3.0, 2.0)
    ax.axvspan(0, 1, color=OKABE_ITO["blue"])
    drawn = Image.open(io.BytesIO(plots.png(fig)))
    assert drawn.mode == "P" and len(drawn.getcolors()) <= 256
    colours = {colour for _, colour in drawn.convert("RGB").getcolors()}
    assert ImageColor.getrgb(OKABE_ITO["blue"]) in colours
    assert Image.open(io.BytesIO(plots.png(plots.image_grid(images)))).mode != "P"


def test_image_grid(images):
    titles = [str(i) for i in range(6)]
    fig = plots.image_grid(list(images), titles, columns=4, row_titles=["one", "two"])
    shown = [ax for ax in fig.axes if ax.images]
    assert len(fig.axes) == 8 and len(shown) == 6
    for ax, image, title in zip(shown, images, titles, strict=True):
        assert ax.get_title() == title
        assert (ax.images[0].get_array() == plots.pixels(image)).all()
    assert [fig.axes[0].get_ylabel(), fig.axes[4].get_ylabel()] == ["one", "two"]
    assert len(plots.image_grid(images).axes) == 6
    with pytest.raises(ValueError, match="6 images and 1 titles"):
        plots.image_grid(images, ["one"])
    with pytest.raises(ValueError, match="0 images"):
        plots.image_grid([])
    with pytest.raises(ValueError, match="1 row titles for 2 rows"):
        plots.image_grid(images, columns=3, row_titles=["one"])


def test_severity_strip_grows_one_corruption(images):
    fig = plots.severity_strip(images[0], Shade(), [0.0, 0.5, 0.9], seed=3)
    assert [ax.get_title() for ax in fig.axes] == ["clean", "0", "0.5", "0.9"]
    means = [ax.images[0].get_array().mean() for ax in fig.axes]
    assert means == sorted(means, reverse=True) and means[0] > means[1]
    noise = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(3))[0]
    expected = plots.pixels(images[0] * 0.5 * noise)
    assert (fig.axes[2].images[0].get_array() == expected).all()


def test_a_heading_stands_above_the_axes_and_the_legend_below():
    lines = {"CLIP R": [1.0, 0.2], "student S": [0.8, 0.7]}
    names = {"xlabel": "share missing", "ylabel": "cosine"}
    fig = plots.severity_curves([0.0, 0.9], lines, **names, title="It falls")
    fig.draw_without_rendering()
    assert fig.get_suptitle() == "It falls"
    (legend,), (ax,) = fig.legends, fig.axes
    assert legend.get_window_extent().y1 <= ax.get_tightbbox().y0


def test_training_curves_mean_each_epoch():
    history = pd.DataFrame({"epoch": [0, 0, 1, 1], "step": [0, 1, 2, 3], "loss": [4.0, 2, 2, 0]})
    fig = plots.training_curves("student", history)
    (ax,) = fig.axes
    assert len(ax.lines) == 2
    assert ax.lines[0].get_ydata().tolist() == [4, 2, 2, 0]
    assert ax.lines[1].get_xydata().tolist() == [[0.5, 3], [2.5, 1]]
    assert [t.get_text() for t in fig.legends[0].get_texts()] == ["student"]
    assert fig.get_suptitle() == "In 4 steps the loss goes from 2.0 to 2.0", "fewer than ten"
    assert doctest.testmod(curves).failed == 0
