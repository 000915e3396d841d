"""A step of the library's distillation against the bare networks on batches prepared beforehand.

Ours picks its batch from the uint8 pictures, crops, flips, corrupts, and runs teacher, student,
loss, backward and Adam, with progress and divergence checked. The alternative finds the same
number of clean and corrupted batches in memory, as floats, and runs the networks and Adam only.
`python -m tests.bench bench_distill` prints the table.
"""

import statistics
import time

import torch
from torch import Tensor

from cinv_lib import encoders, losses, operators, training
from cinv_lib.data.image_set import ImageSet
from cinv_lib.machine import hardware
from cinv_lib.training.recipe import Recipe

BATCH, STEPS, BLOCKS, GOAL = 64, 10, 7, 1.05
WARM_UP = 2  # steps at the start of each block that are not counted


def rows() -> list[dict[str, object]]:
    """One row a measurement, times in ms a step: medians over steps of alternating blocks."""
    crop = {"crop": (0.35, 1.0), "flip": True}
    return [
        _row("mask:0.9", crop, "crop, flip"),
        _row("noise:0.5", crop, "crop, flip"),
        _row("mask:0.9", {}, "R's embeddings made once"),
    ]


def _row(operator: str, views: dict, words: str) -> dict[str, object]:
    teacher, op = encoders.fresh("stickers-clip", seed=0), operators.parse(operator)
    recipe = Recipe(epochs=1, batch_size=BATCH, lr=1e-3, **views)
    loss, pictures = losses.parse("st:0.1"), _pictures(teacher.image_size)
    bare = _Bare(teacher, pictures, op, loss, recipe)
    ours, theirs = [], []
    for _ in range(BLOCKS):
        _, history = training.distill(teacher, pictures, op, loss, recipe, seed=0, progress=False)
        ours += (1000 * BATCH / history.images_per_s[WARM_UP:]).tolist()
        theirs += bare.block()[WARM_UP:]
    ours_ms, bare_ms = statistics.median(ours), statistics.median(theirs)
    return {
        "name": f"distil {operator}, {words}, batch {BATCH}",
        "ours_ms": ours_ms,
        "alternative": "bare R, S, backward, Adam",
        "alternative_ms": bare_ms,
        "ratio": ours_ms / bare_ms,
        "goal": GOAL,
    }


def _pictures(size: int) -> ImageSet:
    n, generator = BATCH * STEPS, torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=generator)
    return ImageSet(images, torch.zeros(n, dtype=torch.int64), ("any",), "random", "random")


class _Bare:
    """Teacher, student and Adam as the library sets them up, on float batches in memory."""

    def __init__(self, teacher, pictures, op, loss, recipe) -> None:
        self.device = hardware.accelerator().device
        self.bf16, self.loss = hardware.uses_bf16(recipe.precision, self.device), loss
        layout = {"device": self.device, "memory_format": torch.channels_last}
        self.student = encoders.student_of(teacher).to(**layout).train()
        self.teacher = encoders.student_of(teacher).to(**layout).eval().requires_grad_(False)
        self.adam = torch.optim.Adam(self.student.tower.parameters(), lr=recipe.lr, fused=True)
        clean = (pictures.images.float() / 255).split(BATCH)
        self.batches = [(x.to(**layout), op(x).to(**layout)) for x in clean]

    def block(self) -> list[float]:
        """Milliseconds of each step."""
        times = []
        for clean, corrupted in self.batches:
            start = time.perf_counter()
            self._step(clean, corrupted)
            times.append(1000 * (time.perf_counter() - start))
        return times

    def _step(self, clean: Tensor, corrupted: Tensor) -> None:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            with torch.no_grad():
                r = self.teacher(clean)
            s = self.student(corrupted)
        self.loss(s.float(), r.float()).backward()
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.synchronize()


if __name__ == "__main__":
    for row in rows():
        print(
            f"{row['name']:52} {row['ours_ms']:7.1f} ms | {row['alternative']} "
            f"{row['alternative_ms']:7.1f} ms | ratio {row['ratio']:.3f} (goal {row['goal']})"
        )
