"""GPUs that a test makes up: what is wrong with each is said, with a command that helps."""

import os
import shutil

import pytest
import torch

from cinv_lib.machine import gpus, installation

H100, V100, B200 = (9, 0), (7, 0), (10, 0)
CUDA_13 = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"]
CUDA_12_6 = ["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"]


@pytest.fixture
def nvidia_smi(monkeypatch, tmp_path):
    """A driver of a number, as far as nvidia-smi tells; None: it says that it has failed."""

    def made(driver: int | None, count: int = 1) -> None:
        at = tmp_path / "driver"
        at.mkdir(exist_ok=True)
        lines = "".join(f"echo {driver}.65.06\n" for _ in range(count))
        numbers = "".join(f"echo {k}\n" for k in range(count))
        says = f'case "$1" in *driver*) {lines};; *) {numbers};; esac'
        if driver is None:
            says = "echo NVIDIA-SMI has failed because it could not communicate; exit 9"
        (at / "nvidia-smi").write_text(f"#!/bin/sh\n{says}\n".replace("\n;;", ";;"))
        (at / "nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", str(at), prepend=os.pathsep)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return made


@pytest.fixture
def box(monkeypatch, nvidia_smi):
    """A machine with these GPUs."""

    def made(*capabilities, known=CUDA_13, free=70.0, driver=580) -> None:
        nvidia_smi(driver, len(capabilities))
        for name, value in {
            "is_available": lambda: True,
            "device_count": lambda: len(capabilities),
            "get_device_name": lambda k=0: "NVIDIA TEST",
            "get_device_capability": lambda k=0: capabilities[k],
            "get_arch_list": lambda: known,
            "mem_get_info": lambda k=0: (int(free * 2**30), 80 * 2**30),
            "is_bf16_supported": lambda **_: True,
        }.items():
            monkeypatch.setattr(torch.cuda, name, value)
        computed = gpus.product(torch.device("cpu"))
        monkeypatch.setattr(gpus, "product", lambda device: computed)

    return made


def test_gpus_that_compute(box):
    box(H100, H100)
    found = gpus.computes()
    assert found.status == "OK"
    assert found.detail == "NVIDIA TEST each of 2 computes, 70 of 80 GiB free"


@pytest.mark.parametrize(
    ("capability", "known", "driver", "fix"),
    [
        (V100, CUDA_13, 580, "make install TORCH=cu126"),
        (B200, CUDA_12_6, 580, "make install TORCH= (the lock's, for CUDA 13)"),
        (B200, CUDA_12_6, 570, "make install TORCH=cu128; or a driver from 580 on"),
        ((3, 7), CUDA_12_6, 470, "another GPU"),
    ],
)
def test_a_build_that_is_not_for_this_gpu(box, capability, known, driver, fix):
    box(capability, known=known, driver=driver)
    found = gpus.computes()
    assert found.status == "FAIL" and found.fix.startswith(fix)
    assert "its compute capability is {}.{}".format(*capability) in found.detail
    assert known[0] in found.detail


@pytest.mark.parametrize(
    ("capability", "known", "runs"),
    [
        ((8, 9), ["sm_80"], True),  # a program for X.Y runs on later ones of that X,
        ((8, 0), ["sm_86"], False),  # not on earlier ones, and on no other X
        ((9, 0), ["sm_80"], False),
        ((12, 1), ["sm_90", "compute_120"], True),  # what is translated, on all later ones
        ((9, 0), ["sm_90a"], True),
        ((10, 3), ["sm_100a"], False),
        ((10, 3), ["sm_100f"], True),
        ((9, 0), ["gfx90a"], True),  # ROCm's say nothing of this
        ((9, 0), [], True),
    ],
)
def test_what_a_build_runs_on(capability, known, runs):
    assert gpus.built_for(capability, known) is runs


def test_one_of_several_gpus_that_cannot_be_used_is_named_with_the_others(box, monkeypatch):
    box(H100, H100, H100)
    right = gpus.product(torch.device("cpu"))

    def product(device):
        if device.index == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 MiB\nmore")
        return right

    monkeypatch.setattr(gpus, "product", product)
    found = gpus.computes()
    assert found.status == "FAIL" and "CUDA out of memory" in found.detail
    assert "more" not in found.detail
    assert "nvidia-smi" in found.fix and "GPUS='0 2'" in found.fix
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,7")
    assert "GPUS='4 7'" in gpus.computes().fix


def test_a_gpu_that_computes_something_else_than_the_cpu(box, monkeypatch):
    box(H100)
    right = gpus.product(torch.device("cpu"))
    factor = {"cpu": 1.0, "cuda": 1.001}
    monkeypatch.setattr(gpus, "product", lambda device: factor[device.type] * right)
    assert gpus.computes().status == "OK"  # as another order of sums, or TF32
    for wrong in (1.1, float("nan")):
        factor["cuda"] = wrong
        found = gpus.computes()
        assert found.status == "FAIL" and "differs from the CPU's" in found.detail


def test_the_product_is_of_both_kinds_and_each_matters():
    found = gpus.product(torch.device("cpu"))
    assert found.shape == (256, 256) and 30 < float(found.std()) < 80
    assert torch.equal(found, gpus.product(torch.device("cpu")))


@pytest.mark.parametrize("cuda", [None, "13.0", "12.6"])
def test_a_driver_that_this_pytorch_cannot_use(nvidia_smi, monkeypatch, cuda):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    nvidia_smi(535)
    found = gpus.computes()
    assert found.status == "WARN" and "driver 535" in found.detail
    expected = {None: "TORCH=cu126", "13.0": "TORCH=cu126, or a driver from 580", "12.6": "reboot"}
    assert expected[cuda] in found.fix


def test_a_driver_that_does_not_answer(nvidia_smi, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(installation, "recorded", lambda: "")
    monkeypatch.delenv("TORCH", raising=False)
    nvidia_smi(None)
    found = gpus.computes()
    assert found.status == "WARN" and "lists no GPU that works" in found.detail
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert gpus.computes().detail == gpus.NONE


def test_what_cuda_warns_of_is_not_printed(monkeypatch, recwarn):
    import warnings

    def warns():
        warnings.warn("CUDA initialization: the driver is too old", stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", warns)
    assert not gpus.available() and not recwarn.list
