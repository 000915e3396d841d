"""The sentences of lessons 06 to 10, made of tables in which the result is known."""

import doctest
import math

import pandas as pd
import pytest

from cinv_lib.evaluation import statistics
from cinv_lib.experiments import (
    baseline_starts,
    blind,
    common_corruptions,
    few_labels,
    known_operator,
    label_shift,
    pools,
    spoken,
    transfer,
    unknown_severity,
)
from cinv_lib.lab.profiles.paper import IMAGENET100, STL10
from cinv_lib.lab.profiles.stickers import STICKERS

WIN, LOSS, OPEN, ONE = (4.0, 5.0, 6.0), (-4.0, -5.0, -6.0), (-9.0, 1.0, 9.5), (5.0,)
CASES = {"win": WIN, "loss": LOSS, "open": OPEN, "one": ONE}
NAMES = {"clip": 5.0, "baseline": 70.0, "zero_shot": 80.0, "student_10": 40.0}


def scores(leads, **fixed):
    """A row for each method and seed: the student leads the baseline by these points."""
    rows = []
    for seed, lead in enumerate(leads):
        methods = NAMES | {"baseline100": 60.0, "student": 70.0 + lead}
        rows += [{"method": m, "top1": top1, "seed": seed} for m, top1 in methods.items()]
    return pd.DataFrame(rows).assign(realisation=0, **fixed)


def found(leads):
    """As `statistics.compare` has it."""
    value, half_width, _ = statistics.over_trainings(leads)
    verdict = statistics.verdict(value, half_width)
    return {"difference": value, "half_width": half_width, "verdict": verdict}


def test_operators_are_called_by_their_kind():
    assert doctest.testmod(spoken).failed == 0
    assert (
        spoken.kind("blur:0.3..1.4@0.8+noise:0.05..0.5@0.8")
        == "blur:0.3..1.4@0.8+noise:0.05..0.5@0.8"
    )
    assert spoken.title("blur:0.3..1.4@0.8+noise:0.05..0.5@0.8").startswith("blur:")


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("win", "The student leads the baseline by 5.0 points under masks,"),
        ("loss", "The student trails the baseline by 5.0 points under masks,"),
        (
            "open",
            "Three trainings do not decide between the student and the baseline under masks (0",
        ),
        (
            "one",
            "One training does not decide between the student and the baseline under masks (5.0 p",
        ),
    ],
)
def test_lesson_06(case, said):
    text = known_operator.finding({"mask:0.9": scores(CASES[case])})
    assert text.startswith(said)
    assert text.endswith("in words, without any label, the student names 80.0 % under masks.")


def test_lesson_06_tells_operators_apart():
    text = known_operator.finding({"mask:0.9": scores(WIN), "noise:0.5": scores(LOSS)})
    assert (
        "leads the baseline by 5.0 points under masks, trails it by 5.0 points under noise" in text
    )


def test_panels_of_lesson_06_have_names_for_keys():
    frame = scores(WIN, operator="mask:0.9").rename(columns={"top1": "value"}).query("seed == 0")
    frame = frame.assign(error=1.0)
    (title, rows), *others = known_operator.panels(frame).items()
    assert title == "masks, 90 % missing" and not others
    assert set(rows.row) == {"CLIP R, probe", "baseline", "student S", "student S, in words"}
    assert "80 to 80 %" in known_operator.headline(frame)


def test_labels_of_lesson_06():
    few = pd.concat(
        scores(leads).assign(per_class=n) for n, leads in ((1.0, LOSS), (2.0, OPEN), (5.0, WIN))
    )
    text = few_labels.finding({"mask:0.9": few}, {"mask:0.9": scores(WIN)})
    assert text == (
        "Against the baseline with all labels: under masks the student's probe leads with 5 and "
        "trails with 1 labelled pictures per class."
    )
    curve = few.rename(columns={"top1": "value"}).groupby(["method", "per_class"]).value.mean()
    title = few_labels.headline({"mask:0.9": curve.reset_index()})
    assert title.endswith("65 % under masks with 1 labelled per class, and 75 % with 5")


