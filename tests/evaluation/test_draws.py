"""The one generator of embeddings: against plain forwards of the same draws, and its clean-up."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet

from cinv_lib.data.image_set import ImageSet, to_float
from cinv_lib.encoders.inference import embedded
from cinv_lib.evaluation.draws import corrupted, embeddings, realised, repeated
from cinv_lib.operators.basic import Identity, parse


def image_set(n=150, side=32):
    images = torch.randint(256, (n, 3, side, side), generator=torch.Generator().manual_seed(0))
    labels = torch.arange(n) % 2
    return ImageSet(images.to(torch.uint8), labels, ("one", "two"), "noise", "drawn by a test")


def tower(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return resnet.resnet18(num_classes=5).train()


def plain(encoder, x):
    """What the encoder makes of all pictures at once, with nothing folded."""
    with torch.no_grad():
        return encoder.eval()(x)


@pytest.mark.parametrize("batch_size", [50, 256])
def test_embeddings_are_plain_forwards_of_the_same_draws(batch_size):
    images, op, pair = image_set(), parse("noise:0.3"), [tower(0), tower(1)]
    together = [torch.empty(2, 150, 5) for _ in pair]
    for r, first, both in embeddings(
        pair, images, repeated(op, 2), 4, batch_size=batch_size, precision="fp32"
    ):
        for made, rows in zip(together, both, strict=True):
            made[r, first : first + len(rows)] = rows
    for encoder, made in zip(pair, together, strict=True):
        assert encoder.training and isinstance(encoder.bn1, nn.BatchNorm2d)
        alone = realised(encoder, images, op, 2, 4, batch_size=batch_size, precision="fp32")
        assert torch.equal(alone, made) and not alone.requires_grad
        for r in range(2):
            x = torch.cat(list(corrupted(op, images, 4, r)))
            torch.testing.assert_close(made[r], plain(encoder, x), atol=1e-4, rtol=1e-4)


def test_pictures_in_memory_are_embedded_as_one_realisation_of_no_corruption():
    images, encoder = image_set(), tower()
    made = embedded(encoder, images.images)
    assert encoder.training and not made.requires_grad
    assert torch.equal(made, embedded(encoder, to_float(images.images)))
    assert torch.equal(made, realised(encoder, images, Identity(), 1)[0])


def test_an_error_between_two_batches_puts_the_encoder_back():
    encoder, widths = tower(), iter((5, 4))

    class Shrinking(nn.Module):
        def __init__(self):
            super().__init__()
            self.tower = encoder

        def forward(self, x):
            return self.tower(x)[:, : next(widths)]

    with pytest.raises(RuntimeError) as error:
        realised(Shrinking(), image_set(), Identity(), 1, batch_size=100)
    assert error.tb is not None  # the frames are kept alive, as a notebook keeps them
    assert encoder.training and isinstance(encoder.bn1, nn.BatchNorm2d)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"asked": []}, "0 draws"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"precision": "fp8"}, "precision 'fp8': expected auto, bf16 or fp32"),
        ({"images": image_set().subset(torch.arange(0))}, "noise is empty"),
    ],
)
def test_bad_settings_are_named_before_the_first_batch(change, words):
    settings = {"images": image_set(), "asked": repeated(Identity(), 1)} | change
    with pytest.raises(ValueError, match=words):
        embeddings([tower()], **settings)
