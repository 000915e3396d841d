"""What a profile needs before its first training, on machines that a test makes up."""

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from machine.test_gpus import H100, box, nvidia_smi  # noqa: F401

from cinv_lib.course import capacity, doctor, guards
from cinv_lib.course.requested import asked
from cinv_lib.lab import missing
from cinv_lib.lab.profiles import own
from cinv_lib.machine import folders, hardware, host
from cinv_lib.machine.finding import examine

ROOT = Path(__file__).parents[2]
GIB = 2**30


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    """Neither CPU=1, nor a choice of GPUs, and no network."""
    monkeypatch.delenv("CPU", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(missing, "fetchable", lambda name: False)
    monkeypatch.setattr(missing, "unfetched", lambda name: None)


@pytest.fixture
def large(box, monkeypatch):  # noqa: F811
    """A box with so many H100, and enough of everything."""

    def made(count=1, cores=16, memory=512, shm=64, disk=2000, free=79.0):
        box(*[H100] * count, free=free)
        monkeypatch.setattr(host, "cores", lambda *_: cores)
        monkeypatch.setattr(host, "memory", lambda *_: memory * GIB)
        monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
        monkeypatch.setattr(
            os, "statvfs", lambda _: SimpleNamespace(f_bavail=int(shm * GIB) // 4096, f_frsize=4096)
        )
        usage = SimpleNamespace(free=disk * GIB)
        monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
        monkeypatch.setattr(missing, "command", lambda name: None)

    return made


def found(*words):
    """name -> finding."""
    done = [(name, examine(name, check)) for name, check in guards.checks(words)]
    assert all(one.fix for _, one in done if one.status != "OK"), "each has a fix"
    return {name: one for name, one in done}


def run_of(*words):
    return asked(words)[0]


@pytest.mark.parametrize("name", ["imagenet100", "stl10"])
def test_a_box_that_has_all_can_start(large, home, name, capsys):
    large(4, cores=64)
    assert {one.status for one in found(f"profile={name}").values()} == {"OK"}
    assert guards.main(["--config", f"profile={name}", "seeds=3", "lessons=all", "gpus=0 1"]) == 0
    assert capsys.readouterr().out.endswith("8 OK, 0 WARN, 0 FAIL: it can start\n")


@pytest.fixture
def without(monkeypatch, tmp_path):
    """No GPU, and no nvidia-smi."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(host, "cores", lambda *_: 2)


def test_a_paper_profile_without_a_gpu_is_refused_with_what_it_would_take(
    without, home, monkeypatch, capsys
):
    refused = found("profile=imagenet100")["gpu"]
    assert refused.status == "FAIL"
    assert "32 trainings" in refused.detail and "hours of an H100" in refused.detail
    assert "years of the 2 cores here" in refused.detail
    assert refused.fix.endswith("make course PROFILE=imagenet100 CPU=1")
    assert guards.main(["profile=imagenet100"]) == 1
    assert "FAIL GPU" in capsys.readouterr().out
    # less is asked for, less it takes; what trains nothing needs none
    one = found("profile=imagenet100", "lessons=05")["gpu"]
    assert "asks for 1 training of" in one.detail and "days of" in one.detail
    assert found("profile=imagenet100", "lessons=01")["gpu"].status == "OK"
    monkeypatch.setenv("CPU", "1")
    assert found("profile=imagenet100")["gpu"].status == "OK"


def test_a_gpu_that_cannot_be_used_is_refused_with_what_mends_it(
    without,
    nvidia_smi,  # noqa: F811
    home,
    monkeypatch,
):
    nvidia_smi(535)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    refused = found("profile=stl10")["gpu"]
    assert refused.status == "FAIL" and "driver 535" in refused.detail
    assert refused.fix.startswith("make install TORCH=cu126") and "CPU=1" in refused.fix
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert found("profile=stl10")["gpu"].fix.startswith("unset CUDA_VISIBLE_DEVICES;")


@pytest.mark.parametrize(
    ("gib", "status"), [(0.0625, "FAIL"), (0.3, "FAIL"), (1.0, "WARN"), (2.0, "OK")]
)
def test_shared_memory_of_a_container(large, home, gib, status):
    """64 MB is docker's; sixteen processes decode batches of 38 MB, two each."""
    large(shm=gib)
    here = found("profile=imagenet100", "lessons=05")["shm"]
    assert here.status == status
    assert ("docker run --shm-size=4g" in here.fix) == (status != "OK")
    assert capacity.shm(run_of("profile=imagenet100"), Path("/none")).status == "OK"  # macOS


@pytest.mark.parametrize(
    ("free", "lesson", "status"),
    [(79, "05", "OK"), (79, "14", "OK"), (23.5, "05", "WARN"), (23.5, "14", "WARN"),
     (39, "14", "WARN"), (8.5, "05", "WARN"), (6, "05", "FAIL"), (6, "01", "OK")],
)  # fmt: skip
def test_memory_of_the_card(large, home, free, lesson, status):
    large(free=float(free))
    here = found("profile=imagenet100", f"lessons={lesson}")["memory_of_card"]
    assert here.status == status, here


def test_without_bfloat16_a_step_takes_twice_the_memory(large, home, monkeypatch):
    large(free=39.0)
    words = ("profile=imagenet100", "lessons=05")
    assert found(*words)["memory_of_card"].status == "OK"
    monkeypatch.setattr(hardware, "bf16_pays", lambda device: False)
    assert found(*words)["memory_of_card"].status == "WARN"


def test_memory_of_the_host_names_how_many_jobs_fit(large, home):
    large(4, cores=64, memory=30)
    here = found("profile=imagenet100")["memory"]
    assert here.status == "WARN" and here.fix == "make course JOBS=2"
    large(1, memory=6)
    assert "close programs" in found("profile=imagenet100")["memory"].fix


def test_cores_for_each_gpu(large, home, monkeypatch):
    large(4, cores=64)
    assert found("profile=imagenet100")["cores"].status == "OK"
    monkeypatch.setattr(os, "getloadavg", lambda: (0.75 * os.cpu_count(), 0.0, 0.0))
    assert "75% of them busy: 4 for each" in found("profile=imagenet100")["cores"].detail
    large(4, cores=8)
    here = found("profile=imagenet100")["cores"]
    assert here.status == "WARN" and "million files are decoded" in here.detail
    assert "GPUS=0" in here.fix
    held = [float(word) for word in here.detail.split() if word.isdecimal()]
    assert held[-3] > 1.5 * held[-1]  # hours with 2 cores, 8 cores, and what these take


def test_disk_by_the_bill_less_what_is_there(large, home, monkeypatch):
    large(disk=8)
    assert found("profile=imagenet100")["room"].status == "OK"
    many = found("profile=imagenet100", "seeds=3")["room"]
    assert many.status == "FAIL" and "CINV_RUNS" in many.fix
    kept = folders.runs("imagenet100") / "student.safetensors"
    kept.parent.mkdir(parents=True)
    with kept.open("wb") as file:
        file.truncate(15 * 10**9)
    assert found("profile=imagenet100", "seeds=3")["room"].status == "OK"


def test_pictures_that_are_brought_or_downloaded_or_left_out(home, monkeypatch):
    absent = guards.pictures(run_of("profile=imagenet100"))
    assert absent.status == "FAIL" and "nothing is trained" in absent.detail
    assert absent.fix == ".venv/bin/python -m data_prep imagenet100 --imagenet DIR"
    later = guards.pictures(run_of("profile=stl10"))
    assert later.status == "WARN" and "make course fetches what it can, 2.6 GB" in later.fix
    monkeypatch.setattr(missing, "command", lambda name: "python -m x" if name == "covid" else None)
    less = guards.pictures(run_of("profile=imagenet100"))
    assert less.status == "WARN" and "absent: covid; lesson 09 cannot" in less.detail
    assert guards.pictures(run_of("profile=imagenet100", "lessons=05")).status == "OK"


def test_weights_that_are_here_later_or_not(large, home, monkeypatch):
    large()
    advice = (
        "x: the weights are not on this machine (...). On a machine with network run `hf`; copy"
    )
    monkeypatch.setattr(missing, "unfetched", lambda name: advice)
    here = found("profile=imagenet100")["weights"]
    assert here.status == "FAIL" and here.fix == "on a machine with network run `hf`; copy"
    assert "nor are those of resnet101/imagenet" in here.detail
    monkeypatch.setattr(missing, "unfetched", lambda n: advice if n.startswith("ViT") else None)
    assert found("profile=imagenet100")["weights"].status == "WARN"  # lesson 14's alone
    assert found("profile=imagenet100", "lessons=05")["weights"].status == "OK"
    monkeypatch.setattr(missing, "fetchable", lambda name: True)
    monkeypatch.setattr(missing, "unfetched", lambda name: pytest.fail("it was downloaded"))
    assert "make course downloads them" in found("profile=imagenet100")["weights"].fix


def test_on_a_cluster_only_what_is_shared_is_looked_at(without, home):
    assert set(found("profile=imagenet100", "slurm=1")) == {"pictures", "weights", "room"}


def test_a_readers_own_run_needs_no_gpu_and_its_pictures(without, home, tmp_path, monkeypatch):
    monkeypatch.setenv("CINV_RUNS", str(tmp_path / "runs"))
    (tmp_path / "photos").mkdir()
    run = own.Own(str(tmp_path / "photos"), "mask:0.9", "stickers-clip", labelled=False)
    own.write("own/rows", run)
    here = found("profile=own/rows")
    assert {name: one.status for name, one in here.items() if one.status == "FAIL"} == {}
    (tmp_path / "photos").rmdir()
    assert (
        found("profile=own/rows")["pictures"].fix == f"put the folder back: {tmp_path / 'photos'}"
    )


@pytest.mark.parametrize(
    "words",
    [("profile=nonsense",), ("profile=own/nobody",), ("profile=own/../x",), ("profile=",),
     ("profile=stl10", "seeds=x"), ("profile=stl10", "lessons=99"), ("profile=stl10", "gpus=a b")],
)  # fmt: skip
def test_words_that_mean_nothing_are_one_line(words, home, capsys):
    assert guards.main(words) == 1
    assert capsys.readouterr().out.startswith("FAIL profile: ValueError: ")


def test_whatever_breaks_is_a_finding(large, home, monkeypatch):
    large()
    broken = RuntimeError("no CUDA-capable device is detected")

    def breaks(*_, **__):
        raise broken

    for name in ("mem_get_info", "get_device_capability", "device_count"):
        with monkeypatch.context() as patch:
            patch.setattr(torch.cuda, name, breaks)
            assert found("profile=stl10")["gpu"].status == "FAIL"
    monkeypatch.setattr(guards, "checks", breaks)
    (line,) = doctor.of_profile(["profile=stl10"])
    assert line[1]().status == "FAIL"


def test_the_doctor_asks_for_a_profile_that_is_not_embedded(without, home):
    plain = [name for name, _ in doctor.checks(0)]
    for name in ("stickers", "smoke"):
        assert [name for name, _ in doctor.checks(0, [f"profile={name}"])] == plain
    further = [name for name, _ in doctor.checks(0, ["profile=imagenet100"])][len(plain) :]
    assert further[0] == "gpu" and {"shm", "room", "cores"} < {*further}


def test_make_asks_before_snakemake_and_of_the_embedded_profiles_nothing():
    def shown(*arguments, **environment):
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        command = ["make", "-n", "course", "GPUS=0 1", "JOBS=2", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=kept | environment, capture_output=True, text=True, check=True
        )
        return done.stdout.replace("\\\n", "")

    for name in ("stickers", "smoke"):
        assert "guards" not in shown(f"PROFILE={name}")
    line = next(line for line in shown("PROFILE=own/a", "SEEDS=3").splitlines() if "guards" in line)
    before, after = line.split("&&")
    assert (
        'guards --config profile="own/a" seeds="3" tables="some" lessons="all" gpus="0 1"' in before
    )
    assert "snakemake" in after
    assert "guards" not in shown("PROFILE=stl10", CINV_REHEARSAL="1")