@pytest.mark.parametrize("case", CASES)
def test_lesson_07_splits_nothing_without_the_training_that_would(case):
    text = baseline_starts.finding({"mask:0.9": scores(CASES[case])})
    mean = sum(CASES[case]) / len(CASES[case])
    assert ("cannot be split into start and target" in text) == (mean > 0)
    assert (f"mean lead of {mean:.1f} points under masks" in text) == (mean > 0)
    assert "none of these trainings has R's start and the labels" in text


def test_lesson_07_splits_the_lead_where_the_training_is_there():
    mine = scores(WIN)
    crossed = mine[mine.method == "student"].assign(method="baseline_r")
    crossed = crossed.assign(top1=crossed.top1 - [1.0, 1.1, 1.2])
    text = baseline_starts.finding({"mask:0.9": pd.concat([mine, crossed])})
    assert text == (
        "The baseline from R leads the baseline by 3.9 points under masks, and the student leads "
        "the baseline from R by 1.1 points under masks."
    )


def test_cells_of_lesson_07_are_those_that_were_trained():
    cells = baseline_starts.cells({"mask:0.9": scores(ONE)})
    assert list(zip(cells.start, cells.target, strict=True)) == [
        ("100 classes", "labels"),
        ("all classes", "labels"),
        ("CLIP's R", "R's embeddings"),
    ]
    assert cells.value.tolist() == [60, 70, 75] and cells.error.isna().all()


def test_lesson_06_counts_operators_where_they_are_many():
    many = {f"mask:0.{k}": scores(WIN if k > 3 else OPEN) for k in range(1, 9)}
    text = known_operator.finding(many)
    assert text.startswith("The student leads the baseline under five of eight operators by 5.0 p")
    assert "three trainings do not decide between them under three (0.5 points)" in text
    assert text.endswith("in words, without any label, the student names 80.0 to 80.0 %.")


def graded(beyond):
    """Scores at 50 and 95 % (the range), and at these severities beyond: severity -> leads."""
    within = {0.5: WIN[: len(next(iter(beyond.values())))], 0.95: (1.0,) * 3}
    parts = [
        scores(leads[: len(next(iter(beyond.values())))], severity=s)
        for s, leads in (within | beyond).items()
    ]
    frame = pd.concat(parts)
    level = {0.96: 30.0, 0.97: 40.0, 0.99: 66.0}  # what is lost there by both
    return frame.assign(top1=frame.top1 - frame.severity.map(level).fillna(0.0))


def led(frame, classes=100):
    """Its leads, where it has chosen the severities that decide itself."""
    chosen = unknown_severity.deciding(frame, "mask:0.5..0.95", classes)
    frame = frame.assign(decides=frame.severity.isin(chosen))
    return unknown_severity.leads(frame, "mask:0.5..0.95", classes)


def test_lesson_08_counts_severities_that_decide_and_says_where_all_guess():
    table = led(graded({0.96: WIN, 0.97: OPEN, 0.99: WIN}))
    assert table.decides.tolist() == [False, False, True, True, False]
    assert table.guess.tolist() == [False, False, False, False, True]
    text = unknown_severity.finding({"mask:0.5..0.95": table}, 3, 64)
    assert text.startswith(
        "Beyond the range of masks the student leads at one of the two severities that count "
        "(one is not decided)"
    )


def test_lesson_08_takes_more_for_a_guess_where_classes_are_few():
    scored = graded({0.96: WIN, 0.99: WIN}).assign(top1=lambda frame: frame.top1 / 4)  # 15 %: 0.96
    many, few = (led(scored, n) for n in (100, 10))
    assert many.guess.sum() < few.guess.sum() and many.decides.sum() > few.decides.sum()


