"""Claims of Section 4.1, where the corruption is known: labels, probes, words; other starts of the
baseline (App. D.6), and restoring pixels instead (App. D.3)."""

import pandas as pd

from cinv_lib.evaluation.statistics import NOTHING, choice_of_pictures, difference
from cinv_lib.paper.verdict import claim

PROBES = "Section 4.1, Table 1"
Found = pd.DataFrame | dict[str, pd.DataFrame] | str
TENTH, TWENTIETH = 127, 64  # pictures per class, of the paper's 1,267


@claim(1, source=PROBES, lesson="06")
def student_beats_baseline(known_operator: pd.DataFrame) -> pd.DataFrame:
    """A student with a probe on all labels beats the supervised baseline.

    > training a linear probe on top of the representations learned by our procedure greatly
    improves accuracy compared to the supervised baseline
    """
    return difference(known_operator, "student", "baseline")


@claim(2, source=PROBES, lesson="06")
def tenth_of_labels(known_operator: pd.DataFrame, few_labels: pd.DataFrame) -> Found:
    """A student with a probe on 10 % of the labels beats the baseline with all of them.

    > using only 10% of labeled samples is sufficient for our model to outperform the baseline
    in most cases
    """
    return _too_few(_most(few_labels) / 10, TENTH) or difference(
        known_operator, "student_10", "baseline"
    )


def _too_few(here: float, theirs: int) -> str:
    """Why a share of the labels here is not the paper's: "" where it is at least half as many
    pictures."""
    if here >= theirs / 2:
        return ""
    return f"not comparable at this scale ({here:.0f} labelled per class, {theirs} in the paper)"


@claim(3, source="App. D.7, Tables 1, 13", lesson="06", margin=20.0)
def student_beats_clip(known_operator: pd.DataFrame) -> pd.DataFrame:
    """The student beats raw CLIP, its probe trained on corrupted pictures too, by > 20.

    > both CLIP and ImageNet pre-trained ResNet-101 produce poor representations for distorted
    images
    """
    return difference(known_operator, "student", "clip")


@claim(4, source="App. D.4, Table 9", lesson="06", margin=-10.0)
def clean_classifier(known_operator: pd.DataFrame) -> pd.DataFrame:
    """A clean classifier of R, handed to the student, loses less than 10 points.

    > the representations learned by the student for distorted images are sufficiently close to
    those of the teacher for clean images
    """
    return difference(known_operator, "clean_classifier", "student")


@claim(5, source="authors' result files", lesson="06", margin=20.0)
def words_beat_clip(known_operator: pd.DataFrame) -> pd.DataFrame:
    """Asked in words, the student recognises more than raw CLIP by > 20."""
    return difference(known_operator, "zero_shot", "clip_zero_shot")


@claim(6, source="App. D.7, Tables 1, 13", lesson="06")
def baseline_beats_clip(known_operator: pd.DataFrame) -> pd.DataFrame:
    """Training the probe on corrupted pictures is not enough: raw CLIP stays below the
    baseline.

    > These results highlight the need for a training procedure to make these pre-trained
    representations more robust.
    """
    return difference(known_operator, "baseline", "clip")


@claim(7, source="App. D.2, Table 4", lesson="06")
def in_top5(known_operator: pd.DataFrame) -> pd.DataFrame:
    """In top-5, too, a student with a probe on all labels beats the supervised baseline.

    > The conclusions we can draw from the top-1 accuracy results do not change when we look at
    the top-5 accuracies.
    """
    return difference(known_operator, "student", "baseline", "top5")


def _with(labels: pd.DataFrame, methods: dict[str, float]) -> pd.DataFrame:
    """Rows of these methods at these numbers of labelled pictures per class."""
    return labels[labels.per_class == labels.method.map(methods)]


def _most(labels: pd.DataFrame) -> float:
    return labels.per_class.max()


def _all_or_none(labels: pd.DataFrame) -> bool:
    """Whether this operator has no small share of the labels, so that nothing is asked of it."""
    return labels.per_class.nunique() < 3  # none, in words, and all


@claim(8, source="Section 4.1, Figure 3", lesson="06", margin=-2.0)
def twentieth_of_labels(few_labels: pd.DataFrame, known_operator: pd.DataFrame) -> Found:
    """A student with a probe on 5 % of the labels is at most 2 points below the baseline.

    > using just 5% of the labeled data makes our model outperform or be competitive with the
    baseline trained using all the labels
    """
    if _all_or_none(few_labels):
        return {}
    if few := _too_few(_most(few_labels) / 20, TWENTIETH):
        return few
    share = few_labels.per_class / _most(few_labels)
    few = few_labels[(few_labels.method == "student") & ((share - 0.05).abs() < 0.005)]
    if few.empty:  # this profile has no such share
        return NOTHING
    return difference(
        pd.concat([few, known_operator[known_operator.method == "baseline"]]), "student", "baseline"
    )


