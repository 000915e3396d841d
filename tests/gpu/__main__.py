"""python -m tests.gpu: see the package."""

import argparse
import faulthandler
import importlib.util
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

# What the library imports -> the package that has it.
NEEDED = {
    "torch": "torch", "torchvision": "torchvision", "open_clip": "open_clip_torch",
    "accelerate": "accelerate", "safetensors": "safetensors", "numpy": "numpy", "scipy": "scipy",
    "pandas": "pandas", "PIL": "pillow", "matplotlib": "matplotlib", "skimage": "scikit-image",
    "cv2": "opencv-python-headless", "sklearn": "scikit-learn", "lazy_loader": "lazy-loader",
    "jaxtyping": "jaxtyping", "filelock": "filelock", "platformdirs": "platformdirs",
    "tqdm": "tqdm",
}  # fmt: skip
FIX = "pip install --no-index --find-links WHEELS"
LONGEST = 470  # seconds


def missing() -> list[str]:
    """The packages that are not installed here."""
    return [package for name, package in NEEDED.items() if importlib.util.find_spec(name) is None]


def attempt(name: str, section: Callable[[], Iterator[str]]) -> bool:
    """Run a section and print its lines as they come; whether it went to its end."""
    began = time.monotonic()
    try:
        for line in section():
            print(f"      {name}: {line}", flush=True)
    except Exception as error:  # the next sections shall still be seen
        ours = [f for f in traceback.extract_tb(error.__traceback__) if "cinv_lib" in f.filename]
        at = " <- ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(ours[-3:]))
        said = " ".join(str(error).split())[:300]
        print(f"FAIL  {name}: {type(error).__name__}: {said} [{at or 'tests.gpu'}]", flush=True)
        return False
    print(f"OK    {name} ({time.monotonic() - began:.0f} s)", flush=True)
    return True


def main(arguments: list[str] | None = None) -> int:
    """Run the sections; 1 where one failed."""
    parser = argparse.ArgumentParser("python -m tests.gpu", description=__doc__)
    parser.add_argument("--seconds", type=int, default=LONGEST, help="at most so long, about")
    parser.add_argument("--only", action="append", metavar="SECTION", help="or several")
    given = parser.parse_args(arguments)
    until = time.monotonic() + given.seconds
    faulthandler.dump_traceback_later(given.seconds + 90, exit=True)  # a GPU that hangs
    os.environ["TQDM_DISABLE"] = "1"
    if absent := missing():
        wanted = " ".join(absent)
        print(f"FAIL  not installed: {wanted}; fix: {FIX} {wanted}")
        print("1 sections failed")
        return 1
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        os.environ |= {"CINV_HOME": f"{folder}/home", "CINV_RUNS": f"{folder}/runs"}
        from tests.gpu import sections  # imports the library, which reads these

        chosen = given.only or list(sections.SECTIONS)
        if unknown := [name for name in chosen if name not in sections.SECTIONS]:
            parser.error(f"no section {unknown[0]!r}; there are: {', '.join(sections.SECTIONS)}")
        failed, skipped = [], []
        for name in chosen:
            section, seconds = sections.SECTIONS[name]
            if sections.GPU and until - time.monotonic() < seconds:
                skipped.append(name)
                print(f"SKIP  {name}: it takes about {seconds} s", flush=True)
                continue
            sections.forget()
            if not attempt(name, lambda: section(Path(folder))):  # noqa: B023 (called at once)
                failed.append(name)
    faulthandler.cancel_dump_traceback_later()
    if not sections.GPU:
        print("no GPU: small networks and few pictures, and none of these figures means anything")
    if skipped:
        print(f"skipped: {', '.join(skipped)}")
    print(f"{len(failed)} sections failed" + (f": {', '.join(failed)}" if failed else ""))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
