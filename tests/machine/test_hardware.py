"""Where things run: a launcher's variables, whole or left over."""

import os

import pytest
import torch
from accelerate.state import AcceleratorState

from cinv_lib.machine import hardware, host

TORCHRUN = {
    "RANK": "1",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
    "TORCHELASTIC_RUN_ID": "none",
}
STRAY = {
    "ACCELERATE_MIXED_PRECISION": "fp16",
    "ACCELERATE_USE_FSDP": "true",
    "PMI_SIZE": "4",
    "OMPI_COMM_WORLD_SIZE": "2",
    "MV2_COMM_WORLD_SIZE": "2",
    "SLURM_NTASKS": "4",
}


@pytest.fixture
def seen(monkeypatch):
    """What accelerate sees of the environment: {name: value} of what a launcher may set."""
    for name in (*TORCHRUN, *STRAY):
        monkeypatch.delenv(name, raising=False)
    found = {}

    class Look(hardware.Accelerator):
        def __init__(self, cpu):
            names = [name for name in os.environ if name in {*TORCHRUN, *STRAY}]
            found.update({name: os.environ[name] for name in names})

    monkeypatch.setattr(hardware, "Accelerator", Look)
    return found


def set_all(monkeypatch, values):
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_torchrun_puts_a_process_among_others(monkeypatch, seen):
    set_all(monkeypatch, TORCHRUN | STRAY)
    hardware.accelerator()
    assert seen == TORCHRUN


@pytest.mark.parametrize("absent", TORCHRUN)
def test_a_part_of_what_torchrun_sets_is_left_over_from_something(monkeypatch, seen, absent):
    before = {name: value for name, value in (TORCHRUN | STRAY).items() if name != absent}
    set_all(monkeypatch, before)
    hardware.accelerator()
    assert not hardware.launched() and set(seen) <= {"TORCHELASTIC_RUN_ID"}
    assert before.items() <= os.environ.items()  # other programs' variables are given back


def test_accelerate_trains_alone_beside_a_stray_world(monkeypatch):
    """The real one, which would wait for three others."""
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    set_all(monkeypatch, {"WORLD_SIZE": "4", "ACCELERATE_MIXED_PRECISION": "bf16"} | STRAY)
    AcceleratorState._reset_state(reset_partial_state=True)  # as in a process of its own
    place = hardware.accelerator()
    assert (place.num_processes, place.process_index, place.mixed_precision) == (1, 0, "no")


def test_decoders_share_the_cores_between_the_processes_of_torchrun_alone(monkeypatch):
    monkeypatch.setattr(host, "cores", lambda: 12)
    device = torch.device("cuda")
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "many")
    assert hardware.decoders(device) == 12
    set_all(monkeypatch, TORCHRUN)
    assert hardware.decoders(device) == 3
    monkeypatch.setattr(host, "cores", lambda: 64)
    assert hardware.decoders(device) == 16
    assert hardware.decoders(torch.device("cpu")) == 0


def test_a_mac_s_gpu_is_asked_for(monkeypatch, seen):
    asked = []

    class Asked(hardware.Accelerator):
        def __init__(self, cpu):
            asked.append(cpu)

    monkeypatch.setattr(hardware, "Accelerator", Asked)
    monkeypatch.delenv("MPS", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for there, wanted, on_cpu in [(True, "", True), (True, "1", False), (False, "", True)]:
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda there=there: there)
        monkeypatch.setenv("MPS", wanted)
        hardware.accelerator()
        assert asked.pop() is on_cpu
    monkeypatch.setenv("MPS", "1")
    with pytest.raises(RuntimeError, match=r"MPS=1 asks for a Mac's GPU, and PyTorch finds none"):
        hardware.accelerator()


def test_a_mac_s_gpu_has_no_bfloat16_no_decoders_and_no_other_layout():
    mac = torch.device("mps")
    assert not hardware.uses_bf16("auto", mac) and hardware.decoders(mac) == 0
    assert hardware.layout(mac) == torch.contiguous_format
    assert {hardware.layout(torch.device(d)) for d in ("cpu", "cuda")} == {torch.channels_last}
    images = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
    assert hardware.resident(images, mac) is images, "drawn on the CPU, where they are"


def cudnn():
    backends = torch.backends
    return backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32, backends.cudnn.benchmark


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"exact": True}, (False, False, False)),
        ({"exact": False, "benchmark": True}, (True, False, True)),
        ({"exact": True, "benchmark": True}, (False, False, True)),
    ],
)
def test_how_a_gpu_computes_is_put_back(asked, found):
    before = cudnn()
    assert before == (True, False, False), "as PyTorch leaves it"
    with pytest.raises(ZeroDivisionError), hardware.convolutions(**asked):
        assert cudnn() == found
        1 / 0  # noqa: B018
    assert cudnn() == before
