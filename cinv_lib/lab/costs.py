"""What a task of a paper profile does, in images and files, and how fast a GPU does it: see `bill`.

What is done follows from the entries. How fast is assumed, for an H100 in bfloat16 (from timm's and
NVIDIA's published tables, scaled).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cinv_lib.data import prepared
from cinv_lib.experiments.base import Task
from cinv_lib.lab.profiles.record import Profile
from cinv_lib.operators.basic import parse

FOLDED = 0.9  # assumed: what is left of the time of a teacher whose batch norms are folded
# Images a second of one GPU: low, middle, high. A tower looks, or is trained alone (its teacher
# looks besides, folded); "float32 step" is one of an attack.
RATES = {
    "clip": (4000, 5500, 7000),
    "clip folded": (4000 / FOLDED, 5500 / FOLDED, 7000 / FOLDED),
    "clip trained": (1350, 1850, 2400),
    "resnet": (4700, 6500, 8500),
    "resnet trained": (1600, 2200, 2900),
    "vit": (12000, 16000, 20000),
    "vit trained": (4000, 5500, 7500),
    "float32 step": (500, 750, 1100),
    "deep decoder": (1 / 4.0, 1 / 2.8, 1 / 1.8),
}
# Core-seconds: a JPEG to a crop; a picture's non-local means; one picture under ImageNet-C.
DECODE, MEANS, CORRUPT = (0.007, 0.003, 0.003), 0.22, 0.0125
Rates = Mapping[str, float | int]
CORRUPTIONS = 95  # 19 kinds, five severities each

# Pictures to train on and to score on.
SIZES = {
    "imagenet100": (126_689, 5_000), "imagenet100b": (128_987, 5_000), "covid": (5_286, 624),
    "cifar10": (50_000, 10_000), "cifar100": (50_000, 10_000),
    "stl10": (5_000, 8_000), "stl10-unlabelled": (100_000, 0),
}  # fmt: skip
TWINS = 500  # pictures of ten pairs of classes
# Gigabytes kept of a training: its towers, in half precision.
KEPT = dict(student=0.24, baseline=0.085, vit_student=0.3, tuned=0.48, anchored=0.48)


@dataclass(frozen=True)
class Part:
    """Some work of a task: images by what looks at them, while so many files are decoded.

    cores: core-seconds during which the GPU waits; threads: of them at once, at most.
    """

    images: Rates = field(default_factory=dict)
    decodes: float | int = 0
    cores: float | int = 0
    threads: int = 1

    def seconds(self, rates: Rates, decode: float, cores: int) -> float:
        """A GPU is held so long: by what is slower, its networks or the decoding of files."""
        networks = sum(n / rates[what] for what, n in self.images.items())
        return max(networks, self.decodes * decode / cores) + self.cores / min(self.threads, cores)


def speeds(which: int, measured: Rates | None) -> dict[str, float | int]:
    """Images a second: the low (0), middle (1) or high (2) assumption, and what was measured in
    place of it. Who has measured a teacher as it is has measured a folded one, too."""
    found = {what: rate[which] for what, rate in RATES.items()} | dict(measured or {})
    if measured and "clip" in measured and "clip folded" not in measured:
        found["clip folded"] = measured["clip"] / FOLDED
    return found


def parts(p: Profile, task: Task) -> list[Part]:
    """What one task does. Raises KeyError for a kind that is not billed."""
    entry: Any = p[task.kind]
    (n, v), more = SIZES[p.data], p.unlabelled or p.data
    draws = getattr(entry, "realisations", 1) if parse(task.operator).is_random else 1
    drawn = CORRUPTIONS * v
    here = len(entry.operators.get(task.operator) or ())  # severities, of some
    views = p["probe"].recipe.epochs * n

    def files(name: str, seen: float | int) -> float | int:
        return 0 if name in prepared.COMMAND else seen

    def trained(name: str, **images: int) -> list[Part]:
        seen = entry.recipe_at(task.operator).epochs * SIZES[name][0]
        return [Part({k.replace("_", " "): m * seen for k, m in images.items()}, files(name, seen))]

    def probes(decoded: int = 1, **encoders: int) -> list[Part]:
        seen = {tower: k * views for tower, k in encoders.items()}
        return [Part(seen, decoded * files(p.data, views))]

    def transfer() -> list[Part]:
        seen = {name: 3 * entry.views * SIZES[name][0] for name in entry.sets}
        scored = Part({"clip": 3 * draws * sum(SIZES[name][1] for name in entry.sets)})
        return [scored, *(Part({"clip": k}, files(name, k) / 3) for name, k in seen.items())]

    def pixels() -> list[Part]:
        per_class, times = entry.operators[task.operator]
        classes, restored = Part({"clip": 4 * v * times}), 2 * per_class * 100 * times
        if "mask" in task.operator:
            return [classes, Part({"deep decoder": restored})]
        return [classes, Part(cores=MEANS * restored, threads=8)]

    def at_each() -> int:
        return v * len(entry.severities) * draws

    def looked(images: float | int, tower: str = "clip") -> list[Part]:
        return [Part({tower: images})]

    kinds: dict[str, Callable[[], list[Part]]] = {
        "student": lambda: trained(more, clip_trained=1, clip_folded=1),
        "baseline": lambda: trained(p.data, resnet_trained=1),
        "vit_student": lambda: trained(more, vit_trained=1, vit=1),
        "tuned": lambda: trained(more, clip_trained=2),
        "anchored": lambda: trained(more, clip_trained=2, clip_folded=1),
        "probe": lambda: probes(clip=1),
        "clean_probe": lambda: probes(clip=1),
        "known_operator": lambda: probes(clip=2, resnet=1) + looked(4 * v * draws),
        # clean pictures are drawn once, and CLIP looks at one draw of the others too
        "unknown_severity": lambda: looked(v * (2 * (here - 1) * draws + 2 + here)),
        "transfer": transfer,
        "label_shift": lambda: looked(6 * TWINS * here * draws),
        "ablation": lambda: looked(at_each()),
        "loss_bias": lambda: looked(at_each()),
        "pixels": pixels,
        # each is seen by three encoders; as many processes draw them as decode
        "common_corruptions": lambda: [
            Part({"clip": 3 * drawn}),
            Part(cores=CORRUPT * drawn, threads=16),
        ],
        # three teachers see the clean pictures, too
        "tuned_teacher": lambda: [
            *probes(decoded=2, clip=5),
            Part({"clip": 3 * n}, files(p.data, n)),
            *looked(2 * at_each()),
        ],
        "other_tower": lambda: probes(clip=1, vit=2) + looked(4 * at_each()),
        "blind": lambda: [Part(decodes=files(p.data, n)), *looked(22.5 * v * draws)],
        "adversarial": lambda: looked(750 * entry.protocol.per_class * 100, "float32 step"),
    }
    return kinds[task.kind]()
