"""What others get: open_clip's folder with its tokenizer and a model card, which the hub reads."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import open_clip
import pytest
import torch
from huggingface_hub import ModelCard
from torch import nn
from torchvision.transforms.functional import to_pil_image

import cinv_lib as ci
from cinv_lib import encoders
from cinv_lib.encoders import card, words
from cinv_lib.evaluation.scores import summary

SITE = os.environ.get("CLIP_BENCHMARK_SITE", "")  # a folder with transformers in it, see .ci/run
with_transformers = pytest.mark.skipif(
    not Path(SITE, "transformers").is_dir(),
    reason="transformers is not installed: CLIP_BENCHMARK_SITE names no folder that has it",
)
RUN = {"operator": "mask:0.9|blur:1", "loss": "st:0.1", "data": "my pictures", "seed": 3}
NAMES = ["cat", "fleur-de-lis", "red umbrella"]


def pictures(n: int = 4, side: int = 64) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(n))


def in_words(*of: encoders.Encoder) -> list[torch.Tensor]:
    return [encoders.text_embeddings(encoder, NAMES) for encoder in of]


@pytest.fixture(scope="module")
def student():
    student = encoders.student_of(encoders.load("stickers-clip"))
    with torch.no_grad():
        for weight in student.tower.parameters():
            weight.mul_(1.01)
    return student.eval()


@pytest.fixture
def folder(student, tmp_path):
    return ci.save_encoder(student, tmp_path / "rows", repo="me/rows", card=RUN)


@torch.no_grad()
def test_it_comes_back_with_its_words_and_no_other_package_is_asked(student, folder):
    assert sorted(file.name for file in folder.iterdir()) == [
        "README.md", "open_clip_config.json", "open_clip_model.safetensors", "tokenizer.json",
        "tokenizer_config.json",
    ]  # fmt: skip
    loaded = ci.load_encoder(folder)
    assert torch.equal(loaded(pictures()), student(pictures()))
    torch.testing.assert_close(*in_words(loaded, student), atol=1e-6, rtol=0)
    assert "hf_tokenizer_name" not in student.config["model_cfg"]["text_cfg"]
    again = ci.save_encoder(encoders.student_of(loaded), folder.parent / "again")
    assert (again / "tokenizer.json").read_text() == (folder / "tokenizer.json").read_text()
    text = ci.load_encoder(again).config["model_cfg"]["text_cfg"]
    assert text["hf_tokenizer_name"] == "again"  # open_clip wants any, and the hub's is its own


@torch.no_grad()
def test_open_clip_reads_pictures_as_we_do(student, folder):
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    picture = pictures(1).mul(255).round().byte()
    seen = preprocess(to_pil_image(picture[0]))[None]
    torch.testing.assert_close(model.eval().encode_image(seen), student(picture / 255))


def test_the_card_has_the_header_that_the_hub_reads_and_what_the_run_was(folder):
    found = ModelCard.load(folder / "README.md")
    assert found.data.to_dict() == {
        "base_model": "stickers-clip",
        "library_name": "open_clip",
        "license": "mit",
        "pipeline_tag": "zero-shot-image-classification",
        "tags": ["clip", "robustness", "contrastive-inversion"],
    }
    assert "| operator | mask:0.9\\|blur:1 |" in found.text and "| seed | 3 |" in found.text
    assert f"hf upload me/rows {folder}" in found.text and '"hf-hub:me/rows"' in found.text
    assert "a student of stickers-clip: pictures of 64 px" in found.text
    assert "needs the package `transformers`" in found.text
    compile(found.text.split("```python\n")[1].split("```")[0], "the card's example", "exec")


def test_the_upload_command_quotes_a_folder_with_a_blank(student, tmp_path):
    folder = ci.save_encoder(student, tmp_path / "my student")
    said = (folder / "README.md").read_text()
    assert f"hf upload ORGANISATION/NAME '{folder}'" in said


def test_scores_are_a_table_and_results_of_the_header(student, tmp_path):
    by_name = {"mask:0.9": 78.5, "clean": 90}
    folder = ci.save_encoder(student, tmp_path / "a", card={"scores": by_name, **RUN})
    results = ModelCard.load(folder / "README.md").data.eval_results
    assert [(r.metric_name, r.metric_value) for r in results] == [
        ("mask:0.9 top1", 78.5), ("clean top1", 90.0),
    ]  # fmt: skip
    assert results[0].dataset_name == "my pictures"
    images = ci.load_images("stickers-100", "val", n=1)
    head = encoders.text_embeddings(student, images.class_names)
    models = {"student": (student, lambda z: z @ head.T)}
    scores = summary(ci.evaluate(models, images, "mask:0.5", realisations=2, progress=False))
    folder = ci.save_encoder(student, tmp_path / "b", card={"scores": scores, "license": "mit"})
    found = ModelCard.load(folder / "README.md")
    assert found.data.license == "mit" and found.data.eval_results
    assert f"{scores.select_dtypes('number').iloc[0, 0]:.4g}" in found.text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"repo": "rows"}, "repo is 'rows'; expected \"ORGANISATION/NAME\""),
        ({"repo": "me/ro ws"}, "repo is 'me/ro ws'; expected"),
        ({"card": {"scores": 78.5}}, "scores are a float; expected numbers by their names"),
        ({"card": {"scores": {"top1": "good"}}}, "hold no number"),
        ({"dtype": torch.int8}, "not torch.int8"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(student, tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        ci.save_encoder(student, tmp_path / "no", **given)
    assert not (tmp_path / "no").exists()


def test_towers_without_text_have_a_card_too(tmp_path):
    module = nn.Sequential(nn.Flatten(), nn.Linear(48, 5))
    wrapped = ci.save_encoder(ci.Encoder.wrap(module, 4), tmp_path / "mine", repo="me/mine")
    bare = ci.save_encoder(ci.load_encoder("stickers-supervised"), tmp_path / "bare")
    for folder, call in ((wrapped, f'"{wrapped}", tower=module)'), (bare, f'"{bare}")')):
        found = ModelCard.load(folder / "README.md")
        assert found.data.library_name == "cinv_lib" and call in found.text
        assert found.data.pipeline_tag == "image-feature-extraction"
        assert "tokenizer" not in found.text


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("student of ViT-B-32-quickgelu/openai", "timm/vit_base_patch32_clip_224.openai"),
        ("hf-hub:laion/CLIP", "laion/CLIP"),
        ("student of stickers-clip-vit", "stickers-clip-vit"),
        ("/a/folder", None),
        ("a/folder/of/mine", None),
        ("resnet101/imagenet", None),
    ],
)
def test_the_hubs_name_of_the_teacher(name, base):
    assert card.base_model(name) == base


# --- a stranger, who has open_clip and transformers and not this library --------------------------

STRANGER = """
import json, sys, open_clip, torch
name, asked, cache = sys.argv[1:]
texts = json.load(open(asked))
tokenize = open_clip.get_tokenizer(name, cache_dir=cache)
model = open_clip.create_model(name, cache_dir=cache).eval()
assert "cinv_lib" not in sys.modules
ids = tokenize(texts)
with torch.no_grad():
    x = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(4))
    cfg = model.visual.preprocess_cfg
    mean, std = (torch.tensor(cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    image, text = model.encode_image((x - mean) / std), model.encode_text(ids)
torch.save({"kind": type(tokenize).__name__, "ids": ids, "image": image, "text": text}, asked)
"""


def strangers(name: str, texts: list[str], tmp_path: Path) -> dict:
    asked = tmp_path / "asked"
    asked.write_text(json.dumps(texts))
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, name, str(asked), str(tmp_path / "cache")],
        capture_output=True, text=True, check=False, cwd=tmp_path / "elsewhere",
        env=os.environ | {"PYTHONPATH": SITE, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1",
                          "HF_HUB_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return torch.load(asked)


def hundreds_of_texts() -> list[str]:
    known = list(words.vocabulary())
    texts = [*known, *(f"a photo of a {word}" for word in known)]
    texts += [f"{a}-{b}" for a, b in pairwise(known)][:100]
    return [
        *texts, "", "   ", "A Photo, of a (CAT)!", "two_cats, 3 dogs; cat's", "crème brûlée",
        "quokka", "fleur de lis\n a cat", "x" * 200, "ΣΊΣΥΦΟΣ", "Ünïcödé 12½ 三", "a.b.c",
    ]  # fmt: skip


def in_cache(folder: Path, repo: str, cache: Path) -> None:
    """As if a folder had been uploaded to the hub, and downloaded from there."""
    place = cache / f"models--{repo.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("a" * 40)
    (place / "snapshots").mkdir()
    absent = place / ".no_exist" / ("a" * 40)  # what was asked for and is not there, is noted
    absent.mkdir(parents=True)
    for name in ("config.json", "special_tokens_map.json", "added_tokens.json"):
        (absent / name).touch()
    folder.rename(place / "snapshots" / ("a" * 40))


@with_transformers
@pytest.mark.parametrize("how", ["local-dir", "hf-hub"])
@torch.no_grad()
def test_a_stranger_gets_the_same_ids_and_embeddings(student, folder, tmp_path, how):
    name, texts = f"local-dir:{folder}", hundreds_of_texts()
    if how == "hf-hub":
        name = "hf-hub:me/rows"
        in_cache(folder, "me/rows", tmp_path / "cache")
    found = strangers(name, texts, tmp_path)
    want = words.tokenize(texts, 20)
    assert found["kind"] == "HFTokenizer" and len(texts) > 500
    differ = [t for t, same in zip(texts, (found["ids"] == want).all(1), strict=True) if not same]
    assert not differ
    assert torch.equal(found["image"], student(pictures()))
    torch.testing.assert_close(found["text"], student.clip.encode_text(want), atol=1e-6, rtol=0)


@with_transformers
def test_too_long_a_text_is_cut_there_and_keeps_its_end(folder, tmp_path):
    (ids,) = strangers(f"local-dir:{folder}", ["cat " * 30], tmp_path)["ids"].tolist()
    cat = words.vocabulary()["cat"]
    assert ids == [words.START, *[cat] * 18, words.end()]


@torch.no_grad()
def test_from_the_hub_it_comes_back_without_transformers(student, folder, tmp_path):
    in_cache(folder, "me/rows", tmp_path / "cache")
    loaded = ci.load_encoder("hf-hub:me/rows", cache_dir=str(tmp_path / "cache"))
    assert torch.equal(loaded(pictures()), student(pictures()))
    torch.testing.assert_close(*in_words(loaded, student), atol=1e-6, rtol=0)
