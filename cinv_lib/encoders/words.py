"""The embedded CLIP's tokenizer: one token a word, over the few hundred words of its captions."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

VOCABULARY = Path(__file__).parents[1] / "weights" / "stickers-clip" / "words.txt"
PADDING, UNKNOWN, START = 0, 1, 2  # then the words; the end token is the highest id of all


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


def tokenize(texts: Sequence[str], context_length: int) -> Int64[Tensor, "B L"]:
    """Token ids (B, context_length): start, one id a word, end, then padding.

    A word outside the vocabulary becomes UNKNOWN. Raises ValueError for a text that does not fit.
    """
    known, last = vocabulary(), end()
    out = torch.full((len(texts), context_length), PADDING)
    for row, text in enumerate(texts):
        ids = [known.get(w, UNKNOWN) for w in text.lower().replace("-", " ").split()]
        if len(ids) + 2 > context_length:
            raise ValueError(
                f"{text!r} has {len(ids)} words; at most {context_length - 2} fit. Shorten it."
            )
        out[row, : len(ids) + 2] = torch.tensor([START, *ids, last])
    return out


def tokenizer(context_length: int) -> Callable[[Sequence[str]], Int64[Tensor, "B L"]]:
    """`tokenize` with the context length filled in, as open_clip's tokenizers are called."""
    return lambda texts: tokenize(texts, context_length)
