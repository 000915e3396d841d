"""Student and baseline that were trained under attack, beside those that were not (lesson 14).

It is the control of `adversarial`: there both fall to an attack, and nobody has told them of one.
Here A includes the attack: each training step moves the pixels of A(x) to where its own loss is
high, and learns from that (`training.attacked`). What it costs is accuracy on pictures that nobody
attacks, and time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
from tqdm.auto import tqdm

from cinv_lib.data.image_files import Pictures
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.encoders.inference import looking
from cinv_lib.evaluation import probe as probes
from cinv_lib.evaluation import statistics
from cinv_lib.evaluation.probe import Probe, ProbeRecipe
from cinv_lib.evaluation.sentence import lead, sentence
from cinv_lib.experiments.adversarial import Protocol, Target, drawn, joined
from cinv_lib.experiments.base import AskedInWords, Task
from cinv_lib.experiments.finetuned import SECOND_HALF, halved, in_halves
from cinv_lib.experiments.methods import labels
from cinv_lib.experiments.trainings import Baseline, Student
from cinv_lib.machine import hardware
from cinv_lib.operators.basic import Identity, parse
from cinv_lib.operators.functional import known
from cinv_lib.training.attacked import Attack
from cinv_lib.training.baseline import Classifier, finetune

METHODS = labels(
    "student",
    "zero_shot",
    "baseline",
    "attacked_student",
    "attacked_zero_shot",
    "attacked_baseline",
    attacked_student="student S, trained under attack",
    attacked_zero_shot="student S, trained under attack, in words",
    attacked_baseline="baseline, trained under attack",
)
COLUMNS = ["method", "picture", "budget", "top1"]


@dataclass(frozen=True, kw_only=True)
class UnderAttack:
    """What a training under attack has besides its recipe: the settings of `Attack`, whose errors
    it raises.

    Args:
        budget: in grey levels of 255.
        steps: of PGD, in each step of the training.
    """

    budget: Any
    steps: Any = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "budget", self.attack.budget)
        object.__setattr__(self, "steps", self.attack.steps)

    @property
    def attack(self) -> Attack:
        return Attack(self.budget, self.steps)


@dataclass(frozen=True, kw_only=True)
class AttackedStudent(UnderAttack, Student):
    """S as ever, from A(x) moved to where Eq. 3 is high (lesson 14)."""

    name, lessons, shown = "attacked_student", (), ""


@dataclass(frozen=True, kw_only=True)
class AttackedBaseline(UnderAttack, Baseline):
    """The baseline as ever for half of its epochs, and then from A(x) moved to where its
    cross-entropy is high (lesson 14).

    The student starts from R, which knows the classes. Under attack from the first step on, a head
    that starts at random learns nothing: its loss stays at that of guessing.
    """

    name, shown = "attacked_baseline", ""

    def build(self, folder: Path, task: Task, supervised: Encoder, train: Pictures) -> None:
        op, (first, second) = parse(task.operator), halved(self.recipe_at(task.operator))

        def plain(at: Path) -> tuple[Encoder, pd.DataFrame]:
            classifier, history = finetune(supervised, train, op, first, task.seed, at)
            return classifier.encoder, history

        def under_attack(tower: Encoder, at: Path) -> tuple[Classifier, pd.DataFrame]:
            seed = task.seed + SECOND_HALF
            return finetune(tower, train, op, second, seed, at, attack=self.attack)

        in_halves(folder, first.epochs, plain, under_attack)


def cost(histories: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """What the attack costs in time, as the histories of trainings tell it.

    A step's time is the median of the second half, in which both are attacked, so that one that
    waited for a disk counts no more than others. Two machines cannot be compared, nor a busy one
    with an idle one: look at the provenance of both.

    Args:
        histories: by method; where there are "NAME" and "attacked_NAME", the two are compared.

    Returns:
        A row for each: method; ms, milliseconds a picture; times, as many as the same training
        without an attack takes (1 for that one).

    >>> fast, slow = (pd.DataFrame({"images_per_s": [speed] * 3}) for speed in (400.0, 160.0))
    >>> cost({"student": fast, "attacked_student": slow}).times.tolist()
    [1.0, 2.5]
    """
    later = {name: h.images_per_s.tail(max(1, len(h) // 2)) for name, h in histories.items()}
    ms = {name: 1000 / speeds.median() for name, speeds in later.items()}
    plain = {name: ms.get(name.removeprefix("attacked_"), value) for name, value in ms.items()}
    rows = [{"method": name, "ms": ms[name], "times": ms[name] / plain[name]} for name in ms]
    return pd.DataFrame(rows)


def found(scores: pd.DataFrame, budget: int) -> str:
    """The sentence of lesson 14 on training under attack: what it brings the student at a budget,
    what it takes without one, and who then leads."""
    means = scores.groupby(["picture", "budget", "method"]).top1.mean()
    (plain, under), (whole, kept) = (
        (means[*where, "student"], means[*where, "attacked_student"])
        for where in (("attacked", budget), ("corrupted", 0))
    )
    rows = scores[scores.picture == "attacked"].assign(realisation=0)
    row = statistics.leads(rows, "attacked_student", "attacked_baseline", "budget").loc[budget]
    who = "the student", "the baseline trained so"
    led = lead(*who, row.difference, row.half_width, scores.seed.nunique())
    return sentence(
        f"trained under attack, the student names {under:.0f} % instead of {plain:.0f} % under an "
        f"attack of {budget} grey levels",
        f"{kept:.0f} % instead of {whole:.0f} % without one",
        f"under attack {led}",
    )


@dataclass(frozen=True, kw_only=True)
class Attacked(AskedInWords):
    """Student and baseline of a range, trained under attack and not, on clean, corrupted and
    attacked pictures (lesson 14).

    Args:
        recipe: of the probe on the student that was trained under attack; that of `probe`, for
            the two students to differ in nothing else.
        protocol: what is attacked and how. `checked` counts for nothing here.
    """

    recipe: ProbeRecipe
    protocol: Protocol
    name, lessons, apart = "attacked", ("14",), True
    tables = MappingProxyType({"attacked": "%.4f", "attacked_cost": "%.5g"})

    def measure(
        self,
        task: Task,
        teacher: Encoder,
        student: Encoder,
        probe: Probe,
        baseline: Classifier,
        attacked_student: Encoder,
        attacked_baseline: Classifier,
        student_history: pd.DataFrame,
        baseline_history: pd.DataFrame,
        attacked_student_history: pd.DataFrame,
        attacked_baseline_history: pd.DataFrame,
        train: Pictures,
        val: Pictures,
    ) -> dict[str, pd.DataFrame]:
        """Score each model on the pictures of `Adversarial`, each against the attack on itself.

        The probe of the student trained under attack is fitted to A(x) that nobody attacks, on all
        labels: its encoder alone has met attacks, where the baseline's head has met them too.

        Returns:
            attacked: COLUMNS, a row for each of METHODS and each picture: "clean" and "corrupted"
            (at `protocol.severity`), at budget 0, and "attacked", that one moved through the known
            pixels, at the protocol's other budgets. attacked_cost: `cost` of the four trainings.
        """
        op, seed, steps = parse(task.operator), task.seed, self.protocol.steps
        words = self.words(teacher, val).requires_grad_(False)
        fitted = probes.train(attacked_student, train, op, self.recipe, seed).requires_grad_(False)
        models = {
            "student": (student, probe),
            "zero_shot": (student, words),
            "baseline": (baseline.encoder, baseline.head),
            "attacked_student": (attacked_student, fitted),
            "attacked_zero_shot": (attacked_student, words),
            "attacked_baseline": (attacked_baseline.encoder, attacked_baseline.head),
        }
        encoders, val = [e for e, _ in models.values()], val.per_class(self.protocol.per_class)
        clean = drawn(Identity(), val, seed, encoders)
        seen = drawn(op.at(self.protocol.severity), val, seed, encoders)
        asked = [("clean", clean, 0), ("corrupted", seen, 0)]
        asked += [("attacked", seen, budget) for budget in self.protocol.budgets if budget]
        rows = []
        bar = tqdm(total=len(asked), desc=f"trained under attack, {op}", leave=False)
        whole = hardware.convolutions(exact=True)  # scores too
        with bar, whole, looking([part for pair in models.values() for part in pair]):
            for picture, x, budget in asked:
                for name, pair in models.items():
                    target = Target(joined(*pair), x, val.labels.to(x.device), known(x), seed)
                    z = target.attacked(budget / 255, steps) if budget else x
                    rows.append([name, picture, budget, target.top1(z)])
                bar.update()
        histories = {
            "student": student_history,
            "baseline": baseline_history,
            "attacked_student": attacked_student_history,
            "attacked_baseline": attacked_baseline_history,
        }
        scores = pd.DataFrame(rows, columns=COLUMNS)
        return {"attacked": scores, "attacked_cost": cost(histories)}
