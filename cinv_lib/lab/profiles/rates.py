"""The learning rates of the embedded world, as `experiments.rate_search` chose them with seed
10: for each method and kind of operator, or mixture of kinds, of three rates that bracket, and of
rates within a point the smallest. The searches are kept in notebooks/recorded, and a test compares.
"""

from collections.abc import Mapping

from cinv_lib.lab.profiles.embedded import BLIND, BLUR_AND_NOISE

SEARCHED: dict[str, dict[str, float]] = {
    "student": {"mask": 3e-3, "noise": 3e-3, "blur": 3e-4, BLIND: 3e-3, BLUR_AND_NOISE: 1e-3},
    "baseline": {"mask": 1e-3, "noise": 1e-3, "blur": 1e-3, "identity": 3e-4},
    "baseline_r": {"mask": 1e-3, "noise": 1e-3, "blur": 1e-3},
    "baseline100": {"mask": 3e-3},
    "tower_student": {"mask": 3e-3, "noise": 3e-3, "blur": 1e-3},
    "tower100_student": {"mask": 1e-3},
    "student_60000": {"mask": 3e-3, "noise": 3e-3, "blur": 3e-4},
    "words_of_r_60000": {"mask": 1e-3},
}
# What was not searched has the rates of what it is most like; it starts there and learns the same.
LIKE = {
    "words_of_r": "baseline_r",
    "student_256": "student",
    "student_7500": "student_60000",
    "student_world": "student_60000",
    "finetuned": "student",  # its second half: the baseline's from R
    "attacked_student": "student",
    "attacked_baseline": "baseline",
}


def rates(method: str) -> Mapping[str, float]:
    """By the kind of operator. A method that was searched under one kind alone has under the others
    the rates of its like: the baseline from 100 classes those of the baseline."""
    if method in LIKE:
        return SEARCHED[LIKE[method]]
    more = SEARCHED["baseline"] if method == "baseline100" else {}
    return {**more, **SEARCHED[method]}
