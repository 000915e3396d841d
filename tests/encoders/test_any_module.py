"""A module of one's own as an encoder: it is distilled, saved, and filled when it is made again."""

import json

import pytest
import torch
from torch import nn
from torchvision.transforms.v2.functional import normalize

from cinv_lib import encoders
from cinv_lib.encoders import any_module
from cinv_lib.losses.equations import Loss
from cinv_lib.operators.basic import RandomMask
from cinv_lib.training.recipe import Recipe
from cinv_lib.training.student import distill

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


class Small(nn.Module):
    """Someone's network: batch norm, another size than the library's, two layers."""

    def __init__(self, dim: int = 16, seed: int = 0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv, self.norm = nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8)
            self.last = nn.Linear(8, dim)

    def forward(self, x):
        return self.last(self.norm(self.conv(x)).relu().mean((2, 3)))


def wrapped(**changes) -> encoders.Encoder:
    settings = {"image_size": 40, "mean": MEAN, "std": STD, "interpolation": "bicubic"}
    return encoders.Encoder.wrap(Small(), **(settings | changes))


def pictures(n: int = 3) -> torch.Tensor:
    return torch.rand(n, 3, 40, 40, generator=torch.Generator().manual_seed(n))


def test_it_embeds_with_its_own_normalisation():
    module = Small().train()
    encoder = encoders.Encoder.wrap(module, 40, MEAN, STD)
    assert encoder.tower is module and not (module.training or encoder.training)
    assert (encoder.dim, encoder.image_size, encoder.name) == (16, 40, "Small")
    with torch.no_grad():
        want = module(normalize(pictures(), list(MEAN), list(STD)))
        assert torch.allclose(encoder(pictures()), want, atol=1e-6)
    assert encoders.Encoder.wrap(module, 40, name="mine").name == "mine"
    assert encoders.Encoder.wrap(module, 40).mean.flatten().tolist() == pytest.approx(
        encoders.config.IMAGENET_PREPROCESS["mean"]
    )
    with pytest.raises(ValueError, match="Small has no text tower"):
        encoders.text_embeddings(encoder, ["anchor"])


def test_it_is_distilled_and_the_student_comes_back_with_its_preprocessing(image_set, tmp_path):
    teacher = wrapped()
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    recipe = Recipe(epochs=2, batch_size=6, lr=1e-2)
    student, history = distill(
        teacher, image_set, RandomMask(0.5), Loss("st", 0.1), recipe, 0, progress=False
    )
    assert len(history) == 4
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())
    folder = encoders.save(student.cpu(), tmp_path / "student")
    made_again = Small(seed=1)  # other weights
    loaded = encoders.load(folder, tower=made_again)
    assert loaded.tower is made_again and not loaded.training
    with torch.no_grad():
        assert torch.allclose(loaded(pictures()), student(pictures()), atol=1e-6)
        assert not torch.allclose(loaded(pictures()), teacher(pictures()), atol=1e-3)
    assert torch.equal(loaded.mean, teacher.mean) and torch.equal(loaded.std, teacher.std)
    assert loaded.config == teacher.config and loaded.interpolation == "bicubic"
    again = encoders.load(folder / "model.safetensors", tower=Small(seed=2))
    assert torch.allclose(again(pictures()), loaded(pictures()), atol=1e-6)


def test_without_the_module_made_again_it_says_so(tmp_path):
    folder = encoders.save(wrapped(), tmp_path / "mine")
    with pytest.raises(ValueError, match=r"module of your own.*load\('.*mine', tower=module\)"):
        encoders.load(folder)


def test_another_module_is_refused(tmp_path):
    folder = encoders.save(wrapped(), tmp_path / "mine")
    with pytest.raises(ValueError, match=r"safetensors does not fit Small: 2 other shapes"):
        encoders.load(folder, tower=Small(dim=5))
    with pytest.raises(ValueError, match="does not fit Linear"):
        encoders.load(folder, tower=nn.Linear(3, 3))

    class Half(Small):  # the same weights, but another embedding
        def forward(self, x):
            return super().forward(x)[:, :8]

    with pytest.raises(ValueError, match="an encoder of 16 dimensions, and this Half makes 8"):
        encoders.load(folder, tower=Half())
    clip = encoders.save(encoders.fresh("stickers-clip", 0), tmp_path / "clip")
    with pytest.raises(ValueError, match="clip holds all that builds its encoder again"):
        encoders.load(clip, tower=Small())
    with pytest.raises(FileNotFoundError, match="holds neither"):
        encoders.load(tmp_path, tower=Small())


class Maps(nn.Conv2d):
    """Feature maps in place of embeddings."""

    def __init__(self):
        super().__init__(3, 4, 3)


class Several(nn.Module):
    """As many published models return."""

    def forward(self, x):
        return {"embedding": x.mean((2, 3))}


class Counts(nn.Module):
    """Whole numbers."""

    def forward(self, x):
        return x.mean((2, 3)).long()


@pytest.mark.parametrize(
    "module, message",
    [
        (Maps(), r"Maps: expected float embeddings \(2, d\) .* makes \(2, 4, 38, 38\); pool"),
        (Several(), "makes a dict; pool, or choose, within a module around it"),
        (Counts(), r"makes torch\.int64"),
        (nn.Linear(7, 2), r"Linear: expected .* \(2, 3, 40, 40\), and it raises RuntimeError"),
    ],
)
def test_modules_that_make_no_embeddings_are_refused(module, message):
    with pytest.raises(ValueError, match=message):
        encoders.Encoder.wrap(module, 40)


@pytest.mark.parametrize(
    "changes",
    [{"image_size": 0}, {"mean": (0.5,)}, {"std": (0.2, 0.0, 0.2)}, {"std": (1, 1, float("nan"))}],
)
def test_preprocessing_that_cannot_be_is_refused(changes):
    with pytest.raises(ValueError, match="expected a side in pixels, three means and three posit"):
        wrapped(**changes)


def test_what_is_written_is_plain(tmp_path):
    folder = encoders.save(wrapped(), tmp_path / "mine")
    found = json.loads((folder / "config.json").read_text())
    assert found == {
        "kind": "wrapped",
        "model_cfg": {"embed_dim": 16},
        "preprocess_cfg": {
            "size": 40, "mean": list(MEAN), "std": list(STD), "interpolation": "bicubic",
        },
    }  # fmt: skip
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_a_module_without_weights_can_be_wrapped():
    class Mean(nn.Module):
        def forward(self, x):
            return x.mean((2, 3))

    assert encoders.Encoder.wrap(Mean(), 8).dim == 3
    assert any_module.width(Mean(), 8, "mean") == 3
