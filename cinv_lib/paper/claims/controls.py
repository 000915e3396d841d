"""Claims about who wins, and why: ours, decided by the controls of `experiments.controls`. Three of
them are the headline (`verdicts.HEADLINE`), named before anything was measured.
"""

import pandas as pd

from cinv_lib.evaluation.statistics import NOTHING, difference, minus_distance
from cinv_lib.experiments.adversarial import UNBOUNDED
from cinv_lib.experiments.pools import PICTURES
from cinv_lib.experiments.start_and_target import WORDS, of_method
from cinv_lib.experiments.transfer import ASKED_BEHIND
from cinv_lib.experiments.words_transferred import PAIRS
from cinv_lib.paper.verdict import claim

Pairs = pd.DataFrame


def _between(
    better: str, better_in: pd.DataFrame, worse: str, worse_in: pd.DataFrame
) -> pd.DataFrame:
    """One method minus another; nothing where an operator does not have both."""
    rows = of_method(better_in, better), of_method(worse_in, worse)
    return NOTHING if any(r.empty for r in rows) else difference(pd.concat(rows), better, worse)


@claim(46, source="ours", lesson="07")
def teachers_start(teacher_start: pd.DataFrame, known_operator: pd.DataFrame) -> Pairs:
    """The baseline that starts from R beats the one that starts from the supervised tower."""
    return _between("baseline_r", teacher_start, "baseline", known_operator)


@claim(47, source="ours", lesson="07")
def teachers_embeddings(teacher_start: pd.DataFrame, known_operator: pd.DataFrame) -> Pairs:
    """The student, with a probe on all labels, also beats the baseline that starts from R."""
    return _between("student", known_operator, "baseline_r", teacher_start)


@claim(48, source="ours", lesson="07", margin=-2.0)
def as_good_as_labels(teacher_start: pd.DataFrame, known_operator: pd.DataFrame) -> Pairs:
    """The student and the baseline that starts from R are within 2 points of each other."""
    return minus_distance(_between("student", known_operator, "baseline_r", teacher_start))


@claim(49, source="ours", lesson="07")
def embeddings_alone(start_and_target: pd.DataFrame, known_operator: pd.DataFrame) -> Pairs:
    """A student that starts from the supervised tower beats the baseline, which starts there."""
    return _between("tower_student", start_and_target, "baseline", known_operator)


@claim(50, source="ours", lesson="07")
def embeddings_over_names(start_and_target: pd.DataFrame, known_operator: pd.DataFrame) -> Pairs:
    """The student beats the network that learned, as labels, the classes that R names on the clean
    pictures."""
    return _between("student", known_operator, "words_of_r", start_and_target)


@claim(51, source="ours", lesson="06")
def embeddings_over_names_of_many(pools: pd.DataFrame, other_pools: pd.DataFrame) -> Pairs:
    """With 60,000 unlabelled pictures each, the student beats the network that learned, as labels,
    the classes that R names on the clean pictures."""
    return _between("student_60000", pools, "words_of_r_60000", other_pools)


@claim(52, source="ours", lesson="06")
def more_pictures(pools: pd.DataFrame, known_operator: pd.DataFrame) -> Pairs:
    """A student of 60,000 unlabelled pictures beats one of 2,000 that saw as many views."""
    return _between("student_60000", pools, "student", known_operator)


@claim(53, source="ours", lesson="06", every=True)
def each_pool(
    pools: pd.DataFrame, other_pools: pd.DataFrame, known_operator: pd.DataFrame
) -> dict[str, Pairs]:
    """Each larger pool of unlabelled pictures gives a better student."""
    return {
        "7,500 over 2,000": _between("student_7500", other_pools, "student", known_operator),
        "60,000 over 7,500": _between("student_60000", pools, "student_7500", other_pools),
    }


@claim(54, source="ours", lesson="06")
def words_of_many(pools: pd.DataFrame, teacher_start: pd.DataFrame) -> Pairs:
    """In words, without any label, a student of 60,000 pictures beats the baseline that starts from
    R and has all labels."""
    return _between("student_60000" + WORDS, pools, "baseline_r", teacher_start)


@claim(55, source="ours", lesson="06")
def fewer_labels(pools: pd.DataFrame, teacher_start: pd.DataFrame) -> dict[str, Pairs]:
    """Fitted on only a part of the labels, the probe of a student of 60,000 pictures beats the
    baseline that starts from R and has all labels."""
    baseline = of_method(teacher_start, "baseline_r")
    mine = pools[pools.method == "student_60000"]
    fewer = mine[mine.per_class < mine.per_class.max()]
    return {
        f"{n:g} per class": difference(pd.concat([rows, baseline]), "student_60000", "baseline_r")
        for n, rows in fewer.groupby("per_class")
    }


@claim(56, source="ours", lesson="06", margin=-2.0)
def any_pictures(pools: pd.DataFrame, other_pools: pd.DataFrame) -> Pairs:
    """A student of unlabelled pictures of all classes of the world is at most 2 points behind one
    of as many pictures of the classes that are asked for."""
    return _between("student_world", other_pools, "student_60000", pools)


