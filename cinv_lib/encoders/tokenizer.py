"""The tokenizer of an encoder's text tower: open_clip's, by the encoder's configuration, or the few
hundred words of the embedded world."""

from collections.abc import Callable, Sequence

import open_clip
from jaxtyping import Int64
from torch import Tensor

from cinv_lib.encoders import config as encoder_config
from cinv_lib.encoders import words
from cinv_lib.encoders.encoder import Encoder

Tokenizer = Callable[[Sequence[str]], Int64[Tensor, "B L"]]
CLIPS = 49408  # the vocabulary of CLIP's byte-pair encoding
LENGTH = 77  # open_clip's own default


def of(encoder: Encoder, texts: Sequence[str]) -> Tokenizer:
    """The tokenizer that an encoder's text tower was trained with.

    Raises ValueError where it has the embedded world's words and `texts` have others, or where
    nothing says which tokenizer it is; ImportError where it is one of transformers, which is not
    installed; FileNotFoundError where its files are not here.
    """
    cfg = encoder.config["model_cfg"]["text_cfg"]
    length, size = cfg.get("context_length", LENGTH), cfg.get("vocab_size", CLIPS)
    if has_embedded_words(encoder):
        if strange := words.unknown(texts):
            # All of them have one token, which no training has met: the answer would be chance.
            raise ValueError(
                f"{encoder.name} does not know {', '.join(map(repr, strange[:5]))}; expected words "
                f"of {words.VOCABULARY}, in names and in templates"
            )
        return words.tokenizer(length)
    if cfg.get("hf_tokenizer_name"):
        return of_transformers(encoder)
    if size != CLIPS:
        raise ValueError(
            f"{encoder.name} has a vocabulary of {size} tokens, and its configuration names no "
            f"tokenizer; expected {CLIPS}, CLIP's own, or a hf_tokenizer_name in its text_cfg, "
            f"with the tokenizer's files in the encoder's folder"
        )
    return open_clip.SimpleTokenizer(context_length=length, **cfg.get("tokenizer_kwargs", {}))


def has_embedded_words(encoder: Encoder) -> bool:
    """Whether it is a CLIP of the embedded world, or a student of one."""
    cfg = encoder.config["model_cfg"].get("text_cfg", {})
    if cfg.get("vocab_size", CLIPS) != words.size() or "hf_model_name" in cfg:
        return False
    if encoder.tokenizer is None:
        return True
    file = encoder.tokenizer / "tokenizer.json"
    ours = words.tokenizer_files(cfg.get("context_length", LENGTH))["tokenizer.json"]
    return file.is_file() and file.read_text("utf-8") == ours


def of_transformers(encoder: Encoder) -> open_clip.tokenizer.HFTokenizer:
    """The tokenizer that the configuration names: in the encoder's folder, else of the hub."""
    cfg = encoder.config["model_cfg"]["text_cfg"]
    name = cfg["hf_tokenizer_name"]
    encoder_config.need_transformers(encoder.name, f"its tokenizer, {name},")
    try:
        return open_clip.tokenizer.HFTokenizer(
            str(encoder.tokenizer or name),
            context_length=cfg.get("context_length", LENGTH),
            tokenizer_mode=cfg.get("tokenizer_mode"),
            **cfg.get("tokenizer_kwargs", {}),
        )
    except OSError as e:
        raise FileNotFoundError(
            f"{encoder.name}: its tokenizer {name} is not on this machine "
            f"({str(e).splitlines()[0]}); run `hf download {name}` where there is a network"
        ) from e


def check(encoder: Encoder, tokens: Int64[Tensor, "B L"]) -> None:
    """Raise ValueError where token ids cannot be the text tower's."""
    cfg = encoder.config["model_cfg"]["text_cfg"]
    if "hf_model_name" in cfg:
        return
    size, ends = cfg.get("vocab_size", CLIPS), tokens.amax(dim=1)
    # Such a tower reads its answer at the highest id, which must be the end token of every text.
    by_highest = cfg.get("pool_type", "argmax") == "argmax"
    if int(ends.max()) >= size or (by_highest and len(ends.unique()) > 1):
        raise ValueError(
            f"{encoder.name}: the tokenizer gives ids up to {int(ends.max())}, which does not fit "
            f"a vocabulary of {size} tokens; copy the tokenizer's files from where its weights are"
        )
