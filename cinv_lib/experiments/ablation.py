"""One student of a range of severities: what its probe gets right at each, and where its embeddings
lie. The columns of Figures 6 and 10, and the geometry that lesson 04 predicts.
"""

import pandas as pd
import torch
from tqdm.auto import tqdm

from cinv_lib.data.image_set import ImageSet
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.encoders.inference import embedded
from cinv_lib.evaluation.draws import realised
from cinv_lib.evaluation.metrics import geometry, top_k
from cinv_lib.evaluation.probe import Probe
from cinv_lib.operators.base import Operator


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
