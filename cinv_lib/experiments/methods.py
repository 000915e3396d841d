"""The methods that are compared: what each key of a table's column `method` is called, shortly and
in full, and its colour in figures. The keys are the paper's (`paper.METHODS`) where it has them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """label: a short name; full: a long one; colour: a name of `plots.style.OKABE_ITO`; "" for that
    of its place among others."""

    label: str
    full: str
    colour: str = ""


METHODS = {
    "clip": Method("CLIP R, probe", "CLIP R, probe trained on corrupted pictures", "black"),
    "clip_clean": Method("CLIP R, clean probe", "CLIP R, probe trained on clean pictures", "black"),
    "clip_zero_shot": Method("CLIP R, in words", "CLIP R, asked in words", "black"),
    "resnet": Method("supervised tower, probe", "Supervised tower, probe", "orange"),
    "baseline": Method("baseline", "Supervised baseline, end to end", "vermilion"),
    "student": Method("student S", "Student S, probe on all labels", "blue"),
    "student_10": Method("student S, 10 %", "Student S, probe on 10 % of the labels", "sky"),
    "clean_classifier": Method(
        "student S, R's probe", "Student S, the probe of R on clean pictures", "green"
    ),
    "zero_shot": Method("student S, in words", "Student S, asked in words", "purple"),
}


def labels(*keys: str, **words: str) -> dict[str, str]:
    """The short names of these methods, in their order; `words` where an experiment has others.

    >>> labels("student", "zero_shot", student="student S, probe")
    {'student': 'student S, probe', 'zero_shot': 'student S, in words'}
    """
    return {key: words.get(key) or METHODS[key].label for key in keys}


def full(*keys: str, **words: str) -> dict[str, str]:
    """The long names, likewise."""
    return {key: words.get(key) or METHODS[key].full for key in keys}
