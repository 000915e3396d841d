"""Is everything in place? `make doctor`: a line a check, OK, WARN or FAIL, with the fix.

Before the installation `make doctor` asks `machine.preflight` alone. Here things are not looked for
but done: a kernel is started and asked whose library it has, the runner runs, the GPU computes.
Every check imports what it needs by itself, so that one broken library costs one line.
"""

import argparse
import hashlib
import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from cinv_lib.machine import folders, installation, preflight
from cinv_lib.machine.finding import REINSTALL, Finding, report
from cinv_lib.machine.folders import ROOT, home

WEIGHTS = Path(__file__).parents[1] / "weights"
KERNEL = "import sys, cinv_lib; from cinv_lib.machine import folders; "
KERNEL += "print(sys.prefix, cinv_lib.__file__, folders.shown(), sep='\\n')"


def python() -> Finding:
    """3.11 and 3.12 are tested; newer ones may well work."""
    version, number = sys.version_info[:2], ".".join(map(str, sys.version_info[:3]))
    fix = "rm -rf .venv && make install PYTHON=/path/to/python3.12"
    if version < (3, 11):
        return Finding("FAIL", "Python", f"{number} is too old: expected 3.11 or 3.12", fix)
    if version > (3, 12):
        return Finding("WARN", "Python", f"{number} is newer than the tested 3.11 and 3.12", fix)
    return Finding("OK", "Python", f"{number} at {sys.executable}")


def packages(lock: Path = ROOT / "requirements.lock") -> Finding:
    """Installed versions against the lock file's, but for PyTorch's own where TORCH chose."""
    different, chosen = [], installation.recorded()
    for name, wanted in locked(lock).items():
        if chosen and installation.TORCHS.match(f"{name}=="):
            continue
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
    try:
        torch = importlib.import_module("torch")
    except Exception as error:
        stray = os.environ.get("PYTHONPATH")
        if not stray:
            raise
        fix = f"unset PYTHONPATH (it is {stray}): a library in it is not this environment's"
        return Finding("FAIL", "torch", f"{type(error).__name__}: {str(error)[:200]}", fix)
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
    """A kernel, started as a lesson's is, is this environment's and has this checkout's library."""
    from jupyter_client.manager import start_new_kernel

    fix = f"unset JUPYTER_PATH; if that does not help: {REINSTALL}"
    said: list[str] = []
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(ROOT / "notebooks"))
    try:
        client.execute_interactive(
            KERNEL, output_hook=lambda message: said.append(_printed(message)), timeout=120
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    prefix, library, *shown = "".join(said).strip().split("\n")
    if Path(prefix).resolve() != Path(sys.prefix).resolve():
        return Finding("FAIL", "kernel", f"python3 is {prefix}'s, not {sys.prefix}'s", fix)
    if Path(library).resolve() != ROOT / "cinv_lib/__init__.py":
        fix = f"unset PYTHONPATH; if that does not help: {REINSTALL}"
        return Finding("FAIL", "kernel", f"it has the library {library}, not {ROOT}'s", fix)
    if "\n".join(shown) != folders.shown():
        return Finding("FAIL", "kernel", f"it has other folders: {', '.join(shown)}", "make lab")
    return Finding("OK", "kernel", "python3 starts, with this library and these folders")


def _printed(message: dict) -> str:
    """What a message of a kernel says, an error included."""
    content = message["content"]
    if message["header"]["msg_type"] == "error":
        raise RuntimeError(f"a kernel stopped: {content['ename']}: {content['evalue']}")
    return content["text"] if content.get("name") == "stdout" else ""


def runner() -> Finding:
    """snakemake runs a rule, with this HOME and this user."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "Snakefile").write_text("rule all:\n    output: touch('done')\n")
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--quiet", "--nolock"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        if not Path(folder, "done").exists():
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            fix = "make doctor (not python -m), which gives it a HOME that can be written to"
            return Finding("FAIL", "runner", f"snakemake stopped: {last[:200]}", fix)
    return Finding("OK", "runner", "snakemake runs a rule")


def gpu() -> Finding:
    """A GPU is welcome and not needed. Those that are named compute."""
    return importlib.import_module("cinv_lib.machine.gpus").computes()


def bf16() -> Finding:
    """bfloat16 about halves the training times where the hardware has it."""
    torch = importlib.import_module("torch")
    hardware = importlib.import_module("cinv_lib.machine.hardware")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if hardware.bf16_pays(device):
        return Finding("OK", "bf16", f"the {device.type} computes in bfloat16")
    return Finding("OK", "bf16", f"not on this {device.type}; float32 takes about twice as long")


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
    if not (ROOT / ".git").exists():
        fix = f"download the course again: its archive has {relative(folder)}"
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


def relative(path: Path) -> Path:
    """The path as typed from the repository's root."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def checks(
    port_number: int = 8888, words: Sequence[str] = ()
) -> list[tuple[str, Callable[[], Finding]]]:
    """(name, check) of everything, the foundations first. words: see `guards`."""
    named = (python, packages, torch, torchvision, open_clip, widgets, kernel, runner, gpu, bf16)
    return [
        *((check.__name__, check) for check in named),
        *preflight.always(),
        *((check.__name__, check) for check in (data, clip)),
        *(
            (f"weights {name}", lambda name=name: weights(WEIGHTS / name))
            for name in sorted(folder.name for folder in WEIGHTS.iterdir() if folder.is_dir())
        ),
        ("port", lambda: preflight.port(port_number)),
        *of_profile(words),
    ]


def of_profile(words: Sequence[str]) -> list[tuple[str, Callable[[], Finding]]]:
    """What a profile needs that is not embedded, which runs anywhere."""
    if not words or {"profile=stickers", "profile=smoke"} & {*words}:
        return []
    try:
        return list(importlib.import_module("cinv_lib.course.guards").checks(words))
    except Exception as error:  # a library is broken
        said = f"{type(error).__name__}: {error}"
        return [("profile", lambda: Finding("FAIL", "profile", said, REINSTALL))]


def main(arguments: list[str] | None = None) -> int:
    """Entry point of `python -m cinv_lib.course.doctor`."""
    parser = argparse.ArgumentParser(prog="make doctor", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8888, help="the port `make lab` will ask for")
    parser.add_argument(
        "words", nargs="*", metavar="WORD=VALUE", help="what make course is asked for"
    )
    given = parser.parse_args(arguments)
    return report(checks(given.port, given.words))


if __name__ == "__main__":
    sys.exit(main())
