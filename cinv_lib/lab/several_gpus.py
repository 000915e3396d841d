"""One training on several GPUs: what `torchrun` starts makes one result between them.

The negatives are those of all processes, and the gradient is that of one process with the whole
batch (see `training.student.gathered`); so the result stands at the same address in the store. What
differs are the draws of the corruption, and batch norms, which see each process's share of the
batch (as under the authors' DataParallel).
"""

import shutil
import tempfile
from pathlib import Path

from accelerate.utils import broadcast_object_list

from cinv_lib.experiments.base import Task
from cinv_lib.experiments.finetuned import FIRST_HALF
from cinv_lib.experiments.trainings import CHECKPOINT, Trained
from cinv_lib.lab.lab import Lab
from cinv_lib.machine import hardware


def make(lab: Lab, task: Task) -> Path:
    """`lab.folder`, by all processes of a torchrun together; alone, just that.

    The first process holds the store's lock and writes; the others train along, each with a copy of
    what is resumed, and write nothing that stays.
    Raises ValueError for what is no training under several processes: it would not be shared.
    """
    place = hardware.accelerator()
    if place.num_processes == 1:
        return lab.folder(task)
    if not isinstance(lab.profile[task.kind], Trained):
        known = ", ".join(e.name for e in lab.profile.entries if isinstance(e, Trained))
        raise ValueError(
            f"{task.kind} is made by one process, and torchrun started {place.num_processes}; "
            f"expected one of {known}: use `python -m cinv_lib.lab.plan` for this one"
        )
    told = []

    def tell(folder: Path | None) -> Path | None:
        """From the first process to all: where it builds; None, that there is nothing to build."""
        told.append(folder)
        return broadcast_object_list([folder])[0]

    if place.is_main_process:

        def lead(folder: Path) -> None:
            tell(folder)
            lab.build(task, folder)

        lab.store.make(**lab.place(task), build=lead)
        if not told:
            tell(None)
    elif (building := tell(None)) is not None:
        with tempfile.TemporaryDirectory() as own:
            for name in (CHECKPOINT, FIRST_HALF):
                if (building / name).exists():
                    shutil.copy(building / name, own)
            lab.build(task, Path(own))
    place.wait_for_everyone()  # the first one may still be writing
    return lab.store.path(**lab.place(task))
