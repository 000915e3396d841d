"""One training on several GPUs: what `torchrun` starts makes one result between them.

The negatives are those of all processes, and the gradient is that of one process with the whole
batch (see `training.gathered`); so the result stands at the same address in the store. What differs
are the draws of the corruption, and batch norms, which see each process's share of the batch (as
under the authors' DataParallel).
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list

from cinv_lib.lab import made
from cinv_lib.lab.trained import CHECKPOINT
from cinv_lib.machine import hardware

TRAININGS = ("student", "baseline", "baseline100", "vit", "tuned", "anchored")
Lab = Any  # a `lab.Lab`, which the plan hands over


def make(lab: Lab, kind: str, op: str, seed: int = 0, loss: str | None = None) -> Path:
    """`lab.folder`, by all processes of a torchrun together; alone, just that.

    The first process holds the store's lock and writes; the others train along, each with a copy of
    the checkpoint that is resumed, and write nothing that stays.
    Raises ValueError for what is no training under several processes: it would not be shared.
    """
    place = hardware.accelerator()
    if place.num_processes == 1:
        return lab.folder(kind, op, seed, loss)
    if kind not in TRAININGS:
        raise ValueError(
            f"{kind} is measured by one process, and torchrun started {place.num_processes}; "
            f"expected one of {', '.join(TRAININGS)}: use `python -m cinv_lib.lab.plan` for this"
        )
    spec, build = made.spec(lab.profile, kind, op, seed, loss), made.BUILDS[kind]
    told = []

    def tell(folder: Path | None) -> Path | None:
        """From the first process to all: where it builds; None, that there is nothing to build."""
        told.append(folder)
        return broadcast_object_list([folder])[0]

    if place.is_main_process:

        def lead(folder: Path) -> None:
            tell(folder)
            build(lab, folder, op, seed, loss)

        lab.store.make(kind, spec, lead)
        if not told:
            tell(None)
    elif (building := tell(None)) is not None:
        with tempfile.TemporaryDirectory() as own:
            if (building / CHECKPOINT).exists():
                shutil.copy(building / CHECKPOINT, own)
            build(lab, Path(own), op, seed, loss)
    place.wait_for_everyone()  # the first one may still be writing
    return lab.store.path(kind, spec)
