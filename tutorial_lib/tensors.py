"""Checks of tensors: every message names the argument, what came and what is allowed."""

import numpy as np
import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader


def kind_of(value: object) -> str:
    """Return the type of what is no tensor, in the words of a message; for an array or a loader also what to do."""
    remedy = ""
    if isinstance(value, np.ndarray):
        remedy = ": convert with torch.from_numpy(...)"
    elif isinstance(value, DataLoader):
        remedy = ": take one batch, x, y = next(iter(loader)); classifier_report and regressor_report take loaders"
    return f"{type(value).__name__}{remedy}"


def require_floating_point(**tensors: Tensor) -> None:
    """Raise unless every named argument is a tensor of float32 or float64.

    Lower precisions are refused: their rounding is as large as the differences that are measured here.
    """
    for name, value in tensors.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} must be a tensor of float32 or float64, got {kind_of(value)}")
        if value.dtype not in (torch.float32, torch.float64):
            raise TypeError(f"{name} must hold floating-point numbers, float32 or float64, got {value.dtype}")
        if value.is_meta:
            raise ValueError(f"{name} must hold numbers, got a tensor on the device meta, which has none")


def require_finite(**tensors: Tensor) -> None:
    """Raise unless every named argument is a tensor of finite numbers, of float32 or float64."""
    require_floating_point(**tensors)
    for name, value in tensors.items():
        # The smallest and the largest in one pass; nan counts as both.
        if value.numel() and not bool(torch.isfinite(torch.stack(torch.aminmax(value.detach()))).all()):
            raise ValueError(f"{name} must be finite, got nan or infinity")


def require_rows(**tensors: Tensor) -> None:
    """Raise unless every named argument is a batch of finite rows: (batch, dim), not empty."""
    require_floating_point(**tensors)
    for name, value in tensors.items():
        if value.ndim != 2 or value.numel() == 0:
            raise ValueError(f"{name} must have shape (batch, dim) and not be empty, got {tuple(value.shape)}")
    require_finite(**tensors)


def require_like(reference: Tensor, owner: str = "the rest", /, **tensors: Tensor) -> None:
    """Raise unless every named argument has the dtype and the device of ``reference``, a tensor of ``owner``."""
    for name, value in tensors.items():
        if (value.dtype, value.device) != (reference.dtype, reference.device):
            wanted, found = (f"{tensor.dtype} on {tensor.device}" for tensor in (reference, value))
            remedy = f"use {name}.to({_conversion(value, reference)})"
            raise ValueError(f"{name} must be {wanted} like {owner}, got {found}: {remedy}")


def _conversion(value: Tensor, reference: Tensor) -> str:
    dtype = "" if value.dtype == reference.dtype else f"{reference.dtype}"
    device = "" if value.device == reference.device else f"'{reference.device}'"
    return ", ".join(filter(None, (device, dtype)))


def require_generator(generator: Generator | None) -> Generator:
    """Return ``generator``; raise unless it is one: without it torch would draw from the global random state."""
    if not isinstance(generator, Generator):
        raise TypeError(
            f"generator must be a torch.Generator, such as random_stream(0, 'what it is for'), got {generator!r}"
        )
    return generator
