"""What a tier of the course consists of: data, teacher, operators and budgets, in one record.

The tiers themselves are in `stickers` and `paper`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cinv_lib import operators
from cinv_lib.evaluation.probe import ProbeRecipe
from cinv_lib.experiments.adversarial import Protocol
from cinv_lib.operators.inverse.deep_decoder import DecoderRecipe
from cinv_lib.training.loop import Recipe

PerClass = tuple[int | None, int | None]  # None for all


@dataclass(frozen=True)
class Profile:
    """One tier of the course. Operators are strings of `operators.parse`."""

    name: str
    teacher: str  # an encoder's name, see encoders.load
    supervised: str  # what the baseline starts from,
    supervised_narrow: str  # and in lesson 07 another, which knows the labelled classes only,
    starts: tuple[str, ...]  # on these operators, the first of `operators` and others
    data: str  # an image set's name, see data.load
    train_per_class: int | None  # None for all that there are
    val_per_class: int | None
    operators: dict[str, str]  # ours -> the paper's counterpart at 224 px
    slider: str  # the range that the model of the slider (lesson 00) is trained on
    loss: str
    student: Recipe  # on one of these operators, and
    baseline: Recipe
    side_epochs: int  # for so long on any other: ranges, mixtures, clean pictures
    probe: ProbeRecipe
    fractions: tuple[float, ...]  # of the labels, for the student's probe
    few_labels: dict[str, tuple[float, ...]]  # Figures 3 and 7, Table 13: shares by operator
    realisations: int  # that everything is scored under on one of `operators`, and
    side_realisations: int  # on any other
    ablation: tuple[str, ...]  # losses of lesson 11, trained on the range of the slider
    taus: tuple[float, ...]  # further temperatures of the paper's loss, one seed each
    severities: tuple[float, ...]  # at which these are scored,
    ablation_val_per_class: int  # on so many pictures a class,
    ablation_realisations: int  # corrupted so many times
    ranges: tuple[str, ...]  # Sec. 4.3 transfers the models of these, with new probes,
    transfer: dict[str, PerClass]  # to sets of so many pictures a class: to fit, to score
    transfer_views: int  # corruptions of a picture that the new probe sees
    transfer_probe: ProbeRecipe
    graded: dict[str, tuple[float, ...]]  # lesson 08: their severities, below, within and beyond,
    graded_val_per_class: int  # on so many pictures a class
    fitted_realisations: int  # lesson 07: draws in which it asks who is right, picture by picture
    shift: str  # lesson 10: the set of near twins,
    shift_per_class: int  # so many pictures a pair,
    shift_severities: dict[str, tuple[float, ...]]  # and where the models of a range see them
    mixture: str  # lesson 13's student is trained on it (App. D.8)
    corruption_severities: tuple[int, ...]  # of the common corruptions, from 1 to 5,
    corruption_val_per_class: int  # on so many pictures a class
    pixels: dict[str, tuple[int, int]]  # lesson 12: pictures a class to restore, realisations
    decoder: DecoderRecipe
    remedies: tuple[str, ...]  # lesson 14: losses whose bias is predicted and measured;
    tuned: tuple[float, float]  # a tuned teacher's pace, and the weight of its anchor;
    vit: str  # another teacher, whose image tower is a transformer,
    vit_lr: float  # and its student's learning rate; all on the range of the slider,
    open_severities: tuple[float, ...]  # looked at here,
    open_realisations: int  # so many times
    blind: str  # operators that one student meets, untold which; trained as on each of them,
    blind_realisations: int  # and scored under so many draws
    attacked: Protocol  # adversarial inputs of the slider's models
    template: str = "a photo of a {}"
    side: int = 64  # pixels of the pictures that the encoders take
    unlabelled: str | None = None  # what students learn from, where it is not `data`
    several: Mapping[str, tuple] = field(default_factory=dict)  # see `for_seeds`

    def for_seeds(self, seeds: int) -> "Profile":
        """What a run of so many training seeds makes. One alone leaves out `several`, by field:
        side issues, of which one training each decides nothing."""
        left = self.several if seeds == 1 else {}
        return replace(self, **{f: _without(getattr(self, f), out) for f, out in left.items()})

    def recipes(self, op: str) -> tuple[Recipe, Recipe]:
        """The student's and the baseline's on an operator: shorter in the same proportion on one
        that is not among the profile's, and not `blind`, which is compared with these."""
        if str(operators.parse(op)) in (*self.operators, self.blind):
            return self.student, self.baseline
        return tuple(
            replace(r, epochs=r.epochs * self.side_epochs // self.student.epochs)
            for r in (self.student, self.baseline)
        )

    def draws(self, op: str) -> int:
        """Realisations of an operator: as many for all that is compared on it."""
        main = str(operators.parse(op)) in self.operators
        return self.realisations if main else self.side_realisations

    def vit_recipe(self, op: str) -> Recipe:
        """Of the student of `vit`."""
        return replace(self.recipes(op)[0], lr=self.vit_lr)

    def pull(self, kind: str) -> tuple[float, float]:
        """Pace and anchor of "tuned", which has no anchor, and of "anchored"."""
        pace, anchor = self.tuned
        return pace, anchor if kind == "anchored" else 0.0

    def starts_val_per_class(self, op: str) -> int | None:
        """Lesson 07 scores on the pictures of lesson 08 where that scores the same operator."""
        return self.graded_val_per_class if op in self.graded else self.val_per_class


def _without(all_of: tuple, left_out: tuple) -> tuple:
    return tuple(one for one in all_of if one not in left_out)
