"""The embedded CLIP, trained from nothing on captioned stickers: `python -m data_prep teacher`.

Pictures of all classes are contrasted with their captions in both directions, as CLIP does. Every
picture has its bare caption ("a photo of a umbrella"); half of them also have their full one
("a photo of a big red umbrella on coffee"). Equal bare captions of a batch are one text with
several pictures, so no picture is pushed away from its own caption.

`teacher --tower vit` trains a second one, whose image tower is a vision transformer. It takes over
the first one's text tower and leaves it as it is, so that its pictures are placed by the same words
(Zhai et al. 2022, LiT); and most of its steps see half of each picture's patches, which takes half
the time (Li et al. 2023, FLIP).
"""

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from open_clip.transformer import PatchDropout
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm.auto import tqdm

from cinv_lib import data, encoders
from cinv_lib.data.stickers import drawing
from cinv_lib.data.stickers import sets as sticker_sets
from cinv_lib.data.stickers.glyphs import glyphs
from cinv_lib.encoders import config, words
from cinv_lib.machine import files, hardware

from . import cards

WEIGHTS = Path(__file__).parents[1] / "cinv_lib" / "weights"
HOME = WEIGHTS / "stickers-clip"
TEMPLATE = "a photo of a {}"
SAVE_EVERY = 200  # steps
SERIES = 0  # of the stickers that the teacher sees: its "web"


@dataclass(frozen=True)
class TeacherRecipe:
    """What an embedded CLIP is trained with; the defaults made the weights that ship."""

    encoder: str = "stickers-clip"  # its shape
    images: int = 300_000
    batch_size: int = 256
    steps: int = 3100
    lr: float = 2e-3
    weight_decay: float = 0.05
    horizon: int = 4684  # steps of the cosine on which the learning rate falls, ...
    warmup: float = 0.05  # ... a share of which it first rises in;
    cooldown: int = 1300  # in the last steps it is also drawn to zero, linearly
    seed: int = 0
    text: str | None = None  # the encoder whose text tower is taken over, and not trained
    dropped: float = 0.0  # share of a picture's patches left out, before the cooldown

    def rate(self, step: int) -> float:
        """Learning rate of a step (from 0)."""
        rise = min(1.0, (step + 1) / (self.warmup * self.horizon))
        fall = min(1.0, (self.steps - step) / self.cooldown)
        return self.lr * rise * fall * (1 + math.cos(math.pi * step / self.horizon)) / 2


TOWERS = {
    "resnet": TeacherRecipe(),
    "vit": TeacherRecipe(
        encoder="stickers-clip-vit",
        images=200_000,
        batch_size=128,
        steps=3800,
        lr=1e-3,
        horizon=8000,
        cooldown=900,
        text="stickers-clip",
        dropped=0.5,
    ),
}


def web(recipe: TeacherRecipe) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images (uint8), labels, token ids of the full captions, token ids of the bare captions."""
    images, labels, tokens = [], [], []
    for start in tqdm(range(0, recipe.images, 512), "drawing stickers"):
        rows = torch.arange(start, min(start + 512, recipe.images))
        drawn = drawing.render(SERIES, rows)
        images.append(drawn.images)
        labels.append(drawn.labels)
        tokens.append(words.tokenize(drawn.captions(), 20))
    bare = words.tokenize([TEMPLATE.format(n) for n in glyphs().names], 20)
    return torch.cat(images), torch.cat(labels), torch.cat(tokens), bare


def caption_loss(
    pictures: Float[Tensor, "B d"],
    texts: Float[Tensor, "T d"],
    text_of: Int64[Tensor, "B"],
    scale: Float[Tensor, ""],
) -> Float[Tensor, ""]:
    """CLIP's symmetric loss where picture i belongs to text text_of[i] and texts may repeat."""
    logits = scale * pictures @ texts.T
    belongs = F.one_hot(text_of, len(texts)).to(logits.dtype)
    text_targets = (belongs / belongs.sum(0, keepdim=True).clamp_min(1)).T
    return (F.cross_entropy(logits, text_of) + F.cross_entropy(logits.T, text_targets)) / 2


