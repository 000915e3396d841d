"""One student of a range of severities: what its probe gets right at each, and where its embeddings
lie. The columns of Figures 6 and 10, and the geometry that lesson 04 predicts.
"""

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor
from tqdm.auto import tqdm

from . import hardware
from .encoders import Encoder
from .images import ImageSet
from .inference import device_of, embedded, looking, side_of
from .metrics import top_k
from .operators import Operator
from .probe import Probe
from .realisations import batches


@torch.no_grad()
def measure(
    student: Encoder,
    head: Probe,
    teacher: Encoder,
    val: ImageSet,
    op: Operator,
    severities: tuple[float, ...],
    realisations: int,
) -> pd.DataFrame:
    """Look at each severity of `op`, a range under which the probe `head` was fitted.

    Returns:
        A row for each severity and realisation: severity, realisation; top1 and top5 (percent);
        cosine, within, between, own_first as in `geometry`.
    """
    R = embedded(teacher, val.images)
    labels = val.labels.to(R.device)
    same = labels[:, None] == labels
    rows = []
    for severity in tqdm(severities, desc=f"evaluate, {op}", unit=" severities", leave=False):
        drawn = realised(student, val, op.at(severity), realisations)
        for r, S in enumerate(drawn):
            logits = head(S)
            scores = {"top1": top_k(logits, labels, 1), "top5": top_k(logits, labels, 5)}
            rows.append({"severity": severity, "realisation": r} | scores | geometry(S, R, same))
    return pd.DataFrame(rows)


def geometry(
    S: Float[Tensor, "N d"], R: Float[Tensor, "N d"], same: Bool[Tensor, "N N"]
) -> dict[str, float]:
    """Where the student's embeddings lie; `same[i, j]`: pictures i and j are of one class.

    cosine: to the picture's own R(x), the mean of K(i, i) (minus Eq. 1).
    within: between the student's embeddings of two pictures of one class.
    between: of two classes.
    own_first: percent of pictures whose nearest teacher embedding is their own.
    """
    S, R = F.normalize(S, dim=1), F.normalize(R, dim=1)
    K, among = S @ R.T, S @ S.T
    others = same & ~torch.eye(len(S), dtype=torch.bool, device=S.device)
    first = K.argmax(1) == torch.arange(len(S), device=S.device)
    return {
        "cosine": K.diagonal().mean().item(),
        "within": among[others].mean().item(),
        "between": among[~same].mean().item(),
        "own_first": 100 * first.float().mean().item(),
    }


@torch.no_grad()
def realised(
    encoder: Encoder, images: ImageSet, op: Operator, realisations: int, seed: int = 0
) -> Float[Tensor, "R N d"]:
    """Embeddings of the same draws of a corruption as `evaluate` scores."""
    device = device_of([encoder])
    bf16 = hardware.uses_bf16("auto", device)
    made = None
    with looking([encoder]), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        side = side_of([encoder])
        drawn = batches(op, images, realisations, seed, "evaluation", 256, device, side)
        for r, first, x in drawn:
            rows = encoder(x).float()
            if made is None:
                made = torch.empty(realisations, len(images), rows.shape[1], device=device)
            made[r, first : first + len(x)] = rows
    return made
