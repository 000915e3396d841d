"""Is everything in place? `make doctor`: a line a check, OK, WARN or FAIL, with the fix.

Every check imports what it needs by itself, so that one broken library costs one line.
"""

import argparse
import hashlib
import importlib
import importlib.metadata
import os
import re
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from cinv_lib.course.finding import REINSTALL, Finding, report
from cinv_lib.machine import host
from cinv_lib.machine.folders import ROOT, home

WEIGHTS = Path(__file__).parents[1] / "weights"
GIB = 2**30


def python() -> Finding:
    """3.11 and 3.12 are tested; newer ones may well work."""
    version, number = sys.version_info[:2], ".".join(map(str, sys.version_info[:3]))
    fix = "rm -rf .venv && make doctor PYTHON=/path/to/python3.12"
    if version < (3, 11):
        return Finding("FAIL", "Python", f"{number} is too old: expected 3.11 or 3.12", fix)
    if version > (3, 12):
        return Finding("WARN", "Python", f"{number} is newer than the tested 3.11 and 3.12", fix)
    return Finding("OK", "Python", f"{number} at {sys.executable}")


def packages(lock: Path = ROOT / "requirements.lock") -> Finding:
    """Installed versions against those of the lock file."""
    different = []
    for name, wanted in locked(lock).items():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found = "absent"
        if found.partition("+")[0] != wanted:
            different.append(f"{name} {found} (expected {wanted})")
    if different:
        shown = "; ".join(different[:4]) + ("; ..." if len(different) > 4 else "")
        detail = f"{len(different)} differ from requirements.lock: {shown}"
        return Finding("WARN", "packages", detail, REINSTALL)
    return Finding("OK", "packages", f"all {len(locked(lock))} as in requirements.lock")


def locked(lock: Path) -> dict[str, str]:
    """name -> version of the lines of a lock file that are for this machine."""
    from packaging.requirements import Requirement

    requirements = [
        Requirement(line)
        for line in lock.read_text().splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    return {
        r.name: next(iter(r.specifier)).version
        for r in requirements
        if r.marker is None or r.marker.evaluate()
    }


def torch() -> Finding:
    """torch imports and computes."""
    torch = importlib.import_module("torch")
    total = float(torch.arange(5.0).sum())
    if total != 10.0:
        return Finding("FAIL", "torch", f"0+1+2+3+4 = {total}", REINSTALL)
    return Finding("OK", "torch", f"{torch.__version__}, {torch.get_num_threads()} threads")


def torchvision() -> Finding:
    """Its compiled operators work; with a torch of another build the import itself fails."""
    torch = importlib.import_module("torch")
    torchvision = importlib.import_module("torchvision")
    boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 9.0, 8.0], [20.0, 20.0, 29.0, 29.0]])
    kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist()
    if kept != [0, 2]:
        return Finding("FAIL", "torchvision", f"nms kept {kept}, expected [0, 2]", REINSTALL)
    return Finding("OK", "torchvision", f"{torchvision.__version__}, its operators work")


def open_clip() -> Finding:
    """open_clip imports and knows the paper's teacher."""
    open_clip = importlib.import_module("open_clip")
    if "RN101-quickgelu" not in open_clip.list_models():
        return Finding("FAIL", "open_clip", "has no model RN101-quickgelu", REINSTALL)
    return Finding("OK", "open_clip", open_clip.__version__)


def widgets() -> Finding:
    """Sliders need ipywidgets in the kernel and its extension in JupyterLab."""
    ipywidgets = importlib.import_module("ipywidgets")
    lab = importlib.metadata.version("jupyterlab")
    extension = Path("share/jupyter/labextensions/@jupyter-widgets/jupyterlab-manager")
    if not (Path(sys.prefix) / extension / "package.json").is_file():
        detail = f"JupyterLab's extension is not in {sys.prefix}"
        return Finding("FAIL", "widgets", detail, REINSTALL)
    return Finding("OK", "widgets", f"ipywidgets {ipywidgets.__version__}, JupyterLab {lab}")


def kernel() -> Finding:
    """The notebooks' kernel is this environment's."""
    from jupyter_client.kernelspec import KernelSpecManager

    spec = KernelSpecManager().get_kernel_spec("python3")
    if not Path(spec.resource_dir).is_relative_to(sys.prefix):
        detail = f"python3 is {spec.resource_dir}, not one of {sys.prefix}"
        return Finding("WARN", "kernel", detail, "start it by `make lab`; unset JUPYTER_PATH")
    return Finding("OK", "kernel", "python3 is this environment's")


def gpu() -> Finding:
    """A GPU is welcome and not needed."""
    torch = importlib.import_module("torch")
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        return Finding("OK", "GPU", f"{name}, {free / GIB:.0f} of {total / GIB:.0f} GiB free")
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and host.gpus() in ([], ["-1"]):
        return Finding("OK", "GPU", f"hidden by CUDA_VISIBLE_DEVICES={hidden!r}")
    if shutil.which("nvidia-smi"):
        detail = f"there is an NVIDIA driver, but torch {torch.__version__} does not reach a GPU"
        return Finding("WARN", "GPU", detail, "run nvidia-smi; the driver may be too old for torch")
    return Finding("OK", "GPU", "none; the stickers profile needs none")


def bf16() -> Finding:
    """bfloat16 about halves the training times where the hardware has it."""
    torch = importlib.import_module("torch")
    hardware = importlib.import_module("cinv_lib.machine.hardware")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if hardware.bf16_pays(device):
        return Finding("OK", "bf16", f"the {device.type} computes in bfloat16")
    return Finding("OK", "bf16", f"not on this {device.type}; float32 takes about twice as long")