def step_loss(
    model: nn.Module, images: Tensor, labels: Tensor, full: Tensor, bare: Tensor, bf16: bool
) -> Tensor:
    """Loss of one batch: bare captions for all pictures, full captions for the first half."""
    mean = torch.tensor(open_clip.OPENAI_DATASET_MEAN).view(3, 1, 1)
    std = torch.tensor(open_clip.OPENAI_DATASET_STD).view(3, 1, 1)
    x = ((images.float() / 255 - mean) / std).to(memory_format=torch.channels_last)
    present, bare_of = labels.unique(return_inverse=True)
    half = full[: len(full) // 2]
    distinct, full_of = half.unique(dim=0, return_inverse=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        pictures = model.encode_image(x)
        texts = model.encode_text(torch.cat([bare[present], distinct]))
    pictures, texts = F.normalize(pictures.float(), dim=1), F.normalize(texts.float(), dim=1)
    scale = model.logit_scale.exp().clamp(max=100)
    short = caption_loss(pictures, texts[: len(present)], bare_of, scale)
    long = caption_loss(pictures[: len(half)], texts[len(present) :], full_of, scale)
    return (short + long) / 2


@torch.no_grad()
def zero_shot_accuracy(model: nn.Module, bare: Tensor, per_class: int = 10) -> float:
    """Top-1 in percent over all classes, on pictures with validation backgrounds."""
    model.eval()
    texts = F.normalize(model.encode_text(bare), dim=1)
    labels = torch.arange(len(bare)).repeat(per_class)
    images = sticker_sets.draw_all(90, labels, train=False)
    mean = torch.tensor(open_clip.OPENAI_DATASET_MEAN).view(3, 1, 1)
    std = torch.tensor(open_clip.OPENAI_DATASET_STD).view(3, 1, 1)
    hits = 0
    for x, y in zip(images.split(256), labels.split(256), strict=True):
        out = model.encode_image((x.float() / 255 - mean) / std)
        hits += (out @ texts.T).argmax(1).eq(y).sum().item()
    model.train()
    return 100 * hits / len(labels)


def untrained(recipe: TeacherRecipe) -> nn.Module:
    """The CLIP that training starts from, in train mode."""
    model = encoders.fresh(recipe.encoder, recipe.seed).clip
    if recipe.text is not None:
        words = _text_tower(encoders.load(recipe.text).clip)
        model.load_state_dict(words, strict=False)
        for name in words:
            model.get_parameter(name).requires_grad_(False)
    return model.to(memory_format=torch.channels_last).train()


def _text_tower(model: nn.Module) -> dict[str, Tensor]:
    """Its weights: all but the pictures' and the temperature."""
    state = model.state_dict().items()
    return {k: v for k, v in state if not k.startswith("visual.") and k != "logit_scale"}


def train(recipe: TeacherRecipe, out: Path) -> nn.Module:
    """Train, or go on from out/checkpoint.pt; every 500 steps print their zero-shot accuracy."""
    out.mkdir(parents=True, exist_ok=True)
    model = untrained(recipe)
    trained = [p for p in model.parameters() if p.requires_grad]
    decay, plain = ([p for p in trained if (p.ndim > 1) == many] for many in (True, False))
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": recipe.weight_decay}, {"params": plain}],
        lr=recipe.lr,
        weight_decay=0.0,
    )
    pictures, labels, full, bare = web(recipe)
    # A processor without bfloat16 takes fifty times as long to pretend it.
    bf16 = hardware.uses_bf16("auto", pictures.device)
    per_epoch, first, checkpoint = recipe.images // recipe.batch_size, 0, out / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        if saved["recipe"] != asdict(recipe):
            raise ValueError(
                f"{checkpoint} was made by {saved['recipe']}. Delete it to start anew."
            )
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        first = saved["step"]
    bar, start = tqdm(range(first, recipe.steps), initial=first, total=recipe.steps), time.time()
    for step in bar:
        epoch, place = divmod(step, per_epoch)
        order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(epoch))
        rows = order[place * recipe.batch_size : (place + 1) * recipe.batch_size]
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate(step)
        if recipe.dropped:
            torch.manual_seed(step)  # PatchDropout draws from the global generator
            whole = step >= recipe.steps - recipe.cooldown
            model.visual.patch_dropout = nn.Identity() if whole else PatchDropout(recipe.dropped)
        # The plain kernel of attention: on a CPU its backward pass is a third faster.
        with sdpa_kernel(SDPBackend.MATH):
            loss = step_loss(model, pictures[rows], labels[rows], full[rows], bare, bf16)
            optimizer.zero_grad()
            loss.backward()
        optimizer.step()
        if step % 20 == 0:
            bar.set_postfix(loss=f"{loss.item():.3f}")
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == recipe.steps:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            with files.whole(checkpoint) as part:
                torch.save({**state, "step": step + 1, "recipe": asdict(recipe)}, part)
        if (step + 1) % 500 == 0 or step + 1 == recipe.steps:
            score = zero_shot_accuracy(model, bare)
            minutes = (time.time() - start) / 60
            print(f"step {step + 1}: zero-shot {score:.1f} %, {minutes:.1f} min", flush=True)
    return model


