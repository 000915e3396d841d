"""Feature distillation: S learns more of R than its embedding, as a transformer has more to give.

Alexis, Giannopoulos and Gunopulos (2026, arXiv 2604.22529) start, as the paper does, S and R from
one network, and show R clean pictures and S ruined ones. Their abstract says: "We introduce
multi-level distillation that aligns global embeddings, patch-level features, and attention maps".
It does not say how each distance is measured, in which layers, or how they are weighed. All of
that is this course's choice (lesson 14):

    L = d(S, R) + patches · d_patches + attention · d_attention                        (ours)

d is the mean cosine distance 1 - <S_i, R_i> (Eq. 1 plus 1), d_patches the same of each patch token,
and d_attention the mean of KL(R's row || S's row) over heads and query tokens.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cinv_lib import losses
from cinv_lib.data.image_files import Pictures
from cinv_lib.encoders.encoder import Encoder, student_of
from cinv_lib.encoders.transformer_features import Features, features
from cinv_lib.machine import hardware
from cinv_lib.machine.checks import expect
from cinv_lib.operators.base import Operator
from cinv_lib.training import feed, loop
from cinv_lib.training.light import lighter
from cinv_lib.training.recipe import Recipe


def patch_distance(S: Float[Tensor, "B P w"], R: Float[Tensor, "B P w"]) -> Float[Tensor, ""]:
    """Mean cosine distance 1 - <S_ip, R_ip> of the patch tokens, each normalised: 0 to 2."""
    return 1 + losses.alignment(S.flatten(0, 1), R.flatten(0, 1))


def attention_distance(
    S: Sequence[Float[Tensor, "B H T T"]], R: Sequence[Float[Tensor, "B H T T"]]
) -> Float[Tensor, ""]:
    """Mean of KL(R's row || S's row), in nats, over layers, pictures, heads and query tokens.

    S, R: as `Features.log_attention`. All T rows count alike, though of the last block an embedding
    needs the class token's alone (a tower that pools by "tok"), or all but that ("avg").
    """
    each = [F.kl_div(s, r, reduction="none", log_target=True) for s, r in zip(S, R, strict=True)]
    return torch.stack([one.sum(-1).mean() for one in each]).mean()


@dataclass(frozen=True)
class Alignment:
    """The loss L above: which of R's features S learns besides the embedding.

    Rule of the weights: at the start of training, the gradient of each weighted term with respect
    to S's weights has the length of the embedding's, within a factor of two (`gradient_norms`).
    The weight of a term says nothing by itself: a KL of attention maps has other units than a
    cosine. Adam's step does not grow with the loss, so only the shares of its terms count.

    Args:
        patches: weight of the patch tokens' distance, 0 or more.
        attention: weight of the attention maps' distance, 0 or more.
        layers: the blocks whose attention maps are compared, from 0, or from the end as -1.

    Raises ValueError for other weights, or attention without layers.
    """

    patches: float = 0.0
    attention: float = 0.0
    layers: tuple[int, ...] = (-1,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        expect(
            self,
            patches=(0 <= self.patches < math.inf, "0 or a positive number"),
            attention=(0 <= self.attention < math.inf, "0 or a positive number"),
            layers=(bool(self.layers) or not self.attention, "at least one, as (-1,)"),
        )

    @property
    def looked_at(self) -> tuple[int, ...]:
        """The layers whose attention maps the loss needs."""
        return self.layers if self.attention else ()

    def __call__(self, S: Features, R: Features) -> Float[Tensor, ""]:
        """The loss of S against R, whose features are of the same pictures clean."""
        value = 1 + losses.alignment(S.embedding, R.embedding)
        if self.patches:
            value = value + self.patches * patch_distance(S.patches, R.patches)
        if self.attention:
            value = value + self.attention * attention_distance(S.log_attention, R.log_attention)
        return value


# By the rule: in batches of 64 pictures under mask:0.9, gradients of stickers-clip-vit are 1.5 to
# 1.7 long (embedding), 1.2 (patches) and 4.6 (attention), each at weight 1.
EMBEDDING_ALONE = Alignment()
WITH_PATCHES = Alignment(patches=1.3)
WITH_ATTENTION = Alignment(patches=1.3, attention=0.35)


def gradient_norms(
    teacher: Encoder,
    x: Float[Tensor, "B 3 S S"],
    y: Float[Tensor, "B 3 S S"],
    layers: Sequence[int] = (-1,),
) -> dict[str, float]:
    """How hard each term pulls at the start, at weight 1: the lengths of its gradient with respect
    to all weights of a student that is still its teacher.

    x, y: a batch clean and ruined.

    Returns:
        "embedding", "patches", "attention" -> length.
    """
    student = student_of(teacher)
    S = features(student, y, layers)
    with torch.no_grad():
        R = features(teacher, x, layers)
    terms = {
        "embedding": losses.alignment(S.embedding, R.embedding),
        "patches": patch_distance(S.patches, R.patches),
        "attention": attention_distance(S.log_attention, R.log_attention),
    }
    weights = [*student.tower.parameters()]
    norms = {}
    for name, term in terms.items():
        found = torch.autograd.grad(term, weights, retain_graph=True, allow_unused=True)
        norms[name] = math.hypot(*(float(part.norm()) for part in found if part is not None))
    return norms


# -- training ----------------------------------------------------------------------------------
def distill_features(
    teacher: Encoder,
    images: Pictures,
    op: Operator,
    alignment: Alignment,
    recipe: Recipe,
    seed: int,
    checkpoint: Path | None = None,
    progress: bool = True,
    light: bool | None = None,
) -> tuple[Encoder, pd.DataFrame]:
    """Train a student of `teacher` to see through `op`, on `alignment`.

    It is `training.distill` in all else: the same views and corruptions in the same order. With
    both weights 0 it gives the student of the loss "mse".

    Args:
        teacher: R, whose image tower is open_clip's VisionTransformer; not changed.
        alignment: the loss, computed in float32.
        images, recipe, seed, checkpoint, light: as in `training.distill`.

    Returns:
        The student, in eval mode, on the training's device; and the history of `loop.run`. Raises
        what `features` and `loop.run` raise.
    """
    device, images = hardware.accelerator().device, feed.shown(images, teacher)
    student = student_of(teacher).to(device)
    source = feed.of(images, teacher.image_size, recipe, seed, device)
    R = copy.deepcopy(teacher).eval().requires_grad_(False)
    R = R.to(device).to(memory_format=hardware.layout(device))
    layers = alignment.looked_at

    def step(indices: Tensor, generator: torch.Generator) -> Tensor:
        x = source.view(indices, generator)
        with torch.no_grad():
            r = features(R, x.to(device), layers)
        s = features(student, source.ruined(op, x, indices, generator).to(device), layers)
        with torch.autocast(device.type, enabled=False):
            return alignment(s, r)

    with lighter(student, light=light, recipe=recipe, device=device):
        history = loop.run(
            student.tower, student.tower.parameters(), step, len(images), recipe, seed, checkpoint,
            progress=f"student, {op}" if progress else None,
            spec=loop.describe("feature distillation", images, op) | {"alignment": alignment},
            ahead=source.ahead, order=source.order,
        )  # fmt: skip
    return student.eval(), history
