"""encoders: what is loaded is what was saved, open_clip agrees, and every refusal says why."""

import argparse
import copy
import json
import logging
import warnings
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
import torchvision
from jaxtyping import config as jaxtyping_config
from open_clip.transformer import QuickGELU
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision.transforms.v2.functional import normalize

from cinv_lib import encoders
from cinv_lib.encoders import config as encoder_config
from cinv_lib.encoders import weight_files, words

NAMES = ["red umbrella", "anchor", "black chess knight"]


def pictures(n: int = 5, size: int = 64) -> torch.Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(n))


def trained(name: str = "stickers-clip", seed: int = 0) -> encoders.Encoder:
    """Weights and statistics that look trained: in a fresh tower whole branches are zero."""
    encoder = encoders.fresh(name, seed)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed + 1)
        for parameter in encoder.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        encoder.train()
        for _ in range(3):
            encoder(torch.rand(8, 3, encoder.image_size, encoder.image_size))
    return encoder.eval()


@pytest.fixture(scope="module")
def encoder():
    return trained()


@pytest.fixture(scope="module")
def saved(encoder, tmp_path_factory):
    return encoders.save(encoder, tmp_path_factory.mktemp("saved") / "clip")


@pytest.fixture
def architecture(tmp_path, encoder):
    """Makes the tiny shape, or a variant of it, known to open_clip under a name of its own."""
    made = []

    def make(name: str, **changes) -> str:
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({**encoder.config["model_cfg"], **changes}))
        open_clip.add_model_config(path)
        made.append((name, path))
        return name

    yield make
    for name, path in made:  # open_clip's registry is a global of its own
        open_clip.factory._MODEL_CONFIG_PATHS.remove(path)
        open_clip.factory._MODEL_CONFIGS.pop(name)


@pytest.fixture
def own_checks():
    jaxtyping_config.update("jaxtyping_disable", True)
    yield
    jaxtyping_config.update("jaxtyping_disable", False)


def equal(a: nn.Module, b: nn.Module) -> bool:
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


# --- shapes and random weights ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["stickers-clip", "stickers-supervised"])
def test_fresh_is_a_function_of_the_seed_alone(name):
    state = torch.random.get_rng_state()
    first, again, other = (encoders.fresh(name, seed) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert equal(first, again) and not equal(first, other)
    assert not first.training
    x = pictures()
    assert first(x).shape == (5, first.dim) == (5, 128) and first.image_size == 64
    assert torch.equal(first(x), again(x)) and not torch.allclose(first(x), other(x))
    assert (first.clip is None) == (name == "stickers-supervised")


def test_the_supervised_stand_in_has_the_shape_of_the_clips_image_tower():
    with_text, bare = (encoders.fresh(n, 0) for n in ("stickers-clip", "stickers-supervised"))
    shapes = [{k: v.shape for k, v in e.tower.state_dict().items()} for e in (with_text, bare)]
    assert shapes[0] == shapes[1]
    bare.tower.load_state_dict(with_text.tower.state_dict())
    assert torch.equal(bare(pictures()), with_text(pictures()))


def test_rn101_is_the_papers():
    """The real shape, without its memory: parameters, activation, size, width."""
    config = encoder_config.named("RN101-quickgelu")
    with torch.device("meta"):
        clip = encoder_config.build("RN101-quickgelu", config)
    count = lambda m: round(sum(p.numel() for p in m.parameters()) / 1e6, 1)  # noqa: E731
    assert (count(clip), count(clip.visual)) == (119.7, 56.3)
    assert any(isinstance(m, QuickGELU) for m in clip.transformer.modules())
    assert config["preprocess_cfg"] == {
        "size": 224,
        "mean": (0.48145466, 0.4578275, 0.40821073),
        "std": (0.26862954, 0.26130258, 0.27577711),
        "interpolation": "bicubic",
    }
    assert config["model_cfg"]["embed_dim"] == 512


def test_each_weight_is_in_the_state_once(encoder, tmp_path):
    state = encoder.state_dict()
    save_file(state, tmp_path / "whole.safetensors")  # refuses tensors that share memory
    assert all(key.startswith("clip.") for key in state)
    assert len(list(encoder.parameters())) == len(list(encoder.clip.parameters()))


# --- forward ----------------------------------------------------------------------------------


def test_pictures_are_normalised_with_the_encoders_own_mean_and_std(encoder):
    """Corruption comes before: the same numbers reach the tower, in [0,1] or far outside."""
    preprocess = encoder.config["preprocess_cfg"]
    for x in (pictures(), 3 * pictures() - 1):
        inside = normalize(x, list(preprocess["mean"]), list(preprocess["std"]))
        with torch.no_grad():
            want = encoder.clip.encode_image(inside)
            assert torch.allclose(encoder(x), want, rtol=0, atol=1e-5)
            assert not torch.allclose(encoder(x), encoder.clip.encode_image(x), atol=0.1)


def test_embeddings_are_not_normalised(encoder):
    assert (encoder(pictures()).norm(dim=1) - 1).abs().min() > 0.01


@pytest.mark.parametrize(
    "x",
    [torch.rand(2, 3, 32, 32), torch.rand(2, 1, 64, 64), torch.rand(2, 3, 64, 32),
     torch.zeros(2, 3, 64, 64, dtype=torch.uint8), torch.rand(3, 64, 64)],
)  # fmt: skip
def test_pictures_of_another_shape_are_refused(own_checks, encoder, x):
    with pytest.raises(ValueError, match=r"takes float pictures of shape \(B, 3, 64, 64\)") as e:
        encoder(x)
    assert str(tuple(x.shape)) in str(e.value) and str(x.dtype) in str(e.value)


def test_the_normalisation_moves_with_the_encoder(encoder):
    moved = encoders.student_of(encoder).to(torch.float64)
    assert moved(pictures().double()).dtype == torch.float64


# --- students ---------------------------------------------------------------------------------


def test_a_student_is_a_copy_with_a_trainable_tower_and_frozen_text(encoder):
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    student = encoders.student_of(encoder)
    assert equal(student, encoder)
    tower = {id(p) for p in student.tower.parameters()}
    for parameter in student.parameters():
        assert parameter.requires_grad == (id(parameter) in tower)
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-2)
    student.train()(pictures()).square().sum().backward()
    optimizer.step()
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())
    changed = {k for k, v in student.state_dict().items() if not torch.equal(v, before[k])}
    assert changed and all(key.startswith("clip.visual.") for key in changed)


