"""The sentences of lessons 11 to 14: a win, a loss, an undecided case, a single training."""

import numpy as np
import pandas as pd
import pytest

from cinv_lib.evaluation import statistics
from cinv_lib.evaluation.sentence import tally
from cinv_lib.experiments import (
    ablation,
    adversarial,
    blind,
    common_corruptions,
    loss_bias,
    other_tower,
    pixels,
    tuned_teacher,
)

AT = 0.9
CASES = {  # by what the trainings say: the lead of each one
    "leads": (5.0, 5.5, 6.0),
    "trails": (-5.0, -5.5, -6.0),
    "three trainings do not decide": (12.0, -9.0, 3.0),
    "one training does not decide": (5.0,),
}
every_case = pytest.mark.parametrize("verb", CASES)


def rows(**columns) -> pd.DataFrame:
    """A row for each training; a column's values are one for all, or one for each of them."""
    return pd.DataFrame({"realisation": 0, **columns})


def two(verb: str, better: str, worse: str, **more) -> pd.DataFrame:
    """Two methods, of which `better` is ahead in each training as the case has it."""
    lead = np.array(CASES[verb])
    seeds = range(len(lead))
    frames = [
        rows(method=method, top1=50 + extra, seed=seeds, **more)
        for method, extra in ((better, lead), (worse, 0 * lead))
    ]
    return pd.concat(frames, ignore_index=True)


def only(verb: str, said: str) -> bool:
    """Whether a sentence has this verb, and the others not."""
    return {v for v in CASES if v in said} == {verb}


@every_case
def test_which_loss(verb):
    scores = two(verb, "mse", "st:0.1", severity=AT).assign(loss=lambda frame: frame.method)
    found = ablation.against(scores, AT)
    trainings = scores.seed.nunique()
    said = ablation.found(found, trainings, AT, -4.6)
    here, theirs = said.split(", and in the paper ")
    assert only(verb, here) and "At 90 % missing" in here
    assert theirs == "alignment alone trails ST by 4.6 points."
    assert ablation.found(found, trainings, AT, 4.6).endswith("leads ST by 4.6 points.")
    reference = found.loc[ablation.LOSSES["st:0.1"]]
    assert reference.difference == 0 and np.isnan(reference.half_width)
    assert found.difference.is_monotonic_decreasing


@every_case
def test_restoring_first(verb):
    tables = [two(verb, "student", way, pictures=1_000_000) for way in ("denoising", "inpainting")]
    said = pixels.found(*tables, shared=True)
    assert only(verb, said) and said.startswith("On masks ") and ", and on noise " in said
    assert "Deep Decoder" in said.split(", and")[0] and "non-local means" in said.split(", and")[1]


def test_the_choice_of_few_pictures_widens_the_interval():
    few, many = (two("leads", "student", "denoising", pictures=n) for n in (100, 1_000_000))
    wide, narrow = (pixels.compare(rows, "student", "denoising", True) for rows in (few, many))
    assert wide["half_width"] > 2 * narrow["half_width"] > 0
    assert wide["verdict"] == "not decided" and narrow["verdict"] == "holds"
    # where each training has pictures of its own, its numbers have their choice in them already
    own = pixels.compare(few, "student", "denoising", False)
    plain = statistics.compare(few, "student", "denoising")
    assert own["half_width"] == plain["half_width"] and own["pictures"] == 100


@pytest.mark.parametrize(
    ("won", "lost", "left", "expected"),
    [
        (
            2,
            0,
            0,
            "The student leads the clean baseline on two of two types and it trails on none.",
        ),
        (0, 1, 1, "on no of"),
        (
            13,
            0,
            6,
            "The student leads the clean baseline on 13 of 19 types, it trails on none, and three "
            "trainings do not decide the other six.",
        ),
        (
            0,
            0,
            19,
            "Three trainings do not decide between the student and the clean baseline on any",
        ),
    ],
)
def test_nineteen_types(won, lost, left, expected):
    said = ["holds"] * won + ["does not hold"] * lost + ["not decided"] * left
    sentence = common_corruptions.found(pd.DataFrame({"verdict": said, "seeds": 3}))
    if expected == "on no of":
        assert "on none of two types" in sentence and "trails on one" in sentence
    else:
        assert sentence.startswith(expected)


def test_nineteen_types_by_one_training():
    frame = pd.DataFrame({"verdict": ["not decided"] * 19, "seeds": 1})
    assert common_corruptions.found(frame).startswith("One training does not decide")


@every_case
def test_one_student_for_several_operators(verb):
    parts = [
        two(verb, "blind", "specialist", operator=op, sent=np.nan)
        for op in ("mask:0.9", "noise:0.5")
    ]
    routed = rows(method="routed", operator="mask:0.9", sent=99.0, seed=[0], top1=1.0)
    said = blind.found(pd.concat([*parts, routed.assign(seed=0)]))
    assert said.startswith("The router picks the right specialist for 99 % of the pictures, and ")
    assert only(verb, said)


@every_case
def test_under_attack(verb):
    scores = [two(verb, "student", "baseline", budget=b, pixels="known") for b in (0, 8)]
    said = adversarial.found(pd.concat(scores), 8)
    assert only(verb, said) and "under an attack of 8 grey levels" in said


@every_case
def test_a_teacher_that_learns_along(verb):
    students = two(verb, "tuned", "frozen", severity=AT, model="student", words=1.0, matched=0.5)
    anchored = students[students.method == "frozen"].assign(method="anchored")
    students = pd.concat([students, anchored]).rename(columns={"top1": "probe"})
    teachers = [
        rows(method=m, words=w, model="teacher", severity=0.0, seed=[0], probe=0.0, matched=1.0)
        for m, w in (("tuned", 63.0), ("frozen", 96.0))
    ]
    said = tuned_teacher.found(pd.concat([students, *teachers]), AT)
    assert "names 63 % of the clean pictures where the frozen one names 96 %" in said
    assert only(verb, said)


@every_case
def test_remedies(verb):
    half = two(verb, "st:0.1,weight=0.5", "st:0.1", severity=AT, cosine=0.5)
    scores = pd.concat([half, half[half.method != "st:0.1"].assign(method="mse")])
    scores = scores.rename(columns={"top1": "words"}).assign(loss=scores.method)
    said = loss_bias.found(scores, AT)
    assert only(verb, said) and "alignment alone" in said and "half the push" in said
    without = loss_bias.found(scores[scores.loss != "st:0.1,weight=0.5"], AT)
    assert only(verb, without) and "half the push" not in without


@every_case
def test_a_transformer(verb):
    vit, resnet = (
        two(case, "student", "clip", severity=AT, tower=tower)
        for case, tower in ((verb, "vit"), (verb, "resnet"))
    )
    resnet.loc[resnet.method == "student", "top1"] = 50.0  # it gains nothing
    scores = pd.concat([vit, resnet]).rename(columns={"method": "model", "top1": "words"})
    said = other_tower.found(scores, AT)
    assert only(verb, said) and "its teacher" in said and "that of the ResNet" in said


def test_a_tally_counts_the_verdicts_of_intervals():
    verdicts = [statistics.verdict(v, 1.0) for v in (5.0, 2.0, 0.5, -3.0)]
    assert tally(verdicts, "loss", "ST", "losses") == (
        "two of four losses lead ST, one trails it, and one is not decided"
    )
