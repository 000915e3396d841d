"""The public face: the functions of `import cinv_lib as ci`, for pictures and models of your own.

They take an operator and a loss as text ("mask:0.9", "st:0.1") or as objects, and where nothing is
said they do as the paper does. The functions below, in the folders, take objects and every setting.

    train, val = ci.ImageFiles.from_folder("my_pictures").split(0.8, seed=0)
    teacher = ci.load_encoder("stickers-clip")
    student, history = ci.distill(teacher, train, "mask:0.9", seed=0)
    head = ci.fit_probe(student, train, "mask:0.9")
    print(ci.summary(ci.evaluate({"student": (student, head)}, val, "mask:0.9")))
    ci.save_encoder(student, "my_student")
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from cinv_lib.data import catalogue
from cinv_lib.data.image_files import ImageFiles, Pictures
from cinv_lib.data.image_set import ImageSet
from cinv_lib.data.pairs import Pairs, ruined_alone
from cinv_lib.data.shards import Shards
from cinv_lib.encoders import encoder as encoders
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.encoders.export import export
from cinv_lib.evaluation import embedding_files, probe, scores
from cinv_lib.evaluation.probe import Probe, ProbeRecipe
from cinv_lib.evaluation.scores import Contestant, Head, Model
from cinv_lib.lab.profiles.paper import PROBE, STUDENT
from cinv_lib.losses import equations
from cinv_lib.losses.equations import Loss
from cinv_lib.operators import basic
from cinv_lib.operators.base import Operator
from cinv_lib.training import student
from cinv_lib.training.recipe import Recipe


def parse_operator(op: str | Operator) -> Operator:
    """The operator that a text names, as "mask:0.5..0.95"; an operator passes through (lesson 01).

    A class of your own is known by its `name` as soon as it is defined; `Operator` says how.

    Raises ValueError for a text that names none, TypeError for what is neither text nor operator.
    """
    return basic.parse(op)


def load_images(name: str, split: str, n: int | None = None) -> ImageSet:
    """Labelled pictures by their name, in memory: uint8 (N, 3, S, S) (lesson 00).

    Args:
        name: "stickers-100", "digits", "faces", "cifar10", ...; `data.load` lists them all. None of
            them is downloaded.
        split: "train" or "val".
        n: how many of each class; all, or the set's own number, if not said.

    Raises ValueError for a set, split or number that is not there, FileNotFoundError for pictures
    that have to be prepared first, with the command.
    """
    return catalogue.load(name, split, n)


def load_encoder(
    name: str | Path,
    *,
    weights: str | Path | None = None,
    cache_dir: str | None = None,
    tower: nn.Module | None = None,
) -> Encoder:
    """An encoder with its weights: pictures (B, 3, S, S) in [0,1] to embeddings (B, d) (lesson 02).

    Args:
        name: one of the embedded ("stickers-clip"), open_clip's ARCHITECTURE/TAG
            ("ViT-B-32-quickgelu/openai"), "hf-hub:ORG/NAME", "resnet101/imagenet", or a folder of
            `save_encoder` or in open_clip's form.
        weights: a file, for an architecture without a tag.
        cache_dir: where downloads are kept, other than where the Hugging Face hub keeps its own.
        tower: for a folder of an `Encoder.wrap`, its module made again.

    Raises ValueError or FileNotFoundError for a name that is not known, or weights that are absent,
    damaged or of another shape, ImportError for a text tower of a package that is not installed;
    each says what to do.
    """
    return encoders.load(name, weights=weights, cache_dir=cache_dir, tower=tower)


def save_encoder(
    encoder: Encoder,
    folder: str | Path,
    dtype: torch.dtype = torch.float32,
    repo: str | None = None,
    card: Mapping[str, Any] | None = None,
) -> Path:
    """Write an encoder, so that `load_encoder(folder)` gives it back, and returns the folder.

    A CLIP is written as open_clip reads it, `open_clip.create_model("local-dir:FOLDER")`, with its
    text tower and tokenizer. Of an `Encoder.wrap` the weights and the preprocessing are written.
    README.md is its model card, which has the command that uploads the folder.

    Args:
        dtype: torch.float32, exact, or torch.float16, half the size.
        repo: "ORG/NAME", where the folder will be on the Hugging Face hub.
        card: what the card shall say: license, base_model, tags, ... for its header; scores, a
            number by each name or a table of `summary`; anything else as it is, {"operator":
            "mask:0.9", "loss": "st:0.1", "data": "my_pictures", "seed": 0}.

    Raises ValueError for another dtype or weights that do not fit it, a repo that is none, or
    scores of another kind; OSError for a full disk.
    """
    return export(encoder, folder, dtype, repo, card)


def distill(
    teacher: Encoder,
    images: Pictures | Pairs | Shards,
    op: str | Operator | None = None,
    loss: str | Loss = "st:0.1",
    recipe: Recipe = STUDENT,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: bool = True,
) -> tuple[Encoder, pd.DataFrame]:
    """Train a student S of `teacher`: it learns R(x) from A(x), without labels (lesson 05).

    Args:
        teacher: R; a frozen copy of it is used.
        images: N pictures, in memory or files, of any size; their labels are not looked at. Or
            `Pairs`, of which R sees the clean picture and S the ruined one. Or `Shards`, a stream
            of more than a disk holds.
        op: the corruption A, drawn anew for each picture at each step; None for `Pairs`, which are
            ruined already.
        loss: "st:0.1" is the paper's, Eq. 3 at temperature 0.1; "mse" pulls only; "raw_mse" does as
            the authors' code, without normalising embeddings.
        recipe: the paper's is 25 epochs of batches of 256, which suits a hundred thousand pictures.
            Of two thousand these are 200 steps; 30 epochs of batches of 64 at lr 3e-3 suit them.
        checkpoint: a file to go on from when the training was cut off.

    Returns:
        S, in eval mode, on the training's device; and the history of its training, a row for each
        step: epoch, step, loss, lr, images_per_s.

    Raises ValueError for a text that names no operator or loss, no operator where there are no
    pairs, or a checkpoint of another training; TypeError for a function in place of an operator;
    FloatingPointError for a loss that is not finite.
    """
    loss = equations.parse(loss) if isinstance(loss, str) else loss
    if op is None and not isinstance(images, Pairs):
        raise ValueError(
            f"no operator for {images.name}; expected one, as 'mask:0.9', or Pairs, which are "
            "ruined already"
        )
    op = basic.parse("identity" if op is None else op)
    return student.distill(teacher, images, op, loss, recipe, seed, checkpoint, progress)


def fit_probe(
    encoder: Encoder,
    images: Pictures | Pairs,
    op: str | Operator = "identity",
    recipe: ProbeRecipe = PROBE,
    seed: int = 0,
) -> Probe:
    """A linear classifier on the frozen encoder, fitted under `op` on all labels (lesson 06).

    Args:
        images: N pictures with labels of K classes; of `Pairs` the ruined ones.
        op: the corruption that the encoder sees them through; "identity" for clean pictures.
        recipe: the paper's takes another crop, flip and corruption of each picture in each epoch.

    Returns:
        embeddings (B, d) to logits (B, K).

    Raises ValueError for no pictures, no labels or a text that names no operator, TypeError for a
    function in place of one.
    """
    op = basic.parse(op)
    return probe.train(encoder, ruined_alone(images, op), op, recipe, seed)


def evaluate(
    models: Mapping[str, Contestant | Model],
    images: Pictures | Pairs,
    op: str | Operator = "identity",
    realisations: int = 10,
    seed: int = 0,
    batch_size: int = 256,
    progress: bool = True,
) -> pd.DataFrame:
    """Scores of models on corrupted pictures, all of them on the same draws (lesson 06).

    Args:
        models: by name, (encoder, head) pairs, or whole models, pictures (B, 3, S, S) to logits
            (B, K). An encoder with several heads is forwarded once for all of them.
        images: N pictures with labels; of `Pairs` the ruined ones.
        op: the corruption; one without chance in it is evaluated once.
        realisations: how many draws of the corruption; the paper's are ten.
        batch_size: pictures an encoder sees at once; no score depends on it.

    Returns:
        A row for each model and realisation: model, realisation, top1 and top5 in percent (top5 NaN
        for five classes or fewer), with two classes auc. `summary` has their means and errors.

    Raises ValueError for no pictures, no labels, labels without a logit or a text that names no
    operator, TypeError for a function in place of one, FloatingPointError for logits that are not
    finite.
    """
    groups: dict[int, tuple[Model, dict[str, Head]]] = {}
    for name, model in models.items():
        encoder, head = model if isinstance(model, tuple) else (model, nn.Identity())
        groups.setdefault(id(encoder), (encoder, {}))[1][name] = head
    op = basic.parse(op)
    return scores.evaluate_heads(
        list(groups.values()),
        ruined_alone(images, op),
        op,
        realisations,
        seed,
        batch_size,
        progress,
    )


def embed(
    encoder: Encoder,
    images: str | Path | Pictures | Pairs,
    folder: str | Path = "embeddings",
    batch_size: int = 256,
    progress: bool = True,
) -> Path:
    """Write the embeddings of pictures, as they are, and returns the folder (lesson 18).

    `embeddings.npy` is float32 (N, d), as the encoder gives them, not of length one; `names.csv`
    has the name and the label, if there are labels, of each row.

    Args:
        images: a folder of pictures, or any set; of `Pairs` the ruined ones.
        folder: where both files are written, each whole or not at all.
        batch_size: pictures the encoder sees at once.

    Raises ValueError for no pictures, FileNotFoundError for no such folder, OSError for a full
    disk.
    """
    if isinstance(images, str | Path):
        images = ImageFiles.from_folder(images)
    images = images.ruined if isinstance(images, Pairs) else images
    return embedding_files.write(encoder, images, Path(folder), batch_size, progress)
