"""A pretended GPU: a CPU's numbers under another device's name. Mixing both raises as on CUDA.

    with device.entered():  # from here on `hardware.accelerator` gives this device
        x = torch.rand(4, 3, device=device.DEVICE)
        x + torch.ones(3)  # RuntimeError: Expected all tensors to be on the same device

It finds what runs on a CPU and stops on a GPU: a tensor that stayed behind, a generator of the
other device, `numpy()` of what was not brought back. `float64=False` makes it a Mac, whose MPS has
none, and whose generator nobody is to ask: the library draws on the CPU there.

It cannot see what CUDA does beside a program: streams and what is not yet done, pinned memory and
copies that do not block, memory that runs out, TF32 and bfloat16, other random numbers, sums in
another order. And it is called "meta", the one name that PyTorch lets a tensor have here without a
driver: branches on `device.type == "cuda"` are not taken.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_map

DEVICE = torch.device("meta")
aten = torch.ops.aten

# Here the second argument, a list of indices, may be on the CPU while what is indexed is not ...
READS = {aten.index.Tensor, aten._unsafe_index.Tensor}
# ... and here too, if the third, what is written, is on the device or a single number.
WRITES = {aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}
# What brings numbers from one device to another.
COPIES = {aten.copy_.default, aten._to_copy.default}

has_float64 = True  # whether the device that is entered computes in float64


class OnDevice(torch.Tensor):
    """A tensor that says it is on the device; `raw` has its numbers."""

    @staticmethod
    def __new__(cls, raw: torch.Tensor, requires_grad: bool = False):
        if raw.dtype == torch.float64 and not has_float64:
            raise TypeError(
                "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support "
                "float64. Please use float32 instead."
            )
        made = torch.Tensor._make_wrapper_subclass(
            cls, raw.size(), strides=raw.stride(), storage_offset=raw.storage_offset(),
            dtype=raw.dtype, layout=raw.layout, device=DEVICE, requires_grad=requires_grad,
        )  # fmt: skip
        made.raw = raw
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return dispatched(func, args, kwargs or {})

    # A module that is moved keeps its parameters, as on a GPU: PyTorch exchanges what is in them
    # where a subclass can be taken apart.
    def __tensor_flatten__(self):
        return ["raw"], None

    @staticmethod
    def __tensor_unflatten__(inner, context, size, stride):
        return OnDevice(inner["raw"])

    def __repr__(self, **_: Any) -> str:
        return f"OnDevice({self.raw})"

    def __reduce_ex__(self, protocol):  # files say where it was; here they are read on a CPU
        return self.raw.__reduce_ex__(protocol)

    def tolist(self):
        return self.raw.tolist()

    def numpy(self, **_: Any):
        raise TypeError(
            "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor "
            "to host memory first."
        )


class Mode(TorchDispatchMode):
    """Sees the operations without a tensor of the device among their arguments, too."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return dispatched(func, args, kwargs or {})


_Generator = torch.Generator


class Generator(_Generator):
    """A generator that says which device it is of; the numbers are a CPU's."""

    def __new__(cls, device: torch.device | str = "cpu"):
        return super().__new__(cls, device="cpu")

    there: ClassVar[set[int]] = set()  # addresses: an operation gets a new object for the same one

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.pretended = torch.device(device)
        if self.pretended == DEVICE and not has_float64:
            raise TypeError("a generator of a Mac's GPU; expected one of `float64_on(device)`")
        (self.there.add if self.pretended == DEVICE else self.there.discard)(self._cdata)

    def __del__(self) -> None:
        self.there.discard(self._cdata)

    @property
    def device(self) -> torch.device:
        return self.pretended


class Autocast(torch.autocast):
    """Of the device: none, as it has no bfloat16."""

    def __init__(self, device_type: str, *args: Any, **kwargs: Any) -> None:
        if device_type == DEVICE.type:
            device_type, args, kwargs = "cpu", (), {"enabled": False}
        super().__init__(device_type, *args, **kwargs)


