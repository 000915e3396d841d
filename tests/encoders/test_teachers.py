"""Teachers of other shapes: sizes, vision transformers, towers of timm, tokenizers of their own."""

import importlib.util
import inspect
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import CodeType

import open_clip
import pytest
import timm
import torch
import torchvision
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from safetensors.torch import load_file, save_file
from torch import nn

import cinv_lib as ci
from cinv_lib import encoders
from cinv_lib.encoders import config, tokenizer
from cinv_lib.encoders.captions import NoWords
from cinv_lib.experiments import base
from cinv_lib.lab import missing
from cinv_lib.lab.profiles.smoke import SMOKE

SITE = os.environ.get("CLIP_BENCHMARK_SITE", "")
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
VIT = {"image_size": 96, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16}
TIMM = {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 160}
SEEN = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "resize_mode": "squash"}
QUICK = ci.Recipe(epochs=1, batch_size=4, lr=1e-3)


def shape(vision: dict, text: dict = TEXT, preprocess: dict = SEEN, **more) -> dict:
    model_cfg = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text, **more}
    return {"model_cfg": model_cfg, "preprocess_cfg": preprocess}


def written(folder: Path, described: dict) -> Path:
    """As somebody else leaves a model: open_clip's two files, and fresh weights."""
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    clip = config.build("fresh", config.read(folder / "open_clip_config.json"))
    save_file(clip.state_dict(), folder / "open_clip_model.safetensors")
    return folder


def pictures(side: int, n: int = 3) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(n))


def with_(vision: dict, **more) -> dict:
    return {**vision, **more}


@pytest.mark.parametrize(
    ("described", "tower", "side"),
    [
        (shape(VIT), VisionTransformer, 96),
        (shape(with_(TIMM, timm_drop_path=0.5), custom_text=True), TimmModel, 160),
    ],
    ids=["ViT", "timm"],
)
def test_a_fresh_teacher_is_distilled_saved_and_read_by_open_clip(
    described, tower, side, tmp_path, image_set
):
    folder = written(tmp_path / "theirs", described)
    teacher = ci.load_encoder(f"local-dir:{folder}")
    assert isinstance(teacher.tower, tower) and (teacher.image_size, teacher.dim) == (side, 24)
    assert torch.equal(ci.load_encoder(folder)(pictures(side)), teacher(pictures(side)))
    students = []
    for seed in (0, 1):  # the global generator decides nothing
        torch.manual_seed(seed)
        student, _ = ci.distill(teacher, image_set, "mask:0.5", "st:0.1", QUICK, progress=False)
        students.append(student.cpu())
    with torch.no_grad():
        first, second = (S(pictures(side)) for S in students)
        assert torch.equal(first, second) and not torch.equal(first, teacher(pictures(side)))
        mine = ci.save_encoder(students[0], tmp_path / "mine")
        model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{mine}")
        model.eval()
        seen = (pictures(side) - 0.5) / 0.25
        torch.testing.assert_close(model.encode_image(seen), first)
        assert preprocess.transforms[0].size == (side, side)  # squashed, as it says
        # words: CLIP's own tokenizer, of open_clip
        ids = open_clip.get_tokenizer(f"local-dir:{mine}")(["a photo of a quokka"])
        want = model.encode_text(ids, normalize=True)
        got = encoders.text_embeddings(ci.load_encoder(mine), ["quokka"])
        torch.testing.assert_close(got, want, atol=1e-6, rtol=0)


@torch.no_grad()
def test_weights_of_an_older_open_clip_or_in_its_other_file_are_read(tmp_path):
    """Before there were text towers of their own, the text's names had no prefix."""
    folder = written(tmp_path / "theirs", shape(TIMM, custom_text=True))
    want = ci.load_encoder(folder)
    state = load_file(folder / "open_clip_model.safetensors")
    old = {key.removeprefix("text."): value for key, value in state.items()}
    old["logit_scale"] = old["logit_scale"].reshape(1)
    (folder / "open_clip_model.safetensors").unlink()
    torch.save(old, folder / "open_clip_pytorch_model.bin")
    found = ci.load_encoder(folder)
    assert torch.equal(found(pictures(160)), want(pictures(160)))
    assert torch.equal(*(encoders.text_embeddings(e, ["cat"]) for e in (found, want)))


@pytest.fixture
def no_transformers(monkeypatch):
    real = importlib.util.find_spec
    hidden = lambda name, *more: None if name == "transformers" else real(name, *more)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", hidden)


