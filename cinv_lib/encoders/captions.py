"""Classes asked for in words: the text tower's embeddings of their names in a template."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cinv_lib.encoders import tokenizer
from cinv_lib.encoders.encoder import Encoder

TEMPLATE = "a photo of a {}"  # how a class is asked for in words


class NoWords(ValueError):
    """An encoder without a text tower was asked in words."""


def need_words(encoder: Encoder) -> None:
    """Raise NoWords where an encoder has no text tower."""
    if encoder.clip is None:
        raise NoWords(
            f"{encoder.name} has no text tower, so it cannot be asked in words. Students, probes "
            f"and baselines do without; for words take a CLIP, such as stickers-clip"
        )


@torch.no_grad()
def text_embeddings(
    encoder: Encoder, names: Sequence[str], templates: Sequence[str] = (TEMPLATE,)
) -> Float[Tensor, "K d"]:
    """Embed each name in each template, average the normalised embeddings, normalise again.

    Returns (K, d), rows of length one: the weights of a zero-shot classifier over K classes.
    Raises ValueError when the encoder has no text tower, when a name is empty, or when a word is
    not one that it knows (CLIP's own tokenizer knows all), and what `tokenizer.of` raises.
    """
    need_words(encoder)
    names, templates = _texts("names", names), _texts("templates", templates)
    if not names or not templates or any(t.count("{}") != 1 for t in templates):
        raise ValueError(
            f"expected names and templates with {{}} once in each, not {names!r}, {templates!r}"
        )
    empty = [name for name in names if not any(map(str.isalnum, name))]
    if empty:
        raise ValueError(f"the name {empty[0]!r} has no word in it; expected one for each class")
    tokenize = tokenizer.of(encoder, [*names, *templates])
    total = torch.zeros(len(names), encoder.dim, device=encoder.mean.device)
    for template in templates:
        tokens = tokenize([template.replace("{}", name) for name in names])
        tokenizer.check(encoder, tokens)
        chunks = tokens.to(total.device).split(256)
        total += torch.cat([encoder.clip.encode_text(t, normalize=True) for t in chunks])
    return F.normalize(total, dim=-1)


def _texts(what: str, given: Any) -> list[str]:
    """A list of texts. One text is itself a sequence of texts, of its letters, and is refused."""
    texts: list[Any] = [] if isinstance(given, str) or given is None else list(given)
    if given is None or isinstance(given, str) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{what} is {given!r}; expected a list of texts, as ['cat', 'star']")
    return texts