def test_a_student_of_a_frozen_or_bare_teacher_can_be_trained(encoder):
    for teacher in (trained().requires_grad_(False), encoders.fresh("stickers-supervised", 0)):
        student = encoders.student_of(teacher)
        assert all(p.requires_grad for p in student.tower.parameters())


# --- saving and loading -----------------------------------------------------------------------


def open_clip_embeddings(clip: nn.Module, encoder: encoders.Encoder):
    """open_clip's own embeddings of pictures and of texts, with the saved normalisation."""
    cfg = open_clip.get_model_preprocess_cfg(clip)
    mean, std = (torch.tensor(cfg[k]).view(3, 1, 1) for k in ("mean", "std"))
    with torch.no_grad():
        tokens = words.tokenizer(clip.context_length)([f"a photo of a {n}" for n in NAMES])
        text = clip.encode_text(tokens, normalize=True)
        return clip.encode_image((pictures() - mean) / std), text


def ours(encoder: encoders.Encoder):
    with torch.no_grad():
        return encoder(pictures()), encoders.text_embeddings(encoder, NAMES)


def test_open_clip_reads_a_saved_folder_and_agrees_bit_for_bit(encoder, saved):
    clip = open_clip.create_model(f"local-dir:{saved}").eval()
    theirs = open_clip_embeddings(clip, encoder)
    for a, b, c in zip(theirs, ours(encoder), ours(encoders.load(saved)), strict=True):
        assert torch.equal(b, c)
        # the text's second normalisation, after the mean over templates, may move the last bit
        assert torch.equal(a, b) if a.shape[0] == 5 else torch.allclose(a, b, rtol=0, atol=1e-7)


def test_open_clip_reads_the_file_by_its_path_and_agrees_bit_for_bit(encoder, saved, architecture):
    name = architecture("tiny-clip")
    path = saved / "open_clip_model.safetensors"
    clip = open_clip.create_model(name, pretrained=str(path)).eval()
    assert equal(clip, encoder.clip)
    loaded = encoders.load(name, weights=path)
    assert equal(loaded.clip, encoder.clip)
    assert torch.equal(
        open_clip_embeddings(clip, encoder)[0], loaded(pictures())
    )  # OpenAI's mean and std are the default of both