@pytest.mark.parametrize(
    ("leads", "said"),
    [
        (WIN, "the student leads at the one severity that counts"),
        (LOSS, "the student trails at the one severity that counts"),
        (OPEN, "three trainings decide at none of the one severity that counts"),
        (ONE, "one training decides at none of the one severity that counts"),
    ],
)
def test_lesson_08_verbs(leads, said):
    table = led(graded({0.96: leads}))
    text = unknown_severity.finding({"mask:0.5..0.95": table}, len(leads), 64)
    assert said in text and "guess" not in text


def test_lesson_08_where_nothing_decides():
    table = led(graded({0.99: WIN})).assign(decides=False)
    text = unknown_severity.finding(
        {"mask:0.5..0.95": table.assign(guess=[False, False, True])}, 3, 64
    )
    assert (
        text == "Beyond the range of masks no severity decides, and both guess with 41 pixels left."
    )


@pytest.mark.parametrize("case", CASES)
def test_lesson_09(case):
    leads = pd.DataFrame({"stickers-places": found(CASES[case]), "digits": found(LOSS)}).T
    text = transfer.finding({"mask:0.5..0.95": leads}, len(CASES[case]))
    assert text.startswith("Asked for the photograph behind, ")
    verb = {"win": " leads ", "loss": " trails ", "open": " do not ", "one": " does not "}[case]
    first, _, second = text.partition("of two sets")
    assert verb in first and "−" not in text
    won, lost = ("one" if case == "win" else "none"), ("two" if case == "loss" else "one")
    assert second == f" the student leads on {won} under masks, and trails on {lost} under masks."


def twins(leads, pairs=5):
    """The same lead on each pair, so that the choice of the pairs adds nothing."""
    parts = [scores(leads, label=f"class {k}", pictures="twin") for k in range(pairs)]
    return pd.concat(parts).assign(severity=0.9)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("win", "and the student leads the baseline by 5.0 points under masks"),
        ("loss", "and the student trails the baseline by 5.0 points under masks"),
        ("open", "and three trainings do not decide"),
        ("one", "and one training does not decide"),
    ],
)
def test_lesson_10(case, said):
    text = label_shift.finding({"mask:0.5..0.95": twins(CASES[case])}, 18.4)
    assert (
        text.startswith("R itself gives 18 % of the twins the label that people chose")
        and said in text
    )


def test_lesson_10_has_the_choice_of_pairs_in_its_interval():
    apart = twins(WIN)
    more = {f"class {k}": 20.0 * (k - 2) for k in range(5)}
    ahead = apart.label.map(more).where(apart.method == "student", 0.0)
    one = label_shift.lead(apart)
    other = label_shift.lead(apart.assign(top1=apart.top1 + ahead))
    assert one["verdict"] == "holds" and other["verdict"] == "not decided"
    assert math.isclose(one["difference"], other["difference"])


def test_lesson_09_lists_the_sets_of_a_run_and_says_on_which_it_looked():
    for p in (STICKERS, IMAGENET100, STL10):
        rows = transfer.listing(p["transfer"].sets)
        assert [*rows["set"]] == [*p["transfer"].sets]
    assert rows.loc["CIFAR-10", "the paper's"] == "CIFAR-10"
    leads = pd.DataFrame({"cifar10": found(WIN), "cifar100": found(LOSS)}).T
    title = transfer.headline({"mask:0.5..0.95": leads})
    assert title.endswith("from +5 (CIFAR-10) to −5 (CIFAR-100) under masks")
    said = transfer.finding({"mask:0.5..0.95": leads}, 3)
    assert said.startswith("On CIFAR-10, the student leads the baseline by 5.0 points under masks")