@claim(57, source="ours", lesson="07")
def embeddings_then_labels(start_and_target: pd.DataFrame, teacher_start: pd.DataFrame) -> Pairs:
    """A student that is fine-tuned with labels for the second half of its epochs beats the baseline
    that starts from R, which has labels in all of its epochs."""
    return _between("finetuned", start_and_target, "baseline_r", teacher_start)


@claim(58, source="ours", lesson="07")
def finetuned_over_probe(start_and_target: pd.DataFrame, known_operator: pd.DataFrame) -> Pairs:
    """A student that is fine-tuned with all labels after its distillation beats the student that
    keeps its tower and has a probe."""
    return _between("finetuned", start_and_target, "student", known_operator)


@claim(59, source="ours", lesson="06", margin=20.0)
def norms_are_not_enough(adaptation: pd.DataFrame, known_operator: pd.DataFrame) -> Pairs:
    """R with its batch norms estimated again, without a training, is more than 20 points below the
    student, each with a probe."""
    return _between("student", known_operator, "norms_again", adaptation)


@claim(60, source="ours", lesson="06", on="mask")
def brightness_is_not_enough(adaptation: pd.DataFrame, known_operator: pd.DataFrame) -> Pairs:
    """Under masks, R on pictures whose brightness is restored stays below R with its batch norms
    estimated again."""
    return _between("norms_again", adaptation, "rescaled", adaptation)


@claim(61, source="ours", lesson="12")
def student_beats_learned_restoration(restored: pd.DataFrame) -> Pairs:
    """The student beats a U-Net that learned to restore, followed by a clean classifier."""
    return difference(restored, "student", "restored")


@claim(62, source="ours", lesson="12")
def words_beat_learned_restoration(restored: pd.DataFrame) -> Pairs:
    """Asked in words, the student beats R on the pictures that the U-Net restored."""
    return difference(restored, "zero_shot", "restored_words")


@claim(63, source="ours", lesson="14")
def trained_under_attack(attacked: pd.DataFrame) -> Pairs:
    """Under attack, in the mean of bounded budgets, a student that was trained under attack beats
    one that was not."""
    return difference(_bounded(attacked), "attacked_student", "student")


@claim(64, source="ours", lesson="14")
def attacked_student_beats_baseline(attacked: pd.DataFrame) -> Pairs:
    """Under attack, in the mean of bounded budgets, the student that was trained under attack beats
    the baseline that was trained so."""
    return difference(_bounded(attacked), "attacked_student", "attacked_baseline")


@claim(65, source="ours", lesson="14", margin=-10.0)
def price_of_attack(attacked: pd.DataFrame) -> Pairs:
    """Without an attack, on corrupted pictures, a student that was trained under attack is at most
    10 points below one that was not."""
    rows = attacked[attacked.picture == "corrupted"].assign(realisation=0)
    return difference(rows, "attacked_student", "student")


def _bounded(attacked: pd.DataFrame) -> pd.DataFrame:
    budgets = (attacked.budget > 0) & (attacked.budget < UNBOUNDED)
    return attacked[(attacked.picture == "attacked") & budgets].assign(realisation=0)


@claim(66, source="ours", lesson="14")
def more_features(feature_distillation: pd.DataFrame) -> dict[str, Pairs]:
    """A student that also learns the patch tokens of its transformer teacher, or its attention maps
    as well, beats one that learns the embedding alone."""
    rows = feature_distillation[feature_distillation["head"] == "probe"]
    rows = rows.assign(method=rows.model)
    return {
        "with patch tokens": difference(rows, "vit_patches", "vit_global"),
        "with attention maps too": difference(rows, "vit_attention", "vit_global"),
    }


@claim(67, source="ours", lesson="09")
def labels_forget(starts_transferred: pd.DataFrame, transfer: pd.DataFrame) -> Pairs:
    """Asked for the photograph behind, which no label of the training named, the tower that the
    baseline started from beats the baseline, although only the baseline was trained on
    corrupted pictures."""
    start = starts_transferred[starts_transferred.method == "resnet"]
    rows = pd.concat([start, transfer[transfer.method == "baseline"]])
    return difference(rows[rows.dataset == ASKED_BEHIND], "resnet", "baseline")


def _kept(words_transferred: pd.DataFrame) -> dict[str, Pairs]:
    """The student minus the network that learned R's words for the same pictures."""
    there = set(words_transferred.method)
    return {
        f"{PICTURES[student]:,} pictures": difference(words_transferred, student, words)
        for words, student in PAIRS.items()
        if {student, words} <= there
    }


@claim(69, source="ours", lesson="09")
def embeddings_keep_more(words_transferred: pd.DataFrame) -> dict[str, Pairs]:
    """In the mean of the sets of lesson 09, a new probe on the student beats one on the network
    that learned R's words for the same unlabelled pictures."""
    return _kept(words_transferred)


@claim(70, source="ours", lesson="09")
def embeddings_keep_the_photograph(words_transferred: pd.DataFrame) -> dict[str, Pairs]:
    """Asked for the photograph behind, which no word names, a new probe on the student beats one on
    that network."""
    return _kept(words_transferred[words_transferred.dataset == ASKED_BEHIND])