def test_the_config_that_is_saved_is_the_one_that_is_read(encoder, saved):
    loaded = encoders.load(saved)
    assert loaded.config == encoders.load(saved / "open_clip_model.safetensors").config
    assert loaded.config["model_cfg"] == encoder.config["model_cfg"]
    assert (loaded.image_size, loaded.dim, loaded.training) == (64, 128, False)
    assert torch.equal(loaded.mean, encoder.mean) and torch.equal(loaded.std, encoder.std)
    # open_clip's own transforms, made from the model, normalise as we do
    theirs = open_clip.get_model_preprocess_cfg(loaded.clip)
    assert torch.tensor(theirs["std"]).equal(loaded.std.flatten())
    assert theirs["interpolation"] == loaded.interpolation == encoder.interpolation


def test_half_precision_halves_the_file_and_hardly_moves_the_embeddings(encoder, saved, tmp_path):
    half = encoders.save(encoder, tmp_path / "half", dtype=torch.float16)
    whole_bytes, half_bytes = (
        (d / "open_clip_model.safetensors").stat().st_size for d in (saved, half)
    )
    assert half_bytes < 0.52 * whole_bytes
    loaded = encoders.load(half)
    assert all(p.dtype == torch.float32 for p in loaded.parameters())
    for a, b in zip(ours(loaded), ours(encoder), strict=True):
        assert F.cosine_similarity(a, b).min() > 0.9999
        assert (a - b).norm() < 1e-2 * b.norm() and not torch.equal(a, b)
    clip = open_clip.create_model(f"local-dir:{half}").eval()
    assert torch.equal(open_clip_embeddings(clip, encoder)[0], ours(loaded)[0])
    stored = load_file(half / "open_clip_model.safetensors")
    assert {v.dtype for v in stored.values()} == {torch.float16, torch.int64}


def test_a_saved_student_is_a_clip_with_the_teachers_text_tower(encoder, tmp_path):
    student = encoders.student_of(encoder)
    with torch.no_grad():
        for p in student.tower.parameters():
            p.mul_(1.1)
    clip = open_clip.create_model(f"local-dir:{encoders.save(student, tmp_path / 's')}").eval()
    image, text = open_clip_embeddings(clip, student)
    assert torch.equal(image, ours(student)[0]) and not torch.equal(image, ours(encoder)[0])
    assert torch.allclose(text, ours(encoder)[1], rtol=0, atol=1e-7)


def test_a_bare_tower_comes_back(tmp_path):
    tower = trained("stickers-supervised")
    folder = encoders.save(tower, tmp_path / "tower")
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors"]
    for name in (folder, folder / "model.safetensors"):
        loaded = encoders.load(name)
        assert loaded.clip is None and torch.equal(loaded(pictures()), tower(pictures()))


