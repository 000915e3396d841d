"""Every kind of result: what it depends on, and how it is built.

A kind is made of an operator, a seed and, where students are, a loss. `Lab` asks for them and the
store keeps them, so a build may ask the lab for what it needs in turn.
"""

from dataclasses import asdict
from typing import Any

from cinv_lib import losses, operators
from cinv_lib.lab import measured, trained
from cinv_lib.lab.profiles.record import Profile
from cinv_lib.lab.trained import Build

WORLD = (
    1  # raise it when the embedded world changes, so that no older result is taken for a new one
)
BUILDS: dict[str, Build] = trained.BUILDS | measured.BUILDS


def spec(p: Profile, kind: str, op: str, seed: int = 0, loss: str | None = None) -> dict[str, Any]:
    """All that a result depends on: what the store finds it by.

    Raises ValueError where op or loss is none, KeyError where there is no such kind.
    """
    given = {"world": WORLD, "data": [p.data, p.train_per_class], "seed": seed}
    given |= {"unlabelled": p.unlabelled} if p.unlabelled else {}
    given["operator"] = str(operators.parse(op))
    trainings = _trainings(p, op, loss)
    return given | (trainings | _measurements(p, op, trainings))[kind]


def _trainings(p: Profile, op: str, loss: str | None) -> dict[str, dict[str, Any]]:
    recipe_S, recipe_B = p.recipes(op)
    student = {"teacher": p.teacher, "loss": str(losses.parse(loss or p.loss))}
    student["recipe"] = asdict(recipe_S)
    baseline = {"init": p.supervised, "recipe": asdict(recipe_B)}
    return {
        "student": student,
        "vit": student | {"teacher": p.vit, "recipe": asdict(p.vit_recipe(op))},
        "tuned": student | {"pace, anchor": p.pull("tuned")},
        "anchored": student | {"pace, anchor": p.pull("anchored")},
        "probe": student | {"probe": asdict(p.probe)},
        "baseline": baseline,
        "baseline100": baseline | {"init": p.supervised_narrow},
    }


def _measurements(p: Profile, op: str, made: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """made: the trainings that they look at."""
    val, times = {"val": p.val_per_class}, {"realisations": p.draws(op)}
    # the profile's student with its probe; beside the baseline; a student of any loss, looked at
    fitted = {"loss": p.loss, "student": asdict(p.recipes(op)[0]), "probe": asdict(p.probe)}
    fitted["models"] = [p.teacher, p.supervised]
    both = fitted | {"baseline": asdict(p.recipes(op)[1])}
    looked = made["probe"] | {"val": p.ablation_val_per_class}
    looked |= {"severities": p.open_severities, "realisations": p.open_realisations}
    return {
        "scores": both | val | times
        | {"fractions": p.fractions, "shares": p.few_labels.get(op)},
        "transfer": both | times | {"sets": p.transfer, "views": p.transfer_views}
        | {"probe": asdict(p.transfer_probe)},
        "severity": both | times | {"severities": p.graded.get(op), "val": p.graded_val_per_class},
        "shift": both | val | times | {"severities": p.shift_severities.get(op)}
        | {"twins": [p.shift, p.shift_per_class]},
        "starts": made["baseline100"] | times | {"severities": p.graded.get(op)}
        | {"val": p.starts_val_per_class(op)},
        "fitted": both | val | {"realisations": p.fitted_realisations}
        | {"models": [p.teacher, p.supervised, p.supervised_narrow]},
        "corruptions": both | {"severities": p.corruption_severities}
        | {"val": p.corruption_val_per_class},
        "pixels": both | val | {"restored, realisations": p.pixels.get(op)}
        | {"decoder": asdict(p.decoder)},
        "ablation": looked
        | {"severities": p.severities, "realisations": p.ablation_realisations},
        "bias": looked,
        "tuning": looked | {"pace, anchor": p.tuned},
        "towers": looked | {"vit": made["vit"]},
        "blind": made["probe"] | val | {"realisations": p.blind_realisations},
        "adversarial": both | {"attacked": asdict(p.attacked)},
    }  # fmt: skip
