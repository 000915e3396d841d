"""data_prep official: the authors' checkpoints, in Lightning's layout, on small towers."""

import os
import sys
import types
from argparse import Namespace
from functools import partial

import numpy as np
import pytest
import torch
from open_clip.modified_resnet import ModifiedResNet
from torchvision.models.resnet import Bottleneck, ResNet, resnet101

from cinv_lib import encoders
from cinv_lib.encoders import config as encoder_config
from cinv_lib.encoders import weight_files
from cinv_lib.evaluation import probe
from data_prep import official

SMALL = "stickers-clip"  # a CLIP of the same layout: a ModifiedResNet and a text transformer


def shaken(module: torch.nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """A state dict whose every value, running statistics too, depends on the seed."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, value in module.state_dict().items():
        noise = torch.rand(value.shape, generator=generator)
        state[key] = value + 0.1 * noise if value.is_floating_point() else value + seed
    return state


@pytest.fixture(scope="module")
def towers():
    """The teacher that drifted, the student, and the student as the probe knew it."""
    clip = encoders.fresh(SMALL, 0).clip
    drifted = shaken(clip, 1)
    return drifted, shaken(clip.visual, 2), shaken(clip.visual, 3)


def lightning(path, state: dict, monkeypatch) -> None:
    """What Lightning 1.2.6 writes: callbacks keyed by their class, the optimiser, options."""
    module = types.ModuleType("pytorch_lightning.callbacks.model_checkpoint")
    module.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": module.__name__})
    with monkeypatch.context() as patch:
        for name in ("pytorch_lightning", "pytorch_lightning.callbacks", module.__name__):
            patch.setitem(sys.modules, name, module)
        content = {
            "epoch": 24,
            "global_step": 12375,
            "pytorch-lightning_version": "1.2.6",
            "state_dict": state,
            "callbacks": {module.ModelCheckpoint: {"best": module.ModelCheckpoint(), "n": 1}},
            "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": []}],
            "lr_schedulers": [{"T_max": 12375, "last_epoch": 25}],
            "hparams_name": "args",
            "hyper_parameters": {"args": Namespace(lr=3e-4), "std": np.float64(0.5)},
        }
        torch.save(content, path)


def named(prefix: str, state: dict) -> dict:
    return {f"{prefix}{key}": value for key, value in state.items()}


def head(dim: int) -> dict:
    generator = torch.Generator().manual_seed(5)
    return {
        "weight": torch.randn(100, dim, generator=generator),
        "bias": torch.randn(100, generator=generator),
    }


@pytest.fixture
def checkpoints(tmp_path, towers, monkeypatch):
    folder = tmp_path / "theirs"
    folder.mkdir()
    drifted, student, probed = towers
    backbone = {**named("baseclip.", drifted), **named("noisy_visual_encoder.", student)}
    lightning(folder / "mask90-backbone.ckpt", backbone, monkeypatch)
    both = {**named("backbone.", probed), **named("output.", head(128))}
    lightning(folder / "mask90-probe.ckpt", both, monkeypatch)
    return folder


def test_the_student_has_its_own_tower_and_clips_text(checkpoints, towers, home, capsys):
    made = official.make(checkpoints, SMALL)
    assert [p.relative_to(home).as_posix() for p in made] == [
        "official/mask90/backbone",
        "official/mask90/probe",
    ]
    drifted, student, probed = towers
    encoder = encoders.load(made[0])
    got = encoder.clip.state_dict()
    assert all(torch.equal(got[f"visual.{key}"], value) for key, value in student.items())
    text = {key for key in drifted if not key.startswith("visual.")}
    assert len(text) > 20 and all(torch.equal(got[key], drifted[key]) for key in text)
    # never the drifted teacher: not one of its weights or statistics is in the image tower
    mean = "visual.bn1.running_mean"
    assert not torch.equal(got[mean], drifted[mean])
    assert (encoder.interpolation, encoder.image_size) == ("bilinear", 64)
    # the probe has its own tower, and its layer takes embeddings as they are
    seen = encoders.load(made[1])
    assert all(torch.equal(seen.tower.state_dict()[key], v) for key, v in probed.items())
    layer = probe.Probe.from_state(weight_files.read(made[1] / official.HEAD))
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        embedded = seen(x)
        want = embedded @ head(128)["weight"].T + head(128)["bias"]
        assert torch.allclose(layer(embedded), want, atol=1e-5)
    said = capsys.readouterr().out
    assert "NOTE  mask90: the probe's tower differs from the backbone" in said
    assert "7 of 9 are absent" in said
    assert "noise05-baseline.ckpt  https://drive.google.com/file/d/1OuLbKoUuLxIxP3" in said


def test_what_is_converted_is_left_as_it_is(checkpoints, home, monkeypatch):
    made = official.make(checkpoints, SMALL)
    (checkpoints / "mask90-backbone.ckpt").unlink()
    monkeypatch.setattr(official, "convert", lambda *_: pytest.fail("done a second time"))
    assert official.make(checkpoints, SMALL) == made


def test_an_equal_tower_is_said_to_be_so(checkpoints, towers, home, monkeypatch, capsys):
    both = {**named("backbone.", towers[1]), **named("output.", head(128))}
    lightning(checkpoints / "mask90-probe.ckpt", both, monkeypatch)
    official.make(checkpoints, SMALL)
    assert "the probe's tower is the backbone's" in capsys.readouterr().out


def test_the_baseline_is_torchvisions_resnet(home, tmp_path, monkeypatch):
    """Its parts are numbered as the children of torchvision's ResNet-101 are."""
    narrow = partial(ResNet, Bottleneck, [1, 2, 1, 1], width_per_group=8)  # 2048 wide at its end
    monkeypatch.setattr("torchvision.models.resnet101", lambda weights: narrow())
    encoder = encoders.fresh("resnet101", 4)
    numbered = torch.nn.Sequential(*list(encoder.tower.children())[:-1])
    state = named("encoder.feature_extractor.", numbered.state_dict())
    state |= named("encoder.classifier.", head(2048))
    lightning(tmp_path / "blur37-baseline.ckpt", state, monkeypatch)
    (made,) = official.make(tmp_path)
    again = encoders.load(made)
    want = encoder.tower.state_dict()
    assert all(torch.equal(v, want[key]) for key, v in again.tower.state_dict().items())
    layer = probe.Probe.from_state(weight_files.read(made / official.HEAD))
    assert torch.equal(layer.weight, head(2048)["weight"])


def test_the_numbers_of_the_baselines_parts_cover_the_real_resnet101():
    with torch.device("meta"):
        tower = resnet101(weights=None)
    children = dict(enumerate(tower.named_children()))
    parts = {str(i): name for i, (name, _) in children.items() if len(children[i][1].state_dict())}
    parts.pop(str(len(children) - 1))  # fc, the classifier
    assert parts == official.STAGES


def test_the_authors_shape_has_645_keys_a_tower_and_quick_gelu():
    config = official._config(official.SHAPE)
    vision = config["model_cfg"]["vision_cfg"]
    with torch.device("meta"):
        tower = ModifiedResNet(
            vision["layers"], config["model_cfg"]["embed_dim"], 32, 224, vision["width"]
        )
    assert len(tower.state_dict()) == 645
    assert tower.attnpool.positional_embedding.shape == (50, 2048)
    assert config["model_cfg"]["quick_gelu"] and config["model_cfg"]["embed_dim"] == 512
    assert config["preprocess_cfg"]["mean"] == encoder_config.OPENAI_PREPROCESS["mean"]


# -- what is refused ---------------------------------------------------------------------------
def test_code_in_a_checkpoint_is_named_and_not_run(home, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "evil"),)

    torch.save({"state_dict": {}, "callbacks": Evil()}, tmp_path / "mask90-probe.ckpt")
    with pytest.raises(ValueError, match=r"mask90-probe\.ckpt is refused: .*mkdir"):
        official.make(tmp_path, SMALL)
    assert not (tmp_path / "evil").exists()
    assert not (home / "official").exists()