def test_another_tokenizer_is_asked_for_only_by_words(tmp_path, no_transformers):
    text = {**TEXT, "vocab_size": 100, "hf_tokenizer_name": "me/words", "pool_type": "last"}
    folder = written(tmp_path / "theirs", shape(VIT, text))
    (folder / "tokenizer.json").write_text("{}")
    teacher = ci.load_encoder(folder)
    assert teacher(pictures(96)).shape == (3, 24)
    said = "its tokenizer, me/words, is from the package transformers.*`pip install transformers`"
    with pytest.raises(ImportError, match=said):
        encoders.text_embeddings(teacher, ["cat"])
    mine = ci.save_encoder(encoders.student_of(teacher), tmp_path / "mine")  # and so has a student
    assert (mine / "tokenizer.json").read_text() == "{}"
    assert ci.load_encoder(mine).config == teacher.config


def test_a_text_tower_of_another_package_is_named_with_the_command(no_transformers):
    with pytest.raises(ImportError, match=r"roberta-ViT-B-32: its text tower.*`pip install transf"):
        ci.load_encoder("roberta-ViT-B-32/laion2b_s12b_b32k")


def test_words_of_another_vocabulary_of_the_same_size_are_not_ours(tmp_path, no_transformers):
    ours = config.named("stickers-clip")["model_cfg"]["text_cfg"]
    text = {**ours, "hf_tokenizer_name": "me/words"}
    folder = written(tmp_path / "theirs", shape(VIT, text))
    (folder / "tokenizer.json").write_text("{}")
    assert not tokenizer.has_embedded_words(ci.load_encoder(folder))


def test_ids_beyond_the_vocabulary_are_refused(tmp_path):
    teacher = ci.load_encoder(written(tmp_path / "theirs", shape(VIT)))
    tokenizer.check(teacher, torch.tensor([[1, 49407], [2, 49407]]))
    for ids in ([[1, 49408]], [[1, 49407], [2, 5]]):  # too high; a text without its end
        with pytest.raises(ValueError, match="does not fit a vocabulary of 49408 tokens"):
            tokenizer.check(teacher, torch.tensor(ids))


@pytest.mark.parametrize(
    ("preprocess", "unknown"),
    [({}, "no mean and no std"), (None, "no mean and no std"), ({"mean": [0.5] * 3}, "no std")],
)
def test_a_teacher_without_preprocessing_is_a_sentence(tmp_path, preprocess, unknown):
    folder = written(tmp_path / "theirs", shape(VIT))
    text = json.dumps(shape(VIT, preprocess=preprocess))
    (folder / "open_clip_config.json").write_text(text)
    with pytest.raises(ValueError, match=f"its preprocess_cfg has {unknown}.*OpenAI's are mean"):
        ci.load_encoder(folder)


# --- modules of one's own ------------------------------------------------------------------------


def test_a_model_of_timm_says_what_it_sees_itself():
    module = timm.create_model("test_resnet", pretrained=False, num_classes=0)
    encoder = ci.Encoder.wrap(module)
    assert (encoder.image_size, encoder.name) == (160, "ResNet")
    assert encoder.mean.flatten().tolist() == [0.5] * 3 and encoder.interpolation == "bilinear"
    other = ci.Encoder.wrap(module, 96, mean=(0, 0, 0), std=(1, 1, 1))
    assert other.image_size == 96 and other.std.flatten().tolist() == [1.0] * 3
    assert encoder(pictures(160)).shape == (3, encoder.dim)


def test_a_module_of_torchvision_is_wrapped_and_must_say_its_size():
    module = torchvision.models.squeezenet1_1(num_classes=7)
    assert ci.Encoder.wrap(module, 64).dim == 7
    with pytest.raises(ValueError, match=r"SqueezeNet does not say which pictures.*image_size=224"):
        ci.Encoder.wrap(module)


def test_a_lab_whose_teacher_has_no_words_says_so_before_it_trains(home, monkeypatch):
    lab = ci.Lab(replace(SMOKE, teacher="stickers-supervised"), recorded=False)
    monkeypatch.setattr(lab.store, "path", lambda **_: pytest.fail("something was trained"))
    said = "stickers-supervised has no text tower.*Students, probes and baselines do without"
    for table in ("known_operator", "unknown_severity", "label_shift", "common_corruptions"):
        entry = lab.profile.making(table)
        with pytest.raises(NoWords, match=said):
            lab.build(entry.task(next(iter(entry.operators))), home)
    with pytest.raises(NoWords, match=said):
        lab.words()


