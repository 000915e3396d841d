"""What a run of the course uses: data, teacher, operators and budgets, one frozen record a tier.

`stickers` is the default: it needs no download and no GPU. `smoke` is the same world in seconds,
for tests; its numbers mean nothing. Where the authors' code and the paper's text differ, a
profile follows the text; the comments say where it cannot.
"""

from dataclasses import dataclass, replace

from .probe import ProbeRecipe
from .train import Recipe


@dataclass(frozen=True)
class Profile:
    """One tier of the course. Operators are strings of `operators.parse`."""

    name: str
    teacher: str  # an encoder's name, see encoders.load
    supervised: str  # what the baseline starts from
    data: str  # an image set's name, see images.load
    train_per_class: int
    val_per_class: int
    operators: dict[str, str]  # ours -> the paper's counterpart at 224 px
    slider: str  # the range that the model of the slider (lesson 00) is trained on
    loss: str
    student: Recipe
    baseline: Recipe
    probe: ProbeRecipe
    fractions: tuple[float, ...]  # of the labels, for the student's probe
    realisations: int
    ablation: tuple[str, ...]  # losses of lesson 11, trained on the range of the slider
    taus: tuple[float, ...]  # further temperatures of the paper's loss, one seed each
    severities: tuple[float, ...]  # at which these are scored,
    ablation_val_per_class: int  # on so many pictures a class
    template: str = "a photo of a {}"


STICKERS = Profile(
    name="stickers",
    teacher="stickers-clip",
    supervised="stickers-supervised",
    data="stickers-100",
    # Few labelled pictures a class: the paper's regime is a teacher that has seen far more than
    # the labelled set. Student and baseline get the same pictures, and the same number of steps.
    train_per_class=20,
    val_per_class=20,
    operators={"mask:0.9": "mask:0.9", "noise:0.5": "noise:0.5", "blur:2.57": "blur:9"},
    slider="mask:0.5..0.95",
    loss="st:0.1",
    # 25 epochs of 2,000 pictures would be 200 steps at the paper's batch of 256; these are 960.
    # Learning rates: the best for each on mask:0.9, one seed, of those in lesson 06.
    student=Recipe(epochs=30, batch_size=64, lr=3e-3),
    baseline=Recipe(epochs=30, batch_size=64, lr=3e-3),
    probe=ProbeRecipe(epochs=10, lr=1e-3, batch_size=128),
    fractions=(1.0, 0.1),
    realisations=10,
    ablation=("st:0.1", "ss:0.1", "sb:0.1", "nt:0.1", "mse", "st:0.1,centred", "st:0.1,weight=0.5"),
    taus=(0.2, 0.5, 1.0),
    severities=(0.9, 0.93, 0.95, 0.96, 0.97, 0.98, 0.99),  # Fig. 6
    ablation_val_per_class=10,
)

SMOKE = replace(
    STICKERS,
    name="smoke",
    train_per_class=2,
    val_per_class=2,
    student=Recipe(epochs=1, batch_size=64, lr=1e-3),
    baseline=Recipe(epochs=1, batch_size=64, lr=1e-3),
    probe=replace(STICKERS.probe, epochs=1),
    realisations=2,
    ablation=("st:0.1", "mse"),
    taus=(1.0,),
    severities=(0.9, 0.99),
    ablation_val_per_class=2,
)

PROFILES = {p.name: p for p in (STICKERS, SMOKE)}


def profile(name: str | Profile) -> Profile:
    """The profile of that name (a Profile passes through).

    Raises ValueError for a name that is not known, with those that are.
    """
    if isinstance(name, Profile):
        return name
    if name not in PROFILES:
        raise ValueError(f"no profile {name!r}; there are {', '.join(PROFILES)}")
    return PROFILES[name]
