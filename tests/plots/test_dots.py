"""Figures of dots and of curves over pixels left: what they draw is read back from their axes."""

import doctest
import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex

from cinv_lib import plots
from cinv_lib.experiments import unknown_severity
from cinv_lib.plots import pixels_left


def leads(differences, half_width=1.0):
    frame = pd.DataFrame({"difference": differences, "half_width": half_width})
    frame["verdict"] = np.where(frame.difference > half_width, "holds", "not decided")
    return frame


def texts(fig):
    return [text.get_text() for ax in fig.axes for text in ax.texts]


def test_dots_have_the_colour_of_their_method_and_their_value():
    rows = [("CLIP R", "clip", 5.0, np.nan), ("student S", "student", 80.0, 2.0)]
    frame = pd.DataFrame(rows, columns=["row", "method", "value", "error"])
    theirs = pd.DataFrame({"row": ["student S", "none of ours"], "value": [70.0, 1.0]})
    fig = plots.score_dots({"masks": frame}, title="a finding", quoted={"masks": theirs})
    (ax,) = fig.axes
    assert fig.get_suptitle() == "a finding" and ax.get_title() == "masks"
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["CLIP R", "student S"]
    dots = {c[0].get_xdata()[0]: to_hex(c[0].get_color()) for c in ax.containers}
    assert dots == {5.0: plots.colour("clip"), 80.0: plots.colour("student").lower()}
    assert texts(fig) == ["5.0", "80.0"]
    hollow = [line for line in ax.lines if line.get_marker() == "D" and len(line.get_xdata())]
    assert [line.get_xdata()[0] for line in hollow] == [70.0]


def test_a_start_that_nobody_trained_has_a_question_mark():
    rows = [("masks", "100", "labels", 60.0, 1.0), ("masks", "R", "embeddings", 80.0, np.nan)]
    cells = pd.DataFrame(rows, columns=["panel", "start", "target", "value", "error"])
    colours = {"labels": "baseline", "embeddings": "student"}
    fig = plots.start_by_target(cells, title="t", colours=colours)
    assert texts(fig).count("?") == 2
    (key,) = fig.legends
    assert [text.get_text() for text in key.get_texts()] == ["target: labels", "target: embeddings"]


def test_the_readers_figure_says_nothing():
    fig = plots.unsaid_leads(leads([5.0, -2.0]).set_axis(["birds", "cars"]))
    assert not texts(fig) and not fig.get_suptitle()


def test_severities_of_masks_are_pixels_left_on_a_logarithmic_axis():
    assert doctest.testmod(pixels_left).failed == 0
    severities = [0.0, 0.5, 0.95, 0.96, 0.99]
    masks = leads([5.0, 4.0, 3.0, 0.5, 0.1]).set_axis(severities)
    masks["guess"] = [False] * 4 + [True]
    noise = leads([5.0, 4.0, 3.0]).set_axis([0.1, 0.3, 0.5]).assign(guess=False)
    panels = {"mask:0.5..0.95": masks, "noise:0.1..0.3": noise}
    fig = plots.lead_curves(panels, 64, title="t", quoted={"noise:0.1..0.3": noise.difference})
    first, second = fig.axes
    assert first.get_xscale() == "log" and second.get_xscale() == "linear"
    line = first.containers[0][0]
    assert line.get_xdata().tolist() == [4096, 2048, 205, 164, 41]
    assert second.xaxis_inverted(), "the hardest is at the left in both"
    assert texts(fig) == ["trained on", "both\nguess", "trained on"]
    trained, guess = (
        sorted([patch.get_x(), patch.get_x() + patch.get_width()]) for patch in first.patches[:2]
    )
    assert guess[1] == pytest.approx((41 * 164) ** 0.5)
    assert trained == pytest.approx([(164 * 205) ** 0.5, (2048 * 4096) ** 0.5])


def overprinted(fig):
    """Pairs of texts of a figure's axes that lie on one another."""
    fig.draw_without_rendering()
    found = []
    for ax in fig.axes:
        boxes = [(text.get_text(), text.get_window_extent()) for text in ax.texts]
        pairs = itertools.combinations(boxes, 2)
        found += [(a, b) for (a, one), (b, other) in pairs if one.overlaps(other)]
    return found


