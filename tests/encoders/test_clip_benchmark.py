"""CLIP_benchmark, which others use, scores an exported student as the course does.

It needs an older numpy than the course's, so it lies in a folder of its own, which
CLIP_BENCHMARK_SITE names. `.ci/run` makes it.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import torch
from PIL import Image

import cinv_lib as ci
from cinv_lib import data, encoders
from cinv_lib.encoders.captions import TEMPLATE
from cinv_lib.evaluation.probe import zero_shot

SITE = os.environ.get("CLIP_BENCHMARK_SITE", "")
pytestmark = pytest.mark.skipif(
    not Path(SITE, "clip_benchmark").is_dir(),
    reason="CLIP_BENCHMARK_SITE names no folder that has CLIP_benchmark; .ci/run makes one",
)


def masked_stickers(n: int) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """Corrupted pictures in 8 bits, their labels and the names of the classes."""
    images = ci.load_images("stickers-100", "val", n=n)
    op, generator = ci.parse_operator("mask:0.9"), torch.Generator().manual_seed(0)
    seen = op(data.to_float(images.images), generator)
    return seen.mul(255).round().byte(), images.labels, list(images.class_names)


def write_webdataset(folder: Path, pictures, labels, names: list[str]) -> None:
    (folder / "test").mkdir(parents=True)
    (folder / "test" / "nshards.txt").write_text("1")
    (folder / "classnames.txt").write_text("\n".join(names))
    template = TEMPLATE.replace("{}", "{c}")
    (folder / "zeroshot_classification_templates.txt").write_text(template)
    with tarfile.open(folder / "test" / "0.tar", "w") as shard:
        for i, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
            png = io.BytesIO()
            Image.fromarray(picture.permute(1, 2, 0).numpy()).save(png, "png")
            for ending, content in (("png", png.getvalue()), ("cls", b"%d" % label)):
                member = tarfile.TarInfo(f"{i:06d}.{ending}")
                member.size = len(content)
                shard.addfile(member, io.BytesIO(content))


@torch.no_grad()
def test_its_command_line_finds_the_courses_own_accuracy(tmp_path):
    student = ci.Lab("stickers", recorded=True).student("mask:0.9")
    pictures, labels, names = masked_stickers(4)
    write_webdataset(tmp_path / "wds", pictures, labels, names)
    folder = ci.save_encoder(student, tmp_path / "student", repo="me/masks")
    words = zero_shot(student, names)
    top1 = (words(student(pictures / 255)).argmax(1) == labels).float().mean().item()
    assert 0.5 < top1 < 0.95  # of 100 classes: neither chance nor all, so that equal says something
    out = tmp_path / "out.json"
    call = (
        f"eval --model local-dir:{folder} --pretrained none --dataset wds/stickers --dataset_root "
        f"{tmp_path / 'wds'} --split test --task zeroshot_classification --no_amp --num_workers 0 "
        f"--batch_size 64 --output {out} --quiet"
    )
    done = subprocess.run(
        [sys.executable, "-c", "from clip_benchmark.cli import main; main()", *call.split()],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": SITE, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(out.read_text())["metrics"]
    print(f"CLIP_benchmark acc1 {found['acc1']}, the course {top1}, {len(labels)} pictures")
    # the same pictures, but for one whose two best classes are as good as equal
    assert abs(found["acc1"] - top1) <= 1 / len(labels) + 1e-6
    assert found["acc1"] != pytest.approx(_clean_teacher(pictures, labels, names), abs=0.05)


def _clean_teacher(pictures, labels, names) -> float:
    """What the teacher has on these pictures: so the weights that were scored are the student's."""
    teacher = encoders.load("stickers-clip")
    words = zero_shot(teacher, names)
    return (words(teacher(pictures / 255)).argmax(1) == labels).float().mean().item()
