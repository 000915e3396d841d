"""The word tokenizer of the embedded CLIP."""

import pytest
import torch

from cinv_lib.data.stickers import drawing
from cinv_lib.data.stickers.glyphs import glyphs
from cinv_lib.encoders import words


def test_the_vocabulary_holds_every_word_of_every_caption():
    captions = drawing.render(0, torch.arange(300)).captions()
    captions += [f"a photo of a {name}" for name in glyphs().names]
    assert not (words.tokenize(captions, 20) == words.UNKNOWN).any()


def test_a_text_becomes_start_words_end_padding():
    ids = words.tokenize(["a photo of a gear", "gear"], 8)
    known = words.vocabulary()
    sentence = [known[w] for w in ("a", "photo", "of", "a", "gear")]
    assert ids[0].tolist() == [words.START, *sentence, words.end(), words.PADDING]
    assert ids[1].tolist() == [words.START, known["gear"], words.end()] + [words.PADDING] * 5


def test_the_end_token_is_the_highest_id_as_clip_pools_there():
    ids = words.tokenize(["a photo of a cat"], 20)
    assert ids.max() == words.end() == words.size() - 1
    assert ids.argmax(1).item() == 6


def test_a_strange_word_is_unknown_and_case_and_hyphens_do_not_matter():
    assert words.tokenize(["xylophone"], 4)[0, 1] == words.UNKNOWN
    assert torch.equal(words.tokenize(["Fleur-de-lis"], 6), words.tokenize(["fleur de lis"], 6))


def test_a_text_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="at most 2 fit"):
        words.tokenize(["three words here"], 4)


def test_punctuation_and_underscores_part_words_as_blanks_do():
    want = words.tokenize(["a photo of a fleur de lis"], 20)
    for text in (
        "a photo of a fleur_de_lis.",
        "A photo, of a (fleur-de-lis)!",
        "a photo of a fleur de lis…",
    ):
        assert torch.equal(words.tokenize([text], 20), want)
    assert words.unknown(["a cat.", "two_cats, 3 dogs; cat's"]) == ["two", "cats", "3", "dogs", "s"]


def test_one_text_alone_is_a_batch_of_one():
    assert torch.equal(words.tokenize("a cat", 6), words.tokenize(["a cat"], 6))