def test_the_embedded_names_read_the_embedded_folders(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(encoder_config, "WEIGHTS", tmp_path)
    for name in ("stickers-clip", "stickers-supervised"):
        with pytest.raises(FileNotFoundError, match=r"git checkout -- .*data_prep teacher"):
            encoders.load(name)
    tower = encoders.Encoder("t", encoder_config_of_tower(encoder), tower=encoder.tower)
    encoders.save(encoder, tmp_path / "stickers-clip")
    encoders.save(tower, tmp_path / "stickers-supervised")
    for name in ("stickers-clip", "stickers-supervised"):
        loaded = encoders.load(name)
        assert loaded.name == name and torch.equal(loaded(pictures()), encoder(pictures()))


def encoder_config_of_tower(encoder):
    model_cfg = {k: encoder.config["model_cfg"][k] for k in ("embed_dim", "vision_cfg")}
    return {**encoder.config, "kind": "modified-resnet", "model_cfg": model_cfg}


def test_saving_again_replaces_and_a_full_disk_damages_nothing(encoder, tmp_path, monkeypatch):
    folder = encoders.save(encoder, tmp_path / "clip")
    other = trained(seed=7)
    encoders.save(other, folder)
    assert equal(encoders.load(folder), other)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weight_files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        encoders.save(encoder, folder)
    monkeypatch.undo()
    assert equal(encoders.load(folder), other)
    assert len(list(folder.iterdir())) == 2  # and nothing half-written is left behind
    assert all(path.stat().st_mode & 0o044 for path in folder.iterdir())  # for others to read too


def test_what_float16_cannot_hold_is_not_written(encoder, tmp_path):
    student = encoders.student_of(encoder)
    with torch.no_grad():
        student.tower.bn1.running_var[0] = 1e6
    with pytest.raises(ValueError, match=r"visual\.bn1\.running_var does not fit torch\.float16"):
        encoders.save(student, tmp_path / "s", dtype=torch.float16)
    with pytest.raises(ValueError, match=r"float32 or torch\.float16, not torch\.int8"):
        encoders.save(student, tmp_path / "s", dtype=torch.int8)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_pictures_of_another_precision_are_embedded_in_the_encoders_own(encoder, dtype):
    x = pictures().to(dtype)
    with torch.no_grad():
        assert torch.equal(encoder(x), encoder(x.float()))


# --- words ------------------------------------------------------------------------------------


def test_text_embeddings_are_the_mean_over_templates(encoder):
    templates = ("a photo of a {}", "a photo of a big {} on coffee")
    got = encoders.text_embeddings(encoder, NAMES, templates)
    assert torch.allclose(got.norm(dim=1), torch.ones(3))
    tokenizer, rows = words.tokenizer(encoder.clip.context_length), []
    with torch.no_grad():
        for name in NAMES:
            each = encoder.clip.encode_text(tokenizer([t.format(name) for t in templates]))
            rows.append(F.normalize(F.normalize(each, dim=1).mean(0), dim=0))
    assert torch.allclose(got, torch.stack(rows), atol=1e-6)
    assert not got.requires_grad
    assert not torch.allclose(got, encoders.text_embeddings(encoder, NAMES), atol=1e-3)


def test_many_names_are_embedded_in_order(encoder):
    many = [NAMES[i % 3] for i in range(300)]  # more than one chunk
    got, few = (encoders.text_embeddings(encoder, n) for n in (many, NAMES))
    assert torch.allclose(got, few.repeat(100, 1), atol=1e-6)


def test_clips_own_vocabulary_takes_clips_own_tokenizer(encoder, architecture):
    text = {**encoder.config["model_cfg"]["text_cfg"], "vocab_size": 49408, "context_length": 77}
    name = architecture("tiny-bpe", text_cfg={**text, "width": 32, "layers": 1})
    clip = encoders.fresh(name, 0)
    tokens = open_clip.get_tokenizer(name)(["a photo of a tench"])
    with torch.no_grad():
        want = clip.clip.encode_text(tokens, normalize=True)
    assert torch.allclose(encoders.text_embeddings(clip, ["tench"]), want, atol=1e-6)


def test_texts_that_cannot_be_embedded_are_refused(encoder, architecture):
    with pytest.raises(ValueError, match="stickers-supervised has no text tower"):
        encoders.text_embeddings(encoders.fresh("stickers-supervised", 0), NAMES)
    for names, templates in (([], ("a {}",)), (NAMES, ()), (NAMES, ("a photo",))):
        with pytest.raises(ValueError, match=r"expected names and templates with \{\}"):
            encoders.text_embeddings(encoder, names, templates)
    text = {**encoder.config["model_cfg"]["text_cfg"], "vocab_size": 1000}
    other = encoders.fresh(architecture("tiny-other-words", text_cfg=text), 0)
    with pytest.raises(
        ValueError, match="vocabulary of 1000 tokens, and its configuration names no tokenizer"
    ):
        encoders.text_embeddings(other, NAMES)


def test_openais_template_with_its_full_stop_asks_the_same(encoder):
    want = encoders.text_embeddings(encoder, ["fleur de lis", "cat"])
    assert torch.equal(
        encoders.text_embeddings(encoder, ["Fleur_de_lis", "cat"], ("a photo of a {}.",)), want
    )


@pytest.mark.parametrize(
    ("names", "templates", "words_"),
    [
        (["cat", "quokka"], ("a photo of a {}",), "does not know 'quokka'; expected words of"),
        (["golden star", "silver star"], ("a {}",), "does not know 'golden', 'silver'"),
        (["cat"], ("a snapshot of a {}",), "does not know 'snapshot'"),
        (["cat", ""], ("a photo of a {}",), "name '' has no word"),
        (["cat", " - "], ("a photo of a {}",), "name ' - ' has no word"),
        ("cat", ("a photo of a {}",), "names is 'cat'; expected a list of texts"),
        (["cat"], "a photo of a {}", "templates is 'a photo of a {}'; expected a list"),
        (["cat"], ("{} {}",), "once in each"),
        (["cat"], ("a {0}",), "once in each"),
    ],
)
def test_what_has_no_words_that_are_known_is_refused(encoder, names, templates, words_):
    with pytest.raises(ValueError, match=words_):
        encoders.text_embeddings(encoder, names, templates)


# --- wrong names and damaged files --------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing", "unknown encoder 'nothing': expected stickers-clip.*RN101-quickgelu/openai"),
        ("RN101/openai", "trained with QuickGELU.*text features.*use RN101-quickgelu/openai"),
        ("RN101-quickgelu/nope", "no published weights 'nope'; known tags: openai, yfcc15m"),
        ("RN101-quickgelu", r"shape without weights: add a tag \(RN101-quickgelu/openai\)"),
        ("resnet101/other", "no published weights 'other'; known tags: imagenet"),
        ("coca_ViT-B-32/laion2b_s13b_b90k", "is a CoCa, which also writes captions.*take a CLIP"),
    ],
)
def test_wrong_names_are_refused_with_the_right_one(name, words):
    with pytest.raises(ValueError, match=words):
        encoders.load(name)


