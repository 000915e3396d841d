"""Encoders side by side: the draws and scores of `evaluate`, and words that are turned back."""

import copy
from dataclasses import replace

import pytest
import torch

from cinv_lib import data, encoders, evaluation, operators
from cinv_lib.evaluation import probe
from cinv_lib.evaluation.probe import ProbeRecipe
from cinv_lib.experiments import loss_bias, other_tower, tuned_teacher
from cinv_lib.experiments.loss_bias import Where
from cinv_lib.lab.profiles import STICKERS

MASK = operators.parse("mask:0.5..0.95")
TEMPLATE = "a photo of a {}"


@pytest.fixture(scope="module")
def teacher():
    return encoders.load("stickers-clip")


@pytest.fixture(scope="module")
def pictures():
    return data.load("stickers-100", "val", n=2)


def where(pictures, severities=(0.0, 0.5)):
    return Where(pictures, MASK, severities, realisations=2, seed=3)


def entry(kind, severities):
    """With short probes."""
    recipe = ProbeRecipe(epochs=1, lr=1e-3, batch_size=64)
    return kind(
        operators={str(MASK): None}, severities=severities, val_per_class=2, realisations=2,
        recipe=recipe,
    )  # fmt: skip


def turned(encoder, Q):
    """The same encoder, whose embeddings are multiplied by Q from the right."""
    other = copy.deepcopy(encoder)
    last = other.tower.attnpool.c_proj
    with torch.no_grad():
        last.weight.copy_(Q.T @ last.weight)
        last.bias.copy_(Q.T @ last.bias)
    return other


def test_scores_are_those_of_evaluate_and_clean_pictures_are_seen_once(teacher, pictures):
    words = probe.zero_shot(teacher, pictures.class_names, (TEMPLATE,))
    R = loss_bias.clean(teacher, pictures)
    frame = loss_bias.measure(teacher, {"words": words}, R, where(pictures))
    assert frame.columns.tolist() == [
        "severity", "realisation", "words", "cosine", "within", "between", "own_first", "matched"
    ]  # fmt: skip
    assert frame[["severity", "realisation"]].values.tolist() == [[0, 0], [0.5, 0], [0.5, 1]]
    expected = evaluation.sweep(
        [(teacher, {"words": words})], pictures, MASK, (0.0, 0.5), realisations=2, seed=3
    )
    assert frame.words.tolist() == pytest.approx(expected.top1.tolist())
    intact = frame.iloc[0]
    assert intact.cosine == pytest.approx(1, abs=1e-3) and intact.own_first == 100
    assert (frame.cosine[1:] < 0.9).all()
    assert frame.matched.tolist() == pytest.approx(frame.cosine.tolist())


def test_matched_is_the_cosine_to_ones_own(teacher, pictures):
    R, looked = loss_bias.clean(teacher, pictures), where(pictures, (0.0,))
    frame = loss_bias.measure(teacher, {}, R.roll(1, 0), looked, own=R)
    assert frame.matched.item() == pytest.approx(1, abs=1e-3)
    assert frame.cosine.item() < 0.5 and frame.own_first.item() == 0


def test_a_teacher_that_has_only_turned_gets_its_words_back(teacher, pictures):
    generator = torch.Generator().manual_seed(0)
    Q, _ = torch.linalg.qr(torch.randn(teacher.dim, teacher.dim, generator=generator))
    other = turned(teacher, Q)
    train = data.load("stickers-100", "train", n=2)
    short = entry(tuned_teacher.TunedTeacher, (0.5,))
    head = probe.zero_shot(teacher, train.class_names)
    frame = short.measure(
        short.task(str(MASK)), teacher, copy.deepcopy(teacher), head,
        (other, other), (other, other), train, pictures,
    )["tuned_teacher"]  # fmt: skip
    assert frame.columns[:2].tolist() == ["method", "model"]
    row = frame[frame.model == "teacher"].set_index("method")
    frozen, moved = row.loc["frozen"], row.loc["tuned"]
    assert frozen.severity == 0 and frozen.words == frozen.turned > 90
    assert moved.words < 10 and moved.turned == pytest.approx(frozen.words, abs=1)
    assert moved.cosine < 0.2 and moved.matched == pytest.approx(1, abs=1e-3)
    students = frame[frame.model == "student"]
    assert len(students) == 6 and (students.severity == 0.5).all()  # three arms, two draws


def test_towers_have_a_row_for_each_model_severity_and_draw(teacher, pictures):
    train = data.load("stickers-100", "train", n=1)
    short, one, other = (
        entry(other_tower.OtherTower, (0.0, 0.5)),
        *map(copy.deepcopy, [teacher] * 2),
    )
    head = probe.zero_shot(teacher, train.class_names)
    frame = short.measure(
        short.task(str(MASK)), teacher, one, head, teacher, other, train, pictures
    )["other_tower"]
    assert frame.columns[:4].tolist() == ["tower", "model", "severity", "realisation"]
    assert (frame.groupby(["tower", "model"]).size() == 3).all()
    given = frame[(frame.tower == "resnet") & (frame.model == "student")]
    assert (given.probe == given.words).all(), "the student's own probe is not fitted again"
    vit = frame[frame.tower == "vit"]
    clip, student = (vit[vit.model == m].iloc[:, 2:] for m in ("clip", "student"))
    torch.testing.assert_close(torch.tensor(clip.values), torch.tensor(student.values))


def test_what_the_kinds_of_lesson_14_depend_on():
    op = STICKERS.slider
    frozen, tuned, anchored, vit = (
        STICKERS.describe(STICKERS[kind].task(op))
        for kind in ("student", "tuned", "anchored", "vit_student")
    )
    assert tuned == frozen | {"kind": "tuned", "pace": 0.1, "anchor": 0.0}
    assert anchored == frozen | {"kind": "anchored", "pace": 0.1, "anchor": 10.0}
    needs = {"vit": STICKERS.vit, "unlabelled": frozen["needs"]["unlabelled"]}
    slower = replace(frozen["recipe"], lr=1e-3)
    assert vit == frozen | {"kind": "vit_student", "needs": needs, "recipe": slower}
    measured = [STICKERS[kind].task(op) for kind in ("tuned_teacher", "other_tower", "loss_bias")]
    before = {task.kind for one in measured for task in STICKERS.after(one)}
    assert before == {"student", "tuned", "anchored", "vit_student", "probe"}
