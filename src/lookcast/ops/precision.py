"""Full precision for computations that lose too many digits in half precision or under autocast."""

from contextlib import AbstractContextManager

import torch


def full_type(*tensors: torch.Tensor) -> torch.dtype:
    """Return the type for a computation with these tensors: float64 if a tensor is float64, else float32."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def full_precision(tensor: torch.Tensor) -> torch.Tensor:
    """Convert a floating-point tensor to float32; a float64 tensor stays unchanged."""
    return tensor.to(full_type(tensor))


def no_autocast(tensor: torch.Tensor) -> AbstractContextManager[None]:
    """Return a context manager that disables autocast on the device of a tensor."""
    return torch.autocast(tensor.device.type, enabled=False)