def test_damaged_files_are_named(encoder, saved, architecture, tmp_path):
    name = architecture("tiny-clip")
    whole = (saved / "open_clip_model.safetensors").read_bytes()
    pickled = tmp_path / "pickled.pt"
    torch.save({"a": nn.Linear(2, 2)}, pickled)  # not tensors alone: would run code
    broken = {
        "cut.safetensors": whole[: len(whole) // 2],
        "header.safetensors": whole[:20],
        "empty.safetensors": b"",
        "text.safetensors": b"<html>404</html>",
        "cut.pt": pickled.read_bytes()[:-100],
        "empty.pt": b"",
    }
    for file, data in broken.items():
        path = tmp_path / file
        path.write_bytes(data)
        with pytest.raises(ValueError, match="truncated or not a file of weights") as e:
            encoders.load(name, weights=path)
        assert str(path) in str(e.value) and f"{len(data):,} bytes" in str(e.value)
    pointer = tmp_path / "lfs.safetensors"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(ValueError, match=r"lfs\.safetensors is a Git LFS pointer.*git lfs pull"):
        encoders.load(name, weights=pointer)
    with pytest.raises(FileNotFoundError, match=r"absent\.safetensors is absent.*check the path"):
        encoders.load(name, weights=tmp_path / "absent.safetensors")
    with pytest.raises(FileNotFoundError, match=r"absent\.safetensors is absent.*check the path"):
        encoders.load(tmp_path / "absent.safetensors")
    with pytest.raises(FileNotFoundError, match="is a folder, not a file"):
        encoders.load(name, weights=tmp_path)
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="holds list, expected named tensors"):
        encoders.load(name, weights=tmp_path / "list.pt")


def test_weights_of_another_shape_are_refused(encoder, architecture, tmp_path):
    name, state = architecture("tiny-clip"), encoder.clip.state_dict()
    bigger = architecture("tiny-wide", embed_dim=64)
    path = tmp_path / "w.safetensors"
    cases = {
        r"1 keys missing \(logit_scale\)": {k: v for k, v in state.items() if k != "logit_scale"},
        r"1 unknown keys \(extra\)": {**state, "extra": torch.zeros(1)},
        r"2 other shapes .*visual\.conv1\.weight: \(1, 3, 3, 3\) in the file, \(12, 3, 3, 3\)": {
            **state,
            "visual.conv1.weight": torch.zeros(1, 3, 3, 3),
            "visual.bn1.bias": torch.zeros(1),
        },
    }
    for words_, content in cases.items():
        save_file(content, path)
        with pytest.raises(ValueError, match=rf"w\.safetensors does not fit tiny-clip: {words_}"):
            encoders.load(name, weights=path)
    save_file(state, path)
    with pytest.raises(ValueError, match=r"does not fit tiny-wide: .*other shapes"):
        encoders.load(bigger, weights=path)
    save_file({**state, "logit_scale": torch.tensor(float("nan"))}, path)
    with pytest.raises(ValueError, match="logit_scale holds NaN or infinity"):
        encoders.load(name, weights=path)


