"""ImageNet-100C (Table 14): `python -m data_prep imagenet100c`, 19 corruptions at 5 severities.

With --published DIR the 100 classes of the published ImageNet-C are linked. Without, the validation
pictures of ImageNet-100 are corrupted here, 475,000 files of some 10 GB; a picture that is there is
not made again, so the command can be killed and started again. Everything is then as published but
the random draws, and the photographs of frost (see cinv_lib/operators/corruptions/textures.py).
"""

import multiprocessing
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from cinv_lib import data
from cinv_lib.data import linked
from cinv_lib.data.image_files import ImageFiles
from cinv_lib.machine.files import whole
from cinv_lib.machine.folders import home

from . import imagenet100, links
from .one_at_a_time import only_one

GROUPS = {
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "weather": ("snow", "frost", "fog", "brightness"),
    "digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
    "extra": ("speckle_noise", "gaussian_blur", "spatter", "saturate"),
}
NAMES = tuple(name for names in GROUPS.values() for name in names)
SEVERITIES = (1, 2, 3, 4, 5)
SEED = 0
QUALITY = 85  # of the JPEG files, as published


def link(published: Path, partial: bool = False, total: int = 5_000) -> None:
    """Link the published folders (CORRUPTION/SEVERITY/WNID, or below noise, blur, ...).

    Raises FileNotFoundError when there is none of them, ValueError naming all that is missing.
    """
    names, label = imagenet100.labels("imagenet100")
    places = {name: _place(published, name) for name in NAMES}
    if not any(places.values()):
        raise FileNotFoundError(
            f"--published {published} has no folder of ImageNet-C: expected {published}/frost/3/"
            f"n01558993/ILSVRC2012_val_....JPEG, or the same below weather; unpack its tar files"
        )
    problems, done = [f"{name}: absent" for name, place in places.items() if not place], 0
    for name, place in tqdm(places.items(), "linking"):
        for severity in SEVERITIES if place else ():
            sources = {w: place / str(severity) / w for w in label}
            sources = {w: folder for w, folder in sources.items() if folder.is_dir()}
            faults = imagenet100.faults_of("val", label, sources, total)
            if faults and not (partial and sources):
                problems += [f"{name}/{severity}/{fault}" for fault in faults]
                continue
            made = "ImageNet-C as published, classes of Table 15"
            made += ", incomplete" if faults else ""
            set_name = f"imagenet100c/{name}/{severity}"
            links.publish(set_name, names, label, {"val": sources}, made)
            done += 1
    print(f"OK  imagenet100c: {done} of {len(NAMES) * len(SEVERITIES)} sets linked")
    if problems and not partial:
        hint = "Unpack or copy what is missing; with --partial, what is there is taken."
        raise ValueError("\n".join([*problems, hint]))


def _place(published: Path, name: str) -> Path | None:
    (group,) = (g for g, names in GROUPS.items() if name in names)
    for place in (published / name, published / group / name):
        if place.is_dir():
            return place
    return None


def make(
    names: Sequence[str] = NAMES, severities: Iterable[int] = SEVERITIES, workers: int = 1
) -> None:
    """Corrupt the validation pictures of ImageNet-100: `names` at `severities`.

    Short side 256, centre 224, corrupted, JPEG of quality 85, as published. A picture is corrupted
    as by corruptions.corrupt_set(clean, name, severity, seed=0).
    Raises ValueError for an unknown corruption, FileNotFoundError without ImageNet-100.
    """
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise ValueError(f"unknown corruptions {', '.join(unknown)}: expected {', '.join(NAMES)}")
    clean = linked.load("imagenet100", "val")
    for name in names:
        for severity in severities:
            with only_one(home() / f"imagenet100c/{name}"):
                _make_set(clean, name, severity, workers)


def _make_set(clean: ImageFiles, name: str, severity: int, workers: int) -> None:
    set_name = f"imagenet100c/{name}/{severity}"
    place = home() / set_name
    if (place / linked.MANIFEST).is_file():
        print(f"OK  {set_name}: there already")
        return
    part = place.with_name(f"{place.name}.making")
    tasks = []
    for i, path in enumerate(map(Path, clean.paths)):
        out = part / "val" / path.parent.name / f"{path.stem}.JPEG"
        if not out.is_file():
            tasks.append((str(path), str(out), name, severity, i))
    for folder in {Path(task[1]).parent for task in tasks}:
        folder.mkdir(parents=True, exist_ok=True)
    bar = {"desc": f"{name} {severity}", "total": len(clean), "initial": len(clean) - len(tasks)}
    if workers > 1:
        context = multiprocessing.get_context("spawn")  # a fork of torch's threads may hang
        with ProcessPoolExecutor(workers, context) as pool:
            for _ in tqdm(pool.map(_corrupt, tasks, chunksize=16), **bar):
                pass
    else:
        for task in tqdm(tasks, **bar):
            _corrupt(task)
    class_names, label = imagenet100.labels("imagenet100")
    made = f"{clean.provenance}; {name} {severity} by cinv_lib/operators/corruptions"
    links.write_manifest(part, class_names, label, {"val": len(clean)}, made)
    os.replace(part, place)
    print(f"OK  {set_name}: {len(clean):,} pictures")


def _corrupt(task: tuple[str, str, str, int, int]) -> None:
    """One picture: from its file to the file of its corruption, written whole or not at all."""
    from cinv_lib.operators import corruptions  # with its filters seconds to import: only if needed

    source, out, name, severity, i = task
    picture = np.array(data.centre(data.open_rgb(source), 256, 224))
    generator = np.random.default_rng([SEED, corruptions.NAMES.index(name), severity, i])
    changed = Image.fromarray(corruptions.corrupt(picture, name, severity, generator))
    with whole(Path(out)) as part:
        changed.save(part, "JPEG", quality=QUALITY)
