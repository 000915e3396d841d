"""Scores of logits against labels."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor


def top_k(logits: Float[Tensor, "N K"], labels: Int64[Tensor, " N"], k: int) -> float:
    """Percent of rows whose label is among the k largest logits; NaN when there are no more than
    k classes, where it would be 100 whatever the model (the paper's X-rays have no top-5).

    A tie is decided by `torch.topk`, as the predictions shown to the reader are.

    >>> import torch
    >>> top_k(torch.tensor([[.1, .7, .2], [.6, .3, .1]]), torch.tensor([1, 2]), k=1)
    50.0
    """
    if k >= logits.shape[1]:
        return float("nan")
    hit = (logits.topk(k, dim=1).indices == labels[:, None]).any(dim=1)
    return 100 * hit.cpu().double().mean().item()  # a Mac's GPU has no float64


def auc(scores: Float[Tensor, " N"], positive: Int64[Tensor, " N"]) -> float:
    """Area under the ROC curve, in [0, 1]: the chance that a positive scores above a negative, ties
    counting half (Mann-Whitney). NaN when one of the two is absent.

    >>> import torch
    >>> auc(torch.tensor([.1, .4, .35, .8]), torch.tensor([0, 0, 1, 1]))
    0.75
    """
    scores, positive = scores.cpu(), positive.cpu()  # a Mac's GPU has no float64
    _, place, counts = scores.unique(return_inverse=True, return_counts=True)
    counts = counts.double()
    rank = (counts.cumsum(0) - (counts - 1) / 2)[place]  # of tied scores: the mean of their ranks
    ones = positive.double()
    n1, n0 = ones.sum(), (1 - ones).sum()
    return (((rank * ones).sum() - n1 * (n1 + 1) / 2) / (n1 * n0)).item()


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