def test_every_entry_that_asks_in_words_says_that_it_does():
    for entry in ci.Lab("stickers").profile.entries:
        own = [
            one
            for one in type(entry).__mro__
            if issubclass(one, base.Entry) and one.__module__ != base.__name__
        ]
        parts = [getattr(part, "fget", part) for one in own for part in vars(one).values()]
        methods = filter(inspect.isfunction, map(inspect.unwrap, parts))
        called = {name for method in methods for name in names(method.__code__)}
        asks = bool(called & {"words", "contestants", "zero_shot", "named"})
        assert entry.in_words == asks >= hasattr(entry, "template"), entry.name


def names(code: CodeType) -> set[str]:
    """What a piece of code names, and the functions in it. Compiled: `ast`, which `inspect` asks
    for the source of a class, fails in Python 3.11.7 where another thread imports meanwhile."""
    inner = [names(one) for one in code.co_consts if isinstance(one, CodeType)]
    return set(code.co_names).union(*inner)


def test_a_lab_cannot_make_a_readers_module_again_and_says_so(tmp_path):
    module = nn.Sequential(nn.Flatten(), nn.Linear(48, 5))
    folder = ci.save_encoder(ci.Encoder.wrap(module, 4), tmp_path / "mine")
    with pytest.raises(missing.Absent, match=r"only you can make yours\. `ci\.distill`"):
        ci.Lab(replace(SMOKE, teacher=str(folder)))


# --- with transformers, in a process of its own ---------------------------------------------------

BERT = """
import json, sys, torch
from pathlib import Path
import cinv_lib as ci
from cinv_lib import encoders
from cinv_lib.encoders import config, words
from safetensors.torch import save_file
import open_clip, transformers
base = Path(sys.argv[1])
bert = base / "bert"
small = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
transformers.BertConfig(vocab_size=353, **small).save_pretrained(bert)
theirs = base / "theirs"
theirs.mkdir()
described = json.loads(sys.argv[2])
text = described["model_cfg"]["text_cfg"]
text |= {"hf_tokenizer_name": "me/words", "context_length": 20}
if text.get("hf_model_name"):
    text["hf_model_name"] = str(bert)
(theirs / "open_clip_config.json").write_text(json.dumps(described))
for name, content in words.tokenizer_files(20).items():
    (theirs / name).write_text(content + " ")  # the same words, and not our file
clip = config.build("fresh", config.read(theirs / "open_clip_config.json"))
save_file(clip.state_dict(), theirs / "open_clip_model.safetensors")
teacher = ci.load_encoder(theirs)
mine = ci.save_encoder(encoders.student_of(teacher), base / "mine")
found = encoders.text_embeddings(ci.load_encoder(mine), ["cat", "red umbrella"])
model = open_clip.create_model(f"local-dir:{mine}").eval()
tokenize = open_clip.get_tokenizer(f"local-dir:{mine}")
with torch.no_grad():
    want = model.encode_text(tokenize(["a photo of a cat", "a photo of a red umbrella"]), True)
torch.testing.assert_close(found, want, atol=1e-6, rtol=0)
print(type(clip).__name__, type(tokenize).__name__)
"""
BERTS = {"hf_model_name": "bert", "hf_pooler_type": "mean_pooler", "hf_proj_type": "mlp"}
LAST = {**TEXT, "vocab_size": 353, "pool_type": "last", "pad_id": 0}


@pytest.mark.skipif(
    not Path(SITE, "transformers").is_dir(),
    reason="transformers is not installed: CLIP_BENCHMARK_SITE names no folder that has it",
)
@pytest.mark.parametrize(
    ("text", "kind"), [(BERTS, "CustomTextCLIP"), (LAST, "CLIP")], ids=["tower", "tokenizer"]
)
def test_towers_and_tokenizers_of_transformers(tmp_path, text, kind):
    done = subprocess.run(
        [sys.executable, "-c", BERT, str(tmp_path), json.dumps(shape(VIT, text))],
        capture_output=True, text=True, check=False, cwd=Path(ci.__file__).parents[1],
        env=os.environ | {"PYTHONPATH": SITE, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split()[-2:] == [kind, "HFTokenizer"]
