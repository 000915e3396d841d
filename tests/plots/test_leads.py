"""Rows of differences, bars with names, pictures with captions, marks of claims."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.collections import PathCollection

from cinv_lib import plots
from cinv_lib.plots.leads import GREY
from cinv_lib.plots.style import OKABE_ITO


def texts(fig) -> list[str]:
    return [t.get_text() for ax in fig.axes for t in ax.texts]


def leads() -> pd.DataFrame:
    found = {
        "wins": (5.0, 1.0, "holds"),
        "open": (4.0, 9.0, "not decided"),
        "once": (-2.0, np.nan, "not decided"),
    }
    columns = ["difference", "half_width", "verdict"]
    return pd.DataFrame.from_dict(found, orient="index", columns=columns)


def test_rows_of_differences_fill_what_is_decided_and_say_the_numbers():
    quoted = pd.Series({"wins": -3.0, "elsewhere": 9.0})
    fig = plots.lead_rows({"points": leads()}, title="one wins", quoted=quoted)
    (ax,) = fig.axes
    faces = [c.lines[0].get_markerfacecolor() for c in ax.containers]
    assert faces == [OKABE_ITO["black"], "white", "white"]
    assert [c.lines[0].get_xdata()[0] for c in ax.containers] == [5, 4, -2]
    assert texts(fig) == ["+5.0 ± 1.0", "+4.0 ± 9.0", "−2.0"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["wins", "open", "once"]
    (diamond,) = [line for line in ax.lines if line.get_marker() == "D" and len(line.get_xdata())]
    assert diamond.get_xdata()[0] == -3 and 0 < diamond.get_ydata()[0] < 0.5
    assert fig.get_suptitle() == "one wins"
    plots.png(fig)


def test_each_panel_has_the_papers_rows_under_its_own_name():
    quoted = {"noise": pd.Series({"open": 7.0})}
    fig = plots.lead_rows({"masks": leads(), "noise": leads()}, title="t", quoted=quoted)
    marks = [
        [
            line.get_xdata()[0]
            for line in ax.lines
            if len(line.get_xdata()) and line.get_marker() == "D"
        ]
        for ax in fig.axes
    ]
    assert marks == [[], [7.0]]
    named = [text.get_text() for text in fig.legends[0].get_texts()]
    assert named == ["decided by its interval", "not decided", "the paper"]
    assert not plots.lead_rows({"masks": leads()}, title="t").legends


def test_panels_have_the_same_rows():
    with pytest.raises(ValueError, match="a, b: expected the same rows"):
        plots.lead_rows({"a": leads(), "b": leads().iloc[:2]}, title="x")


def test_bars_have_the_colour_of_their_method_and_the_rest_is_grey():
    frame = pd.DataFrame({"value": [80.0, 40.0], "error": [2.0, np.nan]}, index=["student", "way"])
    names = {"student": "student S", "way": "another way"}
    fig = plots.score_bars({"noise": frame}, names, title="t", quoted={"noise": {"student": 70.0}})
    (ax,) = fig.axes
    assert [b.get_width() for b in ax.patches] == [80, 40]
    blue, grey = (b.get_facecolor()[:3] for b in ax.patches)
    assert blue != grey and len(set(grey)) == 1
    assert texts(fig) == ["80", "40"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["student S", "another way"]
    assert any(isinstance(c, PathCollection) for c in ax.collections)
    plots.png(fig)


def test_pictures_have_captions_and_a_tick_where_they_are_right():
    rows = {"intact": torch.rand(2, 3, 64, 64), "filled": torch.rand(2, 3, 64, 64)}
    captions = {"intact": ["dog", "cat"], "filled": ["21 dB · dog", "20 dB · key"]}
    right = {"intact": [True, True], "filled": [True, False]}
    fig = plots.captioned(rows, captions, right, title="t")
    said = [t.get_text() for t in fig.texts]
    assert [s for s in said if "dB" in s] == ["21 dB · dog ✓", "20 dB · key"]
    assert len([ax for ax in fig.axes if ax.images]) == 4
    sides = {
        tuple(np.round(ax.get_position().size * fig.get_size_inches() * 100)) for ax in fig.axes
    }
    assert sides == {(128, 128)}
    with pytest.raises(ValueError, match="row 'filled': 2 pictures, 1 captions"):
        plots.captioned(rows, captions | {"filled": ["x"]}, right, title="t")


def test_a_claim_has_a_mark_for_each_row():
    groups = [
        ("These hold.", [("A beats B.", ["holds", "not decided (one training)"])]),
        ("Nothing here.", []),
        ("These do not.", [("x" * 200, ["does not hold"]), ("few", ["not comparable at this"])]),
    ]
    fig = plots.claim_marks(groups, title="t")
    (ax,) = fig.axes
    assert [line.get_marker() for line in ax.lines] == ["o", "o", "X", "_"]
    assert [line.get_markerfacecolor() for line in ax.lines][1] == "white"
    assert "Nothing here." not in texts(fig) and any(t.endswith("…") for t in texts(fig))
    named = [t.get_text() for t in fig.legends[0].get_texts()]
    assert named == ["holds", "not decided", "does not hold", "cannot be asked"]
    plots.png(fig)


def test_each_training_has_a_small_mark_below_the_dot_where_it_is_told():
    told = leads().assign(each=[{11: 4.0, 12: 6.0}, {}, {11: -1.0}][: len(leads())])
    (ax,) = plots.lead_rows({"points": told}, title="t").axes
    marks = [line for line in ax.lines if line.get_color() == GREY and len(line.get_xdata())]
    assert [line.get_xdata().tolist() for line in marks] == [[4.0, 6.0], [-1.0]]
    assert [line.get_ydata()[0] for line in marks] == pytest.approx([0.28, 2.28])
