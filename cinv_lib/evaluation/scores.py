"""Scores over realisations of the corruption: top-1, top-5 (and AUC), mean and standard error.

Each table of the paper averages ten realisations on the validation set. Here every model sees the
*same* ten, decoded and drawn once, and heads that share an encoder share its forwards.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from cinv_lib.data.image_files import Pictures
from cinv_lib.encoders.inference import device_of, looking, preprocess_of
from cinv_lib.evaluation.draws import embeddings, repeated
from cinv_lib.evaluation.metrics import auc, top_k
from cinv_lib.operators.base import Operator

Head = Callable[[Float[Tensor, "B d"]], Float[Tensor, "B K"]]
Model = Callable[[Float[Tensor, "B 3 H W"]], Float[Tensor, "B K"]]
Group = tuple[Callable, Mapping[str, Head]]  # an encoder, and its heads by name
Contestant = tuple[Callable, Callable]  # an encoder and its head


def evaluate_heads(
    groups: Sequence[Group],
    images: Pictures,
    op: Operator,
    realisations: int = 10,
    seed: int = 0,
    batch_size: int = 256,
    progress: bool = True,
    precision: str = "auto",
    device: torch.device | str | None = None,
) -> pd.DataFrame:
    """Scores of heads on encoders, each encoder forwarded once per realisation for all its heads.

    Args:
        groups: (encoder, {name: head}) pairs; modules are in eval mode meanwhile. An encoder may
            not keep its input, which the next realisation overwrites.
        images: in memory or files; resized before `op` if the encoders take another size. Own
            files that cannot be read are left out.
        op: one without chance in it (a fixed blur, Identity) is evaluated once.
        realisations: number of draws; draw r is a function of (seed, r), not of the batch size.
        batch_size: images an encoder sees at once.
        precision: "fp32", "bf16" or "auto", of the encoders; the heads compute in float32.
        device: where to compute; None for where the first encoder with weights is, or, if none has
            any, the first head.

    Returns:
        A row for each model and realisation: model, realisation, top1, top5 in percent (top5 NaN
        for five classes or fewer), and with two classes auc in [0, 1] (class 1 is the positive).

    Raises:
        ValueError: no images, no labels of two classes, a name that comes twice, labels without a
            logit, precision unknown.
        FloatingPointError: a model's logits are not finite.

    >>> from cinv_lib.data.catalogue import load
    >>> from cinv_lib.operators import parse
    >>> def brightness(x): return x.mean((1, 2, 3))[:, None] * torch.arange(10.0)
    >>> digits = load("digits", "val", 10)
    >>> groups = [(brightness, {"brightness": lambda logits: logits})]
    >>> scores = evaluate_heads(groups, digits, parse("noise:0.5"), 3, progress=False)
    >>> scores.columns.tolist(), len(scores)
    (['model', 'realisation', 'top1', 'top5'], 3)
    """
    (frame,) = _evaluated(
        groups, images, [op], realisations, seed, batch_size, progress, precision, device
    )
    return frame


def sweep(
    groups: Sequence[Group],
    images: Pictures,
    op: Operator,
    severities: Sequence[float | int],
    **arguments,
) -> pd.DataFrame:
    """`evaluate_heads` at each severity, `op.at(severity)`, with the same draws: one more column,
    severity, in front. The arguments are those of `evaluate_heads`; files are decoded once."""
    frames = _evaluated(groups, images, [op.at(s) for s in severities], **arguments)
    for severity, frame in zip(severities, frames, strict=True):
        frame.insert(0, "severity", float(severity))
    return pd.concat(frames, ignore_index=True)


@torch.no_grad()  # of the heads
def _evaluated(
    groups: Sequence[Group],
    images: Pictures,
    ops: Sequence[Operator],
    realisations: int = 10,
    seed: int = 0,
    batch_size: int = 256,
    progress: bool = True,
    precision: str = "auto",
    device: torch.device | str | None = None,
) -> list[pd.DataFrame]:
    """The scores under each of several operators, from one look at the pictures."""
    encoders = [encoder for encoder, _ in groups]
    heads = [(i, name, head) for i, (_, named) in enumerate(groups) for name, head in named.items()]
    names = [name for _, name, _ in heads]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"models {names}: expected at least one, and each name once")
    images.expect_classes("score models")
    images = images.readable(preprocess_of(encoders), progress)
    modules = [*encoders, *(head for *_, head in heads)]
    device = torch.device(device) if device is not None else device_of(modules)
    asked = [
        one
        for op in ops
        for one in repeated(op, realisations if op.is_random else min(realisations, 1))
    ]
    found = embeddings(
        encoders, images, asked, seed,
        batch_size=batch_size, precision=precision, device=device,
    )  # fmt: skip
    logits: dict[str, Tensor] = {}  # by model: (asked, N, K)
    bar = tqdm(
        total=len(asked) * len(images),
        desc="evaluate, " + " to ".join(dict.fromkeys(map(str, (ops[0], ops[-1])))),
        unit=" images",
        mininterval=0.5,
        leave=False,
        disable=not progress,
    )
    with bar, looking(modules), closing(found):
        for k, first, by_encoder in found:
            for i, name, head in heads:
                made = head(by_encoder[i])
                if name not in logits:
                    shape = len(asked), len(images), made.shape[1]
                    logits[name] = torch.empty(shape, device=device)
                logits[name][k, first : first + len(made)] = made
            bar.update(len(made))

    labels, frames = images.labels.to(device), []
    for op in ops:
        rows = [
            {"model": name, "realisation": r} | _score(name, logits[name][k], labels)
            for name in names
            for k, (drawn, r) in enumerate(asked)
            if drawn is op
        ]
        frames.append(pd.DataFrame(rows))
    return frames


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard error over realisations: std(ddof=1) / sqrt(n), as in the paper's tables.

    A row for each model (and severity, where there is one), in order of appearance: top1, top1_se,
    top5, top5_se (auc, auc_se), n. With one realisation the standard error is NaN. It measures
    the chance in the corruption alone: not that of training, nor of the choice of images.
    """
    keys = [key for key in ("severity", "model") if key in scores]
    rows = []
    for key, of_model in scores.groupby(keys, sort=False):
        row = dict(zip(keys, key, strict=True))
        for metric in (m for m in ("top1", "top5", "auc") if m in scores):
            row[metric] = of_model[metric].mean()
            row[f"{metric}_se"] = of_model[metric].std(ddof=1) / len(of_model) ** 0.5
        rows.append(row | {"n": len(of_model)})
    return pd.DataFrame(rows)


def _score(name: str, logits: Tensor, labels: Tensor) -> dict[str, float]:
    classes = logits.shape[1]
    if int(labels.max()) >= classes:
        raise ValueError(
            f"{name} gives {classes} logits, but labels go up to {int(labels.max())}: this head "
            "was made for another set of classes"
        )
    if not bool(logits.isfinite().all()):
        raise FloatingPointError(
            f"{name} gives NaN or infinite logits: its weights are broken, or precision='fp32' "
            "is needed"
        )
    scores = {"top1": top_k(logits, labels, 1), "top5": top_k(logits, labels, 5)}
    return scores | ({"auc": auc(logits[:, 1] - logits[:, 0], labels)} if classes == 2 else {})
