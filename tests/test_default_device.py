"""A notebook may begin with `torch.set_default_device("cuda")`. Here "meta", a device without
numbers, stands for the GPU: nothing of ours may land on it, as nothing was handed in there. Or it
may begin with `torch.set_default_dtype(torch.float64)`, as lesson 16 does: pictures and points stay
as they are, while modules follow, as PyTorch's own do."""

import processes
import pytest
import torch
from PIL import Image

from cinv_lib import data, encoders, losses, operators
from cinv_lib.data import ImageFiles
from cinv_lib.data.stickers import drawing
from cinv_lib.evaluation import metrics, probe, scores
from cinv_lib.operators.inverse import nonlocal_means
from cinv_lib.theory import configurations, energies
from cinv_lib.training import baseline, student
from cinv_lib.training.recipe import Recipe

MASK = operators.parse("mask:0.5")
CLASSICAL = (
    "super_resolution:1..8", "super_resolution_bicubic:1..8", "box_inpainting:0.1..0.9",
    "compressed_sensing:0.1..0.9", "poisson:0.1..1", "jpeg:0..99",
)  # fmt: skip
ONE = Recipe(1, 16, 1e-3, crop=(0.5, 1.0), flip=True, precision="fp32")


def generator():
    return torch.Generator("cpu").manual_seed(0)


def made(what):
    """All tensors that something made, or the numbers of what it made."""
    if isinstance(what, torch.nn.Module):
        return list(what.state_dict().values())
    return [what] if isinstance(what, torch.Tensor) else []


def of_files(folder):
    paths = []
    for i in range(4):
        paths.append(str(folder / f"{i}.png"))
        Image.new("RGB", (40, 50), (60 * i, 9, 9)).save(paths[-1])
    files = ImageFiles(tuple(paths), torch.arange(4, device="cpu"), tuple("abcd"), "mine", "here")
    return torch.cat(list(files.views(torch.arange(4, device="cpu"), 2, 0, 0, 32, workers=2)))


X = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
SMALL = processes.small_encoder()
PICTURES = processes.small_pictures(20)
TASKS = {
    "operators": lambda _: torch.cat(
        [
            op(X, generator())
            for op in map(operators.parse, ("mask:0.1..0.9", "noise:1", "blur:2", *CLASSICAL))
        ]
    ),
    "a choice of operators": lambda _: operators.parse("mask:0.5|noise:1")(X, generator()),
    "an encoder": lambda _: encoders.load("stickers-clip"),
    "embeddings": lambda _: encoders.load("stickers-clip")(X),
    "words": lambda _: encoders.text_embeddings(encoders.load("stickers-clip"), ["cat"]),
    "zero-shot": lambda _: probe.zero_shot(encoders.load("stickers-clip"), ["cat", "star"]),
    "a wrapped tower": lambda _: encoders.Encoder.wrap(SMALL.tower, SMALL.image_size),
    "digits": lambda _: data.load("digits", "val", 3).images,
    "a share of the labels": lambda _: data.load("digits", "val", 5).fraction(0.5, 0),
    "stickers": lambda _: drawing.render(0, torch.arange(3, device="cpu")).images,
    "a set of stickers": lambda _: data.load("stickers-kinds", "val", 1).images,
    "files": of_files,
    "a student": lambda _: student.distill(
        SMALL, PICTURES, MASK, losses.parse("nt"), ONE, 0, progress=False
    )[0],
    "a baseline": lambda _: baseline.finetune(SMALL, PICTURES, MASK, ONE, 0, progress=False)[0],
    "a probe": lambda _: probe.train(SMALL, PICTURES, MASK, probe.ProbeRecipe(epochs=2), 0),
    "scores": lambda _: torch.tensor(
        scores.evaluate_heads(
            [(lambda z: z[:, :2, 0, 0], {"m": torch.nn.Identity()})],
            PICTURES,
            MASK,
            2,
            progress=False,
        ).top1,
        device="cpu",
    ),
    "an area": lambda _: torch.tensor(
        metrics.auc(X[:, 0, 0, 0], torch.arange(4, device="cpu") % 2), device="cpu"
    ),
    "denoising": lambda _: nonlocal_means.non_local_means(X[:1]),
    "points": lambda _: energies.random_points(2, 8, 4, generator()),
    "a simplex": lambda _: configurations.simplex(3),
}


@pytest.mark.parametrize("name", TASKS)
def test_nothing_of_ours_lands_on_the_default_device(name, tmp_path):
    with torch.device("meta"):
        found = made(TASKS[name](tmp_path))
    assert found and all(tensor.device.type == "cpu" for tensor in found)


DRAWN = (
    "operators", "a choice of operators", "digits", "a share of the labels", "stickers",
    "a set of stickers", "files", "denoising", "points", "a simplex",
)  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_no_picture_changes_with_the_default_dtype(name, tmp_path):
    usual, found = torch.get_default_dtype(), []
    try:
        for default in (usual, torch.float64):
            torch.set_default_dtype(default)
            found.append(made(TASKS[name](tmp_path)))
    finally:
        torch.set_default_dtype(usual)
    assert found[0] and all(map(torch.equal, *found))
