"""The losses between student and teacher embeddings (lesson 02; Section 3 and Appendix C).

S and R are `(N, d)`: row i is the student's embedding of the corrupted image i, and the teacher's
of the clean one. They come as the networks give them; every loss but `raw_mse` normalises the rows
itself, so that K(i, j) = <S_i, R_j> is a cosine. Half-precision embeddings are compared in float32.

    contrastive = alignment / τ + weight · uniformity                            (Eq. 3: weight 1)
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cinv_lib.machine.checks import number, number_text, read_number

Embeddings = Float[Tensor, "N d"]
Scalar = Float[Tensor, ""]
VARIANTS = {  # what each embedding is pushed away from (Appendix C)
    "st": "student against teacher (Eq. 4)",
    "ss": "student against the other students",
    "sb": "student against both, in one logarithm",
    "nt": "all against all, the NT-Xent of SimCLR",
}
PULLS = ("mse", "raw_mse")  # losses that push nothing away: they have no τ and no weight


def similarities(S: Embeddings, R: Embeddings) -> Float[Tensor, "N N"]:
    """K(i, j) = <S_i, R_j> on normalised rows: cosines, in [-1, 1] (lesson 02).

    Raises ValueError where the two do not have the same shape or are not floats, as all losses do.
    """
    return _products(*_normalised(S, R))


def alignment(S: Embeddings, R: Embeddings, centred: bool = False) -> Scalar:
    """L_MSE of Eq. 1, the pull: -1/N Σ_i K(i, i), from -1 (recovered) to 1 (lesson 02).

    It is half the mean squared distance |S_i - R_i|² of the normalised rows, minus 1.

    Args:
        centred: as in `contrastive`.
    """
    S, R = _normalised(S, R, centred)
    return -(S * R).sum(dim=1).mean()


def raw_mse(S: Embeddings, R: Embeddings) -> Scalar:
    """The authors' MSE: 1/(N d) Σ_i |S_i - R_i|², of the rows as they come, not normalised.

    Their code (github.com/Sriram-Ravula/Contrastive-Inversion, its loss "mse") computes this, where
    the paper has Eq. 1 (`alignment`). Here rows keep their lengths: the student has to find R's
    too, and a wrong direction counts more where R is long. It is also divided by d, which Adam
    without weight decay hardly notices. Of normalised rows it is 2/d (1 + alignment).
    """
    return F.mse_loss(*_comparable(S, R))


def uniformity(
    S: Embeddings, R: Embeddings, tau: float, variant: str = "st", centred: bool = False
) -> Scalar:
    """L_unif, the push: for "st" (Eq. 4) it is 1/N Σ_i log Σ_j exp(K(i, j)/τ) (lessons 02, 11).

    The others (Appendix C) change what stands under the logarithm: "ss" <S_i, S_j> for j != i; "sb"
    that and K(i, j); "nt" the same as "sb", averaged over the 2N rows of S and R alike. (The
    appendix divides "nt" by N; SimCLR's loss, which it means to be, needs 2N.)

    Raises ValueError where tau <= 0, the variant is unknown, or "ss" has a single row.
    """
    _check(tau, variant)
    if variant == "ss" and len(S) == 1:
        raise ValueError("loss 'ss' pushes apart different students, and N is 1; expected N >= 2")
    S, R = _normalised(S, R, centred)
    st = _products(S, R) / tau
    if variant == "st":
        return st.logsumexp(dim=1).mean()
    # without itself: at -inf on the diagonal exp and its gradient are 0
    ss = (_products(S, S) / tau).fill_diagonal_(-torch.inf)
    if variant == "ss":
        return ss.logsumexp(dim=1).mean()
    students = torch.cat([ss, st], dim=1).logsumexp(dim=1)
    if variant == "sb":
        return students.mean()
    rr = (_products(R, R) / tau).fill_diagonal_(-torch.inf)
    teachers = torch.cat([st.T, rr], dim=1).logsumexp(dim=1)
    return torch.cat([students, teachers]).mean()


def contrastive(
    S: Embeddings,
    R: Embeddings,
    tau: float,
    variant: str = "st",
    weight: float = 1.0,
    centred: bool = False,
) -> Scalar:
    """L_contr of Eq. 3: alignment / τ + weight · uniformity (lesson 02).

    With "st" and weight 1 it is the cross-entropy of the logits K/τ at the labels 0 .. N-1 (Eq. 2).

    Args:
        variant: what the uniformity pushes away from, one of VARIANTS.
        weight: 1 is the paper's; 0 leaves only the alignment (lesson 14).
        centred: take the batch's mean out of the teacher's rows and normalise them again, so that
            what all images share is not compared (lesson 14). (Taking it out alone would do nothing
            to "st": it adds the same number to every logit of a row.)
    """
    return alignment(S, R, centred) / tau + weight * uniformity(S, R, tau, variant, centred)


def decompose(S: Embeddings, R: Embeddings, tau: float) -> tuple[Scalar, Scalar]:
    """The pull and the push of Eq. 3, (alignment / τ, uniformity): `contrastive` is their sum
    (lesson 02)."""
    return alignment(S, R) / tau, uniformity(S, R, tau)


def pair_weights(S: Embeddings, R: Embeddings, tau: float) -> Float[Tensor, "N N"]:
    """w_i(j) = exp(K(i, j)/τ - L_i), the softmax of row i: how hard image i is pushed from R_j
    (lesson 03).

    They tell the gradient (Section 3, where the first sign is printed as a minus):

        ∇ L_contr = + 1/τ ∇ L_MSE + 1/(τN) Σ_i Σ_j w_i(j) ∇ K(i, j)
    """
    _check(tau, "st")
    return (similarities(S, R) / tau).softmax(dim=1)


def centred(R: Embeddings) -> Embeddings:
    """The rows at length 1, without what they share (their mean), and at length 1 again
    (lesson 14)."""
    R = F.normalize(R, dim=1)
    return F.normalize(R - R.mean(dim=0), dim=1)


@dataclass(frozen=True)
class Loss:
    """A loss by name, ready to call: `Loss("st", tau=0.1)(S, R)`. "mse" is the alignment alone, and
    "raw_mse" what the authors' code has in its place.

    Args:
        name: one of VARIANTS or PULLS.
        tau: the temperature τ.
        weight: of the uniformity; 1 is the paper's.
        centred: as in `contrastive`.

    Raises ValueError where the name is unknown, tau <= 0, weight < 0, one of PULLS is given a tau
    or a weight (it has neither), or "raw_mse" is centred.
    """

    name: str
    tau: Any = 0.1  # a float, of whatever kind of number was given
    weight: Any = 1.0
    centred: bool = False

    def __post_init__(self):
        tau, weight = number(self.tau), number(self.weight)
        if tau is None or weight is None:
            given = f"tau {self.tau!r} and weight {self.weight!r}"
            raise ValueError(f"{given} of a loss: expected numbers, as Loss('st', tau=0.1)")
        object.__setattr__(self, "tau", tau)
        object.__setattr__(self, "weight", weight)
        _check(self.tau, self.name, [*VARIANTS, *PULLS])
        if not 0 <= self.weight < float("inf"):
            raise ValueError(f"weight of the uniformity is {self.weight}; expected 0 or more")
        if self.name in PULLS and (self.tau, self.weight) != (0.1, 1.0):
            raise ValueError(
                f"loss {self.name!r} with tau {self.tau} and weight {self.weight}; it has neither: "
                "leave them out, or take 'st' with weight 0"
            )
        if self.name == "raw_mse" and self.centred:
            raise ValueError("loss 'raw_mse' is never centred; expected it alone, or 'mse,centred'")

    @property
    def least(self) -> int:
        """The fewest images in a batch that teach anything: 2 where images are compared with each
        other, as one alone has no other to be told from, and its loss is 0 whatever S says."""
        return 2 if self.centred or (self.name not in PULLS and self.weight > 0) else 1

    def __call__(self, S: Embeddings, R: Embeddings) -> Scalar:
        if self.name == "mse":
            return alignment(S, R, self.centred)
        if self.name == "raw_mse":
            return raw_mse(S, R)
        return contrastive(S, R, self.tau, self.name, self.weight, self.centred)

    def __str__(self) -> str:
        text = self.name if self.name in PULLS else f"{self.name}:{number_text(self.tau)}"
        text += f",weight={number_text(self.weight)}" if self.weight != 1 else ""
        return text + (",centred" if self.centred else "")


def parse(text: str | Loss) -> Loss:
    """The loss that `text` names; `str` is the inverse. A loss passes through.

    Raises ValueError on anything else.

    "mse", "mse,centred", "raw_mse", "st:0.1", "nt:0.5", "st:0.1,weight=0.5", "st:0.1,centred".
    """
    if isinstance(text, Loss):
        return text
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is no loss; expected a text such as 'st:0.1', or a Loss")
    head, *options = text.strip().split(",")
    name, colon, tau = head.partition(":")
    read = partial(
        read_number, whole=f"loss {text!r}", forms="for example 'st:0.1' or 'st:0.1,weight=0.5'"
    )
    fields: dict[str, Any] = {"tau": read(tau)} if colon else {}
    for option in options:
        key, _, value = option.partition("=")
        if option not in ("centred", f"weight={value}"):
            raise ValueError(
                f"unknown option {option!r} in loss {text!r}; known are 'weight=...' and 'centred'"
            )
        fields[key] = option == "centred" or read(value)
    return Loss(name, **fields)


def _normalised(S: Tensor, R: Tensor, centre: bool = False) -> tuple[Tensor, Tensor]:
    S, R = _comparable(S, R)
    return F.normalize(S, dim=1), centred(R) if centre else F.normalize(R, dim=1)


def _comparable(S: Tensor, R: Tensor) -> tuple[Tensor, Tensor]:
    """Both in the precision in which they are compared. Raises ValueError where they do not fit."""
    if S.shape != R.shape or S.ndim != 2 or not len(S):
        raise ValueError(
            f"embeddings have shapes {tuple(S.shape)} and {tuple(R.shape)}; expected (N, d) twice"
        )
    if not (S.is_floating_point() and R.is_floating_point()):
        raise ValueError(f"embeddings are {S.dtype} and {R.dtype}; expected floats")
    common = torch.promote_types(torch.promote_types(S.dtype, R.dtype), torch.float32)
    return S.to(common), R.to(common)


def _products(A: Tensor, B: Tensor) -> Tensor:
    with torch.autocast(A.device.type, enabled=False):  # bf16 would cost a cosine its third digit
        return A @ B.T


def _check(tau: float | int, variant: str, known: list[str] | dict[str, str] = VARIANTS) -> None:
    if variant not in known:
        raise ValueError(f"unknown loss {variant!r}; known are {', '.join(known)}")
    if not 0 < tau < float("inf"):
        raise ValueError(f"temperature tau is {tau}; expected a finite number above 0")
