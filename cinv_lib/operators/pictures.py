"""What operators take, and may return: RGB pictures in [0,1], and tensors like them."""

from typing import Any

from torch import Tensor


def check_images(x: object) -> None:
    """Raise ValueError unless x is a batch of RGB pictures in [0,1], as floats."""
    if not (isinstance(x, Tensor) and x.is_floating_point()):
        kind = getattr(x, "dtype", type(x).__name__)
        raise ValueError(f"images are {kind}; expected a tensor of floats in [0,1]: divide by 255")
    if x.ndim != 4 or x.shape[1] != 3 or x.numel() == 0:
        raise ValueError(
            f"images have shape {tuple(x.shape)}; expected RGB (B, 3, H, W): add a batch axis by "
            "x[None], repeat a grey channel three times"
        )
    lo, hi = (bound.item() for bound in x.detach().aminmax())
    if not (lo >= -1e-4 and hi <= 1 + 1e-4):  # `not`: NaN must fail. 1e-4: resizing rounds
        raise ValueError(
            f"images run from {lo:.4g} to {hi:.4g}; expected [0,1]: divide grey levels by 255, "
            "corrupt before normalising, and chain operators in a Mixture"
        )


def unfit(y: Any, x: Tensor, any_scale: bool) -> str:
    """What is wrong with what an operator returns for two pictures in [0,1]; else nothing."""
    if not isinstance(y, Tensor):
        return f"returns a {type(y).__name__}; expected a tensor of shape {tuple(x.shape)}"
    if y.shape != x.shape:
        return (
            f"returns shape {tuple(y.shape)} for pictures {tuple(x.shape)}; expected the same: "
            "show what is measured as a picture again, enlarged or by the adjoint"
        )
    if y.dtype != x.dtype:
        return f"returns {y.dtype} for pictures of {x.dtype}; expected the same: .to(x.dtype)"
    if y.device != x.device:
        return (
            f"returns a tensor on {y.device} for pictures on {x.device}; expected the same: make "
            "tensors with device=x.device"
        )
    if len(bad := y[~y.isfinite()]):
        return (
            f"returns {bad[0]:g} in {len(bad)} of {y.numel()} numbers; expected finite ones: look "
            "for a division by 0, or a root or logarithm of what is not positive"
        )
    lo, hi = (bound.item() for bound in y.aminmax())
    if hi > 64 and lo > -hi / 4 and not any_scale:  # noise as strong as that goes as far below 0
        return (
            f"returns values from {lo:.4g} to {hi:.4g} for pictures in [0,1]; expected the same "
            "scale, where white is 1: divide grey levels by 255"
        )
    return ""
