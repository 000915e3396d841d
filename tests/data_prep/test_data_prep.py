"""The embedded weights can be made again: a short run learns, a killed one goes on, cards tell."""

import hashlib
import math
import re

import pytest
import torch
import torch.nn.functional as F

from cinv_lib import encoders
from cinv_lib.encoders import words
from cinv_lib.machine import hardware
from data_prep import __main__ as command
from data_prep import labelled, teacher
from data_prep.teacher import TeacherRecipe, caption_loss

SHORT = TeacherRecipe(images=32, batch_size=16, steps=30, horizon=60, cooldown=5)


def test_a_short_run_of_the_teacher_learns(tmp_path):
    x, labels, full, bare = teacher.web(SHORT)
    untrained = encoders.fresh("stickers-clip", 0).clip.train()
    trained = teacher.train(SHORT, tmp_path)
    bf16 = hardware.uses_bf16("auto", x.device)
    with torch.no_grad():
        before, after = (
            teacher.step_loss(m, x[:32], labels[:32], full[:32], bare, bf16).item()
            for m in (untrained, trained.train())
        )
    assert after < before - 1, (before, after)  # it begins to know these 32 by heart


def test_a_killed_teacher_goes_on_and_another_recipe_is_refused(tmp_path):
    tiny = TeacherRecipe(images=32, batch_size=16, steps=2, horizon=4, cooldown=1)
    teacher.train(tiny, tmp_path)
    done = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    again = teacher.train(tiny, tmp_path)  # finished: nothing is trained a second time
    for name, value in again.state_dict().items():
        assert torch.equal(value, done["model"][name]), name
    with pytest.raises(ValueError, match="Delete it"):
        teacher.train(TeacherRecipe(images=32, batch_size=16, steps=3), tmp_path)


def test_the_learning_rate_rises_falls_and_ends_near_zero():
    recipe = TeacherRecipe()
    rates = [recipe.rate(step) for step in range(recipe.steps)]
    top = rates.index(max(rates))
    assert rates[0] < recipe.lr / 100 and rates[-1] < recipe.lr / 1000
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)


def test_caption_loss_is_cross_entropy_when_no_text_repeats():
    generator = torch.Generator().manual_seed(0)
    pictures, texts = torch.randn(2, 5, 8, generator=generator)
    logits = 3 * pictures @ texts.T
    rows = torch.arange(5)
    expected = (F.cross_entropy(logits, rows) + F.cross_entropy(logits.T, rows)) / 2
    found = caption_loss(pictures, texts, rows, torch.tensor(3.0))
    torch.testing.assert_close(found, expected)


def test_pictures_of_one_text_are_not_pushed_apart():
    """Both pictures lie on their common text: at a high scale nothing is left to pay."""
    texts = torch.eye(2)
    pictures = texts[[0, 0, 1]]
    found = caption_loss(pictures, texts, torch.tensor([0, 0, 1]), torch.tensor(50.0)).item()
    # What remains: one of the two texts cannot choose between its two pictures, in one direction.
    assert found == pytest.approx(math.log(2) / 4)


@pytest.mark.parametrize(
    ("folder", "file", "limits"),
    [
        (teacher.HOME, "open_clip_model.safetensors", {"zero-shot": 90.0, "linear probe": 93.0}),
        (
            teacher.WEIGHTS / "stickers-clip-vit",
            "open_clip_model.safetensors",
            {"zero-shot": 85.0, "linear probe": 93.0},
        ),
        *(
            (tower.out, "model.safetensors", {"top-1 over all": 50.0, "linear probe": 70.0})
            for tower in labelled.TOWERS.values()
        ),
    ],
)
def test_the_card_belongs_to_the_weights_that_ship(folder, file, limits):
    card = (folder / "MODEL_CARD.md").read_text()
    weights = (folder / file).read_bytes()
    assert len(weights) <= 8 * 2**20
    assert hashlib.sha256(weights).hexdigest() in card
    for row, least in limits.items():
        found = re.search(rf"\| {row}[^|]*\| ([\d.]+) % \|", card)
        assert found and float(found[1]) >= least, row
    for fact in ("recipe: seed", "command", "date", "machine"):
        assert f"| {fact}" in card or f"| {fact.removeprefix('recipe: ')}" in card


@pytest.mark.parametrize(("name", "limit"), [("stickers-clip", 90), ("stickers-clip-vit", 85)])
def test_a_teacher_that_ships_recognises_what_its_card_says(name, limit):
    """Some 740 of the pictures behind the card's number; five standard errors of slack."""
    encoder = encoders.load(name)
    names = [teacher.TEMPLATE.format(n) for n in teacher.glyphs().names]
    bare = words.tokenize(names, 20)
    found = teacher.zero_shot_accuracy(encoder.clip, bare, per_class=2)
    assert found > limit - 5 * (limit * (100 - limit) / (2 * len(names))) ** 0.5


def test_the_command_names_its_choices(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["data_prep", "imagenet"])
    with pytest.raises(SystemExit):
        command.main()
    assert "stickers" in capsys.readouterr().err