def make(work: Path, tower: str = "resnet") -> Path:
    """Train the CLIP with this image tower (resuming from `work`), write weights and model card."""
    recipe, start = TOWERS[tower], time.time()
    out = WEIGHTS / recipe.encoder
    model = train(recipe, work)
    encoder = encoders.fresh(recipe.encoder, recipe.seed)
    encoder.clip.load_state_dict(model.state_dict())
    encoders.save(encoder, out, dtype=torch.float16)
    bare = words.tokenize([TEMPLATE.format(n) for n in glyphs().names], 20)
    facts = {f"recipe: {k}": v for k, v in asdict(recipe).items()}
    facts["minutes of this run"] = round((time.time() - start) / 60)
    facts["zero-shot top-1, all classes (chance 0.3)"] = f"{zero_shot_accuracy(model, bare):.1f} %"
    facts["linear probe, clean Stickers-100 validation"] = f"{clean_probe(encoder):.1f} %"
    facts["command"] = f"`python -m data_prep teacher --tower {tower}`"
    title, text = CARDS[tower]
    cards.write(out, title, config.CLIP_FILES[1], facts, text)
    return out


RESNET = """
A CLIP of 3.5 million parameters (ModifiedResNet image tower, RN101's family, at 64 px; two-layer
text tower over its own words) trained from nothing on captioned stickers, the teacher R of the
offline course. Its pictures are drawn from all classes of the embedded world, on backgrounds from
the left part of scikit-image's photographs. It knows nothing else: it is for this course only.
"""
VIT = """
A CLIP whose image tower is a vision transformer of 0.8 million parameters (8-pixel patches at
64 px, width 128, 4 layers, mean of the patches, fixed sine positions), trained from nothing on
captioned stickers. The text tower is that of the embedded CLIP, taken over and not trained. Half of
each picture's patches were left out until the learning rate's cooldown, and none from then on. It
is the second teacher of lesson 14, and for this course only.
"""
CARDS = {"resnet": ("The embedded CLIP", RESNET), "vit": ("The embedded CLIP with a ViT", VIT)}


def clean_probe(encoder: encoders.Encoder) -> float:
    """Top-1 in percent on clean Stickers-100 validation of a linear probe on R's embeddings of 80
    pictures a class (scikit-learn's logistic regression)."""
    sets = [data.load("stickers-100", *which) for which in (("train", 80), ("val", 20))]
    with torch.no_grad():
        train, val = (
            torch.cat([F.normalize(encoder(data.to_float(x)), dim=1) for x in s.images.split(256)])
            for s in sets
        )
    probe = LogisticRegression(C=100, max_iter=2000).fit(train.numpy(), sets[0].labels.numpy())
    return 100 * probe.score(val.numpy(), sets[1].labels.numpy())