def test_torch_files_load_too(encoder, architecture, tmp_path):
    """A plain state dict, and a training checkpoint of open_clip's under DataParallel."""
    name, state = architecture("tiny-clip"), encoder.clip.state_dict()
    torch.save(state, tmp_path / "a.pt")
    wrapped = {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}
    torch.save(wrapped, tmp_path / "b.pt")
    for file in ("a.pt", "b.pt"):
        assert equal(encoders.load(name, weights=tmp_path / file).clip, encoder.clip)


def test_openais_own_archive_loads_and_needs_quick_gelu(encoder, architecture, tmp_path):
    """OpenAI published TorchScript archives, with three numbers among the weights."""

    class Archive(nn.Module):
        def __init__(self, clip):
            super().__init__()
            for key, child in clip.named_children():
                self.add_module(key, child)
            for key, parameter in clip.named_parameters(recurse=False):
                self.register_parameter(key, parameter)
            for key in ("input_resolution", "context_length", "vocab_size"):
                self.register_buffer(key, torch.tensor(64))

        def forward(self, x):
            return x + 1

    path = tmp_path / "TINY.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is on its way out
        torch.jit.save(torch.jit.trace(Archive(encoder.clip), torch.zeros(1)), path)
    quick, plain = architecture("tiny-quickgelu", quick_gelu=True), architecture("tiny")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert equal(encoders.load(quick, weights=path).clip, encoder.clip)
    with pytest.raises(ValueError, match=r"trained with QuickGELU.*use tiny-quickgelu"):
        encoders.load(plain, weights=path)


def test_a_config_beside_the_weights_is_heeded(encoder, saved, architecture):
    quick = architecture("tiny-quickgelu", quick_gelu=True)
    with pytest.raises(ValueError, match=r"trained with GELU, but tiny-quickgelu.*use tiny$"):
        encoders.load(quick, weights=saved / "open_clip_model.safetensors")


def test_broken_configs_are_named(saved, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    config = json.loads((saved / "open_clip_config.json").read_text())
    with pytest.raises(FileNotFoundError, match=r"neither open_clip_config.json nor config.json"):
        encoders.load(folder)
    lone = tmp_path / "lone.safetensors"
    lone.write_bytes((saved / "open_clip_model.safetensors").read_bytes())
    with pytest.raises(FileNotFoundError, match=r'load\("RN101-quickgelu", weights=.*lone\.saf'):
        encoders.load(lone)
    broken = [
        "{",
        "[]",
        json.dumps({"model_cfg": config["model_cfg"]}),
        json.dumps({**config, "preprocess_cfg": {"mean": [0.5], "std": [0.5]}}),
        json.dumps({**config, "preprocess_cfg": {**config["preprocess_cfg"], "size": 32}}),
    ]
    for text in broken:
        (folder / "open_clip_config.json").write_text(text)
        with pytest.raises(ValueError, match=r"open_clip_config\.json is not an encoder's conf"):
            encoders.load(folder)
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(FileNotFoundError, match=r"open_clip_model\.safetensors is absent"):
        encoders.load(folder)
    (folder / "open_clip_config.json").write_text(json.dumps({**config, "kind": "other"}))
    (folder / "open_clip_model.safetensors").write_bytes(lone.read_bytes())
    with pytest.raises(ValueError, match="kind 'other'"):
        encoders.load(folder)


def test_preprocessing_that_differs_from_the_training_is_refused(monkeypatch):
    record = open_clip.get_pretrained_cfg("RN101-quickgelu", "openai")
    for key, value in (("mean", (0.5, 0.5, 0.5)), ("std", (1, 1, 1)), ("interpolation", "nearest")):
        changed = {**record, key: value}
        monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda *a, c=changed: c)
        with pytest.raises(ValueError, match=rf"gives {key} = .* trained with "):
            encoders.load("RN101-quickgelu/openai")
    monkeypatch.undo()
    monkeypatch.setitem(encoder_config.IMAGENET_PREPROCESS, "mean", (0.5, 0.5, 0.5))
    with pytest.raises(ValueError, match=r"resnet101/imagenet: .*gives mean"):
        encoders.load("resnet101/imagenet")


