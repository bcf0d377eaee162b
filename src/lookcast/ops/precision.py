"""Full precision where half precision and autocast would lose the digits that a result needs."""

from contextlib import AbstractContextManager

import torch


def full_type(*tensors: torch.Tensor) -> torch.dtype:
    """Return the type of a result of these tensors: float32, or float64 if one of them has it."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def full_precision(tensor: torch.Tensor) -> torch.Tensor:
    """Return a floating-point tensor in float32, or unchanged in float64."""
    return tensor.to(full_type(tensor))


def no_autocast(tensor: torch.Tensor) -> AbstractContextManager[None]:
    """Return a context without autocast on the device of a tensor."""
    return torch.autocast(tensor.device.type, enabled=False)
