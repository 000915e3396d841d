"""What experiments have in common: the models that they compare."""

from cinv_lib import evaluation
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation.probe import Probe
from cinv_lib.training.baseline import Classifier


def contestants(
    teacher: Encoder, baseline: Classifier, student: Encoder, head: Probe, words: Probe
) -> list[evaluation.Group]:
    """METHODS as groups for `evaluate`: CLIP first, each encoder with its heads.

    head: the student's probe, fitted within the range; words: the teacher's, `probe.zero_shot`.
    """
    return [
        (teacher, {"clip_zero_shot": words}),
        (baseline.encoder, {"baseline": baseline.head}),
        (student, {"student": head, "zero_shot": words}),
    ]