@pytest.mark.parametrize("guess", [(-1,), (2, 3), (0, 1, 2, 3)])
def test_where_all_guess_no_words_are_overprinted(guess):
    table = leads([1.0, 0.5, 0.2, 0.1]).set_axis([0.3, 0.5, 0.95, 0.99])
    table["guess"] = [k in {g % 4 for g in guess} for k in range(4)]
    noise = table.set_axis([0.05, 0.1, 0.3, 0.5])
    panels = {"mask:0.5..0.95": table, "noise:0.1..0.3": noise}
    assert not overprinted(plots.lead_curves(panels, 64, title="t"))
    names = {f"m{k}": f"method {k}" for k in range(5)}
    level, wide = (pd.DataFrame(dict.fromkeys(names, y), index=table.index) for y in (
        [1.0, 1.0, 1.1, 1.2], [90.0, 50.0, 20.0, 1.0],
    ))  # fmt: skip
    for last in (level, wide, 100 - wide):  # the axis of a flat panel may be that of a steep one
        both = {"mask:0.5..0.95": wide, "noise:0.1..0.3": last.set_axis(noise.index)}
        fig = plots.score_curves(both, 64, title="t", names=names)
        assert not overprinted(fig)
        at = [text.xy[1] for text in fig.axes[1].texts if text.get_text() in names.values()]
        assert max(at) <= fig.axes[1].get_ylim()[1]


def test_curves_have_their_names_at_their_ends_and_apart():
    curve = pd.DataFrame({"student": [80.0, 20.0], "baseline": [79.0, 21.0]}, index=[0.5, 0.99])
    fig = plots.score_curves(
        {"mask:0.5..0.95": curve}, 64, title="t", names=unknown_severity.METHODS
    )
    names = [text for text in fig.axes[0].texts if text.get_text() != "trained on"]
    assert [text.get_text() for text in names] == ["baseline", "student S"]
    assert names[1].xy[1] - names[0].xy[1] >= 3.5
    assert to_hex(names[1].get_color()) == plots.colour("student").lower()


def test_curves_over_another_axis_end_at_its_right_side():
    lines = pd.DataFrame({"student": [90.0, 1.0], "baseline": [80.0, 0.5]}, index=[50.0, 5.0])
    names = {"student": "S", "baseline": "B"}
    look = {"title": "t", "names": names, "xlabel": "left (%)"}
    (ax,) = plots.score_curves({"a": lines}, **look, logarithmic=True).axes
    assert ax.get_xscale() == "log" and ax.xaxis_inverted() and ax.get_xlabel() == "left (%)"
    assert [text.get_text() for text in ax.texts] == ["B", "S"] and ax.texts[0].xy[1] == 0.5
    (ax,) = plots.score_curves({"a": lines}, **look).axes
    assert ax.texts[0].xy[1] == 80.0, "without it, large values are at the right"


def test_label_curves_have_levels_and_intervals():
    rows = [
        ("student", 1.0, 30.0, 2.0),
        ("student", 20.0, 80.0, np.nan),
        ("zero_shot", 0.0, 85.0, 1.0),
    ]
    frame = pd.DataFrame(rows, columns=["method", "per_class", "value", "error"])
    theirs = pd.DataFrame({"per_class": [127], "value": [77.0]})
    names = {"student": "probe", "zero_shot": "words"}
    fig = plots.label_curves({"masks": frame}, title="t", names=names, quoted={"masks": theirs})
    (ax,) = fig.axes
    assert texts(fig) == ["probe", "words"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "20", "127"]


def test_the_plane_shows_every_score():
    points = torch.tensor([[1.0, 3.0], [4.0, 1.0]])
    rows = torch.tensor([[-1.0, 1.0], [1.0, -1.0]])
    fig = plots.probe_plane(points, torch.tensor([0, 1]), rows, ("arrow", "star"), title="t")
    assert {"+2.0\n−2.0", "−3.0\n+3.0"} < set(texts(fig))


def test_many_panels_of_scores_are_in_rows_of_three():
    frame = pd.DataFrame({"row": ["CLIP R"], "method": ["clip"], "value": [50.0], "error": [1.0]})
    few, many = (
        plots.score_dots({f"masks {k}": frame for k in range(n)}, title="a finding") for n in (3, 8)
    )
    assert (
        len(many.axes) == 8 and len({ax.get_subplotspec().rowspan.start for ax in many.axes}) == 3
    )
    assert many.get_size_inches()[1] == pytest.approx(3 * few.get_size_inches()[1], rel=0.3)
