"""Panels: their render functions at both ends of each slider, and the widgets around them."""

import base64
import io
from datetime import datetime
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

from cinv_lib import operators
from cinv_lib.data.image_set import ImageSet, to_float
from cinv_lib.evaluation import Gallery
from cinv_lib.operators.base import RESERVED
from cinv_lib.plots import panels
from cinv_lib.plots.panels import canvas, student
from cinv_lib.plots.panels.operators import KINDS, severities
from cinv_lib.plots.panels.panel import VIEW
from cinv_lib.plots.retrieved import RIGHT, WRONG, few_colours
from cinv_lib.plots.style import pixels


def open_png(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def holds(picture, part):
    """Whether `part` stands somewhere in `picture`, pixel for pixel."""
    h, w = part.shape[:2]
    corners = np.argwhere((picture[: 1 - h or None, : 1 - w or None] == part[0, 0]).all(-1))
    return any((picture[y : y + h, x : x + w] == part).all() for y, x in corners)


@pytest.fixture
def pictures():
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 0.9 + 0.05


class Mean(nn.Module):
    """An encoder that averages pixels in blocks; `scale` makes another one of it."""

    def __init__(self, side=4):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(side)

    def forward(self, x):
        return (self.pool(x) - 0.5).flatten(1)


# ------------------------------------------------------------------------ the Panel itself


def blank(size):
    if size == 13:
        raise ValueError("13 is unlucky: take another size")
    return Image.new("RGB", (size, 10), "blue"), f"<{size}> pixels"


def blank_panel(value=20):
    return panels.Panel(blank, {"size": panels.slider("size", 1, 100, value, 1)})


def test_panel_redraws_when_a_control_moves():
    panel = blank_panel()
    for size in (1, 50, 100):
        panel.controls["size"].value = size
        assert panel.text == f"<{size}> pixels" and panel.label.value == f"&lt;{size}&gt; pixels"
        assert open_png(panel.png).shape == (10, size, 3)
        assert f'alt="&lt;{size}&gt; pixels" width="{size}" height="10"' in panel.picture.value
        assert base64.b64encode(panel.png).decode() in panel.picture.value


def test_panel_shows_an_error_and_raises_it_and_recovers():
    panel = blank_panel()
    before = panel.png
    with pytest.raises(ValueError, match="unlucky"):
        panel.controls["size"].value = 13
    assert "ValueError: 13 is unlucky" in panel.label.value and panel.png == before
    panel.controls["size"].value = 20
    assert panel.text == "<20> pixels"
    with pytest.raises(ValueError, match="unlucky"):
        blank_panel(13)


def test_panel_does_not_draw_the_same_values_twice():
    drawn = []

    def render(a, b):
        drawn.append((a, b))
        return blank(a)

    two = {"a": panels.slider("a", 1, 9, 2, 1), "b": panels.choice("b", ["x", "y"])}
    panel = panels.Panel(render, two)
    panel.redraw()
    panel.controls["b"].value = "y"
    assert drawn == [(2, "x"), (2, "y")]


def test_panel_accepts_matplotlib_figures():
    panel = panels.Panel(lambda size: (Figure(figsize=(size, 1)), "x"), blank_panel().controls)
    assert open_png(panel.png).shape[:2] == (100, 2000)


def test_sliders_have_names_steps_and_readable_kinds():
    whole, real = panels.slider("draw", 0, 9, 0, 1), panels.slider("severity", 0.0, 1.0, 0.5, 0.05)
    assert type(whole.value) is int and type(real.value) is float
    assert (real.description, real.min, real.max, real.step) == ("severity", 0, 1, 0.05)
    assert real.continuous_update and whole.continuous_update


def test_saved_output_is_deterministic_and_holds_a_picture():
    panel = blank_panel(30)
    assert repr(panel) == "Panel()"
    data, metadata = panel._repr_mimebundle_()
    assert data["text/plain"] == "Panel()" and VIEW in data
    assert metadata["image/png"]["alt"] == "<30> pixels"
    still = open_png(base64.b64decode(data["image/png"]))
    assert (still[:10, :30] == (0, 0, 255)).all()
    below = still[10:]
    assert (below < 128).any(), "the text stands below the picture"
    other = blank_panel(30)._repr_mimebundle_()[0]
    assert other["image/png"] == data["image/png"] and other[VIEW] != data[VIEW]


def test_keep_pictures_removes_views_only_where_a_picture_stays():
    with_both = {"data": {VIEW: {}, "image/png": "x", "text/plain": "Panel()"}}
    only_view = {"data": {VIEW: {}, "text/plain": "IntSlider()"}}
    stream = {"output_type": "stream", "text": "1"}
    cells = [{"outputs": [with_both, stream]}, {"outputs": [only_view]}, {"source": "text"}]
    assert panels.keep_pictures({"cells": cells}) == 1
    assert with_both["data"] == {"image/png": "x", "text/plain": "Panel()"}
    assert VIEW in only_view["data"]
    assert panels.keep_pictures({"cells": cells}) == 0


# ------------------------------------------------------------------------ drawing


def test_tiles_enlarge_by_whole_pixels_and_grid_places_them(pictures):
    assert canvas.tile(pictures[0]).size == (192, 192)
    assert canvas.tile(torch.zeros(3, 224, 224)).size == (224, 224)
    shown = np.asarray(canvas.grid({"first": list(pictures), "second": [pictures[0]]}))
    assert shown.shape == (2 * (192 + canvas.LINE), 3 * 192 + 2 * canvas.GAP, 3)
    for k, image in enumerate(pictures):
        x = k * (192 + canvas.GAP)
        part = shown[canvas.LINE : canvas.LINE + 192 : 3, x : x + 192 : 3]
        assert (part == pixels(image)).all()
    assert (shown[: canvas.LINE] < 128).any()


def test_a_line_is_cut_where_it_would_be_too_wide():
    assert (np.asarray(canvas.line_within("cat", 200))[:, :60] == canvas.line("cat", 60)).all()
    for width in (40, 108):
        assert canvas.line_within("outline left pointing index", width).width == width


def test_paragraph_wraps_and_keeps_its_width():
    assert canvas.paragraph("word " * 60, 300).size[0] <= 310
    assert canvas.paragraph("word " * 60, 300).size[1] >= 4 * canvas.LINE
    assert canvas.paragraph("", 300).size == (300, canvas.LINE)
    assert canvas.paragraph("a\nb", 300).size[1] == 2 * canvas.LINE


# ------------------------------------------------------------------------ operators


@pytest.mark.parametrize(
    ("kind", "side"),
    [*product(("mask", "noise", "blur"), (64, 224)), *product(panels.CLASSICAL.values(), (64,))],
)
def test_operator_render_is_monotone_between_both_ends(kind, side):
    # Patches of an eighth of the side: fine noise would be all gone at the first blur.
    patches = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 0.9 + 0.05
    images = patches.repeat_interleave(side // 8, 2).repeat_interleave(side // 8, 3)
    images = images.roll((3, 3), (2, 3))  # across the areas of super-resolution
    low, high, start, step = severities(kind, side)
    assert low < start < high and step > 0
    changes, blacks = [], []
    for severity in (low, start, high):
        picture, text = panels.render_operator(images, kind, severity)
        name, rest = text.split("; ")
        assert text.startswith(f"{kind}:{severity:g}: ")
        blacks.append(float(name.split()[1]))
        changes.append(float(rest.split("by ")[1].split()[0]))
        operator = operators.parse(f"{kind}:{severity:g}")
        corrupted = operator(images, torch.Generator().manual_seed(0))
        rms = float((corrupted - images).square().mean().sqrt())
        assert abs(changes[-1] - rms) < 6e-4
        assert holds(np.asarray(picture), np.asarray(canvas.tile(corrupted[1])))
        assert holds(np.asarray(picture), np.asarray(canvas.tile(images[1])))
    assert changes[0] == 0 and changes[0] < changes[1] < changes[2]
    if kind == "mask":
        assert blacks == [0, 90, 99]
    if kind == "noise":
        assert abs(changes[1] - 0.5) < 0.02 and abs(changes[2] - 1) < 0.03


def test_render_operator_draws_another_realisation(pictures):
    first, again, other = (
        np.asarray(panels.render_operator(pictures, "mask", 0.5, draw)[0]) for draw in (0, 0, 1)
    )
    assert (first == again).all() and (first != other).any()
    with pytest.raises(ValueError, match=r"fog.*known are"):
        panels.render_operator(pictures, "fog", 0.5)


def test_operator_panel_has_a_slider_for_each_operator(pictures):
    panel = panels.operator_panel(pictures)
    kind = panel.controls["kind"]
    assert panel.text.startswith("mask:0.9: 90.0 %")
    for name, short in reversed(KINDS.items()):
        kind.value = name
        visible = {k: panel.controls[k].layout.display != "none" for k in KINDS.values()}
        assert visible == {k: k == short for k in KINDS.values()}
        severity = panel.controls[short]
        low, high, start, step = severities(short, 64)
        assert (severity.min, severity.max, severity.step) == (low, high, step)
        assert severity.value == start and panel.text.startswith(f"{short}:{start:g}: ")
        for end in (low, high):
            severity.value = end
            assert panel.text.startswith(f"{short}:{end:g}: ")
    shown = panel.png
    panel.controls["draw"].value = 9
    assert panel.png != shown
    with pytest.raises(ValueError, match="fog"):
        severities("fog", 64)


def test_the_classical_operators_have_a_panel_with_a_menu(pictures):
    assert {*KINDS.values(), *panels.CLASSICAL.values()} == {*RESERVED} - {"identity"}
    panel = panels.operator_panel(pictures[:1], panels.CLASSICAL)
    kind = panel.controls["kind"]
    assert kind.options == tuple(panels.CLASSICAL) and panel.text.startswith("super_resolution:4: ")
    kind.value = "JPEG"
    visible = [k for k in panels.CLASSICAL.values() if not panel.controls[k].layout.display]
    assert visible == ["jpeg"] and panel.text.startswith("jpeg:90: ")
    shown = panel.png
    panel.controls["jpeg"].value = 99.0
    assert panel.png != shown and panel.text.startswith("jpeg:99: ")


def test_upload_panel_takes_the_readers_picture_and_refuses_what_is_none(pictures):
    panel = panels.upload_panel(pictures[0], side=64)
    assert holds(open_png(panel.png), np.asarray(canvas.tile(pictures[0])))
    mine = np.zeros((64, 64, 3), np.uint8)
    mine[:, 32:] = (250, 40, 40)
    content = canvas.png(Image.fromarray(mine))

    def upload(content):
        file = {"name": "a", "type": "", "size": len(content), "content": memoryview(content)}
        panel.controls["upload"].value = ({**file, "last_modified": datetime(2026, 1, 1)},)

    upload(content)
    assert holds(open_png(panel.png), mine.repeat(3, 0).repeat(3, 1))
    panel.controls["mask"].value = 0.0
    assert panel.text.startswith("mask:0:")
    with pytest.raises(ValueError, match="picture"):
        upload(b"not a picture")
    assert "picture" in panel.label.value and "ValueError" in panel.label.value
    upload(content)
    assert "ValueError" not in panel.label.value


# ------------------------------------------------------------------------ what the student sees


class Bright(Mean):
    """Undoes a mask's darkening: a student that knows its operator."""

    def forward(self, x):
        present = (x > 0).float().mean((1, 2, 3), keepdim=True).clamp(min=1e-3)
        return super().forward(x / present)


@pytest.fixture(scope="module")
def halves():
    """Class k is brighter at the left, right, top or bottom; six pictures of each."""
    images = torch.full((24, 3, 64, 64), 60, dtype=torch.uint8)
    labels = torch.arange(24) % 4
    for image, k, more in zip(images, labels.tolist(), range(24), strict=True):
        half = (slice(32) if k % 2 == 0 else slice(32, 64),)
        image[(slice(None), *half) if k >= 2 else (..., *half)] = 180 + more
    return ImageSet(images, labels, ("left", "right", "top", "bottom"), "halves", "made here")


def student_panel(halves, operator="mask:0.5", pictures=1):
    encoders = {"CLIP R": Mean().eval(), "student S": Bright().eval()}
    asked, gallery = to_float(halves.images[:pictures]), Gallery.of(halves, Mean().eval())
    names = [halves.class_names[k] for k in halves.labels[:pictures]]
    operator = operators.parse(operator)
    return panels.see_what_the_student_sees(asked, names, encoders, gallery, operator)


def test_student_panel_counts_what_is_found(halves):
    panel = student_panel(halves)
    assert list(panel.controls) == ["severity"] and panel.controls["severity"].value == 0.5
    seen = {}
    for severity in (0.0, 0.98):
        panel.controls["severity"].value = severity
        start, counts = panel.text.split(": CLIP R ")
        missing = f"{100 * severity:g} % missing"
        assert start == f"{missing}. Right (left) among the 5 nearest clean pictures"
        seen[severity] = [int(count) for count in counts.split(", student S ")]
    assert seen[0.0] == [5, 5]
    assert seen[0.98][0] < seen[0.98][1] == 5  # CLIP finds what is as dark, the student what it is


def test_student_panel_shows_the_nearest_in_frames(halves):
    panel = student_panel(halves)
    panel.controls["severity"].value = 0.0
    shown, edge = open_png(panel.png), student.SIDE - 2 * student.FRAME
    first = few_colours(halves.images[0]).resize((edge, edge), Image.Resampling.BOX)
    assert holds(shown, np.asarray(first))
    green, vermilion = ([int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in (RIGHT, WRONG))
    assert (shown == green).all(-1).any() and not (shown == vermilion).all(-1).any()
    panel.controls["severity"].value = 0.98
    assert (open_png(panel.png) == vermilion).all(-1).any()


def test_student_panel_of_several_pictures_and_a_range(halves):
    panel = student_panel(halves, "noise:0.1..0.3", pictures=3)
    assert panel.controls["which"].max == 3 and panel.controls["severity"].value == 0.5
    before = panel.png
    panel.controls["which"].value = 3
    assert panel.png != before and "(top)" in panel.text


def test_student_panel_refuses_encoders_that_train_or_do_not_fit(halves):
    gallery = Gallery.of(halves, Mean().eval())
    rest = (gallery, operators.parse("mask:0.9"), 0.5)
    x = to_float(halves.images[0])
    with pytest.raises(ValueError, match=r"S is in training mode.*eval"):
        panels.render_student(x, "left", {"S": Mean().train()}, *rest)
    with pytest.raises(ValueError, match=r"12 numbers: expected .* 48 numbers"):
        panels.render_student(x, "left", {"S": Mean(2).eval()}, *rest)
    with pytest.raises(ValueError, match="no encoders"):
        panels.render_student(x, "left", {}, *rest)


def test_render_student_keeps_the_mask_while_it_grows(halves):
    gallery, shown = Gallery.of(halves, Mean().eval()), []
    for severity in (0.3, 0.6):
        image, _ = panels.render_student(
            to_float(halves.images[0]), "left", {"R": Mean().eval()}, gallery,
            operators.parse("mask:0.9"), severity,
        )  # fmt: skip
        shown.append((np.asarray(image)[canvas.LINE :][:192:3, :192:3] == 0).all(-1))
    less, more = shown
    assert less.mean() == pytest.approx(0.3, abs=1e-3)
    assert more.mean() == pytest.approx(0.6, abs=1e-3)
    assert (more | ~less).all()


# ------------------------------------------------------------------------ the map


def test_map_panel_moves_the_answers_and_not_the_axes(halves):
    three = halves.subset((halves.labels < 3).nonzero()[:, 0])
    encoders = {"CLIP R": Mean().eval(), "student S": Bright().eval()}
    panel = panels.map_panel(three, encoders, operators.parse("mask:0.9"), (0.0, 0.5, 0.9))
    stops = panel.controls["severity"]
    assert stops.value == 0.9 and [value for _, value in stops.options] == [0.0, 0.5, 0.9]
    assert panel.text.startswith("90 % missing: the student is nearer to R(x): ")
    assert "% of the spread of all" in panel.text
    before = panel.png
    stops.value = 0.0
    assert panel.png != before
    assert panel.text.startswith("0 % missing: CLIP and the student are as far from R(x): 0.00")
    with pytest.raises(ValueError, match="2 encoders and 4 classes"):
        panels.map_panel(halves, encoders, operators.parse("mask:0.9"), (0.5,))


# ------------------------------------------------------------------------ the quiz


@pytest.fixture(scope="module")
def shades():
    """Twelve classes of plain grey pictures; the class is the shade."""
    labels = torch.arange(12).repeat_interleave(3)
    images = (labels * 20).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 8, 8).contiguous()
    return ImageSet(images, labels, tuple(f"shade {k}" for k in range(12)), "shades", "made here")


def sees(batch):
    """Logits of a model that reads the shade off the picture."""
    shade = batch.mean((1, 2, 3)) * 255 / 20
    return -(shade[:, None] - torch.arange(12.0)).abs()


def blind(batch):
    """Always most sure of class 11, then 10, and so on."""
    return torch.arange(12.0).expand(len(batch), 12)


def ask(shades, **options):
    models = {"sees": sees, "blind": blind}
    return panels.Quiz.ask(shades, operators.parse("noise:0.01"), models, **options)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(2, 12))
def test_quiz_questions_are_fair(shades, seed, questions, choices):
    quiz = ask(shades, questions=questions, choices=choices, seed=seed)
    assert len(quiz) == questions and quiz.corrupted.shape == (questions, 3, 8, 8)
    truths = []
    for question, names in enumerate(quiz.names):
        assert len(set(names)) == choices and set(names) <= set(shades.class_names)
        answer = quiz.guess(names[0])
        truths.append(answer.truth)
        assert answer.truth in names and answer.said["you"] == names[0]
        assert answer.said["sees"] == answer.truth
        best = max(int(name.split()[1]) for name in names)
        assert answer.said["blind"] == f"shade {best}"
        expected = shades.images[shades.class_names.index(answer.truth) * 3] / 255
        assert torch.allclose(quiz.clean(question), expected, atol=1e-6)
        assert (quiz.corrupted[question] - expected).abs().mean() < 0.02
    assert len(set(truths)) == questions and quiz.finished


def test_quiz_is_seeded_and_tells_nothing_before_the_guess(shades):
    quiz, again, other = ask(shades, seed=1), ask(shades, seed=1), ask(shades, seed=2)
    assert quiz.names == again.names and torch.equal(quiz.corrupted, again.corrupted)
    assert quiz.names != other.names
    for reveal in (quiz.answer, quiz.clean):
        for question in (0, 1, -1):
            with pytest.raises(LookupError, match="after the guess"):
                reveal(question)
    assert "_truth" not in repr(quiz) and "_machines" not in repr(quiz)
    assert quiz.score().right.tolist() == [0, 0, 0] and quiz.score().percent.isna().all()
    quiz.guess(quiz.names[0][0])
    quiz.answer(0)
    with pytest.raises(LookupError):
        quiz.answer(1)


def test_quiz_places_the_right_name_anywhere(shades):
    places = set()
    for seed in range(12):
        quiz = ask(shades, questions=4, choices=4, seed=seed)
        for names in quiz.names:
            places.add(names.index(quiz.guess(names[0]).truth))
    assert places == {0, 1, 2, 3}


def test_quiz_scores_everyone_on_the_same_questions(shades):
    quiz = ask(shades, questions=6, choices=3, seed=3)
    right = {"you": 0, "sees": 0, "blind": 0}
    for k, names in enumerate(quiz.names):
        answer = quiz.guess(names[k % 3])
        for player, name in answer.said.items():
            right[player] += name == answer.truth
            assert answer.right(player) == (name == answer.truth)
        score = quiz.score().set_index("player")
        assert score.right.to_dict() == right and (score.of == k + 1).all()
        assert np.allclose(score.percent, [100 * n / (k + 1) for n in right.values()])
    assert right["sees"] == 6 and right["blind"] < 6
    with pytest.raises(ValueError, match="all 6 questions"):
        quiz.guess(quiz.names[0][0])


def test_quiz_refuses_what_makes_no_sense(shades):
    quiz = ask(shades)
    with pytest.raises(ValueError, match=r"'dog'.*'shade"):
        quiz.guess("dog")
    assert quiz.asked == 0
    for options in ({"questions": 13}, {"questions": 0}, {"choices": 1}, {"choices": 13}):
        with pytest.raises(ValueError, match=r"1 to 12 questions .* 2 to 12 choices"):
            ask(shades, **options)


def test_render_question_hides_then_shows(shades):
    quiz = ask(shades, questions=2, choices=4, seed=0)
    picture, text = panels.render_question(quiz, 0)
    names = quiz.names[0]
    assert text.startswith("Question 1 of 2: what is in this picture: ")
    assert text.endswith(f": {names[0]}, {names[1]}, {names[2]} or {names[3]}?")
    clean = np.asarray(canvas.tile(to_float(shades.images)[0]))
    assert picture.size[0] == clean.shape[0] == 192
    answer = quiz.guess(quiz.names[0][1])
    picture, text = panels.render_question(quiz, 0)
    assert picture.size[0] == 2 * 192 + canvas.GAP
    assert holds(np.asarray(picture), np.asarray(canvas.tile(quiz.clean(0))))
    first, second, third = text.split("\n")
    assert first == f"It was: {answer.truth}." and f"sees: {answer.truth} (right)" in second
    mark = "right" if answer.right("you") else "wrong"
    assert second.startswith(f"you: {quiz.names[0][1]} ({mark});")
    assert third.startswith("Right after 1 of 2 questions: you ") and "sees 1" in third


def test_quiz_panel_plays_to_the_end(shades):
    quiz = ask(shades, questions=3, choices=4, seed=0)
    panel = panels.beat_the_encoder(quiz)
    assert repr(panel) == "QuizPanel()"
    for k, names in enumerate(quiz.names):
        assert [b.description for b in panel.buttons] == list(names)
        assert panel.next.disabled and not any(b.disabled for b in panel.buttons)
        assert panel.text.startswith(f"Question {k + 1} of 3")
        panel.next.click()
        assert panel.question == k, "no going on without a guess"
        panel.buttons[2].click()
        panel.buttons[1].click()
        assert quiz.asked == k + 1 and quiz.answer(k).said["you"] == names[2]
        assert all(b.disabled for b in panel.buttons) and panel.text.startswith("It was: ")
        assert panel.next.disabled == (k == 2)
        panel.next.click()
    assert quiz.finished and panel.question == 2 and "Right after 3 of 3" in panel.text
