"""The method's diagram: its words, where its arrows lead, and that it fits a page."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyBboxPatch

from cinv_lib import plots
from cinv_lib.plots import diagram


@pytest.fixture(scope="module")
def ax():
    (ax,) = plots.method_diagram().axes
    return ax


def arrows(ax):
    return {text for text in ax.texts if getattr(text, "arrow_patch", None)}


def words(ax):
    return {text.get_text(): text for text in ax.texts if text.get_text()}


def box_of(ax, name):
    x, y = words(ax)[name].get_position()
    boxes = [patch for patch in ax.patches if isinstance(patch, FancyBboxPatch)]
    (box,) = [box.get_bbox() for box in boxes if box.get_bbox().contains(x, y)]
    return box


def test_says_what_is_frozen_what_learns_and_what_is_pulled_to_what(ax):
    said = words(ax)
    parts = "teacher R, student S, x, A(x), R(x), S(A(x)), starts as a copy, pull together, learns"
    assert set(parts.split(", ")) | {"CLIP, frozen", "A ruins the picture"} <= set(said)
    assert to_hex(said["teacher R"].get_color()) == plots.colour("clip").lower()
    assert to_hex(said["student S"].get_color()) == plots.colour("student").lower()


def test_one_arrow_pulls_from_the_students_answer_to_the_teachers(ax):
    pull = to_hex(words(ax)["pull together"].get_color())
    (arrow,) = [a for a in arrows(ax) if to_hex(a.arrow_patch.get_edgecolor()) == pull]
    (x, start), (to, end) = arrow.xyann, arrow.xy
    assert x == to and box_of(ax, "S(A(x))").y1 <= start < end <= box_of(ax, "R(x)").y0
    (line,) = ax.lines
    top, low = line.get_ydata()
    (head,) = [a for a in arrows(ax) if a.xyann == (line.get_xdata()[1], low)]
    assert box_of(ax, "teacher R").y0 >= top > head.xy[1] >= box_of(ax, "student S").y1
    assert len(arrows(ax)) == 7


def test_a_tenth_of_the_pixels_is_left_of_the_lower_picture(ax):
    colours = [np.array([mesh.cmap(k)[:3] for k in range(mesh.cmap.N)]) for mesh in ax.collections]
    black = [int((rows == 0).all(1).sum()) for rows in colours]
    assert [len(rows) for rows in colours] == [144, 144] and black == [0, 144 - 14]
    left = (colours[1] > 0).any(1)
    assert (colours[0][left] == colours[1][left]).all()


def test_words_stay_inside_their_boxes_and_off_each_other(ax):
    fig = ax.figure
    fig.canvas.draw()
    places = [text.get_window_extent() for text in words(ax).values()]
    for k, place in enumerate(places):
        assert place.x0 >= 0 and place.x1 <= 100 * diagram.WIDTH
        assert not any(place.overlaps(other) for other in places[:k])
    for box in (patch for patch in ax.patches if isinstance(patch, FancyBboxPatch)):
        edges = box.get_window_extent()
        for place in places:
            assert not edges.overlaps(place) or (edges.x0 < place.x0 and place.x1 < edges.x1)