def test_published_weights_bring_their_own_preprocessing(monkeypatch):
    record = {"mean": (0.5, 0.5, 0.5), "std": (0.2, 0.2, 0.2), "interpolation": "bilinear"}
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda *a: {**record, "quick_gelu": True})
    config = encoder_config.named("RN101-quickgelu")
    encoder_config.published("RN101-quickgelu", "yfcc15m", config)
    assert config["preprocess_cfg"] == {**record, "size": 224}


# --- torchvision's ResNet-101 -------------------------------------------------------------------


def test_resnet101_is_torchvisions_without_its_classifier(tmp_path, monkeypatch):
    """On a shorter ResNet of the same blocks: the same 2,048 features as torchvision's own."""

    def short(weights=None):
        return torchvision.models.ResNet(torchvision.models.resnet.Bottleneck, [1, 1, 1, 1])

    monkeypatch.setattr(torchvision.models, "resnet101", short)
    reference = short().eval()
    path = tmp_path / "resnet.pth"
    torch.save(reference.state_dict(), path)
    encoder = encoders.load("resnet101/imagenet", weights=path)
    x = pictures(2, 224)
    features = nn.Sequential(*list(reference.children())[:-1])
    inside = normalize(x, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    with torch.no_grad():
        assert torch.allclose(encoder(x), features(inside).flatten(1), atol=1e-5)
    assert (encoder.dim, encoder.image_size, encoder.clip) == (2048, 224, None)
    back = encoders.load(encoders.save(encoder, tmp_path / "saved"))
    assert equal(back, encoder) and back.interpolation == "bilinear"


def test_nothing_is_logged_or_printed(encoder, saved, caplog, capsys):
    """open_clip's own loader warns of random weights, and configures the root logger to do so."""
    with caplog.at_level(logging.WARNING):
        encoders.fresh("stickers-clip", 0)
        encoders.load(saved)
    assert not caplog.records and capsys.readouterr() == ("", "")


def test_on_a_gpu_the_embeddings_are_the_same(encoder):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    moved = encoders.student_of(encoder).cuda()
    with torch.no_grad():
        got = moved(pictures().cuda()).cpu()
        text = encoders.text_embeddings(moved, NAMES).cpu()
    assert F.cosine_similarity(got, encoder(pictures())).min() > 0.9999
    assert F.cosine_similarity(text, encoders.text_embeddings(encoder, NAMES)).min() > 0.9999


# --- files of weights as other programs write them ----------------------------------------------


def weights_of(encoder):
    return {key: value.clone() for key, value in encoder.clip.state_dict().items()}


@pytest.mark.parametrize(
    "form",
    [
        lambda state: {"state_dict": state, "best": np.float64(71.2), "at": np.int64(3)},
        lambda state: {"state_dict": state, "curve": np.arange(3.0)},
        lambda state: {"state_dict": state, "args": argparse.Namespace(lr=1)},
        lambda state: {"module._orig_mod." + key: value for key, value in state.items()},
        lambda state: {"_orig_mod." + key: value for key, value in state.items()},
        lambda state: {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")},
    ],
)
def test_weights_are_read_with_what_trainings_keep_beside_them(encoder, form, tmp_path):
    path, state = tmp_path / "w.safetensors", weights_of(encoder)  # the name does not decide
    with path.open("wb") as file:
        torch.save(form(state), file)
    module = copy.deepcopy(encoder.clip)
    weight_files.load_into(module, weight_files.read(path), path, "mine")
    for key, value in module.state_dict().items():
        assert key.endswith("num_batches_tracked") or torch.equal(value, state[key])


def test_safetensors_of_several_gpus_are_read_under_any_name(encoder, tmp_path):
    state, path = weights_of(encoder), tmp_path / "w.pt"
    save_file({"module." + key: value.contiguous() for key, value in state.items()}, path)
    found = weight_files.read(path)
    assert found.keys() == state.keys()


@pytest.mark.parametrize("beside", [Path("/"), nn.Linear(2, 2)])
def test_what_could_run_code_is_refused_and_not_called_truncated(encoder, tmp_path, beside):
    torch.save({"state_dict": weights_of(encoder), "beside": beside}, tmp_path / "w.pt")
    with pytest.raises(
        ValueError, match=r"w\.pt is whole, but holds more than tensors.*(Path|Linear)"
    ):
        weight_files.read(tmp_path / "w.pt")
