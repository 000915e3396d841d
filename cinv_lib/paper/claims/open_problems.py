"""Claims about the open problems (Section 5, lesson 14). One function each, its parameters the
tables that it reads; `verdicts.operators` says where a profile has them.
"""

import pandas as pd

from cinv_lib.evaluation.statistics import difference
from cinv_lib.experiments.adversarial import UNBOUNDED
from cinv_lib.paper.verdict import claim

Pairs = pd.DataFrame


def _arms(tuning: pd.DataFrame, column: str) -> dict[str, Pairs]:
    students = tuning[tuning.model == "student"]
    arms = [arm for arm in ("tuned", "anchored") if arm in set(students.method)]
    return {arm: difference(students, arm, "frozen", column) for arm in arms}


@claim(39, source="App. D.8, Section 5", lesson="14")
def tuned_teacher(tuned_teacher: pd.DataFrame) -> dict[str, Pairs]:
    """A student whose teacher learns along has a better probe than one of a frozen teacher.

    > our technique relies on some prior knowledge about the type of distortion encountered.
    Possible ways around this, such as also finetuning the teacher, are left for consideration
    in future work.
    """
    return _arms(tuned_teacher, "probe")


@claim(40, source="Section 5", lesson="14", unit="cosine")
def more_easily_matched(tuned_teacher: pd.DataFrame) -> dict[str, Pairs]:
    """A student whose teacher learns along is nearer to its own teacher.

    > possibly by finetuning the teacher as well as the student, to produce representations that
    are more easily matched
    """
    return _arms(tuned_teacher, "matched")


@claim(41, source="ours", lesson="14", margin=20.0)
def transformer(other_tower: pd.DataFrame) -> Pairs:
    """A student of a transformer, too, beats its teacher on corrupted pictures by > 20."""
    rows = other_tower[other_tower.tower == "vit"].assign(method=lambda rows: rows.model)
    return difference(rows, "student", "clip", "probe")


@claim(42, source="Section 5", lesson="14", margin=20.0)
def wrong_specialist(blind: pd.DataFrame) -> dict[str, Pairs]:
    """The specialist of another operator is more than 20 points below the right one.

    > our method requires some prior knowledge of the type of distortions that will occur to the
    image
    """
    return {op: difference(rows, "specialist", "wrong") for op, rows in blind.groupby("operator")}


@claim(43, source="ours", lesson="14", margin=-5.0, every=True)
def blind_student(blind: pd.DataFrame) -> dict[str, Pairs]:
    """A student that is not told the operator is at most 5 points below each specialist."""
    return {op: difference(rows, "blind", "specialist") for op, rows in blind.groupby("operator")}


@claim(44, source="ours", lesson="14")
def attacked(adversarial: pd.DataFrame) -> dict[str, Pairs]:
    """Under attack, in the mean of bounded budgets, the student beats the baseline."""
    bounded = adversarial[(adversarial.budget > 0) & (adversarial.budget < UNBOUNDED)]
    return {
        f"{pixels} pixels": difference(rows.assign(realisation=0), "student", "baseline")
        for pixels, rows in bounded.groupby("pixels")
    }
