"""Linear probes on a frozen encoder: from all labels, from a few, or from words.

The encoder is forwarded once for each view of each image (`features`), and never again: every
epoch, every label fraction and every recipe then trains on the same cached embeddings (`fit`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from cinv_lib.data.image_files import Pictures
from cinv_lib.data.image_set import ImageSet
from cinv_lib.data.views import epoch_order, random_crop, random_flip
from cinv_lib.encoders.captions import TEMPLATE, text_embeddings
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.encoders.inference import preprocess_of
from cinv_lib.evaluation.draws import realised_by
from cinv_lib.machine.checks import expect
from cinv_lib.operators.base import Operator
from cinv_lib.training.recipe import cosine


@dataclass(frozen=True)
class ProbeRecipe:
    """How to train a probe: Adam, a cosine to zero over the steps, cross-entropy.

    The defaults are the authors' (App. D.1; the paper's batches of 128 and 8 are per GPU, of
    four). With a share of the labels below `small_below`, batches have `small_batch` images: a
    tenth of the labels in the same batches would be a tenth of the optimiser's steps.

    Args:
        epochs: how often each picture is seen, each time in another view if there are several.
        lr: Adam's learning rate at the first step.
        batch_size: embeddings in a step, with all labels.
        weight_decay: L2, on the weights and not on the bias.
        normalise: fit on embeddings of length one instead of the encoder's own.
        small_batch, small_below: see above.
    """

    epochs: int = 10
    lr: float = 1e-3
    batch_size: int = 512
    weight_decay: float = 0.0
    normalise: bool = False
    small_batch: int = 32
    small_below: float = 1.0
    # of the views that it is fitted on: see ViewsRecipe
    crop: ClassVar[tuple[float, float]] = (1.0, 1.0)
    flip: ClassVar[bool] = False

    def __post_init__(self) -> None:
        expect(
            self,
            epochs=(self.epochs >= 1, "at least 1"),
            lr=(0 < self.lr < math.inf, "a positive number"),
            batch_size=(self.batch_size >= 1, "at least 1"),
            weight_decay=(0 <= self.weight_decay < math.inf, "0 or a positive number"),
            small_batch=(self.small_batch >= 1, "at least 1"),
            small_below=(0 <= self.small_below <= 1, "a share of the labels, 0 to 1"),
        )

    def batch_for(self, labelled: int, images: int) -> int:
        """Images in a batch when `labelled` of `images` have labels.

        >>> ProbeRecipe().batch_for(1000, 1000), ProbeRecipe().batch_for(100, 1000)
        (512, 32)
        """
        few = labelled / images < self.small_below
        return min(self.batch_size, self.small_batch) if few else self.batch_size


@dataclass(frozen=True)
class ViewsRecipe(ProbeRecipe):
    """A probe fitted on random crops (of this share of the area) and mirror images, as the paper's.

    A recipe of its own: the other's fields are in the description of everything made with it.
    """

    crop: tuple[float, float] = (0.08, 1.0)
    flip: bool = True


class Probe(nn.Module):
    """A linear classifier of embeddings (B, d): logits (B, K).

    normalise: whether embeddings are scaled to length one first; part of the saved state.
    """

    weight: Float[Tensor, "K d"]
    bias: Float[Tensor, " K"]
    normalise: Bool[Tensor, ""]

    def __init__(
        self, weight: Float[Tensor, "K d"], bias: Float[Tensor, " K"], normalise: bool = False
    ) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.register_buffer("normalise", torch.tensor(normalise, device=weight.device))

    @classmethod
    def from_state(cls, state: dict[str, Tensor]) -> "Probe":
        """The probe of a `state_dict`, whatever its size."""
        return cls(state["weight"].clone(), state["bias"].clone(), bool(state["normalise"]))

    def forward(self, features: Float[Tensor, "B d"]) -> Float[Tensor, "B K"]:
        # `where`, not `if`: to read the flag would be to wait for the GPU
        if not torch.is_autocast_enabled(features.device.type):
            features = features.to(self.weight.dtype)
        x = torch.where(self.normalise, F.normalize(features, dim=1), features)
        return F.linear(x, self.weight, self.bias)


def features(
    encoder: Callable, images: Pictures, op: Operator, views: int, seed: int, *arguments, **settings
) -> Float[Tensor, "V N d"]:
    """`features_of` one encoder, with the same arguments."""
    return features_of([encoder], images, op, views, seed, *arguments, **settings)[0]


def features_of(
    encoders: Sequence[Callable],
    images: Pictures,
    op: Operator,
    views: int,
    seed: int,
    crop: tuple[float, float] = (1.0, 1.0),
    flip: bool = False,
    batch_size: int = 256,
    precision: str = "auto",
    device: torch.device | str | None = None,
) -> list[Float[Tensor, "V N _"]]:
    """Embeddings of `views` views of every image: a fresh crop, flip and corruption in each.

    Exactly views x N images pass each encoder, or N where the views cannot differ (no chance in the
    operator, no crop, no flip), and all see the same ones: files are decoded once for all encoders.
    View v is a function of (seed, v), whatever the batch size. Images of another size than the
    encoders take are resized; a crop of files is cut from the whole picture.

    Args:
        crop: share of the area kept by a random resized crop; (1, 1) for none.
        precision: "fp32", "bf16" or "auto", of the encoders; the features are float32.
        device: where to compute and where the features stay; None for where the encoders are.

    Raises:
        ValueError: no images, `views` or `batch_size` below 1, an unknown precision.
    """
    if views < 1:
        raise ValueError(f"views {views}: expected 1 or more")
    cropped = crop != (1.0, 1.0)
    within = cropped and isinstance(images, ImageSet)  # files are cropped as they are decoded

    def draw(x: Tensor, generator: torch.Generator) -> Tensor:
        x = random_crop(x, generator, scale=crop) if within else x
        return op(random_flip(x, generator) if flip else x, generator)

    different = views if op.is_random or cropped or flip else 1
    made = realised_by(
        encoders, images, draw, different, seed,
        stream="views", crop=crop, batch_size=batch_size, precision=precision, device=device,
    )  # fmt: skip
    return [seen.expand(views, -1, -1) for seen in made]


def fit(
    features: Float[Tensor, "V N d"],
    labels: Int64[Tensor, " N"],
    n_classes: int,
    recipe: ProbeRecipe,
    seed: int,
    indices: Int64[Tensor, " M"] | None = None,
) -> Probe:
    """Softmax regression on the features; epoch e takes view e modulo V.

    The problem is convex and starts from zero weights; `seed` orders the images. With
    weight_decay w it goes to the minimum of scikit-learn's LogisticRegression(C=1/(w M)).

    Args:
        features: of any precision; the probe is float32.
        indices: the images whose labels may be used, None for all; `ImageSet.fraction` draws them.

    Raises:
        ValueError: labels that do not fit the features or n_classes, no image to learn from.
        FloatingPointError: the features or the fitted weights are not finite.

    >>> x = torch.tensor([[-1.0], [-2.0], [1.0], [2.0]])
    >>> probe = fit(x[None], torch.tensor([0, 0, 1, 1]), 2, ProbeRecipe(epochs=200, lr=.1), seed=0)
    >>> probe(x).argmax(1).tolist()
    [0, 0, 1, 1]
    """
    views, n, dim = features.shape
    device, every = features.device, indices is None
    indices = torch.arange(n, device="cpu") if indices is None else indices
    _check(features, labels, n_classes, indices)
    chosen, targets = indices.to(device), labels.to(device)[indices.to(device)]
    used = (features if every else features[:, chosen]).float()  # all views may be ten gigabytes
    used = F.normalize(used, dim=2) if recipe.normalise else used

    weight = torch.zeros(n_classes, dim, device=device, requires_grad=True)
    bias = torch.zeros(n_classes, device=device, requires_grad=True)
    groups = [
        {"params": [weight], "weight_decay": recipe.weight_decay},
        {"params": [bias], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.Adam(groups, lr=recipe.lr, fused=True)
    batches = math.ceil(len(chosen) / recipe.batch_for(len(chosen), n))
    steps = recipe.epochs * batches
    # A reader's own autocast would keep the zeros that the weights begin as.
    with torch.enable_grad(), torch.autocast(device.type, enabled=False):
        for step in range(steps):
            epoch, k = divmod(step, batches)
            if k == 0:
                order = epoch_order(len(chosen), seed, epoch).to(device).tensor_split(batches)
            for group in optimizer.param_groups:
                group["lr"] = cosine(recipe.lr, step, steps)
            x = used[epoch % views, order[k]]
            F.cross_entropy(F.linear(x, weight, bias), targets[order[k]]).backward()
            optimizer.step()
            optimizer.zero_grad()
    if not bool(weight.isfinite().all() & bias.isfinite().all()):
        raise FloatingPointError(
            f"the probe diverged with ProbeRecipe.lr {recipe.lr}: lower it, or set normalise=True"
        )
    return Probe(weight.detach(), bias.detach(), recipe.normalise).eval()


def train(
    encoder: Callable, images: Pictures, op: Operator, recipe: ProbeRecipe, seed: int
) -> Probe:
    """`features` under `op`, one view for each epoch, and `fit` on all labels.

    Own files that cannot be read are left out. Raises ValueError without labels of two classes.
    """
    return train_each([encoder], images, op, recipe, seed)[0]


def train_each(
    encoders: Sequence[Callable], images: Pictures, op: Operator, recipe: ProbeRecipe, seed: int
) -> list[Probe]:
    """`train` of several encoders that take the same pictures: these are decoded once for all."""
    images.expect_classes("fit a probe")
    images = images.readable(preprocess_of(encoders))
    seen = features_of(encoders, images, op, recipe.epochs, seed, recipe.crop, recipe.flip)
    return [fit(views, images.labels, len(images.class_names), recipe, seed) for views in seen]


def zero_shot(
    encoder: Encoder,
    names: Sequence[str],
    templates: Sequence[str] = (TEMPLATE,),
    scale: float = 100.0,
) -> Probe:
    """A classifier from class names alone: `scale` times the cosine to each name's embedding.

    A student of CLIP has kept CLIP's words (paper, Sec. 5). `scale` sharpens the probabilities
    and leaves the ranking; 100 is OpenAI's.

    Raises:
        ValueError: the encoder has no text tower, or does not know a word; an empty name, or one
            text in place of a list.
    """
    words = text_embeddings(encoder, names, templates)
    bias = torch.zeros(len(words), device=words.device)
    return Probe(scale * words, bias, normalise=True).eval()


def _check(features: Tensor, labels: Tensor, n_classes: int, indices: Tensor) -> None:
    n = features.shape[1]
    if len(labels) != n:
        raise ValueError(f"{len(labels)} labels for {n} images' features: expected one for each")
    if len(indices) == 0:
        raise ValueError("no image to fit a probe on: indices is empty")
    if not 0 <= int(indices.min()) <= int(indices.max()) < n:
        raise ValueError(
            f"indices go from {int(indices.min())} to {int(indices.max())}: expected 0 to {n - 1}"
        )
    if not 0 <= int(labels.min()) <= int(labels.max()) < n_classes:
        raise ValueError(
            f"labels go from {int(labels.min())} to {int(labels.max())}: expected 0 to "
            f"{n_classes - 1} for {n_classes} classes"
        )
    if not bool(features.isfinite().all()):
        raise FloatingPointError("the features hold NaN or infinities: the encoder is broken")
