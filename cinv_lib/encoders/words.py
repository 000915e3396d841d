"""The embedded CLIP's tokenizer: one token a word, over the few hundred words of its captions."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

VOCABULARY = Path(__file__).parents[1] / "weights" / "stickers-clip" / "words.txt"
PADDING, UNKNOWN, START = 0, 1, 2  # then the words; the end token is the highest id of all
WORD = re.compile(r"[^\W_]+")  # letters and digits: all else parts words, as full stops do


@cache
def vocabulary() -> dict[str, int]:
    """word -> id, in the order of words.txt (one word a line)."""
    return {w: i for i, w in enumerate(VOCABULARY.read_text().split(), START + 1)}


def end() -> int:
    """The end token. CLIP pools the text at the highest id of a row, so it must be the last."""
    return START + 1 + len(vocabulary())


def size() -> int:
    """Number of tokens: padding, unknown, start, the words, end."""
    return end() + 1


def unknown(texts: Iterable[str]) -> list[str]:
    """The words of some texts that are not in the vocabulary, each once.

    >>> unknown(["a photo of a cat.", "a photo of a Quokka."])
    ['quokka']
    """
    found = [word for text in texts for word in WORD.findall(text.lower())]
    return [word for word in dict.fromkeys(found) if word not in vocabulary()]


def tokenize(texts: str | Sequence[str], context_length: int) -> Int64[Tensor, "B L"]:
    """Token ids (B, context_length): start, one id a word, end, then padding.

    Capital letters and punctuation make no difference, and "_" parts words as a blank does. A word
    outside the vocabulary becomes UNKNOWN. One text alone is a batch of one, as in open_clip.
    Raises ValueError for a text that does not fit.
    """
    texts = [texts] if isinstance(texts, str) else texts
    known, last = vocabulary(), end()
    out = torch.full((len(texts), context_length), PADDING, device="cpu")
    for row, text in enumerate(texts):
        ids = [known.get(word, UNKNOWN) for word in WORD.findall(text.lower())]
        if len(ids) + 2 > context_length:
            raise ValueError(
                f"{text!r} has {len(ids)} words; at most {context_length - 2} fit. Shorten it."
            )
        out[row, : len(ids) + 2] = torch.tensor([START, *ids, last], device="cpu")
    return out


def tokenizer(context_length: int) -> Callable[[Sequence[str]], Int64[Tensor, "B L"]]:
    """`tokenize` with the context length filled in, as open_clip's tokenizers are called."""
    return lambda texts: tokenize(texts, context_length)


def tokenizer_files(context_length: int) -> dict[str, str]:
    """The same tokenizer as the two files in which the Hugging Face hub and open_clip expect one.

    Written without the library that reads them. What differs there: too long a text is cut, and
    open_clip first mends typography and HTML ("&amp;" becomes "&").
    """
    marks = {"<pad>": PADDING, "<unk>": UNKNOWN, "<start>": START, "<end>": end()}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    marked = [{"SpecialToken": {"id": mark, "type_id": 0}} for mark in ("<start>", "<end>")]
    ends = {mark: {"id": mark, "ids": [marks[mark]], "tokens": [mark]} for mark in marks}
    flags = ("single_word", "lstrip", "rstrip", "normalized")
    model = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": i, "content": mark, "special": True} | dict.fromkeys(flags, False)
            for mark, i in marks.items()
        ],
        "normalizer": {"type": "Lowercase"},
        # WORD, in the words of the other program
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": r"[^\p{L}\p{N}]+"},
            "behavior": "Removed",
            "invert": False,
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [marked[0], text, marked[1]],
            "pair": [marked[0], text, marked[1]],
            "special_tokens": {mark: ends[mark] for mark in ("<start>", "<end>")},
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": marks | vocabulary(), "unk_token": "<unk>"},
    }
    about = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context_length,
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "bos_token": "<start>",
        "eos_token": "<end>",
    }
    named = {"tokenizer.json": model, "tokenizer_config.json": about}
    return {name: json.dumps(what, indent=1) + "\n" for name, what in named.items()}