@claim(9, source="App. D.7, Table 13", lesson="06", margin=20.0)
def student_beats_tower(few_labels: pd.DataFrame) -> pd.DataFrame:
    """The supervised tower as it is, with a probe on corrupted pictures, stays below the student
    by > 20.

    > both CLIP and ImageNet pre-trained ResNet-101 produce poor representations for distorted
    images
    """
    most = _most(few_labels)
    return difference(_with(few_labels, {"student": most, "resnet": most}), "student", "resnet")


@claim(10, source="ours", lesson="06")
def words_beat_probe(known_operator: pd.DataFrame) -> pd.DataFrame:
    """Asked in words, without a label, the student beats its own probe on all labels."""
    return difference(known_operator, "zero_shot", "student")


@claim(11, source="ours", lesson="06", margin=20.0)
def fewest_beat_clip(few_labels: pd.DataFrame) -> Found:
    """With its fewest labels the student's probe beats raw CLIP's with all of them by > 20."""
    if _all_or_none(few_labels):
        return {}
    fewest = few_labels[few_labels.method == "student"].per_class.min()
    return difference(
        _with(few_labels, {"student": fewest, "clip": _most(few_labels)}), "student", "clip"
    )


@claim(45, source="ours", lesson="06")
def by_number_of_labels(few_labels: pd.DataFrame, known_operator: pd.DataFrame) -> Found:
    """With fewer labelled pictures per class the student's probe beats the baseline with all."""
    baseline = known_operator[known_operator.method == "baseline"]
    fewer = few_labels[
        (few_labels.method == "student") & (few_labels.per_class < _most(few_labels))
    ]
    return {
        f"{n:g} per class": difference(pd.concat([rows, baseline]), "student", "baseline")
        for n, rows in fewer.groupby("per_class")
    }


def _restored(pixels: pd.DataFrame, better: str, worse: str) -> pd.DataFrame:
    """On the most pictures that both methods have; where these are few and shared by all trainings,
    their choice has an error."""
    sizes = [set(pixels.pictures[pixels.method == method]) for method in (better, worse)]
    n = max(set.intersection(*sizes))
    rows = pixels[(pixels.pictures == n) & pixels.method.isin([better, worse])]
    pairs = difference(rows, better, worse)
    if not rows.shared.all():
        return pairs
    return pairs.assign(choice=choice_of_pictures(rows, better, worse, n), units=n)


@claim(12, source="App. D.3, Table 7", lesson="12", on="noise")
def student_beats_denoising(pixels: pd.DataFrame) -> pd.DataFrame:
    """The student beats non-local means followed by a clean classifier.

    > the inverse methods acting in pixel space are not reliable at reconstructing images for
    classification
    """
    return _restored(pixels, "student", "denoising")


@claim(13, source="App. D.3, Table 8", lesson="12", on="mask")
def student_beats_inpainting(pixels: pd.DataFrame) -> pd.DataFrame:
    """The student beats Deep Decoder, told the right mask, followed by a clean classifier.

    > for inpainting the accuracy is poor for all masking levels
    """
    return _restored(pixels, "student", "inpainting")


def _beside(starts: pd.DataFrame, scores: pd.DataFrame, method: str) -> pd.DataFrame:
    """The baseline from another start, and a method of `scores` on the same draws."""
    return pd.concat([starts, scores[scores.method == method]])


@claim(36, source="App. D.6, Table 11", lesson="07")
def full_start(baseline_starts: pd.DataFrame, known_operator: pd.DataFrame) -> pd.DataFrame:
    """The baseline that starts from the full world beats the one that starts from 100 classes.

    > the first choice, which is the one used in the rest of this paper, is the better of the
    two
    """
    return difference(
        _beside(baseline_starts, known_operator, "baseline"), "baseline", "baseline100"
    )


@claim(37, source="App. D.6, Table 11", lesson="07")
def student_beats_narrow_start(
    baseline_starts: pd.DataFrame, known_operator: pd.DataFrame
) -> pd.DataFrame:
    """The student beats the baseline that starts from 100 classes.

    > results are still worse than our method
    """
    return difference(_beside(baseline_starts, known_operator, "student"), "student", "baseline100")
