"""Tuning the teacher along with the student, which Section 5 of the paper leaves open.

T starts as R and looks at clean pictures, S at corrupted ones, and both learn:

    L(S, T) + anchor · L_MSE(T, R)                                                     (ours)

T's steps are `pace` times as long as S's; at pace 0 this is `distill`. L(S, T) knows nothing of R:
it is the same when S and T turn together, while the words of R stay where they are. The anchor is
what holds T there.
"""

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from cinv_lib import losses
from cinv_lib.data.image_files import Pictures
from cinv_lib.encoders.encoder import Encoder, student_of
from cinv_lib.losses.equations import Loss
from cinv_lib.machine import hardware
from cinv_lib.operators.base import Operator
from cinv_lib.operators.functional import float64_on
from cinv_lib.training import feed, loop
from cinv_lib.training.light import lighter
from cinv_lib.training.recipe import Recipe
from cinv_lib.training.student import frozen, gathered


def tune(
    teacher: Encoder,
    images: Pictures,
    op: Operator,
    loss: Loss,
    recipe: Recipe,
    seed: int,
    pace: float | int,
    anchor: float | int = 0.0,
    checkpoint: Path | None = None,
    progress: bool = True,
    light: bool | None = None,
) -> tuple[Encoder, Encoder, pd.DataFrame]:
    """Train a student of `teacher` to see through `op`, and a copy of the teacher to be matched.

    Each step takes one view of a batch: T sees it clean, S corrupted. T's batch norms stay as R's,
    which are in eval mode: what T is, it is for a single picture too.

    Args:
        teacher: R; not changed.
        pace: T's learning rate over S's, 0 or more.
        anchor: weight of L_MSE(T, R), 0 or more. Eq. 3 gives L_MSE(S, T) the weight 1/τ.
        images, loss, recipe, seed, checkpoint, light: as in `training.distill`.

    Returns:
        S and T, in eval mode, on the training's device, each with R's text tower; and the history
        of `loop.run`. Raises ValueError for a pace or anchor below 0, and what `loop.run` raises.
    """
    if not (0 <= pace < float("inf") and 0 <= anchor < float("inf")):
        raise ValueError(f"pace {pace} and anchor {anchor}: expected finite numbers, 0 or more")
    device, images = hardware.accelerator().device, feed.shown(images, teacher)
    student, tuned = (student_of(teacher).to(device) for _ in range(2))
    source = feed.of(images, teacher.image_size, recipe, seed, device)
    R = frozen(teacher, source, recipe, device) if anchor else None

    def step(indices: Tensor, generator: torch.Generator) -> Tensor:
        tuned.eval()  # `loop.run` has put all that learns into train mode
        x = source.view(indices, generator)
        t = tuned(x.to(device))
        s = student(op(x, generator).to(device))
        r = R(indices, x) if R else None
        with torch.autocast(device.type, enabled=False):
            s, t = gathered(s.float()), gathered(t.float())
            value = loss(s, t)
            return value if r is None else value + anchor * losses.alignment(t, gathered(r.float()))

    both = nn.ModuleDict({"student": student.tower, "teacher": tuned.tower})
    groups: list[dict[str, Any]] = [
        {"params": student.tower.parameters()},
        {"params": tuned.tower.parameters(), "pace": pace},
    ]
    described = loop.describe("tuned teacher", images, op)
    with lighter(student, tuned, light=light, recipe=recipe, device=device):
        history = loop.run(
            both, groups, step, len(images), recipe, seed, checkpoint,
            progress=f"student and teacher, {op}" if progress else None,
            spec=described | {"loss": loss, "pace": pace, "anchor": anchor},
            ahead=source.ahead, least=loss.least,
        )  # fmt: skip
    tuned.name = f"tuned {teacher.name}"
    return student.eval(), tuned.eval(), history


def turn(T: Float[Tensor, "N d"], R: Float[Tensor, "N d"]) -> Float[Tensor, "d d"]:
    """The orthogonal Q for which T @ Q comes nearest to R, picture by picture (Procrustes).

    It is U V^T where T^T R = U Σ V^T, computed in float64. The loss cannot tell T from T @ Q, if S
    turns along; the words can.
    """
    a, b = (rows.to(float64_on(T.device)).double() for rows in (T, R))
    U, _, Vh = torch.linalg.svd(a.T @ b)
    return (U @ Vh).to(T.dtype).to(T.device)