@pytest.mark.parametrize(
    ("value", "half_width", "trainings", "said"),
    [
        (17.1, 3.0, 3, "On near types the student's lead is larger than on far types, by 17.1 po"),
        (-4.0, 3.0, 3, "On near types the student's lead is smaller than on far types, by 4.0 po"),
        (4.0, 9.0, 3, "Three trainings do not decide whether the student's lead is larger on near"),
        (4.0, math.nan, 1, "One training does not decide whether the student's lead is larger on "),
    ],
)
def test_lesson_13_says_where_the_lead_is_larger(value, half_width, trainings, said):
    text = common_corruptions.near_or_far(value, half_width, trainings)
    assert text.startswith(said) and "nan" not in text


def test_lesson_14_says_why_the_blind_student_loses_only_where_it_does():
    even = [80.0, 80.0]
    assert "does not lose because nobody knows" in blind.why([99.0, 99.0], even)
    assert "Under one of two operators" in blind.why([99.0, 70.0], even)
    assert "Under none of two operators" in blind.why([70.0, 70.0], even)


def of_pools(leads, words=3.0):
    """Tables of one operator: 60,000 pictures lead 2,000 by these points, by seed, with all labels;
    in words, without a label, they lead the baseline from R by so many more."""
    known = scores([0.0] * len(leads))  # the student at 70
    rows = {"known": known, "controls": known[known.method == "student"]}
    rows["controls"] = rows["controls"].assign(method="baseline_r")
    frames = []
    for seed, lead in enumerate(leads):
        at = [("student_60000", n, 70 + lead - less) for n, less in ((20, 0), (5, 7), (1, 30))]
        at += [("student_60000_words", 0, 70 + words + 0.1 * seed)]
        at += [("student_7500", 20, 70 + lead / 2), ("student_7500_words", 0, 71)]
        frames.append(pd.DataFrame(at, columns=["method", "per_class", "top1"]).assign(seed=seed))
    return rows | {"pools": pd.concat(frames).assign(realisation=0)}


def test_lesson_06_says_what_unlabelled_pictures_are_worth():
    tables = of_pools(WIN)
    text = pools.finding(*({"mask:0.9": tables[n]} for n in ("known", "pools", "controls")))
    assert text == (
        "The student of 60,000 pictures leads that of 2,000 by 5.0 points under masks, and in "
        "words, without any label, that student leads the baseline from R by 3.1 points under "
        "masks."
    )
    open_ = of_pools(OPEN)
    text = pools.finding(*({"mask:0.9": open_[n]} for n in ("known", "pools", "controls")))
    assert text.startswith(
        "Three trainings do not decide between the student of 60,000 pictures and"
    )


def test_curves_over_unlabelled_pictures_have_a_probe_on_all_labels_words_and_the_baseline():
    tables = of_pools(WIN)
    curve = pools.over_pictures(tables["known"], tables["pools"], tables["controls"])
    means = curve.set_index(["method", "pictures"]).value
    assert means["student"].to_dict() == {2_000: 70, 7_500: 72.5, 60_000: 75}
    assert means["zero_shot"].round(6).to_dict() == {2_000: 80, 7_500: 71, 60_000: 73.1}
    assert means["baseline_r"].to_dict() == {2_000: 70}
    title = pools.headline({"mask:0.9": curve})
    assert title.endswith("instead of 2,000 the student's probe goes from 70 to 75 % under masks")


def test_curves_over_labels_have_both_students_and_the_baseline_as_a_level():
    tables = of_pools(WIN)
    few = pd.concat(scores(WIN).assign(per_class=n) for n in (1.0, 20.0))
    curve = pools.over_labels(few, tables["pools"], tables["controls"])
    assert list(dict.fromkeys(curve.method)) == list(pools.LABELLED)
    counts = curve.groupby("method").per_class.agg(list).to_dict()
    assert counts == {"student_60000": [1, 5, 20], "student": [1, 20], "baseline_r": [20]}
    title = pools.headline_of_labels({"mask:0.9": curve})
    assert title == (
        "With 5 labelled pictures per class the student of 60,000 names 68 % under masks; with all "
        "labels the baseline from R names 70 %"
    )