def dispatched(func: Any, args: tuple, kwargs: dict) -> Any:
    """Make an operation on the CPU, if the device would, and say where its result is."""
    given = list(_leaves((*args, *kwargs.values())))
    tensors = [one for one in given if isinstance(one, torch.Tensor)]
    there = [isinstance(one, OnDevice) for one in tensors]
    asked = kwargs.get("device")
    on = any(there) if asked is None else torch.device(asked) == DEVICE
    _check_tensors(func, args, tensors, there)
    for generator in (one for one in given if isinstance(one, _Generator)):
        if (generator._cdata in Generator.there) != on:
            expected, found = ("cuda", "cpu") if on else ("cpu", "cuda")
            raise RuntimeError(
                f"Expected a '{expected}' device type for generator but found '{found}' ({func})"
            )
    plain = {**kwargs, **({"device": torch.device("cpu")} if asked is not None and on else {})}
    plain = {name: one for name, one in plain.items() if name != "pin_memory"}
    found = func(*_each(_raw, args), **{name: _each(_raw, one) for name, one in plain.items()})
    if func is aten.copy_.default:
        return args[0]
    if not on:
        return found
    found = _each(_wrapped, found)
    made = func is aten._to_copy.default or asked is not None
    return found if made else return_and_correct_aliasing(func, args, kwargs, found)


def _check_tensors(func: Any, args: tuple, tensors: list, there: list[bool]) -> None:
    """Raises where tensors of both devices meet; a single number of the CPU may be anywhere."""
    if not any(there):
        return
    strangers = [t for t, on in zip(tensors, there, strict=True) if not on and t.dim() > 0]
    if not strangers or func in COPIES:
        return
    if func in READS | WRITES and isinstance(args[0], OnDevice):
        written = args[2] if func in WRITES else args[0]
        if isinstance(written, OnDevice) or written.dim() == 0:
            return
    names = ("cuda:0" if on else "cpu" for on in there)
    where = [(tuple(t.shape), name) for t, name in zip(tensors, names, strict=True)]
    raise RuntimeError(
        "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and "
        f"cpu! ({func}: {where})"
    )


# What operations take and give are tensors, numbers, and lists and tuples of them. PyTorch's own
# `tree_map` looks for much more, and took longer than the operations.
def _leaves(given: list | tuple) -> Iterator[Any]:
    for one in given:
        if isinstance(one, list | tuple):
            yield from _leaves(one)
        else:
            yield one


def _each(changed: Callable[[Any], Any], given: Any) -> Any:
    if isinstance(given, list | tuple):
        return type(given)(_each(changed, one) for one in given)
    return changed(given)


def _raw(one: Any) -> Any:
    return one.raw if isinstance(one, OnDevice) else one


def _wrapped(one: Any) -> Any:
    return OnDevice(one) if type(one) in (torch.Tensor, torch.nn.Parameter) else one


@contextlib.contextmanager
def entered(float64: bool = True) -> Iterator[torch.device]:
    """The library on the pretended device, until the end of the block.

    float64: False is a Mac. What is replaced besides `hardware.accelerator`: generators, which know
    their device; autocast and fused optimisers, which know the devices that there are; the search
    for GPU kernels of attention.
    """
    from cinv_lib.machine import hardware
    from cinv_lib.operators import functional

    tensor, casts = torch.tensor, torch.is_autocast_enabled

    def tensor_there(*args: Any, device: Any = None, **kwargs: Any) -> torch.Tensor:
        if device is None or torch.device(device) != DEVICE:
            return tensor(*args, device=device, **kwargs)
        return tensor(*args, **kwargs).to(DEVICE)

    place = SimpleNamespace(
        device=DEVICE, process_index=0, num_processes=1, is_main_process=True,
        wait_for_everyone=lambda: None, prepare_model=Moving,
    )  # fmt: skip
    optimizers = sys.modules[torch.optim.Optimizer.__module__]
    fused = optimizers._get_fused_kernels_supported_devices
    with pytest.MonkeyPatch.context() as patch, Mode():
        patch.setattr(sys.modules[__name__], "has_float64", float64)
        patch.setattr(functional, "NO_FLOAT64", ("mps", *([] if float64 else [DEVICE.type])))
        patch.setattr(hardware, "accelerator", lambda: place)
        patch.setattr(hardware, "decoders", lambda device: 0)
        patch.setattr(torch, "autocast", Autocast)
        patch.setattr(torch, "is_autocast_enabled", lambda t: t != DEVICE.type and casts(t))
        patch.setattr(torch, "tensor", tensor_there)
        patch.setattr(optimizers, fused.__name__, lambda: [*fused(), DEVICE.type])
        for name, module in list(sys.modules.items()):
            if name == "torch" or name.startswith("cinv_lib"):
                for known, value in list(vars(module).items()):
                    if value is _Generator:
                        patch.setattr(module, known, Generator)
        fast = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            yield DEVICE
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)


class Moving(torch.nn.Module):
    """As DistributedDataParallel on a GPU: the tensors among the arguments go to the device."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *given: Any, **named: Any) -> Any:
        def moved(one: Any) -> Any:
            return one.to(DEVICE) if isinstance(one, torch.Tensor) else one

        given, named = tree_map(moved, (given, named))
        return self.module(*given, **named)
