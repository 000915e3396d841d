"""The pretended device accepts and refuses what CUDA does."""

import copy

import numpy as np
import pytest
import torch
from pretended import device
from torch import nn
from torch.nn import functional as F

CPU_PLACES = torch.tensor([2, 0])


def there(*shape):
    return torch.rand(*shape, device=device.DEVICE)


ACCEPTED = {
    "CPU indices into a tensor": lambda: there(4, 3)[CPU_PLACES],
    "a CPU mask into a tensor": lambda: there(4)[torch.tensor([True, False, True, False])],
    "writing at CPU indices": lambda: there(4).index_put_((CPU_PLACES,), there(2)),
    "writing a number at CPU indices": lambda: there(4).index_put_(
        (CPU_PLACES,), torch.tensor(1.0)
    ),
    "a 0-dim CPU number": lambda: there(4) * torch.tensor(2.0),
    "a 0-dim CPU number first": lambda: torch.tensor(2.0) - there(4),
    "a copy into it": lambda: there(4).copy_(torch.rand(4)),
    "item": lambda: there(1).item(),
    "tolist": lambda: there(2).tolist(),
    "its own generator": lambda: torch.rand(
        3, device=device.DEVICE, generator=torch.Generator(device.DEVICE)
    ),
    "numpy of a copy": lambda: there(3).cpu().numpy(),
    "a CPU tensor by device indices of one": lambda: torch.rand(4)[there(1).long().item()],
    "a product": lambda: there(2, 3) @ there(3, 2),
    "a convolution": lambda: F.conv2d(there(1, 3, 8, 8), there(4, 3, 3, 3)),
    "autocast": lambda: torch.autocast(device.DEVICE.type, torch.bfloat16)(there)(1),
    "torch.tensor": lambda: torch.tensor([1.0, 2.0], device=device.DEVICE) + there(2),
    "float64": lambda: there(2).double(),
    "a full tensor": lambda: torch.full((2,), 7, device=device.DEVICE) + there(2),
}
REFUSED = {
    "index_select by CPU indices": lambda: there(4, 3).index_select(0, CPU_PLACES),
    "gather by CPU indices": lambda: there(4).gather(0, CPU_PLACES),
    "device indices into a CPU tensor": lambda: torch.rand(4)[CPU_PLACES.to(device.DEVICE)],
    "writing CPU numbers at indices": lambda: there(4).index_put_((CPU_PLACES,), torch.rand(2)),
    "a sum of both": lambda: there(4) + torch.rand(4),
    "one number that has a dimension": lambda: there(4) + torch.rand(1),
    "a product of both": lambda: there(2, 3) @ torch.rand(3, 2),
    "where": lambda: there(4).where(torch.tensor([True, False, True, True]), 0),
    "cat": lambda: torch.cat([there(2), torch.rand(2)]),
    "stack": lambda: torch.stack([there(2), torch.rand(2)]),
    "a loss of both": lambda: F.cross_entropy(there(2, 3), CPU_PLACES),
    "equal": lambda: torch.equal(there(2), torch.rand(2)),
    "a batch norm of the CPU": lambda: nn.BatchNorm2d(3)(there(2, 3, 4, 4)),
    "numpy": lambda: there(3).numpy(),
    "numpy's own way": lambda: np.asarray(there(3)),
    "a CPU generator": lambda: torch.rand(3, device=device.DEVICE, generator=torch.Generator()),
    "a CPU generator in place": lambda: there(3).normal_(generator=torch.Generator()),
    "its generator for a CPU tensor": lambda: torch.rand(
        3, generator=torch.Generator(device.DEVICE)
    ),
    "its generator for a CPU permutation": lambda: torch.randperm(
        3, generator=torch.Generator(device.DEVICE)
    ),
}


@pytest.mark.parametrize("what", ACCEPTED)
def test_it_accepts(what):
    with device.entered():
        ACCEPTED[what]()


@pytest.mark.parametrize("what", REFUSED)
def test_it_refuses(what):
    with device.entered(), pytest.raises((RuntimeError, TypeError), match=r"device|numpy"):
        REFUSED[what]()


def test_the_tables_are_those_of_a_real_gpu():
    """Where there is one: the pretence is checked against it."""
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "DEVICE", torch.device("cuda:0"))
        for accepted in ACCEPTED.values():
            accepted()
        for name, refused in REFUSED.items():
            with pytest.raises((RuntimeError, TypeError, ValueError)):
                pytest.fail(f"{name} is accepted: {refused()}")


def test_where_results_are():
    with device.entered() as here:
        x = there(4, 3)
        for made in (x + 1, x[CPU_PLACES], x.T, x.view(12), x.detach(), torch.zeros_like(x)):
            assert made.device == here
        assert x.new_zeros(2).device == here and x.to("cpu").device.type == "cpu"
        assert torch.rand(2).device.type == "cpu", "what nobody asked for is not there"
        half = x[:2]
        half.zero_()
        assert x[:2].sum().item() == 0, "a part is a view"


def test_a_training_there_is_the_training_here():
    """Adam, batch norms and gradients: the same numbers as on the CPU; parameters stay the same."""

    def trained(where):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 2))
        before = [*model.parameters()]
        adam_first = torch.optim.Adam(before, 0.01)
        model.to(where)
        assert all(a is b for a, b in zip(before, model.parameters(), strict=True))
        adam = torch.optim.Adam(model.parameters(), 0.01, fused=True)
        x, y = torch.rand(8, 3, 6, 6).to(where), (torch.arange(8) % 2).to(where)
        for optimizer in (adam_first, adam, adam):
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            optimizer.zero_grad()
        return copy.deepcopy(model).cpu().state_dict()

    want = trained("cpu")
    with device.entered() as here:
        found = trained(here)
    for name, value in want.items():
        torch.testing.assert_close(found[name], value, msg=name)
        assert type(found[name]) is torch.Tensor


def test_arguments_are_moved_as_distributed_data_parallel_moves_them():
    with device.entered() as here:
        seen = []
        model = nn.Module()
        model.forward = lambda *given, **named: seen.append((given, named))
        device.Moving(model)(torch.rand(2), [torch.rand(2)], at={"x": torch.rand(2)})
        (((a, (b,)), named),) = seen
        assert a.device == b.device == named["at"]["x"].device == here


def test_a_mac_has_no_float64():
    with device.entered(float64=False) as here:
        x = torch.rand(2, device=here)
        for made in (
            lambda: x.double(),
            lambda: torch.zeros(2, dtype=torch.float64).to(here),
            lambda: torch.arange(2, dtype=torch.float64, device=here),
        ):
            with pytest.raises(TypeError, match="float64"):
                made()
        assert x.cpu().double().dtype == torch.float64
    with device.entered() as here:
        torch.rand(2, device=here).double()


def test_nothing_of_it_stays(tmp_path):
    generator, autocast, tensor = torch.Generator, torch.autocast, torch.tensor
    with device.entered() as here:
        torch.save({"x": torch.ones(2, device=here)}, tmp_path / "saved.pt")
    assert (torch.Generator, torch.autocast, torch.tensor) == (generator, autocast, tensor)
    assert torch.equal(torch.load(tmp_path / "saved.pt", weights_only=True)["x"], torch.ones(2))
