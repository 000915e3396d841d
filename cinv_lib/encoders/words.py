"""The embedded CLIP's tokenizer: one token a word, over the few hundred words of its captions."""

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
