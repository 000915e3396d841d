"""Claims about the loss: its gradient and its optimum, which are computed, and the ablation."""

import pandas as pd
import torch

from cinv_lib import losses as formulas
from cinv_lib.evaluation.statistics import NOTHING, difference, minus_distance
from cinv_lib.paper.verdict import claim
from cinv_lib.theory import configurations, energies, recovery

Pairs = pd.DataFrame
ST, SS, SB, NT, MSE = "st:0.1", "ss:0.1", "sb:0.1", "nt:0.1", "mse"
HALF, RAW = "st:0.1,weight=0.5", "raw_mse"


def gradient_gap(sign: int, tau: float = 0.1) -> float:
    """How far the gradient of Section 3, with this sign before its first term, is from autograd's:
    the length of the difference, in lengths of autograd's. On 32 random pairs, in float64."""
    S, R = energies.random_points(2, 32, 16, torch.Generator().manual_seed(0))
    S = S.requires_grad_()
    w = formulas.pair_weights(S, R, tau).detach()

    def gradient(value: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(value, S)[0]

    whole = gradient(formulas.contrastive(S, R, tau))
    pull = gradient(formulas.alignment(S, R)) / tau
    push = gradient((w * formulas.similarities(S, R)).sum()) / (tau * len(S))
    return ((sign * pull + push - whole).norm() / whole.norm()).item()


@claim(27, source="Section 3", lesson="03", margin=-1e-06, unit="of its length")
def printed_sign() -> dict[str, float]:
    """The gradient printed with a minus differs from autograd's by less than a millionth.

    > ∇ L_contr = −1/τ ∇ L_MSE + 1/(τN) Σ_i Σ_j w_i(j) ∇ K(i, j)
    """
    return {"autograd": -gradient_gap(-1)}


@claim(28, source="ours", lesson="03", margin=-1e-06, unit="of its length")
def corrected_sign() -> dict[str, float]:
    """The gradient with a plus, as in the authors' code, differs from autograd's by less than a
    millionth."""
    return {"autograd": -gradient_gap(+1)}


def nine_points(term: str, tau: float = 0.5) -> float:
    """The largest angle (degrees) between R_i and the student's optimum for nine points on the
    sphere, the tricapped prism at the height where "U" or "E" is least (lesson 04)."""
    h = energies.best_height(term, configurations.tricapped_prism, tau, 0.5, 0.9)
    R = configurations.tricapped_prism(torch.tensor(h, dtype=torch.float64, device="cpu"))
    return recovery.recovery_angles(R, tau).max().item()


@claim(29, source="Section 3, Proposition 1", lesson="04", margin=-0.001, unit="degrees")
def proposition_1() -> dict[str, float]:
    """Where the uniformity term is least, the optimum is less than a thousandth degree from R.

    > If R is a minimizer of the uniformity term [...] then any encoder [...] exactly recovers
    the target embedding
    """
    return {"nine points": -nine_points("U")}


@claim(30, source="ours", lesson="04", margin=-0.001, unit="degrees")
def theorem() -> dict[str, float]:
    """Where Wang and Isola's energy is least, the optimum is less than a thousandth degree from R
    (the theorem of lesson 04)."""
    return {"nine points": -nine_points("E")}


def _compare(ablation: pd.DataFrame, better: str, worse: str, column: str = "top1") -> Pairs:
    """In the mean of the severities of Figure 6; nothing where one of the losses is not there."""
    there = {better, worse} <= set(ablation.loss)
    rows = ablation.assign(method=ablation.loss)
    return difference(rows, better, worse, column) if there else NOTHING


@claim(31, source="Section 4.5, Figures 6, 10", lesson="11", every=True)
def mse_is_worst(ablation: pd.DataFrame) -> dict[str, Pairs]:
    """MSE is worse than each of the losses with a push.

    > First, the MSE loss performs worst, indicating the benefit of the uniformity term in the
    loss.
    """
    return {f"{loss} over mse": _compare(ablation, loss, MSE) for loss in (ST, SS, SB, NT)}


@claim(32, source="Section 4.5, Figures 6, 10", lesson="11", every=True)
def ntxent_is_worse(ablation: pd.DataFrame) -> dict[str, Pairs]:
    """Student against teacher, student or both: each is better than NT-Xent.

    > all student comparisons [...] are clearly more effective than MSE and NT-Xent
    """
    return {f"{loss} over {NT}": _compare(ablation, loss, NT) for loss in (ST, SS, SB)}


@claim(33, source="Section 4.5, Figures 6, 10", lesson="11", margin=-2.0, every=True)
def alike(ablation: pd.DataFrame) -> dict[str, Pairs]:
    """Student against teacher, student or both: no two are more than 2 points apart.

    > all student comparisons perform roughly equivalently
    """
    return {
        f"{a}, {b}": minus_distance(_compare(ablation, a, b))
        for a, b in ((ST, SS), (ST, SB), (SS, SB))
    }


@claim(34, source="ours", lesson="11", unit="cosine")
def bias(ablation: pd.DataFrame) -> dict[str, Pairs]:
    """The push leads away from R: students of MSE are nearer to R(x) than those of ST."""
    return {f"{MSE} over {ST}": _compare(ablation, MSE, ST, "cosine")}


@claim(35, source="ours", lesson="11")
def half_the_push(ablation: pd.DataFrame) -> dict[str, Pairs]:
    """Half of the push is better than all of it."""
    return {f"{HALF} over {ST}": _compare(ablation, HALF, ST)}


@claim(68, source="ours", lesson="11")
def authors_mse(ablation: pd.DataFrame) -> dict[str, Pairs]:
    """Equation 1 is better than what the authors' code has in its place, the squared difference of
    embeddings that are not normalised."""
    if RAW not in set(ablation.loss):  # not in every profile
        return {}
    return {f"{MSE} over {RAW}": _compare(ablation, MSE, RAW)}
