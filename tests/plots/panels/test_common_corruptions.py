"""The panel of the common corruptions: what it shows is what `corrupt_set` makes."""

import re

import numpy as np
import pytest
import torch

from cinv_lib.operators.corruptions import textures
from cinv_lib.operators.corruptions.imagenet_c import FAMILIES, NAMES, corrupt_set
from cinv_lib.operators.corruptions.published import parameters
from cinv_lib.plots import panels
from cinv_lib.plots.panels import canvas
from cinv_lib.plots.style import pixels


@pytest.fixture
def two():
    """Two smooth pictures with a square in the middle, uint8 (2, 3, 64, 64)."""
    x = torch.linspace(40, 200, 64)
    ramp = torch.stack([x.expand(64, 64), x.expand(64, 64).T, torch.full((64, 64), 90.0)])
    ramp[:, 20:44, 20:44] = torch.tensor([250.0, 10.0, 120.0]).view(3, 1, 1)
    return torch.stack([ramp, ramp.flip(0)]).to(torch.uint8)


def shown(image, row, column):
    """The picture of 64 pixels at a place of the grid, its enlargement undone."""
    top = canvas.LINE + row * (canvas.TILE + canvas.LINE)
    left = column * (canvas.TILE + canvas.GAP)
    return np.asarray(image)[top : top + canvas.TILE, left : left + canvas.TILE][::3, ::3]


@pytest.mark.parametrize("name", NAMES)
def test_render_shows_the_clean_and_the_corrupted_pictures(name, two):
    image, text = panels.render_corruption(two, name, 4, seed=1)
    corrupted = corrupt_set(two, name, 4, seed=1)
    for k in range(2):
        assert (shown(image, 0, k) == pixels(two[k])).all()
        assert (shown(image, 1, k) == pixels(corrupted[k])).all()
    family = next(family for family, names in FAMILIES.items() if name in names)
    assert text.startswith(f"{name} ({family}): ") and "Severity 4: " in text
    for key, strength in parameters(name, 64)[3].items():
        assert f"{key} {strength:.3g}" in text
    change = np.sqrt(np.mean((corrupted.numpy() / 255.0 - two.numpy() / 255.0) ** 2))
    said = float(re.search(r"by ([\d.]+) \(root mean square\)", text)[1])
    assert said == pytest.approx(change, abs=6e-4) and said > 0


def test_a_severer_corruption_moves_more(two):
    for name in ("gaussian_noise", "contrast", "fog", "gaussian_blur"):
        said = [panels.render_corruption(two, name, s)[1] for s in (1, 3, 5)]
        moved = [float(re.search(r"by ([\d.]+) \(root", text)[1]) for text in said]
        assert moved == sorted(moved) and moved[0] < moved[-1], name


def test_the_panel_follows_its_menu_and_slider(two):
    panel = panels.corruption_panel(two)
    assert panel.controls["name"].options == NAMES
    assert panel.text.startswith("fog (weather)") and "Severity 3" in panel.text
    panel.controls["name"].value = "snow"
    panel.controls["severity"].value = 5
    assert panel.text == panels.render_corruption(two, "snow", 5)[1]
    panel.controls["severity"].value = 99  # the slider keeps to its range
    assert panel.controls["severity"].value == 5


def test_render_refuses_what_is_no_corruption(two):
    with pytest.raises(ValueError, match="unknown corruption 'rain'"):
        panels.render_corruption(two, "rain", 3)
    with pytest.raises(ValueError, match="severity of fog is 6"):
        panels.render_corruption(two, "fog", 6)


def test_the_ice_is_drawn_before_the_slider_moves(two):
    textures.pane.cache_clear()
    panel = panels.corruption_panel(two)
    drawn = textures.pane.cache_info().misses
    panel.controls["name"].value = "frost"
    for severity in (1, 5):
        panel.controls["severity"].value = severity
    assert drawn == textures.pane.cache_info().misses == len(textures.PANES)
