"""The tiers with the paper's own models: `imagenet100` is its setting, `stl10` one that downloads.

The hyper-parameters are those of App. D.1. Where the authors' code did something else, the comment
says so, and which of the two is followed: as a rule the text, but the code where the printed
numbers cannot have come from what the text says.
"""

from dataclasses import replace

from cinv_lib.evaluation.probe import ViewsRecipe
from cinv_lib.experiments.adversarial import Protocol
from cinv_lib.lab.profiles.record import Profile
from cinv_lib.operators.inverse.deep_decoder import PAPER
from cinv_lib.training.loop import Recipe

CROP = (0.08, 1.0)  # RandomResizedCrop's default

# Text: 25 epochs, lr 3e-4, batches of 256, a cosine, weight decay 1e-4. Code: no weight decay, as
# its optimiser is built without, followed here; a cosine that ends at .91 of the lr, as it counts
# epochs where it should count steps: here it goes to zero, as the text says. Code too: R in train
# mode, whose batch norms then depend on the batch; here R is frozen, as the text says.
STUDENT = Recipe(epochs=25, batch_size=256, lr=3e-4, crop=CROP, flip=True)
# Text: batches of 64, which are those of one of four GPUs; 256 followed. It names no flip for the
# baseline; the code has one, followed, so that both see the same views.
BASELINE = replace(STUDENT, lr=1e-3)
# Text: batches of 128, and of 8 with few labels: of one of four GPUs; 512 and 32 followed. A fresh
# crop, flip and corruption in each epoch; the flip is in the code only.
PROBE = ViewsRecipe(
    epochs=10, lr=1e-3, batch_size=512, small_batch=32, small_below=1.0, crop=CROP, flip=True
)

TABLE_1 = {  # mask:0.9 first: it is the one that the lessons look at closely
    op: op
    for op in (
        "mask:0.9", "mask:0.5", "mask:0.75", "noise:0.1", "noise:0.3", "noise:0.5",
        "blur:5", "blur:9",  # kernels of 21 and 37 pixels: cut off at 2 sigma, as the code has them
    )
}  # fmt: skip
FEW = (0.001, 0.005, 0.01, 0.05, 0.1, 1.0)  # Figures 3 and 7: 2, 7, 13, 64, 127 a class, and all
MASKS, NOISES = "mask:0.5..0.95", "noise:0.1..0.3"  # one uniform draw a picture (code)

IMAGENET100 = Profile(
    name="imagenet100",
    # OpenAI's towers have QuickGELU: encoders.load refuses the architecture without it.
    teacher="RN101-quickgelu/openai",
    supervised="resnet101/imagenet",  # torchvision's weights of 2021
    # Table 11's other start, a ResNet-101 of ImageNet-100 alone (90 epochs of SGD), was never
    # published, and this course does not train it: lesson 07 quotes it.
    supervised_narrow="",
    starts=(),
    data="imagenet100",
    train_per_class=None,  # all 126,689
    val_per_class=50,  # all 5,000; they also chose the hyper-parameters, as the paper says
    operators=TABLE_1,
    slider=MASKS,
    loss="st:0.1",
    student=STUDENT,
    baseline=BASELINE,
    side_epochs=25,
    probe=PROBE,
    fractions=(1.0, 0.1),
    few_labels={op: FEW if op in ("mask:0.9", "noise:0.5") else (1.0,) for op in TABLE_1},
    realisations=10,
    side_realisations=10,
    # Code: its MSE compares embeddings that are not of length one. Eq. 1 is followed.
    ablation=("st:0.1", "ss:0.1", "sb:0.1", "nt:0.1", "mse", "st:0.1,centred", "st:0.1,weight=0.5"),
    taus=(0.2, 1.0),  # ours: the paper searched [.1, 1] and shows .1
    severities=(0.9, 0.93, 0.95, 0.96, 0.97, 0.98, 0.99),
    ablation_val_per_class=50,
    ablation_realisations=10,
    ranges=(MASKS, NOISES),
    transfer={
        "cifar10": (None, None),
        "cifar100": (None, None),
        "stl10": (None, None),  # its labelled pictures only (code)
        "covid": (None, None),
        "imagenet100b": (None, None),
    },
    transfer_views=10,
    transfer_probe=PROBE,  # small pictures are flipped and not cropped (see `transfer`)
    graded={
        # Clean pictures are ours. Table 10's masks cannot be of the model of Table 2, which has .8
        # less at 50 %: they fit one of 50 epochs.
        MASKS: (0.0, 0.3, 0.35, 0.4, 0.45, 0.5, 0.75, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99),
        NOISES: (0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.7),
    },
    graded_val_per_class=50,
    fitted_realisations=3,
    shift="imagenet100-shift",
    shift_per_class=50,
    shift_severities={
        MASKS: (0.5, 0.75, 0.8, 0.9, 0.93, 0.95, 0.96, 0.97, 0.98, 0.99),
        NOISES: (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5),
    },
    mixture="blur:1..5@0.8+noise:0.05..0.5@0.8",
    # Drawn here at 224 px; those of ImageNet-C, saved as JPEG, are `data_prep imagenet100c`. Code:
    # its baseline is a frozen ResNet with a probe; fine-tuned on clean pictures, as the text says.
    corruption_severities=(1, 2, 3, 4, 5),
    corruption_val_per_class=50,
    # Table 7 has all 5,000 pictures ten times. Table 8 has them once, 5,000 iterations each: five a
    # class here. Its code fits under another mask than the picture's; lesson 12 does both.
    pixels={op: (50, 10) if "noise" in op else (5, 1) for op in TABLE_1 if "blur" not in op},
    decoder=PAPER,
    # Ours: Section 5 names these questions and measures none.
    remedies=("st:0.1", "st:0.1,weight=0.75", "st:0.1,weight=0.5", "st:0.1,centred", "mse"),
    tuned=(0.1, 10.0),
    vit="ViT-B-32-quickgelu/openai",
    vit_lr=3e-5,  # of the order at which CLIP's transformers are fine-tuned; not searched
    open_severities=(0.5, 0.9, 0.95),
    open_realisations=10,
    blind="mask:0.9|noise:0.5|blur:9",
    blind_realisations=10,
    attacked=Protocol(per_class=10),
    side=224,
)

# No number of the paper is measured here: the same models and hyper-parameters, on pictures that
# anyone can download. STL-10 was cut from ImageNet, so the supervised start has seen its classes.
STL10 = replace(
    IMAGENET100,
    name="stl10",
    data="stl10",
    unlabelled="stl10-unlabelled",  # 100,000 pictures for the student; the rest has 5,000, labelled
    val_per_class=None,
    # 96 pixels that are resized to 224: a crop of 8 % would be of 27.
    student=replace(STUDENT, crop=(0.35, 1.0)),
    # 500 epochs of 20 steps are the student's 25 of 391.
    baseline=replace(BASELINE, epochs=500, crop=(0.35, 1.0)),
    probe=replace(PROBE, crop=(1.0, 1.0)),
    few_labels={
        op: (0.01, 0.05, 0.1, 1.0) if op in ("mask:0.9", "noise:0.5") else (1.0,) for op in TABLE_1
    },
    transfer={"cifar10": (None, None), "cifar100": (None, None)},
    shift="",  # no set of near twins: lesson 10 quotes the paper
    shift_severities={},
)