def without(state: dict, key: str) -> dict:
    return {k: v for k, v in state.items() if k != key}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: without(s, "backbone.bn1.weight"), r"1 keys missing \(bn1\.weight\)"),
        (lambda s: s | {"backbone.bn9.bias": torch.ones(1)}, r"1 unknown keys \(bn9\.bias\)"),
        (lambda s: s | {"loss.tau": torch.ones(1)}, "1 unknown keys such as loss.tau"),
        (lambda s: s | {"backbone.bn1.weight": torch.ones(7)}, r"bn1\.weight: \(7,\) in the file"),
        (
            lambda s: s | {"output.bias": torch.ones(10)},
            r"its linear layer is .*100 classes of 128",
        ),
        (lambda s: s | {"backbone.bn1.bias": torch.full((12,), torch.nan)}, "holds NaN"),
    ],
)
def test_keys_and_shapes_are_strict(change, words, towers, home, tmp_path, monkeypatch):
    state = {**named("backbone.", towers[2]), **named("output.", head(128))}
    lightning(tmp_path / "mask90-probe.ckpt", change(state), monkeypatch)
    with pytest.raises(ValueError, match=words) as e:
        official.make(tmp_path, SMALL)
    assert "mask90-probe.ckpt" in str(e.value)
    assert not (home / "official" / "mask90" / "probe").exists()


def test_a_file_of_another_kind_says_which_it_is(checkpoints, home):
    os.rename(checkpoints / "mask90-probe.ckpt", checkpoints / "mask90-baseline.ckpt")
    with pytest.raises(ValueError, match=r"not a baseline of the authors .*it is a probe: name it"):
        official.make(checkpoints, SMALL)


def test_damaged_and_absent_files_are_said(checkpoints, home, tmp_path, monkeypatch):
    cut = checkpoints / "mask90-probe.ckpt"
    cut.write_bytes(cut.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"mask90-probe\.ckpt is truncated or no checkpoint"):
        official.make(checkpoints, SMALL)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="is no folder"):
        official.make(tmp_path / "nowhere")
    monkeypatch.setenv("CINV_HOME", str(tmp_path / "other home"))
    with pytest.raises(FileNotFoundError, match="none of the nine checkpoints is in"):
        official.make(tmp_path / "empty")


def test_no_name_in_a_file_has_two_meanings(checkpoints, home, monkeypatch):
    """Of two meanings for one name, torch takes either, by where they lie in memory."""
    seen = []
    load = torch.load

    def watched(*args, **kwargs):
        allowed = torch.serialization.get_safe_globals()
        seen.append(
            [f[1] if isinstance(f, tuple) else f"{f.__module__}.{f.__qualname__}" for f in allowed]
        )
        return load(*args, **kwargs)

    monkeypatch.setattr(torch, "load", watched)
    official.read(checkpoints / "mask90-probe.ckpt")
    assert seen and all("numpy.dtype" in names for names in seen)
    assert all(len(names) == len(set(names)) for names in seen)
