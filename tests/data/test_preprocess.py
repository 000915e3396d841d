"""preprocess: a reader's own pictures are what open_clip's own transform makes of them."""

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from cinv_lib import data
from cinv_lib.data.preprocess import RULES, Preprocess
from cinv_lib.encoders import Encoder
from cinv_lib.encoders.inference import preprocess_of
from cinv_lib.evaluation import draws
from cinv_lib.operators import Identity

ODD = [(97, 71), (33, 250), (64, 64), (401, 299), (20, 31)]


def painted(size) -> Image.Image:
    noise = np.random.default_rng(sum(size)).integers(0, 255, (9, 7, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def of_open_clip(picture, side, rule, interpolation, fill=0) -> torch.Tensor:
    transform = open_clip.image_transform(
        side, False, (0.0,) * 3, (1.0,) * 3, rule, interpolation, fill
    )
    return (transform(picture) * 255).round().to(torch.uint8)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "random"])
@pytest.mark.parametrize("rule", RULES)
def test_it_is_open_clips_transform(rule, interpolation):
    for side in (64, 95):
        for size in ODD:
            seen = Preprocess(side, rule, interpolation, fill_color=9)(painted(size))
            want = of_open_clip(painted(size), side, rule, interpolation, 9)
            assert torch.equal(data.tensor(seen), want), (side, size)


@pytest.mark.parametrize("rule", RULES)
def test_files_are_seen_as_the_encoders_configuration_says(tmp_path, rule):
    """By decode, by evaluation, and by training without crops; the paper's rule differs."""
    for i, size in enumerate(ODD):
        painted(size).save(tmp_path / f"{i}.png")
    files = data.ImageFiles.from_folder(tmp_path)
    encoder = Encoder.wrap(torch.nn.Flatten(), 48, (0, 0, 0), (1, 1, 1), "bicubic")
    encoder.config["preprocess_cfg"]["resize_mode"] = rule
    assert preprocess_of([torch.nn.Sequential(encoder)]) == Preprocess(48, rule, "bicubic")

    want = torch.stack([of_open_clip(painted(size), 48, rule, "bicubic") for size in ODD])
    seen = files.seen_as(preprocess_of([encoder]))
    assert torch.equal(seen.decode(), want) and torch.equal(seen.images[1:3], want[1:3])
    (_, _, (rows,)) = next(draws.embeddings([encoder], files, [(Identity(), 0)]))
    torch.testing.assert_close(rows.view(-1, 3, 48, 48) * 255, want.float(), atol=1e-4, rtol=0)
    (batch,) = seen.views(torch.arange(5), 5, 0, 0, 48, (1.0, 1.0))
    assert torch.equal(batch, want)

    papers = data.ImageFiles(files.paths, files.labels, ("a",), "papers", "here")
    assert papers.seen_as(preprocess_of([encoder])) is papers
    assert (papers.decode(short=55, crop=48).int() - want.int()).abs().float().mean() > 5


def test_random_crops_are_resized_with_the_encoders_interpolation(tmp_path):
    painted((90, 70)).save(tmp_path / "a.png")
    files, one = data.ImageFiles.from_folder(tmp_path), torch.tensor([0])
    box = data.crop_boxes(1, 70, 90, data.generator_of(3, 1, 0), (0.2, 0.6), (3 / 4, 4 / 3))
    left, top, width, height = box[0].int().tolist()
    cut = painted((90, 70)).crop((left, top, left + width, top + height))
    for how in ("bicubic", "bilinear"):
        (batch,) = files.seen_as(Preprocess(1, "squash", how)).views(one, 1, 3, 1, 48, (0.2, 0.6))
        want = cut.resize((48, 48), Preprocess(interpolation=how).resample)
        assert torch.equal(batch[0], data.tensor(want))


def test_a_configuration_is_read_as_open_clip_does():
    given = {"size": 64, "mean": (0, 0, 0), "resize_mode": None, "interpolation": "bilinear"}
    assert Preprocess.of(given) == Preprocess(64, "shortest", "bilinear", 0)
    with pytest.raises(ValueError, match=r"resize_mode is 'crop'.*shortest, squash, longest"):
        Preprocess.of({"resize_mode": "crop"})
    assert [Preprocess(64, rule).enlarges(50, 80) for rule in RULES] == [True, True, False]