def memory() -> Finding:
    """The course peaks at about 2 GiB, and each further training at once takes 1.5 GiB more."""
    free, cores = host.memory(), host.cores()
    if free is None:
        return Finding("OK", "memory", "this system does not say")
    detail = f"{free / GIB:.1f} GiB are free for {cores} cores: {host.jobs([])} jobs at once"
    if free < 2.5 * GIB:
        fix = "close programs, or give the container more memory"
        return Finding("WARN", "memory", f"{detail}; expected 2.5 GiB or more", fix)
    return Finding("OK", "memory", detail)


def user(folder: Path | None = None) -> Finding:
    """Programs keep caches in HOME; where they cannot, make gives them another folder."""
    folder = folder or Path(os.path.expanduser("~"))
    if not host.writable(folder):
        kept = f"make keeps caches in {host.stand_in()}"
        detail = f"HOME={str(folder)!r} cannot be written to; {kept}"
        fix = "none needed for make; else export HOME=/a/folder/of/yours"
        return Finding("WARN", "home", detail, fix)
    return Finding("OK", "home", f"{host.user()} can write to {folder}")


def disk(folder: Path | None = None) -> Finding:
    """Data, students and executed notebooks take about 1 GiB."""
    folder = folder or home()
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free / GIB
    fix = f"free some space on the disk of {there}, or set CINV_HOME and CINV_RUNS to another disk"
    if not os.access(there, os.W_OK):
        return Finding("FAIL", "disk", f"{there} cannot be written to", fix)
    if free < 3:
        status = "FAIL" if free < 0.5 else "WARN"
        return Finding(status, "disk", f"{free:.1f} GiB free at {there}: expected 3", fix)
    return Finding("OK", "disk", f"{free:.0f} GiB free at {there}")


def data(folder: Path | None = None) -> Finding:
    """What `python -m data_prep` left; without it the first lesson makes it."""
    folder = folder or home()
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    if not files:
        detail, fix = f"nothing in {folder} yet", ".venv/bin/python -m data_prep stickers"
        return Finding("WARN", "data", detail, f"{fix} (else the first lesson makes it)")
    size = sum(path.stat().st_size for path in files) / 2**20
    return Finding("OK", "data", f"{len(files)} files, {size:.0f} MiB in {folder}")


def weights(folder: Path, load: bool = True) -> Finding:
    """An embedded encoder: its file is the one of its model card, and gives finite embeddings."""
    fix = f"git checkout -- {relative(folder)}"
    cards, files = folder / "MODEL_CARD.md", sorted(folder.glob("*.safetensors"))
    name = f"weights {folder.name}"
    if not files or not cards.is_file():
        missing = "MODEL_CARD.md" if files else "the .safetensors file"
        return Finding("FAIL", name, f"{missing} is absent", fix)
    digest = hashlib.sha256(files[0].read_bytes()).hexdigest()
    size = files[0].stat().st_size
    if digest not in re.findall(r"\b[0-9a-f]{64}\b", cards.read_text(encoding="utf-8")):
        detail = f"{files[0].name} ({size:,} bytes, sha256 {digest[:12]}...) is not the card's"
        return Finding("FAIL", name, detail, fix)
    if load:
        torch = importlib.import_module("torch")
        encoder = importlib.import_module("cinv_lib.encoders").load(folder.name)
        images = torch.zeros(1, 3, encoder.image_size, encoder.image_size)
        with torch.no_grad():
            embedding = encoder(images)
        if not bool(embedding.isfinite().all()):
            return Finding("FAIL", name, "embeds a black picture as NaN", fix)
    return Finding("OK", name, f"{size / 2**20:.1f} MiB, as in its model card")


def clip() -> Finding:
    """OpenAI's CLIP, which the offline course does without."""
    hub = importlib.import_module("huggingface_hub")
    repository = "timm/resnet101_clip.openai"
    for file in ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"):
        if isinstance(hub.try_to_load_from_cache(repository, file), str):
            return Finding("OK", "OpenAI's CLIP", "RN101 is in the Hugging Face cache")
    return Finding("OK", "OpenAI's CLIP", "RN101 is not here, and the offline course needs none")


def port(number: int = 8888) -> Finding:
    """JupyterLab's port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError as error:
            detail = f"{number} is taken ({error.strerror})"
            fix = f"none needed, JupyterLab takes the next; or make lab PORT={number + 100}"
            return Finding("WARN", "port", detail, fix)
    return Finding("OK", "port", f"{number} is free for make lab")


def relative(path: Path) -> Path:
    """The path as typed from the repository's root."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def checks(port_number: int = 8888) -> list[tuple[str, Callable[[], Finding]]]:
    """(name, check) of everything, the foundations first."""
    named = (python, packages, torch, torchvision, open_clip, widgets, kernel, gpu, bf16, memory)
    later = (user, disk, data, clip)
    return [
        *((check.__name__, check) for check in (*named, *later)),
        *(
            (f"weights {name}", lambda name=name: weights(WEIGHTS / name))
            for name in sorted(folder.name for folder in WEIGHTS.iterdir() if folder.is_dir())
        ),
        ("port", lambda: port(port_number)),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Entry point of `python -m cinv_lib.course.doctor`."""
    parser = argparse.ArgumentParser(prog="make doctor", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8888, help="the port `make lab` will ask for")
    return report(checks(parser.parse_args(arguments).port))


if __name__ == "__main__":
    sys.exit(main())
