"""Frames of panels for pages without a kernel: which states, how many, in which files."""

import hashlib
import itertools
import math

import ipywidgets as widgets
import nbformat
import pytest
import torch
from PIL import Image, ImageDraw

from cinv_lib import operators
from cinv_lib.data.image_set import ImageSet
from cinv_lib.evaluation import Gallery
from cinv_lib.plots import panels
from cinv_lib.plots.panels import frames
from cinv_lib.plots.panels.panel import labelled
from cinv_lib.theory import limit


class Mean(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.adaptive_avg_pool2d(x, 2).flatten(1) - 0.4


def stickers(count):
    """Pictures as the course has them: a shape on a ground that is not even."""
    rows = torch.linspace(0.2, 0.8, 64)[:, None].expand(64, 64)
    x = torch.stack([rows, rows.T, 1 - rows]).expand(count, 3, 64, 64).clone()
    for k in range(count):
        x[k, k % 3, 10 : 30 + k, 12:50] = 0.9
    return x


def every_panel():
    """All panels of the lessons that can move on a page, by name."""
    x = stickers(16)
    four, images = x[:4], (x[:4] * 255).to(torch.uint8)
    encoders = {"CLIP R": Mean().eval(), "student S": Mean().eval()}
    unit = torch.nn.functional.normalize(torch.rand(16, 8), dim=1)
    names = ImageSet(images, torch.arange(4), tuple("abcd"), "letters", "made here")
    many = ImageSet((x * 255).to(torch.uint8), torch.arange(16) % 4, tuple("abcd"), "many", "made")
    gallery = Gallery.of(many, encoders["CLIP R"])
    mask = operators.parse("mask:0.9")
    return {
        "operators": lambda: panels.operator_panel(four),
        "classical": lambda: panels.operator_panel(four, panels.CLASSICAL),
        "student": lambda: panels.see_what_the_student_sees(four, "abcd", encoders, gallery, mask),
        "weights": lambda: panels.weights_panel(x, x, unit, unit),
        "sphere": lambda: panels.sphere_panel(),
        "three best": lambda: panels.three_best(names, {"S": lambda a: Mean()(a)[:, :4]}, mask),
        "corruptions": lambda: panels.corruption_panel(images),
        "posterior": lambda: panels.posterior_panel(limit.digits()),
    }


PANELS = every_panel()


@pytest.mark.parametrize("name", PANELS)
def test_the_stops_of_every_panel_multiply_to_few_frames(name):
    panel = PANELS[name]()
    made = frames.parts(panel.controls)
    alone = math.prod(len(part.stops) for part in made if part.when is None)
    count = sum(1 for _ in frames.states(made))
    assert 5 <= count <= frames.MOST
    assert alone <= count
    for part, control in zip(made, panel.controls.values(), strict=True):
        assert part.stops[part.at] == control.value
        assert len(set(part.words)) == len(part.words) == len(part.stops)
    # it still moves in the direction of its first slider
    assert max(len(part.stops) for part in made) >= 5


@pytest.mark.parametrize("name", ["student", "classical"])
def test_frames_are_what_the_panel_shows(name, tmp_path, monkeypatch):
    monkeypatch.setenv(frames.FEWER, "9")  # all of them take half a minute to draw
    panel = PANELS[name]()
    film = panel.film(tmp_path)
    key, row = list(film["frames"].items())[-1]
    drawn = zip(frames.parts(panel.controls), film["controls"], key.split("-"), strict=True)
    for part, shown, k in drawn:
        stop = part.words.index(shown["stops"][int(k)])
        panel.controls[part.name].value = part.stops[stop]
    assert row[3] == panel.text
    assert Image.open(tmp_path / row[0]).size == tuple(row[1:3])
    weight = sum(
        (tmp_path / file).stat().st_size for file in {r[0] for r in film["frames"].values()}
    )
    assert weight <= frames.WEIGHT


def drawn(size):
    image = Image.new("RGB", (120, 60), "white")
    ImageDraw.Draw(image).rectangle((0, 0, size, 30), fill="blue")
    return image, f"{size} </script> wide"


def test_a_frame_is_named_by_its_hash_and_equal_ones_are_one_file(tmp_path):
    panel = panels.Panel(
        lambda size: drawn(10 * (size // 10)), {"size": panels.slider("s", 0, 30, 0, 1)}
    )
    film = panel.film(tmp_path)
    assert len(film["frames"]) == 31
    files = {row[0] for row in film["frames"].values()}
    assert files == {file.name for file in tmp_path.iterdir()} and len(files) == 4
    for file in tmp_path.iterdir():
        assert file.name == f"{hashlib.sha256(file.read_bytes()).hexdigest()[:16]}.webp"


def test_without_named_stops_any_sliders_have_sensible_ones():
    for count in (1, 2, 3, 4, 5):
        controls = {f"c{k}": panels.slider("s", 0.0, 1.0, 0.37) for k in range(count)}
        made = frames.parts(controls)
        assert math.prod(len(part.stops) for part in made) <= frames.MOST
        assert len(made[0].stops) >= 4 and made[0].stops == tuple(sorted(made[0].stops))
        assert all(0.37 in part.stops for part in made)
    menu = {"m": panels.choice("m", [str(k) for k in range(19)]), **controls}
    assert sum(1 for _ in frames.states(frames.parts(menu))) <= frames.MOST
    yes = labelled(widgets.Checkbox, "seen", value=True)
    assert frames.parts({"yes": yes})[0].words == ("no", "yes")
    power = labelled(widgets.FloatLogSlider, "tau", base=10, min=-1, max=1, step=0.5, value=1.0)
    assert frames.parts({"tau": power})[0].stops == pytest.approx((0.1, 0.316228, 1, 3.16228, 10))


def test_a_control_that_counts_at_one_choice_has_no_frames_at_others():
    a, b = (panels.slider(k, 0, 9, 0, 1, stops=10, when=("kind", k)) for k in "ab")
    made = frames.parts({"kind": panels.choice("kind", ["a", "b"]), "a": a, "b": b})
    seen = list(frames.states(made))
    assert len(seen) == 20
    assert not [key for key in seen if (key[0] == 0 and key[2]) or (key[0] == 1 and key[1])]


def test_too_many_stops_and_controls_without_any_are_refused(tmp_path):
    many = {k: panels.slider(k, 0, 19, 0, 1, stops=20) for k in "ab"}
    with pytest.raises(ValueError, match="400 frames of a, b"):
        frames.parts(many)
    with pytest.raises(ValueError, match="expected its value 0 there"):
        frames.parts({"a": panels.slider("a", 0, 9, 0, 1, stops=[1, 2])})
    with pytest.raises(TypeError, match="needs a kernel"):
        panels.upload_panel(stickers(1)[0], 64).film(tmp_path)


def test_heavy_frames_leave_every_second_stop_out(tmp_path, monkeypatch):
    panel = panels.Panel(drawn, {"size": panels.slider("s", 0, 30, 7, 1)})
    whole = panel.film(tmp_path / "a")
    size = sum(file.stat().st_size for file in (tmp_path / "a").iterdir())
    monkeypatch.setattr(frames, "WEIGHT", size * 0.6)
    film = panel.film(tmp_path / "b")
    (control,) = film["controls"]
    assert len(whole["frames"]) == 31 and len(film["frames"]) == 15
    assert control["stops"][control["at"]] == "7"


def test_a_rehearsal_draws_few_frames(tmp_path, monkeypatch):
    controls = {"size": panels.slider("s", 0, 30, 7, 1)}
    monkeypatch.setenv(frames.FEWER, "4")
    film = panels.Panel(drawn, controls).film(tmp_path)
    (control,) = film["controls"]
    assert len(film["frames"]) == len(list(tmp_path.iterdir())) == 3
    assert control["stops"][control["at"]] == "7"


def test_frames_are_drawn_where_a_folder_is_named_and_nowhere_else(tmp_path, monkeypatch):
    monkeypatch.delenv(frames.FOLDER, raising=False)
    panel = panels.Panel(drawn, {"size": panels.slider("s", 0, 3, 0, 1)})
    assert frames.MIME not in panel._repr_mimebundle_()[0]
    monkeypatch.setenv(frames.FOLDER, str(tmp_path / "new"))
    data, _ = panel._repr_mimebundle_()
    assert len(data[frames.MIME]["frames"]) == 4 and (tmp_path / "new").is_dir()
    assert nbformat.v4.new_output("display_data", data).data[frames.MIME]
    with pytest.warns(UserWarning, match="no moving panel on the page"):
        data, _ = panels.upload_panel(stickers(1)[0], 64)._repr_mimebundle_()
    assert frames.MIME not in data and "image/png" in data


def test_the_quiz_tells_a_page_all_and_the_reader_nothing(tmp_path):
    labels = torch.arange(8)
    shades = (labels * 30 + 9).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 64, 64).contiguous()
    images = ImageSet(shades, labels, tuple(f"shade {k}" for k in range(8)), "shades", "made here")
    models = {"CLIP": lambda a: -(a.mean((1, 2, 3))[:, None] - labels / 8).abs()}
    quiz = panels.Quiz.ask(images, operators.parse("mask:0.9"), models, questions=3, choices=4)
    panel = panels.beat_the_encoder(quiz)
    film = panel.film(tmp_path)
    assert quiz.asked == 0 and panel.text.startswith("Question 1 of 3")
    assert film["black"] == pytest.approx(0.9, abs=0.01)
    assert len({one["before"][0] for one in film["questions"]}) == 3
    for k, one in enumerate(film["questions"]):
        answer = quiz.guess(one["names"][1])
        assert (one["truth"], one["said"]) == (answer.truth, {"CLIP": answer.said["CLIP"]})
        assert tuple(one["names"]) == quiz.names[k]
        assert (tmp_path / one["after"][0]).is_file()
    known = {"before", "after", "names", "truth", "said"}
    assert set(itertools.chain(*film["questions"])) == known
