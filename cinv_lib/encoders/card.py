"""The model card of an exported encoder: README.md, whose header the Hugging Face hub reads."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip
import pandas as pd

from cinv_lib.encoders import tokenizer
from cinv_lib.encoders.config import EMBEDDED, WRAPPED
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.encoders.folder import HUB

HEADER = ("license", "base_model", "language", "tags", "datasets")  # of what is handed in
STUDENT = "student of "  # how `student_of` names one

READ = """```python
import open_clip, torch
from PIL import Image

name = "{place}"
model, _, preprocess = open_clip.create_model_and_transforms(name)
tokenize = open_clip.get_tokenizer(name)
model.eval()
with torch.no_grad():
    image = model.encode_image(preprocess(Image.open("picture.png").convert("RGB"))[None])
    text = model.encode_text(tokenize(["a photo of a cat"]))
```"""
READ_TOWER = """```python
import cinv_lib as ci

encoder = ci.load_encoder("{folder}"{module})   # pictures (B, 3, {side}, {side}) in [0,1]
```"""
WORDS = """
The tokenizer knows the {size} words and marks of the world that the text tower was trained in; any
other word is one token, "unknown". It needs the package `transformers`. Too long a text is cut."""
RUINED = """
The image tower was trained to give a corrupted picture the embedding that its teacher gives the
clean one. The corruption was applied to pictures in [0,1], before they were normalised, and was not
clipped: a noisy picture that was saved in 8 bits is another task than the one of its training."""


def text(encoder: Encoder, folder: Path, repo: str | None, card: Mapping[str, Any]) -> str:
    """The whole file.

    card: license, base_model, language, tags and datasets go into the header; "scores", by name or
    as a table, into a table and, as results, into the header; all else is listed as it is.

    Raises ValueError for scores of another kind.
    """
    scores = _scores(card.get("scores"))
    facts = {k: v for k, v in card.items() if k not in (*HEADER, "scores")}
    title = repo or folder.resolve().name
    parts = [
        f"---\n{_header(encoder, title, card, scores)}\n---\n\n# {title}\n",
        f"{_what(encoder)}\n",
        f"## Use\n\n{_use(encoder, folder, repo)}\n",
    ]
    if encoder.name.startswith(STUDENT) or "operator" in facts:
        parts.append(f"## What it sees\n{RUINED}\n")
    if facts:
        parts.append(f"## Training\n\n{_table(facts)}\n")
    if scores is not None:
        parts.append(f"## Scores\n\n{_markdown(scores)}\n")
    upload = f"hf upload {repo or 'ORGANISATION/NAME'} {shlex.quote(str(folder))}"
    parts.append(f"## Upload\n\n```bash\nhf auth login   # once\n{upload}\n```\n")
    return "\n".join(parts)


def _header(encoder: Encoder, title: str, card: Mapping, scores: pd.DataFrame | None) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    clip = encoder.clip is not None
    task = "zero-shot-image-classification" if clip else "image-feature-extraction"
    given = {key: card[key] for key in HEADER if key in card}
    base = base_model(encoder.name)
    data = str(card.get("data", "pictures"))
    table = pd.DataFrame() if scores is None else scores
    results = [
        EvalResult(
            task_type=task if clip else "image-classification",
            dataset_type=data,
            dataset_name=data,
            metric_type="accuracy" if str(column).startswith("top") else str(column),
            metric_name=" ".join(map(str, [*_key(index), column])),
            metric_value=round(float(value), 4),
        )
        for column in table.columns
        for index, value in table[column].items()
    ]
    return ModelCardData(
        **{
            "library_name": "open_clip" if clip else "cinv_lib",
            "pipeline_tag": task,
            "license": "mit" if base in EMBEDDED else "other",
            "tags": ["clip", "robustness", "contrastive-inversion"],
            **({"base_model": base} if base else {}),
            **({"model_name": title, "eval_results": results} if results else {}),
            **given,
        }
    ).to_yaml()


def base_model(name: str) -> str | None:
    """What the hub calls the encoder that this one is, or is a student of; None if it is unknown.

    >>> base_model("student of RN101-quickgelu/openai"), base_model("hf-hub:me/rows")
    ('timm/resnet101_clip.openai', 'me/rows')
    """
    name = name.removeprefix(STUDENT)
    if name.startswith(HUB):
        return name.removeprefix(HUB)
    if name in EMBEDDED:
        return name
    record = open_clip.get_pretrained_cfg(*name.split("/")) if name.count("/") == 1 else {}
    return "/".join(record.get("hf_hub", "").split("/")[:2]) or None


def _what(encoder: Encoder) -> str:
    kind = "A CLIP" if encoder.clip is not None else "An image tower"
    of = encoder.name.removeprefix(STUDENT)
    made = f", a student of {of}" if of != encoder.name else ""
    return (
        f"{kind}{made}: pictures of {encoder.image_size} px to embeddings of {encoder.dim} "
        f"dimensions. Written by cinv_lib, the library of a course on the paper [Inverse Problems "
        f"Leveraging Pre-trained Contrastive Representations](https://arxiv.org/abs/2110.07439)."
    )


def _use(encoder: Encoder, folder: Path, repo: str | None) -> str:
    if encoder.clip is None:
        wrapped = encoder.config.get("kind") == WRAPPED
        module = ", tower=module" if wrapped else ""  # its reader makes it again
        return READ_TOWER.format(folder=folder, module=module, side=encoder.image_size)
    use = READ.format(place=f"{HUB}{repo}" if repo else f"local-dir:{folder}")
    if not tokenizer.has_embedded_words(encoder):
        return use
    return f"{use}\n{WORDS.format(size=encoder.config['model_cfg']['text_cfg']['vocab_size'])}"


def _scores(scores: Any) -> pd.DataFrame | None:
    if scores is None:
        return None
    if isinstance(scores, Mapping):
        scores = pd.Series(scores, name="top1").to_frame()
    if not isinstance(scores, pd.DataFrame):
        kind = type(scores).__name__
        raise ValueError(
            f"the card's scores are a {kind}; expected numbers by their names, as "
            f'{{"mask:0.9": 78.5}}, or a table, as `summary` makes it'
        )
    numbers = scores.select_dtypes("number")
    if numbers.empty:
        raise ValueError(f"the card's scores {scores.to_dict()} hold no number")
    return numbers


def _key(index: Any) -> tuple:
    return index if isinstance(index, tuple) else (index,)


def _table(facts: Mapping[str, Any]) -> str:
    rows = [f"| {_cell(key)} | {_cell(value)} |" for key, value in facts.items()]
    return "\n".join(["| | |", "|---|---|", *rows])


def _markdown(scores: pd.DataFrame) -> str:
    head = ["", *map(_cell, scores.columns)]
    rows = [
        [_cell(" ".join(map(str, _key(index)))), *(f"{value:.4g}" for value in row)]
        for index, *row in scores.itertuples()
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
