"""Image encoders: the teacher R, the student S, and the supervised stand-ins.

Every encoder takes pictures in [0,1] and normalises with its own mean and deviation in `forward`.
A corruption comes *before*, in [0,1] (noise is not clipped): a missing pixel is always black.

CLIP models are whole open_clip models: only the image tower embeds pictures and is trained in a
student. The text tower travels along: a saved student can be asked in words (`captions`).
"""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from cinv_lib.encoders import any_module, folder, published, weight_files
from cinv_lib.encoders import config as encoder_config
from cinv_lib.encoders.config import CLIP_FILES, EMBEDDED, TOWER_FILES


class Encoder(nn.Module):
    """An image tower with its own normalisation.

    clip: the whole open_clip model, or None for a tower without text.
    tower: the module that embeds normalised pictures (`clip.visual` where there is a clip).
    image_size: side S of the pictures it takes; dim: length d of the embedding.
    config: what `save` writes, enough to build the same shape again (see `config`).
    tokenizer: the folder of its text tower's own tokenizer, where it came with one; else None.
    """

    clip: nn.Module | None
    tokenizer: Path | None = None

    def __init__(self, name: str, config: dict[str, Any], clip=None, tower=None):
        super().__init__()
        if (clip is None) == (tower is None):
            raise ValueError("an Encoder wraps a clip or a bare tower, one of the two")
        self.name = name
        self.config = copy.deepcopy(config)
        preprocess = config["preprocess_cfg"]
        self.image_size = int(preprocess["size"])
        self.interpolation = str(preprocess["interpolation"])
        self.dim = int(config["model_cfg"]["embed_dim"])
        self.clip = clip
        # One of the two is registered: a tower under two names would be in the state twice.
        self._tower = tower
        for key in ("mean", "std"):
            value = torch.tensor(preprocess[key], dtype=torch.float32, device="cpu").view(3, 1, 1)
            self.register_buffer(key, value, persistent=False)

    @classmethod
    def wrap(
        cls,
        module: nn.Module,
        image_size: int | None = None,
        mean: Sequence[float | int] | None = None,
        std: Sequence[float | int] | None = None,
        interpolation: str | None = None,
        name: str | None = None,
    ) -> "Encoder":
        """Any module that embeds pictures, as an encoder: a teacher of your own.

        Args:
            module: normalised pictures (B, 3, S, S) to embeddings (B, d). It is kept, not copied,
                and put into eval mode.
            image_size: S, the side in pixels of the pictures that it takes.
            mean, std: of the three channels in [0,1], as in its training; (0, 0, 0) and (1, 1, 1)
                where it normalises by itself.
            interpolation: how its training resized, "bilinear" or "bicubic".
            name: what errors and charts call it; the name of its class if not said.

        A model of timm says all four itself. Of any other module the size must be said, and what
        else is not said is ImageNet's. `save` writes its weights and its preprocessing, and
        `load(folder, tower=module)` fills a module that was made again.

        Raises ValueError for a size, means or stds that cannot be, or a module without embeddings.

        >>> Encoder.wrap(nn.Sequential(nn.Flatten(), nn.Linear(48, 5)), image_size=4).dim
        5
        """
        name = name or type(module).__name__
        given = dict(size=image_size, mean=mean, std=std, interpolation=interpolation)
        config = any_module.config(module, given, name)
        device = next(module.parameters(), torch.zeros((), device="cpu")).device
        return cls(name, config, tower=module).to(device).eval()

    @property
    def tower(self) -> nn.Module:
        return self._tower if self.clip is None else self.clip.visual

    def forward(self, x: Shaped[Tensor, "B C H W"]) -> Float[Tensor, "B d"]:
        """Embed x, float (B, 3, S, S): pictures in [0,1], or corrupted ones, unclipped.

        Returns the tower's embedding (B, d), *not* L2-normalised.
        Raises ValueError for another size, channel count or dtype.
        """
        size = self.image_size
        if x.shape[1:] != (3, size, size) or not x.is_floating_point():
            raise ValueError(
                f"{self.name} takes float pictures of shape (B, 3, {size}, {size}) in [0,1], not "
                f"{tuple(x.shape)} {x.dtype}; resize to {size} px RGB and use data.to_float"
            )
        return self.tower((x.to(self.mean.dtype) - self.mean) / self.std)


def fresh(name: str, seed: int, config: dict[str, Any] | None = None) -> Encoder:
    """An encoder of a known shape with random weights, in eval mode: a function of the seed.

    name: "stickers-clip", ...; "resnet101"; or an open_clip architecture. Torch's state stays.
    config: another shape (see `config`), under any name.

    >>> fresh("stickers-clip", seed=0)(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 128])
    """
    return _build(name, config or encoder_config.named(name), seed)


