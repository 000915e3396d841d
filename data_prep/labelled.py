"""The labels-only towers, trained from nothing: `python -m data_prep supervised`.

They stand in for the ImageNet-supervised ResNet-101s from which the paper's baselines start: the
teacher's image tower, trained on labels and clean pictures, with no captions. One has seen all
classes of the world; as ImageNet is to CLIP's web, its training set is much smaller than the
teacher's. The other, of `--classes 100`, has seen only the labelled set on which it is fine-tuned
later, as the paper's ImageNet-100 tower has (Tables 11 and 12).
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from cinv_lib import data as image_sets
from cinv_lib import encoders, operators, training
from cinv_lib.encoders import config
from cinv_lib.lab.profiles.stickers import STICKERS
from cinv_lib.training.recipe import Recipe

from . import cards, teacher

SEED = 0


@dataclass(frozen=True)
class Tower:
    """One of the towers: its name among the embedded weights, its pictures, its recipe."""

    name: str
    data: str
    per_class: int
    val_per_class: int
    recipe: Recipe
    command: str
    title: str
    text: str

    @property
    def out(self) -> Path:
        """The folder of the weights that ship."""
        return teacher.HOME.parent / self.name


ALL = Tower(
    name="stickers-supervised",
    data="stickers",
    per_class=80,
    val_per_class=10,
    recipe=Recipe(epochs=10, batch_size=128, lr=1e-3),
    command="python -m data_prep supervised",
    title="The labels-only tower",
    text="""
The image tower of the embedded CLIP with other weights: trained from nothing to name the stickers
of all classes, by their labels only. The supervised baseline of the offline course starts here.
""",
)
# 90 epochs as in Appendix D.5; Adam and our batch, as all trainings of the course, where the paper
# takes SGD.
NARROW = Tower(
    name="stickers-100-supervised",
    data=STICKERS.data,
    per_class=STICKERS.train_per_class,
    val_per_class=STICKERS.val_per_class,
    recipe=Recipe(epochs=90, batch_size=64, lr=1e-3),
    command="python -m data_prep supervised --classes 100",
    title="The labels-only tower of 100 classes",
    text="""
The image tower of the embedded CLIP with other weights: trained from nothing to name the stickers
of the 100 labelled classes, on the very pictures on which the baseline of seed 0 is fine-tuned
later. The baselines of other seeds have pictures of their own, which it has not seen. The second
baseline of lesson 07 starts here, as that of Tables 11 and 12 does from ImageNet-100.
""",
)
TOWERS = {"all": ALL, "100": NARROW}  # by the classes that they know


def make(work: Path, tower: Tower = ALL, out: Path | None = None) -> Path:
    """Train (resuming from `work`), write the weights and the model card into `out`."""
    start, out = time.time(), out or tower.out
    world = image_sets.load(tower.data, "train", n=tower.per_class)
    classifier, history = training.finetune(
        encoders.fresh(tower.name, SEED),
        world,
        operators.Identity(),
        tower.recipe,
        SEED,
        checkpoint=work / "checkpoint.pt",
    )
    classifier = classifier.cpu()
    encoders.save(classifier.encoder, out, dtype=torch.float16)
    facts = {f"recipe: {k}": v for k, v in asdict(tower.recipe).items()}
    facts |= {"pictures": len(world), "pictures a class": tower.per_class, "seed": SEED}
    facts["steps"] = len(history)
    facts["minutes of this run"] = round((time.time() - start) / 60)
    val = image_sets.load(tower.data, "val", n=tower.val_per_class)
    chance = 100 / len(world.class_names)
    facts |= {"top-1 on its training pictures": f"{top1(classifier, world):.1f} %"}
    facts[f"top-1 over all classes (chance {chance:.1g})"] = f"{top1(classifier, val):.1f} %"
    probe = teacher.clean_probe(classifier.encoder)
    facts["linear probe, clean Stickers-100 validation"] = f"{probe:.1f} %"
    facts["command"] = f"`{tower.command}`"
    cards.write(out, tower.title, config.TOWER_FILES[1], facts, tower.text)
    return out


@torch.no_grad()
def top1(classifier: training.Classifier, pictures: image_sets.ImageSet) -> float:
    """Top-1 in percent on clean pictures."""
    chunks = zip(pictures.images.split(256), pictures.labels.split(256), strict=True)
    hits = sum(classifier(image_sets.to_float(x)).argmax(1).eq(y).sum().item() for x, y in chunks)
    return 100 * hits / len(pictures)
