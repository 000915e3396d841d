"""The panel of Figure 1: three best names a model, both ends of the slider, and its pace."""

import re

import numpy as np
import pytest
import torch

from cinv_lib import operators
from cinv_lib.data.image_set import ImageSet, to_float
from cinv_lib.plots import panels
from cinv_lib.plots.panels import canvas, top3
from cinv_lib.plots.style import OKABE_ITO

NAMES = tuple(f"thing {k}" for k in range(5))
MASK = operators.parse("mask:0.5..0.95")


@pytest.fixture
def pictures(generator):
    grey = torch.randint(120, 200, (3, 3, 64, 64), generator=generator, dtype=torch.uint8)
    return ImageSet(grey, torch.tensor([2, 0, 4]), NAMES, "grey", "drawn by a test")


def fades(truth):
    """Sure of `truth` while there are pixels, and less sure with each that goes."""

    def model(batch):
        there = (batch != 0).any(1).float().mean((1, 2))
        logits = torch.zeros(len(batch), 5)
        logits[:, truth] = 6 * there
        return logits

    return model


def stubborn(batch):
    return torch.tensor([1.0, 5.0, 3.0, 2.0, 0.0]).expand(len(batch), 5)


def percents(text):
    return [int(found) for found in re.findall(r"(\d+) % \(", text)]


def test_the_three_best_in_order_with_their_probabilities(pictures):
    found = top3.best(stubborn, to_float(pictures.images)[0], NAMES)
    assert [name for name, _ in found] == ["thing 1", "thing 2", "thing 3"]
    expected = torch.tensor([1.0, 5.0, 3.0, 2.0, 0.0]).softmax(0)
    assert [p for _, p in found] == pytest.approx(expected[[1, 2, 3]].tolist())
    assert len(top3.best(lambda x: torch.zeros(1, 2), torch.zeros(3, 4, 4), ("a", "b"))) == 2
    with pytest.raises(ValueError, match="5 logits for 4 names"):
        top3.best(stubborn, to_float(pictures.images)[0], NAMES[:4])


def test_a_bar_is_as_long_as_the_probability_and_filled_where_right():
    drawn = np.asarray(top3.bars([("a", 0.5), ("b", 0.25)], OKABE_ITO["blue"], "b"))
    blue = [int(OKABE_ITO["blue"][i : i + 2], 16) for i in (1, 3, 5)]
    row = canvas.LINE + top3.BAR + 3
    for k, (share, filled) in enumerate(((0.5, False), (0.25, True))):
        block = (drawn[k * row + canvas.LINE : (k + 1) * row] == blue).all(-1)
        assert block[0].sum() == round(top3.WIDTH * share) + 1  # the upper edge
        inside = block[top3.BAR // 2]
        assert inside.sum() == (block[0].sum() if filled else 2)


def test_the_slider_takes_the_picture_away_from_end_to_end(pictures):
    models = {"student S": fades(2), "baseline": stubborn}
    panel = panels.three_best(pictures, models, MASK)
    control = panel.controls["severity"]
    assert (control.min, control.max) == (0.0, 0.99) and control.value == pytest.approx(0.72)
    seen = []
    for severity in (0.0, 0.3, 0.6, 0.9, 0.99):
        control.value = severity
        sure, other = percents(panel.text)
        seen.append(sure)
        assert panel.text.startswith(
            f"{100 * severity:g} % missing, thing 2. student S: thing 2, {sure} %"
        )
        assert panel.text.endswith(f"baseline: thing 1, {other} % (wrong).")
    assert seen == sorted(seen, reverse=True) and len(set(seen)) == len(seen)
    assert seen[0] == round(100 * torch.tensor([6.0, 0, 0, 0, 0]).softmax(0)[0].item())
    before = panel.png
    panel.controls["which"].value = 3
    assert panel.png != before and ", thing 4. " in panel.text


def test_one_corruption_grows(pictures):
    picture, ends = to_float(pictures.images)[0], []
    for severity in (0.3, 0.6):
        image, _ = panels.render_top3(picture, "thing 2", NAMES, {"a": stubborn}, MASK, severity)
        array = np.asarray(image)[canvas.LINE :][:192:3, :192:3]
        ends.append((array == 0).all(-1))
    less, more = ends
    assert less.mean() == pytest.approx(0.3, abs=1e-3) and (more | ~less).all()


def test_noise_has_its_own_slider(pictures):
    panel = panels.three_best(pictures, {"a": stubborn}, operators.parse("noise:0.1..0.3"))
    control = panel.controls["severity"]
    assert control.max == 1.0 and control.value == pytest.approx(0.2)
    for end in (0.0, 1.0):
        control.value = end
        assert panel.text.startswith(f"σ {end:g}, thing 2. a: thing 1")