def load(
    name: str | Path,
    *,
    weights: str | Path | None = None,
    cache_dir: str | None = None,
    tower: nn.Module | None = None,
) -> Encoder:
    """An encoder with its weights, float32, in eval mode, on the CPU.

    name:
      "stickers-clip", "stickers-supervised", ...: the embedded ones (cinv_lib/weights);
      "RN101-quickgelu/openai": any open_clip ARCHITECTURE/TAG, from the local Hugging Face cache
        (or `cache_dir`), else downloaded;
      "RN101-quickgelu" with weights=PATH: an open_clip architecture and a file (.safetensors,
        .pt, or OpenAI's own RN101.pt);
      "hf-hub:ORG/NAME": a repository of the hub in open_clip's form, likewise;
      "resnet101/imagenet": torchvision's, classifier removed; or with weights=PATH;
      a folder written by `save` or in open_clip's form, "local-dir:" before it or not, or the
        .safetensors file in such a folder.
    tower: for a folder of an `Encoder.wrap`, its module made again, which is filled and kept.

    Raises FileNotFoundError (absent weights; within three seconds where the hub is out of reach),
    ValueError (unknown name, truncated file, other architecture, wrong activation) or ImportError
    (transformers is needed), naming what was looked for and what to do.
    """
    text = str(name).removeprefix(folder.LOCAL)
    if tower is not None:
        return _load_saved(text, tower)
    if text in EMBEDDED:
        config_file, shipped = (encoder_config.WEIGHTS / text / f for f in EMBEDDED[text])
        if weights is None and not shipped.is_file():
            raise FileNotFoundError(
                f"{shipped} is absent, although it ships with the course: `git checkout -- "
                f"{shipped}` brings it back, `python -m data_prep teacher` trains it again"
            )
        return _filled(text, encoder_config.read(config_file), Path(weights or shipped))
    own = text != str(name) or text.startswith(folder.HUB)
    if weights is None and (own or Path(text).is_dir() or text.endswith(".safetensors")):
        return _load_saved(text, cache_dir=cache_dir)
    shape, _, tag = text.partition("/")
    config = encoder_config.named(shape)
    if shape == "resnet101" and weights is not None:
        return _filled(text, config, Path(weights))
    record = encoder_config.published(shape, tag, config) if tag else None
    if weights is None:
        if record is None:
            known = (*encoder_config.tags(shape), "..")[0]
            raise ValueError(
                f"{text!r} names a shape without weights: add a tag ({text}/{known}), a file "
                f"(weights=PATH), or use encoders.fresh({text!r}, seed)"
            )
        return _filled(text, config, published.open_clip_weights(text, record, cache_dir))
    folder.check_activation(text, shape, Path(weights), config)
    return _filled(text, config, Path(weights))


def student_of(teacher: Encoder) -> Encoder:
    """A copy of the teacher whose image tower can be trained and whose text tower cannot."""
    student = copy.deepcopy(teacher).requires_grad_(False)
    student.tower.requires_grad_(True)
    student.name = f"student of {teacher.name}"
    return student


def save(
    encoder: Encoder,
    directory: str | Path,
    dtype: torch.dtype = torch.float32,
    config: dict[str, Any] | None = None,
) -> Path:
    """Write an encoder so that `load(directory)` gives it back; each file is written atomically.

    dtype: torch.float32 (exact) or torch.float16 (half the size). config: in place of its own.
    A CLIP is written in open_clip's layout: `open_clip.create_model("local-dir:DIRECTORY")` reads
    it. For others to use it, `export` adds what their programs expect beside.
    Raises ValueError (dtype; a weight too large for float16) or OSError (disk full).
    """
    directory = Path(directory)
    if dtype not in (torch.float32, torch.float16):
        raise ValueError(f"save takes dtype torch.float32 or torch.float16, not {dtype}")
    config_file, weights_file = TOWER_FILES if encoder.clip is None else CLIP_FILES
    text = json.dumps(config or encoder.config, indent=2) + "\n"
    weight_files.write(
        (encoder.clip or encoder.tower).state_dict(), directory / weights_file, dtype
    )
    weight_files.write_bytes(text.encode(), directory / config_file)
    if encoder.tokenizer is not None:
        folder.copy_tokenizer(encoder.tokenizer, directory)
    return directory


def _load_saved(name: str, tower: nn.Module | None = None, cache_dir: str | None = None) -> Encoder:
    if found := folder.files(name, cache_dir):
        config = encoder_config.read(found[0])
        if tower is None:
            encoder = _filled(name, config, found[1])
            encoder.tokenizer = folder.tokenizer_of(found[0]) if encoder.clip else None
            return encoder
        any_module.fill(name, config, found[1], tower)
        return Encoder(name, config, tower=tower).eval()
    path = Path(name)
    if not path.is_dir():
        weight_files.read(path)  # absent or truncated: say that first
    raise FileNotFoundError(
        f"{path if path.is_dir() else path.parent} holds neither {CLIP_FILES[0]} nor "
        f"{TOWER_FILES[0]}: expected a folder written by encoders.save; for a file alone, name its "
        f'shape: load("RN101-quickgelu", weights={name!r})'
    )


def _filled(name: str, config: dict[str, Any], path: Path) -> Encoder:
    """Build the shape and fill it from a file; the file is read first, as it fails faster."""
    state = weight_files.read(path)
    encoder = _build(name, config)
    if config.get("kind") == "torchvision-resnet101":  # published with its classifier
        state = {k: v for k, v in state.items() if not k.startswith("fc.")}
    if encoder.clip:
        state = weight_files.as_built(encoder.clip, state)
    weight_files.load_into(encoder.clip or encoder.tower, state, path, name)
    return encoder


def _build(name: str, config: dict[str, Any], seed: int = 0) -> Encoder:
    """Build the shape in `config` with random weights from `seed`, in eval mode."""
    # Made on the CPU, also where a notebook has set another default device.
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.manual_seed(seed)
        module = encoder_config.build(name, config)
    part = "clip" if config.get("kind", "clip") == "clip" else "tower"
    return Encoder(name, config, **{part: module}).eval()
