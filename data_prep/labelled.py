"""The labels-only tower, trained from nothing: `python -m data_prep supervised`.

It stands in for the ImageNet-supervised ResNet-101 from which the paper's baseline starts: the
teacher's image tower, trained on the labels of all classes of the world, with no captions. As
ImageNet is to CLIP's web, its training set is much smaller than the teacher's.
"""

import time
from dataclasses import asdict
from pathlib import Path

import torch

from cinv_lib import encoders, images, operators, supervised
from cinv_lib.train import Recipe

from . import cards, teacher

PER_CLASS = 80
RECIPE = Recipe(epochs=10, batch_size=128, lr=1e-3)
SEED = 0
OUT = teacher.HOME.parent / "stickers-supervised"
CARD = """
The image tower of the embedded CLIP with other weights: trained from nothing to name the stickers
of all classes, by their labels only. The supervised baseline of the offline course starts here.
"""


def make(work: Path, recipe: Recipe = RECIPE, per_class: int = PER_CLASS, out: Path = OUT) -> Path:
    """Train (resuming from `work`), write the weights and the model card into `out`."""
    start = time.time()
    world = images.load("stickers", "train", n=per_class)
    classifier, history = supervised.finetune(
        encoders.fresh("stickers-supervised", SEED),
        world,
        operators.Identity(),
        recipe,
        SEED,
        checkpoint=work / "checkpoint.pt",
    )
    classifier = classifier.cpu()
    val = images.load("stickers", "val", n=10)
    with torch.no_grad():
        out_of = [classifier(images.to_float(x)).argmax(1) for x in val.images.split(256)]
    hits = torch.cat(out_of).eq(val.labels).float().mean().item()
    encoders.save(classifier.encoder, out, dtype=torch.float16)
    facts = {f"recipe: {k}": v for k, v in asdict(recipe).items()}
    facts |= {"pictures": len(world), "pictures a class": per_class, "seed": SEED}
    facts["steps"] = len(history)
    facts["minutes of this run"] = round((time.time() - start) / 60)
    facts["top-1 over all classes (chance 0.3)"] = f"{100 * hits:.1f} %"
    probe = teacher.clean_probe(classifier.encoder)
    facts["linear probe, clean Stickers-100 validation"] = f"{probe:.1f} %"
    facts["command"] = "`python -m data_prep supervised`"
    cards.write(out, "The labels-only tower", encoders.TOWER_FILES[1], facts, CARD)
    return out
