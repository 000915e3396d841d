"""A vision transformer as the teacher's tower: all that is done with a ResNet works with it."""

import open_clip
import processes
import pytest
import torch
from open_clip.transformer import PatchDropout, VisionTransformer
from torch import nn

from cinv_lib import data, encoders, losses, operators, training
from cinv_lib.encoders import inference
from cinv_lib.training.recipe import Recipe
from data_prep import teacher

NAME = "stickers-clip-vit"


def pictures(n: int = 4) -> torch.Tensor:
    return torch.rand(n, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def vit():
    return encoders.fresh(NAME, seed=0)


def test_the_shape_is_a_small_transformer_beside_the_same_text_tower(vit):
    assert isinstance(vit.tower, VisionTransformer)
    assert not any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in vit.modules())
    assert isinstance(vit.tower.patch_dropout, nn.Identity)  # a student sees all patches
    assert 0.5e6 < sum(p.numel() for p in vit.tower.parameters()) < 3e6
    resnet = encoders.fresh("stickers-clip", seed=0)
    assert vit.config["model_cfg"]["text_cfg"] == resnet.config["model_cfg"]["text_cfg"]
    assert vit.config["preprocess_cfg"] == resnet.config["preprocess_cfg"]


@torch.no_grad()
def test_saved_and_loaded_it_is_the_same_and_open_clip_reads_it(vit, tmp_path):
    encoders.save(vit, tmp_path)
    x = pictures()
    assert torch.equal(encoders.load(tmp_path)(x), vit(x))
    theirs = open_clip.create_model(f"local-dir:{tmp_path}").eval()
    torch.testing.assert_close(theirs.encode_image((x - vit.mean) / vit.std), vit(x))


@torch.no_grad()
def test_looking_leaves_what_it_sees_as_it_is(vit):
    x, state = pictures(), {k: v.clone() for k, v in vit.state_dict().items()}
    expected = vit(x)
    vit.train()
    try:
        with inference.looking([vit]):
            assert not vit.tower.training
            torch.testing.assert_close(vit(x), expected)
        assert vit.tower.training
    finally:
        vit.eval()
    for name, value in vit.state_dict().items():
        assert torch.equal(value, state[name]), name


def enlarged(n: int) -> data.ImageSet:
    small = processes.small_pictures(n)
    large = small.images.repeat_interleave(4, 2).repeat_interleave(4, 3)
    return data.ImageSet(large, small.labels, small.class_names, "large", "random")


def test_a_student_learns_through_channels_last_and_bf16_and_only_its_image_tower(vit):
    before = {k: v.clone() for k, v in vit.state_dict().items()}
    recipe = Recipe(epochs=12, batch_size=16, lr=1e-3, precision="auto")
    student, history = training.distill(
        vit,
        enlarged(32),
        operators.parse("mask:0.5"),
        losses.parse("st:0.1"),
        recipe,
        0,
        None,
        False,
    )
    assert history.loss.iloc[-4:].mean() < history.loss.iloc[:4].mean() - 0.5
    for name, value in student.cpu().state_dict().items():
        assert torch.equal(vit.state_dict()[name].cpu(), before[name]), name
        assert torch.equal(value, before[name]) != name.startswith("clip.visual."), name


def test_the_same_training_twice_is_the_same_bit_for_bit(vit):
    """Nothing in a transformer of ours draws from the global generator."""
    recipe = Recipe(epochs=1, batch_size=8, lr=1e-3)
    op, loss = operators.parse("mask:0.5"), losses.parse("st:0.1")
    states = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        student, _ = training.distill(vit, enlarged(16), op, loss, recipe, 0, None, False)
        states.append(student.tower.state_dict())
    torch.testing.assert_close(*states, atol=0, rtol=0)


def test_it_is_trained_on_the_embedded_clips_words_which_stay():
    model = teacher.untrained(teacher.TOWERS["vit"])
    words = encoders.load("stickers-clip").clip.state_dict()
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    for name, weight in model.state_dict().items():
        if name.startswith("visual."):
            assert (name in trained) == (name != "visual.positional_embedding"), name
        elif name != "logit_scale":
            assert torch.equal(weight, words[name]) and name not in trained, name
    assert "logit_scale" in trained and model.logit_scale != words["logit_scale"]


def test_the_resnet_is_trained_as_before_with_all_its_weights():
    model = teacher.untrained(teacher.TOWERS["resnet"])
    expected = encoders.fresh("stickers-clip", 0).clip.state_dict()
    assert all(weight.requires_grad for weight in model.parameters())
    torch.testing.assert_close(model.state_dict(), expected, atol=0, rtol=0)


def test_a_killed_training_drops_the_same_patches_when_it_goes_on(tmp_path, monkeypatch):
    tiny = teacher.TeacherRecipe(
        encoder=NAME, images=32, batch_size=16, steps=4, horizon=4, cooldown=1,
        text="stickers-clip", dropped=0.5,
    )  # fmt: skip
    calls, real = [], PatchDropout.forward

    def counted(dropout, x):
        if dropout.training:
            calls.append(dropout.prob)
        if len(calls) == 6:  # three of the straight run, two of the one that is killed
            raise KeyboardInterrupt
        return real(dropout, x)

    monkeypatch.setattr(PatchDropout, "forward", counted)
    monkeypatch.setattr(teacher, "zero_shot_accuracy", lambda *_: 0.0)
    monkeypatch.setattr(teacher, "SAVE_EVERY", 2)
    straight = teacher.train(tiny, tmp_path / "straight")
    assert calls == [0.5] * 3  # and the last step, the cooldown, sees whole pictures
    with pytest.raises(KeyboardInterrupt):
        teacher.train(tiny, tmp_path / "killed")
    torch.rand(7)  # wherever the global generator stands
    resumed = teacher.train(tiny, tmp_path / "killed")
    assert len(calls) == 7
    torch.testing.assert_close(resumed.state_dict(), straight.state_dict(), atol=0, rtol=0)


@torch.no_grad()
def test_the_weights_that_ship_have_the_embedded_clips_words():
    shipped, resnet = (encoders.load(name) for name in (NAME, "stickers-clip"))
    words = ("umbrella", "star", "heart")
    torch.testing.assert_close(
        encoders.text_embeddings(shipped, words), encoders.text_embeddings(resnet, words)
    )
