"""What is found nearest, as a figure: frames, names and counts, read back."""

import torch
from matplotlib.colors import to_hex

from cinv_lib import plots
from cinv_lib.evaluation.retrieval import Found
from cinv_lib.plots.style import OKABE_ITO


def found(*names):
    return [Found(torch.full((3, 8, 8), k, dtype=torch.uint8), n, 0.5) for k, n in enumerate(names)]


def test_frames_and_words_say_right_or_wrong():
    rows = {
        "CLIP R": found("cat", "dog", "owl"),
        "student S": found("dog", "dog", "a very long name"),
    }
    fig = plots.nearest_pictures(torch.rand(3, 8, 8), rows, "dog")
    asked, *shown = fig.axes
    assert asked.get_xlabel() == "what is it?" and len(shown) == 6
    below = [ax.get_xlabel().replace("\n", " ") for ax in shown]
    assert below[:4] == ["wrong: cat", "right: dog", "wrong: owl", "right: dog"]
    edges = {to_hex(ax.spines["left"].get_edgecolor()).upper() for ax in shown}
    assert edges == {OKABE_ITO["green"], OKABE_ITO["vermilion"]}
    for ax, words in zip(shown, below, strict=True):
        right = to_hex(ax.spines["left"].get_edgecolor()).upper() == OKABE_ITO["green"]
        assert right == words.startswith("right")
    title, *heads = [text.get_text() for text in fig.texts]
    assert title == "Right among the 3 nearest clean pictures: CLIP R 1, student S 2"
    assert heads == [f"nearest clean pictures for {name}" for name in rows]
    assert (shown[4].images[0].get_array() == 1).all()
