"""`smoke` is `stickers` in seconds, with a third of its classes: for tests. Its numbers mean
nothing."""

from dataclasses import replace

from cinv_lib import experiments as ex
from cinv_lib.evaluation.probe import ProbeRecipe
from cinv_lib.lab.profiles.figures import MASKS, NOISES
from cinv_lib.lab.profiles.stickers import STICKERS
from cinv_lib.operators.inverse.deep_decoder import DecoderRecipe
from cinv_lib.training.recipe import Recipe

ONE = Recipe(epochs=1, batch_size=16, lr=1e-3)
SHORT = {"recipe": ONE, "side_epochs": 1, "epochs": {}, "rates": {}}
QUICK = ProbeRecipe(epochs=1, lr=1e-3, batch_size=128)
POOLS = {
    "student_7500": {"per_class": 3, "pictures": "stickers-32"},
    "student_60000": {"per_class": 4, "pictures": "stickers-32"},
    "student_world": {"per_class": 4, "pictures": "stickers-kinds"},
    "words_of_r_60000": {"per_class": 4, "pictures": "stickers-32"},
}
# Sets of a hundred classes: one picture of each is enough.
LARGE = dict.fromkeys(("stickers-100b", "stickers-scenes"), (1, 1))
GLANCE = {"severities": (0.5, 0.9), "val_per_class": 1}
SEARCH = {
    "recipe": ONE,
    "pool": ex.Pool(per_class=3, pictures="stickers-32"),
    "pool_recipe": ONE,
    "probe": QUICK,
    "rates": (3e-4, 1e-3, 3e-3, 1e-2),
    "val_per_class": 2,
}

SMOKE = STICKERS.changed(
    name="smoke",
    redrawn=False,
    recorded=(),
    data="stickers-32",
    twins="stickers-32-shift",
    train_per_class=2,
    val_per_class=2,
    twins_per_class=2,
    entries={
        **dict.fromkeys(("student", "baseline", "baseline100", "vit_student"), SHORT),
        **dict.fromkeys(("tuned", "anchored"), SHORT),
        **dict.fromkeys(("baseline_r", "tower_student", "words_of_r", "finetuned"), SHORT),
        **dict.fromkeys(("tower100_student", "student_256"), SHORT),
        **dict.fromkeys(("restoration", "attacked_student", "attacked_baseline"), SHORT),
        **dict.fromkeys(("vit_global", "vit_patches", "vit_attention"), SHORT),
        "adaptation": {"probe": QUICK, "realisations": 2},
        "restored": {"realisations": 2},
        "starts_transferred": {
            "sets": dict.fromkeys(("stickers-places", "faces"), (2, 2)),
            "views": 1,
            "probe": QUICK,
            "realisations": 3,
            "redrawn": False,
        },
        "words_transferred": {
            "sets": dict.fromkeys(("stickers-places", "faces"), (2, 2)),
            "views": 1,
            "probe": QUICK,
            "realisations": 2,
            "redrawn": False,
        },
        "pool_cosines": {"realisations": 2},
        "attacked": {
            "recipe": QUICK,
            "protocol": ex.Protocol(per_class=1, budgets=(0, 8, 255), steps=2),
        },
        "feature_distillation": {"recipe": QUICK, "realisations": 2},
        **{name: SHORT | pool for name, pool in POOLS.items()},
        "probe": {"recipe": QUICK},
        "clean_probe": {"recipe": QUICK},
        "known_operator": {
            "operators": {"mask:0.9": (0.5, 1.0), "noise:0.5": (0.5, 1.0), "blur:2.57": (1.0,)},
            "rows": (),
            "probe": QUICK,
            "realisations": 2,
        },
        "baseline_starts": {
            "several": (),
            "operators": {
                "mask:0.9": ex.Scored((0.9,), 2, 2),
                "noise:0.5": ex.Scored((0.5,), 2, 2),
                MASKS: ex.Scored((0.95, 0.99), 3, 1),
            },
        },
        "baseline_fit": {"realisations": 2, "several": ()},
        "teacher_start": {"probe": QUICK, "realisations": 2},
        "start_and_target": {"probe": QUICK, "realisations": 2},
        "pools": {
            "operators": {
                "mask:0.9": {"student_60000": (0.5, 1.0)},
                "blur:2.57": {"student_60000": (1.0,)},
            },
            "several": ("blur:2.57",),
            "probe": QUICK,
            "realisations": 2,
        },
        "other_pools": {"probe": QUICK, "realisations": 2},
        "other_starts": {"probe": QUICK, "realisations": 2},
        "batches": {"severities": (0.9,), "val_per_class": 2, "probe": QUICK},
        "rate_search": {"operators": {"mask:0.9": ("student", "words_of_r_60000")}} | SEARCH,
        "other_rates": {"operators": {"mask:0.9": ("tower100_student",)}} | SEARCH,
        "unknown_severity": {
            "operators": {MASKS: (0.0, 0.5, 0.95, 0.99), NOISES: (0.0, 0.1, 0.3, 0.5)},
            "realisations": 3,
            "val_per_class": 1,
            "chosen": {},
        },
        "transfer": {
            "sets": dict.fromkeys(STICKERS["transfer"].sets, (2, 2)) | LARGE,
            "views": 1,
            "probe": QUICK,
            "realisations": 3,
            "redrawn": False,
        },
        "label_shift": {
            "operators": {MASKS: (0.5, 0.9, 0.99), NOISES: (0.05, 0.3, 0.5)},
            "realisations": 2,
        },
        "ablation": {
            "losses": (ex.LOSS, "mse"),
            "several": ("st:1",),
            "severities": (0.9, 0.99),
            "val_per_class": 2,
        },
        "pixels": {
            "operators": {"noise:0.5": (1, 2), "mask:0.9": (1, 2)},
            "decoder": DecoderRecipe(iterations=2, channels=16),
        },
        "common_corruptions": {"severities": (5,), "val_per_class": 1},
        "loss_bias": {"losses": (ex.LOSS, "mse"), "several": (), **GLANCE},
        "tuned_teacher": {"recipe": QUICK, "several": (), **GLANCE},
        "other_tower": {"recipe": QUICK, **GLANCE},
        "blind": {"realisations": 2, "several": ()},
        "patients": {
            "recipe": replace(ONE, epochs=2),
            "pictures": 20,
            "val_per_class": 1,
            "realisations": 1,
            "several": (),
        },
        "adversarial": {"protocol": ex.Protocol(per_class=1, budgets=(0, 8, 255), steps=2)},
        "short_trainings": {"recipe": ONE, "trainings": 2},
    },
)
